"""The small real models reproduce the figures that came with them (see their README), as far as the people allow.

Measured here on the 551 COCO persons that are held (train and val images) and 5 of MPII: simplepose OKS .708, and .717
on the 533 that have one of the 12 shared joints (given: .719 over 534); EfficientPose I OKS .413 (.421), PCKh@.5 .947
(.947); EfficientPose II OKS .476 (.475), PCKh@.5 .961 (.987: 73 instead of 75 of 76 joints). EfficientPose on all
persons takes minutes: `benchmarks/studies/real_models.py` prints those.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from annotext.core.poses import Poses
from annotext.core.predictions import Predictions
from annotext.formats.annotations.read import read_annotations
from annotext.predictors.load import load_predictor
from annotext.predictors.pipeline import predict

pytestmark = [pytest.mark.real, pytest.mark.slow]


def mean_oks(found: Predictions, poses: Poses) -> float:
    """Mean over people of the OKS on the keypoints both name (COCO eval's formula)."""
    shared = poses.skeleton.shared_with(found.skeleton)
    ours, theirs = poses.skeleton.indices(shared), found.skeleton.indices(shared)
    squared = ((found.xy[:, theirs] - poses.xy[:, ours]) ** 2).sum(axis=-1)
    similarity = np.exp(-squared / (8 * poses.area[:, None] * poses.skeleton.sigma_array[ours] ** 2))
    labelled = poses.labelled[:, ours]
    count = labelled.sum(axis=1)
    return float((np.where(labelled, similarity, 0).sum(axis=1)[count > 0] / count[count > 0]).mean())


def test_simplepose_reaches_its_oks_on_coco(real: Path) -> None:
    predictor = load_predictor(real / "models" / "simplepose_nano_coco17.json")
    total, people = 0.0, 0
    for split in ("train2017", "val2017"):
        poses = read_annotations(real / "coco" / "annotations" / f"person_keypoints_{split}_subset.json").poses
        [found] = predict([predictor], poses, real / "coco" / "images" / split)
        total, people = total + mean_oks(found, poses) * len(poses), people + len(poses)
    assert people == 551
    assert total / people == pytest.approx(0.719, abs=0.015)


@pytest.mark.parametrize(("model", "pckh"), [("efficientpose_i_mpii16", 0.947), ("efficientpose_ii_mpii16", 0.987)])
def test_efficientpose_reaches_its_pckh_on_mpii(model: str, pckh: float, real: Path) -> None:
    poses = read_annotations(real / "mpii" / "annotations" / "test_mpii.json").poses
    [found] = predict([load_predictor(real / "models" / f"{model}.json")], poses, real / "mpii" / "images")
    ours = poses.skeleton.indices(found.skeleton.keypoints)
    distance = np.linalg.norm(found.xy - poses.xy[:, ours], axis=-1)
    neck, top = poses.skeleton.indices(("upper_neck", "head_top"))
    # No head boxes in this file: the head's length is the unit.
    head = np.linalg.norm(poses.xy[:, neck] - poses.xy[:, top], axis=-1)
    labelled = poses.labelled[:, ours]
    right = (distance <= 0.5 * head[:, None])[labelled]
    assert right.size == 76
    assert right.mean() == pytest.approx(pckh, abs=2.5 / 76)
