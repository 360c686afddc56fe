#!/usr/bin/env bash
# Repeats nanoGPT's published CPU run (its README, "I only have a macbook"): 2,000 steps on the bytes of Tiny Shakespeare.
# nanoGPT reaches a validation loss of 1.88 in about three minutes. Usage: nanogpt_cpu.sh [BUILD_FOLDER] [TEXT [FLAGS...]]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$(realpath "${1:-$root/build}")
text=$(realpath "${2:-$root/data/data.txt}")
cd "$(mktemp -d)"
time "$build/train_gpt" --config "$root/scripts/configs/shakespeare_cpu.cfg" --data-path "$text" "${@:3}"
