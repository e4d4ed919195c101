"""PCK and PCKh, against a hand example and HRNet's formula."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from people import perturbed, random_people

from annotext.core.anatomy import POOLED_JOINTS
from annotext.core.skeletons import COCO17, MPII16
from annotext.evaluation.pck import distances, share_within, torso_size


def test_a_hand_example() -> None:
    # Two people with heads of 10 and 20 px; threshold .5 allows 5 and 10 px.
    truth = np.array([[[0.0, 0.0], [100.0, 0.0]], [[0.0, 0.0], [np.nan, np.nan]]])
    predicted = np.array([[[3.0, 4.0], [100.0, 5.1]], [[0.0, 9.0], [7.0, 7.0]]])
    share = share_within(distances(truth, predicted), np.array([10.0, 20.0]), 0.5)
    assert share.right.tolist() == [2, 0]  # 5.0 px on the limit counts, 5.1 px does not
    assert share.total.tolist() == [2, 1]
    assert share.percent().tolist() == [100.0, 0.0]
    assert share.pooled_percent([0, 1]) == pytest.approx(200 / 3)


def _hrnet_pckh(
    predicted: np.ndarray, truth: np.ndarray, missing: np.ndarray, headboxes: np.ndarray, threshold: float
) -> tuple[np.ndarray, float]:
    """HRNet lib/dataset/mpii.py `evaluate`, restated: (16, 2, N) positions, (16, N) missing, (2, 2, N) head boxes."""
    visible = 1 - missing
    error = np.linalg.norm(predicted - truth, axis=1)
    head = np.linalg.norm(headboxes[1] - headboxes[0], axis=0) * 0.6
    scaled = error / (head * np.ones((len(error), 1))) * visible
    count = visible.sum(axis=1)
    right = (scaled <= threshold) * visible
    pckh = np.ma.array(100.0 * right.sum(axis=1) / count, mask=False)
    counted = np.ma.array(count, mask=False)
    pckh.mask[6:8] = True
    counted.mask[6:8] = True
    ratio = counted / counted.sum().astype(np.float64)
    return 100.0 * right.sum(axis=1) / count, float(np.sum(pckh * ratio))


@pytest.mark.parametrize("threshold", [0.5, 0.1])
def test_pckh_is_hrnets(threshold: float) -> None:
    poses = random_people(MPII16, n=80, seed=4, labelled=0.7, crowds=0)
    predicted, _ = perturbed(poses, spread=0.06)
    rng = np.random.default_rng(0)
    headboxes = rng.uniform(0, 20, (2, 2, 80))
    headboxes[1] += 10
    head = 0.6 * np.linalg.norm(headboxes[1] - headboxes[0], axis=0)
    expected, expected_mean = _hrnet_pckh(
        np.moveaxis(predicted, 0, -1),
        np.moveaxis(np.nan_to_num(poses.xy), 0, -1),
        ~poses.labelled.T,
        headboxes,
        threshold,
    )
    share = share_within(distances(poses.xy, predicted), head, threshold)
    assert 2 < expected_mean < 98
    assert share.percent() == pytest.approx(expected)
    assert share.pooled_percent(MPII16.indices(POOLED_JOINTS)) == pytest.approx(expected_mean)


def test_the_mean_leaves_out_pelvis_and_thorax() -> None:
    assert len(POOLED_JOINTS) == 14
    assert set(MPII16.keypoints) - set(POOLED_JOINTS) == {"pelvis", "thorax"}


def test_a_point_that_is_not_predicted_is_wrong() -> None:
    truth = np.zeros((2, 1, 2))
    predicted = np.array([[[0.0, 0.0]], [[np.nan, np.nan]]])
    assert share_within(distances(truth, predicted), np.ones(2), 0.5).percent().tolist() == [50.0]


def test_a_person_without_a_unit_is_not_judged() -> None:
    truth = np.zeros((3, 1, 2))
    share = share_within(distances(truth, truth), np.array([1.0, np.nan, 0.0]), 0.5)
    assert share.total.tolist() == [1]


def test_nobody_to_judge_is_not_zero_percent() -> None:
    share = share_within(np.full((2, 3), np.nan), np.ones(2), 0.5)
    assert np.isnan(share.percent()).all()
    assert np.isnan(share.pooled_percent([0, 1]))


def test_a_torso_goes_from_mid_shoulder_to_mid_hip() -> None:
    poses = random_people(COCO17, n=1, labelled=1.0, unlabelled_people=0)
    xy = poses.xy.copy()
    places = {"left_shoulder": (10, 0), "right_shoulder": (-10, 0), "left_hip": (8, 40), "right_hip": (-2, 40)}
    for name, place in places.items():
        xy[0, COCO17.index[name]] = place
    assert torso_size(replace(poses, xy=xy))[0] == pytest.approx(np.hypot(3, 40))


def test_a_person_whose_hip_is_not_labelled_has_no_torso() -> None:
    poses = random_people(COCO17, labelled=0.7)
    four = COCO17.indices(["left_shoulder", "right_shoulder", "left_hip", "right_hip"])
    assert np.array_equal(np.isfinite(torso_size(poses)), poses.labelled[:, four].all(axis=1))
