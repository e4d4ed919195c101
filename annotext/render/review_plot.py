"""A picture of reviews: what is left against what was looked at. G places along the way."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_COLOURS = ("#0b6e99", "#c2571a", "#6a8f1f", "#8a4fa3")
_RANDOM, _BEST = "#888888", "#222222"


@dataclass(frozen=True)
class Curve:
    """name: of a strategy. left: (G,) share that is left. low, high: (G,) a band around it, where there is one."""

    name: str
    left: NDArray[np.float64]
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None


def picture(reviewed: NDArray[np.float64], panels: Mapping[str, Sequence[Curve]], share: float, title: str) -> bytes:
    """PNG: one panel per thing that is counted. reviewed: (G,) share of the points, of all curves. share: is marked."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.7 * len(panels), 3.9), layout="constrained", dpi=110)
    figure.suptitle(title, fontsize=11)
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
    out = io.BytesIO()
    FigureCanvasAgg(figure).print_png(out)
    return out.getvalue()
