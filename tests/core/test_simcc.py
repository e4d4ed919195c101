"""SimCC: what goes in as a Gaussian comes out as a position and a score."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from annotext.core.simcc import (
    decode,
    entropy,
    gaussian_targets,
    heatmap_marginals,
    mass_near_peak,
    peak_position,
    softmax,
)

BINS, SPLIT = 256, 2.0
distributions = arrays(np.float64, (3, 40), elements=st.floats(0, 1)).map(lambda a: a + 1e-9)


@given(st.floats(2.0, 125.0), st.floats(1.0, 6.0))
def test_a_gaussian_is_found_within_a_twentieth_of_a_pixel(position: float, sigma: float) -> None:
    target = gaussian_targets([position], BINS, SPLIT, sigma)
    assert peak_position(target)[0] / SPLIT == pytest.approx(position, abs=0.05)


@given(st.lists(st.floats(-500, 500), min_size=1, max_size=6), st.floats(0.5, 6))
def test_a_target_sums_to_one_or_is_empty(positions: list[float], sigma: float) -> None:
    total = gaussian_targets(positions, BINS, SPLIT, sigma).sum(axis=-1)
    assert np.all((np.abs(total - 1) < 1e-4) | (total == 0))


def test_a_point_that_is_not_there_has_an_empty_target() -> None:
    assert gaussian_targets([np.nan, 64.0], BINS, SPLIT, 3.0).sum(axis=-1) == pytest.approx([0.0, 1.0], abs=1e-5)


def test_a_target_three_sigma_outside_is_empty_and_one_just_inside_is_not() -> None:
    total = gaussian_targets([-9.1, -8.9, 127.5 + 8.9, 127.5 + 9.1], BINS, SPLIT, 3.0).sum(axis=-1)
    assert (total > 0).tolist() == [False, True, True, False]


@given(distributions)
def test_a_peak_is_within_half_a_bin_of_the_maximum(p: np.ndarray) -> None:
    assert np.all(np.abs(peak_position(p) - p.argmax(axis=-1)) <= 0.5)


@pytest.mark.parametrize("bins", [1, 2, 3])
def test_a_short_axis_is_decoded(bins: int) -> None:
    assert peak_position(np.eye(bins)) == pytest.approx(np.arange(bins))


def test_a_plateau_gives_its_first_bin() -> None:
    assert peak_position(np.ones(9)) == 0.0


@settings(max_examples=50)
@given(arrays(np.float32, (2, 3, 30), elements=st.floats(-50, 50, width=32)))
def test_scores_and_coordinates_stay_in_bounds(logits: np.ndarray) -> None:
    p = softmax(logits, beta=10.0)
    xy, score = decode(p, p, split_ratio=SPLIT, sigma=2.0)
    assert np.all((score >= 0) & (score <= 1))
    assert np.all((xy >= -0.25) & (xy <= 29.5 / SPLIT))


def test_the_target_itself_scores_what_two_sigma_hold() -> None:
    target = gaussian_targets([[60.2]], BINS, SPLIT, 3.0)
    _, score = decode(target, target, split_ratio=SPLIT, sigma=3.0)
    assert score[0, 0] == pytest.approx(0.954**2, abs=0.02)


def test_a_flat_distribution_scores_next_to_nothing() -> None:
    flat = np.full((1, 1, BINS), 1 / BINS)
    assert decode(flat, flat, split_ratio=SPLIT, sigma=3.0)[1][0, 0] < 0.02


def test_softmax_with_beta_is_softmax_of_scaled_logits() -> None:
    logits = np.random.default_rng(0).normal(size=(4, 20))
    expected = np.exp(10 * logits) / np.exp(10 * logits).sum(axis=-1, keepdims=True)
    assert softmax(logits, beta=10.0) == pytest.approx(expected, abs=1e-6)


def test_softmax_of_huge_logits_is_finite() -> None:
    assert softmax([1e4, 0.0, -1e4], beta=10.0).tolist() == [1.0, 0.0, 0.0]


@given(arrays(np.float32, (2, 7, 5), elements=st.floats(-1, 1, width=32)))
def test_marginals_of_any_heatmap_are_distributions(heatmap: np.ndarray) -> None:
    x, y = heatmap_marginals(heatmap)
    assert x.shape == (2, 5)
    assert y.shape == (2, 7)
    for axis in (x, y):
        assert axis.sum(axis=-1) == pytest.approx(np.ones(2), abs=1e-4)
        assert np.all(axis >= 0)


def test_marginals_of_a_separable_heatmap_are_its_factors() -> None:
    fx, fy = np.array([0.2, 0.5, 0.3]), np.array([0.1, 0.9])
    x, y = heatmap_marginals(4.0 * fy[:, None] * fx[None])
    assert x == pytest.approx(fx)
    assert y == pytest.approx(fy)


def test_entropy_is_one_when_flat_and_zero_at_a_spike() -> None:
    assert entropy(np.full(50, 1 / 50)) == pytest.approx(1.0, abs=1e-5)
    assert entropy(np.eye(50)[3]) == pytest.approx(0.0, abs=1e-5)


def test_mass_near_the_peak_counts_both_sides() -> None:
    p = np.array([0.1, 0.2, 0.4, 0.2, 0.1])
    assert mass_near_peak(p, 1) == pytest.approx(0.8)
