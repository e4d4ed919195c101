"""An extended document as two things: the document it was made from, and what annotext laid over it.

`read` and `strip` share this. N people, A added keypoints, K of the base document's skeleton.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.additions import Additions
from annotext.core.poses import Poses
from annotext.core.skeleton import Skeleton
from annotext.formats.annotations.base import Format, growable
from annotext.formats.annotations.records import Faults
from annotext.formats.files.jsonio import kind_of
from annotext.formats.overlay.block import CHANGED, EXTENDED_KEY, parse_blocks, shifted, sources_problem
from annotext.formats.overlay.header import POINTER
from annotext.formats.overlay.pseudo_labels import OWN, PseudoLabels, parse_pseudo_labels, restored


@dataclass(frozen=True)
class Overlay:
    """What annotext says about the N people of a file.

    header: of the file. skeleton: the base document's, grown by the added keypoints. additions: aligned with the
    people, candidates included. pseudo: of a file in which people without labels were labelled whole, else None.
    """

    header: dict[str, Any]
    skeleton: Skeleton
    additions: Additions
    pseudo: PseudoLabels | None

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Overlay:
        """Of the people at `rows`."""
        pseudo = None if self.pseudo is None else self.pseudo.take(rows)
        return replace(self, additions=self.additions.take(rows), pseudo=pseudo)

    def extended(self, poses: Poses) -> Poses:
        """The people with the added points that have v > 0, under the grown skeleton."""
        added = self.additions.added
        return replace(
            poses,
            skeleton=self.skeleton,
            xy=np.concatenate([poses.xy, np.where(added[..., None], self.additions.xy, np.nan)], axis=1),
            visibility=np.concatenate([poses.visibility, self.additions.visibility], axis=1),
        )

    def counted(self) -> NDArray[np.int64]:
        """(N,) how many points with v > 0 each person has from it."""
        counted = self.additions.added.sum(axis=1)
        return counted if self.pseudo is None else counted + self.pseudo.own.added.sum(axis=1)


@dataclass(frozen=True)
class Split:
    """A document taken apart.

    base: the document without the overlay; people that annotext appended are still in it, without labels.
    points: per record, of the base. rows: positions of the records with a block that was taken out; records: these, as
    they are in the document; added: what their columns hold behind their own points.
    """

    base: Any
    points: int = 0
    rows: list[int] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    added: list[dict[str, Any]] = field(default_factory=list)


def split(
    document: Any, format: Format, faults: Faults, header: dict[str, Any] | None, *, reading: bool
) -> Split | None:
    """Take the overlay out of an extended document, which is not mutated; None after a fault of the whole.

    header: None where it stands beside the file and nobody has it: then each block says how many points it has.
    reading: what a record lacks of the points it must have is a fault even if nothing was added to it, and its columns
    are then left out of the base; not reading: what stood in place of whole poses must make sense.
    """
    added = None if header is None else header["added"]
    restore = header.get("restore") if header is not None else None
    edges = restore.get("skeleton") if isinstance(restore, dict) else None
    base = document
    try:
        if added is not None:
            base = format.without_added(document, added, edges)
    except ValueError as error:
        faults.file(f"{POINTER}.added", str(error))
        return None
    people = set(format.person_rows(document))
    cutter = _Cutter(format, faults, None if added is None else len(added), format.points(base), reading)
    old = format.records(document)
    records = [
        cutter.cut(row, record) if row in people or (isinstance(record, dict) and EXTENDED_KEY in record) else record
        for row, record in enumerate(old)
    ]
    rows = [row for row in cutter.added if row in people]
    return Split(
        format.with_records(base, records),
        cutter.points,
        rows,
        [old[row] for row in rows],
        [cutter.added[row] for row in rows],
    )


class _Cutter:
    """Takes the overlay out of records. added: row -> what the record's columns held behind its own points."""

    def __init__(self, format: Format, faults: Faults, count: int | None, points: int, reading: bool) -> None:
        self.format, self.faults, self.count, self.points, self.reading = format, faults, count, points, reading
        self.added: dict[int, dict[str, Any]] = {}

    def cut(self, row: int, record: dict[str, Any]) -> dict[str, Any]:
        """The record as it was before it was extended."""
        block = record.get(EXTENDED_KEY)
        if problem := sources_problem(block, self.count):
            if EXTENDED_KEY in record or growable(self.format, record):
                self._fault(row, EXTENDED_KEY, problem)
                return self._without(record)
            return record
        assert isinstance(block, dict)
        count = len(block["source"])
        base = {key: value for key, value in record.items() if key != EXTENDED_KEY}
        added: dict[str, Any] = {}
        # A record that was too broken to be read got a block without points, and may have any length.
        exact = self.reading or any(source != "none" for source in block["source"])
        bare = next(iter(self.format.columns)) in block
        for key, column in self.format.columns.items():
            values, behind = record.get(key), column.per_point * count
            length = column.per_point * (self.points + count)
            found = "is missing" if key not in record else f"is {kind_of(values)}"
            if isinstance(values, list) and (len(values) == length or (not exact and len(values) >= behind)):
                base[key], added[key] = values[:-behind], values[-behind:]
            else:
                if isinstance(values, list):
                    found = f"has {len(values)} {column.entries}"
                self._fault(row, key, f"{found}, expected {length}" if exact else f"{found}, expected {behind} or more")
                return self._without(base)
            if bare:
                del base[key]
            elif OWN in block:
                base[key] = self._restored(row, block[OWN], key)
        count_key = self.format.count_key
        if count_key in block:
            base[count_key] = block[count_key]
        else:
            base.pop(count_key, None)
        self.added[row] = added
        return base

    def _restored(self, row: int, own: Any, key: str) -> list[Any]:
        columns = restored(self.format, own, key, self.points)
        if columns is None and not self.reading:
            inner = f".{key}" if self.format.keeps_blank() else ""
            self._fault(row, f"{EXTENDED_KEY}.{OWN}{inner}", "makes no sense")
        return self.format.blank(self.points)[key] if columns is None else columns

    def _fault(self, row: int, key: str, problem: str) -> None:
        self.faults.record(self.format.section, row, key, problem, CHANGED)

    def _without(self, record: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in record.items() if k != EXTENDED_KEY and k not in self.format.columns}


def parse_overlay(
    parts: Split, format: Format, faults: Faults, header: dict[str, Any], skeleton: Skeleton, grown: Skeleton
) -> Overlay:
    """What the records of `parts` say, aligned with its rows, in annotext's pixels. skeleton: the base document's."""
    keypoints, blocks = tuple(header["added"]), [r[EXTENDED_KEY] for r in parts.records]
    xy, states = format.read_written(parts.added, parts.rows, faults, len(keypoints), parts.points)
    if not format.tells_hidden:
        states = _told_states(format, faults, parts.rows, blocks, states)
    additions = parse_blocks(faults, format.section, parts.rows, blocks, keypoints, xy, states)
    pseudo = parse_pseudo_labels(faults, format, parts.rows, parts.records, skeleton.keypoints)
    offset = -format.identity.pixel_origin
    if offset:
        additions = shifted(additions, offset)
        pseudo = pseudo if pseudo is None else replace(pseudo, own=shifted(pseudo.own, offset))
    return Overlay(header, grown, additions, pseudo)


def _told_states(
    format: Format, faults: Faults, rows: Sequence[int], blocks: Sequence[dict[str, Any]], states: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """(N, A) visibility: the columns say only labelled or not, the block says hidden or not."""
    result = states.copy()
    for i, block in enumerate(blocks):
        values = block.get("visibility")
        if (
            not isinstance(values, list)
            or any(type(v) is not int or v not in (0, 1, 2) for v in values)
            or [v > 0 for v in values] != (states[i] > 0).tolist()
        ):
            problem = "must be 0, 1 or 2, above 0 where joints_vis is 1"
            faults.record(format.section, rows[i], f"{EXTENDED_KEY}.visibility", problem)
        else:
            result[i] = values
    return result
