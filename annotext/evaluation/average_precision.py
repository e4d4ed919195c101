"""COCO's average precision and recall over OKS, for any keypoints: faster-coco-eval does the counting.

N people of the truth, K keypoints, I images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.poses import Poses

# COCO's keypoint evaluation looks at the 20 best-scored people of an image.
MAX_DETECTIONS = 20
FIGURES = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
# Where a keypoint that nobody predicted is put: COCO result files have 0, 0, 0 there, which pycocotools takes for a
# point in the image's corner. We follow, so that the figures are the same. (NaN would count as a match.)
_NOT_PREDICTED = 0.0


def average_precision(
    truth: Poses,
    predicted_xy: NDArray[np.float64],
    score: NDArray[np.float64],
    sigmas: NDArray[np.float64],
) -> dict[str, float | None]:
    """AP and AR at OKS .50:.05:.95, at .5 and .75, and for medium and large people; None where there is nobody.

    truth: N people; crowds, people without labelled keypoints and people of unknown area are ignored, as COCO ignores
        the first two: missing them costs nothing, and a prediction that falls on them is not held against anyone.
    predicted_xy: (N, K, 2) image pixels, the prediction made for each person; NaN where a point is not predicted,
        a person of only NaN was not predicted at all. It is matched to the image's people by OKS, as in COCO, not
        by row.
    score: (N,) per predicted person, what they are ranked by. sigmas: (K,).
    """
    from faster_coco_eval import COCO, COCOeval_faster

    count = truth.labelled.sum(axis=1)
    known_area = np.isfinite(truth.area)
    judged = (count > 0) & ~truth.crowd & known_area
    given: NDArray[np.bool_] = np.isfinite(predicted_xy.sum(axis=-1))
    detected = given.any(axis=1)
    if not judged.any():
        return dict.fromkeys(FIGURES)
    # A person of unknown area still has to absorb the prediction made for it; its box is the only size there is.
    area = np.where(known_area, truth.area, truth.bbox_xywh[:, 2] * truth.bbox_xywh[:, 3])
    images = [{"id": i} for i in range(len(truth.images))]
    points = np.concatenate([np.nan_to_num(truth.xy), truth.visibility[..., None]], axis=-1)
    annotations = [
        {
            "id": row + 1,
            "image_id": int(truth.image_index[row]),
            "category_id": 1,
            "keypoints": points[row].reshape(-1).tolist(),
            "num_keypoints": int(count[row]) if judged[row] or truth.crowd[row] else 0,
            "iscrowd": int(truth.crowd[row]),
            "area": float(area[row]),
            "bbox": truth.bbox_xywh[row].tolist(),
        }
        for row in range(len(truth))
    ]
    truth_set = COCO({"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]})
    rows = np.flatnonzero(detected)
    results = [
        {
            "image_id": int(truth.image_index[row]),
            "category_id": 1,
            "keypoints": np.concatenate(
                [np.where(given[row, :, None], predicted_xy[row], _NOT_PREDICTED), np.ones((len(sigmas), 1))], axis=1
            )
            .reshape(-1)
            .tolist(),
            "score": float(score[row]),
        }
        for row in rows
    ]
    result_set = truth_set.loadRes(results)
    evaluation = COCOeval_faster(
        truth_set, result_set, iouType="keypoints", kpt_oks_sigmas=sigmas.tolist(), print_function=_silent
    )
    evaluation.params.maxDets = [MAX_DETECTIONS]
    evaluation.evaluate()
    evaluation.accumulate()
    thresholds = np.round(evaluation.params.iouThrs, 2).tolist()
    return {name: _figure(name, evaluation.eval, thresholds, evaluation.params.areaRngLbl) for name in FIGURES}


def _figure(name: str, counted: Mapping[str, Any], thresholds: list[float], sizes: Sequence[str]) -> float | None:
    """The mean over OKS thresholds (and recall levels) of one figure; None where COCO has -1, nobody of that size."""
    # precision: (thresholds, recall levels, categories, sizes, max detections); recall: the same without levels.
    values = np.asarray(counted["precision" if name.startswith("AP") else "recall"])
    size = {"M": "medium", "L": "large"}.get(name[2:], "all")
    values = values[..., list(sizes).index(size), 0]
    if name[2:].isdigit():
        values = values[thresholds.index(int(name[2:]) / 100)]
    values = values[values > -1]
    return float(values.mean()) if values.size else None


def _silent(*_: object) -> None:
    pass
