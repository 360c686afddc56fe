# What the tests of the scripts share. A test is a list of checks; the first that fails ends it. Each works on a copy of
# scripts/ in a temporary folder, so the data/ and build/ of the project are never touched.
# shellcheck shell=bash
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/project" "$work/stubs"
cp -R "$repository/scripts" "$work/project/"
cd "$work/project"

# stub NAME [LINE OF SHELL]...: a program NAME, found before the installed one, that does only this.
stub() {
  local name=$1 && shift
  printf '%s\n' '#!/usr/bin/env bash' "$@" >"$work/stubs/$name"
  chmod +x "$work/stubs/$name"
}

# run COMMAND...: sets $status and $output (both streams together), with the stubs before everything else.
run() {
  status=0
  output=$(PATH=$work/stubs:$PATH "$@" 2>&1 </dev/null) || status=$?
}

fail() {
  printf 'FAILED: %s\nstatus %s, output:\n%s\n' "$1" "${status:-}" "${output:-}" >&2
  exit 1
}

expect_status() { [[ $status == "$1" ]] || fail "expected status $1"; }
expect_output() { [[ $output == *"$1"* ]] || fail "expected in the output: $1"; }
reject_output() { [[ $output != *"$1"* ]] || fail "not expected in the output: $1"; }
ok() { echo "ok: $1"; }
