#!/usr/bin/env bash
# The loss curve of a run is valid XML, and the report links to it. Usage: report_test.sh TRAIN_GPT.
# Exits with status 77 (skipped) without python3.
# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if ! python3 -c 'import xml.dom.minidom' 2>/dev/null; then
  echo "skipped: no python3 with an XML parser"
  exit 77
fi
train_gpt=$1

for i in $(seq 300); do echo "the king shall not sleep $((i % 7)) while thunder rolls over the hills"; done >text.txt
run "$train_gpt" --data-path text.txt --vocab-size 280 --dim 16 --heads 2 --layers 1 --ff 16 --seq 8 --batch 4 --threads 1 \
  --steps 40 --log-every 1 --eval-every 10 --run-name 'a <&> "b"'
expect_status 0
folder='checkpoints/a <&> "b"'
grep -qF '![Loss curve](loss.svg)' "$folder/report.md" || fail "report.md does not show loss.svg"

cat >check.py <<'END'
import sys
from xml.dom import minidom

svg = minidom.parse(sys.argv[1]).documentElement
assert svg.tagName == "svg" and svg.namespaceURI == "http://www.w3.org/2000/svg"
curves = [p.getAttribute("d") for p in svg.getElementsByTagName("path") if "clip-path" in p.attributes]
assert len(curves) == 3, curves  # the range of the training losses, their mean, and the validation
assert len(svg.getElementsByTagName("circle")) == 4
print("as expected")
END
run python3 check.py "$folder/loss.svg"
expect_status 0 && expect_output "as expected"
ok "loss.svg is XML with all curves"
