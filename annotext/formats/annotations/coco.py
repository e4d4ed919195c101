"""COCO keypoint files: images, annotations, and the one category that names keypoints.

Halpe shares the layout and differs in the numbers; see `halpe`. N annotations of the keypoint category, P points per
annotation in the file, K keypoints of the skeleton read from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.poses import Image, Poses, Visibility
from annotext.core.skeleton import Skeleton
from annotext.formats.annotations.base import ANNOTATION, Column, People
from annotext.formats.annotations.records import (
    Faults,
    head_sizes,
    is_id,
    is_number,
    number_rows,
    unexpected,
    unsafe_file_name,
)
from annotext.formats.files.jsonio import kind_of
from annotext.formats.files.skeletons import skeleton_of_names

_LISTS = ("images", "annotations", "categories")


class CocoFormat:
    """The adapter of COCO files; see `base.Format`."""

    kind = "coco"
    title = "COCO"
    identity = ANNOTATION
    section = "annotations"
    columns = MappingProxyType({"keypoints": Column(3)})
    count_key = "num_keypoints"
    tells_hidden = True
    header_beside = False
    takes_new_people = True
    expected_v = "expected 0, 1 or 2"

    def detect(self, document: Any, added: int) -> bool:
        """An object with COCO's lists, or at least an attempt at it."""
        return isinstance(document, dict) and any(key in document for key in _LISTS)

    def category(self, document: Mapping[str, Any]) -> int | None:
        """Position of the category whose people annotext reads: the only one with `keypoints`, or else `person`."""
        categories = document.get("categories")
        if not isinstance(categories, list):
            return None
        named = [i for i, c in enumerate(categories) if isinstance(c, dict) and isinstance(c.get("keypoints"), list)]
        named = [i for i in named if categories[i]["keypoints"]]
        if len(named) > 1:
            named = [i for i in named if categories[i].get("name") == "person"]
        return named[0] if len(named) == 1 else None

    def skeleton(
        self, document: Mapping[str, Any], faults: Faults, skeletons: Mapping[str, Skeleton]
    ) -> Skeleton | None:
        """The keypoints that the first points of an annotation are, in order; None after a fault."""
        position = self.category(document)
        if position is None:
            _no_category(document, faults)
            return None
        pointer = f"categories[{position}].keypoints"
        names = document["categories"][position]["keypoints"]
        if not all(isinstance(name, str) for name in names):
            faults.file(pointer, "holds something that is not a name")
            return None
        skeleton = skeleton_of_names(names, skeletons)
        if skeleton is None:
            faults.file(
                pointer,
                f"no known skeleton has exactly these {len(names)} keypoints: {', '.join(names)}",
                "describe them in a TOML file as datasets/crowdpose14.toml does; `annotext skeletons` lists the known "
                "ones",
            )
        return skeleton

    def states(self, v: NDArray[np.float64]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """(N, K) `Visibility` of (N, K) v, and which of them are no visibility."""
        return _strict_states(v)

    def read(self, document: Any, faults: Faults, skeletons: Mapping[str, Skeleton]) -> People | None:
        """The people of the keypoint category, in file order."""
        if not _check_lists(document, faults):
            return None
        skeleton = self.skeleton(document, faults, skeletons)
        position = self.category(document)
        if skeleton is None or position is None:
            return None
        images, image_rows, index_of_id = _read_images(document["images"], faults)
        annotations = document["annotations"]
        rows = _rows_of_category(document, faults, position)
        _check_ids(annotations, faults)
        bad_images = {image_id for image_id, i in index_of_id.items() if faults.is_bad("images", image_rows[i])}
        image_index = _image_indices(annotations, rows, index_of_id, bad_images, faults)
        records = [annotations[r] for r in rows]

        boxes = _boxes(records, rows, faults, images, image_index)
        area = _area(records, rows, faults)
        crowd = _crowd(records, rows, faults)
        head_size = head_sizes(records, "annotations", rows, faults)
        triples = _triples(records, rows, faults, self.points(document), 0)[:, : len(skeleton)]
        states, wrong = self.states(triples[..., 2])
        _name_wrong_v(triples[..., 2], wrong, rows, faults, 0, self.expected_v)
        xy = np.where(states[..., None] > 0, triples[..., :2], np.nan)

        row_array = np.array(rows, dtype=np.int64)
        kept = faults.good("annotations", row_array)
        keep_images = np.array([not faults.is_bad("images", r) for r in image_rows], dtype=bool)
        new_index = np.cumsum(keep_images) - 1
        poses = Poses(
            skeleton=skeleton,
            xy=xy[kept],
            visibility=states[kept],
            bbox_xywh=boxes[kept],
            area=area[kept],
            image_index=new_index[image_index[kept]].astype(np.int64) if kept.any() else np.zeros(0, dtype=np.int64),
            images=tuple(im for im, keep in zip(images, keep_images, strict=True) if keep),
            ids=np.array([records[i]["id"] for i in np.flatnonzero(kept).tolist()], dtype=np.int64),
            crowd=crowd[kept],
            head_size=head_size[kept],
        )
        image_ids = tuple(i for i, keep in zip(index_of_id, keep_images, strict=True) if keep)
        return People(poses, row_array[kept], image_ids)

    def check_counts(
        self, records: Sequence[Any], rows: Sequence[int], counted: NDArray[np.int64], faults: Faults
    ) -> None:
        """`num_keypoints`, where there is one, is the number of points with v > 0."""
        for row, count in zip(rows, counted.tolist(), strict=True):
            number = records[row].get("num_keypoints", count)
            if type(number) is not int:
                faults.record("annotations", row, "num_keypoints", f"is {number!r:.40}, expected a whole number")
            elif number != count:
                faults.record("annotations", row, "num_keypoints", f"is {number}, but {count} keypoints have v > 0")

    # --- records and the points in them ---

    def records(self, document: Any) -> Any:
        return document.get("annotations")

    def with_records(self, document: Any, records: list[Any]) -> Any:
        return {**document, "annotations": records}

    def person_rows(self, document: Any) -> list[int]:
        category_id = self.category_id(document)
        return [
            row
            for row, record in enumerate(document["annotations"])
            if isinstance(record, dict) and record.get("category_id") == category_id
        ]

    def points(self, document: Any) -> int:
        return len(document["categories"][self._position(document)]["keypoints"])

    def category_id(self, document: Any) -> Any:
        return document["categories"][self._position(document)].get("id")

    def _position(self, document: Any) -> int:
        position = self.category(document)
        assert position is not None, "the reader accepted this file"
        return position

    def with_added(
        self, document: Any, added: Sequence[str], edges: Sequence[tuple[int, int]]
    ) -> tuple[Any, dict[str, int | None]]:
        category = document["categories"][self._position(document)]
        names, old = category.get("keypoints"), category.get("skeleton")
        # A category that names no keypoints (Halpe) cannot name the added ones either; the header does.
        if not names:
            return document, {"keypoints": None, "skeleton": None}
        grown = {**category, "keypoints": [*names, *added]}
        if isinstance(old, list):
            grown["skeleton"] = [*old, *([a + 1, b + 1] for a, b in edges)]
        restore = {"keypoints": len(names), "skeleton": len(old) if isinstance(old, list) else None}
        return self._with_category(document, grown), restore

    def without_added(self, document: Any, added: Sequence[str], edges: int | None) -> Any:
        position = self.category(document)
        if position is None:
            raise ValueError("the keypoint category is gone")
        category = document["categories"][position]
        names = category.get("keypoints")
        if not names:
            return document
        if names[-len(added) :] != list(added):
            raise ValueError("differs from the last keypoints of the category")
        shrunk = {**category, "keypoints": names[: -len(added)]}
        if edges is not None and isinstance(category.get("skeleton"), list):
            shrunk["skeleton"] = category["skeleton"][:edges]
        return self._with_category(document, shrunk)

    def _with_category(self, document: Any, category: dict[str, Any]) -> Any:
        position = self._position(document)
        categories = [category if i == position else c for i, c in enumerate(document["categories"])]
        return {**document, "categories": categories}

    def blank(self, points: int) -> dict[str, list[Any]]:
        return {"keypoints": [0] * (3 * points)}

    def keeps_blank(self) -> bool:
        return False

    def written(self, points: Sequence[list[float] | None], visibility: Sequence[int]) -> dict[str, list[Any]]:
        numbers: list[Any] = []
        for xy, v in zip(points, visibility, strict=True):
            numbers += [0, 0, 0] if xy is None else [*xy, v]
        return {"keypoints": numbers}

    def read_written(
        self, records: Sequence[Mapping[str, Any]], rows: Sequence[int], faults: Faults, count: int, first: int
    ) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        triples = _triples(records, rows, faults, count, first)
        states, wrong = _strict_states(triples[..., 2])
        _name_wrong_v(triples[..., 2], wrong, rows, faults, first, "expected 0, 1 or 2")
        return triples[..., :2], states

    def labelled(self, columns: Mapping[str, Sequence[Any]]) -> int:
        return sum(v > 0 for v in columns["keypoints"][2::3])

    def new_person(
        self, person: int, image_id: int | str, category_id: Any, bbox_xywh: list[float], points: int
    ) -> dict[str, Any]:
        """The area is the box's, as pycocotools' loadRes writes it for detections: nobody drew an outline."""
        return {
            "id": person,
            "image_id": image_id,
            "category_id": category_id,
            "keypoints": [0] * (3 * points),
            "num_keypoints": 0,
            "bbox": bbox_xywh,
            "area": bbox_xywh[2] * bbox_xywh[3],
            "iscrowd": 0,
        }


COCO = CocoFormat()


def _check_lists(document: Mapping[str, Any], faults: Faults) -> bool:
    """Whether images, annotations and categories are lists of objects and `info`, if there, is an object."""
    for key in _LISTS:
        value = document.get(key)
        if value is None:
            faults.file(key, "missing", "a COCO keypoint file has images, annotations and categories")
        elif not isinstance(value, list):
            faults.file(key, f"is {kind_of(value)}, expected a list")
        else:
            for row, record in enumerate(value):
                if not isinstance(record, dict):
                    problem = f"is {kind_of(record)}, expected an object"
                    if key == "categories":
                        faults.file(f"categories[{row}]", problem)
                    else:
                        faults.record(key, row, "", problem)
    if "info" in document and not isinstance(document["info"], dict):
        faults.file("info", f"is {kind_of(document['info'])}, expected an object")
    return not faults.fatal


def _no_category(document: Mapping[str, Any], faults: Faults) -> None:
    several = [c for c in document["categories"] if c.get("keypoints")]
    for row, category in enumerate(document["categories"]):
        if category in several and not isinstance(category["keypoints"], list):
            problem = f"is {kind_of(category['keypoints'])}, expected a list of names"
            faults.file(f"categories[{row}].keypoints", problem)
    if faults.fatal:
        return
    if several:
        faults.file(
            "categories", f"{len(several)} categories have keypoints, none of them alone is named person", "keep one"
        )
        return
    faults.file(
        "categories",
        "no category names keypoints",
        "this looks like an instances file; the keypoints are in person_keypoints_*.json",
    )


def _read_images(records: Sequence[Any], faults: Faults) -> tuple[list[Image], list[int], dict[Any, int]]:
    """Images, the row of each, and image id -> position among them. Faulty images are kept here, and marked."""
    images: list[Image] = []
    rows: list[int] = []
    first_row: dict[Any, int] = {}
    index_of_id: dict[Any, int] = {}
    for row, record in enumerate(records):
        if not isinstance(record, dict):
            continue
        image_id = record.get("id")
        if type(image_id) not in (int, str):
            faults.record("images", row, "id", unexpected(record, "id", "a whole number"))
            continue
        if image_id in first_row:
            faults.record("images", row, "id", f"{image_id} is also the id of images[{first_row[image_id]}]")
            continue
        first_row[image_id] = row
        file_name = record.get("file_name")
        if "file_name" not in record:
            faults.record("images", row, "file_name", "missing")
        elif problem := unsafe_file_name(file_name):
            faults.record("images", row, "file_name", problem, "a path below the image folder, with forward slashes")
        size: list[int | None] = []
        for side in ("width", "height"):
            value = record.get(side)
            if value is not None and not (is_number(value) and value > 0 and value == int(value)):
                faults.record("images", row, side, f"is {value!r:.40}, expected a positive whole number")
                value = None
            size.append(None if value is None else int(value))
        index_of_id[image_id] = len(images)
        images.append(Image(str(file_name), *size))
        rows.append(row)
    return images, rows, index_of_id


def _rows_of_category(document: Mapping[str, Any], faults: Faults, category: int) -> list[int]:
    """Positions of the annotations of the keypoint category; an unknown category id is a fault."""
    ids: dict[Any, int] = {}
    for position, record in enumerate(document["categories"]):
        category_id = record.get("id")
        if type(category_id) not in (int, str):
            faults.file(f"categories[{position}].id", unexpected(record, "id", "a whole number"))
        elif category_id in ids:
            faults.file(f"categories[{position}].id", f"{category_id} is also the id of categories[{ids[category_id]}]")
        else:
            ids[category_id] = position
    rows = []
    for row, record in enumerate(document["annotations"]):
        if not isinstance(record, dict):
            continue
        category_id = record.get("category_id")
        if type(category_id) not in (int, str):
            faults.record("annotations", row, "category_id", unexpected(record, "category_id", "a whole number"))
        elif category_id not in ids:
            faults.record("annotations", row, "category_id", f"no category has the id {category_id}")
        elif ids[category_id] == category:
            rows.append(row)
    return rows


def _check_ids(annotations: Sequence[Any], faults: Faults) -> None:
    first_row: dict[int, int] = {}
    for row, record in enumerate(annotations):
        if not isinstance(record, dict):
            continue
        annotation_id = record.get("id")
        if not is_id(annotation_id):
            faults.record("annotations", row, "id", unexpected(record, "id", "a whole number of 64 bits"))
        elif annotation_id in first_row:
            earlier = first_row[annotation_id]
            faults.record("annotations", row, "id", f"{annotation_id} is also the id of annotations[{earlier}]")
        else:
            first_row[annotation_id] = row


def _image_indices(
    annotations: Sequence[Any],
    rows: Sequence[int],
    index_of_id: Mapping[Any, int],
    bad_images: set[Any],
    faults: Faults,
) -> NDArray[np.int64]:
    """(N,) position among the images, 0 where there is none; every annotation's image is checked."""
    ours = {r: i for i, r in enumerate(rows)}
    indices = np.zeros(len(rows), dtype=np.int64)
    for row, record in enumerate(annotations):
        if not isinstance(record, dict):
            continue
        image_id = record.get("image_id")
        if type(image_id) not in (int, str):
            faults.record("annotations", row, "image_id", unexpected(record, "image_id", "a whole number"))
        elif image_id not in index_of_id:
            faults.record("annotations", row, "image_id", f"no image has the id {image_id}")
        else:
            if image_id in bad_images:
                faults.record("annotations", row, "image_id", f"the image {image_id} is faulty")
            if row in ours:
                indices[ours[row]] = index_of_id[image_id]
    return indices


def _boxes(
    records: Sequence[dict[str, Any]],
    rows: Sequence[int],
    faults: Faults,
    images: Sequence[Image],
    image_index: NDArray[np.int64],
) -> NDArray[np.float64]:
    """(N, 4) xywh. COCO's own boxes may overhang their image by a pixel: only a box wholly outside is a fault."""
    boxes, complaints = number_rows([r.get("bbox") for r in records], 4)
    for i, complaint in complaints.items():
        missing = "bbox" not in records[i]
        hint = "annotext crops each person by the box: it must be there" if missing else ""
        faults.record("annotations", rows[i], "bbox", "missing" if missing else complaint, hint)
    for i in np.flatnonzero((boxes[:, 2:] <= 0).any(axis=1)).tolist():
        width, height = boxes[i, 2:]
        faults.record("annotations", rows[i], "bbox", f"has no area: width {width:g}, height {height:g}")
    if images:
        sizes = np.array([[im.width or np.nan, im.height or np.nan] for im in images], dtype=np.float64)[image_index]
        # Comparisons with an unknown size are false. Pixel i covers i - 0.5 to i + 0.5; a pixel of tolerance is enough.
        outside = (boxes[:, :2] > sizes).any(axis=1) | (boxes[:, :2] + boxes[:, 2:] < 0).any(axis=1)
        for i in np.flatnonzero(outside & (boxes[:, 2:] > 0).all(axis=1)).tolist():
            box = ", ".join(f"{v:g}" for v in boxes[i])
            image = images[image_index[i]]
            faults.record(
                "annotations", rows[i], "bbox", f"[{box}] lies outside the image of {image.width} x {image.height}"
            )
    return boxes


def _area(records: Sequence[dict[str, Any]], rows: Sequence[int], faults: Faults) -> NDArray[np.float64]:
    area = np.full(len(records), np.nan)
    for i, record in enumerate(records):
        if "area" in record:
            value = record["area"]
            if is_number(value) and value >= 0:
                area[i] = value
            else:
                faults.record("annotations", rows[i], "area", f"is {value!r:.40}, expected a number from 0 up")
    return area


def _crowd(records: Sequence[dict[str, Any]], rows: Sequence[int], faults: Faults) -> NDArray[np.bool_]:
    crowd = np.zeros(len(records), dtype=bool)
    for i, record in enumerate(records):
        value = record.get("iscrowd", 0)
        if type(value) in (int, bool) and value in (0, 1):
            crowd[i] = value
        else:
            faults.record("annotations", rows[i], "iscrowd", f"is {value!r:.40}, expected 0 or 1")
    return crowd


def _triples(
    records: Sequence[Mapping[str, Any]], rows: Sequence[int], faults: Faults, points: int, first: int
) -> NDArray[np.float64]:
    """(N, points, 3); an annotation without `keypoints` is a person without labels."""
    nothing = [0] * (3 * points)
    numbers, complaints = number_rows([r.get("keypoints", nothing) for r in records], 3 * points, first=3 * first)
    hint = f"x, y, v for each of {points} keypoints"
    for i, complaint in complaints.items():
        faults.record("annotations", rows[i], "keypoints", complaint, hint)
    return numbers.reshape(len(records), points, 3)


def _strict_states(v: NDArray[np.float64]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """COCO's three states and nothing else."""
    states = np.zeros(v.shape, dtype=np.uint8)
    for state in (Visibility.HIDDEN, Visibility.VISIBLE):
        states[v == state] = state
    return states, ~np.isin(v, (0, 1, 2)) & np.isfinite(v)


def _name_wrong_v(
    v: NDArray[np.float64],
    wrong: NDArray[np.bool_],
    rows: Sequence[int],
    faults: Faults,
    first: int,
    expected: str,
) -> None:
    """first: position of the first of these points in the file's array."""
    for i in np.flatnonzero(wrong.any(axis=1)).tolist():
        j = int(np.flatnonzero(wrong[i])[0])
        more = int(wrong[i].sum()) - 1
        faults.record(
            "annotations",
            rows[i],
            f"keypoints[{3 * (first + j) + 2}]",
            f"v is {v[i, j]:g}, {expected}" + (f" ({more} more in this annotation)" if more else ""),
        )
