#!/usr/bin/env python3
"""Runs the AMD machine code of every HIP kernel in an emulator of the instruction set, and checks the results.

    PYTHONPATH=/path/to/tinygrad tests/isa/run_kernels.py gfx942 --hipcc /opt/rocm/bin/hipcc

The exit status is 0 if all checks pass, 1 if one fails, and 77 if this machine lacks what the checks need. At the end, the
script prints how many kernels ran, and which did not.
"""

import argparse
import ctypes
import importlib.util
import os
import subprocess
import sys
import tempfile
import time

SKIPPED = 77


def why_not(architecture, hipcc):
    """Why the checks cannot run on this machine, or None if they can."""
    from hipcc import knows_architecture
    for module in ("numpy", "tinygrad", "test.mockgpu.amd.emu"):
        try:
            found = importlib.util.find_spec(module) is not None
        except ImportError:
            found = False
        if not found:
            return f"no Python module {module}; put a clone of tinygrad's repository on PYTHONPATH"
    if not knows_architecture(hipcc, architecture):
        return f"{hipcc} is not installed or does not compile for {architecture}; see --hipcc"
    return None


def build_library(hipcc, architecture, folder):
    """Builds src/hip, host code and kernels, with the runtime of host.cpp. Reuses objects that are newer than their sources."""
    from hipcc import HOST_SOURCES, ROOT, SOURCES, compile_hip
    headers = [os.path.join(path, name) for top in ("include", "src/hip", "src/device") for path, _, names in os.walk(f"{ROOT}/{top}")
               for name in names if name.endswith(".h")]
    compiler = os.environ.get("CXX", "c++")
    objects = []
    for source in [*SOURCES, *HOST_SOURCES, f"{ROOT}/tests/isa/host.cpp"]:
        output = f"{folder}/{os.path.basename(source)}.{architecture}.o"
        objects.append(output)
        newest = max(os.path.getmtime(file) for file in [source, *headers])
        if os.path.exists(output) and os.path.getmtime(output) >= newest:
            continue
        if source in HOST_SOURCES:
            subprocess.run([compiler, "-std=c++20", "-O1", "-fPIC", f"-I{ROOT}/include", f"-I{ROOT}/src", "-c", source, "-o",
                            output], check=True)
        else:
            compile_hip(hipcc, architecture, source, output)
    library = f"{folder}/kernels.{architecture}.so"
    subprocess.run([compiler, "-shared", "-Wl,-Bsymbolic", "-o", library, *objects, "-lfmt"], check=True)
    return library


def to_bf16(x):
    """The bits of values that are bf16 already, or NaN."""
    import numpy as np
    return np.ascontiguousarray((np.asarray(x).view(np.uint32) >> 16).astype(np.uint16))


class EmulatedGpu:
    """The library for one architecture, with emulated launches."""

    def __init__(self, library, architecture):
        self._library = ctypes.CDLL(library)
        self._architecture = architecture
        self._code_objects = {}
        self._error = None
        self.bf16 = False
        self.kernels = set()
        self.launched = set()
        launch_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_uint),
                                       ctypes.POINTER(ctypes.c_uint), ctypes.c_uint, ctypes.POINTER(ctypes.c_void_p))
        self._launch_function = launch_type(self._launch)  # keeps the callback alive
        self._library.isa_set_launch(self._launch_function)
        list_type = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)
        self._library.isa_list_kernels(list_type(lambda _, name: self.kernels.add(name.decode())))

    def _launch(self, image, name, grid, block, shared, arguments):
        from code_object import CodeObject, unbundle
        try:
            if image not in self._code_objects:
                self._code_objects[image] = CodeObject(unbundle(image, self._architecture), self._architecture)
            self._code_objects[image].run(name.decode(), grid[:3], block[:3], shared, arguments)
            self.launched.add(name.decode())
            return 0
        except BaseException as error:  # an exception must not pass through C
            self._error = error
            return 1

    def call(self, operation, *arguments):
        """Calls an operation of host.cpp. Passes numpy arrays as pointers, and numpy scalars and Python ints by value. If
        self.bf16, passes matrices as bf16 and converts them back."""
        import numpy as np
        converted, halves = [], []
        for argument in arguments:
            if argument is None:
                converted.append(ctypes.c_void_p(0))
            elif self.bf16 and getattr(argument, "is_matrix", False):
                halves.append((argument, to_bf16(argument)))
                converted.append(ctypes.c_void_p(halves[-1][1].ctypes.data))
            elif isinstance(argument, np.ndarray):
                converted.append(ctypes.c_void_p(argument.ctypes.data))
            elif isinstance(argument, np.generic):
                converted.append(np.ctypeslib.as_ctypes_type(argument.dtype)(argument.item()))
            else:
                converted.append(ctypes.c_int(argument))
        status = getattr(self._library, f"isa_{operation}")(*converted)
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        if status != 0 and not operation.startswith("set_"):
            raise RuntimeError(f"{operation} failed")
        for argument, half in halves:
            argument[...] = (half.astype(np.uint32) << 16).view(np.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("architecture", choices=["gfx90a", "gfx942", "gfx950", "gfx1100", "gfx1151", "gfx1201"])
    parser.add_argument("--hipcc", default=os.environ.get("HIPCC", "hipcc"))
    parser.add_argument("--only", default="", help="run only checks whose name contains this text")
    parser.add_argument("--build", help="folder in which to keep compiled sources")
    arguments = parser.parse_args()
    reason = why_not(arguments.architecture, arguments.hipcc)
    if reason:
        print(f"skipped: {reason}")
        return SKIPPED

    import operations
    from code_object import CannotEmulate
    from resources import short_names
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.build or temporary
        os.makedirs(folder, exist_ok=True)
        gpu = EmulatedGpu(build_library(arguments.hipcc, arguments.architecture, folder), arguments.architecture)
        failed = 0
        for name, check in operations.all_checks():
            if arguments.only not in name:
                continue
            begin = time.monotonic()
            try:
                error, tolerance = check(gpu)
                verdict, result = "ok" if error < tolerance else "FAIL", f"{error:.1e}"
            except CannotEmulate as exception:
                verdict, result = "skip", str(exception)
            except Exception as exception:
                verdict, result = "FAIL", f"{type(exception).__name__}: {exception}"
            failed += verdict == "FAIL"
            print(f"{arguments.architecture} {verdict:4} {name}: {result}  ({time.monotonic() - begin:.1f} s)", flush=True)
        names = short_names(sorted(gpu.kernels))
        idle = sorted(names[kernel] for kernel in gpu.kernels - gpu.launched)
        print(f"{arguments.architecture}: {len(gpu.launched)} of {len(gpu.kernels)} kernels ran, {failed} checks failed")
        if not arguments.only and idle:
            print("not run: " + ", ".join(idle))
        return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
