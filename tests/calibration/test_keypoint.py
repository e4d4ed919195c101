"""Applying a calibration: scores, radii and minimal scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotext.calibration.features import Evidence
from annotext.calibration.keypoint import ANY, REACH, KeypointCalibration
from annotext.evaluation.correctness import Criterion

KEPT = np.arange(10, 2001, 10)


def _calibration(wrong: np.ndarray | None = None, **changes: object) -> KeypointCalibration:
    """Two features; hardly any of the best are wrong, a tenth of all."""
    made = KeypointCalibration(
        keypoint="head_top",
        criterion=Criterion.KS_OF_SIZE,
        points=2000,
        wrong=200,
        features=("expected", "flip"),
        mean=np.array([1.0, 0.0]),
        scale=np.array([2.0, 1.0]),
        weights=np.array([-1.0, -0.5]),
        unknown=np.array([0.0, -0.25]),
        intercept=1.0,
        isotonic_logit=np.array([-2.0, 0.0, 2.0]),
        isotonic_score=np.array([0.1, 0.6, 0.99]),
        radius_score=np.array([0.2, 0.9]),
        radius=np.array([0.5, 0.1]),
        threshold_score=np.linspace(0.99, 0.1, len(KEPT)),
        threshold_kept=KEPT,
        threshold_wrong=np.floor(KEPT**3 / 4e7).astype(np.int64) if wrong is None else wrong,
    )
    return replace(made, **changes)


def _evidence(values: list[list[float]], names: tuple[str, ...] = ("expected", "flip")) -> Evidence:
    return Evidence(("upper_neck", "head_top"), names, np.repeat(np.array(values)[:, None], 2, axis=1))


def test_the_score_by_hand() -> None:
    # (3 - 1) / 2 = 1 standard deviation, and 2: logit 1 - 1 - 1 = -1, halfway from .1 to .6
    score, radius = _calibration().apply(_evidence([[3.0, 2.0]]))
    assert score == pytest.approx([0.35])
    assert radius == pytest.approx([0.5 - 0.4 * 0.15 / 0.7])


def test_a_feature_that_is_not_known_counts_as_its_mean_and_its_absence() -> None:
    one = _calibration()
    logits = one.logit(np.array([[1.0, 0.0], [1.0, np.nan]]))
    assert logits == pytest.approx([1.0, 0.75])


def test_a_pass_left_out_counts_as_not_known_and_is_named() -> None:
    one = _calibration()
    without = _evidence([[3.0]], names=("expected",))
    assert one.apply(without)[0] == one.apply(_evidence([[3.0, np.nan]]))[0]
    assert one.absent(without) == ("flip",)
    assert one.absent(_evidence([[3.0, 1.0]])) == ()
    assert one.absent(_evidence([[np.nan, np.nan]])) == ()


def test_of_whom_nothing_is_known_there_is_no_score() -> None:
    score, radius = _calibration().apply(_evidence([[np.nan, np.nan], [1.0, 0.0]]))
    assert np.isnan([score[0], radius[0]]).all()
    assert np.isfinite([score[1], radius[1]]).all()


def test_evidence_of_another_world_says_no_more_than_the_unusual() -> None:
    one = _calibration()
    assert one.logit(np.array([[1e9, 0.0]])) == pytest.approx(one.logit(np.array([[1.0 + 2 * REACH, 0.0]])))


def test_a_calibration_of_any_keypoint_is_told_whose_evidence() -> None:
    one = _calibration(keypoint=ANY)
    found = Evidence(("upper_neck", "head_top"), ("expected", "flip"), np.array([[[1.0, 0.0], [3.0, 2.0]]]))
    assert one.apply(found, "head_top")[0] == _calibration().apply(found)[0]
    with pytest.raises(KeyError, match=r"no evidence on \*"):
        one.apply(found)


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=30))
def test_more_logit_is_never_less_score_nor_more_radius(logits: list[float]) -> None:
    one = _calibration()
    score = one.score_of(np.sort(logits))
    assert (np.diff(score) >= 0).all()
    assert (np.diff(np.interp(score, one.radius_score, one.radius)) <= 0).all()


def test_the_minimal_score_keeps_the_most_points_the_target_allows() -> None:
    one = _calibration()
    loose, tight = one.threshold(0.06), one.threshold(0.03)
    assert loose.kept > tight.kept > 0
    assert loose.score < tight.score
    assert loose.error <= loose.bound <= 0.06
    assert one.minimum_score(0.03) == tight.score


def test_without_a_margin_more_is_kept_and_the_counted_share_is_the_target() -> None:
    one = _calibration()
    plain = one.threshold(0.03, confidence=None)
    assert plain.kept > one.threshold(0.03).kept
    assert plain.error == plain.bound <= 0.03
    place = int(np.searchsorted(KEPT, round(plain.kept * 2000)))
    assert one.threshold_wrong[place + 1] / KEPT[place + 1] > 0.03


def test_a_promise_nobody_can_keep_lets_nothing_through() -> None:
    hopeless = _calibration(wrong=(KEPT * 0.5).astype(np.int64))
    assert hopeless.minimum_score(0.05) == float("inf")
    assert hopeless.threshold(0.05).kept == 0


def test_too_few_people_promise_nothing_however_right_they_were() -> None:
    kept = np.arange(1, 41)
    few = _calibration(
        threshold_score=np.linspace(0.9, 0.1, 40), threshold_kept=kept, threshold_wrong=np.zeros(40, dtype=np.int64)
    )
    assert few.minimum_score(0.02) == float("inf")
    assert few.minimum_score(0.2) < 1


@pytest.mark.parametrize("target", [0.0, 1.0, -0.1])
def test_a_target_error_is_a_share(target: float) -> None:
    with pytest.raises(ValueError, match="expected above 0 and below 1"):
        _calibration().threshold(target)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": np.array([1.0])}, "weights must be 2 finite numbers"),
        ({"scale": np.array([1.0, 0.0])}, "scale must be above 0"),
        ({"isotonic_logit": np.array([0.0, 0.0, 1.0])}, "isotonic_logit must rise"),
        ({"radius": np.array([0.1, 0.5])}, "radius must fall"),
        ({"isotonic_score": np.array([0.1, 0.6, 1.2])}, "outside"),
        ({"threshold_wrong": KEPT + 1}, "threshold_wrong must be 0 to threshold_kept"),
        ({"threshold_kept": KEPT[:3]}, "differ in length"),
    ],
    ids=lambda v: "" if isinstance(v, dict) else v,
)
def test_what_does_not_fit_together_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _calibration(**change)
