#!/usr/bin/env bash
# Goes from a fresh clone to the test results: packages, build, ctest.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # for `sh scripts/run_tests.sh`
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/run_tests.sh [--sanitize | --all]

Installs missing packages, builds HipGPT and its tests in build/, and runs the tests with ctest. Needs no training text.

  --sanitize   run the tests under AddressSanitizer and UndefinedBehaviorSanitizer instead, in build-sanitize/
  --all        run the tests without sanitizers, then with them
  --help       print this text

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
./scripts/install_deps.sh || echo "run_tests.sh: continuing without these packages; CMake reports what it cannot find" >&2
if [[ $plain == true ]]; then
  ./scripts/build.sh --tests
  run_ctest build
fi
if [[ $sanitize == true ]]; then
  ./scripts/build.sh --tests --sanitize
  run_ctest build-sanitize
fi
