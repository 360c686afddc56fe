#!/usr/bin/env python3
"""Writes a Markdown table of what every HIP kernel takes from a GPU: registers, spills, scratch and shared memory, occupancy.

    tests/isa/resources.py --hipcc /opt/rocm/bin/hipcc gfx90a gfx942 gfx1100

The compiler knows them (-Rpass-analysis=kernel-resource-usage, hipcc 5.2 or newer): no GPU is needed. Exit status 1 if a
kernel does not compile, or compiles with a warning, or spills registers.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile

from hipcc import SOURCES, compile_hip, knows_architecture

COLUMNS = {  # of the table: what the compiler calls it
    "VGPRs": "VGPRs", "AGPRs": "AGPRs", "SGPRs": "SGPRs", "spilled VGPRs": "VGPRs Spill", "spilled SGPRs": "SGPRs Spill",
    "scratch, bytes": "ScratchSize [bytes/lane]", "LDS, bytes": "LDS Size [bytes/block]",
    "waves per SIMD": "Occupancy [waves/SIMD]"}


def short_names(mangled):
    """namespace::kernel<arguments>, without the parameters and our own namespaces."""
    try:
        text = subprocess.run(["c++filt"], input="\n".join(mangled), capture_output=True, text=True, check=True).stdout
    except OSError:
        return dict(zip(mangled, mangled))
    names = []
    for name in text.splitlines():
        name = name.replace("(anonymous namespace)::", "").replace("hipgpt::hip::", "").replace("hipgpt::", "")
        name = re.sub(r"^void ", "", re.sub(r"\(\w+\)(\d)", r"\1", name))
        names.append(name[:name.index("(")] if "(" in name else name)
    return dict(zip(mangled, names))


def read_remarks(text):
    """[{"Function Name": ..., "VGPRs": ...}] and the other lines."""
    kernels, others = [], []
    for line in text.splitlines():
        match = re.search(r"remark: .*?\s*([A-Z][\w /\[\]]*): (\S+) \[-Rpass-analysis=kernel-resource-usage\]", line)
        if match:
            if match[1] == "Function Name":
                kernels.append({})
            kernels[-1][match[1]] = match[2]
        elif "warning:" in line:
            others.append(line)
    return kernels, others


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("architectures", nargs="+")
    parser.add_argument("--hipcc", default=os.environ.get("HIPCC", "hipcc"))
    arguments = parser.parse_args()
    good = True
    print("| kernel | file | GPU | " + " | ".join(COLUMNS) + " |")
    print("|---|---|---|" + "---|" * len(COLUMNS))
    for architecture in arguments.architectures:
        if not knows_architecture(arguments.hipcc, architecture):
            parser.error(f"{arguments.hipcc} does not know {architecture}")
    with tempfile.TemporaryDirectory() as folder:
        for source in SOURCES:
            for architecture in arguments.architectures:
                try:
                    text = compile_hip(arguments.hipcc, architecture, source, f"{folder}/kernels.o",
                                       ["--cuda-device-only", "-Rpass-analysis=kernel-resource-usage"])
                except RuntimeError as error:
                    print(error, file=sys.stderr)
                    good = False
                    continue
                kernels, warnings = read_remarks(text)
                if warnings:
                    print("\n".join(warnings), file=sys.stderr)
                    good = False
                names = short_names([kernel["Function Name"] for kernel in kernels])
                for kernel in kernels:
                    good = good and kernel["VGPRs Spill"] == kernel["SGPRs Spill"] == "0"
                    print(f"| `{names[kernel['Function Name']]}` | {os.path.basename(source)} | {architecture} | "
                          + " | ".join(kernel.get(column, "0") for column in COLUMNS.values()) + " |", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
