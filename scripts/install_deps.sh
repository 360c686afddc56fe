#!/usr/bin/env bash
# Installs the compiler, CMake and the libraries that HipGPT is built with. Debian and Ubuntu.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/install_deps.sh [--with-plots] [--with-kjv] [--with-hipcc]

Installs what HipGPT is built with, by apt-get, and only what is missing: with everything in place it does nothing.
Needs root, or sudo.

  --with-plots   matplotlib too, for scripts/plot_training.py
  --with-kjv     the King James Bible too, which scripts/download_data.sh can make a training text of
  --with-hipcc   the distribution's hipcc too, to build for AMD GPUs where there is no ROCm of AMD's
  --help         this text

Exit status: 0 all installed, 1 could not install, 3 no apt-get on this system.
TEXT
}

packages=(g++ cmake make git ca-certificates curl
  nlohmann-json3-dev libcli11-dev libfmt-dev libutf8proc-dev libxxhash-dev libopenblas-pthread-dev libgtest-dev)

while (($#)); do
  case $1 in
    --with-plots) packages+=(python3-matplotlib) ;;
    --with-kjv) packages+=(bible-kjv bible-kjv-text) ;;
    --with-hipcc) packages+=(hipcc libamdhip64-dev) ;;
    --help | -h) usage && exit 0 ;;
    *) echo "install_deps.sh: unknown argument '$1' (--help lists them)" >&2 && exit 2 ;;
  esac
  shift
done

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  cat >&2 <<'TEXT'
install_deps.sh: no apt-get here. Install these with the package manager of this system:
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
    echo "install_deps.sh: not root and no sudo. As root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo "${as_root[@]}")
fi
# A passing fault of the network, or another apt that holds the lock, is waited out.
apt_get=("${as_root[@]}" apt-get -y -q -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300)

echo "Packages: installing ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# A failed update is no failure yet: the lists that are there may do.
"${apt_get[@]}" update >"$log" 2>&1 || echo "install_deps.sh: apt-get update failed, going on with the old lists" >&2

# A library that this release does not have is left to CMake, which downloads it.
available=()
for package in "${missing[@]}"; do
  if apt-cache show "$package" >/dev/null 2>&1; then
    available+=("$package")
  else
    echo "install_deps.sh: no package $package here" >&2
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
