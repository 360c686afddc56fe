#!/usr/bin/env bash
# nanoGPT's published GPU run (its README, shakespeare_char): Tiny Shakespeare by the byte, 5,000 steps. nanoGPT reaches a
# validation loss of 1.4697 at its best. Usage: nanogpt_gpu.sh [BUILD_FOLDER] [TEXT] [more flags of train_gpt...]
#
# The head is untied and has a bias, as HipGPT's default has; everything else is nanoGPT's. A validation reads the whole
# validation part.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$(realpath "${1:-$root/build}")
text=$(realpath "${2:-$root/data/data.txt}")
cd "$(mktemp -d)"
time "$build/train_gpt" --data-path "$text" --vocab-size 256 --layers 6 --heads 6 --dim 384 --ff 1536 --seq 256 --batch 64 \
  --steps 5000 --lr 1e-3 --min-lr 1e-4 --warmup-steps 100 --beta2 0.99 --dropout 0.2 --activation gelu \
  --final-layernorm true --eval-every 250 --log-every 250 --eval-batches 0 --device hip "${@:3}"
