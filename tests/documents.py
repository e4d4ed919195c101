"""Small annotation documents for tests, and what a predictor might add to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from annotext.core.additions import Additions, Decision, Reason, Source, default_decision
from annotext.core.skeletons import COCO17, UNION21
from annotext.formats.annotations.read import AnnotationFile
from annotext.formats.files.jsonio import dump_json

HEADER = {
    "predictors": [{"name": "tiny", "sha256": "ab" * 32, "source": "teacher"}],
    "policy": {"min_score": 0.25},
    "calibration": {
        "sha256": "cd" * 32,
        "predictor_sha256": "ab" * 32,
        "keypoints": ["upper_neck", "head_top"],
        "truth": [{"protocol": "labels", "file": "mpii_val.json", "sha256": "ef" * 32, "people": 2958}],
    },
}


def coco_annotation(annotation_id: int = 1, **changes: Any) -> dict[str, Any]:
    """A person of 17 visible keypoints on image 7; a change to `...` removes the key."""
    keypoints = [n for i in range(17) for n in (10 + i, 20 + i, 2)]
    record = {
        "id": annotation_id,
        "image_id": 7,
        "category_id": 1,
        "keypoints": keypoints,
        "num_keypoints": 17,
        "bbox": [5.5, 6, 40, 50],
        "area": 1000.25,
        "iscrowd": 0,
    }
    return {k: v for k, v in {**record, **changes}.items() if v is not ...}


def coco_document(*annotations: dict[str, Any], **changes: Any) -> dict[str, Any]:
    document = {
        "info": {"year": 2017},
        "images": [{"id": 7, "file_name": "a/one.jpg", "width": 100, "height": 90}],
        "annotations": list(annotations) or [coco_annotation()],
        "categories": [
            {"id": 1, "name": "person", "keypoints": list(COCO17.keypoints), "skeleton": [[16, 14], [14, 12]]}
        ],
    }
    return {k: v for k, v in {**document, **changes}.items() if v is not ...}


def mpii_record(**changes: Any) -> dict[str, Any]:
    """A person of 16 labelled joints; a change to `...` removes the key."""
    record = {
        "joints_vis": [1] * 16,
        "joints": [[10.0 + i, 20.5 + i] for i in range(16)],
        "image": "015601864.jpg",
        "scale": 3.0,
        "center": [594.0, 257.0],
    }
    return {k: v for k, v in {**record, **changes}.items() if v is not ...}


def halpe_document(visibility: list[float] | None = None) -> dict[str, Any]:
    """One person of 136 points, all at v = 2 or as given for the first ones."""
    points = [[10 + i, 20 + i, 2] for i in range(136)]
    for point, v in zip(points, visibility or [], strict=False):
        point[2] = v
    annotation = coco_annotation(keypoints=[n for p in points for n in p])
    return coco_document(annotation, categories=[{"id": 1, "name": "person", "keypoints": [], "skeleton": []}])


def write(path: Path, document: Any) -> Path:
    path.write_bytes(dump_json(document))
    return path


def some_additions(file: AnnotationFile, seed: int = 0) -> Additions:
    """Additions of every kind: derived, predicted, withheld, asked, none; nothing for people without labels."""
    rng = np.random.default_rng(seed)
    keypoints = UNION21.missing_from(file.poses.skeleton)
    shape = (len(file.poses), len(keypoints))
    visibility = rng.integers(0, 3, shape).astype(np.uint8)
    estimated = ((visibility > 0) | (rng.random(shape) < 0.5)) & file.poses.has_keypoints[:, None]
    visibility[~estimated] = 0
    source = rng.choice(
        np.array([Source.DERIVED, Source.STUDENT, Source.TEACHER, Source.CORRECTED], dtype=object), shape
    )
    source[~estimated] = Source.NONE
    decision = default_decision(estimated, visibility)
    decision[estimated & (rng.random(shape) < 0.3)] = Decision.ASK
    reason = rng.choice(np.array(Reason, dtype=object), shape)
    reason[decision == Decision.ADD] = Reason.ADDED
    return Additions(
        keypoints=keypoints,
        xy=np.where(estimated[..., None], rng.normal(50, 40, (*shape, 2)), np.nan),
        visibility=visibility,
        source=source,
        score=np.where(estimated, rng.random(shape), 0.0),
        radius=np.where(estimated & (rng.random(shape) < 0.7), 20 * rng.random(shape), np.nan),
        decision=decision,
        reason=reason,
    )
