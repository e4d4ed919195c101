"""The plot of a calibration: one row per truth, and numbers a reader can check."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from numpy.typing import NDArray

from annotext.render.plots import Scored, _reliability, _risk, calibration_plot


def _row(n: int, title: str = "head_top", seed: int = 0) -> Scored:
    """Scores that mean what they say, and raw ones that are all too low."""
    rng = np.random.default_rng(seed)
    score = rng.uniform(0.4, 1, n)
    return Scored(title, rng.random(n) < score, score, 0.5 * score)


def _dots(axes: Axes) -> list[NDArray[np.float64]]:
    """Of the raw score and of the calibrated one: (dots, 2), what it says and the share that is right."""
    drawn = [c for c in axes.containers if isinstance(c, ErrorbarContainer)]
    return [np.asarray(c.lines[0].get_xydata(), dtype=np.float64) for c in drawn]


def _pixels(png: bytes) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR), dtype=np.uint8)


def test_each_truth_gets_a_row_of_its_own() -> None:
    one, three = (_pixels(calibration_plot([_row(400, str(i), i) for i in range(n)], "demo")) for n in (1, 3))
    assert one.shape[1] == three.shape[1]
    assert 2 < three.shape[0] / one.shape[0] < 3


def test_the_same_points_give_the_same_bytes() -> None:
    assert calibration_plot([_row(300)], "demo") == calibration_plot([_row(300)], "demo")
    assert calibration_plot([_row(300)], "demo") != calibration_plot([_row(300, seed=1)], "demo")


def test_calibrated_dots_lie_on_the_diagonal_and_raw_ones_above_it() -> None:
    axes = Figure().subplots()
    _reliability(axes, _row(6000))
    raw, calibrated = _dots(axes)
    assert np.abs(calibrated[:, 0] - calibrated[:, 1]).max() < 0.06
    assert (raw[:, 1] > raw[:, 0] + 0.15).all()
    assert "6000 points" in axes.get_title()


@pytest.mark.parametrize(("points", "dots"), [(10, 1), (120, 2), (6000, 12)])
def test_few_points_make_few_dots(points: int, dots: int) -> None:
    axes = Figure().subplots()
    _reliability(axes, _row(points))
    assert [len(d) for d in _dots(axes)] == [dots, dots]


def test_the_curves_end_at_the_share_of_all_that_is_wrong_and_start_lower_for_the_better_score() -> None:
    rng = np.random.default_rng(0)
    correct = rng.random(1000) < 0.8
    told = np.clip(correct + rng.normal(scale=0.4, size=1000), 0, 1)
    axes = Figure().subplots()
    _risk(axes, Scored("head_top", correct, told, rng.random(1000)))
    raw, calibrated = (np.asarray(line.get_xydata()) for line in axes.lines)
    for curve in (raw, calibrated):
        assert curve[-1] == pytest.approx([100, 100 * (~correct).mean()])
    assert calibrated[499, 1] < 0.5 * raw[499, 1]


def test_points_that_are_all_right_or_all_wrong_can_be_drawn() -> None:
    score = np.full(80, 0.5)
    rows = [Scored("x", np.full(80, right), score, score) for right in (True, False)]
    assert _pixels(calibration_plot(rows, "demo")).any()
