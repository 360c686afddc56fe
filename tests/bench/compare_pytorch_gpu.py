#!/usr/bin/env python3
"""Compares matrix products on a GPU with PyTorch's (cuBLAS; plain fp32, or bf16), at the shapes that matmul_bench prints.

Usage: compare_pytorch_gpu.py [BUILD_FOLDER] [f32 | bf16]
"""
import json
import os
import statistics
import subprocess
import sys

import torch

root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
build = sys.argv[1] if len(sys.argv) > 1 else os.path.join(root, "build")
dtype = sys.argv[2] if len(sys.argv) > 2 else "f32"
type_of_matrices = {"f32": torch.float32, "bf16": torch.bfloat16}[dtype]
torch.backends.cuda.matmul.allow_tf32 = False


def median_us(f, repeats):
    """Returns the median time of f() over rounds of `repeats` calls, by the GPU's clock."""
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


ratios = []
ours = subprocess.run([os.path.join(build, "tests", "matmul_bench"), "hip", "0", dtype], check=True, capture_output=True, text=True)
for line in ours.stdout.splitlines():
    product = json.loads(line)
    rows, inner, outer = product["rows"], product["in"], product["out"]
    def random(*shape):
        return torch.rand(shape, device="cuda").mul_(2).sub_(1).to(type_of_matrices)

    x, dy, w = random(rows, inner), random(rows, outer), random(inner, outer)
    dw = torch.zeros((inner, outer), device="cuda", dtype=type_of_matrices)
    backward = product["what"] == "dx and dW"
    peers = {"dx": lambda: dy @ w.t(), "dx and dW": lambda: (dy @ w.t(), dw.addmm_(x.t(), dy))}
    flops = (4 if backward else 2) * rows * inner * outer
    peer = median_us(peers.get(product["what"], lambda: x @ w), max(1, int(4e11 / flops)))
    ratios.append(peer / product["us"])
    print(f"{product['what']:9} {rows:6} {inner:5} {outer:5}  HipGPT {product['tflops']:6.2f} TFLOP/s, "
          f"PyTorch {1e-6 * flops / peer:6.2f}, ratio {ratios[-1]:.2f}")
print(f"median ratio {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}")
