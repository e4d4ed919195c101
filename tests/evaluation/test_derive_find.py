"""Finding rules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from people import random_people

from annotext.core.poses import Poses
from annotext.core.skeletons import COCO17, MPII16
from annotext.evaluation.derive_check import unit_of
from annotext.evaluation.derive_search import MIN_PEOPLE, Found, find

JOINTS = MPII16.shared_with(COCO17)


def _planted(
    weights: dict[str, float], keypoint: str = "head_top", noise: float = 0.02, n: int = 400, seed: int = 0
) -> Poses:
    """People whose keypoint is that combination of others, up to a noise in head sizes."""
    rng = np.random.default_rng(seed)
    poses = random_people(MPII16, n=n, images=n // 2, labelled=1.0, unlabelled_people=0, crowds=0, seed=seed)
    xy = poses.xy.copy()
    place = sum(w * xy[:, MPII16.index[k]] for k, w in weights.items())
    xy[:, MPII16.index[keypoint]] = place + noise * poses.head_size[:, None] * rng.normal(size=(n, 2))
    return replace(poses, xy=xy)


def _search(poses: Poses, keypoint: str = "head_top", **options: object) -> Found:
    parents = [k for k in JOINTS if k != keypoint]
    return find(poses, keypoint, parents, unit_of(poses), **options)  # type: ignore[arg-type]


SYMMETRIC = {"left_hip": -0.3, "right_hip": -0.3, "left_shoulder": 0.8, "right_shoulder": 0.8}


@pytest.mark.parametrize(
    ("keypoint", "weights"),
    [
        ("head_top", SYMMETRIC),
        ("pelvis", {"left_hip": 0.5, "right_hip": 0.5}),
        ("left_elbow", {"left_shoulder": 0.4, "left_wrist": 0.6}),
        ("left_elbow", {"left_shoulder": 0.7, "left_wrist": 0.5, "right_shoulder": -0.2}),
        ("left_knee", {"left_hip": 0.7, "left_ankle": 0.8, "right_ankle": -0.3, "right_wrist": -0.2}),
    ],
)
def test_a_planted_rule_is_found_among_distractors_and_ranks_first(keypoint: str, weights: dict[str, float]) -> None:
    best = _search(_planted(weights, keypoint), keypoint).rules[0]
    assert set(best.rule.weights) == set(weights)
    for name, weight in weights.items():
        assert best.rule.weights[name] == pytest.approx(weight, abs=0.02)


def test_odd_labels_do_not_bend_the_weights() -> None:
    poses = _planted(SYMMETRIC)
    xy = poses.xy.copy()
    xy[::10, MPII16.index["head_top"]] += 20 * poses.head_size[::10, None]  # a tenth is mislabelled, all one way
    best = _search(replace(poses, xy=xy)).rules[0].rule
    assert best.weights["left_shoulder"] == pytest.approx(0.8, abs=0.03)


def test_a_rule_moves_turns_and_grows_with_the_people_it_was_found_on() -> None:
    poses = _planted(SYMMETRIC, noise=0.2)
    turn = np.array([[0.0, 2.5], [-2.5, 0.0]])
    moved = replace(poses, xy=poses.xy @ turn + [900.0, -70.0], head_size=2.5 * poses.head_size)
    one, other = _search(poses), _search(moved)
    assert [set(f.rule.weights) for f in one.rules] == [set(f.rule.weights) for f in other.rules]
    for mine, theirs in zip(one.rules, other.rules, strict=True):
        assert list(mine.rule.weights.values()) == pytest.approx(list(theirs.rule.weights.values()), abs=1e-6)
        assert mine.figures.error == pytest.approx(theirs.figures.error, abs=1e-6)


def test_weights_sum_to_one_and_are_the_same_left_and_right_on_the_midline() -> None:
    found = _search(_planted(SYMMETRIC, noise=0.5))
    for rule in (f.rule for f in found.rules):
        assert sum(rule.weights.values()) == pytest.approx(1)
        for name, weight in rule.weights.items():
            other = MPII16.keypoints[MPII16.flip_index[MPII16.index[name]]]
            assert rule.weights[other] == weight


def test_rules_are_ranked_by_people_they_were_not_fitted_on() -> None:
    # Nothing to find: on the fitted people some rule looks better than the spread of the label; on others none does.
    rng = np.random.default_rng(3)
    poses = _planted(SYMMETRIC, n=60)
    xy = poses.xy.copy()
    xy[:, MPII16.index["left_wrist"]] = rng.uniform(0, 400, (60, 2))
    poses = replace(poses, xy=xy)
    cross_fitted = _search(poses, "left_wrist").rules[0]
    same_people = _search(poses, "left_wrist", train=poses).rules[0]
    assert same_people.figures.median[0] < cross_fitted.figures.median[0]


def test_judged_on_other_people_than_fitted_on_the_planted_rule_still_wins() -> None:
    found = _search(_planted(SYMMETRIC, seed=1), train=_planted(SYMMETRIC, seed=2))
    assert set(found.rules[0].rule.weights) == set(SYMMETRIC)
    assert found.rules[0].figures.n == 400


def test_a_rule_that_only_adds_parents_to_a_better_one_is_not_listed() -> None:
    rules = _search(_planted({"left_shoulder": 0.4, "left_wrist": 0.6}, "left_elbow"), "left_elbow").rules
    assert not [f for f in rules[1:] if set(f.rule.weights) > {"left_shoulder", "left_wrist"}]


def test_parents_few_people_have_are_left_out_unless_wanted() -> None:
    poses = _planted(SYMMETRIC)
    xy, visibility = poses.xy.copy(), poses.visibility.copy()
    ankle = MPII16.index["left_ankle"]
    xy[100:, ankle], visibility[100:, ankle] = np.nan, 0
    poses = replace(poses, xy=xy, visibility=visibility)
    found = _search(poses)
    assert set(found.left_out) == {"left_ankle", "right_ankle"}
    assert len(found.rows) == 400
    assert len(_search(poses, keep_all=True).rows) == 100


def test_more_parents_are_found_by_growing_the_best_sets() -> None:
    weights = {"left_hip": 0.9, "left_ankle": 0.8, "right_ankle": -0.5, "right_wrist": -0.6, "left_wrist": 0.4}
    best = _search(_planted(weights, "left_knee", noise=0.005), "left_knee", most_parents=5).rules[0]
    assert set(best.rule.weights) == set(weights)


def test_a_keypoint_is_never_its_own_parent() -> None:
    poses = _planted(SYMMETRIC)
    with pytest.raises(ValueError, match="cannot be its own parent"):
        find(poses, "head_top", ("head_top", "upper_neck"), unit_of(poses))


def test_too_few_people_are_refused() -> None:
    with pytest.raises(ValueError, match=f"{MIN_PEOPLE} are needed to judge on"):
        _search(_planted(SYMMETRIC, n=30))
