#!/usr/bin/env bash
# A program that was compiled for instructions the processor lacks reports this in one line and ends.
# Usage: processor_test.sh OTHER_PROCESSOR TRAIN_GPT.
# Exits with status 77 (skipped) on an architecture other than x86-64.
set -euo pipefail

[[ $(uname -m) == x86_64 ]] || { echo "skipped: not x86-64" && exit 77; }

# expect_refusal NAME COMMAND...: the output is one line that names the program, and the exit status is 1.
expect_refusal() {
  local name=$1 status=0 output
  shift
  output=$("$@" 2>&1) || status=$?
  if [[ $status != 1 || ! $output =~ ^$name:\ compiled\ for\ a\ processor\ with\ [A-Z0-9a-z.-]+,\ which\ this\ one\ lacks\;[^$'\n']*$ ]]; then
    printf 'FAILED: %s\nstatus %s, output:\n%s\n' "$*" "$status" "$output" >&2
    exit 1
  fi
}

expect_refusal other_processor "$1"
echo "ok: a program refuses a processor that lacks an extension"
"$2" --version
echo "ok: train_gpt runs on the processor it was built for"

# Runs train_gpt itself on an emulated older processor. It must refuse if the build is for a newer one.
emulator=$(command -v qemu-x86_64 || command -v qemu-x86_64-static || true)
if [[ -z $emulator ]]; then
  echo "not tested: an older processor, which requires qemu-user"
elif "$emulator" -cpu Nehalem "$2" --version >/dev/null 2>&1; then
  echo "ok: this build runs on Nehalem, a processor of 2008"
else
  expect_refusal train_gpt "$emulator" -cpu Nehalem "$2" --version
  echo "ok: train_gpt refuses an older processor"
fi
