#!/usr/bin/env python3
"""Draws the figures of the guide's chapters 11 to 15: SVG files beside the chapters, in colours for light and dark pages.

    scripts/make_gpu_figures.py             # writes them
    scripts/make_gpu_figures.py --check     # compares them with the files, and writes nothing

Times and speeds come from runs whose command and machine the figure or its chapter names. Needs only Python's standard library.
"""

import argparse
import math
import sys

from make_figures import ROOT, Figure


def gpu():
    """A GPU, a compute unit and a wave (src/platform/emulated)."""
    f = Figure(408, "A GPU has many compute units; a compute unit has four SIMDs and one LDS; a SIMD runs a wave of 64 lanes")
    f.text(20, 28, "GPU", "bold")
    for i in range(24):
        style = "warm" if i == 9 else "plain"
        f.box(20 + 33 * (i % 6), 42 + 33 * (i // 6), 27, 27, style, 3)
    f.text(20, 192, "compute units (an MI300X has 304)", "small muted")
    f.labelled(20, 206, 192, 34, "L2 cache", style="cool")
    f.labelled(20, 256, 192, 40, "device memory", "every lane sees it", style="box", text="bold")
    f.text(20, 318, "a trip here and back:", "small muted")
    f.text(20, 335, "several hundred clocks", "small orange")
    f.path([(148, 75), (250, 20)], "line dash")
    f.path([(148, 102), (250, 190)], "line dash")
    f.box(250, 20, 490, 320, "warm", 8)
    f.text(266, 44, "compute unit: runs whole blocks", "bold")
    for i in range(4):
        x = 266 + 116 * i
        f.box(x, 58, 106, 176, "plain")
        f.text(x + 53, 78, f"SIMD {i}", "small bold", "middle")
        for w in range(4):
            used = w < (3, 2, 3, 2)[i]
            f.box(x + 8, 88 + 24 * w, 90, 19, "box" if used else "plain", 3)
            if used:
                f.text(x + 53, 102 + 24 * w, f"wave {i + 4 * w}", "small blue", "middle")
        f.text(x + 53, 206, "registers:", "small muted", "middle")
        f.text(x + 53, 223, "512 a lane", "small muted", "middle")
    f.labelled(266, 248, 454, 40, "LDS, or shared memory: 64 KB in 32 banks", "each block has its part; tens of clocks away", style="cool",
               text="bold")
    f.text(266, 312, "Again and again, a SIMD picks one of its waves that is not waiting,", "small")
    f.text(266, 329, "and runs that wave's next instruction for all of its lanes.", "small")
    f.text(20, 372, "wave 0", "bold")
    for lane in range(64):
        f.box(84 + 10.25 * lane, 360, 8.4, 14, "box", 1)
    f.text(84, 394, "lane 0", "small muted")
    f.text(738, 394, "lane 63", "small muted", "end")
    f.text(400, 394, "one instruction, 64 numbers", "small muted", "middle")
    return f


def lines():
    """The lines that one read of a wave touches (src/platform/emulated)."""
    f = Figure(340, "A wave that reads 64 neighbours touches 2 lines of 128 bytes; a wave that reads a column touches 64")
    cell, left = 10.5, 64
    f.text(20, 28, "lane l reads x[l]: 64 neighbours, 256 bytes, 2 lines", "bold")
    for lane in range(64):
        f.box(left + cell * lane, 42, cell - 2, 16, "cell", 1)
    for i in range(2):
        x = left + 32 * cell * i
        f.box(x - 1, 64, 32 * cell - 3, 20, "cool", 3)
        f.text(x + 16 * cell, 78, f"line {i}: 128 of 128 bytes wanted", "small", "middle")
    f.text(20, 128, "lane l reads x[l, 0]: the first element of 64 rows of 128, 64 lines", "bold")
    for row in range(6):
        y = 144 + 26 * row + (12 if row == 5 else 0)
        f.text(56, y + 13, f"row {row if row < 5 else 63}", "small muted", "end")
        for i in range(4):
            f.box(left + 16 * cell * i, y, 16 * cell - 3, 18, "cool" if i == 0 else "plain", 3)
        f.box(left, y, cell - 2, 18, "cell", 1)
        if row < 5:
            f.text(left + 16 * cell + 8 if row else left + 16, y + 13, "4 of 128 bytes wanted" if row == 0 else "", "small")
        if row == 4:
            f.text(left + 4, y + 32, "…", "bold")
    f.text(left + 16 * cell + 8, 144 + 26 * 5 + 25, "another line of the row: not touched in this round", "small muted")
    f.text(20, 326, "The second read moves 8,192 bytes to deliver 256: 3 %.", "")
    return f


def banks():
    """A column of a tile with rows of 32 and of 33 words (src/platform/emulated)."""
    f = Figure(286, "A column of a tile with rows of 32 words lies in one bank; with rows of 33 words it crosses all banks")
    for n, pitch in enumerate((32, 33)):
        x0, size = 84 + 346 * n, 33
        f.text(x0, 28, f"tile[8][{8 if pitch == 32 else 9}], 8 banks", "bold")
        for bank in range(8):
            f.text(x0 + size * bank + 15, 50, bank, "small muted", "middle")
        f.text(x0 - 8, 50, "bank", "small muted", "end")
        width = 8 if pitch == 32 else 9
        for word in range(8 * 8 + (0 if width == 8 else 7)):
            row, column = word // width, word % width
            x, y = x0 + size * (word % 8), 58 + 21 * (word // 8)
            if column == 8:
                f.box(x, y, size - 3, 18, "plain", 2)
                continue
            f.box(x, y, size - 3, 18, "warm" if column == 2 else "box", 2)
            f.text(x + 15, y + 13, f"{row},{column}", "small bold orange" if column == 2 else "small muted", "middle")
        f.text(x0, 262, "column 2: one bank, 8 turns" if n == 0 else "column 2: eight banks, 1 turn", "bold orange")
    f.text(84, 280, "Drawn with 8 banks; the hardware has 32, and the tiles are [32][32] and [32][33].", "small muted")
    return f


def layernorm_ladder():
    """What a wave reads in each rung (src/hip)."""
    f = Figure(322, "Which lane reads which element of x in the four rungs of LayerNorm")
    rungs = [("1", "a thread a row", "lane l reads row l", "64 lines", "3 times"),
             ("2", "a team a row", "32 lanes read 32 neighbours", "2 lines", "3 times"),
             ("3", "16-byte loads", "32 lanes read 128 neighbours", "8 lines, four numbers a lane", "3 times"),
             ("4", "the row in registers", "as rung 3, and keeps what it read", "8 lines, four numbers a lane", "once")]
    for n, (number, name, what, cost, times) in enumerate(rungs):
        y = 20 + 74 * n
        f.add(f'<circle class="green" cx="34" cy="{y + 24}" r="14"/>')
        f.text(34, y + 29, number, "bold white", "middle")
        f.text(60, y + 20, name, "bold")
        f.text(60, y + 40, what, "small muted")
        for row in range(4):
            for i in range(32):
                if n == 0:
                    style = "cell" if i == 0 else "plain"
                elif n == 1:
                    style = "cell" if row < 2 and i < 8 else "plain"
                else:
                    style = "cell" if row < 2 else "plain"
                f.box(290 + 8 * i, y + 2 + 12 * row, 6.6, 10, style, 1)
        f.text(560, y + 20, cost, "small orange" if n == 0 else "small")
        f.text(560, y + 40, f"reads each x {times}", "small" if n < 3 else "small green")
    f.text(60, 316, "blue: what one instruction of a wave of 64 reads, of four rows of 128; a cell is four numbers", "small muted")
    return f


def tiles():
    """A block's tile of a product (src/hip)."""
    f = Figure(330, "A block computes one tile of C from a band of A and a band of B, one step along k at a time")
    ax, ay, bx, by, size = 60, 118, 300, 20, 180
    f.box(ax, ay, 200, size, "plain")
    f.text(ax + 8, ay + 172, "A [m,k]", "bold")
    f.box(bx, by, size, 86, "plain")
    f.text(bx + 8, by + 20, "B [k,n]", "bold")
    f.box(bx, ay, size, size, "plain")
    f.text(bx + 8, ay + 172, "C [m,n]", "bold")
    f.box(ax, ay + 60, 200, 45, "box")
    f.box(bx + 90, by, 45, 86, "box")
    f.box(ax + 50, ay + 60, 40, 45, "warm")
    f.box(bx + 90, by + 22, 45, 17, "warm")
    f.box(bx + 90, ay + 60, 45, 45, "cool")
    f.arrow([(ax + 50, ay + 116), (ax + 130, ay + 116)], "sorange", "orange")
    f.text(ax + 136, ay + 121, "steps along k", "small orange")
    f.text(494, 60, "One step of a 128 x 128 tile:", "bold")
    for i, (text, style) in enumerate([("reads 128·16 + 16·128 = 4,096", ""), ("multiplies 128·128·16 = 262,144", ""),
                                       ("64 times for each number read", "green"), ("", ""),
                                       ("orange: in shared memory, this step", "small orange"),
                                       ("green: the sums, in registers", "small green"),
                                       ("blue: what the block reads in all steps", "small blue")]):
        f.text(494, 84 + 22 * i, text, style)
    f.text(60, 318, "Without tiles, each multiply-add reads both of its numbers from memory: 128 times as many reads.", "small muted")
    return f


PEAK, MATRIX, MEMORY = 67.0, 165.0, 4.3  # an H200 in fp32: TFLOP/s, TFLOP/s of matrix cores in three tf32 products, TB/s by copying
# name, FLOP for each byte of memory, TFLOP/s: the measurements at the heads of the files in src/hip.
KERNELS = [("AdamW", 15 / 28, 0.99 * 4.3 * 15 / 28, 10, 14, "start"), ("row x head", 0.5, 4.0 * 0.5, -12, -6, "end"),
           ("LayerNorm", 1.0, 0.83 * 4.3, 10, 14, "start"), ("cross-entropy", 1.0, 0.94 * 4.3, -10, -6, "end"),
           ("attention, T=256", 256 / 8, 25, 0, 20, "middle"), ("attention, T=1024", 1024 / 8, 30, -4, 20, "start"),
           ("products, plain", 683, 37, -10, 12, "end"), ("products, matrix cores", 683, 51, -10, 2, "end")]


def roofline():
    """The roofline of an H200 in fp32 with a dot for each kernel (src/hip)."""
    f = Figure(440, "The roofline of an H200 in fp32: speed over operations per byte, with a dot for each kernel of src/hip")
    left, right, top, bottom = 70, 735, 24, 372

    def x(intensity):
        return left + (right - left) * (math.log10(intensity) + 1) / 4.2

    def y(speed):
        return bottom - (bottom - top) * (math.log10(speed) + 0.5) / 2.9

    for v in (0.1, 1, 10, 100, 1000):
        f.path([(x(v), top), (x(v), bottom)], "thin")
        f.text(x(v), bottom + 18, f"{v:g}", "small muted", "middle")
    for v in (1, 10, 100):
        f.path([(left, y(v)), (right, y(v))], "thin")
        f.text(left - 8, y(v) + 5, f"{v:g}", "small muted", "end")
    f.text((left + right) / 2, bottom + 38, "FLOP for each byte of device memory", "", "middle")
    f.text(16, top - 6, "TFLOP/s", "small muted")
    knee = PEAK / MEMORY
    f.path([(x(0.1), y(0.1 * MEMORY)), (x(knee), y(PEAK)), (x(1500), y(PEAK))], "sblue")
    f.path([(x(knee), y(PEAK)), (x(MATRIX / MEMORY), y(MATRIX)), (x(1500), y(MATRIX))], "sgreen dash")
    f.text(x(0.24), y(0.24 * MEMORY) + 20, "4.3 TB/s", "bold blue")
    f.text(x(1500), y(PEAK) - 7, "67 TFLOP/s", "bold blue", "end")
    f.text(x(1500), y(MATRIX) - 7, "matrix cores: 165", "bold green", "end")
    f.path([(x(knee), y(PEAK)), (x(knee), bottom)], "line dash")
    f.text(x(knee) + 6, bottom - 8, f"knee: {knee:.0f} FLOP a byte", "small")
    for name, intensity, speed, dx, dy, anchor in KERNELS:
        f.add(f'<circle class="orange" cx="{x(intensity):.4g}" cy="{y(speed):.4g}" r="5"/>')
        f.text(x(intensity) + dx, y(speed) + dy, name, "small", anchor)
    f.text(left, 430, "Measured on one H200; the heads of the files in src/hip give shapes and speeds.", "small muted")
    return f


def mfma():
    """Which lane holds which element of v_mfma_f32_16x16x4_f32 (src/hip)."""
    f = Figure(414, "Which lane holds which element of A, B and C in one v_mfma_f32_16x16x4_f32")
    size, ax, ay, bx, by = 17, 70, 128, 200, 40
    for row in range(16):
        for k in range(4):
            mine = 16 * k + row == 37
            f.box(ax + (size + 3) * k, ay + size * row, size + 2, size - 1, "warm" if mine else "plain", 1)
            f.text(ax + (size + 3) * k + 10, ay + size * row + 12, 16 * k + row, "small bold orange" if mine else "small muted", "middle")
    for k in range(4):
        for column in range(16):
            mine = 16 * k + column == 37
            f.box(bx + 26 * column, by + size * k, 25, size - 1, "warm" if mine else "plain", 1)
            f.text(bx + 26 * column + 12, by + size * k + 12, 16 * k + column, "small bold orange" if mine else "small muted", "middle")
    for row in range(16):
        for column in range(16):
            lane = 16 * (row // 4) + column
            f.box(bx + 26 * column, ay + size * row, 25, size - 1, "warm" if lane == 37 else "cool" if row // 4 == 2 else "plain", 1)
            f.text(bx + 26 * column + 12, ay + size * row + 12, lane, "small bold orange" if lane == 37 else "small muted", "middle")
    f.text(ax, 112, "A [16,4]", "bold")
    f.text(bx, 28, "B [4,16]", "bold")
    f.text(630, 140, "C [16,16]", "bold")
    f.text(630, 168, "The numbers are", "small muted")
    f.text(630, 185, "lanes. Lane 37 has", "small muted")
    f.text(630, 202, "one element of A,", "small orange")
    f.text(630, 219, "one of B and four", "small orange")
    f.text(630, 236, "of C, in registers", "small orange")
    f.text(630, 253, "0 to 3.", "small orange")
    return f


def online_softmax():
    """Attention's tiles sweep a triangle, and each row keeps m, l and O (src/hip)."""
    f = Figure(330, "The tiles of attention sweep the triangle of scores; each row keeps its largest score, its sum and its output")
    x0, y0, size = 70, 56, 30
    f.text(20, 28, "scores of one head: 8 tiles of queries, 8 of keys", "bold")
    for row in range(8):
        for column in range(8):
            now = row == 5 and column == 3
            done = row == 5 and column < 3
            style = "warm" if now else "box" if done else "plain" if column <= row else ""
            if style:
                f.box(x0 + size * column, y0 + size * row, size - 2, size - 2, style, 2)
    f.text(x0 - 8, y0 + size * 5 + 19, "queries", "small muted", "end")
    f.text(x0 + size * 3 + 14, y0 - 8, "keys", "small muted", "middle")
    f.arrow([(x0 + 4, y0 + size * 8 + 14), (x0 + size * 6, y0 + size * 8 + 14)], "sorange", "orange")
    f.text(x0 + size * 6 + 8, y0 + size * 8 + 19, "a block walks along its row of tiles", "small orange")
    f.text(340, 84, "one row of scores, a number at a time:  1, 3, 2, 5", "bold")
    header = ("score", "m", "old sum times", "l")
    m, l, rows = -math.inf, 0.0, []
    for s in (1, 3, 2, 5):
        top = max(m, s)
        factor = math.exp(m - top)
        l = l * factor + math.exp(s - top)
        m = top
        rows.append((f"{s}", f"{m}", "" if len(rows) == 0 else f"e^{round(math.log(factor))} = {factor:.3f}", f"{l:.4f}"))
    columns = (380, 450, 560, 690)
    for i, text in enumerate(header):
        f.text(columns[i], 116, text, "small muted", "middle")
    for n, row in enumerate(rows):
        for i, text in enumerate(row):
            f.text(columns[i], 142 + 26 * n, text, "bold orange" if i == 1 and n in (1, 3) else "mono", "middle")
    f.text(340, 262, f"all at once: e^-4 + e^-2 + e^-3 + e^0 = {sum(math.exp(s - 5) for s in (1, 3, 2, 5)):.4f}", "")
    f.text(340, 284, "the same, and no score was kept", "small green")
    return f


def step():
    """A training step of GPT-2 in fp32 on an H200, added up from the speeds of its kernels (src/hip)."""
    B, T, E, L, V, parameters = 8, 1024, 768, 12, 50257, 124439808
    R, layer = B * T, E * 3 * E + E * E + 2 * E * 4 * E
    products, memory = 51e12, MEMORY * 1e12  # the median of tests/bench's products; by copying
    rows = [("products of the layers", 6 * R * L * layer / products), ("products of the head", 6 * R * V * E / products),
            ("attention, backward", 5 * T * T * E * B * L / 22e12), ("attention, forward", 2 * T * T * E * B * L / 30e12),
            ("cross-entropy", 8 * R * V / (0.63 * memory)), ("AdamW", 28 * parameters / (0.99 * memory)),
            ("LayerNorm, backward", 16 * R * E * 2 * L / (0.70 * memory)), ("LayerNorm, forward", 16 * R * E * 2 * L / (0.85 * memory))]
    total = sum(seconds for _, seconds in rows)
    f = Figure(296, "The parts of a training step of GPT-2 on an H200 in fp32: products of layers and head, attention, and the rest")
    f.text(20, 28, f"GPT-2, B = 8, T = 1,024, fp32, H200: {1e3 * total:.0f} ms", "bold")
    for i, (name, seconds) in enumerate(rows):
        y, bound = 46 + 27 * i, "blue" if i < 4 else "green"
        f.text(190, y + 14, name, "", "end")
        f.box(200, y, max(2, 4.6 * 1e3 * seconds), 18, bound, 2)
        f.text(208 + 4.6 * 1e3 * seconds, y + 14, f"{1e3 * seconds:.1f} ms, {100 * seconds / total:.1f} %", "small muted")
    f.text(200, 284, "blue: bound by arithmetic", "small blue")
    f.text(380, 284, "green: bound by memory", "small green")
    return f


FIGURES = {"src/platform/emulated/gpu.svg": gpu, "src/platform/emulated/lines.svg": lines, "src/platform/emulated/banks.svg": banks,
           "src/hip/layernorm_ladder.svg": layernorm_ladder, "src/hip/tiles.svg": tiles, "src/hip/roofline.svg": roofline,
           "src/hip/mfma.svg": mfma, "src/hip/online_softmax.svg": online_softmax, "src/hip/step.svg": step}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only compare the figures with their files")
    arguments = parser.parse_args()
    wrong = []
    for name, draw in FIGURES.items():
        svg = draw().svg()
        if not arguments.check:
            (ROOT / name).write_text(svg, encoding="utf-8")
        elif not (ROOT / name).exists() or (ROOT / name).read_text(encoding="utf-8") != svg:
            wrong.append(name)
    if wrong:
        sys.exit(f"make_gpu_figures.py: these figures are not what the script draws; run it again: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
