#!/usr/bin/env python3
"""Compares HipGPT with PyTorch and transformers on this CPU: the default model's training step, and greedy generation.

    pip install torch transformers
    tests/bench/compare_pytorch.py [BUILD_FOLDER] [THREADS] [ROUNDS]

Both sides take turns for ROUNDS rounds, because a machine's speed drifts; a ratio is the median over the rounds.
"""
import json
import statistics
import subprocess
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

BUILD = sys.argv[1] if len(sys.argv) > 1 else "build"
THREADS = int(sys.argv[2]) if len(sys.argv) > 2 else 2
ROUNDS = int(sys.argv[3]) if len(sys.argv) > 3 else 5
V, S, E, H, L, FF = 5000, 32, 128, 4, 2, 256


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(E), nn.LayerNorm(E)
        self.qkv, self.out = nn.Linear(E, 3 * E), nn.Linear(E, E)
        self.ff1, self.ff2 = nn.Linear(E, FF), nn.Linear(FF, E)

    def forward(self, x):
        heads = (t.unflatten(2, (H, E // H)).transpose(1, 2) for t in self.qkv(self.ln1(x)).chunk(3, dim=2))
        x = x + self.out(F.scaled_dot_product_attention(*heads, is_causal=True).transpose(1, 2).flatten(2))
        return x + self.ff2(F.relu(self.ff1(self.ln2(x))))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(V, E), nn.Embedding(S, E)
        self.blocks = nn.Sequential(*(Block() for _ in range(L)))
        self.head = nn.Linear(E, V)

    def forward(self, tokens, targets):
        x = self.blocks(self.wte(tokens) + self.wpe(torch.arange(S)))
        return F.cross_entropy(self.head(x).flatten(0, 1), targets.flatten())


def torch_step_ms(model, optimizer, batch, steps=30):
    tokens, targets = torch.randint(0, V, (2, batch, S))
    times = []
    for _ in range(steps + 3):
        start = time.perf_counter()
        loss = model(tokens, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[3:])


def transformers_tokens_per_s(model, tokens):
    prompt = torch.zeros((1, 1), dtype=torch.long)
    start = time.perf_counter()
    model.generate(prompt, attention_mask=torch.ones_like(prompt), min_new_tokens=tokens, max_new_tokens=tokens,
                   do_sample=False, pad_token_id=0)
    return tokens / (time.perf_counter() - start)


def ours(program, *arguments):
    command = [f"{BUILD}/tests/{program}", *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def report(what, mine, theirs, higher_is_better):
    ratios = [a / b if higher_is_better else b / a for a, b in zip(mine, theirs)]
    print(f"{what}: HipGPT {statistics.median(mine):.2f}, peer {statistics.median(theirs):.2f}; "
          f"HipGPT is {statistics.median(ratios):.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f})", flush=True)


def main():
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.set_num_threads(THREADS)
    print(f"torch {torch.__version__}, {THREADS} threads, medians of {ROUNDS} rounds")
    model = Model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    for batch in (4, 32):
        mine, theirs, shares = [], [], []
        for _ in range(ROUNDS):
            theirs.append(torch_step_ms(model, optimizer, batch))
            result = ours("train_step_bench", batch, S, E, H, L, FF, V, THREADS, 30)
            mine.append(result["ms"])
            shares.append(result["products_share"])
        report(f"training step, B={batch}, ms", mine, theirs, higher_is_better=False)
        print(f"  matrix products alone take {statistics.median(shares):.2f} of HipGPT's step")
    for context in (32, 256):
        peer = GPT2LMHeadModel(GPT2Config(vocab_size=V, n_positions=context, n_embd=E, n_layer=L, n_head=H, n_inner=FF,
                                          activation_function="relu", bos_token_id=0, eos_token_id=0)).eval()
        mine, theirs = [], []
        for _ in range(ROUNDS):
            theirs.append(transformers_tokens_per_s(peer, context - 1))
            mine.append(ours("generate_bench", context, context - 1, THREADS)["tok_s"])
        report(f"greedy generation, S={context}, tokens/s", mine, theirs, higher_is_better=True)


if __name__ == "__main__":
    main()
