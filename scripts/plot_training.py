#!/usr/bin/env python3
"""Draws a training run from its metrics.jsonl: loss, validation loss, learning rate, gradient norm and speed, in one PNG."""
import argparse
import json
import math
import sys
from pathlib import Path


def fail(message):
    sys.exit(f"plot_training.py: {message}")


def read_metrics(path):
    """The training records, the evaluation records, and what the run says of itself.

    A line that is no JSON object is skipped with a word about it: a run that was killed may leave half a line at the end.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        fail(f"cannot read {path}: {error.strerror}")
    train, evaluation, run = {}, {}, {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError
        except ValueError:
            print(f"plot_training.py: {path}, line {number}: not a JSON object, skipped", file=sys.stderr)
            continue
        if isinstance(record.get("run"), dict):
            run = record["run"]
        step = record.get("step")
        # A run that was resumed repeats steps: the later record holds.
        if isinstance(step, int):
            if "loss" in record:
                train[step] = record
            if "val_loss" in record:
                evaluation[step] = record
    if not train and not evaluation:
        fail(f"no records with a step and a loss in {path}")
    return [train[s] for s in sorted(train)], [evaluation[s] for s in sorted(evaluation)], run


def column(records, name):
    """The steps and values of one field, where it is a finite number."""
    points = [(r["step"], r[name]) for r in records
              if isinstance(r.get(name), (int, float)) and math.isfinite(r[name])]
    return [step for step, _ in points], [value for _, value in points]


def smoothed(values, window):
    """The mean of about `window` records around each, of fewer at both ends: it does not lag behind a steep curve."""
    sums = [0.0]
    for value in values:
        sums.append(sums[-1] + value)
    result = []
    for i in range(len(values)):
        reach = min(window // 2, i)
        end = min(i + reach + 1, len(values))
        result.append((sums[end] - sums[i - reach]) / (end - (i - reach)))
    return result


BLUE, RED, GREEN, PURPLE, ORANGE = "#2f6db5", "#c8443c", "#3d8f5f", "#7a57a8", "#c77f1f"


def draw_noisy(axis, records, name, color, window):
    """A field that jumps from step to step: the records pale, their moving average on top of them."""
    steps, values = column(records, name)
    if not values:
        axis.text(0.5, 0.5, "no records", transform=axis.transAxes, ha="center", color="0.5")
        return
    axis.plot(steps, values, color=color, alpha=0.25, linewidth=0.8)
    axis.plot(steps, smoothed(values, window), color=color, linewidth=1.6)


def two_digits(value):
    """8103.1 as 8,100: a number for a label, where its size matters and its last digits do not."""
    digits = 1 - math.floor(math.log10(value)) if value > 0 else 0
    return f"{round(value, digits):,.{max(0, digits)}f}"


def draw_loss(axis, train, evaluation, window):
    steps, values = column(train, "loss")
    if values:
        axis.plot(steps, values, color=BLUE, alpha=0.25, linewidth=0.8)
        axis.plot(steps, smoothed(values, window), color=BLUE, linewidth=1.8,
                  label=f"training (mean of about {window} records)" if window > 1 else "training")
    steps, values = column(evaluation, "val_loss")
    if values:
        axis.plot(steps, values, color=RED, linewidth=1.6, marker="o", markersize=3.5, label="validation")
        best = min(range(len(values)), key=values.__getitem__)
        axis.annotate(f"best {values[best]:.3f}\nat step {steps[best]:,}", (steps[best], values[best]), xytext=(0, 26),
                      textcoords="offset points", ha="right", color=RED, fontsize=8.5,
                      arrowprops={"arrowstyle": "-", "color": RED, "linewidth": 0.8})
    if axis.get_legend_handles_labels()[0]:
        axis.legend(loc="upper right", frameon=False)
    axis.set_title("Loss")
    axis.set_ylabel("cross-entropy (nats per token)")
    # The same scale in words: a loss of x means a choice among e^x equally likely tokens.
    perplexity = axis.secondary_yaxis("right", functions=(lambda loss: loss, lambda loss: loss))
    perplexity.yaxis.set_major_formatter(lambda loss, _: two_digits(math.exp(min(loss, 50))))
    perplexity.set_ylabel("perplexity")


def draw(train, evaluation, run, title, log_steps, output):
    try:
        import matplotlib
    except ImportError:
        fail("matplotlib is not installed: ./scripts/install_deps.sh --with-plots, or pip install matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

    plt.rcParams.update({
        "font.size": 9.5, "axes.titlesize": 11, "axes.titleweight": "bold", "axes.titlelocation": "left",
        "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "0.4", "axes.grid": True,
        "grid.color": "0.9", "axes.axisbelow": True,
    })
    window = max(1, min(50, len(train) // 20))
    figure = plt.figure(figsize=(11, 8.5), dpi=130, layout="constrained")
    grid = figure.add_gridspec(2, 3, height_ratios=[1.55, 1])
    loss = figure.add_subplot(grid[0, :])
    rate, norm, speed = (figure.add_subplot(grid[1, i]) for i in range(3))

    draw_loss(loss, train, evaluation, window)

    rate.plot(*column(train, "lr"), color=GREEN, linewidth=1.6)
    rate.set_title("Learning rate")
    rate.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    rate.set_ylim(bottom=0)

    draw_noisy(norm, train, "grad_norm", PURPLE, window)
    norm.set_title("Gradient norm")
    norm.set_ylabel("L2 norm")
    if column(train, "grad_norm")[1]:
        norm.set_yscale("log")
        norm.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=20))
        norm.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        norm.yaxis.set_minor_locator(NullLocator())

    draw_noisy(speed, train, "tokens_per_s", ORANGE, window)
    speed.set_title("Speed")
    speed.set_ylabel("tokens per second")
    speed.yaxis.set_major_formatter(EngFormatter(sep=""))
    speed.set_ylim(bottom=0)

    for axis in (loss, rate, norm, speed):
        axis.set_xlabel("step")
        if log_steps:
            axis.set_xscale("log")
        else:
            axis.xaxis.set_major_locator(MaxNLocator(8 if axis is loss else 4, integer=True))
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))

    last = (train or evaluation)[-1]
    parts = [f"{last['step']:,} steps"]
    elapsed = last.get("elapsed_s")
    if isinstance(elapsed, (int, float)) and math.isfinite(elapsed):
        minutes, seconds = divmod(int(elapsed), 60)
        hours, minutes = divmod(minutes, 60)
        parts.append(f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s")
    figure.suptitle(f"{title or run.get('name') or 'Training run'}   ({', '.join(parts)})", fontsize=13, x=0.01, ha="left")
    try:
        figure.savefig(output, format="png")
    except OSError as error:
        fail(f"cannot write {output}: {error.strerror}")


def main():
    parser = argparse.ArgumentParser(description="Draws a training run from its metrics.jsonl into one PNG.")
    parser.add_argument("metrics", nargs="?", type=Path, default=Path("metrics.jsonl"),
                        help="the file that train_gpt writes (default: metrics.jsonl)")
    parser.add_argument("-o", "--output", type=Path, help="the picture (default: the metrics file's name with .png)")
    parser.add_argument("--title", help="what to write above it (default: the name of the run)")
    parser.add_argument("--log-steps", action="store_true", help="a logarithmic step axis, to see the first steps")
    arguments = parser.parse_args()

    output = arguments.output or arguments.metrics.with_suffix(".png")
    train, evaluation, run = read_metrics(arguments.metrics)
    draw(train, evaluation, run, arguments.title, arguments.log_steps, output)
    print(f"{output}: {len(train)} training and {len(evaluation)} evaluation records")


if __name__ == "__main__":
    main()
