"""Decisions from review on points that lie elsewhere by now, and what weighted rows do to a fit."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from annotext.calibration.features import Evidence
from annotext.calibration.fit import Curves, Fitted, Outcome, fit_calibration, isotonic, radius
from annotext.calibration.keypoint import LEVEL
from annotext.calibration.reviewed import ReviewedPoints
from annotext.core.additions import Additions, Decision, Estimate, Reason, Review, Source
from annotext.evaluation.correctness import Criterion
from annotext.evaluation.ranking import ece, reliability_equal_count

KEYPOINTS = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")


@pytest.fixture
def additions() -> Additions:
    """One person: accepted, moved, rejected, absent, and one nobody looked at; each at (10 j, 0)."""
    before = Estimate((50.0, 50.0), 2, Source.STUDENT, 0.5, 3.0, Decision.ADD, Reason.ADDED)
    verdicts = ("accept", "move", "reject", "absent", "")
    review = np.array([[Review(v, ("ann",), before) if v else None for v in verdicts]], dtype=object)
    source = np.full((1, 5), Source.STUDENT, dtype=object)
    source[0, 1] = Source.CORRECTED
    decision = np.full((1, 5), Decision.ADD, dtype=object)
    decision[0, 2:4] = Decision.WITHHOLD
    reason = np.full((1, 5), Reason.ADDED, dtype=object)
    reason[0, 2:4] = [Reason.REJECTED, Reason.ABSENT]
    return Additions(
        KEYPOINTS,
        np.array([[[10.0 * j, 0.0] for j in range(5)]]),
        np.array([[2, 2, 0, 0, 2]], dtype=np.uint8),
        source,
        np.full((1, 5), 0.5),
        np.full((1, 5), math.nan),
        decision,
        reason,
        review,
    )


def test_decisions_are_read_from_an_extended_file(additions: Additions) -> None:
    reviewed = ReviewedPoints.of(additions)
    assert reviewed.decided.tolist() == [[True, True, True, True, False]]
    assert np.isfinite(reviewed.place).all(axis=-1).tolist() == [[True, True, False, False, False]]
    assert reviewed.only(["right_ear", "absent_here", "nose"]).decided.tolist() == [[False, False, True]]


def test_a_point_is_judged_by_where_it_lies_now(additions: Additions) -> None:
    reviewed, size = ReviewedPoints.of(additions), np.array([100.0])
    limit = np.full((1, 5), 0.05)
    error, _, verdict = reviewed.evaluate(additions.xy + np.array([4.0, 0.0]), limit, size)
    assert error[0, :2].tolist() == [0.04, 0.04] and np.isnan(error[0, 2:]).all()
    # Near the rejected place it is wrong, as wherever an absent point is put; the rest is for the error to say.
    assert np.array_equal(verdict, [[math.nan, math.nan, 0.0, 0.0, math.nan]], equal_nan=True)
    _, _, verdict = reviewed.evaluate(additions.xy + np.array([6.0, 0.0]), limit, size)
    assert np.array_equal(verdict, [[math.nan, math.nan, math.nan, 0.0, math.nan]], equal_nan=True)


def made_up(n: int, slope: float, shift: float, seed: int) -> tuple[Evidence, np.ndarray, np.ndarray]:
    """One keypoint whose points are right with the logistic of slope x evidence + shift; errors in sizes, limit .1."""
    rng = np.random.default_rng(seed)
    value = rng.normal(size=(n, 1, 1))
    right = rng.random((n, 1)) < 1 / (1 + np.exp(-(slope * value[..., 0] + shift)))
    error = np.where(right, rng.uniform(0, 0.1, (n, 1)), rng.uniform(0.11, 0.5, (n, 1)))
    return Evidence(("nose",), ("score",), value), error, right


def test_labels_are_reviewed_points_that_were_all_placed() -> None:
    xy = np.array([[[1.0, 2.0], [math.nan, math.nan]]])
    labels = ReviewedPoints.of_labels(("nose", "left_eye"), xy)
    assert labels.decided.tolist() == [[True, False]]
    error, _, verdict = labels.evaluate(xy + np.array([3.0, 4.0]), np.full((1, 2), 0.1), np.array([10.0]))
    assert error[0, 0] == 0.5 and np.isnan(error[0, 1]) and np.isnan(verdict).all()


def fit(evidence: Evidence, error: np.ndarray, verdict: np.ndarray | None = None, **options: np.ndarray) -> Fitted:
    """With a tolerance of .1, everybody on an image of their own."""
    outcome = Outcome.of_errors(error, np.full(error.shape, 0.1))
    if verdict is not None:
        outcome = replace(outcome, verdict=verdict)
    return fit_calibration(evidence, outcome, np.arange(len(error)), criterion=Criterion.KS_OF_SIZE, **options)


def test_rows_that_all_weigh_the_same_fit_what_rows_without_weights_fit() -> None:
    evidence, error, _ = made_up(400, 2.0, 0.5, seed=0)
    plain = fit(evidence, error).calibration["nose"]
    same = fit(evidence, error, weight=np.full(400, 3.0)).calibration["nose"]
    assert plain.weights == pytest.approx(same.weights, rel=1e-5)
    assert plain.isotonic_score == pytest.approx(same.isotonic_score, abs=1e-9)
    assert plain.radius == pytest.approx(same.radius, abs=1e-9)
    assert np.array_equal(plain.threshold_wrong, same.threshold_wrong)


def test_a_verdict_counts_without_an_error_and_leaves_the_radius_alone() -> None:
    evidence, error, right = made_up(400, 2.0, 0.5, seed=0)
    fitted = fit(evidence, np.where(right, error, np.nan), np.where(right, np.nan, 0.0))
    one, other = fitted.calibration["nose"], fit(evidence, error).calibration["nose"]
    assert (one.points, one.wrong) == (other.points, other.wrong)
    assert np.array_equal(one.isotonic_score, other.isotonic_score)
    assert one.radius.max() <= 0.1 < other.radius.max()


def two_domains(n: int, of_target: int) -> tuple[Evidence, np.ndarray]:
    """N people of another domain, then some of the target domain, whose points are wrong more often."""
    (other, error, _), (target, target_error, _) = made_up(n, 2.0, 1.5, seed=1), made_up(of_target, 2.0, -0.5, seed=2)
    return Evidence.joined([other, target]), np.concatenate([error, target_error])


def test_few_rows_of_the_target_domain_that_weigh_more_mend_scores_more_than_with_a_weight_of_one() -> None:
    fresh, _, right = made_up(3000, 2.0, -0.5, seed=3)
    evidence, error = two_domains(4000, 200)

    def ece_of(fitted: Fitted) -> float:
        return ece(reliability_equal_count(fitted.calibration["nose"].apply(fresh)[0], right[:, 0]))

    before = ece_of(fit(evidence.take(np.arange(4000)), error[:4000]))
    with_some, with_more = (
        ece_of(fit(evidence, error, weight=np.repeat([1.0, weight], [4000, 200]))) for weight in (1.0, 10.0)
    )
    assert with_more < with_some < before


def test_a_radius_of_weighted_points_counts_their_weight() -> None:
    score, error = np.full(20, 0.5), np.arange(1.0, 21.0)
    for weight in (1.0, 4.0):
        assert radius(score, error, np.full(20, weight))[1].tolist() == [19.0]
    # Nine tenths of the weight, and of one more point as heavy as the heaviest: 26.1 of 24 there are.
    assert radius(score, error, np.where(error == 20, 5.0, 1.0))[1].tolist() == [20.0]
    # Of 45.5 + 2.5 that is 43.2: the nearest 17 weigh 42.5, the nearest 18 weigh 43.5.
    assert radius(score, error, np.where(error <= 17, 2.5, 1.0))[1].tolist() == [18.0]


@pytest.mark.parametrize("surest", [350, 233])
def test_a_radius_is_a_number_where_many_points_have_one_score(surest: int) -> None:
    score = np.concatenate([np.linspace(0.2, 0.9, 466 - surest), np.full(surest, 1 - 1 / 467)])
    for error in (np.linspace(1, 0, 466), np.zeros(466)):
        knots, reach = radius(score, error, np.ones(466))
        assert np.isfinite(reach).all() and (np.diff(reach) <= 0).all() and (np.diff(knots) > 0).all()


def test_a_curve_is_a_number_where_the_surest_logits_differ_by_rounding() -> None:
    logit = np.concatenate([np.linspace(-2, 2, 50), [np.nextafter(2, 3), np.nextafter(np.nextafter(2, 3), 3)]])
    knots, score = isotonic(logit, logit > 0, np.ones(52))
    assert np.isfinite(score).all() and (np.diff(score) > 0).all() and (np.diff(knots) > 0).all()


def test_points_of_unknown_error_are_no_part_of_the_radius() -> None:
    logit = np.linspace(-2, 2, 300)
    right = logit + np.random.default_rng(0).normal(size=300) > 0
    error = np.where(right, 0.05, np.nan)
    curves = Curves.of(logit, right, error, np.ones(300))
    assert curves.radius == pytest.approx(0.05)


@pytest.mark.parametrize(("n", "counted"), [(300, 300), (99, 2300)])
def test_thresholds_promise_something_about_the_target_people_where_there_are_enough(n: int, counted: int) -> None:
    people = np.arange(2300)
    fitted = fit(*two_domains(2000, 300), target=(people >= 2000) & (people < 2000 + n)).calibration["nose"]
    assert fitted.threshold_kept[-1] == counted and fitted.points == 2300


def test_every_number_of_equal_weights_gives_the_split_conformal_quantile() -> None:
    rng = np.random.default_rng(0)
    for n in range(1, 49):
        error = rng.random(n)
        expected = np.sort(error)[min(int(np.ceil((n + 1) * LEVEL)), n) - 1]
        assert radius(np.full(n, 0.5), error, np.ones(n))[1] == pytest.approx([expected], abs=1e-12)
