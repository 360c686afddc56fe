#!/usr/bin/env python3
"""Compares training steps in bf16 with PyTorch's, on one GPU: milliseconds, tokens per second and PyTorch's peak memory.

    pip install torch
    tests/bench/compare_training_gpu.py [BUILD_FOLDER] [gpt2:BATCH | nanogpt:BATCH]... [ROUNDS]

gpt2 is GPT-2 124M with T=1024, nanogpt is nanoGPT's model for Tiny Shakespeare with T=256 and dropout 0.2. PyTorch runs autocast to
bf16, torch.compile, flash attention and fused AdamW, with GPT-2's vocabulary padded to 50304. Both sides take turns for ROUNDS
rounds; a ratio is the median over the rounds.
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
cases = [a for a in sys.argv[2:] if ":" in a] or ["gpt2:32"]
rounds = int(sys.argv[-1]) if sys.argv[-1].isdigit() else 3
SIZES = {"gpt2": (1024, 768, 12, 12, 3072, 50257, 0.0), "nanogpt": (256, 384, 6, 6, 1536, 256, 0.2)}
torch.set_float32_matmul_precision("high")


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(E), nn.LayerNorm(E)
        self.qkv, self.out = nn.Linear(E, 3 * E), nn.Linear(E, E)
        self.ff1, self.ff2 = nn.Linear(E, FF), nn.Linear(FF, E)

    def forward(self, x):
        heads = (t.unflatten(2, (H, E // H)).transpose(1, 2) for t in self.qkv(self.ln1(x)).chunk(3, dim=2))
        attention = F.scaled_dot_product_attention(*heads, is_causal=True, dropout_p=dropout)
        x = x + F.dropout(self.out(attention.transpose(1, 2).flatten(2)), dropout)
        return x + F.dropout(self.ff2(F.gelu(self.ff1(self.ln2(x)), approximate="tanh")), dropout)


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
        x = self.blocks(F.dropout(self.wte(tokens) + self.wpe(torch.arange(S, device=tokens.device)), dropout))
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
    sizes = [batch, S, E, H, L, FF, vocabulary, 2, 20, "hip", dropout, "bf16", "gpt2"]
    command = [os.path.join(build, "tests", "train_step_bench"), *map(str, sizes)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


print(torch.cuda.get_device_name(), "PyTorch", torch.__version__)
for case in cases:
    name, batch = case.split(":")[0], int(case.split(":")[1])
    S, E, H, L, FF, vocabulary, dropout = SIZES[name]
    V = (vocabulary + 127) // 128 * 128
    torch.manual_seed(1)
    torch._dynamo.reset()
    eager = GPT2().cuda()
    model = torch.compile(eager)
    optimizer = torch.optim.AdamW(eager.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    tokens, targets = torch.randint(0, vocabulary, (2, batch, S), device="cuda")
    torch_steps(model, optimizer, tokens, targets, 10)
    torch.cuda.reset_peak_memory_stats()
    theirs, ours = [], []
    for _ in range(rounds):
        theirs.append(torch_steps(model, optimizer, tokens, targets, 20))
        ours.append(our_step(batch)["ms"])
    memory = torch.cuda.max_memory_allocated() / 2**30
    ratios = [b / a for a, b in zip(ours, theirs)]
    mine, peer = statistics.median(ours), statistics.median(theirs)
    print(f"{case}: HipGPT {mine:.2f} ms, {batch * S / mine * 1e3:,.0f} tokens/s; PyTorch {peer:.2f} ms, {batch * S / peer * 1e3:,.0f}, "
          f"{memory:.1f} GiB; {statistics.median(ratios):.3f} times as fast ({min(ratios):.3f} to {max(ratios):.3f})", flush=True)
    del model, eager, optimizer
    torch.cuda.empty_cache()
