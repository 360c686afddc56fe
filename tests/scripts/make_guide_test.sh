#!/usr/bin/env bash
# Tests make_guide.sh: the message without pandoc, and a page that needs no other file. Without pandoc, the rest is skipped.
# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

cp -R "$repository/src" .
for tool in bash dirname sed awk mktemp mkdir rm; do ln -s "$(command -v "$tool")" "$work/stubs/$tool"; done
run env PATH="$work/stubs" scripts/make_guide.sh page.html
expect_status 1
expect_output "pandoc is not installed"
[[ ! -e page.html ]] || fail "a page without pandoc"
ok "without pandoc"
rm "$work"/stubs/*

command -v pandoc >/dev/null || exit 77
run scripts/make_guide.sh --help && expect_status 0
run scripts/make_guide.sh --no-such-flag && expect_status 2
run scripts/make_guide.sh page.html
expect_status 0
expect_output "page.html"
for chapter in "A way through HipGPT" "One guess" "Backward" "From here to Llama" "Words"; do
  grep -q "<h1[^>]*>$chapter" page.html || fail "the page lacks the chapter '$chapter'"
done
outside=$(grep -oE '(src|href)="[^"]{0,60}' page.html | grep -vE '="(#|data:)|^href="https?:' || true)
[[ -z $outside ]] || fail "the page needs other files: $outside"
missing=$(comm -13 <(grep -oE ' id="[^"]+"' page.html | sed 's/.*="//; s/"//' | sort -u) \
  <(grep -oE 'href="#[^"]+"' page.html | sed 's/.*#//; s/"//' | sort -u))
[[ -z $missing ]] || fail "links within the page that lead nowhere: $missing"
[[ $(grep -c '<math' page.html) -gt 20 ]] || fail "the formulas are missing"
ok "one page that needs no other file"
