"""People whose truth a calibration may learn from, files of them, and a made-up student's predictions of them.

The student is far off for a fifth of the points, and its own score hardly tells which; three people of ten hold their
head where the pose does not say. So there is something to rank, to correct, and something that stays wrong.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from calibrations import ADDED, STUDENT, standing_people, student_predictions
from dots import CARD
from dots import coco_document as coco

from annotext.core.frame import columns
from annotext.core.poses import Image, Poses
from annotext.core.predictions import Predictions
from annotext.core.skeletons import MPII16, UNION21
from annotext.formats.annotations.read import read_annotations
from annotext.formats.files.jsonio import dump_json
from annotext.formats.files.predictions import write_predictions
from annotext.predictors.card import write_card

# Few, so that what is fitted is small: shoulders, hips and knees.
FEW_INPUTS = tuple(f"{side}_{joint}" for joint in ("shoulder", "hip", "knee") for side in ("left", "right"))
_MIDPOINTS = {"pelvis": ("left_hip", "right_hip"), "thorax": ("left_shoulder", "right_shoulder")}


def mpii_people(n: int = 400, seed: int = 0) -> Poses:
    """MPII people with all 16 points where they are labelled."""
    poses, truth = standing_people(n, seed)
    rng = np.random.default_rng(seed + 100)
    size = poses.bbox_xywh[:, None, 2:3] / 10
    odd = (rng.random(n) < 0.3)[:, None, None]
    truth = truth + np.where(odd, 1.5, 0.0) * size * rng.normal(size=truth.shape)
    whole = poses.to(MPII16)
    xy = whole.xy.copy()
    xy[:, MPII16.indices(ADDED)] = truth
    for name, parents in _MIDPOINTS.items():
        middle = columns(poses, parents).mean(axis=1)
        xy[:, MPII16.index[name]] = middle + 0.3 * size[:, 0] * rng.normal(size=middle.shape)
    return replace(
        whole,
        xy=xy,
        visibility=np.where(np.isfinite(xy[..., 0]), 2, 0).astype(np.uint8),
        area=np.full(n, np.nan),
        ids=np.arange(n),
        images=tuple(Image(image.file_name, None, None) for image in poses.images),
    )


def unsure_predictions(poses: Poses, seed: int = 1) -> Predictions:
    """The student's predictions, with scores that hardly tell where it is wrong."""
    size = poses.bbox_xywh[:, None, 2:3] / 10
    predictions = student_predictions(poses, columns(poses, ADDED), seed)
    rng = np.random.default_rng(seed + 100)
    xy = predictions.xy.copy()
    for name in _MIDPOINTS:
        if name in poses.skeleton.index:
            label = columns(poses, (name,))[:, 0]
            off = size[:, 0] * 0.7 * rng.normal(size=label.shape)
            xy[:, UNION21.index[name]] = np.where(np.isfinite(label), label, xy[:, UNION21.index[name]]) + off
    score = np.clip(predictions.score + 0.35 * rng.normal(size=predictions.score.shape), 0, 1)
    return replace(predictions, xy=xy.astype(np.float32), score=score.astype(np.float32))


def mpii_document(poses: Poses) -> list[dict[str, Any]]:
    """The MPII file of people of 16 keypoints; boxes are 10 of `standing_people`'s units wide."""
    side = poses.bbox_xywh[:, 2]
    middle = poses.bbox_xywh[:, :2] + poses.bbox_xywh[:, 2:] / 2
    return [
        {
            "image": poses.file_names()[i],
            "scale": float(side[i] / 200),
            "center": (middle[i] + 1 - [0, 15 * side[i] / 200]).tolist(),
            "joints": (np.nan_to_num(poses.xy[i]) + 1).tolist(),
            "joints_vis": (poses.visibility[i] > 0).astype(int).tolist(),
        }
        for i in range(len(poses))
    ]


@dataclass(frozen=True)
class PredictedFile:
    """An annotation file and the predictions made on it."""

    annotations: Path
    predictions: Path


def write_mpii(folder: Path, n: int = 400, seed: int = 0, predictions: Predictions | None = None) -> PredictedFile:
    """`mpii.json`, labelled throughout, and `mpii.parquet`."""
    path = folder / "mpii.json"
    path.write_bytes(dump_json(mpii_document(mpii_people(n, seed))))
    return PredictedFile(path, write_predicted(path, folder / "mpii.parquet", predictions, seed + 1))


def write_coco(folder: Path, n: int = 200, seed: int = 50) -> PredictedFile:
    """`coco.json`, people who lack what MPII labels, and `coco.parquet`."""
    path, parquet = folder / "coco.json", folder / "coco.parquet"
    poses, truth = standing_people(n, seed)
    path.write_bytes(dump_json(coco(poses)))
    predictions = student_predictions(poses, truth, seed + 1)
    rng = np.random.default_rng(seed)
    score = np.clip(predictions.score + 0.35 * rng.normal(size=predictions.score.shape), 0, 1).astype(np.float32)
    write_predictions(parquet, [replace(predictions, score=score)], input_sha256=sha256_of(path), force=True)
    return PredictedFile(path, parquet)


def write_predicted(annotations: Path, parquet: Path, predictions: Predictions | None = None, seed: int = 1) -> Path:
    """The student's predictions on a file, or `predictions` as if it were made on it."""
    predictions = unsure_predictions(read_annotations(annotations).poses, seed) if predictions is None else predictions
    write_predictions(parquet, [predictions], input_sha256=sha256_of(annotations), force=True)
    return parquet


def write_student(folder: Path) -> Path:
    """A run of the student: its card alone, for nobody runs it."""
    folder.mkdir()
    write_card(
        replace(CARD, name=STUDENT.name, sha256=STUDENT.sha256, keypoints=UNION21.keypoints, role="student"),
        folder / "card.json",
    )
    return folder


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
