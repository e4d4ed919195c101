"""How an extended file holds whole poses of people nobody labelled, so that they can be told from labels and taken out.

Such a person has its own K keypoints filled in, and its `annotext` block says `own`: a block like that of the added
ones, and what stood there before. A person that a detector found is a new annotation whose block says `new`.
See docs/unlabelled.md. N people of the file's poses, K keypoints of its skeleton, A added ones, M new people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.additions import Additions, Source, put
from annotext.formats.annotations.base import Format
from annotext.formats.annotations.records import Faults
from annotext.formats.files.jsonio import kind_of
from annotext.formats.overlay.block import CHANGED, EXTENDED_KEY, AddedPoints, blocks_as_json, parse_blocks

OWN, NEW, DETECTION = "own", "new", "detection"
SCORE_DECIMALS = 4


@dataclass(frozen=True)
class NewPeople:
    """M people whom a detector found on images without annotations.

    ids, image_ids: M, as the file is to have them; category_id: of people. bbox_xywh: (M, 4), image pixels. score: (M,)
    the detector's. own: (M, K), added: (M, A) what they get. People without a point that is added are not written.
    """

    ids: Sequence[int]
    image_ids: Sequence[int | str]
    category_id: int | str
    bbox_xywh: NDArray[np.float64]
    score: NDArray[np.float64]
    own: Additions
    added: Additions


@dataclass(frozen=True)
class Unlabelled:
    """What is to be written of people nobody labelled.

    own: (N, K) into the file's own keypoints, aligned with its poses; for people with labels nothing. new: people to
    append.
    """

    own: Additions
    new: NewPeople | None = None


@dataclass(frozen=True)
class PseudoLabels:
    """What an extended file says about people nobody labelled.

    own: (N, K) additions to the file's own keypoints, candidates included; nothing for people with labels. new: (N,)
    bool, the person was found by a detector.
    """

    own: Additions
    new: NDArray[np.bool_]

    @property
    def people(self) -> NDArray[np.bool_]:
        """(N,) bool: nobody labelled this person, and annotext estimated at least one of its own keypoints."""
        return np.asarray((self.own.source != Source.NONE).any(axis=1))

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> PseudoLabels:
        """Of the people at `rows`, indices or a mask."""
        return PseudoLabels(self.own.take(rows), self.new[rows])


def own_blocks(own: Additions | None, n: int, offset: float) -> Iterator[AddedPoints | None]:
    """For each of N people what its own keypoints get, None where that is nothing."""
    if own is None:
        yield from (None for _ in range(n))
        return
    estimated = np.asarray((own.source != Source.NONE).any(axis=1))
    blocks = blocks_as_json(own.take(estimated), offset)
    for there in estimated.tolist():
        yield next(blocks) if there else None


def filled(
    format: Format, columns: Mapping[str, list[Any]], own: AddedPoints, *, bare: bool
) -> tuple[dict[str, list[Any]], dict[str, Any]]:
    """The columns of a record with `own` in the first places, and the block that says so.

    The block keeps the columns as they were, unless they are `Format.blank`. bare: the record had none.
    """
    block = own.block(with_visibility=not format.tells_hidden)
    written = format.written(own.points, own.visibility)
    points = len(next(iter(columns.values()))) // next(iter(format.columns.values())).per_point
    if not bare and (format.keeps_blank() or not _same(columns, format.blank(points))):
        block |= columns
    return {key: [*entries, *columns[key][len(entries) :]] for key, entries in written.items()}, block


def _same(columns: Mapping[str, list[Any]], others: Mapping[str, list[Any]]) -> bool:
    """Equal, and of the same kinds of numbers."""
    return columns == others and all([*map(type, columns[k])] == [*map(type, others[k])] for k in columns)


def restored(format: Format, own: Any, key: str, points: int) -> list[Any] | None:
    """What stood in a column of `points` points before `filled`; None where that makes no sense."""
    blank = None if format.keeps_blank() else format.blank(points)[key]
    value = own.get(key, blank) if isinstance(own, dict) else None
    return value if isinstance(value, list) else None


def new_blocks(people: NewPeople) -> Iterator[tuple[int, dict[str, Any], AddedPoints, AddedPoints]]:
    """Position, marks of the block, own and added points of the new people who get a point."""
    scores = np.round(people.score, SCORE_DECIMALS).tolist()
    gains = np.asarray(np.concatenate([people.own.added, people.added.added], axis=1).any(axis=1)).tolist()
    both = zip(blocks_as_json(people.own, 0.0), blocks_as_json(people.added, 0.0), strict=True)
    for i, (own, added) in enumerate(both):
        if gains[i]:
            yield i, {NEW: True, DETECTION: scores[i]}, own, added


def is_new(record: Any) -> bool:
    """Whether annotext added this whole record."""
    block = record.get(EXTENDED_KEY) if isinstance(record, dict) else None
    return isinstance(block, dict) and block.get(NEW) is True


def parse_pseudo_labels(
    faults: Faults,
    format: Format,
    rows: Sequence[int],
    records: Sequence[Mapping[str, Any]],
    keypoints: tuple[str, ...],
) -> PseudoLabels | None:
    """What the blocks of N records say about their own K keypoints; None where nobody was labelled whole.

    Coordinates stay in the file's frame.
    """
    blocks = [r[EXTENDED_KEY] for r in records]
    for row, block in zip(rows, blocks, strict=True):
        if NEW in block and block[NEW] is not True:
            problem = f"is {kind_of(block[NEW])}, expected true or nothing"
            faults.record(format.section, row, f"{EXTENDED_KEY}.{NEW}", problem, CHANGED)
    there = [i for i, b in enumerate(blocks) if OWN in b]
    new = np.array([is_new(r) for r in records], dtype=bool)
    if not there and not new.any():
        return None
    k = len(keypoints)
    own_rows, own = [rows[i] for i in there], [blocks[i][OWN] for i in there]
    columns = [{key: records[i][key][: k * column.per_point] for key, column in format.columns.items()} for i in there]
    xy, states = format.read_written(columns, own_rows, faults, k, 0)
    if not format.tells_hidden:
        states = _with_hidden(own, states)
    name = f"{EXTENDED_KEY}.{OWN}"
    found = parse_blocks(faults, format.section, own_rows, own, keypoints, xy, states, name=name)
    return PseudoLabels(put(Additions.nothing(len(records), keypoints), np.array(there, dtype=np.intp), found), new)


def _with_hidden(blocks: Sequence[Any], states: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N, K) visibility, the blocks' where one agrees on what is labelled."""
    result = states.copy()
    for i, block in enumerate(blocks):
        values = block.get("visibility") if isinstance(block, dict) else None
        if isinstance(values, list) and [v in (1, 2) for v in values] == (states[i] > 0).tolist():
            result[i] = [v if v in (1, 2) else 0 for v in values]
    return result
