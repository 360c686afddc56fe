# Shared by the tests of the scripts. A test is a list of checks and ends at the first that fails. Each test uses a copy of
# scripts/ in a temporary folder, so it does not change the data/ and build/ of the project.
# shellcheck shell=bash
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/project" "$work/stubs"
cp -R "$repository/scripts" "$work/project/"
cd "$work/project"

# stub NAME [LINE OF SHELL]...: creates a program NAME that runs these lines and hides the installed program.
stub() {
  local name=$1 && shift
  printf '%s\n' '#!/usr/bin/env bash' "$@" >"$work/stubs/$name"
  chmod +x "$work/stubs/$name"
}

# run COMMAND...: runs a command with the stubs first in PATH; sets $status and $output (both streams together).
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
