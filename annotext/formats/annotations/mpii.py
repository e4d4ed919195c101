"""MPII files in the JSON layout of HRNet and MMPose: a list of {image, center, scale, joints, joints_vis}.

Pixels are 1-based in the file and 0-based here; the shift happens in this module and nowhere else. N records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.poses import Image, Poses, Visibility
from annotext.core.skeleton import Skeleton
from annotext.core.skeletons import MPII16
from annotext.formats.annotations.records import (
    EXTENDED_KEY,
    Faults,
    Parsed,
    is_number,
    number_rows,
    unsafe_file_name,
)
from annotext.formats.files.jsonio import kind_of
from annotext.formats.overlay.block import parse_blocks, shifted
from annotext.formats.overlay.pseudo_labels import OWN, parse_pseudo_labels, without_pseudo_labels

# Pixels of the file minus pixels of annotext.
ONE_BASED = 1.0
# HRNet's tools: the person box has this side times `scale`, and its centre sits lower than `center` by SHIFT x scale.
SIDE = 200.0
SHIFT = 15.0


def is_mpii(document: Any) -> bool:
    """A list of records of which at least one has an image and a center or joints."""
    return isinstance(document, list) and any(
        isinstance(r, dict) and "image" in r and ("center" in r or "joints" in r) for r in document
    )


def is_extended(document: Sequence[Any]) -> bool:
    """Whether any record carries an `annotext` block."""
    return any(isinstance(r, dict) and EXTENDED_KEY in r for r in document)


def read_mpii(
    document: Sequence[Any],
    faults: Faults,
    skeletons: Mapping[str, Skeleton],
    header: dict[str, Any] | None,
    header_path: object = "",
) -> Parsed | None:
    """The people of an MPII document; `header` is what stands in `<file>.annotext.json`, None without one."""
    added: tuple[str, ...] = ()
    whole = MPII16
    if is_extended(document):
        names = None if header is None else header.get("added")
        if not isinstance(names, list) or not names or not all(isinstance(k, str) for k in names):
            faults.file(
                "",
                "is extended, but its header is missing" if header is None else "its header lacks the added keypoints",
                f"an extended MPII file belongs together with {header_path}",
            )
            return None
        added = tuple(names)
        try:
            whole = MPII16.grown(added, skeletons.values())
        except ValueError as error:
            faults.file("", str(error))
            return None
    rows = []
    for row, record in enumerate(document):
        if isinstance(record, dict):
            rows.append(row)
        else:
            faults.record("", row, "", f"is {kind_of(record)}, expected an object")
    records = [document[r] for r in rows]
    k, a = len(MPII16), len(added)

    images, image_index = _images(records, rows, faults)
    boxes = _boxes(records, rows, faults)
    xy_file, labelled = _joints(records, rows, faults, k + a)
    states = np.where(labelled, Visibility.VISIBLE, Visibility.NOT_LABELLED).astype(np.uint8)
    hidden = _hidden(records, rows, faults, k)
    states[:, :k][labelled[:, :k] & hidden] = Visibility.HIDDEN
    xy = np.where(labelled[..., None], xy_file - ONE_BASED, np.nan)
    additions, pseudo = None, None
    if added:
        states[:, k:] = _added_states(records, rows, faults, labelled[:, k:])
        additions = parse_blocks(faults, "", rows, records, added, xy_file[:, k:], states[:, k:])
        pseudo = parse_pseudo_labels(
            faults, "", rows, records, MPII16.keypoints, xy_file[:, :k], _own_states(records, states[:, :k])
        )
        xy[:, :k], states[:, :k] = without_pseudo_labels(xy[:, :k], states[:, :k], pseudo)

    row_array = np.array(rows, dtype=np.int64)
    kept = faults.good("", row_array)
    poses = Poses(
        skeleton=whole,
        xy=xy[kept],
        visibility=states[kept],
        bbox_xywh=boxes[kept],
        area=np.full(int(kept.sum()), np.nan),
        image_index=image_index[kept],
        images=images,
        ids=row_array[kept],
        crowd=np.zeros(int(kept.sum()), dtype=bool),
        head_size=_head_size(records, rows, faults)[kept],
    )
    if additions is not None:
        # Estimates come back to 0-based pixels with everything else.
        additions = shifted(additions.take(kept), -ONE_BASED)
    if pseudo is not None:
        pseudo = pseudo.take(kept)
        pseudo = replace(pseudo, own=shifted(pseudo.own, -ONE_BASED))
    return Parsed("mpii", poses, row_array[kept], additions, header if added else None, pseudo=pseudo)


def _images(
    records: Sequence[dict[str, Any]], rows: Sequence[int], faults: Faults
) -> tuple[tuple[Image, ...], NDArray[np.int64]]:
    order: dict[str, int] = {}
    index = np.zeros(len(records), dtype=np.int64)
    for i, record in enumerate(records):
        name = record.get("image")
        problem = "missing" if "image" not in record else unsafe_file_name(name)
        if problem:
            faults.record("", rows[i], "image", problem)
        else:
            index[i] = order.setdefault(name, len(order))  # type: ignore[arg-type]
    return tuple(Image(name) for name in order), index


def _boxes(records: Sequence[dict[str, Any]], rows: Sequence[int], faults: Faults) -> NDArray[np.float64]:
    """(N, 4) xywh, 0-based: the square of side 200 x scale about center moved down by 15 x scale."""
    center, complaints = number_rows([r.get("center") for r in records], 2)
    for i, complaint in complaints.items():
        faults.record("", rows[i], "center", complaint if "center" in records[i] else "missing")
    scale = np.full(len(records), np.nan)
    for i, record in enumerate(records):
        value = record.get("scale")
        if is_number(value) and value > 0:
            scale[i] = value
        else:
            problem = f"is {value!r:.40}, expected a number above 0" if "scale" in record else "missing"
            faults.record("", rows[i], "scale", problem, f"the person's box has the side {SIDE:g} x scale")
    side = SIDE * scale[:, None]
    middle = center - ONE_BASED + np.stack([np.zeros(len(records)), SHIFT * scale], axis=1)
    return np.concatenate([middle - side / 2, side, side], axis=1)


def _joints(
    records: Sequence[dict[str, Any]], rows: Sequence[int], faults: Faults, k: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(N, k, 2) as in the file and (N, k) labelled; a record with neither key (MPII's test set) has no labels."""
    n = len(records)
    nothing = ([[0, 0]] * k, [0] * k)
    bare = [i for i, r in enumerate(records) if "joints" not in r and "joints_vis" not in r]
    joints = [r.get("joints") for r in records]
    states = [r.get("joints_vis") for r in records]
    for i in bare:
        joints[i], states[i] = nothing
    flat: list[Any] = []
    for i, value in enumerate(joints):
        if not isinstance(value, list) or len(value) != k:
            found = f"has {len(value)} joints" if isinstance(value, list) else f"is {kind_of(value)}"
            faults.record("", rows[i], "joints", f"{found}, expected {k}" if "joints" in records[i] else "missing")
            flat += nothing[0]
        else:
            flat += value
    xy, complaints = number_rows(flat, 2)
    for position, complaint in complaints.items():
        i, j = divmod(position, k)
        faults.record("", rows[i], f"joints[{j}]", complaint)
    vis, complaints = number_rows(states, k)
    for i, complaint in complaints.items():
        faults.record("", rows[i], "joints_vis", complaint if "joints_vis" in records[i] else "missing")
    wrong = np.isfinite(vis) & ~np.isin(vis, (0, 1))
    for i in np.flatnonzero(wrong.any(axis=1)).tolist():
        j = int(np.flatnonzero(wrong[i])[0])
        faults.record("", rows[i], f"joints_vis[{j}]", f"is {vis[i, j]:g}, expected 0 or 1")
    xy = xy.reshape(n, k, 2)
    return xy, (vis == 1) & np.isfinite(xy).all(axis=-1)


def _hidden(records: Sequence[dict[str, Any]], rows: Sequence[int], faults: Faults, k: int) -> NDArray[np.bool_]:
    """(N, k) bool: the record's optional `is_visible` says 0."""
    visible, complaints = number_rows([r.get("is_visible", [1] * k) for r in records], k)
    for i, complaint in complaints.items():
        faults.record("", rows[i], "is_visible", complaint)
    wrong = np.isfinite(visible) & ~np.isin(visible, (0, 1))
    for i in np.flatnonzero(wrong.any(axis=1)).tolist():
        faults.record("", rows[i], "is_visible", "holds something else than 0 and 1")
    return visible == 0


def _added_states(
    records: Sequence[dict[str, Any]], rows: Sequence[int], faults: Faults, labelled: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """(N, A) visibility of the added points: `joints_vis` says only labelled or not, the block says hidden or not."""
    states = np.where(labelled, Visibility.VISIBLE, Visibility.NOT_LABELLED).astype(np.uint8)
    for i, record in enumerate(records):
        block = record.get(EXTENDED_KEY)
        said = block.get("visibility") if isinstance(block, dict) else None
        if (
            not isinstance(said, list)
            or any(type(v) is not int or v not in (0, 1, 2) for v in said)
            or [v > 0 for v in said] != labelled[i].tolist()
        ):
            faults.record("", rows[i], "annotext.visibility", "must be 0, 1 or 2, above 0 where joints_vis is 1")
        else:
            states[i] = said
    return states


def _own_states(records: Sequence[dict[str, Any]], states: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N, K) visibility of the records' own points: the block's, where it has one that agrees with joints_vis."""
    told = states.copy()
    for i, record in enumerate(records):
        block = record.get(EXTENDED_KEY)
        own = block.get(OWN) if isinstance(block, dict) else None
        said = own.get("visibility") if isinstance(own, dict) else None
        if isinstance(said, list) and [v in (1, 2) for v in said] == (states[i] > 0).tolist():
            told[i] = [v if v in (1, 2) else 0 for v in said]
    return told


def _head_size(records: Sequence[dict[str, Any]], rows: Sequence[int], faults: Faults) -> NDArray[np.float64]:
    """(N,) 0.6 x diagonal of `headbox`; NaN without one."""
    with_box = [i for i, r in enumerate(records) if "headbox" in r]
    size = np.full(len(records), np.nan)
    boxes, complaints = number_rows([records[i]["headbox"] for i in with_box], 4)
    for i, complaint in complaints.items():
        faults.record("", rows[with_box[i]], "headbox", complaint)
    if with_box:
        size[with_box] = 0.6 * np.hypot(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    return size
