"""What reviewers said about added keypoints: one decision on one point of one person at a time.

See docs/formats/corrections.md. N people, A added keypoints.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from annotext.core.findings import Finding
from annotext.core.poses import Additions, Poses, Visibility

_ID = re.compile(r"[0-9a-f]{32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


class Verdict(StrEnum):
    """What a reviewer says of a point."""

    ACCEPT = "accept"  # right where it is
    REJECT = "reject"  # wrong, and nobody says where it is
    MOVE = "move"  # right at another place
    HIDDEN = "hidden"  # right where it is, but not visible
    ABSENT = "absent"  # not in the picture at all
    UNDO = "undo"  # this reviewer takes back what they said of this point
    NOTE = "note"  # only a remark


@dataclass(frozen=True)
class Point:
    """x, y: image pixels, 0-based. v: a `Visibility`; 0 is a candidate. Raises ValueError for anything else."""

    x: float
    y: float
    v: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.x) and math.isfinite(self.y)):
            raise ValueError("coordinates must be finite")
        if self.v not in (Visibility.NOT_LABELLED, Visibility.HIDDEN, Visibility.VISIBLE):
            raise ValueError(f"v is {self.v}, expected 0, 1 or 2")


@dataclass(frozen=True)
class Correction:
    """One decision of one reviewer.

    id: 32 lower-case hex digits, unique. person: COCO's annotation id, MPII's record index, as in `Poses.ids`. image:
    its file name. keypoint: canonical name; empty only with NOTE, which is then on the person. old: the point as the
    extended file had it when it was looked at (v = 0: a candidate); None where there was no estimate. new: where the
    point is and how visible, with MOVE only. time: ISO 8601, UTC; empty where unknown, which is before all others.
    tool: what recorded it. input_sha256: of the file that was extended, which binds the decision to it; may be empty.

    Raises ValueError for what makes no sense.
    """

    id: str
    person: int
    image: str
    keypoint: str
    verdict: Verdict
    old: Point | None
    new: Point | None
    reviewer: str
    note: str = ""
    time: str = ""
    tool: str = "annotext"
    input_sha256: str = ""

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ValueError(f"id is {self.id!r:.40}, expected 32 hex digits in lower case")
        if not self.image:
            raise ValueError("image is empty")
        if not self.reviewer.strip():
            raise ValueError("reviewer is empty")
        if not self.keypoint and self.verdict != Verdict.NOTE:
            raise ValueError("keypoint is empty: only a note may be on the whole person")
        if (self.new is not None) != (self.verdict == Verdict.MOVE):
            raise ValueError("new must say where a moved point is, and is null with every other decision")
        if self.new is not None and self.new.v == Visibility.NOT_LABELLED:
            raise ValueError("new has v = 0: a moved point is visible (2) or hidden (1)")
        if self.old is None and self.verdict in (Verdict.ACCEPT, Verdict.HIDDEN, Verdict.REJECT):
            raise ValueError(f"old is null: without an estimate there is nothing to {_DOING[self.verdict]}")
        if self.time:
            _instant(self.time)
        if self.input_sha256 and not _SHA256.fullmatch(self.input_sha256):
            raise ValueError("input_sha256 is not a sha256 in lower-case hex")

    @property
    def instant(self) -> datetime:
        """When it was said; the beginning of time where nobody knows."""
        return _instant(self.time) if self.time else _BEFORE_ALL


_DOING = {Verdict.ACCEPT: "accept", Verdict.HIDDEN: "call hidden", Verdict.REJECT: "reject"}


def _instant(time: str) -> datetime:
    try:
        instant = datetime.fromisoformat(time)
    except ValueError:
        raise ValueError(f"time is {time!r:.40}, expected ISO 8601 such as 2026-01-31T09:30:00Z") from None
    if instant.utcoffset() != timedelta(0):
        raise ValueError(f"time is {time!r:.40}, expected UTC, with a Z at the end")
    return instant


@dataclass(frozen=True)
class Revision:
    """What became of the additions of N people.

    additions: the corrected ones. findings: what was not applied, and why. counts: keypoint -> verdict -> points that
    carry it now.
    """

    additions: Additions
    findings: tuple[Finding, ...]
    counts: Mapping[str, Mapping[str, int]]


def standing(
    corrections: Sequence[Correction], tolerance: Callable[[Correction], float] | None = None
) -> tuple[dict[tuple[int, str], Correction], tuple[Finding, ...]]:
    """What counts of each point: (person, keypoint) -> a decision; and the conflicts between reviewers.

    Of a reviewer the last decision on a point counts, by time and then by place in the list; `undo` takes it back.
    Reviewers who agree count as one; a point they disagree on is a finding and in no entry.
    tolerance: pixels within which two reviewers place a point alike.
    """
    raise NotImplementedError


def apply_corrections(
    poses: Poses, additions: Additions, corrections: Sequence[Correction], *, input_sha256: str = ""
) -> Revision:
    """The additions with what reviewers said of them. Nothing is mutated; idempotent."""
    raise NotImplementedError
