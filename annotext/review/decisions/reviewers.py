"""What each reviewer did, and how fast."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from annotext.core.errors import AnnotextError
from annotext.review.decisions.correction import Correction, Verdict

# Longer than this between two decisions is a pause and no work. One point takes seconds, a hard point half a minute, a
# hard person a minute or two.
PAUSE = timedelta(minutes=3)


@dataclass(frozen=True)
class Pace:
    """How fast a reviewer decides. decisions: of the stretches that count, without each one's first. minutes: of these
    stretches, pauses left out."""

    decisions: int
    minutes: float

    @classmethod
    def of(cls, instants: Iterable[datetime]) -> Pace:
        """Of decisions made at `instants`, in any order."""
        gaps = [b - a for a, b in pairwise(sorted(instants))]
        worked = [gap for gap in gaps if gap <= PAUSE]
        return cls(len(worked), sum(worked, timedelta()).total_seconds() / 60)

    @property
    def per_minute(self) -> float | None:
        """None where nobody knows."""
        return self.decisions / self.minutes if self.minutes > 0 else None


@dataclass(frozen=True)
class Reviewer:
    """One reviewer's work.

    verdicts: verdict -> points on which it is their last decision; points they took back are not counted. decisions:
    all they ever made, notes and those they took back later included. minutes: spent deciding, pauses left out.
    per_minute: decisions per minute of these; None where nobody knows (fewer than two decisions with a time). last:
    when they decided last, empty where unknown.
    """

    name: str
    verdicts: Mapping[str, int]
    decisions: int
    minutes: float
    per_minute: float | None
    last: str

    @property
    def points(self) -> int:
        """Points they decided."""
        return sum(self.verdicts.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "reviewer": self.name,
            "points": self.points,
            "verdicts": dict(self.verdicts),
            "decisions": self.decisions,
            "minutes": round(self.minutes, 2),
            "per_minute": None if self.per_minute is None else round(self.per_minute, 2),
            "last": self.last,
        }


def check_name(reviewer: str) -> None:
    """Raises AnnotextError for a name that no file can hold: none at all, or bytes that are no text."""
    if not reviewer.strip():
        raise AnnotextError("a reviewer needs a name: --reviewer NAME")
    try:
        reviewer.encode()
    except UnicodeEncodeError:
        raise AnnotextError(f"the reviewer's name {reviewer!a:.60} is no UTF-8 text") from None


def reviewers(corrections: Iterable[Correction]) -> tuple[Reviewer, ...]:
    """What everybody did, by name."""
    by: dict[str, list[Correction]] = {}
    for c in sorted(corrections, key=lambda c: (c.instant, c.id)):
        by.setdefault(c.reviewer, []).append(c)
    return tuple(_reviewer(name, by[name]) for name in sorted(by))


def _reviewer(name: str, decisions: list[Correction]) -> Reviewer:
    last = {(c.person, c.keypoint): c.verdict for c in decisions if c.verdict != Verdict.NOTE}
    counted = Counter(last.values())
    timed = [c for c in decisions if c.time]
    pace = Pace.of(c.instant for c in timed)
    return Reviewer(
        name=name,
        verdicts={v.value: counted[v] for v in Verdict if counted[v] and v != Verdict.UNDO},
        decisions=len(decisions),
        minutes=pace.minutes,
        per_minute=pace.per_minute,
        last=timed[-1].time if timed else "",
    )
