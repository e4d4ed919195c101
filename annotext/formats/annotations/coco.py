"""COCO keypoint files: images, annotations, and the one category that names keypoints.

Halpe shares the layout and differs in the numbers; see `halpe`. N annotations of the keypoint category, P points per
annotation in the file, K keypoints of the skeleton read from them, A of these added by annotext.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.poses import Image, Poses, Visibility
from annotext.core.skeleton import Skeleton
from annotext.formats.annotations.records import (
    EXTENDED_KEY,
    Faults,
    Kind,
    Parsed,
    is_id,
    is_number,
    number_rows,
    unsafe_file_name,
)
from annotext.formats.files.jsonio import kind_of
from annotext.formats.files.skeletons import skeleton_of_names
from annotext.formats.overlay.block import parse_blocks
from annotext.formats.overlay.pseudo_labels import parse_pseudo_labels, without_pseudo_labels

_LISTS = ("images", "annotations", "categories")


@dataclass(frozen=True)
class Layout:
    """How the numbers of an annotation are read.

    skeleton: the keypoints the file's first points are, in order.
    points: P, points per annotation in the file, without those annotext added.
    labelled_from: visibility from which a point counts as labelled; None means COCO's three states and nothing else.
    counts_points: whether `num_keypoints` counts the points with v > 0 of this file.
    """

    kind: Kind
    skeleton: Skeleton
    points: int
    labelled_from: float | None = None
    counts_points: bool = True


def is_coco(document: Any) -> bool:
    """An object with COCO's lists, or at least an attempt at it."""
    return isinstance(document, dict) and any(key in document for key in _LISTS)


def keypoint_category(document: Mapping[str, Any]) -> int | None:
    """Position of the category whose people annotext reads: the only one with `keypoints`, or else `person`."""
    categories = [(i, c) for i, c in enumerate(document.get("categories", [])) if isinstance(c, dict)]
    named = [i for i, c in categories if isinstance(c.get("keypoints"), list) and c["keypoints"]]
    if len(named) > 1:
        named = [i for i in named if document["categories"][i].get("name") == "person"]
    return named[0] if len(named) == 1 else None


def header_of(document: Any) -> dict[str, Any] | None:
    """`info.annotext` of an extended document, else None."""
    info = document.get("info") if isinstance(document, dict) else None
    header = info.get(EXTENDED_KEY) if isinstance(info, dict) else None
    return header if isinstance(header, dict) else None


def check_lists(document: Mapping[str, Any], faults: Faults) -> bool:
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
    elif EXTENDED_KEY in document.get("info", {}) and header_of(document) is None:
        found = kind_of(document["info"][EXTENDED_KEY])
        faults.file(f"info.{EXTENDED_KEY}", f"is {found}, expected the header of an extended file", "rename this key")
    return not faults.fatal


def read_coco(document: Mapping[str, Any], faults: Faults, skeletons: Mapping[str, Skeleton]) -> Parsed | None:
    """The people of a COCO document. Problems go into `faults`; None where no person can be read for them."""
    if not check_lists(document, faults):
        return None
    position = keypoint_category(document)
    if position is None:
        _no_category(document, faults)
        return None
    pointer = f"categories[{position}].keypoints"
    names = document["categories"][position]["keypoints"]
    if not all(isinstance(name, str) for name in names):
        faults.file(pointer, "holds something that is not a name")
        return None
    added = added_names(document, faults, names)
    if added is None:
        return None
    skeleton = skeleton_of_names(names[: len(names) - len(added)], skeletons)
    if skeleton is None:
        faults.file(
            pointer,
            f"no known skeleton has exactly these {len(names) - len(added)} keypoints: {', '.join(names)}",
            "describe them in a TOML file as datasets/crowdpose14.toml does; `annotext skeletons` lists the known ones",
        )
        return None
    layout = Layout("coco", skeleton, len(skeleton))
    return read_annotated_people(document, faults, position, layout, added, tuple(skeletons.values()))


def added_names(document: Any, faults: Faults, names: Sequence[str] | None) -> tuple[str, ...] | None:
    """The keypoints annotext added to this document, () for one that is not extended; None after a fault.

    names: what the category calls its keypoints, the added at the end; None where it names none (Halpe).
    """
    header = header_of(document)
    if header is None:
        blocks = [i for i, a in enumerate(document["annotations"]) if isinstance(a, dict) and EXTENDED_KEY in a]
        if blocks:
            faults.file("info.annotext", f"missing, but annotations[{blocks[0]}] is extended", "restore the header")
            return None
        return ()
    added = header.get("added")
    if not isinstance(added, list) or not added or not all(isinstance(k, str) for k in added):
        faults.file("info.annotext.added", "expected the list of added keypoints")
        return None
    if names is not None and list(names[-len(added) :]) != added:
        faults.file("info.annotext.added", "differs from the last keypoints of the category")
        return None
    return tuple(added)


def read_annotated_people(
    document: Mapping[str, Any],
    faults: Faults,
    category: int,
    layout: Layout,
    added: tuple[str, ...],
    known: Sequence[Skeleton],
) -> Parsed | None:
    """The people of the category at position `category`, in file order."""
    try:
        whole = layout.skeleton.grown(added, known) if added else layout.skeleton
    except ValueError as error:
        faults.file("info.annotext.added", str(error))
        return None
    images, image_rows, index_of_id = _read_images(document["images"], faults)
    annotations = document["annotations"]
    rows = _rows_of_category(document, faults, category)
    _check_ids(annotations, faults)
    bad_images = {image_id for image_id, i in index_of_id.items() if faults.is_bad("images", image_rows[i])}
    image_index = _image_indices(annotations, rows, index_of_id, bad_images, faults)
    records = [annotations[r] for r in rows]

    boxes = _boxes(records, rows, faults, images, image_index)
    area = _area(records, rows, faults)
    crowd = _crowd(records, rows, faults)
    head_size = _head_size(records, rows, faults)
    points = _points(records, rows, faults, layout.points + len(added))
    triples = points.reshape(len(rows), layout.points + len(added), 3)
    k, a = len(layout.skeleton), len(added)
    own_xy, own_states = _read_points(triples[:, :k], rows, faults, layout, 0)
    xy, states = own_xy, own_states
    additions, pseudo = None, None
    if added:
        plain = replace(layout, labelled_from=None)
        added_xy, added_states = _read_points(triples[:, layout.points :], rows, faults, plain, layout.points)
        additions = parse_blocks(
            faults, "annotations", rows, records, added, triples[:, layout.points :, :2], added_states
        )
        pseudo = parse_pseudo_labels(
            faults, "annotations", rows, records, layout.skeleton.keypoints, triples[:, :k, :2], own_states
        )
        own_xy, own_states = without_pseudo_labels(own_xy, own_states, pseudo)
        xy = np.concatenate([own_xy, added_xy], axis=1)
        states = np.concatenate([own_states, added_states], axis=1)

    if layout.counts_points:
        _check_counts(records, rows, faults, triples)
    row_array = np.array(rows, dtype=np.int64)
    kept = faults.good("annotations", row_array)
    keep_images = np.array([not faults.is_bad("images", r) for r in image_rows], dtype=bool)
    new_index = np.cumsum(keep_images) - 1
    poses = Poses(
        skeleton=whole,
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
    assert poses.xy.shape[1] == k + a
    if additions is not None:
        additions = additions.take(kept)
    return Parsed(
        kind=layout.kind,
        poses=poses,
        rows=row_array[kept],
        additions=additions,
        header=header_of(document),
        image_ids=tuple(i for i, keep in zip(index_of_id, keep_images, strict=True) if keep),
        pseudo=None if pseudo is None else pseudo.take(kept),
    )


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
            faults.record("images", row, "id", _wrong(record, "id", "a whole number"))
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
            faults.file(f"categories[{position}].id", _wrong(record, "id", "a whole number"))
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
            faults.record("annotations", row, "category_id", _wrong(record, "category_id", "a whole number"))
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
            faults.record("annotations", row, "id", _wrong(record, "id", "a whole number of 64 bits"))
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
            faults.record("annotations", row, "image_id", _wrong(record, "image_id", "a whole number"))
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


def _head_size(records: Sequence[dict[str, Any]], rows: Sequence[int], faults: Faults) -> NDArray[np.float64]:
    """(N,) 0.6 x diagonal of the optional `headbox` [x1, y1, x2, y2], MPII's PCKh unit; NaN without one."""
    with_box = [i for i, r in enumerate(records) if "headbox" in r]
    size = np.full(len(records), np.nan)
    boxes, complaints = number_rows([records[i]["headbox"] for i in with_box], 4)
    for i, complaint in complaints.items():
        faults.record("annotations", rows[with_box[i]], "headbox", complaint)
    if with_box:
        size[with_box] = 0.6 * np.hypot(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    return size


def _points(records: Sequence[dict[str, Any]], rows: Sequence[int], faults: Faults, points: int) -> NDArray[np.float64]:
    """(N, 3 * points); an annotation without `keypoints` is a person without labels."""
    nothing = [0] * (3 * points)
    numbers, complaints = number_rows([r.get("keypoints", nothing) for r in records], 3 * points)
    hint = f"x, y, v for each of {points} keypoints"
    for i, complaint in complaints.items():
        faults.record("annotations", rows[i], "keypoints", complaint, hint)
    return numbers


def _read_points(
    triples: NDArray[np.float64], rows: Sequence[int], faults: Faults, layout: Layout, first: int
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """(N, K, 3) x, y, v -> (N, K, 2) with NaN where not labelled and (N, K) uint8 visibility.

    first: position of the first of these points in the file's array, for messages.
    """
    v = triples[..., 2]
    states = np.zeros(v.shape, dtype=np.uint8)
    if layout.labelled_from is None:
        wrong = ~np.isin(v, (0, 1, 2)) & np.isfinite(v)
        expected = "expected 0, 1 or 2"
        for state in (Visibility.HIDDEN, Visibility.VISIBLE):
            states[v == state] = state
    else:
        # A float below 2 is a confidence, not a state: nothing says such a point is hidden.
        wrong = np.isfinite(v) & ~((v >= 0) & (v <= 2))
        expected = "expected 0 to 2"
        states[v >= layout.labelled_from] = Visibility.VISIBLE
        states[v == Visibility.HIDDEN] = Visibility.HIDDEN
    for i in np.flatnonzero(wrong.any(axis=1)).tolist():
        j = int(np.flatnonzero(wrong[i])[0])
        more = int(wrong[i].sum()) - 1
        faults.record(
            "annotations",
            rows[i],
            f"keypoints[{3 * (first + j) + 2}]",
            f"v is {v[i, j]:g}, {expected}" + (f" ({more} more in this annotation)" if more else ""),
        )
    xy = np.where(states[..., None] > 0, triples[..., :2], np.nan)
    return xy, states


def _check_counts(
    records: Sequence[dict[str, Any]], rows: Sequence[int], faults: Faults, triples: NDArray[np.float64]
) -> None:
    counted = (triples[..., 2] > 0).sum(axis=1)
    for i, record in enumerate(records):
        if "num_keypoints" not in record or faults.is_bad("annotations", rows[i]):
            continue
        said = record["num_keypoints"]
        if type(said) is not int:
            faults.record("annotations", rows[i], "num_keypoints", f"is {said!r:.40}, expected a whole number")
        elif said != counted[i]:
            faults.record("annotations", rows[i], "num_keypoints", f"is {said}, but {counted[i]} keypoints have v > 0")


def _wrong(record: Mapping[str, Any], key: str, expected: str) -> str:
    return "missing" if key not in record else f"is {record[key]!r:.40}, expected {expected}"
