#!/usr/bin/env bash
# Saves a training text as data/data.txt: Tiny Shakespeare or, if it cannot be downloaded, the King James Bible.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # for `sh scripts/download_data.sh`
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/download_data.sh [--source shakespeare|kjv] [--force]

Saves a training text as data/data.txt. Without --source, the text is Tiny Shakespeare (1.1 MB) from the network or, if
it cannot be downloaded, the King James Bible (4.2 MB) from the Debian packages bible-kjv and bible-kjv-text.
Refuses a text whose SHA-256 differs from the one in data/README.md. Keeps an existing data/data.txt.

  --source NAME  get only this text: shakespeare or kjv
  --force        replace an existing data/data.txt
  --help         print this text

The environment variables HIPGPT_DATA_URL and HIPGPT_DATA_SHA256 set another address and checksum for Tiny Shakespeare.
TEXT
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=$root/data/data.txt
url=${HIPGPT_DATA_URL:-https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt}
sha256=${HIPGPT_DATA_SHA256:-86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed}
kjv_sha256=82a24e4e23c644fe579ed387b20e54eb529cc0a87a25e0810064edb2216780c2

say() { echo "Data: $*"; }
fail() { echo "download_data.sh: $*" >&2 && exit 1; }

source=any
force=false
while (($#)); do
  case $1 in
    --source) source=${2:-} && shift ;;
    --source=*) source=${1#*=} ;;
    --force) force=true ;;
    --help | -h) usage && exit 0 ;;
    *) echo "download_data.sh: unknown argument '$1' (--help lists them)" >&2 && exit 2 ;;
  esac
  shift || true
done
case $source in
  any | shakespeare | kjv) ;;
  *) echo "download_data.sh: unknown --source '$source'; choose shakespeare or kjv" >&2 && exit 2 ;;
esac

size_of() { wc -c <"$1" | tr -d ' '; }

if [[ -s $target && $force == false ]]; then
  say "data/data.txt is there already ($(size_of "$target") bytes); pass --force to replace it."
  exit 0
fi

# The text is written under another name in the same folder, checked, and then renamed. So data.txt is complete or absent.
if ! part=$({ mkdir -p "$root/data" && mktemp "$root/data/.data.XXXXXX"; } 2>/dev/null); then
  echo "download_data.sh: $root/data cannot be written; copy the project to a folder that you may write to" >&2
  exit 1
fi
trap 'rm -f "$part"' EXIT

sha256_of() {
  if command -v sha256sum >/dev/null; then
    sha256sum "$1" | cut -d ' ' -f 1
  else
    shasum -a 256 "$1" | cut -d ' ' -f 1
  fi
}

# Gives up at once without a name server, after 10 s without a connection, and after 15 s without data.
fetch() {
  if command -v curl >/dev/null; then
    curl --fail --silent --show-error --location --connect-timeout 10 --speed-limit 1 --speed-time 15 --max-time 300 \
      --output "$part" "$url"
  elif command -v wget >/dev/null; then
    wget --no-verbose --tries=1 --dns-timeout=10 --connect-timeout=10 --read-timeout=15 --output-document="$part" "$url"
  else
    echo "neither curl nor wget is installed" >&2
    return 1
  fi
}

get_shakespeare() {
  say "downloading Tiny Shakespeare"
  if ! fetch; then
    say "could not download it from $url"
    return 1
  fi
  if [[ $(sha256_of "$part") != "$sha256" ]]; then
    say "the file from $url is not Tiny Shakespeare: it has $(size_of "$part") bytes and another SHA-256. Not used."
    return 1
  fi
  name="Tiny Shakespeare"
}

# `bible -f` prints one verse per line, as "Ge1:1 In the beginning ...". The training text has no references, one verse per
# line and a blank line between chapters. A model learns this layout quickly, and a reader sees the verses in a sample.
get_kjv() {
  if ! command -v bible >/dev/null; then
    "$root/scripts/install_deps.sh" --with-kjv || true
    hash -r
  fi
  if ! command -v bible >/dev/null; then
    say "could not get the King James Bible: the packages bible-kjv and bible-kjv-text could not be installed."
    return 1
  fi
  LC_ALL=C bible -f gen1:1-rev22:21 </dev/null | LC_ALL=C awk '
    { split($1, reference, ":"); sub(/^[^ ]+ +/, "") }
    NR > 1 && reference[1] != chapter { print "" }
    { chapter = reference[1]; print }' >"$part" || true
  if [[ $(sha256_of "$part") != "$kjv_sha256" ]]; then
    say "this King James Bible is not the one in data/README.md: it has $(size_of "$part") bytes and another SHA-256. Not used."
    return 1
  fi
  name="the King James Bible"
}

own_text="train on your own text with --data-path, or save it as data/data.txt"
case $source in
  shakespeare) get_shakespeare || fail "no training text: $own_text" ;;
  kjv) get_kjv || fail "no training text: $own_text" ;;
  any)
    if ! get_shakespeare; then
      say "using the King James Bible instead"
      get_kjv || fail "no training text: connect to the network, or $own_text"
    fi
    ;;
esac

chmod 644 "$part"
mv -f "$part" "$target"
say "data/data.txt is $name ($(size_of "$target") bytes)."
