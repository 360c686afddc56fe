#!/usr/bin/env bash
# Tests plot_training.py on small metrics files. Exits with status 77 (skipped) without matplotlib.
# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# Takes the first Python that has matplotlib; Debian installs it for /usr/bin/python3.
python=""
for candidate in python3 /usr/bin/python3; do
  if [[ -z $python ]] && "$candidate" -c 'import matplotlib' 2>/dev/null; then
    python=$candidate
  fi
done
if [[ -z $python ]]; then
  echo "skipped: no Python with matplotlib (./scripts/install_deps.sh --with-plots)"
  exit 77
fi
plot=("$python" scripts/plot_training.py)
export MPLCONFIGDIR=$work

is_png() { [[ $(head -c 4 "$1" | tail -c 3) == PNG && $(wc -c <"$1") -gt 10000 ]] || fail "$1 is not a PNG file of more than 10,000 bytes"; }

{
  echo '{"run": {"name": "test"}}'
  for step in 1 2 3 4 5 6 7 8; do
    echo "{\"step\": $step, \"loss\": $((9 - step)).5, \"lr\": 0.00$step, \"grad_norm\": 1.$step, \"tokens_per_s\": 100$step.0, \"elapsed_s\": $step.25}"
  done
  echo '{"step": 8, "val_loss": 2.25}'
} >metrics.jsonl
run "${plot[@]}"
expect_status 0 && expect_output "metrics.png: 8 training and 1 evaluation records"
is_png metrics.png
ok "a complete file"

printf '{"step": 9, "lo' >>metrics.jsonl
echo '' >>metrics.jsonl
echo '{"step": 10, "loss": NaN, "lr": 0.001}' >>metrics.jsonl
run "${plot[@]}" metrics.jsonl --output other.png --log-steps --title "A title"
expect_status 0 && expect_output "line 11" && expect_output "line 12"
is_png other.png
ok "an incomplete line and a loss of NaN, neither of which is JSON, are skipped"

echo '{"step": 1, "val_loss": 3.0}' >one.jsonl
run "${plot[@]}" one.jsonl
expect_status 0
is_png one.png
ok "a single evaluation record"

mkdir -p checkpoints/first
{
  echo '{"run": {"name": "first"}}'
  for step in 1 2 3 4 2 3; do
    echo "{\"step\": $step, \"loss\": $((9 - step)).5, \"lr\": 0.001, \"grad_norm\": 1, \"tokens_per_s\": 100}"
  done
  echo '{"step": 3, "prompt": "To be", "sample": ", or", "elapsed_s": 1.0}'
} >checkpoints/first/metrics.jsonl
run "${plot[@]}" first
expect_status 0 && expect_output "checkpoints/first/metrics.png: 3 training and 0 evaluation records"
ok "a named run that resumed from step 1 and did not reach step 4 again"

run "${plot[@]}" first metrics.jsonl checkpoints/first
expect_status 0 && expect_output "runs.png: 14 training and 1 evaluation records"
is_png runs.png
run "${plot[@]}" first first first first first first first first first
expect_status 1 && expect_output "9 runs are too many" && reject_output Traceback
ok "several runs in one plot"

run "${plot[@]}" nothing.jsonl
expect_status 1 && expect_output "cannot read nothing.jsonl" && reject_output Traceback
: >empty.jsonl
run "${plot[@]}" empty.jsonl
expect_status 1 && expect_output "no records" && reject_output Traceback
run "${plot[@]}" metrics.jsonl -o no/such/folder.png
expect_status 1 && expect_output "cannot write" && reject_output Traceback
ok "errors in one line"

run env -i PATH=/nowhere "$(command -v "$python")" -S -I scripts/plot_training.py one.jsonl
if [[ $output != *evaluation* ]]; then
  expect_status 1 && expect_output "install_deps.sh --with-plots" && reject_output Traceback
  ok "without matplotlib"
fi
