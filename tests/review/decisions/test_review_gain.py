from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotext.review.decisions.gain import WORST, TrueErrors, best_order, removed

ONE = np.ones((1, 1), dtype=bool)


def errors_of(away: float, tolerance: float = 10.0, size: float = 100.0) -> TrueErrors:
    truth = np.array([[[away, 0.0]]])
    return TrueErrors.of(ONE, np.zeros((1, 1, 2)), truth, np.array([size]), np.array([[tolerance]]))


def test_a_point_within_the_tolerance_has_no_error_a_review_could_remove() -> None:
    found = errors_of(9.0)
    assert not found.wrong.any()
    assert found.mass.sum() == 0
    assert found.distance.sum() == pytest.approx(0.09)


def test_a_wrong_point_counts_its_whole_distance_and_never_more_than_the_worst() -> None:
    assert errors_of(30.0).mass.sum() == pytest.approx(0.3)
    assert errors_of(500.0).mass.sum() == WORST
    assert errors_of(500.0).distance.sum() == pytest.approx(5.0)


def test_a_point_that_is_not_in_the_picture_is_as_wrong_as_can_be() -> None:
    found = errors_of(np.nan)
    assert found.wrong.all()
    assert found.mass.sum() == WORST


def test_points_nobody_looks_at_count_nothing() -> None:
    found = TrueErrors.of(~ONE, np.zeros((1, 1, 2)), np.full((1, 1, 2), 80.0), np.array([100.0]), np.array([[10.0]]))
    assert not found.wrong.any()
    assert found.distance.sum() == found.mass.sum() == 0


@given(n=st.integers(1, 60), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_removal_rises_from_nothing_to_everything_and_the_best_order_is_never_beaten(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, mass = rng.integers(1, 6, n).astype(float), rng.random(n) * (rng.random(n) < 0.5) + 1e-9
    shares = np.linspace(0, 1, 21)
    some = removed(rng.permutation(n), points, mass, shares)
    best = removed(best_order(points, mass, np.arange(n)), points, mass, shares)
    assert some[0] == 0
    assert some[-1] == pytest.approx(1)
    assert (np.diff(some) >= -1e-12).all()
    assert (best >= some - 1e-12).all()


def test_there_is_nothing_to_remove_without_mass() -> None:
    assert np.isnan(removed(np.arange(3), np.ones(3), np.zeros(3), np.array([0.5]))).all()
