#!/usr/bin/env python3
"""Compares HipGPT with PyTorch and transformers on this CPU: training steps, and greedy generation of the default model.

    pip install torch transformers
    tests/bench/compare_pytorch.py [BUILD_FOLDER] [THREADS] [ROUNDS] [fp32 | bf16] [CASE...]

A CASE is default:4, default:32, nanogpt, gpt2 or generation; without one, all run (generation only in fp32). In bf16,
PyTorch uses autocast. Both sides take turns for ROUNDS rounds, because a machine's speed drifts; a ratio is the median over the rounds.
"""
import dataclasses
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
BF16 = len(sys.argv) > 4 and sys.argv[4] == "bf16"
V, S, E, H, L, FF = 5000, 32, 128, 4, 2, 256


@dataclasses.dataclass
class Case:
    """A training step to measure. With gpt2, the model has GELU, a final LayerNorm and a tied head without bias."""
    name: str
    B: int
    S: int
    E: int
    H: int
    L: int
    FF: int
    V: int
    gpt2: bool
    steps: int


CASES = {
    "default:4": Case("default model, B=4", 4, S, E, H, L, FF, V, False, 30),
    "default:32": Case("default model, B=32", 32, S, E, H, L, FF, V, False, 30),
    "nanogpt": Case("nanoGPT's CPU run, B=12", 12, 64, 128, 4, 4, 512, 256, True, 30),
    "gpt2": Case("GPT-2 124M, B=4 S=256", 4, 256, 768, 12, 12, 3072, 50257, True, 3),
}


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads, self.act = c.H, nn.GELU(approximate="tanh") if c.gpt2 else nn.ReLU()
        self.ln1, self.ln2 = nn.LayerNorm(c.E), nn.LayerNorm(c.E)
        self.qkv, self.out = nn.Linear(c.E, 3 * c.E), nn.Linear(c.E, c.E)
        self.ff1, self.ff2 = nn.Linear(c.E, c.FF), nn.Linear(c.FF, c.E)

    def forward(self, x):
        heads = (t.unflatten(2, (self.heads, -1)).transpose(1, 2) for t in self.qkv(self.ln1(x)).chunk(3, dim=2))
        x = x + self.out(F.scaled_dot_product_attention(*heads, is_causal=True).transpose(1, 2).flatten(2))
        return x + self.ff2(self.act(self.ff1(self.ln2(x))))


class Model(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(c.V, c.E), nn.Embedding(c.S, c.E)
        self.blocks = nn.Sequential(*(Block(c) for _ in range(c.L)))
        self.norm = nn.LayerNorm(c.E) if c.gpt2 else nn.Identity()
        self.head = nn.Linear(c.E, c.V, bias=not c.gpt2)
        if c.gpt2:
            self.head.weight = self.wte.weight
        for module in self.modules():  # larger weights give gradients that are denormal, and slow
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)

    def forward(self, tokens, targets):
        x = self.norm(self.blocks(self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))))
        return F.cross_entropy(self.head(x).flatten(0, 1), targets.flatten())


def torch_step_ms(model, optimizer, c):
    tokens, targets = torch.randint(0, c.V, (2, c.B, c.S))
    times = []
    for _ in range(c.steps + 3):
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=BF16):
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


def training(c):
    model = Model(c)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    mine, theirs, shares = [], [], []
    for _ in range(ROUNDS):
        theirs.append(torch_step_ms(model, optimizer, c))
        result = ours("train_step_bench", c.B, c.S, c.E, c.H, c.L, c.FF, c.V, THREADS, c.steps, "cpu", 0,
                      "bf16" if BF16 else "fp32", "gpt2" if c.gpt2 else "default")
        mine.append(result["ms"])
        shares.append(result["products_share"])
    report(f"training step, {c.name}, ms", mine, theirs, higher_is_better=False)
    print(f"  matrix products alone take {statistics.median(shares):.2f} of HipGPT's step")


def generation(context):
    from transformers import GPT2Config, GPT2LMHeadModel

    peer = GPT2LMHeadModel(GPT2Config(vocab_size=V, n_positions=context, n_embd=E, n_layer=L, n_head=H, n_inner=FF,
                                      activation_function="relu", bos_token_id=0, eos_token_id=0)).eval()
    mine, theirs = [], []
    for _ in range(ROUNDS):
        theirs.append(transformers_tokens_per_s(peer, context - 1))
        mine.append(ours("generate_bench", context, context - 1, THREADS)["tok_s"])
    report(f"greedy generation, S={context}, tokens/s", mine, theirs, higher_is_better=True)


def main():
    torch.set_num_threads(THREADS)
    print(f"torch {torch.__version__}, {THREADS} threads, {'bf16' if BF16 else 'fp32'}, medians of {ROUNDS} rounds")
    chosen = sys.argv[5:] or [*CASES, *([] if BF16 else ["generation"])]
    for name in chosen:
        if name == "generation":
            generation(32)
            generation(256)
        else:
            training(CASES[name])


if __name__ == "__main__":
    main()
