#!/usr/bin/env python3
"""Compares matrix products on a GPU with PyTorch's (cuBLAS, plain fp32), at the shapes that matmul_bench prints.

Usage: compare_pytorch_gpu.py [BUILD_FOLDER]
"""
import json
import os
import statistics
import subprocess
import sys

import torch

root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
build = sys.argv[1] if len(sys.argv) > 1 else os.path.join(root, "build")
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
ours = subprocess.run([os.path.join(build, "tests", "matmul_bench"), "hip"], check=True, capture_output=True, text=True)
for line in ours.stdout.splitlines():
    product = json.loads(line)
    m, n, k = product["m"], product["n"], product["k"]
    a = torch.rand((k, m), device="cuda").t() if product["what"] == "dW" else torch.rand((m, k), device="cuda")
    b = torch.rand((n, k), device="cuda").t() if product["what"] == "dx" else torch.rand((k, n), device="cuda")
    peer = median_us(lambda: a @ b, max(1, int(4e11 / (2 * m * n * k))))
    ratios.append(peer / product["us"])
    print(f"{product['what']:6} {m:6} {n:6} {k:6}  HipGPT {product['tflops']:6.2f} TFLOP/s, "
          f"PyTorch {2e-6 * m * n * k / peer:6.2f}, ratio {ratios[-1]:.2f}")
print(f"median ratio {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}")
