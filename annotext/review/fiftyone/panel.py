"""What the Review panel shows of a person, and what a reviewer's keys come to. Plain dictionaries: no fiftyone here.

A label is a FiftyOne Keypoint as MongoDB holds it, made by `documents` and kept up to date by `shown`. Coordinates that
travel to the browser and back are image pixels, 0-based.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from annotext.core.additions import Decision, Source
from annotext.core.errors import AnnotextError
from annotext.review.decisions.correction import Correction, Point, Verdict, last_said
from annotext.review.fiftyone.shown import AS_BUILT
from annotext.review.fiftyone.views import AUDIT, QUEUE, WITHHELD, below_view

# A reviewer who says nothing for so long is away: the time does not count. Hard points take half a minute.
PAUSE_SECONDS = 120.0
# The rate is that of the last so many decisions: what one is doing now, not what one did before lunch.
RECENT = 60
# Files keep coordinates to 0.01 pixel.
_DIGITS = 2
_PREDICTED = (Source.STUDENT, Source.TEACHER)
_Label = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """One person of the queue. sample: FiftyOne's id. left: points to ask about."""

    sample: str
    person: int
    left: int


@dataclass(frozen=True)
class Pace:
    """How fast a reviewer decides: decisions of the stretch that counts, and its minutes."""

    decisions: int
    minutes: float

    @property
    def per_minute(self) -> float | None:
        """None until there is something to go by."""
        return self.decisions / self.minutes if self.decisions >= 3 and self.minutes > 0 else None


def pace(times: Iterable[datetime]) -> Pace:
    """The pace of the last `RECENT` decisions made at `times`; breaks longer than `PAUSE_SECONDS` do not count."""
    recent = sorted(times)[-RECENT:]
    gaps = [(b - a).total_seconds() for a, b in pairwise(recent)]
    worked = [g for g in gaps if g <= PAUSE_SECONDS]
    return Pace(len(worked), sum(worked) / 60)


def keypoint_of_view(view: str | None, added: Sequence[str]) -> str | None:
    """The keypoint that a saved view is about, if it is about one."""
    return next((k for k in added if view == below_view(k)), None)


def asked(label: _Label, view: str | None, added: Sequence[str]) -> list[str]:
    """The added keypoints of a person that a saved view asks about and nobody has decided on, from the label's sums.

    Empty for views that ask about everything: there the label's `left` counts.
    """
    keypoint = keypoint_of_view(view, added)
    if keypoint is not None:
        return [k for k in (*(label["below"] or ()), *(label["withheld"] or ())) if k == keypoint]
    if view == WITHHELD:
        return [k for k in label["withheld"] or () if k in added]
    return []


def queue(
    samples: Iterable[tuple[str, Sequence[_Label]]],
    view: str | None,
    names: Sequence[str],
    added: Sequence[str],
    *,
    everybody: bool = False,
) -> list[Row]:
    """The people to go through: samples in their order, the most doubtful person of each first.

    samples: id and labels, with what `fields` names. view: the saved view's name. everybody: people with nothing left,
    too. names: of the K keypoints.
    """
    rows = []
    for sample, labels in samples:
        of_sample = []
        for label in labels:
            if view in _LISTED:
                left = len(_unjudged(label, _LISTED[view], names, added))
            elif _special(view, added):
                left = len(asked(label, view, added))
            else:
                left = int(label["left"] or 0)
            first = label["queue_rank"] if view == QUEUE else label["lowest"]
            if left or everybody:
                of_sample.append((not left, 1.0 if first is None else first, int(label["person"]), left))
        rows += [(first, Row(sample, person, left)) for _, first, person, left in sorted(of_sample)]
    if view == QUEUE:  # two people of an image may stand far apart in it
        rows.sort(key=lambda r: r[0])
    return [row for _, row in rows]


def fields(view: str | None, added: Sequence[str]) -> tuple[str, ...]:
    """What `queue` needs of a label; the less, the faster."""
    if view == AUDIT:
        return ("person", "lowest", "audit", "reviewed")
    if view == QUEUE:
        return ("person", "queue_rank", "queued", "reviewed")
    if _special(view, added):
        return ("person", "lowest", "below", "withheld")
    return ("person", "lowest", "left")


def _special(view: str | None, added: Sequence[str]) -> bool:
    return view == WITHHELD or keypoint_of_view(view, added) is not None


# Views about points that the labels name in a list of their own.
_LISTED = {AUDIT: "audit", QUEUE: "queued"}


def _unjudged(label: _Label, field: str, names: Sequence[str], added: Sequence[str]) -> list[str]:
    """Of the person's points that a field lists, those that nobody judged."""
    judged = dict(zip(names, label["reviewed"] or (), strict=False))
    return [k for k in label[field] or () if k in added and not judged.get(k)]


def as_built(label: _Label | None) -> _Label | None:
    """The label as it was before anybody decided; None where it was not there."""
    if label is None:
        return None
    was = label.get(AS_BUILT, {})
    return None if was is None else {**label, **was}


def estimates(
    label: _Label, candidate: _Label | None, size: tuple[int, int], names: Sequence[str], added: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Every keypoint of a person that has a place, and every added one, as the extended file has it.

    kind: human, added, candidate, or none (no estimate; then without x, y). x, y: image pixels. Not what reviewers made
    of it: that is in what they said.
    """
    built, held = as_built(label), as_built(candidate)
    found: dict[str, dict[str, Any]] = {}
    for j, name in enumerate(names):
        for kind, of in (("added" if name in added else "human", built), ("candidate", held)):
            if of is None or not _there(of["points"][j]):
                continue
            x, y = (round(c * s, _DIGITS) for c, s in zip(of["points"][j], size, strict=True))
            found[name] = {"kind": kind, "x": x, "y": y, "v": int(of["visible"][j]) if kind != "candidate" else 0}
            if kind != "human":
                found[name] |= {
                    "source": of["source"][j],
                    "decision": of["decision"][j],
                    "score": of["confidence"][j],
                    "radius": of["radius_px"][j] or None,
                    "reason": (of.get("reason") or [""] * len(names))[j] or "",
                }
            break
        else:
            if name in added:
                found[name] = {"kind": "none", "source": str(Source.NONE), "decision": str(Decision.NONE), "score": 0.0}
    return found


def to_ask(
    points: Mapping[str, Mapping[str, Any]], label: _Label, view: str | None, limits: Mapping[str, float | None]
) -> list[str]:
    """The keypoints a reviewer is asked about, whoever has decided on them already; the least sure first.

    points: of `estimates`. Of a view about one keypoint that one, of the audit and the queue their points, else all
    those asked about, written below their limit, or withheld.
    """
    listed = None if view not in _LISTED else set(label.get(_LISTED[view]) or ())
    only = keypoint_of_view(view, list(points))
    chosen = []
    for name, point in points.items():
        if point["kind"] in ("human", "none"):
            continue
        limit = limits.get(name)
        below = point["source"] in _PREDICTED and limit is not None and point["score"] < limit
        open_ = point["kind"] == "candidate" or point["decision"] == Decision.ASK or below
        if listed is not None:
            open_ = name in listed
        elif only is not None:
            open_ = open_ and name == only
        elif view == WITHHELD:
            open_ = point["decision"] == Decision.WITHHOLD
        if open_:
            chosen.append((point["score"], name))
    return [name for _, name in sorted(chosen)]


def said(corrections: Sequence[Correction], person: int, reviewer: str) -> dict[str, Any]:
    """What was said of a person: `mine`, keypoint -> decision; `others`, keypoint -> decisions; `notes`."""
    mine: dict[str, Any] = {}
    others: dict[str, list[Any]] = {}
    own = [c for c in corrections if c.person == person]
    for (_, keypoint), by in last_said(own).items():
        for who, words in by.items():
            c = words.correction
            entry = {"verdict": str(c.verdict), "new": None if c.new is None else [c.new.x, c.new.y, c.new.v]}
            if who == reviewer:
                mine[keypoint] = entry
            else:
                others.setdefault(keypoint, []).append({"reviewer": who, **entry})
    notes = [{"keypoint": c.keypoint, "note": c.note, "reviewer": c.reviewer} for c in own if c.note]
    return {"mine": mine, "others": others, "notes": notes}


def correction(
    decision: Mapping[str, Any],
    points: Mapping[str, Mapping[str, Any]],
    image: str,
    size: tuple[int, int],
    reviewer: str,
    time: str,
) -> Correction:
    """A decision from the browser as a correction.

    decision: id, person, keypoint, verdict; where they apply new [x, y, v], note, and seen [x, y], where the point was
    when it was looked at. points: of `estimates`. Raises AnnotextError for a decision on a point that is not the one
    that is there now (the dataset was built anew), for a place outside the image, and for one that makes no sense.
    """
    keypoint, person = str(decision.get("keypoint") or ""), int(decision["person"])
    point = points.get(keypoint)
    if keypoint and (point is None or point["kind"] == "human"):
        raise AnnotextError(f"{keypoint} of person {person} was not added: people's own keypoints are never changed")
    old = None
    if point is not None and point["kind"] != "none":
        old = Point(point["x"], point["y"], point["v"])
    seen = decision.get("seen")
    if keypoint and (None if old is None else [old.x, old.y]) != (None if seen is None else [float(c) for c in seen]):
        raise AnnotextError(f"{keypoint} of person {person} is not where it was: the dataset was built anew, reload")
    new = decision.get("new")
    try:
        verdict = Verdict(decision["verdict"])
        if old is not None and verdict in (Verdict.ACCEPT, Verdict.HIDDEN) and not is_inside((old.x, old.y), size):
            raise AnnotextError(f"{keypoint} of person {person} is outside the image: move it, or call it absent")
        if new is not None:
            x, y, v = round(float(new[0]), _DIGITS), round(float(new[1]), _DIGITS), int(new[2])
            if not is_inside((x, y), size):
                raise AnnotextError(f"{keypoint} of person {person}: ({x}, {y}) is outside the image")
            new = Point(x, y, v)
        return Correction(
            id=str(decision["id"]),
            person=person,
            image=image,
            keypoint=keypoint,
            verdict=verdict,
            old=old,
            new=new,
            reviewer=reviewer,
            note=str(decision.get("note") or "").strip(),
            time=time,
        )
    except ValueError as error:
        raise AnnotextError(f"{keypoint or 'note'} of person {person}: {error}") from None


def is_inside(xy: tuple[float, float], size: tuple[int, int]) -> bool:
    """Whether a place, image pixels, is on an image of (width, height)."""
    # Pixel centres are whole numbers: the picture reaches half a pixel further.
    return -0.5 <= xy[0] <= size[0] - 0.5 and -0.5 <= xy[1] <= size[1] - 0.5


def _there(point: Sequence[float]) -> bool:
    return all(c is not None and math.isfinite(c) for c in point)
