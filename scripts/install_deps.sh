#!/usr/bin/env bash
# Installs the compiler, CMake and the libraries that HipGPT needs, on Debian and Ubuntu.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # for `sh scripts/install_deps.sh`
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/install_deps.sh [--with-plots] [--with-kjv] [--with-hipcc] [--with-mpi]

Installs the packages that building HipGPT needs, with apt-get. Installs only missing packages; if there are none, it does
nothing. Needs root or sudo.

  --with-plots   also install matplotlib, for scripts/plot_training.py
  --with-kjv     also install the King James Bible, from which scripts/download_data.sh can make a training text
  --with-hipcc   also install the distribution's hipcc, to build for AMD GPUs without AMD's ROCm packages
  --with-mpi     also install Open MPI, to train with several processes
  --help         print this text

Exit status: 0 all packages are installed, 1 some could not be installed, 3 this system has no apt-get.
TEXT
}

packages=(g++ cmake make git ca-certificates curl
  nlohmann-json3-dev libcli11-dev libfmt-dev libutf8proc-dev libxxhash-dev libopenblas-pthread-dev libgtest-dev)

while (($#)); do
  case $1 in
    --with-plots) packages+=(python3-matplotlib) ;;
    --with-kjv) packages+=(bible-kjv bible-kjv-text) ;;
    --with-hipcc) packages+=(hipcc libamdhip64-dev) ;;
    --with-mpi) packages+=(libopenmpi-dev openmpi-bin) ;;
    --help | -h) usage && exit 0 ;;
    *) echo "install_deps.sh: unknown argument '$1' (--help lists them)" >&2 && exit 2 ;;
  esac
  shift
done

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  cat >&2 <<'TEXT'
install_deps.sh: this system has no apt-get. Install these with its own package manager:
  a C++20 compiler (GCC 11 or Clang 14, or newer), CMake 3.21 or newer, make or ninja, git, curl,
  nlohmann-json, CLI11, fmt, utf8proc, xxHash, OpenBLAS (not its OpenMP build), GoogleTest.
CMake downloads and builds the libraries that it does not find.
TEXT
  exit 3
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ $status == installed ]] || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  echo "Packages: all ${#packages[@]} are installed."
  exit 0
fi

as_root=(env DEBIAN_FRONTEND=noninteractive)
if ((EUID != 0)); then
  if ! command -v sudo >/dev/null; then
    echo "install_deps.sh: installing packages needs root or sudo. As root, run: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo "${as_root[@]}")
fi
# apt-get retries after a temporary network error, and waits while another apt process holds the lock.
apt_get=("${as_root[@]}" apt-get -y -q -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300)

echo "Packages: installing ${missing[*]}"
if ! log=$(mktemp 2>/dev/null); then
  echo "install_deps.sh: ${TMPDIR:-/tmp} cannot be written; set TMPDIR to a folder that you may write to" >&2
  exit 1
fi
trap 'rm -f "$log"' EXIT
# A failed update is not an error yet: the existing package lists may suffice.
"${apt_get[@]}" update >"$log" 2>&1 || echo "install_deps.sh: apt-get update failed; continuing with the old package lists" >&2

# CMake downloads a library that this release does not have.
available=()
for package in "${missing[@]}"; do
  if apt-cache show "$package" >/dev/null 2>&1; then
    available+=("$package")
  else
    echo "install_deps.sh: this system has no package $package" >&2
  fi
done

if ((${#available[@]})) &&
  ! "${apt_get[@]}" install --no-install-recommends "${available[@]}" >>"$log" 2>&1 </dev/null; then
  tail -n 15 "$log" >&2
  echo "install_deps.sh: apt-get install failed (its last lines are above)" >&2
  exit 1
fi
if ((${#available[@]} < ${#missing[@]})); then
  exit 1
fi
echo "Packages: done."
