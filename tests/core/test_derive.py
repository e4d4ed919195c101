"""Pelvis and thorax, computed where a human labelled both parents."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from people import random_people

from annotext.core.derive import ANY, RULES, Rule, derive, formula, rule_for
from annotext.core.poses import Poses
from annotext.core.skeletons import COCO17, HALPE26, MPII16, UNION21

ADDED = ("pelvis", "thorax", "upper_neck", "head_top")


def _parents(poses: Poses, part: str) -> np.ndarray:
    return poses.skeleton.indices([f"left_{part}", f"right_{part}"])


def test_pelvis_is_the_middle_of_the_hips() -> None:
    poses = random_people(COCO17, labelled=1.0, unlabelled_people=0)
    xy, _ = derive(poses, ADDED)
    assert np.allclose(xy[:, 0], poses.xy[:, _parents(poses, "hip")].mean(axis=1))


def test_one_labelled_parent_derives_nothing() -> None:
    poses = random_people(COCO17, labelled=0.5)
    xy, visibility = derive(poses, ADDED)
    both = poses.labelled[:, _parents(poses, "shoulder")].all(axis=1)
    assert 0 < both.sum() < len(poses)
    assert np.array_equal(np.isfinite(xy[:, 1]).all(axis=1), both)
    assert np.array_equal(visibility[:, 1] > 0, both)


def test_a_hidden_parent_makes_a_hidden_point() -> None:
    poses = random_people(COCO17, labelled=1.0, unlabelled_people=0)
    _, visibility = derive(poses, ADDED)
    hidden = (poses.visibility[:, _parents(poses, "hip")] == 1).any(axis=1)
    assert np.array_equal(visibility[:, 0] == 1, hidden)
    assert set(visibility[:, 0].tolist()) == {1, 2}


def test_neck_and_head_top_are_never_derived() -> None:
    xy, visibility = derive(random_people(COCO17, labelled=1.0), ADDED)
    assert np.isnan(xy[:, 2:]).all()
    assert not visibility[:, 2:].any()


def test_every_declared_rule_moves_turns_and_grows_with_the_person() -> None:
    rng = np.random.default_rng(0)
    for rule in RULES:
        poses = random_people(UNION21, labelled=1.0, unlabelled_people=0)
        angle, zoom, shift = rng.uniform(0, 6), rng.uniform(0.2, 5), rng.uniform(-500, 500, 2)
        turn = zoom * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        moved = replace(poses, xy=poses.xy @ turn + shift)
        assert np.allclose(rule.apply(moved)[0], rule.apply(poses)[0] @ turn + shift)


def test_every_declared_rule_says_how_we_know() -> None:
    assert all(rule.evidence for rule in RULES)


def test_a_rule_of_the_pair_goes_before_one_for_any_labels() -> None:
    assert rule_for("pelvis", MPII16).source == "mpii16"  # type: ignore[union-attr]
    assert rule_for("pelvis", COCO17).source == "coco17"  # type: ignore[union-attr]
    assert rule_for("thorax", HALPE26).source == ANY  # type: ignore[union-attr]
    assert rule_for("head_top", COCO17) is None


def test_weights_that_do_not_sum_to_one_are_refused() -> None:
    with pytest.raises(ValueError, match=r"weights sum to 0\.9"):
        Rule("pelvis", {"left_hip": 0.5, "right_hip": 0.4}, ANY, "mpii16", "")


def test_weights_of_any_kind_are_added_up() -> None:
    poses = random_people(MPII16, labelled=1.0, unlabelled_people=0)
    xy, _ = Rule("head_top", {"upper_neck": 1.75, "pelvis": -0.75}, ANY, "mpii16", "made up").apply(poses)
    neck, pelvis = (poses.xy[:, MPII16.index[k]] for k in ("upper_neck", "pelvis"))
    assert np.allclose(xy, 1.75 * neck - 0.75 * pelvis)


def test_a_rule_reads_as_a_sum() -> None:
    weights = {"left_hip": -0.35, "right_hip": -0.35, "left_shoulder": 0.85, "right_shoulder": 0.85}
    assert formula(weights) == "-0.7 mid hips + 1.7 mid shoulders"
    assert formula({"left_knee": 0.25, "right_hip": 1.0, "nose": -0.25}) == "0.25 left_knee + right_hip - 0.25 nose"
