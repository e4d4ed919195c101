"""Pelvis and thorax, computed where a human labelled both parents."""

from __future__ import annotations

import numpy as np
from people import random_people

from annotext.core.derive import derive
from annotext.core.poses import Poses
from annotext.core.skeletons import COCO17

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
