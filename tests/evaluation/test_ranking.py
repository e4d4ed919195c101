"""Ranking, reliability and intervals, against scikit-learn, SciPy and counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.metrics import roc_auc_score

from annotext.evaluation.ranking import (
    aurc,
    auroc,
    bootstrap,
    clopper_pearson_upper,
    coverage,
    ece,
    found_in_worst,
    group_folds,
    reliability_equal_count,
)

# Few different scores, so that ties are the rule.
SCORED = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=60)


def _arrays(pairs: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([p[0] for p in pairs], dtype=float), np.array([p[1] for p in pairs], dtype=bool)


@given(SCORED)
def test_auroc_is_scikit_learns_ties_included(pairs: list[tuple[int, bool]]) -> None:
    score, correct = _arrays(pairs)
    if correct.all() or not correct.any():
        assert np.isnan(auroc(score, correct))
    else:
        assert auroc(score, correct) == pytest.approx(roc_auc_score(correct, score))


def test_aurc_counts_from_the_best_point_down() -> None:
    found = aurc(np.array([0.1, 0.9, 0.5, 0.7]), np.array([True, False, True, False]))
    assert found == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)


def test_aurc_with_ties_is_the_mean_over_all_orders() -> None:
    rng = np.random.default_rng(0)
    score, wrong = rng.integers(0, 4, 30).astype(float), rng.random(30) < 0.4
    orders = [aurc(score + 1e-3 * rng.random(30), wrong) for _ in range(3000)]
    assert aurc(score, wrong) == pytest.approx(np.mean(orders), abs=2e-3)


@given(SCORED)
def test_no_ranking_beats_the_perfect_one(pairs: list[tuple[int, bool]]) -> None:
    score, wrong = _arrays(pairs)
    assert aurc(score, wrong) >= aurc(-wrong.astype(float), wrong) - 1e-12


def test_the_worst_tenth_of_the_queue_holds_what_stands_in_it() -> None:
    score = np.arange(100) / 100
    wrong = np.zeros(100, dtype=bool)
    wrong[[0, 3, 5, 50]] = True
    assert found_in_worst(score, wrong, 0.1) == pytest.approx(3 / 4)
    assert found_in_worst(np.zeros(100), wrong, 0.1) == pytest.approx(0.1)
    assert found_in_worst(score, wrong, 1.0) == 1.0


def test_ece_of_two_bins_by_hand() -> None:
    probability = np.array([0.2, 0.2, 0.8, 0.8])
    correct = np.array([True, False, True, True])
    by_hand = (abs(0.2 - 0.5) + abs(0.8 - 1.0)) / 2
    assert ece(reliability_equal_count(probability, correct, 2)) == pytest.approx(by_hand)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=80), st.integers(1, 20))
def test_every_point_stands_in_one_bin(pairs: list[tuple[float, bool]], bins: int) -> None:
    probability, correct = _arrays(pairs)
    reliability = reliability_equal_count(probability, correct, bins)
    assert reliability.count.sum() == len(pairs)
    assert reliability.observed @ reliability.count == pytest.approx(correct.sum())
    assert reliability.predicted @ reliability.count == pytest.approx(probability.sum())


def test_bins_of_equal_count_are_equal_where_nothing_ties() -> None:
    probability = np.random.default_rng(0).permutation(150) / 150
    assert reliability_equal_count(probability, probability > 0.5).count.tolist() == [10] * 15


def test_coverage_counts_errors_within_their_radius() -> None:
    assert coverage(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 1.0, 5.0, 5.0])) == 0.75


def test_the_bootstrap_draws_groups_not_rows() -> None:
    # 20 groups of 50 equal rows: the interval must be as wide as 20 observations make it, not 1000.
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 50)
    values = rng.normal(size=20)[groups]
    interval = bootstrap(lambda rows: float(values[rows].mean()), groups, np.random.default_rng(1), rounds=500)
    expected = 2 * 1.96 * values.std() / np.sqrt(20)
    assert interval.high - interval.low == pytest.approx(expected, rel=0.15)
    assert interval.low < interval.value < interval.high


@given(st.integers(1, 400), st.floats(0, 1), st.sampled_from([0.9, 0.95, 0.995]))
def test_at_the_upper_bound_so_few_wrong_points_are_as_rare_as_the_level_says(
    total: int, share: float, level: float
) -> None:
    wrong = int(share * total)
    bound = clopper_pearson_upper(wrong, total, level)
    assert bound == 1.0 if wrong == total else binom.cdf(wrong, total, bound) == pytest.approx(1 - level)


def test_rows_of_one_group_share_a_fold_and_folds_hold_as_many_groups() -> None:
    groups = np.repeat(np.arange(100, 120), 3)
    fold = group_folds(groups, 5, np.random.default_rng(0))
    assert all(len(np.unique(fold[groups == group])) == 1 for group in groups)
    assert np.bincount(fold).tolist() == [12] * 5
