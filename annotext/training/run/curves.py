"""A run to look at: RUN/curves.csv, RUN/curves.png and TensorBoard events, from the lines the run writes."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from annotext.core.errors import AnnotextError
from annotext.evaluation.validation import METRICS
from annotext.training.run import folder as files
from annotext.training.run.folder import StepLines, replacing, write_errors

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TENSORBOARD = "tensorboard"

# Keys of metrics.jsonl that are not a part of the loss.
_NOT_LOSS = ("step", "samples", "lr")
# Points a line is drawn with: more than that is noise, so neighbours are averaged.
_DRAWN = 400
# A range this wide is read better on a log axis.
_LOG_FROM = 5.0


def write_curves(folder: Path, title: str) -> None:
    """curves.csv and curves.png of the run in `folder`, as far as it has come; each appears whole."""
    metrics, validation = (StepLines(folder / name).read() for name in (files.METRICS, files.VALIDATION))
    _write(folder / "curves.csv", table(metrics, validation).encode())
    if metrics or validation:
        _write(folder / "curves.png", picture(metrics, validation, title))


def table(metrics: Sequence[dict[str, Any]], validation: Sequence[dict[str, Any]]) -> str:
    """CSV, a row per step that was measured: everything metrics.jsonl has, then NAME_METRIC of each validation set and
    their mean; empty where a step has no value."""
    rows: dict[int, dict[str, Any]] = {}
    names: dict[str, None] = {"step": None}
    for line in metrics:
        rows.setdefault(line["step"], {}).update(line)
        names |= dict.fromkeys(line)
    for line in validation:
        values = {f"{name}_{found['metric']}": found["value"] for name, found in line["sets"].items()}
        values |= {"step": line["step"], "validation_mean": line["mean"]}
        rows.setdefault(line["step"], {}).update(values)
        names |= dict.fromkeys(values)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows[step] for step in sorted(rows))
    return text.getvalue()


def picture(metrics: Sequence[dict[str, Any]], validation: Sequence[dict[str, Any]], title: str) -> bytes:
    """PNG: parts of the loss, learning rate and, where there are any, validations over the steps."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    out = io.BytesIO()
    FigureCanvasAgg(drawing(metrics, validation, title)).print_png(out)
    return out.getvalue()


def drawing(metrics: Sequence[dict[str, Any]], validation: Sequence[dict[str, Any]], title: str) -> Figure:
    """What `picture` is made from."""
    from matplotlib.figure import Figure

    heights = [3.0, 1.6] + ([2.6] if validation else [])
    figure = Figure(figsize=(9, sum(heights) + 0.8), layout="constrained", dpi=110)
    axes = np.atleast_1d(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights))
    figure.suptitle(title, fontsize=12)
    steps = np.array([line["step"] for line in metrics], dtype=np.float64)
    parts = [key for key in dict.fromkeys(k for line in metrics for k in line) if key not in _NOT_LOSS]
    # Without teachers the task's loss is the loss.
    if set(parts) == {"loss", "task"} and all(line["loss"] == line["task"] for line in metrics):
        parts = ["loss"]
    for key in parts:
        values = np.array([line.get(key, np.nan) for line in metrics], dtype=np.float64)
        x, y = _thinned(steps, values)
        axes[0].plot(x, y, label=key, linewidth=2.0 if key == "loss" else 1.2, zorder=3 if key == "loss" else 2)
    axes[0].set_ylabel("loss")
    rate = np.array([line["lr"] for line in metrics], dtype=np.float64)
    axes[1].plot(steps, rate, color="tab:gray")
    axes[1].set_ylabel("learning rate")
    if validation:
        _draw_validation(axes[2], validation)
    for axis in axes:
        axis.grid(alpha=0.3)
        axis.margins(x=0.02)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0, frameon=False, fontsize=9)
    for axis in axes[:2]:
        _log_where_wide(axis)
    axes[-1].set_xlabel("step")
    return figure


def _draw_validation(axis: Any, validation: Sequence[dict[str, Any]]) -> None:
    steps = [line["step"] for line in validation]

    def line_of(name: str, values: list[float], **style: Any) -> None:
        axis.plot(steps, values, marker="o", markersize=3, label=name, **style)

    kinds = {name: found["metric"] for line in validation for name, found in line["sets"].items()}
    for name, metric in kinds.items():
        values = [line["sets"].get(name, {}).get("value") for line in validation]
        line_of(
            f"{name} {METRICS[metric].label}", [np.nan if v is None else 100 * v / METRICS[metric].best for v in values]
        )
    means = [np.nan if line["mean"] is None else 100 * line["mean"] for line in validation]
    if len(kinds) > 1:
        line_of("mean", means, color="black", linewidth=1.0, linestyle="--")
    if np.isfinite(means).any():
        best = int(np.nanargmax(means))
        axis.axvline(steps[best], color="black", linewidth=0.8, linestyle=":", label=f"best: step {steps[best]}")
    axis.set_ylabel("validation, %")


def _thinned(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most `_DRAWN` points, each the mean of as many neighbours."""
    if len(x) <= _DRAWN:
        return x, y
    parts = np.array_split(np.arange(len(x)), _DRAWN)
    return np.array([x[p].mean() for p in parts]), np.array([y[p].mean() for p in parts])


def _log_where_wide(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    drawn = [np.asarray(line.get_ydata(), dtype=np.float64) for line in axis.lines]
    values = np.concatenate(drawn) if drawn else np.zeros(0)
    values = values[np.isfinite(values)]
    if not len(values) or values.min() <= 0 or values.max() / values.min() < _LOG_FROM:
        return
    axis.set_yscale("log")
    # Of its own accord a log axis numbers too few ticks, or so many that they run into each other.
    numbered = (1.0, 2.0, 5.0) if values.max() / values.min() < 100 else (1.0,)
    axis.yaxis.set_major_locator(LogLocator(subs=numbered))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(content)


class Curves:
    """Keeps curves.csv, curves.png and TensorBoard's events up to date; for the first process only."""

    def __init__(self, folder: Path, *, title: str, console: Console) -> None:
        self.folder, self.title, self.console = folder, title, console
        self.events: Any = None

    def start(self, done: int) -> None:
        """Go on after `done` steps."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self.console.print("tensorboard is not installed: the run writes no events for it")
            return
        with write_errors(self.folder / TENSORBOARD):
            # What an interrupted run wrote after its last checkpoint is hidden, for it comes again.
            self.events = SummaryWriter(str(self.folder / TENSORBOARD), purge_step=done + 1 if done else None)

    def add_metrics(self, line: Mapping[str, float]) -> None:
        """A new line of metrics.jsonl."""
        step = int(line["step"])
        self._add({f"train/{name}": value for name, value in line.items() if name not in ("step", "samples")}, step)

    def add_validation(self, line: Mapping[str, Any]) -> None:
        """A new line of validation.jsonl."""
        values = {f"validation/{name}_{found['metric']}": found["value"] for name, found in line["sets"].items()}
        self._add({**values, "validation/mean": line["mean"]}, line["step"])
        if self.events is not None:
            with write_errors(self.folder / TENSORBOARD):
                self.events.flush()
        write_curves(self.folder, self.title)

    def close(self, *, whole: bool) -> None:
        """The run ends. whole: not by an error, which would be the one to report."""
        if self.events is not None:
            try:
                with write_errors(self.folder / TENSORBOARD):
                    self.events.close()
            except AnnotextError:
                if whole:
                    raise
        if whole:
            write_curves(self.folder, self.title)

    def _add(self, values: Mapping[str, float | None], step: int) -> None:
        if self.events is not None:
            with write_errors(self.folder / TENSORBOARD):
                for tag, value in values.items():
                    if value is not None:
                        self.events.add_scalar(tag, value, step)
