"""Plots of a calibration and of simulated reviews, as PNG.

P points of one row of a calibration: out of sample, with a raw score, a calibrated one and whether they are right.
G places along a review.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Points per dot of the reliability diagram, at the least: a share of 50 has a standard error of .07 at worst.
_PER_BIN = 50
# Characters of a title that fit above half the picture.
_TITLE_WIDTH = 62
_BINS = 12
_CALIBRATED, _RAW, _IDEAL = "#0b6e99", "#c2571a", "#888888"
_COLOURS = ("#0b6e99", "#c2571a", "#6a8f1f", "#8a4fa3")
_RANDOM, _BEST = "#888888", "#222222"


@dataclass(frozen=True)
class Scored:
    """A row of the picture. title: what it shows. correct: (P,) bool; score and raw: (P,) float64 in [0, 1]."""

    title: str
    correct: NDArray[np.bool_]
    score: NDArray[np.float64]
    raw: NDArray[np.float64]


def calibration_plot(rows: Sequence[Scored], title: str) -> bytes:
    """PNG: one row per group of points, reliability to the left, errors against the share kept to the right."""
    axes = (figure := _figure(9, 3.1 * len(rows) + 0.6, title)).subplots(len(rows), 2, squeeze=False)
    for row, (left, right) in zip(rows, axes, strict=True):
        _reliability(left, row)
        _risk(right, row)
    return _png(figure)


def _reliability(axes: Axes, row: Scored) -> None:
    axes.plot([0, 1], [0, 1], color=_IDEAL, lw=1, ls="--", label="as it should be")
    for score, colour, name in ((row.raw, _RAW, "raw score"), (row.score, _CALIBRATED, "calibrated")):
        bins = max(1, min(_BINS, len(score) // _PER_BIN))
        parts = np.array_split(np.argsort(score, kind="stable"), bins)
        mean = np.array([score[p].mean() for p in parts])
        right = np.array([row.correct[p].mean() for p in parts])
        error = np.array([np.sqrt(max(r * (1 - r), 1e-9) / len(p)) for r, p in zip(right, parts, strict=True)])
        axes.errorbar(mean, right, yerr=1.96 * error, color=colour, marker="o", ms=4, lw=1.2, capsize=2, label=name)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="score", ylabel="share of points that are right")
    title = f"{row.title}: {len(row.correct)} points, {row.correct.mean():.1%} right"
    axes.set_title(textwrap.fill(title, _TITLE_WIDTH), fontsize=9)
    axes.legend(fontsize=8, loc="lower right", frameon=False)
    axes.grid(alpha=0.25)


def _risk(axes: Axes, row: Scored) -> None:
    for score, colour, name in ((row.raw, _RAW, "by raw score"), (row.score, _CALIBRATED, "by calibrated score")):
        wrong = ~row.correct[np.argsort(-score, kind="stable")]
        kept = np.arange(1, len(wrong) + 1)
        axes.plot(100 * kept / len(wrong), 100 * np.cumsum(wrong) / kept, color=colour, lw=1.4, label=name)
    axes.set(xlim=(0, 100), xlabel="percent of the points kept, surest first", ylabel="percent of those kept wrong")
    axes.set_ylim(0, 1.25 * 100 * max(1e-3, float((~row.correct).mean())))
    axes.set_title("what leaving out the doubtful gains", fontsize=9)
    axes.legend(fontsize=8, loc="upper left", frameon=False)
    axes.grid(alpha=0.25)


@dataclass(frozen=True)
class Curve:
    """name: of a strategy. left: (G,) share that is left. low, high: (G,) a band around it, where there is one."""

    name: str
    left: NDArray[np.float64]
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None


def review_plot(
    reviewed: NDArray[np.float64], panels: Mapping[str, Sequence[Curve]], share: float, title: str
) -> bytes:
    """PNG: one panel per quantity: how much of it is left against what was reviewed.

    reviewed: (G,) share of the points, of all curves. share: is marked.
    """
    figure = _figure(4.7 * len(panels), 3.9, title)
    for axes, (name, curves) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        colours = iter(_COLOURS)
        for curve in curves:
            fixed = {"random": (_RANDOM, "-"), "best possible": (_BEST, ":")}.get(curve.name)
            colour, style = fixed or (next(colours, _COLOURS[0]), "-")
            axes.plot(100 * reviewed, 100 * curve.left, color=colour, ls=style, lw=1.5, label=curve.name)
            if curve.low is not None and curve.high is not None:
                axes.fill_between(100 * reviewed, 100 * curve.low, 100 * curve.high, color=colour, alpha=0.2, lw=0)
        axes.axvline(100 * share, color="#bbbbbb", lw=0.8, ls="--")
        axes.set(xlim=(0, 100), ylim=(0, 101))
        axes.set(xlabel="percent of the added points reviewed", ylabel=f"percent of the {name} left")
        axes.legend(fontsize=8, frameon=False)
        axes.grid(alpha=0.25)
    return _png(figure)


def _figure(width: float, height: float, title: str) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=110)
    figure.suptitle(title, fontsize=11)
    return figure


def _png(figure: Figure) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    out = io.BytesIO()
    FigureCanvasAgg(figure).print_png(out)
    return out.getvalue()
