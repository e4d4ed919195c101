"""What the Review panel shows of a person, and which decision a key makes. Plain dictionaries: no fiftyone here.

A label is a FiftyOne Keypoint as MongoDB holds it, made by `documents` and kept up to date by `sample_state`: its
`below` and `withheld` are the open points (`doubt.open_points`). Coordinates that travel to the browser and back are
image pixels, 0-based.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annotext.core.additions import Decision, Source
from annotext.core.errors import AnnotextError
from annotext.core.poses import Visibility
from annotext.review.decisions.correction import Correction, Point, Verdict, last_decisions
from annotext.review.fiftyone.sample_state import AS_BUILT, CONFLICT
from annotext.review.fiftyone.views import AUDIT, QUEUE, WITHHELD, below_view

# Files keep coordinates to 0.01 pixel.
_DIGITS = 2
# Views about points that the labels name in a list of their own.
_LISTED = {AUDIT: "audit", QUEUE: "queued"}
_Label = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """One person of a view. sample: FiftyOne's id. left: points to ask about."""

    sample: str
    person: int
    left: int


def keypoint_of_view(view: str | None, added: Sequence[str]) -> str | None:
    """The keypoint that a saved view is about, if it is about one."""
    return next((k for k in added if view == below_view(k)), None)


def asked(label: _Label, view: str | None, added: Sequence[str]) -> list[str]:
    """The added keypoints of a person that a saved view asks about.

    The audit's or the queue's, decided or not; else the open ones, or of these the view's keypoint, or the withheld.
    """
    if view in _LISTED:
        return [k for k in label.get(_LISTED[view]) or () if k in added]
    only = keypoint_of_view(view, added)
    below = () if view == WITHHELD else label["below"] or ()
    return [k for k in (*below, *(label["withheld"] or ())) if only in (None, k)]


def people_of(
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
            left = _left(label, view, names, added)
            first = label["queue_rank"] if view == QUEUE else label["lowest"]
            if left or everybody:
                of_sample.append((not left, 1.0 if first is None else first, int(label["person"]), left))
        rows += [(first, Row(sample, person, left)) for _, first, person, left in sorted(of_sample)]
    if view == QUEUE:  # two people of an image may stand far apart in it
        rows.sort(key=lambda r: r[0])
    return [row for _, row in rows]


def _left(label: _Label, view: str | None, names: Sequence[str], added: Sequence[str]) -> int:
    """How many points a view still asks about."""
    if view in _LISTED:
        reviewed = dict(zip(names, label["reviewed"] or (), strict=False))
        return sum(not reviewed.get(k) for k in asked(label, view, added))
    return len(asked(label, view, added)) if _special(view, added) else int(label["left"] or 0)


def fields(view: str | None, added: Sequence[str]) -> tuple[str, ...]:
    """What `people_of` needs of a label; the less, the faster."""
    if view == AUDIT:
        return ("person", "lowest", "audit", "reviewed")
    if view == QUEUE:
        return ("person", "queue_rank", "queued", "reviewed")
    if _special(view, added):
        return ("person", "lowest", "below", "withheld")
    return ("person", "lowest", "left")


def _special(view: str | None, added: Sequence[str]) -> bool:
    return view == WITHHELD or keypoint_of_view(view, added) is not None


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

    kind: human, added, candidate, or none (no estimate; then without x, y). x, y: image pixels. outside: of the image;
    such a point cannot be accepted. What reviewers made of it is in `decided`.
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
                    "outside": not is_inside((x, y), size),
                }
            break
        else:
            if name in added:
                found[name] = {"kind": "none", "source": str(Source.NONE), "decision": str(Decision.NONE), "score": 0.0}
    return found


def to_ask(points: Mapping[str, Mapping[str, Any]], label: _Label, view: str | None, added: Sequence[str]) -> list[str]:
    """The keypoints a view asks about, whoever has decided on them since the dataset was built; the least sure first.

    points: of `estimates`.
    """
    built = as_built(label) or label
    chosen = [k for k in asked(built, view, added) if points.get(k, {"kind": "none"})["kind"] not in ("human", "none")]
    return sorted(chosen, key=lambda k: (points[k]["score"], k))


def decided(
    corrections: Sequence[Correction], label: _Label, names: Sequence[str], person: int, reviewer: str
) -> dict[str, Any]:
    """What was decided on a person.

    `mine`: keypoint -> the reviewer's last decision. `others`: keypoint -> those of others. `conflicts`: keypoints on
    which reviewers disagree, so that the point stays as it was. `notes`.
    """
    mine: dict[str, Any] = {}
    others: dict[str, list[Any]] = {}
    own = [c for c in corrections if c.person == person]
    for (_, keypoint), by in last_decisions(own).items():
        for who, last in by.items():
            c = last.correction
            entry = {"verdict": str(c.verdict), "new": None if c.new is None else [c.new.x, c.new.y, c.new.v]}
            if who == reviewer:
                mine[keypoint] = entry
            else:
                others.setdefault(keypoint, []).append({"reviewer": who, **entry})
    notes = [{"keypoint": c.keypoint, "note": c.note, "reviewer": c.reviewer} for c in own if c.note]
    conflicts = [k for k, verdict in zip(names, label["reviewed"] or (), strict=False) if verdict == CONFLICT]
    return {"mine": mine, "others": others, "conflicts": conflicts, "notes": notes}


def correction(
    decision: Mapping[str, Any],
    points: Mapping[str, Mapping[str, Any]],
    image: str,
    size: tuple[int, int],
    reviewer: str,
    time: str,
    earlier: Correction | None = None,
) -> Correction:
    """A decision from the browser as a correction.

    decision: id, person, keypoint, verdict; where they apply new [x, y] or [x, y, v], where the point is if not where
    the file has it, note, and seen [x, y], where the file had it when it was looked at. points: of `estimates`.
    earlier: the reviewer's decision on the point that stood until now; without v the point stays as visible as that
    left it. Raises AnnotextError for a decision on a point that is not the one that is there now (the dataset was built
    anew), for a place outside the image, and for one that makes no sense.
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
    try:
        verdict, new = _meant(Verdict(decision["verdict"]), decision.get("new"), old, earlier)
        if old is not None and verdict in (Verdict.ACCEPT, Verdict.HIDDEN) and not is_inside((old.x, old.y), size):
            raise AnnotextError(f"{keypoint} of person {person} is outside the image: move it, or call it absent")
        if new is not None and not is_inside((new.x, new.y), size):
            raise AnnotextError(f"{keypoint} of person {person}: ({new.x}, {new.y}) is outside the image")
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


def _meant(
    verdict: Verdict, new: Sequence[float] | None, old: Point | None, earlier: Correction | None
) -> tuple[Verdict, Point | None]:
    """The verdict, and where it puts the point: one that is right at another place than the file's is moved there."""
    if new is None:
        return verdict, None
    x, y = (round(float(c), _DIGITS) for c in new[:2])
    v = int(Visibility.VISIBLE)
    if verdict == Verdict.HIDDEN or (earlier is not None and earlier.verdict == Verdict.HIDDEN):
        v = int(Visibility.HIDDEN)
    elif earlier is not None and earlier.new is not None:
        v = earlier.new.v
    elif old is not None and old.v:
        v = old.v
    moved = Verdict.MOVE if verdict in (Verdict.ACCEPT, Verdict.HIDDEN) else verdict
    return moved, Point(x, y, int(new[2]) if len(new) > 2 and verdict != Verdict.HIDDEN else v)


def is_inside(xy: tuple[float, float], size: tuple[int, int]) -> bool:
    """Whether a place, image pixels, is on an image of (width, height)."""
    # Pixel centres are whole numbers: the picture reaches half a pixel further.
    return -0.5 <= xy[0] <= size[0] - 0.5 and -0.5 <= xy[1] <= size[1] - 0.5


def _there(point: Sequence[float]) -> bool:
    return all(c is not None and math.isfinite(c) for c in point)
