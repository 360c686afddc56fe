#!/usr/bin/env bash
# TensorBoard reads the event files of train_gpt. Usage: tensorboard_test.sh TRAIN_GPT.
# Exits with status 77 (skipped) without TensorBoard.
# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if ! python3 -c 'import tensorboard' 2>/dev/null; then
  echo "skipped: no python3 with tensorboard (pip install tensorboard)"
  exit 77
fi
train_gpt=$1

cat >check.py <<'END'
"""check.py STEPS FOLDER METRICS: TensorBoard reads in FOLDER the same records as METRICS has, up to step STEPS."""
import json
import struct
import sys

from tensorboard.backend.event_processing import event_accumulator, plugin_event_accumulator

steps, folder, metrics = int(sys.argv[1]), sys.argv[2], sys.argv[3]
events = event_accumulator.EventAccumulator(folder, size_guidance={"scalars": 0}).Reload()
plugins = plugin_event_accumulator.EventAccumulator(folder, size_guidance={"tensors": 0}).Reload()  # for texts
records = [json.loads(line) for line in open(metrics)]


def single(value):
    return struct.unpack("f", struct.pack("f", value))[0]


tags = {"train/loss": "loss", "train/lr": "lr", "train/grad_norm": "grad_norm", "train/tokens_per_s": "tokens_per_s",
        "val/loss": "val_loss"}
assert sorted(events.Tags()["scalars"]) == sorted(tags), events.Tags()
for tag, field in tags.items():
    expected = [(r["step"], single(r[field])) for r in records if r.get("step", steps + 1) <= steps and field in r]
    read = [(e.step, e.value) for e in events.Scalars(tag)]
    assert expected and read == expected, f"{tag}: {read}, but {metrics} has {expected}"

texts = {tag: [(e.step, e.tensor_proto.string_val[0].decode()) for e in plugins.Tensors(tag)]
         for tag in ("run/settings", "run/sample")}
for tag in texts:
    assert plugins.SummaryMetadata(tag).plugin_data.plugin_name == "text", tag
assert "| E, embedding | 16 |" in texts["run/settings"][0][1], texts
expected = [(r["step"], f"\n```text\n{r['prompt']}{r['sample']}\n```\n") for r in records
            if "sample" in r and r["step"] <= steps]
assert expected and texts["run/sample"] == expected, (texts["run/sample"], expected)
print("as expected")
END

for i in $(seq 300); do echo "the king shall not sleep $((i % 7)) while thunder rolls over the hills"; done >text.txt
flags=(--data-path text.txt --vocab-size 280 --dim 16 --heads 2 --layers 1 --ff 16 --seq 8 --batch 4 --threads 1
  --steps 12 --log-every 1 --eval-every 3 --sample-every 4 --ckpt-every 4 --run-name a --tensorboard tb)

run "$train_gpt" "${flags[@]}"
expect_status 0
run python3 check.py 12 tb/a checkpoints/a/metrics.jsonl
expect_status 0 && expect_output "as expected"
ok "TensorBoard reads equal numbers and texts"

# A killed run: its last event is incomplete.
first=$(echo tb/a/events.out.tfevents.*)
truncate -s -9 "$first" # cuts the sample of step 12
sed '/"sample"/{/"step":12/d}' checkpoints/a/metrics.jsonl >torn.jsonl
run python3 check.py 12 tb/a torn.jsonl
expect_status 0 && expect_output "as expected"
ok "TensorBoard ignores an incomplete event"

run "$train_gpt" "${flags[@]}" --ckpt checkpoints/a/step_8.bin
expect_status 0
[[ $(echo tb/a/events.out.tfevents.* | wc -w) == 2 ]] || fail "a resumed run did not begin a new event file"
run python3 check.py 12 tb/a checkpoints/a/metrics.jsonl
expect_status 0 && expect_output "as expected"
ok "a resumed run shows no step twice"

run "$train_gpt" "${flags[@]}" --steps 5
run "$train_gpt" "${flags[@]}" --seed 2 --reset
run python3 check.py 12 tb/a checkpoints/a/metrics.jsonl
expect_status 0 && expect_output "as expected"
ok "a new run replaces the old one in its folder"
