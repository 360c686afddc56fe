#!/usr/bin/env bash
# Repeats nanoGPT's published CPU run (its README, "I only have a macbook"): 2,000 steps on the bytes of Tiny Shakespeare.
# nanoGPT reaches a validation loss of 1.88 in about three minutes. Usage: nanogpt_cpu.sh [BUILD_FOLDER] [TEXT]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$(realpath "${1:-$root/build}")
text=$(realpath "${2:-$root/data/data.txt}")
cd "$(mktemp -d)"
time "$build/train_gpt" --data-path "$text" --vocab-size 256 --layers 4 --heads 4 --dim 128 --ff 512 --seq 64 --batch 12 \
  --steps 2000 --lr 1e-3 --min-lr 1e-4 --warmup-steps 100 --beta2 0.99 --dropout 0 --activation gelu \
  --final-layernorm true --eval-every 500 --log-every 500 --eval-batches 0
