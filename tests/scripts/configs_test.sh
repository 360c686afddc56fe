#!/usr/bin/env bash
# Runs each of scripts/configs/ for two steps of a tiny model, on files with the names that it expects.
# Usage: configs_test.sh TRAIN_GPT GENERATE
train_gpt=$(realpath "$1") generate=$(realpath "$2")
# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

model=(--dim 8 --heads 2 --layers 1 --ff 8 --seq 16)
run=(--batch 2 --grad-accum 1 --steps 2 --eval-batches 1 --device cpu --threads 1)

# The text, a Hugging Face folder, and token files of llm.c: magic 20240520, version 1, 1,000 tokens, zeros up to byte 1024.
mkdir data fineweb10B
cp "$repository/src/README.md" data/data.txt
run "$train_gpt" "${model[@]}" "${run[@]}" --run-name pretrained --vocab-size 300 --final-layernorm true --head-bias false
expect_status 0
run "$generate" --run-name pretrained --export gpt2
expect_status 0
for part in train_000001 train_000002 val_000000; do
  { printf '\x88\xd8\x34\x01\x01\0\0\0\xe8\x03\0\0' && head -c 3012 /dev/zero; } >"fineweb10B/fineweb_$part.bin"
done

configs=(scripts/configs/*.cfg)
((${#configs[@]} >= 4)) || fail "scripts/configs has ${#configs[@]} files"
for config in "${configs[@]}"; do
  grep -q '^# Expect.* loss ' "$config" || fail "$config does not say which loss to expect"
  grep -q -- "--config $config" "$config" || fail "$config does not show its command"
  flags=("${run[@]}")
  grep -q '^init-from' "$config" || flags+=("${model[@]}")
  name=$(basename "$config" .cfg)
  run "$train_gpt" --config "$config" "${flags[@]}" --seq 16 --run-name "$name"
  expect_status 0 && expect_output "done       2 steps"
  # Every setting that is not overridden is one of the run's.
  while IFS=' =' read -r flag value; do
    case " ${flags[*]} --seq " in *" --$flag "*) continue ;; esac
    case $flag in
      [!a-z]* | "" | init-from) ;;
      tokenizer) expect_output "tokenizer  " ;;
      *) grep -qF "\"$flag\":[\"$value\"]" "checkpoints/$name/metrics.jsonl" || fail "$config: $flag = $value has no effect" ;;
    esac
  done <"$config"
  ok "$config"
done
