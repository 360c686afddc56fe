#!/usr/bin/env python3
"""Writes a Markdown table of every HIP kernel's resources: registers, spills, scratch, shared memory and occupancy.

    tests/isa/resources.py --hipcc /opt/rocm/bin/hipcc gfx90a gfx942 gfx1100

The compiler reports them (-Rpass-analysis=kernel-resource-usage, hipcc 5.2 or newer), so no GPU is needed. The exit status is 1
if a kernel does not compile, compiles with a warning, or spills vector registers to memory.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile

from hipcc import SOURCES, compile_hip, knows_architecture

def short_names(mangled):
    """Maps mangled names to short ones, such as kernel<arguments>, without parameters and the project's namespaces."""
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
    """Returns the kernels' resources, [{"Function Name": ..., "VGPRs": ...}], and the lines with warnings."""
    kernels, others = [], []
    for line in text.splitlines():
        match = re.search(r"remark: .*?\s*([A-Z][\w /\[\]]*): (\S+) \[-Rpass-analysis=kernel-resource-usage\]", line)
        if match:
            if match[1] == "Function Name":
                kernels.append({})
            kernels[-1][match[1].replace("TotalSGPRs", "SGPRs")] = match[2]
        elif "warning:" in line:
            others.append(line)
    return kernels, others


def summary(kernel):
    """Vector registers (+ accumulation registers) / bytes of shared memory / waves per SIMD, and spills if there are any."""
    number = lambda name: int(kernel.get(name, 0))
    registers = str(number("VGPRs")) + (f"+{number('AGPRs')}" if number("AGPRs") else "")
    text = f"{registers} / {number('LDS Size [bytes/block]')} / {number('Occupancy [waves/SIMD]')}"
    if number("VGPRs Spill") or number("ScratchSize [bytes/lane]"):
        text += f" **spills {number('VGPRs Spill')}, {number('ScratchSize [bytes/lane]')} bytes**"
    if number("SGPRs Spill"):
        text += f" ({number('SGPRs Spill')} scalars to vectors)"
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("architectures", nargs="+")
    parser.add_argument("--hipcc", default=os.environ.get("HIPCC", "hipcc"))
    arguments = parser.parse_args()
    good = True
    for architecture in arguments.architectures:
        if not knows_architecture(arguments.hipcc, architecture):
            parser.error(f"{arguments.hipcc} is not installed or does not support {architecture}")
    rows = {}  # (file, kernel) -> {architecture: summary}
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
                    good = good and kernel["VGPRs Spill"] == "0"
                    row = rows.setdefault((os.path.basename(source), names[kernel["Function Name"]]), {})
                    row[architecture] = summary(kernel)
    print("| file | kernel | " + " | ".join(arguments.architectures) + " |")
    print("|---|---|" + "---|" * len(arguments.architectures))
    for (source, name), row in sorted(rows.items()):
        print(f"| {source} | `{name}` | " + " | ".join(row.get(a, "") for a in arguments.architectures) + " |")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
