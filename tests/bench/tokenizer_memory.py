#!/usr/bin/env python3
"""Measures time and memory to learn a tokenizer and encode its text, compared with Hugging Face's tokenizers and tiktoken.

Usage: tokenizer_memory.py BUILD TEXT [V]

Each side runs in its own process. CPU seconds are printed next to wall-clock seconds, because the machine may have other
work. Memory is the peak of the process's anonymous memory; a mapped text does not count.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time

PEERS = {
    "Hugging Face, learn": """
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
trainer = trainers.BpeTrainer(vocab_size=V, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
tokenizer.train([TEXT], trainer)
tokenizer.save(OUT + "/peer.json")
""",
    "Hugging Face, encode": """
from tokenizers import Tokenizer
tokenizer = Tokenizer.from_file(OUT + "/tokenizer.json")
for line in open(TEXT, encoding="utf-8", newline=""):
    tokenizer.encode(line)
""",
    "tiktoken, encode": """
import json, tiktoken
model = json.load(open(OUT + "/tokenizer.json"))["model"]
byte_of = {chr(b): b for b in [*range(33, 127), *range(161, 173), *range(174, 256)]}
byte_of |= {chr(256 + i): b for i, b in enumerate(b for b in range(256) if b not in byte_of.values())}
ranks = {bytes(byte_of[c] for c in token): i for token, i in model["vocab"].items()}
pattern = r"'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
encoding = tiktoken.Encoding("own", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
for line in open(TEXT, encoding="utf-8", newline=""):
    encoding.encode_ordinary(line)
""",
}


def measure(name, command, text_bytes):
    """Runs a command and prints its time and memory."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak = [0]
    ended = threading.Event()

    def watch():
        while not ended.wait(0.02):
            try:
                status = open(f"/proc/{process.pid}/status").read()
                peak[0] = max(peak[0], int(status.split("RssAnon:")[1].split()[0]))
            except (OSError, IndexError):  # the process is starting or ending
                continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    ended.set()
    watcher.join()
    seconds = time.monotonic() - start
    cpu = usage.ru_utime + usage.ru_stime
    print(
        f"{name + ':':24} {seconds:8.1f} s, {cpu:8.1f} s of CPU, {text_bytes / 1e6 / seconds:7.1f} MB/s, "
        f"{text_bytes / 1e6 / cpu:6.1f} MB/s of CPU, {peak[0] / 1024:6.0f} MiB{'' if status == 0 else '  FAILED'}",
        flush=True,
    )
    return output


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    build, text = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    vocab_size = int(sys.argv[3]) if len(sys.argv) > 3 else 5000
    size = os.path.getsize(text)
    with tempfile.TemporaryDirectory() as out:
        os.chdir(out)
        # The run has one step and a validation of one batch; the rest is hashing, learning, encoding and writing tokens.bin.
        flags = ["--vocab-size", str(vocab_size), "--steps", "1", "--eval-batches", "1", "--device", "cpu"]
        output = measure("HipGPT, both", [f"{build}/train_gpt", "--data-path", text, *flags], size)
        print("".join(f"    {line}\n" for line in output.splitlines() if line.startswith("toke")), end="")
        for name, program in PEERS.items():
            values = f"V = {vocab_size}\nTEXT = {text!r}\nOUT = {out!r}\n"
            measure(name, [sys.executable, "-c", values + program], size)
        if os.path.exists("peer.json"):
            ours, theirs = (json.load(open(name))["model"]["merges"] for name in ("tokenizer.json", "peer.json"))
            print("the merges are", "the same" if ours == theirs else "DIFFERENT")


main()
