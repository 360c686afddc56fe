#!/usr/bin/env python3
"""Compares a training step of GPT-2 124M in bf16 with PyTorch's, on one GPU: tokens per second and peak memory.

    pip install torch
    tests/bench/compare_training_gpu.py [BUILD_FOLDER] [BATCH,BATCH,...] [ROUNDS]

PyTorch runs autocast to bf16, torch.compile, flash attention and fused AdamW, with the vocabulary padded to 50304. Both sides take
turns for ROUNDS rounds; the ratio is the median over the rounds.
"""
import json
import os
import statistics
import subprocess
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
build = sys.argv[1] if len(sys.argv) > 1 else os.path.join(root, "build")
batches = [int(b) for b in (sys.argv[2] if len(sys.argv) > 2 else "32").split(",")]
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
V, S, E, H, L, FF = 50304, 1024, 768, 12, 12, 3072
torch.set_float32_matmul_precision("high")


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(E), nn.LayerNorm(E)
        self.qkv, self.out = nn.Linear(E, 3 * E), nn.Linear(E, E)
        self.ff1, self.ff2 = nn.Linear(E, FF), nn.Linear(FF, E)

    def forward(self, x):
        heads = (t.unflatten(2, (H, E // H)).transpose(1, 2) for t in self.qkv(self.ln1(x)).chunk(3, dim=2))
        x = x + self.out(F.scaled_dot_product_attention(*heads, is_causal=True).transpose(1, 2).flatten(2))
        return x + self.ff2(F.gelu(self.ff1(self.ln2(x)), approximate="tanh"))


class GPT2(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(V, E), nn.Embedding(S, E)
        self.blocks = nn.Sequential(*(Block() for _ in range(L)))
        self.ln_f = nn.LayerNorm(E)
        self.head = nn.Linear(E, V, bias=False)
        self.head.weight = self.wte.weight
        self.apply(lambda m: nn.init.normal_(m.weight, std=0.02) if isinstance(m, (nn.Linear, nn.Embedding)) else None)

    def forward(self, tokens, targets):
        x = self.blocks(self.wte(tokens) + self.wpe(torch.arange(S, device=tokens.device)))
        return F.cross_entropy(self.head(self.ln_f(x)).flatten(0, 1), targets.flatten())


def torch_steps(model, optimizer, tokens, targets, steps):
    """Returns milliseconds per step."""
    start = time.perf_counter()
    for _ in range(steps):
        with torch.autocast("cuda", torch.bfloat16):
            loss = model(tokens, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    loss.item()
    return 1e3 * (time.perf_counter() - start) / steps


def our_step(batch):
    sizes = [batch, S, E, H, L, FF, 50257, 2, 20, "hip", 0, "bf16", "gpt2"]
    command = [os.path.join(build, "tests", "train_step_bench"), *map(str, sizes)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


print(torch.cuda.get_device_name(), "PyTorch", torch.__version__)
for batch in batches:
    torch.manual_seed(1)
    torch._dynamo.reset()
    eager = GPT2().cuda()
    model = torch.compile(eager)
    optimizer = torch.optim.AdamW(eager.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    tokens, targets = torch.randint(0, 50257, (2, batch, S), device="cuda")
    torch_steps(model, optimizer, tokens, targets, 10)
    torch.cuda.reset_peak_memory_stats()
    theirs, ours = [], []
    for _ in range(rounds):
        theirs.append(batch * S / torch_steps(model, optimizer, tokens, targets, 20) * 1e3)
        ours.append(our_step(batch)["tok_s"])
    memory = torch.cuda.max_memory_allocated() / 2**30
    ratios = [a / b for a, b in zip(ours, theirs)]
    print(f"B={batch}: HipGPT {statistics.median(ours):,.0f} tokens/s, PyTorch {statistics.median(theirs):,.0f} ({memory:.1f} GiB); "
          f"ratio {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})", flush=True)
    del model, eager, optimizer
    torch.cuda.empty_cache()
