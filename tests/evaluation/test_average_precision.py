"""COCO's AP and AR: pycocotools is the judge on 17 keypoints, and with its sigmas replaced on 21."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace

import numpy as np
import pytest
from faster_coco_eval import COCO as FasterCOCO
from faster_coco_eval import COCOeval_faster
from people import perturbed, random_people
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from annotext.core.poses import Poses
from annotext.core.skeletons import COCO17, UNION21
from annotext.evaluation.average_precision import FIGURES, average_precision


def _documents(poses: Poses, predicted: np.ndarray, score: np.ndarray) -> tuple[dict, list[dict]]:
    """What a user of the reference implementation would write."""
    truth = {
        "images": [{"id": 7 * i} for i in range(len(poses.images))],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [
            {
                "id": int(poses.ids[i]),
                "image_id": int(7 * poses.image_index[i]),
                "category_id": 1,
                "iscrowd": int(poses.crowd[i]),
                "area": float(poses.area[i]),
                "bbox": poses.bbox_xywh[i].tolist(),
                "num_keypoints": int(poses.labelled[i].sum()),
                "keypoints": [
                    float(v)
                    for p, seen in zip(np.nan_to_num(poses.xy[i]), poses.visibility[i], strict=True)
                    for v in (*p, seen)
                ],
            }
            for i in range(len(poses))
        ],
    }
    results = [
        {
            "image_id": int(7 * poses.image_index[i]),
            "category_id": 1,
            "score": float(score[i]),
            "keypoints": [float(v) for p in predicted[i] for v in (*p, 1)],
        }
        for i in range(len(poses))
    ]
    return truth, results


def _pycocotools(poses: Poses, predicted: np.ndarray, score: np.ndarray) -> list[float]:
    document, results = _documents(poses, predicted, score)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = document
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(results), "keypoints")
        judge.params.kpt_oks_sigmas = poses.skeleton.sigma_array
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return list(judge.stats)


def _figures(found: dict[str, float | None]) -> list[float]:
    return [-1.0 if found[name] is None else float(found[name]) for name in FIGURES]  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(4))
def test_17_keypoints_score_as_pycocotools_scores_them(seed: int) -> None:
    poses = random_people(COCO17, n=120, images=10, seed=seed)
    predicted, score = perturbed(poses, seed=seed + 50)
    expected = _pycocotools(poses, predicted, score)
    assert 0.2 < expected[0] < 0.95
    assert _figures(average_precision(poses, predicted, score, COCO17.sigma_array)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(2))
def test_21_keypoints_score_as_faster_coco_eval_and_pycocotools_score_them(seed: int) -> None:
    poses = random_people(UNION21, n=100, images=10, seed=seed)
    predicted, score = perturbed(poses, seed=seed + 50)
    document, results = _documents(poses, predicted, score)
    truth = FasterCOCO(document)
    judge = COCOeval_faster(
        truth, truth.loadRes(results), iouType="keypoints", kpt_oks_sigmas=UNION21.sigma_array.tolist()
    )
    judge.run()
    found = _figures(average_precision(poses, predicted, score, UNION21.sigma_array))
    assert found == pytest.approx(list(judge.stats[:10]), abs=1e-9)
    assert found == pytest.approx(_pycocotools(poses, predicted, score), abs=1e-9)


def test_more_than_20_people_in_an_image_score_as_pycocotools_scores_them() -> None:
    poses = random_people(COCO17, n=80, images=2, seed=3)
    predicted, score = perturbed(poses, seed=4, spread=0.03)
    expected = _pycocotools(poses, predicted, score)
    assert _figures(average_precision(poses, predicted, score, COCO17.sigma_array)) == pytest.approx(expected, abs=1e-9)


def test_points_left_out_score_as_pycocotools_scores_zeros() -> None:
    poses = random_people(COCO17, n=120, images=10, seed=5)
    predicted, score = perturbed(poses, seed=6)
    predicted[np.random.default_rng(7).random(predicted.shape[:2]) < 0.2] = np.nan
    expected = _pycocotools(poses, np.nan_to_num(predicted), score)
    assert 0.05 < expected[0] < 0.95
    assert _figures(average_precision(poses, predicted, score, COCO17.sigma_array)) == pytest.approx(expected, abs=1e-9)


def test_a_point_that_is_not_predicted_is_a_miss() -> None:
    poses = random_people(COCO17, labelled=1.0, unlabelled_people=0, crowds=0)
    without = poses.xy.copy()
    without[:, ::2] = np.nan
    score = np.ones(len(poses))
    whole = average_precision(poses, poses.xy, score, COCO17.sigma_array)
    half = average_precision(poses, without, score, COCO17.sigma_array)
    assert whole["AP"] == pytest.approx(1.0)
    # 8 of 17 points are right: OKS .47 reaches no threshold.
    assert half["AP"] == 0.0


def test_a_person_without_a_prediction_is_missed() -> None:
    poses = random_people(COCO17, n=40, labelled=1.0, unlabelled_people=0, crowds=0)
    predicted = poses.xy.copy()
    predicted[:10] = np.nan
    assert average_precision(poses, predicted, np.ones(40), COCO17.sigma_array)["AR"] == pytest.approx(0.75)


def test_a_person_of_unknown_area_is_ignored() -> None:
    poses = random_people(COCO17, n=40, labelled=1.0, unlabelled_people=0, crowds=0)
    area = poses.area.copy()
    area[:20] = np.nan
    predicted = poses.xy.copy()
    predicted[:20] += 1000
    found = average_precision(replace(poses, area=area), predicted[:], np.full(40, 0.5), COCO17.sigma_array)
    assert found["AR"] == pytest.approx(1.0)


def test_nobody_to_judge_gives_no_figures() -> None:
    poses = random_people(COCO17, n=10, unlabelled_people=1.0)
    predicted, score = perturbed(poses)
    assert set(average_precision(poses, predicted, score, COCO17.sigma_array).values()) == {None}
