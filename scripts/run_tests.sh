#!/usr/bin/env bash
# From a fresh clone to the result of the tests: packages, build, ctest.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/run_tests.sh [--sanitize | --all]

Installs what is missing, builds HipGPT and its tests in build/, and runs them by ctest. No training text is needed.

  --sanitize   the same tests under AddressSanitizer and UndefinedBehaviorSanitizer, in build-sanitize/
  --all        first the one, then the other
  --help       this text

The exit status is that of ctest.
TEXT
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
plain=true
sanitize=false
while (($#)); do
  case $1 in
    --sanitize) plain=false && sanitize=true ;;
    --all) plain=true && sanitize=true ;;
    --help | -h) usage && exit 0 ;;
    *) echo "run_tests.sh: unknown argument '$1' (--help lists them)" >&2 && exit 2 ;;
  esac
  shift
done

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1:detect_leaks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}

run_ctest() {
  ctest --test-dir "$1" --output-on-failure --no-tests=error --parallel "$(getconf _NPROCESSORS_ONLN)"
}

cd "$root"
./scripts/install_deps.sh || echo "run_tests.sh: going on; CMake says what it does not find" >&2
if [[ $plain == true ]]; then
  ./scripts/build.sh --tests
  run_ctest build
fi
if [[ $sanitize == true ]]; then
  ./scripts/build.sh --tests --sanitize
  run_ctest build-sanitize
fi
