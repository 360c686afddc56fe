#!/usr/bin/env bash
# Puts a training text at data/data.txt: Tiny Shakespeare, or the King James Bible where that cannot be downloaded.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/download_data.sh [--source shakespeare|kjv] [--force]

Puts a training text at data/data.txt. Without --source: Tiny Shakespeare (1.1 MB) from the network, and where that
cannot be reached the King James Bible (4.2 MB) from the Debian packages bible-kjv and bible-kjv-text.
A text whose SHA-256 is not the one in data/README.md is refused. A data/data.txt that is there already is kept.

  --source NAME  only this text: shakespeare or kjv
  --force        replace the data/data.txt that is there
  --help         this text

HIPGPT_DATA_URL and HIPGPT_DATA_SHA256 in the environment name another address and checksum for Tiny Shakespeare.
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
  *) echo "download_data.sh: --source is shakespeare or kjv, not '$source'" >&2 && exit 2 ;;
esac

size_of() { wc -c <"$1" | tr -d ' '; }

if [[ -s $target && $force == false ]]; then
  say "data/data.txt is there already ($(size_of "$target") bytes); --force gets it anew."
  exit 0
fi

mkdir -p "$root/data"
# Written under another name in the same folder, checked, then renamed: data.txt is whole or not there.
part=$(mktemp "$root/data/.data.XXXXXX")
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
    say "what came from $url is not Tiny Shakespeare: $(size_of "$part") bytes with another SHA-256. Not used."
    return 1
  fi
  name="Tiny Shakespeare"
}

# `bible -f` prints a verse a line, as "Ge1:1 In the beginning ...". The text for training is without the references, a
# verse a line, a blank line between chapters: a model has that shape learnt soon, and a reader sees the verses in a sample.
get_kjv() {
  if ! command -v bible >/dev/null; then
    "$root/scripts/install_deps.sh" --with-kjv || true
    hash -r
  fi
  if ! command -v bible >/dev/null; then
    say "no King James Bible: the packages bible-kjv and bible-kjv-text could not be installed."
    return 1
  fi
  LC_ALL=C bible -f gen1:1-rev22:21 </dev/null | LC_ALL=C awk '
    { split($1, reference, ":"); sub(/^[^ ]+ +/, "") }
    NR > 1 && reference[1] != chapter { print "" }
    { chapter = reference[1]; print }' >"$part" || true
  if [[ $(sha256_of "$part") != "$kjv_sha256" ]]; then
    say "this King James Bible is not the one of data/README.md: $(size_of "$part") bytes with another SHA-256. Not used."
    return 1
  fi
  name="the King James Bible"
}

own_text="train on a text of your own by --data-path, or put one at data/data.txt"
case $source in
  shakespeare) get_shakespeare || fail "no training text: $own_text" ;;
  kjv) get_kjv || fail "no training text: $own_text" ;;
  any)
    if ! get_shakespeare; then
      say "taking the King James Bible in its place"
      get_kjv || fail "no training text: connect to the network, or $own_text"
    fi
    ;;
esac

chmod 644 "$part"
mv -f "$part" "$target"
say "data/data.txt is $name ($(size_of "$target") bytes)."
