#!/usr/bin/env bash
# Checks one exercise: empty, it fails with the message that it quotes; its solutions and the mistakes print what they quote.
# A quotation is a line that begins with "// > ". A file whose function is no longer empty is a student's, and is not checked.
# Usage: suite_test.sh FOLDER_OF_PROGRAMS NAME
set -euo pipefail
programs=$(cd "$1" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")"
name=$2

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# check SOURCE PROGRAM STATUS: each quotation of the source is part of the output.
check() {
  local output status=0 quoted count=0
  output=$("$programs/$2" 2>&1) || status=$?
  [[ $3 == "$status" || ($3 == failure && $status != 0) ]] || fail "$2 ended with status $status:"$'\n'"$output"
  while IFS= read -r quoted; do
    [[ $output == *"$quoted"* ]] || fail "$1 quotes"$'\n'"$quoted"$'\n'"but $2 prints"$'\n'"$output"
    count=$((count + 1))
  done < <(sed -n 's|^// > ||p' "$1")
  ((count > 0)) || fail "$1 quotes nothing"
  echo "ok: $2"
}

wave=
if grep -q '^#include "gpu.h"' "$name.cpp"; then wave=.wave64; fi

if grep -q 'Write your code here' "$name.cpp"; then
  check "$name.cpp" "$name$wave" 1
else
  echo "skipped: $name.cpp is no longer empty"
fi
for source in solutions/"$name".cpp solutions/"$name"_[0-9].cpp; do
  [[ -f $source ]] || continue
  target=$(basename "$source" .cpp).solution
  status=1
  if grep -q '^// > .*done$' "$source"; then status=0; fi
  check "$source" "$target$wave" "$status"
  if [[ -n $wave ]]; then
    actual=0
    output=$("$programs/$target.wave32") || actual=$?
    [[ $actual == "$status" && $output == "$name: right"* ]] || fail "$target.wave32: $output"
    echo "ok: $target.wave32"
  fi
done
for source in mistakes/"$name".cpp mistakes/"$name"_[0-9].cpp; do
  [[ -f $source ]] || continue
  target=$(basename "$source" .cpp).mistake
  if grep -q '^// > With waves of 32 lanes: ' "$source"; then
    "$programs/$target.wave64" >/dev/null || fail "$target.wave64 fails"
    sed 's|^// > With waves of 32 lanes: |// > |' "$source" >"$programs/$target.txt"
    check "$programs/$target.txt" "$target.wave32" failure
  else
    check "$source" "$target.wave64" failure
  fi
done
