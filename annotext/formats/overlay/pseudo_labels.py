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
from annotext.formats.annotations.records import CHANGED, EXTENDED_KEY, Faults
from annotext.formats.files.jsonio import kind_of
from annotext.formats.overlay.block import AddedPoints, blocks_as_json, parse_blocks

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

    def take(self, rows: NDArray[np.bool_]) -> PseudoLabels:
        """Of the people in the mask `rows`."""
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


def filled_keypoints(keypoints: list[Any], own: AddedPoints) -> tuple[list[Any], dict[str, Any]]:
    """COCO's numbers with `own` in the first places, and the block that says so.

    The block keeps the numbers that stood there, unless all are plain zeros.
    """
    filled = list(keypoints)
    for i, (xy, v) in enumerate(zip(own.points, own.visibility, strict=True)):
        filled[3 * i : 3 * i + 3] = [0, 0, 0] if xy is None else [*xy, v]
    block = own.block()
    if any(type(n) is not int or n for n in keypoints):
        block["keypoints"] = keypoints
    return filled, block


def restored_keypoints(own: Any, points: int, faults: Faults, row: int) -> list[Any]:
    """The numbers that stood in `points` keypoints before `filled_keypoints`."""
    if not isinstance(own, dict) or not isinstance(own.get("keypoints", []), list):
        faults.record("annotations", row, f"{EXTENDED_KEY}.{OWN}", "makes no sense", CHANGED)
        return []
    return own.get("keypoints", [0] * (3 * points))


def restored_joints(own: Any, key: str, faults: Faults, row: int) -> list[Any]:
    """What stood in an MPII record's `key` (joints or joints_vis) before `filled_joints`."""
    if not isinstance(own, dict) or not isinstance(own.get(key), list):
        faults.record("", row, f"{EXTENDED_KEY}.{OWN}.{key}", "makes no sense", CHANGED)
        return []
    return own[key]


def filled_joints(
    joints: Sequence[Any], states: Sequence[Any], own: AddedPoints, missing: Any, *, bare: bool
) -> tuple[list[Any], list[Any], dict[str, Any]]:
    """MPII's joints and joints_vis with `own`, and the block that says so and keeps what stood there (bare: nothing).

    missing: how the file writes a joint that is not there.
    """
    block = {**own.block(), "visibility": own.visibility}
    if not bare:
        block |= {"joints": list(joints), "joints_vis": list(states)}
    points = [missing if xy is None else xy for xy in own.points]
    return points, [int(v > 0) for v in own.visibility], block


def new_annotations(people: NewPeople, points: int) -> Iterator[tuple[dict[str, Any], AddedPoints, AddedPoints]]:
    """COCO annotations without keypoints for those who get a point, and what their own and the added ones get.

    points: how many keypoints an annotation of the file has. area: the box's, as pycocotools' loadRes writes it for
    detections: nobody drew an outline.
    """
    boxes, scores = people.bbox_xywh.tolist(), np.round(people.score, SCORE_DECIMALS).tolist()
    gains = np.asarray(np.concatenate([people.own.added, people.added.added], axis=1).any(axis=1)).tolist()
    both = zip(blocks_as_json(people.own, 0.0), blocks_as_json(people.added, 0.0), strict=True)
    for i, (own, added) in enumerate(both):
        if gains[i]:
            annotation = {
                "id": int(people.ids[i]),
                "image_id": people.image_ids[i],
                "category_id": people.category_id,
                "keypoints": [0] * (3 * points),
                "num_keypoints": 0,
                "bbox": boxes[i],
                "area": boxes[i][2] * boxes[i][3],
                "iscrowd": 0,
                EXTENDED_KEY: {NEW: True, DETECTION: scores[i]},
            }
            yield annotation, own, added


def is_new(record: Any) -> bool:
    """Whether annotext added this whole annotation."""
    block = record.get(EXTENDED_KEY) if isinstance(record, dict) else None
    return isinstance(block, dict) and block.get(NEW) is True


def parse_pseudo_labels(
    faults: Faults,
    section: str,
    rows: Sequence[int],
    records: Sequence[Mapping[str, Any]],
    keypoints: tuple[str, ...],
    xy: NDArray[np.float64],
    states: NDArray[np.uint8],
) -> PseudoLabels | None:
    """What the blocks of N records say about their own K keypoints; None where nobody was labelled whole.

    xy: (N, K, 2), states: (N, K) visibility: the own points as they stand in the file. Coordinates stay in its frame.
    """
    blocks = [r.get(EXTENDED_KEY) for r in records]
    there = [i for i, b in enumerate(blocks) if isinstance(b, dict) and OWN in b]
    new = np.array([is_new(r) for r in records], dtype=bool)
    for i, block in enumerate(blocks):
        if isinstance(block, dict) and NEW in block and block[NEW] is not True:
            problem = f"is {kind_of(block[NEW])}, expected true or nothing"
            faults.record(section, rows[i], f"{EXTENDED_KEY}.{NEW}", problem, CHANGED)
    if not there and not new.any():
        return None
    own = Additions.nothing(len(records), keypoints)
    at = np.array(there, dtype=np.intp)
    found = parse_blocks(
        faults,
        section,
        [rows[i] for i in there],
        [{EXTENDED_KEY: records[i][EXTENDED_KEY][OWN]} for i in there],
        keypoints,
        xy[at],
        states[at],
        name=f"{EXTENDED_KEY}.{OWN}",
    )
    return PseudoLabels(put(own, at, found), new)


def without_pseudo_labels(
    xy: NDArray[np.float64], states: NDArray[np.uint8], pseudo: PseudoLabels | None
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """(N, K, 2) and (N, K) own points without those that nobody labelled: NaN and 0."""
    if pseudo is None:
        return xy, states
    people = pseudo.people
    return np.where(people[:, None, None], np.nan, xy), np.where(people[:, None], np.uint8(0), states)
