"""Reads AMD code objects and runs their kernels, instruction by instruction.

LLVM's "User Guide for AMDGPU Backend" specifies the format. A code object is an ELF file with segments to load, a symbol `NAME.kd`
for the descriptor of each kernel, and a note with metadata in MessagePack. The emulator of AMD's instruction sets in tinygrad's
repository (module test.mockgpu.amd.emu) runs the instructions. It must be on PYTHONPATH.
"""

import ctypes
import mmap
import struct


def read_message_pack(data, at=0):
    """Returns (value, position after it). Supports the part of MessagePack that the metadata use."""
    first = data[at]
    at += 1

    def number(size):
        return int.from_bytes(data[at:at + size], "big"), at + size

    def text(length, start):
        return data[start:start + length].decode(), start + length

    def items(count, start):
        values = []
        for _ in range(count):
            value, start = read_message_pack(data, start)
            values.append(value)
        return values, start

    def pairs(count, start):
        flat, end = items(2 * count, start)
        return dict(zip(flat[::2], flat[1::2])), end

    if first <= 0x7f: return first, at
    if first <= 0x8f: return pairs(first & 0x0f, at)
    if first <= 0x9f: return items(first & 0x0f, at)
    if first <= 0xbf: return text(first & 0x1f, at)
    if first in (0xc2, 0xc3): return first == 0xc3, at
    if first in (0xcc, 0xcd, 0xce, 0xcf): return number(1 << (first - 0xcc))
    if first in (0xd9, 0xda): return text(*number(1 << (first - 0xd9)))
    if first in (0xdc, 0xdd): return items(*number(2 << (first - 0xdc)))
    if first in (0xde, 0xdf): return pairs(*number(2 << (first - 0xde)))
    raise ValueError(f"MessagePack type {first:#x}")


class CannotEmulate(Exception):
    """A kernel needs a feature of GPUs that the emulator or this loader lacks."""


def unbundle(image, architecture):
    """The code object for an architecture, from the bundle that hipcc puts at the address `image`."""
    magic = b"__CLANG_OFFLOAD_BUNDLE__"
    if ctypes.string_at(image, len(magic)) != magic:
        raise ValueError("no bundle of code objects, or a compressed one")
    count, = struct.unpack("<Q", ctypes.string_at(image + 24, 8))
    at = image + 32
    for _ in range(count):
        offset, size, length = struct.unpack("<QQQ", ctypes.string_at(at, 24))
        target = ctypes.string_at(at + 24, length).decode()
        if target.endswith("-" + architecture):
            return ctypes.string_at(image + offset, size)
        at += 24 + length
    raise KeyError(f"no code object for {architecture}")


# On a GPU, an inactive lane does not read shared memory. In the emulator it does, at any address that its register holds. So
# shared memory is at the start of a mapping as large as 32 bits can address.
_shared_memory = mmap.mmap(-1, (1 << 32) + (1 << 20), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0))


class _ZeroSums:
    """A context of the emulator's compiler for WMMA instructions. If the sums are the constant 0, the emulator would read vector
    registers with the constant's number. Here that number becomes one beyond all registers, which reads as 0."""

    def __init__(self, context, sums_field):
        self._context, self._sums_field = context, sums_field

    def __getattr__(self, name):
        return getattr(self._context, name)

    def inst_field(self, field):
        value = self._context.inst_field(field)
        return (value >= 256).where(value, value + 512) if field is self._sums_field else value

    def rvgpr_dyn(self, register, lane, valid=None):
        return self._context.rvgpr_dyn(register, lane, register < 256 if valid is None else valid)


def emulate(emulator, *arguments):
    """Calls the emulator's run_asm with _shared_memory as its shared memory, the first buffer it requests without options."""
    if not hasattr(emulator, "original_compile_wmma"):
        emulator.original_compile_wmma = emulator._compile_wmma
        emulator._compile_wmma = lambda inst, ctx: emulator.original_compile_wmma(inst, _ZeroSums(ctx, type(inst).src2))
    original = emulator.Buffer
    address = ctypes.addressof(ctypes.c_char.from_buffer(_shared_memory))

    def make_buffer(*args, **options):
        if not options:
            emulator.Buffer = original
            options["options"] = emulator.BufferSpec(external_ptr=address)
        return original(*args, **options)

    emulator.Buffer = make_buffer
    try:
        return emulator.run_asm(*arguments)
    finally:
        emulator.Buffer = original


class CodeObject:
    def __init__(self, data, architecture):
        if data[:4] != b"\x7fELF":
            raise ValueError("a code object is an ELF file")
        self.architecture = architecture
        self._load(data)
        self._read_symbols(data)
        self.kernels = {kernel[".name"]: kernel for kernel in self._metadata(data)["amdhsa.kernels"]}

    def _load(self, data):
        offset, = struct.unpack_from("<Q", data, 32)
        count, = struct.unpack_from("<H", data, 56)
        # type, flags, offset, address, physical address, size in the file, size in memory, alignment
        self._segments = [struct.unpack_from("<IIQQQQQQ", data, offset + 56 * i) for i in range(count)]
        loaded = [s for s in self._segments if s[0] == 1]
        page = 4096
        size = max(s[3] + s[6] for s in loaded)
        # Includes a page after the last one, because a wave fetches instructions ahead.
        self._memory = ctypes.create_string_buffer(size + 2 * page)
        self._base = (ctypes.addressof(self._memory) + page - 1) // page * page
        for _, _, start, address, _, file_size, _, _ in loaded:
            ctypes.memmove(self._base + address, data[start:start + file_size], file_size)

    def _adapt(self, start, size):
        """Rewrites instructions of a function that the emulator does not support.

        The emulator has no caches and does not know RDNA's cache instructions, so s_nop replaces them. In CDNA's flat_load and
        flat_store, the field for a scalar base is zero, which the emulator interprets as s[0:1]; 0x7f means no base. The emulator
        knows the bf16 matrix instructions by the codes of gfx942; those of gfx90a are 6 higher (D3E6, D3E7 instead of D3E0, D3E1).
        """
        from tinygrad.renderer.amd import decode_inst
        family = emulated_family(self.architecture)
        words = (ctypes.c_uint32 * (size // 4)).from_address(start)
        at = 0
        while at < len(words):
            length = 0
            if family == "rdna3" and words[at] >> 16 in (0xe0ac, 0xe0b0):  # buffer_gl0_inv, buffer_gl1_inv
                length = 2
            elif family == "rdna4" and words[at] in (0xee0ac07c, 0xee0b007c):  # global_inv, global_wb
                length = 3
            if length:
                words[at:at + length] = [0xbf800000] * length
                at += length
                continue
            if self.architecture == "gfx90a" and words[at] >> 16 in (0xd3e6, 0xd3e7):
                words[at] -= 6 << 16
            instruction = decode_inst(ctypes.string_at(start + 4 * at, 16), family)
            if family == "cdna" and type(instruction).__name__ == "FLAT":
                words[at + 1] |= 0x7f << 16
            at += instruction.size() // 4

    def _read_symbols(self, data):
        offset, = struct.unpack_from("<Q", data, 40)
        count, = struct.unpack_from("<H", data, 60)
        # name, type, flags, address, offset, size, link, info, alignment, entry size
        sections = [struct.unpack_from("<IIQQQQIIQQ", data, offset + 64 * i) for i in range(count)]
        if any(s[1] == 4 and s[5] for s in sections):
            raise CannotEmulate("a code object with relocations")
        self._symbols = {}
        for section in sections:
            if section[1] != 11:  # dynamic symbols
                continue
            strings = sections[section[6]][4]
            for at in range(section[4], section[4] + section[5], 24):
                name, kind, _, _, address, size = struct.unpack_from("<IBBHQQ", data, at)
                end = data.index(b"\0", strings + name)
                self._symbols[data[strings + name:end].decode()] = address
                if kind & 15 == 2:
                    self._adapt(self._base + address, size)

    def _metadata(self, data):
        for kind, _, start, _, _, size, _, _ in self._segments:
            if kind != 4:
                continue
            name_size, description_size, note_type = struct.unpack_from("<III", data, start)
            if note_type == 32 and size > 0:
                begin = start + 12 + (name_size + 3) // 4 * 4
                return read_message_pack(data[begin:begin + description_size])[0]
        raise ValueError("a code object without metadata")

    def run(self, name, grid, block, dynamic_shared, arguments):
        """Runs a kernel on a grid of blocks. `arguments` holds the address of each argument, as in hipLaunchKernel."""
        from test.mockgpu.amd import emu
        kernel = self.kernels[name]
        descriptor = self._base + self._symbols[kernel[".symbol"]]
        shared, scratch = struct.unpack("<II", ctypes.string_at(descriptor, 8))
        shared += dynamic_shared
        entry, = struct.unpack("<q", ctypes.string_at(descriptor + 16, 8))
        resources2, properties, preloaded = struct.unpack("<IHH", ctypes.string_at(descriptor + 52, 8))
        if preloaded:
            raise CannotEmulate("arguments preloaded into registers")
        if scratch:
            raise CannotEmulate(f"the kernel uses {scratch} bytes of scratch memory, which the emulator's waves would share")
        packed = self._pack(kernel, grid, block, arguments)
        kernel_arguments = ctypes.create_string_buffer(packed, len(packed))
        dispatch = struct.pack("<HHHHHHIIIII", 0, 3, *block, 0, *(g * b for g, b in zip(grid, block)), scratch, shared)
        dispatch = ctypes.create_string_buffer(dispatch, 64)
        # The values that the hardware would put in the first scalar registers, if the kernel requests them.
        registers = []
        for bit, count, value in ((0, 4, 0), (1, 2, ctypes.addressof(dispatch)), (2, 2, 0),
                                  (3, 2, ctypes.addressof(kernel_arguments)), (4, 2, 0), (5, 2, 0), (6, 1, scratch)):
            if properties >> bit & 1:
                registers += [value >> 32 * i & 0xffffffff for i in range(count)]
        # Set the size of shared memory, in units of 512 bytes.
        resources2 = resources2 & ~(0x1ff << 15) | (shared + 511) // 512 << 15
        status = emulate(emu, descriptor + entry, 1 << 20, *grid, *block, ctypes.addressof(kernel_arguments), resources2,
                         scratch, emulated_family(self.architecture), registers)
        if status != 0:
            raise RuntimeError(f"the emulator failed with status {status}")

    @staticmethod
    def _pack(kernel, grid, block, arguments):
        """The memory from which a kernel reads its arguments, in the layout that its metadata specifies."""
        hidden = {"hidden_grid_dims": 3}
        for axis, blocks, threads in zip("xyz", grid, block):
            hidden[f"hidden_block_count_{axis}"] = blocks
            hidden[f"hidden_group_size_{axis}"] = threads
        packed = bytearray(kernel[".kernarg_segment_size"])
        explicit = 0
        for argument in kernel[".args"]:
            offset, size, kind = argument[".offset"], argument[".size"], argument[".value_kind"]
            if not kind.startswith("hidden_"):
                packed[offset:offset + size] = ctypes.string_at(arguments[explicit], size)
                explicit += 1
            elif kind in hidden:
                packed[offset:offset + size] = hidden[kind].to_bytes(size, "little")
        return bytes(packed)


def emulated_family(architecture):
    """The emulator's name for the instruction set of an architecture."""
    return {"gfx9": "cdna", "gfx11": "rdna3", "gfx12": "rdna4"}[architecture[:-2]]
