"""Documents with people nobody labelled, and extended files that label them whole."""

from __future__ import annotations

from typing import Any

import numpy as np
from documents import HEADER, coco_annotation, coco_document, halpe_document, mpii_record, some_additions

from annotext.core.additions import Additions, Source, default_decision, put
from annotext.formats.annotations.read import AnnotationFile
from annotext.formats.overlay.pseudo_labels import NewPeople, Unlabelled
from annotext.formats.overlay.write import extend_document

MARKED = {**HEADER, "unlabelled": {"min_points": 10}}


def unlabelled_coco() -> dict[str, Any]:
    """A person with labels, a crowd, another category, and people without labels, each written in another way."""
    document = coco_document(
        coco_annotation(1),
        coco_annotation(2, keypoints=[0] * 51, num_keypoints=0),
        coco_annotation(3, keypoints=[0.0] * 51, num_keypoints=0),
        coco_annotation(4, keypoints=[5, 6.5, 0, *[0] * 48], num_keypoints=0),
        coco_annotation(5, keypoints=..., num_keypoints=...),
        coco_annotation(6, keypoints=...),
        coco_annotation(7, keypoints=[0] * 51, num_keypoints=...),
        coco_annotation(8, keypoints=[0] * 51, num_keypoints=0, iscrowd=1),
        {"id": 9, "image_id": 7, "category_id": 2, "keypoints": [1, 2, 3]},
    )
    document["annotations"][5]["num_keypoints"] = 0
    document["categories"].append({"id": 2, "name": "dog"})
    document["images"].append({"id": 8, "file_name": "empty.jpg", "width": 50, "height": 60})
    return document


def unlabelled_halpe() -> dict[str, Any]:
    document = halpe_document()
    document["annotations"].append(coco_annotation(2, keypoints=[0] * 408, num_keypoints=0))
    document["annotations"].append(coco_annotation(3, keypoints=[0.1] * 408, num_keypoints=0))
    document["images"].append({"id": 8, "file_name": "empty.jpg", "width": 50, "height": 60})
    return document


def unlabelled_mpii() -> list[Any]:
    return [
        mpii_record(),
        mpii_record(joints=..., joints_vis=...),
        mpii_record(joints_vis=[0] * 16),
        mpii_record(joints=[[-1, -1.0]] * 16, joints_vis=[0] * 16),
    ]


DOCUMENTS = {"coco": unlabelled_coco(), "halpe": unlabelled_halpe(), "mpii": unlabelled_mpii()}


def some_points(n: int, keypoints: tuple[str, ...], rng: np.random.Generator) -> Additions:
    """Added visible and hidden, withheld and none, for everybody; nothing for every third person."""
    shape = (n, len(keypoints))
    visibility = rng.integers(0, 3, shape).astype(np.uint8)
    estimated = (visibility > 0) | (rng.random(shape) < 0.5)
    empty = rng.random(n) < 0.3
    visibility[empty], estimated[empty] = 0, False
    source = np.where(estimated, rng.choice(np.array([Source.STUDENT, Source.TEACHER], dtype=object), shape), "none")
    return Additions(
        keypoints=keypoints,
        xy=np.where(estimated[..., None], rng.normal(40, 20, (*shape, 2)), np.nan),
        visibility=visibility,
        source=np.vectorize(Source, otypes=[object])(source),
        score=np.where(estimated, rng.random(shape), 0.0),
        radius=np.where(estimated & (rng.random(shape) < 0.5), 3.0, np.nan),
        decision=default_decision(estimated, visibility),
    )


def whole_poses(file: AnnotationFile, added: tuple[str, ...], seed: int = 0) -> Unlabelled:
    """Points for those without labels, and (but for MPII) two new people of whom the second got nothing."""
    rng = np.random.default_rng(seed)
    own = file.poses.skeleton.keypoints
    rows = np.flatnonzero(~file.poses.has_keypoints & ~file.poses.crowd)
    filled = put(Additions.nothing(len(file.poses), own), rows, some_points(len(rows), own, rng))
    if file.kind == "mpii":
        return Unlabelled(filled)
    points = [some_points(2, own, rng), some_points(2, added, rng)]
    here, more = (put(p, np.array([1]), Additions.nothing(1, p.keypoints)) for p in points)
    boxes = np.array([[1.5, 2.0, 30.0, 40.25], [3.0, 4.0, 5.0, 6.0]])
    return Unlabelled(filled, NewPeople([901, 902], [8, 8], 1, boxes, np.array([0.98765, 0.5]), here, more))


def extended(file: AnnotationFile, seed: int = 0) -> tuple[Any, Unlabelled]:
    additions = some_additions(file, seed)
    whole = whole_poses(file, additions.keypoints, seed)
    return extend_document(file, additions, MARKED, unlabelled=whole), whole
