"""MPII files in the JSON layout of HRNet and MMPose: a list of {image, center, scale, joints, joints_vis}.

Pixels are 1-based in the file and 0-based in annotext. N records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.poses import Image, Poses, Visibility
from annotext.core.skeleton import Skeleton
from annotext.core.skeletons import MPII16
from annotext.formats.annotations.base import RECORD, Column, People
from annotext.formats.annotations.records import Faults, head_sizes, is_number, number_rows, unsafe_file_name
from annotext.formats.files.jsonio import kind_of

# Pixels of the file minus pixels of annotext.
ONE_BASED = RECORD.pixel_origin
# HRNet's tools: the person box has this side times `scale`, and its centre sits lower than `center` by SHIFT x scale.
SIDE = 200.0
SHIFT = 15.0
# How the files of HRNet and MMPose write a joint that is not there.
MISSING = [-1.0, -1.0]


class MpiiFormat:
    """The adapter of MPII files; see `base.Format`."""

    kind = "mpii"
    title = "MPII"
    identity = RECORD
    section = ""
    columns = MappingProxyType({"joints": Column(1, "joints"), "joints_vis": Column(1)})
    count_key = ""
    tells_hidden = False  # joints_vis means annotated, not visible
    header_beside = True
    takes_new_people = False

    def detect(self, document: Any, added: int) -> bool:
        """A list of records of which at least one has an image and a center or joints."""
        return isinstance(document, list) and any(
            isinstance(r, dict) and "image" in r and ("center" in r or "joints" in r) for r in document
        )

    def read(self, document: Any, faults: Faults, skeletons: Mapping[str, Skeleton]) -> People | None:
        """The people of a list of records."""
        rows = self.person_rows(document)
        for row, record in enumerate(document):
            if not isinstance(record, dict):
                faults.record("", row, "", f"is {kind_of(record)}, expected an object")
        records = [document[r] for r in rows]
        k = len(MPII16)
        images, image_index = _images(records, rows, faults)
        boxes = _boxes(records, rows, faults)
        xy_file, states = self.read_written(records, rows, faults, k, 0)
        states[(states > 0) & _hidden(records, rows, faults, k)] = Visibility.HIDDEN
        head_size = head_sizes(records, "", rows, faults)

        row_array = np.array(rows, dtype=np.int64)
        kept = faults.good("", row_array)
        n = int(kept.sum())
        poses = Poses(
            skeleton=MPII16,
            xy=np.where(states[..., None] > 0, xy_file - ONE_BASED, np.nan)[kept],
            visibility=states[kept],
            bbox_xywh=boxes[kept],
            area=np.full(n, np.nan),
            image_index=image_index[kept],
            images=images,
            ids=row_array[kept],
            crowd=np.zeros(n, dtype=bool),
            head_size=head_size[kept],
        )
        return People(poses, row_array[kept])

    def check_counts(
        self, records: Sequence[Any], rows: Sequence[int], counted: NDArray[np.int64], faults: Faults
    ) -> None:
        """The records count nothing."""

    # --- records and the points in them ---

    def records(self, document: Any) -> Any:
        return document

    def with_records(self, document: Any, records: list[Any]) -> Any:
        return records

    def person_rows(self, document: Any) -> list[int]:
        return [row for row, record in enumerate(document) if isinstance(record, dict)]

    def points(self, document: Any) -> int:
        return len(MPII16)

    def category_id(self, document: Any) -> Any:
        return None

    def with_added(
        self, document: Any, added: Sequence[str], edges: Sequence[tuple[int, int]]
    ) -> tuple[Any, dict[str, int | None]]:
        return document, {}

    def without_added(self, document: Any, added: Sequence[str], edges: int | None) -> Any:
        return document

    def blank(self, points: int) -> dict[str, list[Any]]:
        return {"joints": [MISSING] * points, "joints_vis": [0] * points}

    def keeps_blank(self) -> bool:
        return True

    def written(self, points: Sequence[list[float] | None], visibility: Sequence[int]) -> dict[str, list[Any]]:
        joints = [MISSING if xy is None else xy for xy in points]
        return {"joints": joints, "joints_vis": [int(v > 0) for v in visibility]}

    def read_written(
        self, records: Sequence[Mapping[str, Any]], rows: Sequence[int], faults: Faults, count: int, first: int
    ) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """A record with neither column (MPII's test set) has no labels."""
        n = len(records)
        nothing = ([[0, 0]] * count, [0] * count)
        bare = [i for i, r in enumerate(records) if "joints" not in r and "joints_vis" not in r]
        joints = [r.get("joints") for r in records]
        states = [r.get("joints_vis") for r in records]
        for i in bare:
            joints[i], states[i] = nothing
        flat: list[Any] = []
        for i, value in enumerate(joints):
            if not isinstance(value, list) or len(value) != count:
                found = f"has {len(value)} joints" if isinstance(value, list) else f"is {kind_of(value)}"
                problem = f"{found}, expected {count}" if "joints" in records[i] else "missing"
                faults.record("", rows[i], "joints", problem)
                flat += nothing[0]
            else:
                flat += value
        xy, complaints = number_rows(flat, 2)
        for position, complaint in complaints.items():
            i, j = divmod(position, count)
            faults.record("", rows[i], f"joints[{first + j}]", complaint)
        vis, complaints = number_rows(states, count, first=first)
        for i, complaint in complaints.items():
            faults.record("", rows[i], "joints_vis", complaint if "joints_vis" in records[i] else "missing")
        wrong = np.isfinite(vis) & ~np.isin(vis, (0, 1))
        for i in np.flatnonzero(wrong.any(axis=1)).tolist():
            j = int(np.flatnonzero(wrong[i])[0])
            faults.record("", rows[i], f"joints_vis[{first + j}]", f"is {vis[i, j]:g}, expected 0 or 1")
        xy = xy.reshape(n, count, 2)
        labelled = (vis == 1) & np.isfinite(xy).all(axis=-1)
        return xy, np.where(labelled, Visibility.VISIBLE, Visibility.NOT_LABELLED).astype(np.uint8)

    def labelled(self, columns: Mapping[str, Sequence[Any]]) -> int:
        return sum(v == 1 for v in columns["joints_vis"])

    def new_person(
        self, person: int, image_id: int | str, category_id: Any, bbox_xywh: list[float], points: int
    ) -> dict[str, Any]:
        raise ValueError("an MPII file takes no new people: every record of it is a person")


MPII = MpiiFormat()


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


def _hidden(records: Sequence[dict[str, Any]], rows: Sequence[int], faults: Faults, k: int) -> NDArray[np.bool_]:
    """(N, k) bool: the record's optional `is_visible` says 0."""
    visible, complaints = number_rows([r.get("is_visible", [1] * k) for r in records], k)
    for i, complaint in complaints.items():
        faults.record("", rows[i], "is_visible", complaint)
    wrong = np.isfinite(visible) & ~np.isin(visible, (0, 1))
    for i in np.flatnonzero(wrong.any(axis=1)).tolist():
        faults.record("", rows[i], "is_visible", "holds something else than 0 and 1")
    return visible == 0
