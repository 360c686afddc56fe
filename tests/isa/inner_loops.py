#!/usr/bin/env python3
"""Counts the instructions in the inner loops of the bf16 kernels that have to use matrix cores.

    tests/isa/inner_loops.py --hipcc /opt/rocm/bin/hipcc gfx942 gfx1100

Prints a Markdown table for the innermost loop with matrix instructions of each product and of each attention kernel. The counts
include branches that seldom run, such as masks. The exit status is 1 if a kernel has no such loop, uses scratch memory or does not
compile. It is 77 if hipcc does not know the architectures, or if its clang is older than 17: clang 15 (ROCm 5.2) keeps small loops
inside these and a few bytes in scratch memory.
"""

import argparse
import os
import re
import sys
import tempfile

from hipcc import ROOT, clang_version, compile_hip, knows_architecture
from resources import short_names

SOURCES = {"matmul": "matmul_bf16_kernel", "attention_bf16": "attention_bf16_kernel",
           "attention_backward_bf16": "queries_kernel|keys_kernel"}
SKIPPED = 77
OLDEST_CLANG = 17
CLASSES = {"matrix": r"v_s?w?mfma|v_s?wmma", "exp": r"v_exp", "vector": r"v_", "LDS reads": r"ds_(read|load)",
           "LDS writes": r"ds_(write|store)", "shuffles": r"ds_", "loads": r"(global|flat|buffer)_load",
           "stores": r"(global|flat|buffer)_store", "scratch": r"scratch_", "waits": r"s_wait", "barriers": r"s_barrier",
           "scalar": r"s_"}


def read_kernels(assembly):
    """Returns {mangled name: [(label or None, operation, branch target or None), ...]}."""
    kernels, lines, label = {}, None, None
    for line in assembly.splitlines():
        begin = re.match(r"(_Z\w+):", line)
        block = re.match(r"(\.LBB\w+):", line)
        if begin:
            lines = kernels.setdefault(begin[1], [])
        elif block:
            label = block[1]
        elif re.match(r"\s+s_endpgm", line) and lines is not None:
            lines.append((label, "s_endpgm", None))
        elif lines is not None:
            words = re.match(r"\s+([a-z]\w+)(?:\s+(\S+))?", line)
            if words:
                target = words[2] if words[1].startswith(("s_branch", "s_cbranch")) else None
                lines.append((label, words[1], target))
                label = None
        if line.startswith("\t.section") or line.startswith(".Lfunc_end"):
            lines = None
    return kernels


def matrix_loops(instructions):
    """The instructions of the loops that have matrix instructions and contain no other such loop. A loop ends with the last branch
    back to its first block. It may contain loops without matrix instructions, such as one that loads the end of a row."""
    first = {label: i for i, (label, _, _) in reversed(list(enumerate(instructions))) if label}
    loops = {}
    for i, (_, _, target) in enumerate(instructions):
        if target in first and first[target] <= i:
            loops[first[target]] = i
    ranges = [(a, b) for a, b in loops.items() if count(instructions[a:b + 1])["matrix"] > 0]
    inner = [(a, b) for a, b in ranges if not any((c, d) != (a, b) and a <= c and d <= b for c, d in ranges)]
    return [instructions[a:b + 1] for a, b in inner]


def scratch_sizes(assembly):
    """Returns {mangled name: bytes of scratch memory}, from the metadata."""
    return {name: int(size) for name, size in re.findall(r"\.name: +(_Z\w+)\n +\.private_segment_fixed_size: (\d+)", assembly)}


def count(instructions):
    counts = dict.fromkeys(CLASSES, 0)
    for _, operation, _ in instructions:
        for name, pattern in CLASSES.items():
            if re.match(pattern, operation):
                counts[name] += 1
                break
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("architectures", nargs="+")
    parser.add_argument("--hipcc", default=os.environ.get("HIPCC", "hipcc"))
    arguments = parser.parse_args()
    known = [a for a in arguments.architectures if knows_architecture(arguments.hipcc, a)]
    if not known:
        print(f"skipped: {arguments.hipcc} is not installed or does not support {' '.join(arguments.architectures)}")
        return SKIPPED
    if clang_version(arguments.hipcc) < OLDEST_CLANG:
        print(f"skipped: {arguments.hipcc} calls a clang older than {OLDEST_CLANG}")
        return SKIPPED
    print("| architecture | kernel | " + " | ".join(CLASSES) + " |")
    print("|---|---|" + "---|" * len(CLASSES))
    good = True
    with tempfile.TemporaryDirectory() as folder:
        for architecture in known:
            for source, wanted in SOURCES.items():
                output = f"{folder}/{source}.s"
                compile_hip(arguments.hipcc, architecture, f"{ROOT}/src/hip/{source}.cpp", output, ["--cuda-device-only", "-S"])
                with open(output) as file:
                    assembly = file.read()
                kernels, scratch = read_kernels(assembly), scratch_sizes(assembly)
                names = short_names(list(kernels))
                found = [name for name in kernels if re.search(wanted, name)]
                good = good and bool(found)
                for name in sorted(found, key=names.get):
                    counts = [count(loop) for loop in matrix_loops(kernels[name])]
                    best = max(counts, key=lambda c: c["matrix"], default=count([]))
                    if best["matrix"] == 0:
                        print(f"{architecture}: no matrix instructions in a loop of {names[name]}", file=sys.stderr)
                        good = False
                    if scratch[name] != 0:
                        print(f"{architecture}: {names[name]} uses {scratch[name]} bytes of scratch memory", file=sys.stderr)
                        good = False
                    print(f"| {architecture} | `{names[name]}` | " + " | ".join(map(str, best.values())) + " |", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
