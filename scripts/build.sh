#!/usr/bin/env bash
# Configures and builds HipGPT in build/. The other scripts use it; it is as good by hand.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/build.sh [--tests] [--sanitize]

Builds train_gpt and generate, compiled for the processor of this machine, in build/. What is built already is not built
again. Kernels are compiled for the GPUs in the machine, if there are any.

  --tests      the tests too
  --sanitize   with AddressSanitizer and UndefinedBehaviorSanitizer, in build-sanitize/
  --help       this text

A build/ that was configured by hand keeps its options. For a first build, CMake's own variables in the environment
apply, for example CXX=hipcc, which compiles kernels for AMD GPUs, or CMAKE_GENERATOR=Ninja.
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

first=false
if [[ ! -f $build/CMakeCache.txt ]]; then
  first=true
  # A plain cmake builds for every processor of this kind, as an installation should.
  options+=(-DHIPGPT_NATIVE=ON)
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
if [[ $first == true ]]; then
  sed -n 's/^-- \(HIP platform: \)/Build: \1/p' "$log"
fi

# What make or ninja prints, as one line of progress that is rewritten on a terminal, or a line for each quarter elsewhere.
# Whatever else they print is shown as it is: warnings, and why a build failed. Silent where there is nothing to do.
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
