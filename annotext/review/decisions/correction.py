"""Reviewers' decisions on added keypoints: one decision on one point of one person at a time.

See docs/formats/corrections.md. N people, A added keypoints.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import combinations
from typing import Any

from annotext.core.errors import Finding, Severity
from annotext.core.poses import Visibility

# Two places are one within this: files hold hundredths of a pixel.
SAME_PX = 0.02 + 1e-6
# Two reviewers place a point alike within this where nobody knows the person's size.
AGREE_PX = 5.0
# Of so many different places all means are looked at: 57 of six. More moves of one point are no agreement any more.
_MEANS_OF = 6

_ID = re.compile(r"[0-9a-f]{32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


class Verdict(StrEnum):
    """What a reviewer decides on a point."""

    ACCEPT = "accept"  # right where it is
    REJECT = "reject"  # wrong, and its place is left open
    MOVE = "move"  # right at another place
    HIDDEN = "hidden"  # right where it is, but not visible
    ABSENT = "absent"  # not in the picture at all
    UNDO = "undo"  # this reviewer takes back their decision on this point
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
        """When it was made; the beginning of time where nobody knows."""
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
class Standing:
    """What counts of one point: one reviewer's decision, or that of several who agree.

    verdict: never UNDO or NOTE. new: where it is, with MOVE only. reviewers: sorted. corrections: theirs, in that
    order.
    """

    verdict: Verdict
    new: Point | None
    reviewers: tuple[str, ...]
    corrections: tuple[Correction, ...]


@dataclass(frozen=True)
class LastDecision:
    """A reviewer's last decision on a point, seen together with where others moved it.

    place: where the decision says the point is; None where it says that it is not where it was.
    """

    correction: Correction
    verdict: Verdict
    place: Point | None


Key = tuple[int, str]
Tolerance = Callable[[Correction], float]


def standing(
    corrections: Sequence[Correction], tolerance: Tolerance | None = None
) -> tuple[dict[Key, Standing], tuple[Finding, ...]]:
    """What counts of each point, (person, keypoint) -> the standing decision; and the conflicts between reviewers.

    Of a reviewer the last decision on a point counts, by time and then by place in the list; `undo` takes it back.
    Reviewers agree who decide the same; of moves that means the same visibility, and places within `tolerance` of each
    other, of which the mean is taken. Points on which they do not agree are conflicts and have no entry.
    To accept a point where another decision of the list has moved it (or at the mean of several such) is to move it
    there too.
    tolerance: pixels for a correction's point; without it `AGREE_PX`. `apply.agreement` makes one from the people's
    sizes.
    """
    return agreed(last_decisions(corrections), tolerance or (lambda _: AGREE_PX))


def last_decisions(corrections: Sequence[Correction]) -> dict[Key, dict[str, LastDecision]]:
    """Per point and reviewer the decision that was not taken back. Points and reviewers are sorted."""
    last: dict[Key, dict[str, Correction]] = {}
    moves: dict[Key, list[Point]] = {}
    for correction in sorted(corrections, key=lambda c: c.instant):
        if correction.verdict == Verdict.NOTE:
            continue
        key = (correction.person, correction.keypoint)
        by = last.setdefault(key, {})
        by.pop(correction.reviewer, None)
        if correction.verdict != Verdict.UNDO:
            by[correction.reviewer] = correction
        if correction.new is not None:
            moves.setdefault(key, []).append(correction.new)
    return {
        key: {who: _seen(last[key][who], _places(moves.get(key, ()))) for who in sorted(last[key])}
        for key in sorted(last)
        if last[key]
    }


def _places(moves: Sequence[Point]) -> list[tuple[float, float]]:
    """Where reviewers placed a point: every place, and the means of several that may have stood as agreed."""
    single = sorted({(p.x, p.y) for p in moves})
    if len(single) > _MEANS_OF:
        return single
    several = (c for n in range(2, len(single) + 1) for c in combinations(single, n))
    return single + [_mean(c) for c in several]


def _seen(correction: Correction, places: Sequence[tuple[float, float]]) -> LastDecision:
    verdict, old = correction.verdict, correction.old
    if correction.new is not None:
        return LastDecision(correction, verdict, correction.new)
    moved = old is not None and any(same_place((old.x, old.y), place) for place in places)
    if verdict in (Verdict.ACCEPT, Verdict.HIDDEN) and old is not None:
        if not moved:
            return LastDecision(correction, verdict, old)
        v = Visibility.HIDDEN if verdict == Verdict.HIDDEN else old.v or Visibility.VISIBLE
        return LastDecision(correction, Verdict.MOVE, Point(old.x, old.y, int(v)))
    # Whoever rejects a point where it was moved to decides nothing about the estimate it was moved from.
    return LastDecision(correction, verdict, None if moved else old)


def agreed(
    last: Mapping[Key, Mapping[str, LastDecision]], tolerance: Tolerance
) -> tuple[dict[Key, Standing], tuple[Finding, ...]]:
    """What counts of the reviewers' last decisions on each point, and the conflicts; see `standing`."""
    stands: dict[Key, Standing] = {}
    conflicts = []
    for key, by in last.items():
        decisions = list(by.values())
        if not decisions:
            continue
        first = decisions[0]
        apart = max((_distance(a.place, b.place) for a, b in combinations(decisions, 2)), default=0.0)
        new = None
        if first.verdict == Verdict.MOVE:
            places = [d.place for d in decisions if d.place is not None]
            new = Point(*_mean([(p.x, p.y) for p in places]), places[0].v)
            same = len({(d.verdict, d.place and d.place.v) for d in decisions}) == 1
            same = same and apart <= tolerance(first.correction)
        else:
            same = len({d.verdict for d in decisions}) == 1
        if same:
            stands[key] = Standing(first.verdict, new, tuple(by), tuple(d.correction for d in decisions))
        else:
            conflicts.append(_conflict(decisions, apart))
    return stands, tuple(conflicts)


def _conflict(decisions: Sequence[LastDecision], apart: float) -> Finding:
    corrections = [d.correction for d in decisions]
    person, keypoint, image = corrections[0].person, corrections[0].keypoint, corrections[0].image
    numbers: dict[str, Any] = {
        "person": person,
        "image": image,
        "keypoint": keypoint,
        "verdicts": {c.reviewer: c.verdict.value for c in corrections},
        "ids": [c.id for c in corrections],
    }
    words = [f"{c.reviewer} says {c.verdict}" for c in corrections]
    if all(d.verdict == Verdict.MOVE for d in decisions):
        numbers["apart_px"] = round(apart, 2)
        words.append(f"{apart:.1f} px apart")
    return Finding(
        "conflict",
        Severity.WARNING,
        f"{keypoint} of person {person} ({image}): {', '.join(words)}; the point stays as it was",
        numbers,
        "let one of them decide again, or undo",
    )


def same_place(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether two (x, y) in pixels are one place in a file, which holds hundredths; (NaN, NaN) is no place."""
    return max(abs(one[0] - other[0]), abs(one[1] - other[1])) <= SAME_PX


def _distance(one: Point | None, other: Point | None) -> float:
    return 0.0 if one is None or other is None else math.hypot(one.x - other.x, one.y - other.y)


def _mean(places: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return sum(x for x, _ in places) / len(places), sum(y for _, y in places) / len(places)
