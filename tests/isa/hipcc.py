"""Compiles HIP sources of this project for one AMD GPU."""

import os
import re
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# The argument checks of the launchers, which run only on the host.
HOST_SOURCES = [f"{ROOT}/src/{name}.cpp" for name in ("device/check", "device/tensor", "util/number_text")]
SOURCES = sorted(f"{ROOT}/src/hip/{name}" for name in os.listdir(f"{ROOT}/src/hip")
                 if name.endswith(".cpp") and name != "hip_device.cpp")


def _run(hipcc, architecture, source, output, options=()):
    command = hipcc.split() + ["-x", "hip", f"--offload-arch={architecture}", *options, "-c", source, "-o", output]
    return subprocess.run(command, capture_output=True, text=True, env=dict(os.environ, HIP_PLATFORM="amd"))


def compile_hip(hipcc, architecture, source, output, options=()):
    """Compiles one file and returns the compiler's messages. Raises RuntimeError if it failed."""
    flags = ["-std=c++20", "-O3", "-fPIC", "-Wall", "-Wextra", f"-I{ROOT}/include", f"-I{ROOT}/src", *options]
    result = _run(hipcc, architecture, source, output, flags)
    if result.returncode != 0:
        raise RuntimeError(f"{source} does not compile for {architecture}:\n{result.stderr}")
    return result.stderr


def knows_architecture(hipcc, architecture):
    """Whether hipcc exists and compiles for the architecture."""
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/empty.cpp", "w") as file:
            file.write("\n")
        try:
            return _run(hipcc, architecture, file.name, f"{folder}/empty.o").returncode == 0
        except OSError:
            return False


def clang_version(hipcc):
    """The major version of the clang that hipcc calls, or 0 if it does not run."""
    try:
        output = subprocess.run(hipcc.split() + ["--version"], capture_output=True, text=True).stdout
    except OSError:
        return 0
    found = re.search(r"clang version (\d+)", output)
    return int(found[1]) if found else 0
