"""How far the reviews are, and what they say about the points nobody looked at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from annotext.core.errors import InputError, Problem
from annotext.evaluation.ranking import clopper_pearson_upper
from annotext.formats.annotations.read import AnnotationFile, read_annotations
from annotext.review.decisions.apply import Revision, agreement, apply_corrections
from annotext.review.decisions.correction import Correction, Verdict, standing
from annotext.review.decisions.reviewers import Reviewer, reviewers

_WRONG = (Verdict.REJECT, Verdict.ABSENT)
LEVEL = 0.95
# Judged points below which an error rate is no news: its interval is wider than what anybody hoped to learn.
FEW = 30


@dataclass(frozen=True)
class AuditEstimate:
    """The share of wrong points among those that predictors added, from a uniform random sample of them.

    judged: of the `of` points of the sample those with a verdict that stands. wrong: rejected, absent, or moved so far
    that the point would count as wrong (keypoint similarity below .5). low, high: Clopper and Pearson's 95 % interval
    (1934). share, low and high are None where nothing was judged.
    """

    of: int
    judged: int
    wrong: int
    share: float | None
    low: float | None
    high: float | None

    @classmethod
    def counted(cls, wrong: int, judged: int, of: int) -> AuditEstimate:
        """The estimate of these counts."""
        if not judged:
            return cls(of, 0, 0, None, None, None)
        level = (1 + LEVEL) / 2
        high = clopper_pearson_upper(wrong, judged, level)
        low = 1 - clopper_pearson_upper(judged - wrong, judged, level)
        return cls(of, judged, wrong, wrong / judged, low, high)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        rounded = {name: getattr(self, name) for name in ("share", "low", "high")}
        rounded = {name: None if value is None else round(value, 4) for name, value in rounded.items()}
        return {"of": self.of, "judged": self.judged, "wrong": self.wrong, **rounded}

    def __str__(self) -> str:
        if self.share is None or self.low is None or self.high is None:
            return f"none of {self.of} points judged"
        rate = f"{self.wrong} of {self.judged} wrong: {self.share:.1%} (95 %: {self.low:.1%} to {self.high:.1%})"
        return rate if self.judged == self.of else f"{rate}, {self.of - self.judged} of the sample not judged yet"


@dataclass(frozen=True)
class DatasetStatus:
    """One dataset.

    decided: added points with a verdict that stands. left: points to review without one. conflicts: points on which
    reviewers disagree. audit: None where the dataset has no random audit, or its file is gone.
    """

    name: str
    extended: str
    images: int
    decided: int
    left: int
    conflicts: int
    reviewers: tuple[Reviewer, ...]
    audit: AuditEstimate | None
    notes: tuple[str, ...]

    @property
    def minutes_left(self) -> float | None:
        """At the speed of everybody so far, for one person; None where nobody knows."""
        minutes = sum(r.minutes for r in self.reviewers)
        points = sum(r.points for r in self.reviewers)
        return self.left * minutes / points if minutes > 0 and points else None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        left = self.minutes_left
        return {
            "dataset": self.name,
            "extended": self.extended,
            "images": self.images,
            "decided": self.decided,
            "left": self.left,
            "minutes_left": None if left is None else round(left, 1),
            "conflicts": self.conflicts,
            "reviewers": [r.to_dict() for r in self.reviewers],
            "audit": None if self.audit is None else self.audit.to_dict(),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class ReviewStatusReport:
    """All datasets that were asked for. skipped: faulty lines of journals."""

    datasets: tuple[DatasetStatus, ...]
    skipped: tuple[Problem, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "datasets": [d.to_dict() for d in self.datasets],
            "skipped": [p.to_dict() for p in self.skipped],
        }


def review_status(name: str | None = None) -> ReviewStatusReport:
    """The state of the dataset `name`, or of all that annotext built, by name.

    Decisions that only journals had are shown in the datasets afterwards. Raises AnnotextError: no database, no such
    dataset, one that annotext did not build.
    """
    from annotext.review.fiftyone.database import connect

    fo = connect()
    from annotext.review.fiftyone.store import find_dataset, reviewed_datasets

    hint = "annotext review status without a name lists all"
    found, skipped = [], []
    for one in [name] if name is not None else reviewed_datasets():
        status, faults = _status(find_dataset(one, fo, hint=hint))
        found.append(status)
        skipped += faults
    return ReviewStatusReport(tuple(found), tuple(skipped))


def _status(dataset: Any) -> tuple[DatasetStatus, Sequence[Problem]]:
    from annotext.review.decisions.journal import read_journals
    from annotext.review.fiftyone.store import decisions, journal_of, refresh, review_info

    info = review_info(dataset)
    refresh(dataset)
    corrections = decisions(dataset)
    notes: list[str] = []
    file = _file(info, notes)
    sha256 = info["input_sha256"]
    if file is None or file.additions is None:
        revision, conflicts = None, len(standing(corrections)[1])
    else:
        revision = apply_corrections(file.extended_poses, file.additions, corrections, input_sha256=sha256)
        conflicts = sum(f.code == "conflict" for f in revision.findings)
        stale = sum(f.code == "stale" for f in revision.findings)
        if stale:
            notes.append(f"{stale} decisions are on points that the extended file has elsewhere now: look again")
    audit = None
    audited = _audited(dataset)
    if audited and file is not None and revision is not None:
        audit = _audit(file, revision, corrections, audited)
        if 0 < audit.judged < min(FEW, audit.of):
            notes.append(f"an error rate of {audit.judged} points says little: judge the view of the random audit")
    status = DatasetStatus(
        name=dataset.name,
        extended=str(info["extended"]),
        images=len(dataset),
        decided=int(dataset.sum("decided")),
        left=int(dataset.sum("to_review")),
        conflicts=conflicts,
        reviewers=reviewers(corrections),
        audit=audit,
        notes=tuple(notes),
    )
    return status, read_journals(journal_of(info))[1]


def _file(info: Any, notes: list[str]) -> AnnotationFile | None:
    try:
        file = read_annotations(info["extended"], skip_bad=True)
    except InputError as error:
        notes.append(f"the extended file cannot be read: {error.problems[0].problem}")
        return None
    if file.sha256 != info["extended_sha256"]:
        notes.append("the extended file has changed since the dataset was built: review build --overwrite")
    return file if file.additions is not None else None


def _audited(dataset: Any) -> set[tuple[int, str]]:
    """(person, keypoint) of the points of the random audit."""
    if not dataset.has_field("people.keypoints.audit"):
        return set()
    fields = ["people.keypoints.person", "people.keypoints.audit"]
    columns: list[list[list[Any] | None]] = dataset.match({"audit": True}).values(fields)
    found: set[tuple[int, str]] = set()
    for people, audits in zip(*columns, strict=True):
        for person, keypoints in zip(people or [], audits or [], strict=True):
            found |= {(person, keypoint) for keypoint in keypoints or []}
    return found


def _audit(
    file: AnnotationFile, revision: Revision, corrections: Sequence[Correction], audited: set[tuple[int, str]]
) -> AuditEstimate:
    tolerance = agreement(file.extended_poses, revision.additions.keypoints)
    decided = {(c.person, c.keypoint): c for c in corrections}
    row_of = {person: i for i, person in enumerate(file.poses.ids.tolist())}
    judged = wrong = 0
    for person, keypoint in audited & set(decided):
        i, j = row_of.get(person), revision.additions.keypoints.index(keypoint)
        review = None if i is None else revision.additions.review[i, j]
        if i is None or review is None:
            continue
        judged += 1
        if review.verdict in _WRONG:
            wrong += 1
        elif review.verdict == Verdict.MOVE and review.before.xy is not None:
            moved = math.dist(review.before.xy, revision.additions.xy[i, j].tolist())
            wrong += moved > tolerance(decided[person, keypoint])
    return AuditEstimate.counted(wrong, judged, len(audited))
