#!/usr/bin/env bash
# Builds what is not built, then prints text from the trained model by ./build/generate.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/run_generate.sh --prompt TEXT [ARGUMENTS OF generate]

Builds if needed, then runs ./build/generate from the root of the project, on the model that run_train.sh made.

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
    printf '\nThe arguments of generate are printed here once it is built (./scripts/build.sh).\n'
    exit 0
  fi
done

# Only the text of the model goes to the standard output.
cd "$root"
if [[ ! -x build/generate ]]; then
  ./scripts/install_deps.sh >&2 || echo "run_generate.sh: going on; CMake says what it does not find" >&2
fi
./scripts/build.sh >&2
exec ./build/generate "$@"
