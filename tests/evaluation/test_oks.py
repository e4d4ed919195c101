"""OKS per person, as COCO's evaluation computes it."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from people import perturbed, random_people
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from annotext.core.skeletons import COCO17, HALPE26
from annotext.evaluation.oks import SIGMA_SETS, SigmaSet, oks


def test_oks_is_pycocotools_own() -> None:
    # One person per image: computeOks then has exactly the pair to be compared.
    poses = random_people(COCO17, n=40, images=40, seed=2, crowds=0, unlabelled_people=0)
    predicted, _ = perturbed(poses, spread=0.2)
    truth = COCO()
    truth.dataset = {
        "images": [{"id": i} for i in range(40)],
        "categories": [{"id": 1}],
        "annotations": [
            {
                "id": i + 1,
                "image_id": i,
                "category_id": 1,
                "iscrowd": 0,
                "area": float(poses.area[i]),
                "bbox": poses.bbox_xywh[i].tolist(),
                "num_keypoints": 17,
                "keypoints": np.column_stack([np.nan_to_num(poses.xy[i]), poses.visibility[i]]).reshape(-1).tolist(),
            }
            for i in range(40)
        ],
    }
    results = [
        {
            "image_id": i,
            "category_id": 1,
            "score": 1.0,
            "keypoints": np.column_stack([predicted[i], np.ones(17)]).reshape(-1).tolist(),
        }
        for i in range(40)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(results), "keypoints")
        judge.evaluate()
    expected = [float(judge.ious[i, 1][0, 0]) for i in range(40)]
    assert 0.1 < np.mean(expected) < 0.9
    assert oks(poses.xy, predicted, poses.area, COCO17.sigma_array) == pytest.approx(expected, abs=1e-12)


def test_a_point_one_sigma_away_scores_as_the_gaussian_says() -> None:
    # COCO's variance is (2 sigma)^2, so a distance of 2 sigma sqrt(area) is one standard deviation.
    away = oks(np.zeros((1, 1, 2)), np.array([[[2 * 0.1 * 30, 0.0]]]), np.array([900.0]), np.array([0.1]))
    assert away[0] == pytest.approx(np.exp(-0.5))


def test_a_point_that_is_not_predicted_scores_nothing() -> None:
    truth = np.zeros((1, 4, 2))
    predicted = truth.copy()
    predicted[0, 0] = np.nan
    assert oks(truth, predicted, np.array([100.0]), np.full(4, 0.1))[0] == pytest.approx(0.75)


def test_an_unlabelled_point_does_not_count_wherever_it_is_predicted() -> None:
    truth = np.zeros((1, 2, 2))
    truth[0, 1] = np.nan
    assert oks(truth, np.array([[[0, 0], [1e6, 3]]]), np.array([100.0]), np.full(2, 0.1))[0] == 1.0


def test_a_person_without_labels_or_area_has_no_oks() -> None:
    truth = np.zeros((2, 2, 2))
    truth[0] = np.nan
    assert np.isnan(oks(truth, np.zeros((2, 2, 2)), np.array([100.0, np.nan]), np.full(2, 0.1))).all()


def test_an_area_of_zero_gives_a_number() -> None:
    assert oks(np.zeros((1, 1, 2)), np.ones((1, 1, 2)), np.array([0.0]), np.array([0.1]))[0] == 0.0


@given(st.floats(0.1, 50), st.floats(0, 6.28), st.floats(-500, 500))
def test_oks_depends_on_size_and_distance_only(zoom: float, angle: float, shift: float) -> None:
    poses = random_people(COCO17, n=5, unlabelled_people=0)
    predicted, _ = perturbed(poses, spread=0.1)
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    before = oks(poses.xy, predicted, poses.area, COCO17.sigma_array)
    after = oks(poses.xy @ turn + shift, predicted @ turn + shift, poses.area * zoom**2, COCO17.sigma_array)
    assert after == pytest.approx(before, abs=1e-6)


def test_sigma_sets_differ_where_halpes_two_differ() -> None:
    official, mmpose = SIGMA_SETS["halpe26"], SIGMA_SETS["mmpose-halpe26"]
    different = [k for k in HALPE26.keypoints if official.sigmas[k] != mmpose.sigmas[k]]
    assert different[:3] == ["head_top", "upper_neck", "pelvis"]
    assert official.array(["head_top"]) == [0.08]
    assert mmpose.array(["head_top", "pelvis"]).tolist() == [0.026, 0.066]


def test_a_sigma_set_names_what_it_lacks() -> None:
    with pytest.raises(KeyError, match="sigma set coco17 has no keypoint pelvis"):
        SigmaSet.of(COCO17).array(["pelvis"])
