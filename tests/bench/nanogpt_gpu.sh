#!/usr/bin/env bash
# Repeats nanoGPT's published GPU run (its README, shakespeare_char): 5,000 steps on the bytes of Tiny Shakespeare. nanoGPT's
# best validation loss is 1.4697. Usage: nanogpt_gpu.sh [BUILD_FOLDER] [TEXT] [MORE FLAGS OF train_gpt...]
#
# The head is untied and has a bias, as in HipGPT's default; everything else is as in nanoGPT. A validation reads the whole
# validation part.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$(realpath "${1:-$root/build}")
text=$(realpath "${2:-$root/data/data.txt}")
cd "$(mktemp -d)"
time "$build/train_gpt" --data-path "$text" --vocab-size 256 --layers 6 --heads 6 --dim 384 --ff 1536 --seq 256 --batch 64 \
  --steps 5000 --lr 1e-3 --min-lr 1e-4 --warmup-steps 100 --beta2 0.99 --dropout 0.2 --activation gelu \
  --final-layernorm true --eval-every 250 --log-every 250 --eval-batches 0 --device hip "${@:3}"
