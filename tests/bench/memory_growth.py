#!/usr/bin/env python3
"""Checks whether a long training uses more memory than a short one.

    tests/bench/memory_growth.py build/train_gpt TEXT [STEPS [FLAGS OF train_gpt...]]

Prints the resident memory of a run after a tenth of its STEPS (20,000) and at the end. Does one bare run, and one with a
checkpoint every 100 steps and a validation every 200. Exits with status 1 if the memory grew by more than 1 MB.
"""
import os
import re
import subprocess
import sys
import tempfile
import time

SMALL = ["--vocab-size", "300", "--dim", "16", "--heads", "2", "--layers", "1", "--ff", "16", "--seq", "8", "--batch", "4"]


def resident_kb(pid):
    """Returns the memory of a process in RAM, without pages of files, which the kernel may drop at any time."""
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"RssAnon:\s+(\d+)", status.read())[1])


def steps_done(folder):
    try:
        with open(f"{folder}/metrics.jsonl") as lines:
            return max((int(n) for n in re.findall(r'"step":(\d+)', lines.read())), default=0)
    except FileNotFoundError:
        return 0


def measure(program, text, steps, flags):
    """Returns (kB after a tenth of the steps, kB at the last reading before the end)."""
    early = late = 0
    with tempfile.TemporaryDirectory(dir=".") as folder:
        command = [program, "--data-path", text, "--steps", str(steps), "--log-every", str(max(1, steps // 100)), *SMALL, *flags]
        run = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
        while run.poll() is None:
            done = steps_done(folder)
            if done >= steps // 10:
                try:
                    late = resident_kb(run.pid)
                    early = early or late
                except (FileNotFoundError, ProcessLookupError, TypeError):  # the process has just ended
                    pass
            time.sleep(0.02)
        if run.returncode != 0:
            sys.exit(f"train_gpt exited with status {run.returncode}")
    return early, late


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    program, text = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    steps, flags = int((sys.argv[3:] or [20000])[0]), sys.argv[4:]
    grew = False
    for name, more in [("bare", ["--eval-every", "0"]), ("saving and validating", ["--ckpt-every", "100", "--eval-every", "200"])]:
        early, late = measure(program, text, steps, flags + more)
        print(f"{name:22} {early:7} kB after {steps // 10} steps, {late:7} kB after {steps}", flush=True)
        grew |= late - early > 1024
    sys.exit(1 if grew else 0)


main()
