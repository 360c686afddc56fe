#!/usr/bin/env bash
# Configures and builds HipGPT in build/. The other scripts use it; it is as good by hand.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/build.sh [--tests] [--sanitize]

Builds train_gpt and generate, optimised for this machine, in build/. What is built already is not built again.

  --tests      the tests too
  --sanitize   with AddressSanitizer and UndefinedBehaviorSanitizer, in build-sanitize/
  --help       this text

A build/ that was configured by hand keeps its options. For a first build, CMake's own variables in the environment
apply, for example CXX=hipcc or CMAKE_GENERATOR=Ninja.
TEXT
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build
options=()
targets=(--target train_gpt generate)
while (($#)); do
  case $1 in
    --tests) options+=(-DHIPGPT_TESTS=ON) && targets=() ;;
    --sanitize)
      build=$root/build-sanitize
      options+=("-DHIPGPT_SANITIZE=address,undefined")
      ;;
    --help | -h) usage && exit 0 ;;
    *) echo "build.sh: unknown argument '$1' (--help lists them)" >&2 && exit 2 ;;
  esac
  shift
done

if ! command -v cmake >/dev/null; then
  echo "build.sh: CMake is not installed. Debian, Ubuntu: ./scripts/install_deps.sh" >&2
  exit 1
fi

if [[ ! -f $build/CMakeCache.txt ]]; then
  if [[ -z ${CMAKE_GENERATOR:-} ]] && command -v ninja >/dev/null; then
    options+=(-G Ninja)
  fi
  echo "Build: configuring ${build##*/}/"
fi
mkdir -p "$build"
log=$build/configure.log
if ! cmake -S "$root" -B "$build" "${options[@]+"${options[@]}"}" >"$log" 2>&1; then
  cat "$log" >&2
  echo "build.sh: CMake could not configure ${build##*/}/ (a fresh start: rm -r ${build##*/})" >&2
  exit 1
fi

# Silent where there is nothing to do.
cores=$(getconf _NPROCESSORS_ONLN)
cmake --build "$build" --parallel "$cores" "${targets[@]+"${targets[@]}"}" 2>&1 |
  { grep --line-buffered -vE '^ninja: no work|\] Built target|^(\[[ 0-9]*%\] )?Consolidate|^gmake|^make' || true; }
