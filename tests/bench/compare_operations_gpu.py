#!/usr/bin/env python3
"""Compares the operations that operations_bench prints with PyTorch's on a GPU, and with what the GPU can do.

Usage: compare_operations_gpu.py [BUILD_FOLDER] [f32 | bf16]

Each operation's floor is the longer of two times: its floating-point operations at the rate of a large product of
PyTorch's, and its bytes at the rate of a large copy. Both rates are measured first. PyTorch's operations run compiled
where it fuses them only then.
"""
import json
import os
import statistics
import subprocess
import sys

import torch
import torch.nn.functional as F

root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
build = sys.argv[1] if len(sys.argv) > 1 else os.path.join(root, "build")
dtype = sys.argv[2] if len(sys.argv) > 2 else "f32"
kind = {"f32": torch.float32, "bf16": torch.bfloat16}[dtype]
torch.backends.cuda.matmul.allow_tf32 = False
B, T, H, D, V = 32, 1024, 12, 64, 50257
E, R = H * D, B * T


def median_us(f, repeats=20):
    """Returns the median time of f() over rounds of `repeats` calls, by the GPU's clock."""
    f()
    times = []
    for _ in range(8):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        for _ in range(repeats):
            f()
        end.record()
        torch.cuda.synchronize()
        times.append(1000 * begin.elapsed_time(end) / repeats)
    return statistics.median(times[1:])


def random(*shape, grad=False):
    return torch.rand(shape, device="cuda").mul_(2).sub_(1).to(kind).requires_grad_(grad)


def backward(output, gradient, inputs):
    """Returns a function that computes the gradients of `inputs`, again at every call."""
    return lambda: torch.autograd.grad(output, inputs, gradient, retain_graph=True)


def attention(dropout):
    q, k, v = (random(B, H, T, D, grad=True) for _ in range(3))
    run = lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=dropout)
    return run, backward(run(), random(B, H, T, D), (q, k, v))


def peers():
    """Yields (operation, function)."""
    x, branch, w, b = random(R, E, grad=True), random(R, E), random(E, grad=True), random(E, grad=True)
    norm = lambda: F.layer_norm(x, (E,), w, b)
    yield "layernorm", norm
    residual = torch.compile(lambda a, c: (a + c, F.layer_norm(a + c, (E,), w, b)))
    with torch.no_grad():
        yield "residual_layernorm", lambda: residual(x.detach(), branch)
    yield "layernorm_backward", backward(norm(), branch, (x, w, b))
    for name, dropout in ("", 0.0), (", dropout", 0.2):
        forward, gradient = attention(dropout)
        yield "attention" + name, forward
        yield "attention_backward" + name, gradient
    dy, w1, b1 = random(R, E), random(E, 4 * E, grad=True), random(4 * E, grad=True)
    w2, b2 = random(4 * E, E, grad=True), random(E, grad=True)
    first = torch.compile(lambda a: F.gelu(a @ w1 + b1, approximate="tanh"))
    yield "linear, bias and GELU", lambda: first(x)
    wte, wpe, tokens = random(V, E, grad=True), random(T, E, grad=True), torch.randint(V, (B, T), device="cuda")
    table = lambda: F.embedding(tokens, wte) + wpe
    yield "embedding", table
    yield "embedding_backward", backward(table(), random(B, T, E), (wte, wpe))
    weights = torch.zeros(124439808, device="cuda", requires_grad=True)
    weights.grad = torch.zeros_like(weights)
    yield "l2_norm", lambda: torch.linalg.vector_norm(weights.grad)
    yield "adamw", torch.optim.AdamW([weights], fused=True).step


square = random(8192, 8192)
flops = 2 * 8192**3 / (1e-6 * median_us(lambda: square @ square))
block = torch.empty(2**29, device="cuda", dtype=torch.uint8)
copy = torch.empty_like(block)
rate = 2 * block.numel() / (1e-6 * median_us(lambda: copy.copy_(block)))
del square, block, copy
print(f"{torch.cuda.get_device_name()}: products {1e-12 * flops:.0f} TFLOP/s, copies {1e-12 * rate:.2f} TB/s")

run = subprocess.run([os.path.join(build, "tests", "operations_bench"), "hip", "0", dtype], check=True, capture_output=True, text=True)
theirs = {name: median_us(f) for name, f in peers()}
for line in run.stdout.splitlines():
    o = json.loads(line)
    by_flops, by_bytes = 1e15 * o["gflop"] / flops, 1e12 * o["mb"] / rate
    floor = max(by_flops, by_bytes)
    peer = theirs.get(o["operation"])
    beside = f", PyTorch {peer:8.1f} us, ratio {peer / o['us']:5.2f}" if peer else ""
    print(f"{o['operation']:32} {o['us']:8.1f} us, {1e3 * o['gflop'] / o['us']:6.1f} TFLOP/s, "
          f"{o['mb'] / o['us']:5.2f} TB/s, {100 * floor / o['us']:3.0f} % of its floor{beside}")
