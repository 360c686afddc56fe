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
time "$build/train_gpt" --config "$root/scripts/configs/shakespeare_gpu.cfg" --data-path "$text" "${@:3}"
