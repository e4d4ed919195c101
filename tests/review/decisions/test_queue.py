from __future__ import annotations

import time

import numpy as np
import pytest
from calibrations import INPUTS, standing_people
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from people import random_people

from annotext.core.additions import Additions, Source
from annotext.core.skeletons import COCO17
from annotext.review.decisions.doubt import open_points
from annotext.review.decisions.gain import removed
from annotext.review.decisions.queue import (
    OPENING,
    ReviewValue,
    Strategy,
    kinds_of,
    pose_features,
    queue,
    review_values,
    sizes,
)

KEYPOINTS = ("upper_neck", "head_top")


def additions_of(score: NDArray[np.float64], radius: NDArray[np.float64] | None = None) -> Additions:
    """(N, 2) predicted points, all added; radius in pixels, 10 where left out."""
    n = len(score)
    return Additions(
        keypoints=KEYPOINTS,
        xy=np.full((n, 2, 2), 50.0),
        visibility=np.full((n, 2), 2, dtype=np.uint8),
        source=np.full((n, 2), Source.STUDENT, dtype=object),
        score=score,
        radius=np.full((n, 2), 10.0) if radius is None else radius,
    )


def values_of(
    score: NDArray[np.float64], radius: NDArray[np.float64] | None = None, size: float = 100.0
) -> ReviewValue:
    additions = additions_of(score, radius)
    return review_values(additions, open_points(additions), np.full(len(score), size), np.full(score.shape, 20.0))


def ordered(values: ReviewValue, strategy: Strategy, score: NDArray[np.float64], seed: int = 0) -> NDArray[np.intp]:
    features = [np.random.default_rng(5).normal(size=(len(score), 4))]
    return queue(values, strategy, score=score, limit=np.array([0.9, np.inf]), features=features, seed=seed)


@given(n=st.integers(0, 80), seed=st.integers(0, 50), strategy=st.sampled_from(Strategy))
@settings(max_examples=60, deadline=None)
def test_every_person_with_an_open_point_comes_once_and_nobody_else(n: int, seed: int, strategy: Strategy) -> None:
    rng = np.random.default_rng(seed)
    score = rng.random((n, 2))
    points = rng.random((n, 2)) < 0.4
    additions = additions_of(score)
    values = review_values(additions, points, np.full(n, 100.0), np.full((n, 2), 20.0))
    order = ordered(values, strategy, score, seed)
    assert sorted(order.tolist()) == np.flatnonzero(points.any(axis=1)).tolist()


@given(seed=st.integers(0, 30), strategy=st.sampled_from(Strategy))
@settings(max_examples=40, deadline=None)
def test_the_same_input_gives_the_same_order(seed: int, strategy: Strategy) -> None:
    score = np.random.default_rng(seed).random((60, 2))
    values = values_of(score)
    assert ordered(values, strategy, score, seed).tolist() == ordered(values, strategy, score, seed).tolist()


def test_another_seed_gives_another_random_order() -> None:
    score = np.full((40, 2), 0.5)
    values = values_of(score)
    assert ordered(values, Strategy.RANDOM, score, 1).tolist() != ordered(values, Strategy.RANDOM, score, 2).tolist()


def test_expected_error_grows_with_doubt_with_radius_and_with_smallness_of_the_person() -> None:
    sure, unsure = values_of(np.full((1, 2), 0.9)), values_of(np.full((1, 2), 0.4))
    assert (unsure.error > sure.error).all()
    assert (values_of(np.full((1, 2), 0.4), np.full((1, 2), 30.0)).error > unsure.error).all()
    assert np.allclose(values_of(np.full((1, 2), 0.4), size=50.0).error, 2 * unsure.error)


def test_a_point_that_is_wrong_for_sure_is_off_by_tolerance_and_radius() -> None:
    assert np.allclose(values_of(np.zeros((1, 2))).error, (20 + 10) / 100)


@given(seed=st.integers(0, 30))
@settings(max_examples=20, deadline=None)
def test_scores_without_a_radius_count_by_rank_so_that_only_their_order_matters(seed: int) -> None:
    score = np.random.default_rng(seed).random((30, 2))
    nowhere = np.full((30, 2), np.nan)
    plain, squeezed = values_of(score, nowhere), values_of(0.5 + score**3 / 100, nowhere)
    assert np.allclose(plain.wrong, squeezed.wrong)
    assert np.allclose(plain.wrong.mean(axis=0), 0.5)
    assert (np.argsort(plain.wrong[:, 0]) == np.argsort(-score[:, 0])).all()


@pytest.mark.parametrize("seed", range(5))
def test_expected_error_finds_much_more_than_chance_where_scores_are_probabilities(seed: int) -> None:
    rng = np.random.default_rng(seed)
    score = np.repeat(rng.beta(2, 0.12, (1500, 1)), 2, axis=1)  # some people are hard, most are not
    wrong = rng.random(score.shape) > score
    mass, points = (wrong * 0.3).sum(axis=1), np.full(len(score), 2.0)
    values, tenth = values_of(score), np.array([0.1])
    mine = removed(ordered(values, Strategy.EXPECTED_ERROR, score), points, mass, tenth)[0]
    chance = [removed(ordered(values, Strategy.RANDOM, score, s), points, mass, tenth)[0] for s in range(20)]
    assert np.mean(chance) == pytest.approx(0.1, abs=0.02)
    assert mine > 3 * np.mean(chance)


def test_people_like_those_before_them_come_later_among_equal_errors() -> None:
    score = np.full((100, 2), 0.5)
    features = [np.r_[np.zeros((80, 2)), np.full((20, 2), 9.0)]]
    order = queue(
        values_of(score), Strategy.EXPECTED_ERROR, score=score, limit=np.full(2, np.nan), features=features, seed=0
    )
    # By file order alone the twenty would be the last.
    assert (order[:20] >= 80).sum() >= 5


def test_diverse_takes_one_of_each_kind_before_the_next_of_any() -> None:
    score = np.full((100, 2), 0.5)
    features = [np.r_[np.zeros((60, 2)), np.full((40, 2), 9.0)]]
    values = values_of(score)
    order = queue(values, Strategy.DIVERSE, score=score, limit=np.full(2, np.nan), features=features, seed=3)
    kind = kinds_of([features[0]], np.random.default_rng(3))[order]
    kinds = len({*kind.tolist()})
    assert kinds > 1
    assert len({*kind[:kinds].tolist()}) == kinds


def test_uncertainty_takes_those_nearest_to_the_limit_first_and_to_a_half_where_there_is_none() -> None:
    score = np.array([[0.1, 0.9], [0.88, 0.52], [0.99, 0.1]])
    assert ordered(values_of(score), Strategy.UNCERTAINTY, score)[0] == 1


def test_opening_a_person_costs_so_two_doubtful_points_go_before_one() -> None:
    additions = additions_of(np.full((2, 2), 0.5))
    points = np.array([[True, False], [True, True]])
    values = review_values(additions, points, np.full(2, 100.0), np.full((2, 2), 20.0))
    assert OPENING > 0
    assert ordered(values, Strategy.EXPECTED_ERROR, additions.score).tolist() == [1, 0]


def test_nobody_is_queued_where_nothing_is_open() -> None:
    additions = additions_of(np.full((3, 2), 0.5))
    values = review_values(additions, np.zeros((3, 2), dtype=bool), np.full(3, 100.0), np.full((3, 2), 20.0))
    assert all(len(ordered(values, strategy, additions.score)) == 0 for strategy in Strategy)


def test_size_is_that_of_the_labels_and_by_the_box_of_who_has_none() -> None:
    poses, _ = standing_people(50)
    whole = sizes(poses, INPUTS)
    hidden = poses.visibility.copy()
    hidden[:5] = 0
    less = type(poses)(**{**vars(poses), "visibility": hidden, "xy": np.where(hidden[..., None] > 0, poses.xy, np.nan)})
    measured = sizes(less, INPUTS)
    assert np.allclose(measured[5:], whole[5:])
    assert (np.abs(np.log(measured[:5] / whole[:5])) < np.log(1.6)).all()


def test_pose_features_do_not_depend_on_where_and_how_large_a_person_is() -> None:
    poses, _ = standing_people(40)
    moved = type(poses)(**{**vars(poses), "xy": poses.xy * 3 + 100})
    assert np.allclose(pose_features(poses, INPUTS), pose_features(moved, INPUTS))


def test_pose_features_are_finite_for_people_with_few_or_no_labels() -> None:
    poses = random_people(COCO17, n=200, labelled=0.1, unlabelled_people=0.3, seed=4)
    assert np.isfinite(pose_features(poses, INPUTS)).all()
    assert (sizes(poses, INPUTS) > 0).all()


def test_a_hundred_thousand_people_are_ordered_in_seconds() -> None:
    rng = np.random.default_rng(0)
    score = rng.random((100_000, 2))
    values = values_of(score)
    features = [rng.normal(size=(100_000, 26))]
    started = time.perf_counter()
    queue(values, Strategy.EXPECTED_ERROR, score=score, limit=np.full(2, 0.9), features=features)
    # A machine that does much else at the same time is allowed ten times what it takes alone.
    assert time.perf_counter() - started < 30
