"""COCO detection results: boxes that a detector found, for images nobody annotated.

The format (cocodataset.org, "results format"): a list of {image_id, category_id, bbox [left, top, width, height],
score}; other keys are not looked at. D detections of the file, M of them become people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.additions import Additions
from annotext.core.errors import InputError, Problem
from annotext.core.poses import Poses
from annotext.formats.annotations.read import AnnotationFile
from annotext.formats.annotations.records import Faults, is_id, is_number, number_rows, unexpected
from annotext.formats.files.jsonio import kind_of, read_json
from annotext.formats.overlay.pseudo_labels import NewPeople

# Detectors list boxes down to scores of a few per cent. One half is a start, no measurement: give your own.
DEFAULT_MIN_DETECTION = 0.5

# Of two boxes that overlap more than this, the weaker is the same person again. Real people seldom stand so: of 21,486
# labelled COCO train persons on 8,000 images, 12 have a box that overlaps another person's more.
MAX_OVERLAP = 0.7


@dataclass(frozen=True)
class Detections:
    """People that a detector found on images without annotations.

    people: M of them, without labels, in the order of the detection file. The id of one is the file's highest
        annotation id + 1 + its position in the detection file: whatever threshold is used, it stays the same.
    score: (M,) float64, the detector's. image_ids: M, as the annotation file has them. category_id: of people.
    left_out: how many of the D detections are no such people: of an other_category, low_score, on an annotated_image,
        overlapping a stronger one.
    skipped: faulty detections that skip_bad left out.
    """

    path: Path
    sha256: str
    min_score: float
    people: Poses
    score: NDArray[np.float64]
    image_ids: tuple[int | str, ...]
    category_id: int | str
    left_out: Mapping[str, int]
    skipped: tuple[Problem, ...] = ()

    def gaining(self, own: Additions, added: Additions) -> NewPeople:
        """These people with what they get: (M, K) of the file's keypoints, (M, A) of those it lacks."""
        return NewPeople(
            self.people.ids.tolist(), self.image_ids, self.category_id, self.people.bbox_xywh, self.score, own, added
        )

    def to_dict(self) -> dict[str, Any]:
        """For the header of an extended file and for reports."""
        return {
            "file": self.path.name,
            "sha256": self.sha256,
            "min_score": self.min_score,
            "max_overlap": MAX_OVERLAP,
            "people": len(self.people),
            "left_out": dict(self.left_out),
        }


def read_detections(
    path: str | Path, file: AnnotationFile, *, min_score: float = DEFAULT_MIN_DETECTION, skip_bad: bool = False
) -> Detections:
    """The people that a detection file finds on the images of `file` that carry no annotation at all.

    An image with any annotation, a crowd too, is left alone: what its annotators did not mark was a decision.
    Of two boxes of one image with an intersection over union above `MAX_OVERLAP` the one with the lower score (of equal
    ones the later) is left out.
    Raises InputError with all problems at once (`[3].bbox: ...`): a record that is no detection, an image the file does
    not have, a box without area or outside its image. skip_bad: leave such records out and list them.
    Raises InputError for an MPII file, and where no detection is of the file's category of people.
    """
    path = Path(path)
    if not file.format.takes_new_people:
        hint = "detections belong to a COCO or Halpe file, which lists its images apart from its people"
        problem = f"is an {file.format.title} file: every record of it is a person"
        raise InputError.single(file.path, "", problem, hint)
    if not 0 <= min_score <= 1:
        raise InputError.single(path, "", f"minimum score is {min_score}, expected 0 to 1")
    document, sha256 = read_json(path)
    if not isinstance(document, list):
        hint = "expected a list of {image_id, category_id, bbox, score}"
        raise InputError.single(path, "", f"is {kind_of(document)}, not a COCO detection result file", hint)
    faults = Faults(path)
    rows = [i for i, r in enumerate(document) if isinstance(r, dict)]
    for i, record in enumerate(document):
        if not isinstance(record, dict):
            faults.record("", i, "", f"is {kind_of(record)}, expected an object")
    records = [document[i] for i in rows]
    category = file.format.category_id(file.document)
    image_index = _image_index(records, rows, file, faults)
    boxes = _boxes(records, rows, file, image_index, faults)
    score = _scores(records, rows, faults)
    ours = _of_category(records, rows, category, faults)
    if faults.records and not skip_bad:
        raise InputError(faults.records)
    if records and not ours.any():
        hint = "detections need the category ids of the annotation file"
        raise InputError.single(path, "", f"no detection has the category_id {category!r} of people", hint)

    good = faults.good("", np.array(rows, dtype=np.int64)) & (image_index >= 0)
    free = good & ~np.isin(image_index, _annotated(file))
    strong = score >= min_score
    kept = np.flatnonzero(free & ours & strong)
    kept = kept[_apart(boxes[kept], score[kept], image_index[kept])]
    left_out = {
        "other_category": int((good & ~ours).sum()),
        "low_score": int((good & ours & ~strong).sum()),
        "annotated_image": int((good & ours & strong & ~free).sum()),
        "overlapping": int((free & ours & strong).sum()) - len(kept),
    }
    ids = _ids(file, np.array(rows, dtype=np.int64)[kept], path)
    return Detections(
        path=path,
        sha256=sha256,
        min_score=min_score,
        people=_people(file.poses, ids, boxes[kept], image_index[kept]),
        score=score[kept],
        image_ids=tuple(file.image_ids[i] for i in image_index[kept].tolist()),
        category_id=category,
        left_out=left_out,
        skipped=faults.records,
    )


def _image_index(
    records: Sequence[dict[str, Any]], rows: Sequence[int], file: AnnotationFile, faults: Faults
) -> NDArray[np.int64]:
    """(D,) positions among the file's images; -1 for an image that the file has and its reader left out."""
    position: dict[Any, int] = {image_id: i for i, image_id in enumerate(file.image_ids)}
    there = {r.get("id") for r in file.document["images"] if isinstance(r, dict) and type(r.get("id")) in (int, str)}
    index = np.full(len(records), -1, dtype=np.int64)
    for i, record in enumerate(records):
        image_id: Any = record.get("image_id")
        if type(image_id) not in (int, str):
            faults.record("", rows[i], "image_id", unexpected(record, "image_id", "an image's id"))
        elif image_id not in there:
            faults.record("", rows[i], "image_id", f"{file.path.name} has no image with the id {image_id!r}")
        else:
            index[i] = position.get(image_id, -1)
    return index


def _boxes(
    records: Sequence[dict[str, Any]],
    rows: Sequence[int],
    file: AnnotationFile,
    image_index: NDArray[np.int64],
    faults: Faults,
) -> NDArray[np.float64]:
    """(D, 4) xywh, NaN where faulty."""
    boxes, complaints = number_rows([r.get("bbox") for r in records], 4)
    for i, complaint in complaints.items():
        faults.record("", rows[i], "bbox", complaint if "bbox" in records[i] else "missing")
    for i in np.flatnonzero((boxes[:, 2:] <= 0).any(axis=1)).tolist():
        faults.record("", rows[i], "bbox", f"has no area: width {boxes[i, 2]:g}, height {boxes[i, 3]:g}")
    sizes = np.array([[im.width or np.inf, im.height or np.inf] for im in file.poses.images]).reshape(-1, 2)
    size = np.full((len(records), 2), np.inf)
    size[image_index >= 0] = sizes[image_index[image_index >= 0]]
    outside = ((boxes[:, :2] > size) | (boxes[:, :2] + boxes[:, 2:] < 0)).any(axis=1)
    for i in np.flatnonzero(outside & (boxes[:, 2:] > 0).all(axis=1)).tolist():
        box = ", ".join(f"{v:g}" for v in boxes[i])
        faults.record("", rows[i], "bbox", f"[{box}] lies outside the image of {size[i, 0]:g} x {size[i, 1]:g}")
    return boxes


def _scores(records: Sequence[dict[str, Any]], rows: Sequence[int], faults: Faults) -> NDArray[np.float64]:
    score = np.full(len(records), np.nan)
    for i, record in enumerate(records):
        value = record.get("score")
        if is_number(value) and 0 <= value <= 1:
            score[i] = value
        else:
            faults.record("", rows[i], "score", unexpected(record, "score", "a number from 0 to 1"))
    return score


def _of_category(
    records: Sequence[dict[str, Any]], rows: Sequence[int], category: Any, faults: Faults
) -> NDArray[np.bool_]:
    """(D,) bool: a person; detectors know other things too, which keypoint files do not list."""
    for i, record in enumerate(records):
        if type(record.get("category_id")) not in (int, str):
            faults.record("", rows[i], "category_id", unexpected(record, "category_id", "a category's id"))
    return np.array([r.get("category_id") == category for r in records], dtype=bool)


def _annotated(file: AnnotationFile) -> NDArray[np.int64]:
    """Positions of the images that carry an annotation, of any category, faulty or not."""
    marked = {a.get("image_id") for a in file.document["annotations"] if isinstance(a, dict) and _hashable(a)}
    return np.array([i for i, image_id in enumerate(file.image_ids) if image_id in marked], dtype=np.int64)


def _hashable(annotation: Mapping[str, Any]) -> bool:
    return type(annotation.get("image_id")) in (int, str)


def _apart(boxes: NDArray[np.float64], score: NDArray[np.float64], image_index: NDArray[np.int64]) -> NDArray[np.intp]:
    """Positions of the (M,) boxes that overlap no stronger one of their image too much, ascending."""
    order = np.lexsort((np.arange(len(boxes)), -score, image_index))
    starts = np.flatnonzero(np.r_[True, np.diff(image_index[order]) != 0]) if len(order) else []
    kept: list[int] = []
    for group in np.split(order, starts[1:]) if len(order) else ():
        chosen: list[int] = []
        for i in group.tolist():
            if not chosen or _overlap(boxes[i], boxes[chosen]).max() <= MAX_OVERLAP:
                chosen.append(i)
        kept += chosen
    return np.array(sorted(kept), dtype=np.intp)


def _overlap(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """(M,) intersection over union of an xywh box with (M, 4) others."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[:2] + box[2:], others[:, :2] + others[:, 2:])
    both = np.maximum(high - low, 0).prod(axis=1)
    return both / (box[2:].prod() + others[:, 2:].prod(axis=1) - both)


def _ids(file: AnnotationFile, rows: NDArray[np.int64], path: Path) -> NDArray[np.int64]:
    known = [a["id"] for a in file.document["annotations"] if isinstance(a, dict) and is_id(a.get("id"))]
    first = max(known, default=0) + 1
    if len(rows) and not is_id(first + int(rows.max())):
        raise InputError.single(path, "", f"no ids are left above {first - 1}, the highest of {file.path.name}")
    return first + rows


def _people(poses: Poses, ids: NDArray[np.int64], boxes: NDArray[np.float64], image_index: NDArray[np.int64]) -> Poses:
    """M people without labels, of the same skeleton and images; their area is the box's (pycocotools' loadRes)."""
    m, k = len(ids), len(poses.skeleton)
    return Poses(
        skeleton=poses.skeleton,
        xy=np.full((m, k, 2), np.nan),
        visibility=np.zeros((m, k), dtype=np.uint8),
        bbox_xywh=boxes,
        area=boxes[:, 2:].prod(axis=1),
        image_index=image_index,
        images=poses.images,
        ids=ids,
        crowd=np.zeros(m, dtype=bool),
        head_size=np.full(m, np.nan),
    )
