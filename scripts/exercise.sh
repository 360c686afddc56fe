#!/usr/bin/env bash
# Builds and checks one exercise of the guide (tests/exercises). Needs CMake and a C++ compiler, and neither a GPU nor HipGPT.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # for `sh scripts/exercise.sh`
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
exercises=$root/tests/exercises
build=${HIPGPT_EXERCISES_BUILD:-$root/build-exercises}

usage() {
  cat <<'TEXT'
Usage: scripts/exercise.sh NAME [--solution]

Builds tests/exercises/NAME.cpp and checks it: fill the function in that file until it prints "done". Exercises on the
emulated GPU run with waves of 64 lanes and of 32, and with the threads of a block in several orders.

  --solution   check tests/exercises/solutions/NAME.cpp instead
  --help       print this text

The exit status is 0 if the exercise is done. NAME is one of:
TEXT
  (cd "$exercises" && printf '%s\n' *.cpp) | sed 's/\.cpp$//' | paste -sd ' ' | fold -sw 100 | sed 's/^/  /'
}

name=
solution=
while (($#)); do
  case $1 in
    --solution) solution=.solution ;;
    --help | -h) usage && exit 0 ;;
    -*) echo "exercise.sh: unknown argument '$1' (--help lists them)" >&2 && exit 2 ;;
    *) name=${1##*/} && name=${name%.cpp} ;;
  esac
  shift
done
[[ -n $name ]] || { usage >&2 && exit 2; }
source=$exercises/${solution:+solutions/}$name.cpp
if [[ ! -f $source ]]; then
  echo "exercise.sh: there is no exercise '$name' (--help lists them)" >&2
  exit 2
fi
if ! command -v cmake >/dev/null; then
  echo "exercise.sh: CMake is not installed; on Debian or Ubuntu, run ./scripts/install_deps.sh" >&2
  exit 1
fi

targets=("$name$solution")
if grep -q '^#include "gpu.h"' "$source"; then targets=("$name$solution.wave64" "$name$solution.wave32"); fi
mkdir -p "$build"
log=$build/configure.log
if [[ ! -f $build/CMakeCache.txt ]]; then
  generator=()
  if [[ -z ${CMAKE_GENERATOR:-} ]] && command -v ninja >/dev/null; then generator=(-G Ninja); fi
  if ! cmake -S "$root" -B "$build" -DHIPGPT_EXERCISES=ON "${generator[@]+"${generator[@]}"}" >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$build/CMakeCache.txt"
    exit 1
  fi
fi
if [[ ${#targets[@]} == 2 && ! -f $build/tests/exercises/libexercise_gpu_32.a ]]; then
  echo "exercise.sh: building the emulated GPU first, which takes half a minute" >&2
fi
# The compiler's messages appear only if the build fails, without the commands that produced them.
for target in "${targets[@]}"; do
  if ! cmake --build "$build" --parallel "$(getconf _NPROCESSORS_ONLN)" --target "$target" >"$build/build.log" 2>&1; then
    grep -vE '^(\[[0-9 /%]+\] |FAILED: |ninja: |g?make|[^ ]*/[^ ]* -D)' "$build/build.log" >&2 || true
    echo "exercise.sh: $source does not compile" >&2
    exit 1
  fi
done

# What waves of 64 lanes print is shown; what waves of 32 print, only if they fail where those of 64 do not.
"$build/tests/exercises/${targets[0]}"
for target in "${targets[@]:1}"; do
  output=$("$build/tests/exercises/$target" 2>&1) || { echo "With waves of 32 lanes: $output" && exit 1; }
done
