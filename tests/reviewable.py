"""Extended files with added points that are wrong as often as their scores say, and the truth about them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from calibration_files import mpii_document, mpii_people
from calibrations import ADDED, INPUTS, standing_people
from dots import coco_document

from annotext.core.additions import Additions, Decision, Reason, Source
from annotext.core.frame import columns
from annotext.core.poses import Poses
from annotext.core.skeletons import COCO17, MPII16, UNION21
from annotext.formats.annotations.read import read_annotations
from annotext.formats.files.jsonio import dump_json
from annotext.formats.overlay.write import write_extended
from annotext.review.decisions.queue import sizes

ADD_FROM, ASK_FROM = 0.7, 0.5


@dataclass(frozen=True)
class World:
    """annotations: the plain file. extended: with predicted points of `keypoints`. truth: all 21 points."""

    annotations: Path
    extended: Path
    truth: Path
    keypoints: tuple[str, ...]


def write_world(folder: Path, kind: str = "coco", n: int = 300, seed: int = 0, *, calibrated: bool = True) -> World:
    """COCO people who lack neck and head top, or MPII people who lack the face.

    Most points have high scores, one person in five has low ones; a point is wrong with probability 1 - score.
    """
    poses, truth_xy = standing_people(n, seed)
    whole = poses.to(UNION21)
    xy = whole.xy.copy()
    xy[:, UNION21.indices(ADDED)] = truth_xy
    full = replace(whole, xy=xy, visibility=np.where(np.isfinite(xy[..., 0]), 2, 0).astype(np.uint8))
    if kind == "mpii":
        full = replace(full, ids=np.arange(n))
        document: Any = mpii_document(mpii_people(n, seed))
        keypoints = tuple(k for k in UNION21.keypoints if k not in MPII16.index)
    else:
        document = coco_document(poses)
        keypoints = tuple(k for k in UNION21.keypoints if k not in COCO17.index)
    annotations, extended, truth = (folder / f"{kind}{name}.json" for name in ("", "_extended", "_truth"))
    annotations.write_bytes(dump_json(document))
    file = read_annotations(annotations)
    additions = _predicted(full, keypoints, np.random.default_rng(seed + 1), calibrated)
    limits = {k: {"add_from": ADD_FROM, "ask_from": ASK_FROM} for k in keypoints}
    about: Any = {"sha256": "ab" * 32, "keypoints": list(keypoints), "truth": []} if calibrated else "uncalibrated"
    header = {"predictors": [], "policy": {"limits": limits if calibrated else {}}, "calibration": about}
    write_extended(file, additions, header, extended, force=True)
    truth.write_bytes(dump_json(_truth_document(full)))
    return World(annotations, extended, truth, keypoints)


def _predicted(full: Poses, keypoints: tuple[str, ...], rng: np.random.Generator, calibrated: bool) -> Additions:
    n, a = len(full), len(keypoints)
    size = sizes(full, INPUTS)[:, None]
    hard = rng.random((n, 1)) < 0.2
    score = np.where(hard, rng.uniform(0.3, 0.8, (n, a)), rng.uniform(0.97, 1.0, (n, a)))
    wrong = rng.random((n, a)) > score
    away = np.where(wrong, 0.6, 0.02) * size
    angle = rng.uniform(0, 2 * np.pi, (n, a))
    true = columns(full, keypoints)
    # A point that is not in the picture was predicted all the same.
    there = np.where(np.isfinite(true), true, full.bbox_xywh[:, None, :2])
    xy = there + away[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    source = np.full((n, a), Source.STUDENT, dtype=object)
    kinds = np.array([Decision.WITHHOLD, Decision.ASK, Decision.ADD], dtype=object)
    decision = kinds[(score >= ASK_FROM).astype(int) + (score >= ADD_FROM)]
    reasons = {Decision.WITHHOLD: Reason.LOW_SCORE, Decision.ASK: Reason.TO_ASK, Decision.ADD: Reason.ADDED}
    reason = np.array([[reasons[d] for d in row] for row in decision], dtype=object).reshape(n, a)
    visibility = np.where(decision == Decision.ADD, 2, 0).astype(np.uint8)
    derived = [k for k in ("pelvis", "thorax") if k in keypoints]
    for name in derived:
        column = keypoints.index(name)
        source[:, column], decision[:, column], reason[:, column] = Source.DERIVED, Decision.ADD, Reason.ADDED
        visibility[:, column], score[:, column] = 2, 1.0
    radius = np.where((source == Source.STUDENT) & calibrated, (0.1 + 0.3 * (1 - score)) * size, np.nan)
    return Additions(keypoints, xy, visibility, source, score, radius, decision, reason)


def _truth_document(full: Poses) -> dict[str, Any]:
    document = coco_document(full)
    document["categories"] = [{"id": 1, "name": "person", "keypoints": list(UNION21.keypoints), "skeleton": []}]
    return document
