"""What a sample shows of its people after review, computed from what was built and from all decisions on them.

Labels here are FiftyOne's own documents as plain dictionaries, as MongoDB holds them and `documents` made them: no
fiftyone is needed. What was built of a person who was decided on is kept in the label itself (`AS_BUILT`), so that the
state shown depends on the decisions and not on the order in which processes saw them, and `undo` gives back exactly
what was there.

N people with decisions, K keypoints of the skeleton, A of them added.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.additions import PER_POINT, REVIEWED, Additions, Decision, Estimate, Reason, Review, Source
from annotext.core.poses import Image, Poses
from annotext.core.skeleton import Skeleton
from annotext.review.decisions.apply import apply_corrections
from annotext.review.decisions.correction import Correction, Verdict
from annotext.review.decisions.doubt import expected_wrong, lowest_score, open_points

AS_BUILT = "as_built"
# Two reviewers disagree on the point: it stays as it was.
CONFLICT = "conflict"
# The point that was looked at is not the one that is there now.
STALE = "stale"
NOTED = "noted"
# The tags a review sets and takes away; all others are left alone.
TAGS = (CONFLICT, STALE, NOTED)

_Label = dict[str, Any]
_Built = tuple[dict[int, _Label], dict[int, _Label]]
# What a review changes in a label: lists with K entries, and what sums them up.
_LISTS = ("points", "confidence", "source", "decision", "visible", "radius_px", "reason", "reviewed")
_SUMS = ("below", "withheld", "left", "lowest", "expected_wrong")
_NOWHERE = [math.nan, math.nan]


@dataclass(frozen=True)
class LabelSchema:
    """What the labels of all samples of a dataset mean.

    skeleton: of the K keypoints, in the order of the labels' lists. added: those that are decided on. limits: keypoint
    -> the score below which a written point is looked at; None or missing: no limit. input_sha256: see `Correction`.
    """

    skeleton: Skeleton
    added: tuple[str, ...]
    limits: Mapping[str, float | None]
    input_sha256: str = ""

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """(A,) the limits; NaN where there is none."""
        limits = (self.limits.get(k) for k in self.added)
        return np.array([np.nan if limit is None else limit for limit in limits], dtype=np.float64)


@dataclass(frozen=True)
class StoredSample:
    """One image as it is in the database. people, candidates: its labels. width, height: image pixels."""

    image: str
    width: int
    height: int
    people: list[_Label]
    candidates: list[_Label]


@dataclass(frozen=True)
class SampleState:
    """What the sample is to show: its labels, and what sums them up.

    tags: of `TAGS`. decided: points with a verdict that stands. to_review: points to look at that have none.
    """

    people: list[_Label]
    candidates: list[_Label]
    tags: tuple[str, ...]
    decided: int
    to_review: int
    lowest: float | None
    expected_wrong: float


def sample_states(
    schema: LabelSchema, samples: Sequence[StoredSample], corrections: Sequence[Correction]
) -> list[SampleState]:
    """For every sample what it shows, given all corrections of the people on it. Nothing is mutated.

    Points are where `apply_corrections` puts them: what a reviewer sees is what the file will say. People without a
    label cannot be decided on.
    """
    built = [_as_built(s) for s in samples]
    decided = {c.person for c in corrections}
    rows = [(i, person) for i, (people, _) in enumerate(built) for person in people if person in decided]
    poses, before = _read(schema, samples, built, rows)
    revision = apply_corrections(poses, before, corrections, input_sha256=schema.input_sha256)
    conflicts = {(f.numbers["person"], f.numbers["keypoint"]) for f in revision.findings if f.code == CONFLICT}
    marks = {
        CONFLICT: {person for person, _ in conflicts},
        STALE: {f.numbers["person"] for f in revision.findings if f.code == STALE},
        NOTED: {c.person for c in corrections if c.verdict == Verdict.NOTE or c.note},
    }
    for row, (i, person) in enumerate(rows):
        _write(schema, samples[i], built[i], person, revision.additions, row, conflicts)
    return [_summed(schema, people, candidates, marks) for people, candidates in built]


def _as_built(sample: StoredSample) -> _Built:
    """person -> copy of the label as it was before anybody decided: among the people, and among the candidates."""
    found: list[dict[int, _Label]] = []
    for labels in (sample.people, sample.candidates):
        originals: dict[int, _Label] = {}
        for label in labels:
            was = label.get(AS_BUILT, {})
            if was is None:  # it is there only because of decisions
                continue
            original = {k: v for k, v in label.items() if k != AS_BUILT}
            originals[int(label["person"])] = copy.deepcopy({**original, **was})
        found.append(originals)
    return found[0], found[1]


def _read(
    schema: LabelSchema, samples: Sequence[StoredSample], built: Sequence[_Built], rows: Sequence[tuple[int, int]]
) -> tuple[Poses, Additions]:
    """The people at `rows`, (sample, person), as the file has them."""
    n, k = len(rows), len(schema.skeleton)
    columns = schema.skeleton.indices(schema.added).tolist()
    xy, visibility = np.full((n, k, 2), np.nan), np.zeros((n, k), dtype=np.uint8)
    bbox, area = np.zeros((n, 4)), np.full(n, np.nan)
    blank = Additions.nothing(n, schema.added)
    arrays = {name: getattr(blank, name).copy() for name in PER_POINT if name != "review"}
    for row, (i, person) in enumerate(rows):
        label, candidate = built[i][0][person], built[i][1].get(person)
        size = np.array([samples[i].width, samples[i].height], dtype=float)
        bbox[row] = label["bbox_px"]
        area[row] = label.get("area_px") or np.nan
        xy[row] = np.array(label["points"], dtype=float) * size
        visibility[row] = np.where(np.isfinite(xy[row]).all(axis=1), label["visible"], 0)
        for column, j in enumerate(columns):
            held = label if _there(label["points"][j]) else candidate
            if held is None or not _there(held["points"][j]):
                continue
            decision = Decision(held["decision"][j])
            reason = Reason(held["reason"][j]) if "reason" in held else Reason.TO_ASK
            arrays["xy"][row, column] = np.array(held["points"][j]) * size
            arrays["visibility"][row, column] = visibility[row, j]
            arrays["source"][row, column] = Source(held["source"][j])
            arrays["score"][row, column] = min(max(held["confidence"][j], 0.0), 1.0)
            arrays["radius"][row, column] = held["radius_px"][j] or np.nan
            arrays["decision"][row, column] = decision
            arrays["reason"][row, column] = Reason.ADDED if decision == Decision.ADD else reason
    first: dict[int, int] = {}
    for i, _ in rows:
        first.setdefault(i, len(first))
    poses = Poses(
        skeleton=schema.skeleton,
        xy=xy,
        visibility=visibility,
        bbox_xywh=bbox,
        area=area,
        image_index=np.array([first[i] for i, _ in rows], dtype=np.int64),
        images=tuple(Image(samples[i].image, samples[i].width, samples[i].height) for i in first),
        ids=np.array([person for _, person in rows], dtype=np.int64),
        crowd=np.zeros(n, dtype=bool),
        head_size=np.full(n, np.nan),
    )
    return poses, Additions(schema.added, **arrays)


def _write(
    schema: LabelSchema,
    sample: StoredSample,
    built: _Built,
    person: int,
    after: Additions,
    row: int,
    conflicts: set[tuple[int, str]],
) -> None:
    """Put what became of a person's added points into their labels. A label of candidates that is missing is made."""
    verdicts = [
        CONFLICT if (person, k) in conflicts else "" if after.review[row, c] is None else after.review[row, c].verdict
        for c, k in enumerate(schema.added)
    ]
    if not any(verdicts):
        return
    people, candidates = built
    label = people[person]
    if person not in candidates:
        candidates[person] = _no_candidates(label)
    for changed in (label, candidates[person]):
        if AS_BUILT not in changed:
            changed[AS_BUILT] = {k: copy.deepcopy(changed[k]) for k in (*_LISTS, *_SUMS) if k in changed}
    for column, keypoint in enumerate(schema.added):
        if verdicts[column]:
            place = (after.xy[row, column] / (sample.width, sample.height)).tolist()
            v, radius = int(after.visibility[row, column]), float(after.radius[row, column])
            values = {
                "source": str(after.source[row, column]),
                "decision": str(after.decision[row, column]),
                "visible": v,
                "radius_px": radius if math.isfinite(radius) else 0.0,
                "reason": str(after.reason[row, column]),
                "reviewed": verdicts[column],
            }
            j = schema.skeleton.index[keypoint]
            for changed, here in ((label, v > 0), (candidates[person], v == 0 and _there(place))):
                changed["points"][j] = place if here else list(_NOWHERE)
                changed["confidence"][j] = float(after.score[row, column]) if here else 0.0
                for name, value in values.items():
                    if name in changed:
                        changed[name][j] = value
    _sum_up(schema, label, candidates[person], after.take([row]))


def _no_candidates(label: _Label) -> _Label:
    """A label of candidates without points, of a person who had none: it is there only because of decisions."""
    kept = ("_cls", "attributes", "index", "person", "queue_rank")
    kept += ("source", "decision", "radius_px", "reviewed", "below", "withheld")
    points = len(label["points"])
    return {
        **copy.deepcopy({k: label[k] for k in kept if k in label}),
        "tags": [],
        "label": "candidate",
        "points": [list(_NOWHERE) for _ in range(points)],
        "confidence": [0.0] * points,
        "reason": [""] * points,
        AS_BUILT: None,
    }


def _sum_up(schema: LabelSchema, label: _Label, candidate: _Label, after: Additions) -> None:
    """What the label says of all the person's points. after: of this one person."""
    review = after.review.copy()
    for column, keypoint in enumerate(schema.added):
        # Decided in the file already, when the dataset was built.
        verdict = label["reviewed"][schema.skeleton.index[keypoint]]
        if review[0, column] is None and verdict in REVIEWED:
            source, decision = after.source[0, column], after.decision[0, column]
            estimate = Estimate((0.0, 0.0), 0, source, 0.0, None, decision, Reason.ADDED)
            review[0, column] = Review(verdict, ("somebody",), estimate)
    after = replace(after, review=review)
    is_open = open_points(after, schema.thresholds, derived=True)[0]
    withheld = is_open & (after.decision[0] == Decision.WITHHOLD)
    lowest = float(lowest_score(after)[0])
    label["left"] = int(is_open.sum())
    label["lowest"] = lowest if math.isfinite(lowest) else None
    label["expected_wrong"] = float(expected_wrong(after)[0])
    for changed in (label, candidate):
        changed["below"] = [k for k, is_one in zip(schema.added, is_open & ~withheld, strict=True) if is_one]
        changed["withheld"] = [k for k, is_one in zip(schema.added, withheld, strict=True) if is_one]


def _summed(
    schema: LabelSchema, people: dict[int, _Label], candidates: dict[int, _Label], marks: Mapping[str, set[int]]
) -> SampleState:
    columns = schema.skeleton.indices(schema.added).tolist()
    labels = list(people.values())
    lowest = [x["lowest"] for x in labels if x.get("lowest") is not None]
    return SampleState(
        people=labels,
        candidates=[x for x in candidates.values() if x.get(AS_BUILT, {}) is not None or _has_points(x)],
        tags=tuple(tag for tag in TAGS if marks[tag].intersection(people)),
        decided=sum(x["reviewed"][j] in REVIEWED for x in labels for j in columns),
        to_review=sum(x["left"] for x in labels),
        lowest=min(lowest, default=None),
        expected_wrong=float(sum(x["expected_wrong"] for x in labels)),
    )


def _has_points(label: _Label) -> bool:
    return any(_there(p) for p in label["points"])


def _there(point: Sequence[float]) -> bool:
    return all(math.isfinite(c) for c in point)
