"""A small extended file with images, to review in tests."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from calibration_files import mpii_document
from dots import coco_document
from numpy.typing import NDArray
from reviewers import added_people

from annotext.core.additions import Additions, Decision, Reason, Source
from annotext.core.skeletons import COCO17, MPII16, UNION21
from annotext.formats.annotations.read import read_annotations
from annotext.formats.overlay.write import write_extended
from annotext.workflows.synth import synthesise

LIMIT = 0.8


def write_extended_people(
    folder: Path, n: int = 12, seed: int = 0, kind: str = "coco", images: int = 4, unlimited: int = 0
) -> Path:
    """`extended.json` of N people on black `images` of 640 x 480; what it was extended from is `people.json`.

    unlimited: how many of the last added keypoints have no limit.
    """
    folder.mkdir(parents=True, exist_ok=True)
    skeleton, crowds = (COCO17, 0.1) if kind == "coco" else (MPII16, 0.0)
    grown, additions = added_people(seed, n, skeleton, images, crowds)
    poses = grown.to(skeleton)
    (folder / "images").mkdir()
    for image in poses.images:
        assert cv2.imwrite(str(folder / "images" / image.file_name), np.zeros((480, 640, 3), np.uint8))
    document = coco_document(poses) if kind == "coco" else mpii_document(poses)
    (folder / "people.json").write_text(json.dumps(document))
    file = read_annotations(folder / "people.json")
    limited = additions.keypoints[: len(additions.keypoints) - unlimited]
    limits = {k: {"add_from": LIMIT, "ask_from": 0.5} for k in limited}
    write_extended(file, additions, {"policy": {"limits": limits}}, folder / "extended.json", force=True)
    return folder / "extended.json"


def write_guessed_people(folder: Path, n: int = 16, seed: int = 3) -> Path:
    """`extended.json` of synthetic people on pictures, in `coco/images`; the added points are the truth, some way off.

    The further off, the lower their score; the worst tenth is asked about.
    """
    synthesise(folder, people=n, seed=seed, sets=["coco"], workers=1, force=True)
    file = read_annotations(folder / "coco" / "annotations.json")
    truth = read_annotations(folder / "coco" / "truth.json").poses
    assert truth.ids.tolist() == file.poses.ids.tolist()
    keypoints = UNION21.missing_from(COCO17)
    rng = np.random.default_rng(seed)
    exact = truth.xy[:, truth.skeleton.indices(keypoints)]
    off = rng.exponential(0.02, exact.shape[:2]) * truth.bbox_xywh[:, 3:]
    angle = rng.uniform(0, 2 * np.pi, off.shape)
    xy = (exact + np.stack([np.cos(angle), np.sin(angle)], axis=-1) * off[..., None]).round(2)
    width, height = (np.array([(i.width, i.height) for i in truth.images])[truth.image_index] - 1).T[:, :, None]
    inside = (xy[..., 0] > 0) & (xy[..., 1] > 0) & (xy[..., 0] < width) & (xy[..., 1] < height)
    estimated = inside & file.poses.has_keypoints[:, None]
    score = np.where(estimated, np.exp(-off / (0.1 * truth.bbox_xywh[:, 3:])), 0.0).round(4)
    asked = estimated & (score < np.quantile(score[estimated], 0.1))
    additions = Additions(
        keypoints=keypoints,
        xy=np.where(estimated[..., None], xy, np.nan),
        visibility=np.where(estimated & ~asked, 2, 0).astype(np.uint8),
        source=_chosen(estimated, Source.STUDENT, Source.NONE),
        score=score,
        decision=np.where(asked, Decision.ASK, _chosen(estimated, Decision.ADD, Decision.NONE)),
        reason=_chosen(asked, Reason.TO_ASK, Reason.ADDED),
    )
    limits = {k: {"add_from": LIMIT, "ask_from": 0.0} for k in keypoints}
    write_extended(file, additions, {"policy": {"limits": limits}}, folder / "extended.json", force=True)
    return folder / "extended.json"


def _chosen(where: NDArray[np.bool_], yes: object, no: object) -> NDArray[np.object_]:
    return np.array([no, yes], dtype=object)[where.astype(np.intp)]
