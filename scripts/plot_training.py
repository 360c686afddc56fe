#!/usr/bin/env python3
"""Plots one or several training runs from their metrics.jsonl into one PNG: losses, learning rate, gradient norm and speed."""
import argparse
import json
import math
import sys
from collections import namedtuple
from pathlib import Path

Run = namedtuple("Run", "name train evaluation")  # the records, in ascending order of steps


def fail(message):
    sys.exit(f"plot_training.py: {message}")


def metrics_file(argument):
    """The metrics file that an argument names: the file itself, or the file in a folder or in a run of that name."""
    path = Path(argument)
    if not path.exists() and (Path("checkpoints") / path).is_dir():
        path = Path("checkpoints") / path
    return path / "metrics.jsonl" if path.is_dir() else path


# src/records/metrics_file.h decides which lines are records, and which of two records for one step counts. The functions
# from here to read_run() apply its rules. tests/records/metrics_file_test.cpp compares them with read_history().
LARGEST_FLOAT = 3.4028234663852886e38
RANGES = {"step": (0, 1e9), "loss": (-1, LARGEST_FLOAT), "val_loss": (-1, LARGEST_FLOAT), "lr": (0, LARGEST_FLOAT),
          "grad_norm": (0, LARGEST_FLOAT), "tokens_per_s": (0, 1e15), "elapsed_s": (0, 1e10)}


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_absurd(record):
    """Whether the record has a number that no run writes."""
    return any(is_number(record.get(name)) and not low <= record[name] <= high for name, (low, high) in RANGES.items())


def has_step(record):
    step = record.get("step")
    return isinstance(step, int) and not isinstance(step, bool) and not is_absurd(record)


def parse(line):
    """The JSON object of a line. ValueError for any other line, such as the incomplete last line of a killed run."""
    def reject(constant):
        raise ValueError(f"{constant} is not JSON")

    record = json.loads(line.decode("utf-8"), parse_constant=reject)
    if not isinstance(record, dict):
        raise ValueError("not an object")
    return record


def add(records, record):
    """A resumed run repeats steps: its record replaces those of the same step and of later ones."""
    while records and records[-1]["step"] >= record["step"]:
        records.pop()
    records.append(record)


def read_run(path):
    """Reads the records of a run. Reports and skips a line that is not a JSON object."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        fail(f"cannot read {path}: {error.strerror}")
    train, evaluation, name = [], [], None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = parse(line)
        except ValueError:
            print(f"plot_training.py: {path}, line {number}: not a JSON object, skipped", file=sys.stderr)
            continue
        if isinstance(record.get("run"), dict):
            name = record["run"].get("name") or name
        if has_step(record):
            if is_number(record.get("loss")):
                add(train, record)
            if is_number(record.get("val_loss")):
                add(evaluation, record)
    if not train and not evaluation:
        fail(f"no records with a step and a loss in {path}")
    return Run(name or (path.parent.name if path.name == "metrics.jsonl" else path.stem) or "Training run", train, evaluation)


def column(records, name):
    """The steps and values of one field, from the records in which it is a number."""
    points = [(record["step"], record[name]) for record in records if is_number(record.get(name))]
    return [step for step, _ in points], [value for _, value in points]


def smoothed(values, window):
    """The mean of about `window` records around each value, and of fewer at both ends. It does not lag behind a steep curve."""
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
RUN_COLORS = [BLUE, ORANGE, GREEN, PURPLE, RED, "#3a9fa8", "#a8527a", "#6b6b6b"]


def window_of(run):
    """Records to average over."""
    return max(1, min(50, len(run.train) // 20))


def draw_noisy(axis, run, name, color, pale=True, label=None):
    """Plots a field that varies from step to step: pale records, with their moving average on top."""
    steps, values = column(run.train, name)
    if pale:
        axis.plot(steps, values, color=color, alpha=0.25, linewidth=0.8)
    if values:
        axis.plot(steps, smoothed(values, window_of(run)), color=color, linewidth=1.6, label=label)


def two_digits(value):
    """A number for a label, with two significant digits: 8103.1 as 8,100."""
    digits = 1 - math.floor(math.log10(value)) if value > 0 else 0
    return f"{round(value, digits):,.{max(0, digits)}f}"


def draw_best(axis, steps, values):
    best = min(range(len(values)), key=values.__getitem__)
    axis.annotate(f"best {values[best]:.3f}\nat step {steps[best]:,}", (steps[best], values[best]), xytext=(0, 26),
                  textcoords="offset points", ha="right", color=RED, fontsize=8.5,
                  arrowprops={"arrowstyle": "-", "color": RED, "linewidth": 0.8})


def draw_loss(axis, runs):
    """One run has two colours; several runs have one each, and dashed lines for validation."""
    for run, color in zip(runs, RUN_COLORS):
        alone, window = len(runs) == 1, window_of(run)
        mean = f" (mean of about {window} records)" if window > 1 else ""
        draw_noisy(axis, run, "loss", color, alone, f"training{mean}" if alone else run.name)
        steps, values = column(run.evaluation, "val_loss")
        if values:
            axis.plot(steps, values, color=RED if alone else color, linewidth=1.6, marker="o", markersize=3.5,
                      linestyle="-" if alone else "--",
                      label="validation" if alone else f"{run.name}, validation (best {min(values):.3f})")
            if alone:
                draw_best(axis, steps, values)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(loc="upper right", frameon=False)
    axis.set_title("Loss")
    axis.set_ylabel("cross-entropy (nats per token)")
    # The same axis as perplexity: a loss of x is a choice among e^x equally likely tokens.
    perplexity = axis.secondary_yaxis("right", functions=(lambda loss: loss, lambda loss: loss))
    perplexity.yaxis.set_major_formatter(lambda loss, _: two_digits(math.exp(min(loss, 50))))
    perplexity.set_ylabel("perplexity")


def subtitle(run):
    """The last step of the run and the time it took."""
    last = (run.train or run.evaluation)[-1]
    parts = [f"{last['step']:,} steps"]
    elapsed = last.get("elapsed_s")
    if is_number(elapsed):
        minutes, seconds = divmod(int(elapsed), 60)
        hours, minutes = divmod(minutes, 60)
        parts.append(f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s")
    return f"   ({', '.join(parts)})"


def draw(runs, title, log_steps, output):
    try:
        import matplotlib
    except ImportError:
        fail("matplotlib is not installed; run ./scripts/install_deps.sh --with-plots, or pip install matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

    plt.rcParams.update({
        "font.size": 9.5, "axes.titlesize": 11, "axes.titleweight": "bold", "axes.titlelocation": "left",
        "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "0.4", "axes.grid": True,
        "grid.color": "0.9", "axes.axisbelow": True,
    })
    figure = plt.figure(figsize=(11, 8.5), dpi=130, layout="constrained")
    grid = figure.add_gridspec(2, 3, height_ratios=[1.55, 1])
    loss = figure.add_subplot(grid[0, :])
    rate, norm, speed = (figure.add_subplot(grid[1, i]) for i in range(3))

    draw_loss(loss, runs)
    for run, color in zip(runs, RUN_COLORS):
        alone = len(runs) == 1
        rate.plot(*column(run.train, "lr"), color=GREEN if alone else color, linewidth=1.6)
        draw_noisy(norm, run, "grad_norm", PURPLE if alone else color, alone)
        draw_noisy(speed, run, "tokens_per_s", ORANGE if alone else color, alone)

    rate.set_title("Learning rate")
    rate.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    rate.set_ylim(bottom=0)

    norm.set_title("Gradient norm")
    norm.set_ylabel("L2 norm")
    if any(len(line.get_ydata()) for line in norm.lines):
        norm.set_yscale("log")
        norm.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=20))
        norm.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        norm.yaxis.set_minor_locator(NullLocator())

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

    title = title or " and ".join(run.name for run in runs)
    figure.suptitle(title + (subtitle(runs[0]) if len(runs) == 1 else ""), fontsize=13, x=0.01, ha="left")
    try:
        figure.savefig(output, format="png")
    except OSError as error:
        fail(f"cannot write {output}: {error.strerror}")


def main():
    parser = argparse.ArgumentParser(description="Plots one or several training runs into one PNG.")
    parser.add_argument("runs", nargs="*", default=["metrics.jsonl"],
                        help="names or folders of runs, or their metrics files (default: metrics.jsonl)")
    parser.add_argument("-o", "--output", type=Path,
                        help="the plot (default: the metrics file's name with .png; for several runs, runs.png)")
    parser.add_argument("--title", help="title of the plot (default: the names of the runs)")
    parser.add_argument("--log-steps", action="store_true", help="use a logarithmic step axis, to show the first steps")
    arguments = parser.parse_args()
    if len(arguments.runs) > len(RUN_COLORS):
        fail(f"{len(arguments.runs)} runs are too many for one plot; give at most {len(RUN_COLORS)}")

    paths = [metrics_file(run) for run in arguments.runs]
    output = arguments.output or (paths[0].with_suffix(".png") if len(paths) == 1 else Path("runs.png"))
    runs = [read_run(path) for path in paths]
    draw(runs, arguments.title, arguments.log_steps, output)
    train, evaluation = (sum(len(records) for records in kind) for kind in zip(*((r.train, r.evaluation) for r in runs)))
    print(f"{output}: {train} training and {evaluation} evaluation records")


if __name__ == "__main__":
    main()
