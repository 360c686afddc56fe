#!/usr/bin/env bash
# Configures and builds HipGPT in build/. The other scripts use it; you may also run it yourself.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # for `sh scripts/build.sh`
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/build.sh [--tests] [--sanitize]

Builds train_gpt and generate in build/. Rebuilds only what has changed.
Compiles kernels for the GPUs in the machine, if there are any.

  --tests      build the tests too
  --sanitize   build with AddressSanitizer and UndefinedBehaviorSanitizer, in build-sanitize/
  --help       print this text

A build/ that is already configured keeps its options. The first build reads CMake's own environment variables, for
example CXX=hipcc, which compiles kernels for AMD GPUs, or CMAKE_GENERATOR=Ninja.
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
  echo "build.sh: CMake is not installed; on Debian or Ubuntu, run ./scripts/install_deps.sh" >&2
  exit 1
fi

first=false
if [[ ! -f $build/CMakeCache.txt ]]; then
  first=true
  if [[ -z ${CMAKE_GENERATOR:-} ]] && command -v ninja >/dev/null; then
    options+=(-G Ninja)
  fi
  echo "Build: configuring ${build##*/}/"
fi
log=$build/configure.log
if ! { mkdir -p "$build" && : >"$log"; } 2>/dev/null; then
  echo "build.sh: $build cannot be written; copy the project to a folder that you may write to" >&2
  exit 1
fi
if ! cmake -S "$root" -B "$build" "${options[@]+"${options[@]}"}" >"$log" 2>&1; then
  cat "$log" >&2
  echo "build.sh: CMake could not configure ${build##*/}/, as shown above; to start again, run rm -r ${build##*/}" >&2
  exit 1
fi
if [[ $first == true ]]; then
  sed -n 's/^-- \(HIP platform: \)/Build: \1/p' "$log"
fi

# Shows the progress that make or ninja prints: on a terminal as one line that is rewritten, elsewhere as a line for each
# quarter. Prints all other output unchanged, such as warnings and errors. Prints nothing if there is nothing to build.
show_progress() {
  local line percent name quarter=0 terminal=false
  if [[ -t 1 ]]; then terminal=true; fi
  while IFS= read -r line; do
    name=""
    if [[ $line =~ ^\[([0-9]+)/([0-9]+)\]\ (.*) ]]; then # Ninja
      percent=$((100 * BASH_REMATCH[1] / BASH_REMATCH[2]))
      name=${BASH_REMATCH[3]}
    elif [[ $line =~ ^\[\ *([0-9]+)%\]\ (.*) ]]; then # make
      percent=${BASH_REMATCH[1]}
      name=${BASH_REMATCH[2]}
    fi
    case $name$line in
      "Built target"* | "Consolidate "* | "Scanning "* | "ninja: no work"* | "ninja: Entering"* | make*": "[EL]* | gmake*": "[EL]*) continue ;;
    esac
    if [[ -z $name ]]; then
      if [[ $terminal == true ]]; then printf '\r\e[K'; fi
      printf '%s\n' "$line"
    elif [[ $terminal == true ]]; then
      name=${name##*/}
      printf '\rBuild: %3d%%  %s\e[K' "$percent" "${name%.o}"
    elif ((percent / 25 > quarter)); then
      quarter=$((percent / 25))
      printf 'Build: %d%%\n' "$percent"
    fi
  done
  if [[ $terminal == true ]]; then printf '\r\e[K'; fi
}

cores=$(getconf _NPROCESSORS_ONLN)
if ! cmake --build "$build" --parallel "$cores" "${targets[@]+"${targets[@]}"}" 2>&1 | show_progress; then
  echo "build.sh: the build failed; the compiler's messages are above" >&2
  exit 1
fi
