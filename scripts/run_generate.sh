#!/usr/bin/env bash
# Builds HipGPT if needed, then runs ./build/generate to print text from the trained model.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # for `sh scripts/run_generate.sh`
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/run_generate.sh --prompt TEXT [ARGUMENTS OF generate]

Builds HipGPT if needed, then runs ./build/generate in the root of the project, on the model that run_train.sh trained.

  ./scripts/run_generate.sh --prompt "To be, or not to be:"
  ./scripts/run_generate.sh --prompt "My kingdom for a" --num_tokens 100 --top_k 50 --temp 0.8

The exit status is that of generate.
TEXT
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if (($# == 0)); then
  usage >&2
  exit 2
fi
for argument in "$@"; do
  if [[ $argument == --help || $argument == -h ]]; then
    usage
    if [[ -x $root/build/generate ]]; then
      printf '\n' && exec "$root/build/generate" --help
    fi
    printf '\nTo see the arguments of generate here, build it first: ./scripts/build.sh\n'
    exit 0
  fi
done

# Only the model's text goes to standard output.
cd "$root"
if [[ ! -x build/generate ]]; then
  ./scripts/install_deps.sh >&2 || echo "run_generate.sh: continuing without these packages; CMake reports what it cannot find" >&2
fi
./scripts/build.sh >&2
exec ./build/generate "$@"
