#!/usr/bin/env python3
"""Compares the losses of GPT-2 124M, trained in bf16 on a GPU, with PyTorch's on the same batches from the same weights.

    pip install torch transformers
    tests/bench/compare_losses_gpu.py [BUILD_FOLDER] [TEXT] [STEPS] [BATCH] [TOKENIZER]

HipGPT initialises a model of GPT-2's sizes and exports its weights. TOKENIZER is a folder with GPT-2's vocab.json and merges.txt;
without it, HipGPT trains a tokenizer on the text, with as many tokens as that gives. Then HipGPT and transformers' GPT-2, in
autocast to bf16, train from these weights with the same sequences, learning rates and AdamW. PyTorch runs a second time with other
sequences: the distance of its two runs shows how much the choice of sequences matters. Each loss is averaged over 20 steps.
"""
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile

import numpy
import torch
from transformers import GPT2LMHeadModel

root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
build = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(root, "build"))
text = os.path.abspath(sys.argv[2] if len(sys.argv) > 2 else os.path.join(root, "data", "data.txt"))
steps = int(sys.argv[3]) if len(sys.argv) > 3 else 300
batch = int(sys.argv[4]) if len(sys.argv) > 4 else 8
tokenizer = ["--tokenizer", os.path.abspath(sys.argv[5])] if len(sys.argv) > 5 else ["--vocab-size", "50257"]
T, peak, warmup, seed = 1024, 6e-4, 100, 1337
MASK = 2**32 - 1


def random_start(seed, step, row, count):
    """The first token of a row of the batch of a step: src/data/data_loader.cpp, with Philox4x32-10."""
    x, key = [step & MASK, step >> 32, row, 1], [seed & MASK, seed >> 32]
    for _ in range(10):
        a, b = 0xD2511F53 * x[0], 0xCD9E8D57 * x[2]
        x = [b >> 32 ^ x[1] ^ key[0], b & MASK, a >> 32 ^ x[3] ^ key[1], a & MASK]
        key = [(key[0] + 0x9E3779B9) & MASK, (key[1] + 0xBB67AE85) & MASK]
    return (x[1] << 32 | x[0]) * count >> 64


def learning_rate(step):
    if step <= warmup:
        return peak * step / warmup
    fraction = 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))
    return peak / 10 + fraction * (peak - peak / 10)


def torch_losses(folder, tokens, seed, dtype):
    model = GPT2LMHeadModel.from_pretrained(folder, attn_implementation="sdpa", attn_pdrop=0, resid_pdrop=0, embd_pdrop=0).cuda().train()
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}], lr=peak,
                                  betas=(0.9, 0.99), eps=1e-8, fused=True)
    losses = []
    for step in range(1, steps + 1):
        starts = [random_start(seed, step - 1, row, len(tokens) - T) for row in range(batch)]
        rows = torch.stack([tokens[s:s + T + 1] for s in starts]).cuda()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        with torch.autocast("cuda", dtype, enabled=dtype != torch.float32):
            logits = model(rows[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), rows[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.detach())
    return torch.stack(losses).tolist()


def train_gpt(*flags):
    subprocess.run([os.path.join(build, "train_gpt"), *flags], check=True, stdout=subprocess.DEVNULL)


os.chdir(tempfile.mkdtemp())
common = ["--data-path", text, "--val-fraction", "0", "--batch", str(batch), "--device", "hip"]
train_gpt(*common, "--preset", "gpt2", "--steps", "1", "--lr", "1e-12", "--weight-decay", "0", *tokenizer)
subprocess.run([os.path.join(build, "generate"), "--export", "start"], check=True, stdout=subprocess.DEVNULL)
tokens = torch.from_numpy(numpy.fromfile("tokens.bin", numpy.uint16, offset=72).astype(numpy.int64))


def our_losses(dtype):
    train_gpt(*common, "--init-from", "start", "--steps", str(steps), "--lr", str(peak), "--min-lr", str(peak / 10), "--warmup-steps",
              str(warmup), "--seed", str(seed), "--log-every", "1", "--eval-every", "0", "--run-name", dtype, "--dtype", dtype)
    with open(os.path.join("checkpoints", dtype, "metrics.jsonl"), encoding="utf-8") as file:
        return [record["loss"] for record in map(json.loads, file) if "lr" in record]


runs = {
    "HipGPT bf16": our_losses("bf16"),
    "HipGPT fp32": our_losses("fp32"),
    "PyTorch bf16": torch_losses("start", tokens, seed, torch.bfloat16),
    "PyTorch fp32": torch_losses("start", tokens, seed, torch.float32),
    "PyTorch bf16, other sequences": torch_losses("start", tokens, seed + 1, torch.bfloat16),
}
print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, B={batch}, {steps} steps")
reference = runs["PyTorch fp32"]
for name, losses in runs.items():
    means = [statistics.mean(losses[i:i + 20]) for i in range(0, steps, 20)]
    distance = statistics.mean(abs(a - b) for a, b in zip(losses, reference))
    largest = max(abs(a - statistics.mean(reference[20 * i:20 * i + 20])) for i, a in enumerate(means))
    print(f"{name:30} first {losses[0]:.4f}, last 20 steps {means[-1]:.4f}; from PyTorch fp32: {distance:.4f} a step on average, "
          f"{largest:.4f} at most over 20 steps")
