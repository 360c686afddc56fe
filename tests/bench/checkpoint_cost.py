#!/usr/bin/env python3
"""Measures what checkpoints cost: does the same run with --ckpt-every and without, in turns.

    tests/bench/checkpoint_cost.py build/train_gpt TEXT [TURNS [EVERY [FLAGS OF train_gpt...]]]

Prints, for each turn and as a median, how much longer the steps took. Both runs end with a checkpoint, which is not counted.
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile


def seconds(program, text, flags):
    """Returns the time of all steps, up to the last line of metrics.jsonl, which is written before the last checkpoint."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        subprocess.run([program, "--data-path", text, "--eval-every", "0", "--val-fraction", "0", *flags],
                       cwd=folder, check=True, stdout=subprocess.DEVNULL)
        with open(f"{folder}/metrics.jsonl") as lines:
            return json.loads(lines.readlines()[-1])["elapsed_s"]


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    program, text = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    turns, every = int((sys.argv[3:] or [5])[0]), (sys.argv[4:] or ["100"])[0]
    flags = sys.argv[5:]
    ratios = []
    for turn in range(turns):
        order = [["--ckpt-every", every], []]
        times = [seconds(program, text, flags + more) for more in (order if turn % 2 == 0 else order[::-1])]
        with_checkpoints, without = times if turn % 2 == 0 else times[::-1]
        ratios.append(with_checkpoints / without)
        print(f"with {with_checkpoints:8.3f} s   without {without:8.3f} s   {100 * (ratios[-1] - 1):+.2f} %", flush=True)
    print(f"median {100 * (statistics.median(ratios) - 1):+.2f} %")


main()
