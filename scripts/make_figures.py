#!/usr/bin/env python3
"""Draws the figures of the guide: SVG files beside the chapters, in colours for light and dark pages.

    scripts/make_figures.py             # the figures that explain, by plain arithmetic
    scripts/make_figures.py RUN         # those and the figures of a run; RUN is a folder with the files that
                                        # scripts/make_figures.py --train BUILD RUN writes there in about ten minutes
    scripts/make_figures.py --check     # compares the first kind with the files, and writes nothing

Needs only Python's standard library. The figures of a run compute the model again in the plain Python of class Model: it is
the whole forward pass in 50 lines, and its log-probabilities must agree with those that generate prints.
"""

import argparse
import array
import html
import json
import math
import operator
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SENTENCE = "And the LORD spake unto Moses"
LONG = SENTENCE + ", saying, Speak unto the children of Israel, and say unto them, I am the LORD"
BEGINNING = "In the beginning God created the heaven and the"

STYLE = """
text{font:14px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:#1c2230}
.mono{font-family:ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace}
.small{font-size:12px}.big{font-size:16px;font-weight:600}.bold{font-weight:600}
.paper{fill:#fff}.muted{fill:#5b6472}.white{fill:#fff}
.blue{fill:#0b5cad}.orange{fill:#b3450b}.green{fill:#1a7a45}.gray{fill:#8b95a5}
.box{fill:#eef3fa;stroke:#9db4d3}.warm{fill:#fdf0e6;stroke:#dba77d}.cool{fill:#e9f6ee;stroke:#8cc4a3}.plain{fill:#f6f7f9;stroke:#c3cad5}
.cell{fill:#0b5cad;stroke:none}
.line{stroke:#8b95a5;fill:none;stroke-width:1.5}.thin{stroke:#d4d9e1;fill:none}
.bus{stroke:#0b5cad;fill:none;stroke-width:5}.sblue{stroke:#0b5cad;fill:none;stroke-width:2.2}
.sorange{stroke:#b3450b;fill:none;stroke-width:2.2}.sgreen{stroke:#1a7a45;fill:none;stroke-width:2.2}
.sgray{stroke:#8b95a5;fill:none;stroke-width:2.2}.dash{stroke-dasharray:5 4}
@media (prefers-color-scheme:dark){
text{fill:#e3e7ee}.paper{fill:#12161d}.muted{fill:#9ba5b4}.white{fill:#0d1117}
.blue{fill:#6cb0f5}.orange{fill:#f0955a}.green{fill:#62c78d}.gray{fill:#7d8795}
.box{fill:#1a2738;stroke:#48688f}.warm{fill:#33241a;stroke:#8f6240}.cool{fill:#16291f;stroke:#3f7a59}.plain{fill:#1b2029;stroke:#3a4351}
.cell{fill:#6cb0f5}
.line{stroke:#7d8795}.thin{stroke:#2c3440}.bus,.sblue{stroke:#6cb0f5}.sorange{stroke:#f0955a}.sgreen{stroke:#62c78d}.sgray{stroke:#7d8795}
}"""


class Figure:
    """An SVG of a width of 760 or less, written shape by shape."""

    def __init__(self, height, title, width=760):
        self.parts, self.width, self.height, self.title = [], width, height, title

    def add(self, text):
        self.parts.append(text)

    def text(self, x, y, text, style="", anchor="start"):
        kind = f' class="{style}"' if style else ""
        end = f' text-anchor="{anchor}"' if anchor != "start" else ""
        self.add(f'<text x="{x:.4g}" y="{y:.4g}"{kind}{end} xml:space="preserve">{html.escape(str(text), quote=False)}</text>')

    def box(self, x, y, width, height, style="box", radius=5):
        self.add(f'<rect class="{style}" x="{x:.4g}" y="{y:.4g}" width="{width:.4g}" height="{height:.4g}" rx="{radius}"/>')

    def labelled(self, x, y, width, height, *lines, style="box", text="", gap=17):
        self.box(x, y, width, height, style)
        for i, line in enumerate(lines):
            at = y + height / 2 + 5 + (i - (len(lines) - 1) / 2) * gap
            self.text(x + width / 2, at, line, text if i == 0 else "small muted", "middle")

    def path(self, points, style="line"):
        self.add(f'<path class="{style}" d="M' + "L".join(f"{x:.4g} {y:.4g}" for x, y in points) + '"/>')

    def arrow(self, points, style="line", fill="gray"):
        """A line with a head of 7 pixels at its end."""
        (x0, y0), (x1, y1) = points[-2], points[-1]
        length = math.hypot(x1 - x0, y1 - y0)
        u, v = (x1 - x0) / length, (y1 - y0) / length
        back = (x1 - 7 * u, y1 - 7 * v)
        self.path(points[:-1] + [back], style)
        corners = [(x1, y1), (back[0] - 4 * v, back[1] + 4 * u), (back[0] + 4 * v, back[1] - 4 * u)]
        self.add(f'<path class="{fill}" d="M' + "L".join(f"{x:.4g} {y:.4g}" for x, y in corners) + 'Z"/>')

    def cell(self, x, y, size, share):
        """A square of a heat map; share is from 0 to 1."""
        if share >= 0.005:
            self.add(f'<rect class="cell" x="{x:.4g}" y="{y:.4g}" width="{size:.4g}" height="{size:.4g}" '
                     f'fill-opacity="{share:.2f}"/>')

    def bars(self, x, y, rows, scale, step=24, style="blue", label=90, gap=8):
        """Rows of (name, value, text) as bars whose names end at x + label."""
        for i, (name, value, text) in enumerate(rows):
            at, start = y + i * step, x + label + gap
            length = abs(value) * scale
            kind = style if value >= 0 else "orange"
            self.text(x + label, at + 14, name, "mono", "end")
            self.box(start if value >= 0 else start - length, at + 2, max(length, 1), step - 8, kind, 2)
            self.text(start + (length if value >= 0 else 0) + 7, at + 14, text, "small muted")

    def svg(self):
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
                f'height="{self.height}" role="img">\n<title>{html.escape(self.title)}</title>\n<style>{STYLE}\n</style>\n'
                f'<rect class="paper" width="{self.width}" height="{self.height}" rx="8"/>\n'
                + "\n".join(self.parts) + "\n</svg>\n")


def shown(text):
    """A token as readers see it: a dot for a space, an arrow for a line end."""
    return text.replace(" ", "·").replace("\n", "⏎")


# ---- Figures by arithmetic ---------------------------------------------------------------------------------------


def way():
    """The guide as a metro map (src/README.md)."""
    f = Figure(420, "The chapters as three lines of a metro: the model, learning, the machine")
    lines = [("sblue", "blue", "the model, two hours", [("1", "One guess"), ("2", "Tokens"), ("3", "The loss"),
                                                       ("4", "A token's road"), ("6", "Attention"), ("7", "The head")]),
             ("sorange", "orange", "learning, a weekend", [("5", "LayerNorm"), ("8", "Backward"), ("9", "Learning"),
                                                          ("10", "Writing"), ("16", "To Llama")]),
             ("sgreen", "green", "the machine, a month", [("11", "A GPU"), ("12", "LayerNorm"), ("13", "Products"),
                                                         ("14", "Attention"), ("15", "A whole step")])]
    for n, (style, fill, name, stops) in enumerate(lines):
        y, end = 90 + 130 * n, 55 + 125 * (len(stops) - 1)
        f.text(80, y - 26, name, f"bold {fill}")
        f.path([(55, y), (end, y)], style)
        for i, (number, title) in enumerate(stops):
            f.add(f'<circle class="{fill}" cx="{55 + 125 * i}" cy="{y}" r="15"/>')
            f.text(55 + 125 * i, y + 5, number, "bold white", "middle")
            f.text(55 + 125 * i, y + 34, title, "small", "middle")
        if n < 2:
            f.arrow([(end, y + 42), (end, y + 60), (55, y + 60), (55, y + 114)], "line dash")
    f.text(20, 24, "Read along a line. Where you are short of time, get off at its end.", "muted")
    return f


def shift():
    """Inputs and targets are one text, shifted by one (src/data)."""
    f = Figure(176, "One row of a batch: five inputs, and the same tokens shifted by one as targets")
    tokens = ["And", " the", " LORD", " spake", " unto", " Moses"]
    f.text(96, 52, "inputs", "bold", "end")
    f.text(96, 132, "targets", "bold", "end")
    for i in range(5):
        x = 112 + 128 * i
        f.labelled(x, 30, 108, 34, shown(tokens[i]), style="box", text="mono")
        f.labelled(x, 110, 108, 34, shown(tokens[i + 1]), style="warm", text="mono")
        f.arrow([(x + 54, 64), (x + 54, 109)])
        if i:
            f.path([(x - 128 + 100, 110), (x + 12, 64)], "thin")
    f.text(112, 168, "position 0 sees one token, position 4 sees five: five questions in one row", "small muted")
    return f


def count(V=5000, S=32, E=128, L=2, F=256):
    """The default model's parameters, as (name, formula, number)."""
    return [("token embedding wte", "V·E", V * E), ("position embedding wpe", "S·E", S * E)] + [
        (name, formula, L * n) for name, formula, n in (
            ("LayerNorm 1", "2E", 2 * E), ("QKV", "E·3E + 3E", 3 * E * E + 3 * E), ("O", "E·E + E", E * E + E),
            ("LayerNorm 2", "2E", 2 * E), ("FF1", "E·F + F", E * F + F), ("FF2", "F·E + E", F * E + E))] + [
        ("head", "V·E + V", V * E + V)]


def bus():
    """The residual stream with the shapes of the default model and its parameters (src/model)."""
    f = Figure(560, "The residual stream of the default model, with the shape on every wire and the parameters in every box")
    f.text(20, 28, "R = 32 sequences · 32 tokens = 1,024 rows", "muted")
    x, right = 150, 330
    f.path([(x, 108), (x, 470)], "bus")
    f.labelled(60, 52, 180, 56, "tokens → wte + wpe", "640,000 + 4,096", text="bold")
    f.text(250, 72, "[1024] ids in,", "small muted")
    f.text(250, 90, "[1024,128] out", "small muted")
    f.text(x - 20, 190, "residual", "small blue", "end")
    f.text(x - 20, 207, "stream", "small blue", "end")
    f.text(x - 20, 224, "[1024,128]", "small blue", "end")
    rows = [(138, "warm", [("LN1", "256", 70), ("QKV", "49,536", 84), ("attention", "4 heads of 32", 104), ("O", "16,512", 70)],
             ["[1024,128]", "[1024,384]", "[1024,128]"]),
            (298, "cool", [("LN2", "256", 70), ("FF1", "33,024", 84), ("relu", "no parameters", 104), ("FF2", "32,896", 70)],
             ["[1024,128]", "[1024,256]", "[1024,256]"])]
    for y, style, boxes, wires in rows:
        at = 186
        f.arrow([(x, y + 25), (at, y + 25)])
        for i, (name, number, width) in enumerate(boxes):
            f.labelled(at, y, width, 50, name, number, style=style, text="bold")
            if i < 3:
                f.arrow([(at + width, y + 25), (at + width + 66, y + 25)])
                f.text(at + width + 33, y + 16, wires[i], "small muted", "middle")
            at += width + 66
        end = at - 66
        f.arrow([(end - 35, y + 50), (end - 35, y + 96), (x + 14, y + 96)])
        f.text((x + right) / 2 + 20, y + 90, "[1024,128]", "small muted", "middle")
        f.add(f'<circle class="paper" cx="{x}" cy="{y + 96}" r="12"/><circle class="sblue" cx="{x}" cy="{y + 96}" r="12"/>')
        f.text(x, y + 101, "+", "bold blue", "middle")
    f.path([(712, 130), (722, 130), (722, 402), (712, 402)])
    f.text(722, 424, "twice:", "small muted", "middle")
    f.text(722, 440, "L = 2", "small muted", "middle")
    f.labelled(60, 470, 180, 56, "head", "640,000 + 5,000", text="bold")
    f.arrow([(240, 498), (290, 498)])
    f.text(300, 503, "logits [1024,5000]", "")
    parts = count()
    layers = sum(n for _, _, n in parts[2:8])
    total = sum(n for _, _, n in parts)
    f.text(270, 540, f"644,096 + 2 · {layers // 2:,} + 645,000 = {total:,} parameters", "bold")
    return f


def layernorm():
    """A row before and after LayerNorm, and its gradient as projections (src/cpu)."""
    f = Figure(280, "A row before and after LayerNorm, and the two directions that its gradient gives up")
    row = [1.0, 3.0, 2.0, 6.0]
    mean = sum(row) / 4
    deviation = math.sqrt(sum((v - mean) ** 2 for v in row) / 4)
    normed = [(v - mean) / deviation for v in row]
    for x, name, values, scale in ((40, "x", row, 22), (250, "(x - mean) / deviation", normed, 40)):
        zero = 190
        f.text(x, 40, name, "bold")
        f.path([(x, zero), (x + 150, zero)])
        for i, v in enumerate(values):
            top = zero - max(v, 0) * scale
            f.box(x + 10 + 36 * i, top, 26, max(abs(v) * scale, 1), "blue", 2)
            f.text(x + 23 + 36 * i, top - 6 if v >= 0 else zero + abs(v) * scale + 15, f"{v:.2f}".rstrip("0").rstrip("."),
                   "small", "middle")
    f.path([(40, 190 - mean * 22), (190, 190 - mean * 22)], "sorange dash")
    f.text(194, 190 - mean * 22 + 4, "3", "small orange")
    f.text(40, 266, "mean 3, deviation 1.87", "small muted")
    f.text(250, 266, "mean 0, deviation 1", "small muted")
    cx, cy = 560, 170
    f.text(470, 40, "the gradient of a row", "bold")
    f.arrow([(cx, cy), (cx + 120, cy)], "sgray", "gray")
    f.text(cx + 124, cy + 5, "(1, 1, …)", "small muted")
    f.arrow([(cx, cy), (cx - 50, cy + 62)], "sgray", "gray")
    f.text(cx - 58, cy + 78, "x̂", "small muted", "middle")
    f.arrow([(cx, cy), (cx + 74, cy - 92)], "sorange", "orange")
    f.text(cx + 82, cy - 92, "g", "bold orange")
    f.arrow([(cx, cy), (cx, cy - 92)], "sblue", "blue")
    f.text(cx - 10, cy - 92, "dx", "bold blue", "end")
    f.path([(cx + 74, cy - 92), (cx, cy - 92)], "line dash")
    f.text(470, 266, "dx is g without its part along either gray arrow", "small muted")
    return f


def backward():
    """The computation graph of a small model, forward and backward (src/model)."""
    f = Figure(250, "Forward, every box keeps its input; backward, every box turns the gradient of its output into that of its input")
    names = [("LN", "[R,E]"), ("linear", "[E,V]"), ("softmax", "loss")]
    f.text(20, 28, "forward: values, left to right", "blue")
    f.text(20, 236, "backward: gradients of the loss, right to left", "orange")
    at = 120
    f.labelled(20, 104, 64, 50, "x", style="plain", text="bold")
    wires = [("x [R,E]", "dx = three terms"), ("h [R,E]", "dh = dz Wᵀ"), ("z [R,V]", "dz = p − y")]
    for i, (name, shape) in enumerate(names):
        x = 196 + 200 * i
        f.labelled(x, 96, 90, 66, name, shape, text="bold")
        start = 84 if i == 0 else x - 110
        f.arrow([(start, 114), (x, 114)], "sblue", "blue")
        f.arrow([(x, 146), (start, 146)], "sorange", "orange")
        f.text((start + x) / 2, 104, wires[i][0], "small blue", "middle")
        f.text((start + x) / 2, 168, wires[i][1], "small orange", "middle")
    f.arrow([(686, 129), (716, 129)], "sblue", "blue")
    f.text(720, 134, "L", "bold")
    f.arrow([(441, 162), (441, 192)], "sorange", "orange")
    f.text(441, 210, "dW = hᵀ dz", "small orange", "middle")
    f.arrow([(241, 162), (241, 192)], "sorange", "orange")
    f.text(241, 210, "dw, db", "small orange", "middle")
    f.text(441, 64, "W", "small blue", "middle")
    f.arrow([(441, 70), (441, 96)], "sblue", "blue")
    f.text(641, 64, "targets y", "small blue", "middle")
    f.arrow([(641, 70), (641, 96)], "sblue", "blue")
    return f


def llama():
    """A layer of GPT-2 and one of Llama (src/model)."""
    f = Figure(420, "A layer of GPT-2 and a layer of Llama side by side")
    left = ["LayerNorm: mean, deviation, w, b", "Q K V: a key for each query head", "positions: learned, added once", "attention, O", "+",
            "LayerNorm", "FF1, relu or gelu", "FF2", "+"]
    right = ["RMSNorm: root mean square, w", "Q K V: 4 query heads share a key", "RoPE: rotates Q and K, each layer", "attention, O", "+",
             "RMSNorm", "W1 and W3, silu as a gate", "FF2", "+"]
    for x, title, rows in ((30, "GPT-2", left), (410, "Llama", right)):
        f.text(x, 30, title, "big")
        f.path([(x + 20, 46), (x + 20, 402)], "bus")
        for i, (row, other) in enumerate(zip(rows, left)):
            y = 50 + 39 * i
            if row == "+":
                f.add(f'<circle class="paper" cx="{x + 20}" cy="{y + 16}" r="11"/>'
                      f'<circle class="sblue" cx="{x + 20}" cy="{y + 16}" r="11"/>')
                f.text(x + 20, y + 21, "+", "bold blue", "middle")
            else:
                changed = x > 100 and row != other
                f.labelled(x + 52, y, 260, 32, row, style="warm" if changed else "plain", text="small bold" if changed else "small")
    return f


def cache():
    """What a new token costs with and without a cache (src/generation)."""
    f = Figure(240, "Without a cache, the sixth token computes six rows; with it, one row and five keys and values read back")
    for x, title, cached in ((40, "without a cache: 6 rows", False), (420, "with a cache: 1 row", True)):
        f.text(x, 30, title, "bold")
        for i in range(6):
            for j in range(i + 1):
                new = i == 5 or not cached
                f.box(x + 26 * j, 46 + 26 * i, 22, 22, "blue" if new else "plain", 3)
        f.text(x + 180, 46 + 15, "row i: token i looks at", "small muted")
        f.text(x + 180, 46 + 32, "tokens 0 … i", "small muted")
        f.text(x, 226, "blue: computed for the sixth token" if not cached else "blue: computed; the keys and values it meets are kept",
               "small muted")
    return f


# ---- The model in plain Python -----------------------------------------------------------------------------------


def dot(a, b):
    return sum(map(operator.mul, a, b))


class Model:
    """A checkpoint of the default architecture, and its forward pass over one sequence, with everything on the way."""

    def __init__(self, folder):
        data = (folder / "gpt_checkpoint.bin").read_bytes()
        size = int.from_bytes(data[:8], "little")
        self.w = {}
        for name, entry in json.loads(data[8:8 + size]).items():
            if name != "__metadata__" and entry["dtype"] == "F32":
                begin, end = entry["data_offsets"]
                values = array.array("f", data[8 + size + begin:8 + size + end])
                if len(entry["shape"]) == 2:
                    width = entry["shape"][1]
                    values = [values[i:i + width] for i in range(0, len(values), width)]
                self.w[name.removeprefix("transformer.")] = values
        self.H, self.L = 4, 2
        spelling = json.loads((folder / "tokenizer.json").read_text())["model"]
        self.merges = spelling["merges"]
        printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
        byte_of = {chr(b): b for b in printable}
        byte_of.update({chr(256 + i): b for i, b in enumerate(b for b in range(256) if b not in printable)})
        self.text = {i: bytes(byte_of[c] for c in t).decode(errors="replace") for t, i in spelling["vocab"].items()}

    def linear(self, rows, name):
        columns = list(zip(*self.w[name + ".weight"]))
        return [[dot(row, column) + b for column, b in zip(columns, self.w[name + ".bias"])] for row in rows]

    def layernorm(self, rows, name):
        result = []
        for row in rows:
            mean = sum(row) / len(row)
            rstd = 1 / math.sqrt(sum((v - mean) ** 2 for v in row) / len(row) + 1e-5)
            result.append([(v - mean) * rstd * w + b for v, w, b in zip(row, self.w[name + ".weight"], self.w[name + ".bias"])])
        return result

    def forward(self, tokens):
        """Fills stream (after the embedding and each half layer), heads (probabilities) and votes (parts of the last row)."""
        E = len(self.w["wpe.weight"][0])
        D = E // self.H
        x = [[a + b for a, b in zip(self.w["wte.weight"][t], self.w["wpe.weight"][i])] for i, t in enumerate(tokens)]
        self.stream, self.heads = [("embedding", x)], []
        self.votes = [("token", self.w["wte.weight"][tokens[-1]]), ("position", self.w["wpe.weight"][len(tokens) - 1])]
        for l in range(self.L):
            qkv = self.linear(self.layernorm(x, f"h.{l}.ln_1"), f"h.{l}.attn.c_attn")
            out = [[] for _ in tokens]
            for h in range(self.H):
                q, k, v = ([row[p * E + h * D:p * E + (h + 1) * D] for row in qkv] for p in range(3))
                head = []
                for i in range(len(tokens)):
                    scores = [dot(q[i], k[j]) / math.sqrt(D) for j in range(i + 1)]
                    top = max(scores)
                    p = [math.exp(s - top) for s in scores]
                    p = [e / sum(p) for e in p]
                    head.append(p)
                    out[i] += [sum(p[j] * v[j][d] for j in range(i + 1)) for d in range(D)]
                self.heads.append(head)
                part = self.w[f"h.{l}.attn.c_proj.weight"][h * D:(h + 1) * D]
                self.votes.append((f"L{l} head {h}", [dot(out[-1][h * D:], column) for column in zip(*part)]))
            self.votes.append((f"L{l} O's bias", self.w[f"h.{l}.attn.c_proj.bias"]))
            x = [[a + b for a, b in zip(r, s)] for r, s in zip(x, self.linear(out, f"h.{l}.attn.c_proj"))]
            self.stream.append((f"attention {l}", x))
            hidden = self.linear(self.layernorm(x, f"h.{l}.ln_2"), f"h.{l}.mlp.c_fc")
            branch = self.linear([[max(v, 0.0) for v in row] for row in hidden], f"h.{l}.mlp.c_proj")
            self.votes.append((f"L{l} feed-forward", branch[-1]))
            x = [[a + b for a, b in zip(r, s)] for r, s in zip(x, branch)]
            self.stream.append((f"feed-forward {l}", x))

    def logits(self, row):
        return [dot(row, w) + b for w, b in zip(self.w["lm_head.weight"], self.w["lm_head.bias"])]

    def probabilities(self, row):
        z = self.logits(row)
        top = max(z)
        e = [math.exp(v - top) for v in z]
        total = sum(e)
        return [v / total for v in e]


class Run:
    """A folder that train() filled."""

    def __init__(self, folder):
        self.folder, self.model = folder, Model(folder)

    def generate(self, *arguments):
        output = subprocess.run(["./build/generate", *arguments], cwd=self.folder, check=True, capture_output=True, text=True)
        return output.stdout

    def sample(self, prompt, count, *arguments):
        return json.loads(self.generate("--json", "--prompt", prompt, "--num_tokens", str(count), "--logprobs", "5000",
                                        "--top_k", "0", *arguments))

    def metrics(self, name=""):
        folder = self.folder / "checkpoints" / name if name else self.folder
        return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]

    def losses(self, name, key):
        return [(r["step"], r[key]) for r in self.metrics(name) if key in r]


def train(build, folder):
    """Makes the runs that the figures show."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "build").exists():
        (folder / "build").symlink_to(build.resolve())
    (folder / "data").mkdir(exist_ok=True)
    text = (ROOT / "data/data.txt").read_bytes()
    (folder / "data/data.txt").write_bytes(text)
    (folder / "tiny.txt").write_bytes(text[:600])
    (folder / "last.txt").write_bytes(text[-410000:])
    chapters = text.decode().strip().split("\n\n")
    for file, kept in (("chapters.txt", lambda i: i % 10), ("tenth_chapters.txt", lambda i: not i % 10)):
        (folder / file).write_text("".join(c + "\n\n" for i, c in enumerate(chapters, 1) if kept(i)))
    for name, arguments in {
            "": [], "high": ["--lr", "0.1", "--steps", "300", "--eval-every", "100"],
            "overfit": ["--data-path", "tiny.txt", "--val-data-path", "last.txt", "--eval-every", "100", "--eval-batches", "20"],
            "small": ["--dim", "8", "--heads", "1", "--layers", "1", "--ff", "16"],
            "heads1": ["--heads", "1", "--eval-every", "1000"], "heads16": ["--heads", "16", "--eval-every", "1000"],
            "mixed": ["--vocab-size", "5000", "--data-path", "chapters.txt", "--val-data-path", "tenth_chapters.txt"],
            "seq1": ["--vocab-size", "512", "--dim", "64", "--seq", "1", "--batch", "1024", "--steps", "1500", "--eval-every", "100"],
            "seq32": ["--vocab-size", "512", "--dim", "64", "--steps", "1500", "--eval-every", "100"]}.items():
        own = ["--run-name", name] if name else []
        if name and "--vocab-size" not in arguments:
            own += ["--tokenizer", "tokenizer.json"]
        subprocess.run(["./build/train_gpt", *own, *arguments], cwd=folder, check=True)
    part = len(text) // 10
    with open(folder / "tenths.txt", "w", encoding="utf-8") as tenths:
        for i in range(10):
            (folder / "tenth.txt").write_bytes(text[i * part:(i + 1) * part])
            output = subprocess.run(["./build/generate", "--perplexity", "tenth.txt"], cwd=folder, check=True,
                                    capture_output=True, text=True).stdout
            tenths.write(next(line.split()[1] for line in output.splitlines() if line.startswith("perplexity")) + "\n")


# ---- Figures of a run ------------------------------------------------------------------------------------------


def guess(run):
    """The ten likeliest next tokens (src/generation)."""
    f = Figure(310, "The ten likeliest tokens after: In the beginning God created the heaven and the")
    top = run.sample(BEGINNING, 1, "--temp", "0")["logprobs"][0]["likeliest"]
    f.text(20, 32, BEGINNING + " …", "bold")
    f.bars(20, 48, [(shown(t["text"]), math.exp(t["logprob"]), f"{100 * math.exp(t['logprob']):.1f} %") for t in top[:10]], 9000)
    rest = 100 * (1 - sum(math.exp(t["logprob"]) for t in top[:10]))
    f.text(118, 302, f"the other 4,990 tokens share {rest:.1f} %", "small muted")
    return f


def merges(run):
    """How the bytes of " LORD" become one token (src/tokenizer)."""
    f = Figure(270, "Four merges join the five bytes of the word LORD and the space before it")
    rank = {a + b: i for i, (a, b) in enumerate(run.model.merges)}
    x = {c: 130 + 110 * i for i, c in enumerate("ĠLORD")}
    y = {"Ġ": 230, "L": 230, "O": 230, "R": 230, "D": 230}
    for a, b in (("Ġ", "L"), ("O", "R"), ("OR", "D"), ("ĠL", "ORD")):
        whole = a + b
        x[whole], y[whole] = (x[a] + x[b]) / 2, min(y[a], y[b]) - 62
        for part in (a, b):
            f.path([(x[part], y[part] - 17), (x[whole], y[whole] + 17)])
    for name, at in x.items():
        f.labelled(at - 34, y[name] - 17, 68, 34, name.replace("Ġ", "·"), style="warm" if len(name) == 1 else "box", text="mono")
        if len(name) > 1:
            f.text(at + 42, y[name] + 5, f"merge {rank[name]}", "small muted")
    f.text(20, 28, "one token, id " + str(next(i for i, t in run.model.text.items() if t == " LORD")), "bold")
    f.text(20, 262, "five bytes; · is the space", "small muted")
    return f


def ruler(run):
    """Losses on one scale, in bits per byte (src/data)."""
    f = Figure(250, "A ruler of losses, from knowing nothing to this model")
    tokens = array.array("H", (run.folder / "tokens.bin").read_bytes()[72:])
    cut = len(tokens) - int(len(tokens) * 0.1)
    training, validation = tokens[:cut], tokens[cut:]
    V = 5000
    unigram = [1] * V
    pairs, firsts = {}, [0] * V
    for t in training:
        unigram[t] += 1
    for a, b in zip(training, training[1:]):
        pairs[a, b] = pairs.get((a, b), 0) + 1
        firsts[a] += 1
    total = sum(unigram)
    alone = -sum(math.log(unigram[t] / total) for t in validation) / len(validation)
    # A pair that was never seen falls back on the token alone, with a weight of 20 occurrences.
    two = -sum(math.log((pairs.get((a, b), 0) + 20 * unigram[b] / total) / (firsts[a] + 20))
               for a, b in zip(validation, validation[1:])) / (len(validation) - 1)
    final = run.losses("", "val_loss")[-1][1]
    bytes_per_token = sum(len(run.model.text[t].encode()) for t in validation) / len(validation)
    marks = [("knows nothing: ln 5000", math.log(V), "gray"), ("counts tokens", alone, "orange"), ("counts pairs of tokens", two, "orange"),
             ("this model, validation", final, "blue"), ("this model, last batch", run.losses("", "loss")[-1][1], "blue")]
    f.text(20, 30, "nats per token, the last tenth of the King James Bible", "bold")
    for i, (name, loss, style) in enumerate(marks):
        y = 52 + 36 * i
        f.text(190, y + 15, name, "", "end")
        f.box(200, y + 1, loss * 42, 20, style, 2)
        f.text(200 + loss * 42 + 8, y + 16, f"{loss:.2f}   perplexity {math.exp(loss):,.0f}", "small muted")
    f.text(20, 242, f"a token of this text has {bytes_per_token:.2f} bytes: {final:.2f} nats per token are "
           f"{final / math.log(2) / bytes_per_token:.2f} bits per byte", "small muted")
    return f


def heads(run):
    """The attention of all eight heads (src/model)."""
    tokens = run.sample(LONG, 1, "--temp", "0")["prompt_tokens"]
    run.model.forward(tokens)
    T, size = len(tokens), 6.2
    f = Figure(456, "The attention of all eight heads of the default run over 26 tokens")
    for n, head in enumerate(run.model.heads):
        x, y = 20 + n % 4 * 186, 66 + n // 4 * 192
        f.text(x, y - 8, f"layer {n // 4}, head {n % 4}", "small bold")
        f.box(x, y, size * T, size * T, "plain", 0)
        for i, row in enumerate(head):
            for j, p in enumerate(row):
                f.cell(x + size * j, y + size * i, size, math.sqrt(p))
    ends = [run.losses(name, "val_loss")[-1][1] for name in ("heads1", "", "heads16")]
    f.text(20, 440, "validation loss after the default run with 1 head of 128 numbers: {:.2f}, 4 heads of 32: {:.2f}, 16 heads of 8: {:.2f}"
           .format(*ends), "small muted")
    f.text(20, 24, "Row i: where token i looks. Stronger is more, on a scale of square roots. The diagonal is the token itself.", "muted")
    return f


def lens(run):
    """What the model would say after each half layer (src/model)."""
    tokens = run.sample(SENTENCE, 1, "--temp", "0")["prompt_tokens"]
    run.model.forward(tokens)
    f = Figure(268, "The likeliest next token after each half layer, for each token of the sentence")
    f.text(20, 26, "If the model stopped here, what would come next? A frame: it did.", "muted")
    names = [shown(run.model.text[t]) for t in tokens]
    for i, name in enumerate(names):
        f.text(190 + 94 * i, 252, name, "mono bold", "middle")
    f.text(136, 252, "token", "small muted", "end")
    for r, (name, rows) in enumerate(run.model.stream):
        y = 200 - 39 * r
        f.text(136, y + 21, ("after " if r else "") + name, "small", "end")
        for i, row in enumerate(rows):
            p = run.model.probabilities(row)
            best = max(range(len(p)), key=p.__getitem__)
            right = i + 1 < len(tokens) and best == tokens[i + 1]
            f.box(146 + 94 * i, y, 88, 32, "plain", 4)
            f.add(f'<rect class="cell" x="{146 + 94 * i}" y="{y}" width="88" height="32" rx="4" fill-opacity="{0.55 * p[best]:.2f}"/>')
            if right:
                f.add(f'<rect class="sorange" x="{147 + 94 * i}" y="{y + 1}" width="86" height="30" rx="4"/>')
            f.text(190 + 94 * i, y + 14, shown(run.model.text[best]), "mono small", "middle")
            f.text(190 + 94 * i, y + 27, f"{100 * p[best]:.{0 if p[best] > 0.1 else 1}f} %", "small muted", "middle")
    return f


def votes(run):
    """Which part of the model said the next token (src/model)."""
    result = run.sample(LONG, 1, "--temp", "0")
    tokens, winner = result["prompt_tokens"], result["tokens"][0]
    run.model.forward(tokens)
    weight = run.model.w["lm_head.weight"]
    mean = [sum(column) / len(weight) for column in zip(*weight)]
    bias = run.model.w["lm_head.bias"]
    rows = [(name, dot(part, [a - b for a, b in zip(weight[winner], mean)])) for name, part in run.model.votes]
    # The bias of FF2 is part of its branch.
    rows.append(("head's bias", bias[winner] - sum(bias) / len(bias)))
    total = sum(value for _, value in rows)
    f = Figure(58 + 24 * len(rows) + 30, "What each part of the model added to the winning logit")
    f.text(20, 28, f"… them, I am the LORD → {shown(run.model.text[winner])!r}: its logit is {total:.2f} above the average token's", "bold")
    f.bars(20, 44, [(name, value, f"{value:+.2f}") for name, value in rows], 90, label=170, gap=30)
    logit = run.model.logits(run.model.stream[-1][1][-1])
    check = logit[winner] - sum(logit) / len(logit)
    assert abs(total - check) < 1e-3, (total, check)
    f.text(20, 58 + 24 * len(rows) + 14, f"the bars add up to {total:.2f}", "small muted")
    return f


def neighbours(run):
    """The nearest neighbours of some tokens in the table of embeddings (src/model)."""
    f = Figure(218, "Nearest neighbours of six tokens among the embeddings of the trained model")
    f.text(20, 26, "cosine between rows of wte, after training", "muted")
    table = run.model.w["wte.weight"]
    lengths = [math.sqrt(dot(row, row)) for row in table]
    for r, word in enumerate((" seven", " said", " gold", " thou", " king", " LORD")):
        i = next(i for i, text in run.model.text.items() if text == word)
        near = sorted(((dot(table[i], table[j]) / lengths[i] / lengths[j], j) for j in range(len(table)) if j != i), reverse=True)
        f.text(92, 58 + 28 * r, shown(word), "mono bold", "end")
        for n, (cosine, j) in enumerate(near[:5]):
            f.box(108 + 128 * n, 40 + 28 * r, 122, 24, "box" if cosine >= 0.7 else "plain", 4)
            f.text(114 + 128 * n, 57 + 28 * r, shown(run.model.text[j]), "mono small")
            f.text(224 + 128 * n, 57 + 28 * r, f"{cosine:.2f}", "small muted", "end")
    return f


def sizes(run):
    """The size of the rows of the residual stream (src/cpu)."""
    f = Figure(190, "The size of the residual stream after the embedding and after each half layer")
    tokens = run.sample(SENTENCE, 1, "--temp", "0")["prompt_tokens"]
    run.model.forward(tokens)
    f.text(20, 28, "root mean square of a row: the mean over six tokens, and the smallest to the largest", "muted")
    for i, (name, rows) in enumerate(run.model.stream):
        size = [math.sqrt(dot(row, row) / len(row)) for row in rows]
        mean, y = sum(size) / len(size), 42 + 28 * i
        f.text(150, y + 15, ("after " if i else "") + name, "small", "end")
        f.box(160, y + 3, 190 * mean, 16, "blue", 2)
        f.path([(160 + 190 * min(size), y + 11), (160 + 190 * max(size), y + 11)], "sorange")
        f.text(168 + 190 * max(size), y + 15, f"{mean:.2f}   ({min(size):.2f} to {max(size):.2f})", "small muted")
    return f


def pays(run):
    """Attention against none: sequences of 32 tokens and of 1 (src/model)."""
    f = Figure(230, "Validation loss with a context of 32 tokens and with a context of one")
    one, many = run.losses("seq1", "val_loss"), run.losses("seq32", "val_loss")
    chart(f, 20, 44, 480, 140, [("sgray", one), ("sblue", many)], 1500, 3, 5, "validation loss (V = 512, E = 64, 1,024 tokens a step)")
    f.text(520, 72, f"a context of 1: {one[-1][1]:.2f}", "bold muted")
    f.text(520, 92, "a token sees itself alone", "small muted")
    f.text(520, 140, f"a context of 32: {many[-1][1]:.2f}", "bold blue")
    f.text(520, 160, f"at step 100: {many[0][1]:.2f} against {one[0][1]:.2f}", "small muted")
    return f


def chart(f, x, y, width, height, series, xmax, ymin, ymax, title, note=""):
    """A small chart of lines: series of (style, points)."""
    f.text(x, y - 12, title, "bold")
    for i in range(5):
        value = ymin + (ymax - ymin) * i / 4
        at = y + height - height * i / 4
        f.path([(x + 26, at), (x + width, at)], "thin")
        f.text(x + 20, at + 4, f"{value:g}", "small muted", "end")
    for style, points in series:
        f.path([(x + 26 + (width - 26) * s / xmax, y + height - height * (min(max(v, ymin), ymax) - ymin) / (ymax - ymin))
                for s, v in points], style)
    f.text(x + 26, y + height + 16, "step 0", "small muted")
    f.text(x + width, y + height + 16, f"{xmax:,}", "small muted", "end")
    if note:
        f.text(x, y + height + 36, note, "small muted")


def learning(run):
    """Four curves (src/training)."""
    f = Figure(470, "Four learning curves: right, learning rate too high, overfit, too small")
    f.text(20, 24, "training loss", "small blue")
    f.text(112, 24, "validation loss", "small orange")
    places = [(20, 62), (395, 62), (20, 282), (395, 282)]
    high = run.losses("high", "loss")
    worst = max(v for _, v in high)
    titles = [("", "the default run", 1000, 2, 10, ""), ("high", "--lr 0.1: too high", 300, 0, 1000, ""),
              ("overfit", "600 bytes of text: learned by heart", 1000, 0, 24, ""), ("small", "E = 8, one layer: too small", 1000, 2, 10, "")]
    for (x, y), (name, title, steps, low, top, note) in zip(places, titles):
        if name == "high":
            top = 20 * math.ceil(worst / 20)
        last = run.losses(name, "loss")[-1][1], run.losses(name, "val_loss")[-1][1]
        chart(f, x, y, 340, 130, [("sblue", run.losses(name, "loss")), ("sorange", run.losses(name, "val_loss"))], steps, low, top,
              title, f"at the end: training {last[0]:.2f}, validation {last[1]:.2f}")
    return f


def tenths(run):
    """The perplexity of each tenth of the text (src/training)."""
    f = Figure(290, "The perplexity of the trained model over each tenth of the King James Bible")
    values = [float(v) for v in (run.folder / "tenths.txt").read_text().split()]
    f.text(20, 28, "perplexity of each tenth of the text, after the default run", "bold")
    top = max(values)
    for i, v in enumerate(values):
        x, height = 30 + 72 * i, v / top * 140
        f.box(x, 200 - height, 54, height, "blue" if i < 9 else "orange", 3)
        f.text(x + 27, 200 - height - 6, f"{v:.0f}", "small", "middle")
        f.text(x + 27, 218, f"{i + 1}", "small muted", "middle")
    f.text(30, 240, "1 to 9: read while training", "small blue")
    f.text(732, 240, "10: never read, and another kind of text", "small orange", "end")
    mixed = [run.losses("mixed", key)[-1][1] for key in ("loss", "val_loss")]
    f.text(30, 274, "the same run, but with every tenth chapter held out: training {:.2f}, validation {:.2f}".format(*mixed), "bold")
    return f


def temperature(run):
    """One distribution at three temperatures, and what top-k and top-p leave (src/generation)."""
    f = Figure(360, "The next-token distribution at temperatures 0.5, 1 and 2, and what top-k 5 and top-p 0.9 leave of it")
    top = run.sample(SENTENCE + ", saying,", 1, "--temp", "0")["logprobs"][0]["likeliest"]
    z = [t["logprob"] for t in top]
    f.text(20, 28, SENTENCE + ", saying, …", "bold")
    one = [math.exp(v) for v in z]
    reached, kept = 0.0, 0
    while reached < 0.9:
        reached, kept = reached + one[kept], kept + 1
    for n, T in enumerate((0.5, 1.0, 2.0)):
        e = [math.exp(v / T) for v in z]
        p = [v / sum(e) for v in e]
        x = 20 + 245 * n
        f.text(x + 64, 60, f"T = {T:g}", "bold")
        f.bars(x, 70, [(shown(t["text"]), q, f"{100 * q:.1f} %") for t, q in zip(top[:8], p)], 150, label=58,
               style="blue")
        f.text(x + 66, 282, f"the rest: {100 * (1 - sum(p[:8])):.1f} %", "small muted")
    f.path([(20, 70 + 24 * 5 - 1), (740, 70 + 24 * 5 - 1)], "sorange dash")
    f.text(740, 70 + 24 * 5 - 6, "top-k 5", "small orange", "end")
    f.text(20, 318, f"top-p 0.9 at T = 1 draws from the {kept} likeliest tokens, which together reach {100 * reached:.1f} %.", "")
    f.text(20, 342, "Top-k 5 draws from those above the dashed line, top-k 1 and temperature 0 from the first alone.", "")
    return f


def check_model(run):
    """Compares the plain Python model with generate."""
    result = run.sample(SENTENCE, 1, "--temp", "0")
    run.model.forward(result["prompt_tokens"])
    p = run.model.probabilities(run.model.stream[-1][1][-1])
    for t in result["logprobs"][0]["likeliest"][:50]:
        assert abs(math.log(p[t["token"]]) - t["logprob"]) < 1e-3, t


EXPLAINING = {"src/way.svg": way, "src/data/shift.svg": shift, "src/model/bus.svg": bus, "src/cpu/layernorm.svg": layernorm,
              "src/model/backward.svg": backward, "src/generation/cache.svg": cache,
              "src/model/llama.svg": llama}
OF_A_RUN = {"src/generation/guess.svg": guess, "src/tokenizer/merges.svg": merges, "src/data/ruler.svg": ruler,
            "src/model/heads.svg": heads, "src/model/neighbours.svg": neighbours, "src/cpu/sizes.svg": sizes, "src/model/pays.svg": pays, "src/model/lens.svg": lens, "src/model/votes.svg": votes,
            "src/training/learning.svg": learning, "src/training/tenths.svg": tenths, "src/generation/temperature.svg": temperature}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", type=pathlib.Path, help="a folder with the runs to show")
    parser.add_argument("--train", type=pathlib.Path, metavar="BUILD", help="first make the runs, with the programs of BUILD")
    parser.add_argument("--check", action="store_true", help="only compare the explaining figures with their files")
    arguments = parser.parse_args()
    wrong = []
    for name, draw in EXPLAINING.items():
        svg = draw().svg()
        if not arguments.check:
            (ROOT / name).write_text(svg, encoding="utf-8")
        elif not (ROOT / name).exists() or (ROOT / name).read_text(encoding="utf-8") != svg:
            wrong.append(name)
    if arguments.check:
        wrong += [f"{name} (missing)" for name in OF_A_RUN if not (ROOT / name).exists()]
    if wrong:
        sys.exit(f"make_figures.py: these figures are not what the script draws; run it again: {', '.join(wrong)}")
    if arguments.run is None or arguments.check:
        return
    if arguments.train:
        train(arguments.train, arguments.run)
    run = Run(arguments.run)
    check_model(run)
    for name, draw in OF_A_RUN.items():
        try:
            svg = draw(run).svg()
        except FileNotFoundError as missing:
            sys.exit(f"make_figures.py: {missing.filename} is missing; add --train BUILD to make the runs")
        (ROOT / name).write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
