#!/usr/bin/env bash
# Opens the page of generate --explain in headless Chromium: it draws everything, prints nothing to the console, and treats texts
# as texts. Skipped where Chromium is absent.
# Usage: page_test.sh TRAIN_GPT GENERATE
train_gpt=$(realpath "$1")
generate=$(realpath "$2")
# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || exit 77

# dom FILE: the page as it is after its script has run. Fails if the console has a message.
dom() {
  timeout 60 "$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$work/browser" --enable-logging=stderr \
    --window-size=1400,900 --virtual-time-budget=5000 --dump-dom "file://$PWD/$1" >dom.html 2>browser.log ||
    fail "Chromium failed: $(tail -n 5 browser.log)"
  ! grep CONSOLE browser.log || fail "$1 prints to the console"
}

# count EXPECTED PATTERN: how often the pattern occurs in the page.
count() {
  local found
  found=$({ grep -oE "$2" dom.html || true; } | wc -l)
  [[ $found == "$1" ]] || fail "$found times $2, not $1"
}

for _ in {1..300}; do echo "the king shall not sleep while thunder rolls over high hills"; done >text.txt
"$train_gpt" --data-path text.txt --run-name a --vocab-size 300 --dim 16 --heads 2 --layers 2 --ff 16 --seq 64 --batch 2 --steps 4 \
  --ckpt-every 2 >/dev/null

"$generate" --run-name a --prompt $'</script><script>document.title = "\xFF"</script>' --explain page.html 2>log || fail "$(cat log)"
dom page.html
tokens=$(sed -n 's/^\([0-9]*\) tokens.*/\1/p' log)
count "$tokens" 'aria-label="token [0-9]+:'
count 4 '<canvas aria-hidden="true"'
count 1 '<title>What the model did with this text</title>'
count 1 'id="history-section" hidden=""'
count 5 'after (embedding|attention [01]|feed-forward [01])</th><td class="text shade'
count 1 'The votes for <span'
count 17 '<td class="number">[0-9.]+ µs</td>'
ok "a page without a network, with any text"

# The keys choose a token wherever the focus is, and a head among the heads.
sed 's|^<noscript>|<script>\
const press = (element, key) => element.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));\
for (const key of ["Home", "ArrowRight", "ArrowRight", "ArrowLeft"]) press(document.querySelector("#tokens [aria-checked=true]"), key);\
press(document.body, "ArrowRight");\
press(document.querySelector("#heads [aria-checked=true]"), "End");\
</script>&|' page.html >keys.html
dom keys.html
count 1 'aria-label="token 2:[^>]*aria-checked="true" tabindex="0"'
count "$((tokens - 1))" 'aria-label="token [0-9]+:[^>]*aria-checked="false" tabindex="-1"'
count 1 'Token 2 is id '
count 1 'Layer 1, head 1: where token 2,'
ok "the keyboard"

# Bytes become long words, as large vocabularies have them. A window has at least 500 pixels, but a frame may be as narrow as a
# telephone; the page in it reports to the page around it.
sed -e 's|\\\\x[0-9A-F]\{2\}| disproportionately|g' \
  -e 's|^<noscript>|<script>parent.postMessage(document.documentElement.scrollWidth > innerWidth ? "too wide" : "fits", "*");</script>&|' \
  page.html >width.html
for width in 320 360 600 970 1000 1280; do
  printf '<script>onmessage = (event) => { document.title = event.data; };</script><iframe src="width.html" width="%s"></iframe>' \
    "$width" >frame.html
  dom frame.html
  count 1 '<title>fits</title>'
done
ok "no part is wider than the window"

"$generate" --run-name a --prompt "the king shall" --explain-steps --explain steps.html 2>log || fail "$(cat log)"
dom steps.html
count 8 '<canvas role="img"'
count 0 'id="history-section" hidden=""'
count 1 'aria-valuetext="step 4"'
ok "a page with a slider"
