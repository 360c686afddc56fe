#!/usr/bin/env bash
# Builds train_gpt and generate for one vendor's GPUs, without warnings, and runs them with --device hip. They must use a GPU
# or report that there is none. A build folder that exists keeps its compiler and its objects of C++ files.
# Usage: gpu_build_test.sh PLATFORM BUILD_FOLDER [ARCHITECTURES].
# Exits with status 77 (skipped) without a compiler for that platform.
set -euo pipefail

platform=$1 build=$2
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
mkdir -p "$build"
build=$(cd "$build" && pwd)

if ! cmake -S "$repository" -B "$build" -DHIPGPT_HIP_PLATFORM="$platform" -DHIPGPT_HIP_ARCHITECTURES="${3:-}" \
  -DHIPGPT_TESTS=OFF >"$build/configure.log" 2>&1; then
  if grep "HIPGPT_HIP_PLATFORM=$platform: " "$build/configure.log"; then
    exit 77
  fi
  cat "$build/configure.log" >&2
  exit 1
fi
grep "HIP platform" "$build/configure.log"

cmake --build "$build" --parallel "$(getconf _NPROCESSORS_ONLN)" >"$build/build.log" 2>&1 || {
  cat "$build/build.log" >&2
  exit 1
}
# C75xx: ptxas makes Hopper's products wait for each other.
if grep -nE "warning|\(C75[0-9]{2}\)" "$build/build.log"; then
  echo "FAILED: warnings" >&2
  exit 1
fi

for program in train_gpt generate; do
  "$build/$program" --version
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
printf 'to be or not to be, that is the question. %.0s' {1..200} >text.txt
if "$build/train_gpt" --device hip --data-path text.txt --vocab-size 260 --steps 2 >log 2>&1; then
  "$build/generate" --device hip --prompt "to be" --num_tokens 4
elif [[ $(grep -c . log) -le 3 ]] && grep -q -- "--device hip" log; then
  grep -- "--device hip" log
else
  cat log >&2
  exit 1
fi
