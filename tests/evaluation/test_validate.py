"""Evaluation on validation sets: what "all" and "shared" mean, against pycocotools and by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from people import perturbed, random_people

from annotext.core.additions import Source
from annotext.core.poses import Poses
from annotext.core.predictions import Predictions, PredictorIdentity
from annotext.core.skeleton import Skeleton
from annotext.core.skeletons import COCO17, MPII16, UNION21
from annotext.evaluation.average_precision import FIGURES
from annotext.evaluation.files import OKS_FIGURES, SHARES
from annotext.evaluation.inputs import EvaluationInput
from annotext.evaluation.report import evaluate
from annotext.evaluation.validation import METRICS, figures

SHARED = COCO17.shared_with(MPII16)


def predicted(truth: Poses, skeleton: Skeleton, xy: np.ndarray) -> Predictions:
    """Predictions under `skeleton` for all people, from (N, K, 2) points under the truth's skeleton."""
    points = np.zeros((len(truth), len(skeleton), 2), dtype=np.float32)
    both = skeleton.shared_with(truth.skeleton)
    points[:, skeleton.indices(both)] = xy[:, truth.skeleton.indices(both)]
    return Predictions(
        predictor=PredictorIdentity("s", "0" * 64, Source.STUDENT),
        skeleton=skeleton,
        ids=truth.ids,
        file_names=tuple(truth.file_names()),
        xy=points,
        score=np.full(points.shape[:2], 0.5, dtype=np.float32),
    )


def exact(truth: Poses) -> np.ndarray:
    return np.nan_to_num(truth.xy)


def pooled(truth: Poses, right: Sequence[str], of: Sequence[str]) -> float:
    """Percent of labelled points of `of` that are among `right`, over people with a head size."""
    count = truth.labelled[~truth.crowd]
    return 100 * count[:, truth.skeleton.indices(right)].sum() / count[:, truth.skeleton.indices(of)].sum()


def test_a_coco_student_that_is_never_wrong_misses_mpiis_own_points_and_has_all_shared_ones() -> None:
    truth = random_people(MPII16)
    predictions = predicted(truth, COCO17, exact(truth))
    every, shared = figures(truth, predictions, MPII16.keypoints), figures(truth, predictions, SHARED)
    assert every.missing == ("pelvis", "thorax", "upper_neck", "head_top")
    assert every.keypoints == MPII16.keypoints
    # MPII's mean is pooled over 14: neck and head top are wrong, pelvis and thorax do not count.
    fourteen = (*SHARED, "upper_neck", "head_top")
    assert every.shares["pckh@0.5"]["mean"] == pytest.approx(pooled(truth, SHARED, fourteen), abs=1e-4)
    assert every.shares["pckh@0.5"]["head_top"] == 0.0
    assert every.shares["pck@0.2"]["mean"] < 100
    assert shared.shares["pckh@0.5"]["mean"] == shared.shares["pck@0.2"]["mean"] == 100.0
    assert shared.missing == () and shared.keypoints == SHARED


def test_the_figures_on_the_shared_points_are_those_of_evaluate_on_them() -> None:
    truth = random_people(COCO17)
    xy, _ = perturbed(truth)
    predictions = predicted(truth, UNION21, xy)
    shared = figures(truth, predictions, SHARED)
    report = evaluate(truth, EvaluationInput.of_predictions(predictions), keypoints=SHARED).to_dict()
    assert shared.oks["AP"] == report["oks"]["AP"]
    assert shared.oks["mean"] == report["oks"]["mean"]


def test_missing_points_cost_what_pycocotools_takes_for_zeros(tmp_path: Path) -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = random_people(COCO17, n=120, images=30, unlabelled_people=0.0, crowds=0.0)
    xy, _ = perturbed(truth, spread=0.02)
    predictions = predicted(truth, MPII16, xy)
    every = figures(truth, predictions, COCO17.keypoints)
    assert every.missing == ("nose", "left_eye", "right_eye", "left_ear", "right_ear")

    image_ids = [int(i) for i in truth.image_index]
    document = {
        "images": [{"id": i} for i in range(len(truth.images))],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [
            {
                "id": i + 1,
                "image_id": image_ids[i],
                "category_id": 1,
                "iscrowd": 0,
                "area": float(truth.area[i]),
                "bbox": truth.bbox_xywh[i].tolist(),
                "num_keypoints": int(truth.labelled[i].sum()),
                "keypoints": np.concatenate([exact(truth)[i], truth.visibility[i][:, None]], axis=1).ravel().tolist(),
            }
            for i in range(len(truth))
        ],
    }
    (tmp_path / "truth.json").write_text(json.dumps(document))
    results = []
    for i in range(len(truth)):
        points = np.zeros((17, 3))
        there = COCO17.indices(SHARED)
        points[there, :2] = predictions.xy[i, MPII16.indices(SHARED)]
        points[there, 2] = 1
        results.append({"image_id": image_ids[i], "category_id": 1, "keypoints": points.ravel().tolist(), "score": 0.5})
    coco = COCO(str(tmp_path / "truth.json"))
    reference = COCOeval(coco, coco.loadRes(results), "keypoints")
    reference.evaluate()
    reference.accumulate()
    reference.summarize()
    for name, value in zip(FIGURES, reference.stats, strict=True):
        assert every.oks[name] == pytest.approx(value, abs=1e-6), name
    assert figures(truth, predictions, SHARED).oks["AP"] > every.oks["AP"]


def test_there_are_no_figures_where_there_is_nothing_to_say() -> None:
    truth = random_people(MPII16)
    nameless = np.full(len(truth), np.nan)
    bare = replace(truth, area=nameless, head_size=nameless)
    found = figures(bare, predicted(truth, UNION21, exact(truth)), MPII16.keypoints)
    assert found.oks is found.shares["pckh@0.5"] is found.shares["pckh@0.1"] is None
    assert METRICS["ap"].value(found) is METRICS["pckh"].value(found) is None
    assert METRICS["pck"].value(found) == 100.0


def test_the_names_are_those_the_tables_read() -> None:
    truth = random_people(UNION21)
    found = figures(truth, predicted(truth, UNION21, exact(truth)), UNION21.keypoints)
    document = found.to_dict()
    assert list(document) == ["keypoints", "missing", "people", "oks", *SHARES]
    assert list(document["oks"]) == ["sigmas", *OKS_FIGURES]
    for share in SHARES:
        assert set(document[share]) == {"mean", *UNION21.keypoints}


def test_people_are_those_with_labels_and_no_crowds() -> None:
    truth = random_people(COCO17)
    found = figures(truth, predicted(truth, COCO17, exact(truth)), COCO17.keypoints)
    assert found.people == int((truth.has_keypoints & ~truth.crowd).sum())
