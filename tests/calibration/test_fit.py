"""Calibrations fitted on planted probabilities: they must find them again."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from annotext.calibration.features import Evidence
from annotext.calibration.fit import Fitted, Outcome, fit_calibration, isotonic, thresholds
from annotext.calibration.keypoint import ANY, LEVEL
from annotext.evaluation.correctness import Criterion
from annotext.evaluation.ranking import auroc, coverage, ece, reliability_equal_count

KEYPOINTS = ("upper_neck", "head_top", "pelvis")
NAMES = ("told", "noise", "gaps", "same")


class Planted:
    """People whose error is drawn around a scale the first feature tells; right is an error of at most .2."""

    def __init__(self, n: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        told = rng.normal(size=(n, 3))
        spread = 0.1 * np.exp(0.5 * told)
        self.error = np.abs(rng.normal(size=(n, 3))) * spread
        gaps = np.where(rng.random((n, 3)) < 0.2, np.nan, told + rng.normal(size=(n, 3)))
        values = np.stack([told, rng.normal(size=(n, 3)), gaps, np.ones((n, 3))], axis=-1)
        self.evidence = Evidence(KEYPOINTS, NAMES, values)
        self.tolerance = np.full((n, 3), 0.2)
        self.images = rng.integers(0, n // 2, n)

    @property
    def right(self) -> NDArray[np.bool_]:
        return self.error <= self.tolerance

    def fit(self, **options: object) -> Fitted:
        outcome = Outcome.of_errors(self.error, self.tolerance)
        return fit_calibration(self.evidence, outcome, self.images, criterion=Criterion.KS_OF_SIZE, **options)


@pytest.fixture(scope="module")
def seen() -> Planted:
    return Planted(3000, 0)


@pytest.fixture(scope="module")
def fresh() -> Planted:
    return Planted(6000, 1)


@pytest.fixture(scope="module")
def fitted(seen: Planted) -> Fitted:
    return seen.fit()


def test_scores_of_fresh_people_are_probabilities(fitted: Fitted, fresh: Planted) -> None:
    for column, keypoint in enumerate(KEYPOINTS):
        score, _ = fitted.calibration[keypoint].apply(fresh.evidence)
        assert ece(reliability_equal_count(score, fresh.right[:, column])) < 0.025


def test_out_of_fold_scores_promise_no_more_than_fresh_people_keep(fitted: Fitted, seen: Planted) -> None:
    for column in range(3):
        assert ece(reliability_equal_count(fitted.score[:, column], seen.right[:, column])) < 0.03


def test_the_ranking_is_as_good_as_the_planted_one(fitted: Fitted, fresh: Planted) -> None:
    for column, keypoint in enumerate(KEYPOINTS):
        score, _ = fitted.calibration[keypoint].apply(fresh.evidence)
        best = auroc(-fresh.evidence.values[:, column, 0], fresh.right[:, column])
        assert auroc(score, fresh.right[:, column]) == pytest.approx(best, abs=0.01)


def test_the_radius_holds_nine_times_of_ten_for_sure_and_unsure_points(fitted: Fitted, fresh: Planted) -> None:
    for column, keypoint in enumerate(KEYPOINTS):
        score, radius = fitted.calibration[keypoint].apply(fresh.evidence)
        error = fresh.error[:, column]
        assert coverage(error, radius) == pytest.approx(LEVEL, abs=0.02)
        for half in (score > np.median(score), score <= np.median(score)):
            assert coverage(error[half], radius[half]) == pytest.approx(LEVEL, abs=0.04)


@pytest.mark.parametrize("target", [0.02, 0.04])
def test_minimal_scores_keep_their_promise_on_fresh_people(target: float) -> None:
    fresh, broken, kept = Planted(20_000, 99), 0, []
    for seed in range(8):
        for keypoint, one in Planted(1000, 100 + seed).fit().calibration.items():
            chosen = one.apply(fresh.evidence)[0] >= one.minimum_score(target)
            wrong = ~fresh.right[:, fresh.evidence.keypoints.index(keypoint)]
            kept.append(chosen.mean())
            broken += bool(chosen.any() and wrong[chosen].mean() > target)
    assert broken <= 0.1 * len(kept) + 1
    assert np.mean(kept) > 0.1


def test_the_same_people_give_the_same_calibration(seen: Planted, fitted: Fitted) -> None:
    again = seen.fit().calibration["head_top"]
    assert np.array_equal(again.weights, fitted.calibration["head_top"].weights)
    assert np.array_equal(again.isotonic_score, fitted.calibration["head_top"].isotonic_score)


def test_blocks_of_the_curve_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    logit = rng.normal(size=400)
    right = rng.random(400) < 1 / (1 + np.exp(-logit))
    x, y = isotonic(logit, right, np.ones(400))
    oracle = IsotonicRegression(y_min=1 / 402, y_max=1 - 1 / 402).fit(logit, right).predict(logit)
    assert y == pytest.approx(np.unique(oracle))
    for level, middle in zip(y, x, strict=True):
        assert middle == pytest.approx(logit[np.isclose(oracle, level)].mean())


def test_the_curve_ranks_inside_scikit_learns_blocks() -> None:
    rng = np.random.default_rng(1)
    logit = rng.normal(size=400)
    right = rng.random(400) < 1 / (1 + np.exp(-logit))
    inside = np.sort(logit)[20:-20]
    assert (np.diff(np.interp(inside, *isotonic(logit, right, np.ones(400)))) > 0).mean() > 0.9


def test_thresholds_count_ties_together() -> None:
    score = np.array([0.9, 0.9, 0.5, 0.5, 0.1])
    right = np.array([True, False, True, True, False])
    least, kept, wrong = thresholds(score, right)
    assert least.tolist() == [0.9, 0.5, 0.1]
    assert kept.tolist() == [2, 4, 5]
    assert wrong.tolist() == [1, 1, 2]


def test_people_of_one_image_are_never_on_both_sides(seen: Planted) -> None:
    # Each image's people share a secret feature that tells their error; it must be worth nothing out of fold.
    rng = np.random.default_rng(0)
    images = np.repeat(np.arange(150), 20)
    right = np.repeat(rng.random(150) < 0.5, 20)
    secret = np.eye(150)[images]
    values = np.concatenate([secret, rng.normal(size=(3000, 1))], axis=1)[:, None]
    evidence = Evidence(("head_top",), tuple(f"f{i}" for i in range(151)), values)
    error = np.where(right, 0.1, 0.3)[:, None]
    found = fit_calibration(evidence, Outcome.of_errors(error, np.full((3000, 1), 0.2)), images, criterion=Criterion.KS)
    assert auroc(found.logit[:, 0], right) < 0.6


def test_a_constant_feature_has_no_weight_and_one_with_gaps_says_so(fitted: Fitted) -> None:
    one = fitted.calibration["head_top"]
    assert "same" not in one.features
    assert one.unknown[one.features.index("told")] == 0
    assert one.unknown[one.features.index("gaps")] != 0


def test_keypoints_of_a_group_share_weights_and_keep_their_own_curves(fitted: Fitted) -> None:
    neck, head, pelvis = (fitted.calibration[k] for k in KEYPOINTS)
    assert np.array_equal(neck.weights, head.weights)
    assert not np.array_equal(neck.weights, pelvis.weights)
    assert not np.array_equal(neck.isotonic_logit, head.isotonic_logit)


def test_pooled_is_one_calibration_for_all(seen: Planted) -> None:
    pooled = seen.fit(pooled=True)
    assert list(pooled.calibration) == [ANY]
    assert pooled.calibration[ANY].points == 9000
    assert np.isfinite(pooled.score).all()
    score, _ = pooled.calibration[ANY].apply(seen.evidence, "pelvis")
    assert ece(reliability_equal_count(score, seen.right[:, 2])) < 0.03


def test_a_keypoint_with_too_little_truth_is_left_out_with_the_reason(seen: Planted) -> None:
    error = seen.error.copy()
    error[40:, 1] = np.nan
    right = int((error[:40, 1] <= 0.2).sum())
    found = fit_calibration(
        seen.evidence, Outcome.of_errors(error, seen.tolerance), seen.images, criterion=Criterion.PCKH
    )
    assert set(found.calibration) == {"upper_neck", "pelvis"}
    assert (
        found.skipped["head_top"] == f"40 points with a truth, {right} of them right; 100 are needed, 15 of them right"
    )
    assert np.isnan(found.score[:, 1]).all()


def test_shapes_that_do_not_fit_are_refused(seen: Planted) -> None:
    with pytest.raises(ValueError, match="images"):
        fit_calibration(
            seen.evidence, Outcome.of_errors(seen.error, seen.tolerance), seen.images[1:], criterion=Criterion.KS
        )
    with pytest.raises(ValueError, match="differ"):
        Outcome.of_errors(seen.error, seen.tolerance[1:])


def test_where_hardly_a_point_is_wrong_all_have_the_same_score_and_may_be_added(seen: Planted) -> None:
    tolerance = np.full_like(seen.tolerance, 1e6)
    tolerance[:3, 2] = 0.0
    found = fit_calibration(
        seen.evidence, Outcome.of_errors(seen.error, tolerance), seen.images, criterion=Criterion.PCKH
    )
    pelvis = found.calibration["pelvis"]
    known = int(np.isfinite(seen.error[:, 2]).sum())
    assert pelvis.wrong == int((seen.error[:3, 2] > 0).sum()) and not pelvis.weights.any()
    score, _ = pelvis.apply(seen.evidence)
    assert np.unique(score[np.isfinite(score)]) == pytest.approx([1 - pelvis.wrong / known])
    assert pelvis.minimum_score(0.05) <= score[np.isfinite(score)].min()


def test_a_truth_that_lies_in_one_image_cannot_be_judged_unseen_and_is_left_out(seen: Planted) -> None:
    images = np.arange(len(seen.images)) % 10
    images[:200] = 10
    error = seen.error.copy()
    error[200:, 1] = np.nan
    found = fit_calibration(seen.evidence, Outcome.of_errors(error, seen.tolerance), images, criterion=Criterion.PCKH)
    assert "head_top" not in found.calibration and "too few images" in found.skipped["head_top"]
