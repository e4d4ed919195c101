"""Corrections applied: the additions to a file's people with what reviewers decided on them.

See docs/formats/corrections.md. N people, A added keypoints.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.additions import PER_POINT, Additions, Decision, Estimate, Reason, Review, Source
from annotext.core.errors import Finding, Severity
from annotext.core.frame import size_of
from annotext.core.poses import Poses, Visibility
from annotext.evaluation.correctness import Criterion
from annotext.evaluation.correctness import tolerance as largest_right_error
from annotext.review.decisions.correction import (
    AGREE_PX,
    Correction,
    Key,
    LastDecision,
    Standing,
    Tolerance,
    Verdict,
    agreed,
    last_decisions,
    same_place,
)


@dataclass(frozen=True)
class Revision:
    """What became of the additions of N people.

    additions: the corrected ones. findings: what was not applied and why, and conflicts. counts: keypoint -> verdict ->
    points that carry it now, keypoints and verdicts without any left out.
    """

    additions: Additions
    findings: tuple[Finding, ...]
    counts: Mapping[str, Mapping[str, int]]


def apply_corrections(
    poses: Poses, additions: Additions, corrections: Sequence[Correction], *, input_sha256: str = ""
) -> Revision:
    """The additions with what reviewers decided on them; nothing is mutated.

    poses: N people in the grown skeleton; additions: theirs. input_sha256: of the file that was extended: decisions on
    another are not applied.
    Earlier reviews are taken back first, so that the result depends on the estimates and on the decisions, not on how
    often or in which steps they were applied: a decision that is no longer among `corrections` no longer holds. Accept,
    hidden and reject speak of the point that was looked at: where another stands now, they are stale. See `standing`
    for several reviewers.
    """
    before = reverted(additions)
    fitting, findings = _fitting(poses, before, corrections, input_sha256)
    row_of = {person: i for i, person in enumerate(poses.ids.tolist())}
    column_of = {keypoint: j for j, keypoint in enumerate(before.keypoints)}
    last: dict[Key, dict[str, LastDecision]] = {}
    for key, by in last_decisions(fitting).items():
        i, j = row_of[key[0]], column_of[key[1]]
        for who, one in by.items():
            finding = _unfit(one, before, poses, i, j)
            if finding is None:
                last.setdefault(key, {})[who] = one
            else:
                findings.append(finding)
    stands, conflicts = agreed(last, agreement(poses, before.keypoints))
    revised = _decided(before, {(row_of[p], column_of[k]): s for (p, k), s in stands.items()})
    lost = np.argwhere((additions.review != None) & (revised.review == None))  # noqa: E711
    findings += [*conflicts, *_taken_back(poses, before.keypoints, lost, corrections)]
    return Revision(revised, tuple(findings), counts(revised))


def reverted(additions: Additions) -> Additions:
    """The additions as they were before anybody reviewed them."""
    cells = np.argwhere(additions.review != None)  # noqa: E711
    arrays = {name: getattr(additions, name).copy() for name in PER_POINT}
    for i, j in cells.tolist():
        _put(arrays, i, j, additions.review[i, j].before, None)
    return Additions(additions.keypoints, **arrays)


def counts(additions: Additions) -> dict[str, dict[str, int]]:
    """Keypoint -> verdict -> points that carry it."""
    found: dict[str, dict[str, int]] = {}
    for j, keypoint in enumerate(additions.keypoints):
        verdicts = [r.verdict for r in additions.review[:, j] if r is not None]
        if verdicts:
            found[keypoint] = {v.value: verdicts.count(v) for v in Verdict if v in verdicts}
    return found


def agreement(poses: Poses, keypoints: Sequence[str]) -> Tolerance:
    """How far apart two reviewers may place one of the A `keypoints` and still mean the same place, for `standing`.

    As far as neither would count as wrong if the other were the truth: keypoint similarity .5, with the person's
    segment area, or else the usual one for the size of their own labels; `AGREE_PX` where neither is known.
    """
    own = [j for j, keypoint in enumerate(poses.skeleton.keypoints) if keypoint not in keypoints]
    known = {"area": poses.area, "head_size": poses.head_size, "size": size_of(poses.xy[:, own])}
    sigmas = np.array([poses.skeleton.sigmas[k] for k in keypoints])
    by_area, by_size = (largest_right_error(c, sigmas, **known) for c in (Criterion.KS, Criterion.KS_OF_SIZE))
    pixels = np.where(np.isfinite(by_area), by_area, by_size)
    pixels = np.where(np.isfinite(pixels), pixels, AGREE_PX)
    row_of = {person: i for i, person in enumerate(poses.ids.tolist())}
    column_of = {keypoint: j for j, keypoint in enumerate(keypoints)}
    return lambda c: float(pixels[row_of[c.person], column_of[c.keypoint]])


def _fitting(
    poses: Poses, additions: Additions, corrections: Sequence[Correction], input_sha256: str
) -> tuple[list[Correction], list[Finding]]:
    """The corrections that speak of these people and added keypoints, and what is wrong with the others."""
    row_of = {person: i for i, person in enumerate(poses.ids.tolist())}
    files = poses.file_names()
    fitting: list[Correction] = []
    findings: list[Finding] = []
    foreign: dict[str, list[str]] = {}
    for c in corrections:
        i = row_of.get(c.person)
        if c.input_sha256 and input_sha256 and c.input_sha256 != input_sha256:
            foreign.setdefault(c.input_sha256, []).append(c.id)
        elif i is None:
            findings.append(_refused(c, "unknown-person", "there is no such person in the file"))
        elif c.image != files[i]:
            findings.append(_refused(c, "other-image", f"the person is on {files[i]}"))
        elif c.keypoint in additions.keypoints:
            if poses.crowd[i] and c.verdict != Verdict.NOTE:
                findings.append(_refused(c, "crowd", "a crowd has no keypoints"))
            else:
                fitting.append(c)
        elif c.verdict == Verdict.NOTE and c.keypoint in ("", *poses.skeleton.keypoints):
            continue
        elif c.keypoint in poses.skeleton.index:
            findings.append(_refused(c, "human-keypoint", "people's own keypoints are never changed"))
        else:
            findings.append(_refused(c, "unknown-keypoint", f"added are {', '.join(additions.keypoints)}"))
    for sha256, ids in sorted(foreign.items()):
        findings.append(
            Finding(
                "other-data",
                Severity.ERROR,
                f"decisions on a file of sha256 {sha256[:12]}, not on {input_sha256[:12]}: {len(ids)}, not applied",
                {"input_sha256": sha256, "decisions": len(ids), "ids": ids},
                "apply them to the file that was reviewed",
            )
        )
    return fitting, findings


def _unfit(decision: LastDecision, before: Additions, poses: Poses, i: int, j: int) -> Finding | None:
    """Why a decision cannot be applied to the point at row i, column j."""
    place, correction = decision.place, decision.correction
    if decision.verdict in (Verdict.MOVE, Verdict.ABSENT):
        other = _whose(correction, before, poses, i, j)
        if other is not None:
            why = f"the point that was looked at is that of person {other}"
            return _refused(correction, "other-person", why, "were people of the file put in another order?")
    if decision.verdict == Verdict.MOVE:
        image = poses.images[poses.image_index[i]]
        assert place is not None
        # Pixel i covers i - 0.5 to i + 0.5.
        sides = ((place.x, image.width), (place.y, image.height))
        if any(at < -0.5 or (side is not None and at > side - 0.5) for at, side in sides):
            size = "" if image.width is None else f", which has {image.width} x {image.height} pixels"
            return _refused(correction, "outside-image", f"({place.x:g}, {place.y:g}) is outside the image{size}")
    elif decision.verdict != Verdict.ABSENT and place is not None:
        x, y = before.xy[i, j].tolist()
        if not same_place((place.x, place.y), (x, y)):
            now = f"is at ({x:g}, {y:g})" if math.isfinite(x) else "has no estimate"
            why = f"the point that was looked at was at ({place.x:g}, {place.y:g}), now it {now}"
            return _refused(correction, "stale", why, "look at it again")
    return None


def _whose(c: Correction, before: Additions, poses: Poses, i: int, j: int) -> int | None:
    """Who else on the image has the point where it was looked at, if the person does not: MPII's records have no ids,
    only positions."""
    if c.old is None or same_place((c.old.x, c.old.y), before.xy[i, j].tolist()):
        return None
    beside = np.flatnonzero(poses.image_index == poses.image_index[i])
    found = (int(poses.ids[r]) for r in beside if same_place((c.old.x, c.old.y), before.xy[r, j].tolist()))
    return next(found, None)


def _refused(c: Correction, code: str, why: str, suggestion: str = "") -> Finding:
    what = f"{c.keypoint} of person {c.person}" if c.keypoint else f"person {c.person}"
    numbers = {
        "person": c.person,
        "image": c.image,
        "keypoint": c.keypoint,
        "verdicts": {c.reviewer: c.verdict.value},
        "ids": [c.id],
    }
    message = f"{what} ({c.image}): {c.reviewer} says {c.verdict}, not applied: {why}"
    return Finding(code, Severity.WARNING if code == "stale" else Severity.ERROR, message, numbers, suggestion)


def _taken_back(
    poses: Poses, keypoints: Sequence[str], lost: NDArray[np.intp], corrections: Sequence[Correction]
) -> list[Finding]:
    """lost: (L, 2) rows and columns of points that were decided and are no longer; of those no correction is about."""
    decided = {(c.person, c.keypoint) for c in corrections}
    points = [(int(poses.ids[i]), keypoints[j]) for i, j in lost.tolist()]
    points = [p for p in points if p not in decided]
    if not points:
        return []
    return [
        Finding(
            "dropped",
            Severity.WARNING,
            f"points decided in this file, of which no correction given speaks: {len(points)}, undone",
            {"points": [{"person": person, "keypoint": keypoint} for person, keypoint in points]},
            "give all corrections files each time, the earlier ones too",
        )
    ]


def _decided(before: Additions, stands: Mapping[tuple[int, int], Standing]) -> Additions:
    """stands: (row, column) -> what stands there."""
    arrays = {name: getattr(before, name).copy() for name in PER_POINT}
    for (i, j), standing in stands.items():
        estimate = _estimate(before, i, j)
        if standing.verdict == Verdict.REJECT and estimate.xy is None:
            continue  # it was placed in review, and the review takes it away again
        _put(arrays, i, j, _reviewed(estimate, standing), Review(standing.verdict.value, standing.reviewers, estimate))
    return Additions(before.keypoints, **arrays)


def _reviewed(estimate: Estimate, standing: Standing) -> Estimate:
    if standing.new is not None:
        new = standing.new
        return Estimate((new.x, new.y), new.v, Source.CORRECTED, 1.0, None, Decision.ADD, Reason.ADDED)
    if standing.verdict in (Verdict.ACCEPT, Verdict.HIDDEN):
        seen = estimate.visibility or int(Visibility.VISIBLE)
        v = int(Visibility.HIDDEN) if standing.verdict == Verdict.HIDDEN else seen
        return replace(estimate, visibility=v, decision=Decision.ADD, reason=Reason.ADDED)
    reason = Reason.ABSENT if standing.verdict == Verdict.ABSENT else Reason.REJECTED
    decision = Decision.NONE if estimate.xy is None else Decision.WITHHOLD
    return replace(estimate, visibility=0, decision=decision, reason=reason)


def _estimate(additions: Additions, i: int, j: int) -> Estimate:
    x, y = additions.xy[i, j].tolist()
    radius = float(additions.radius[i, j])
    return Estimate(
        xy=(x, y) if math.isfinite(x) else None,
        visibility=int(additions.visibility[i, j]),
        # Arrays filled with one kind hold it as plain text.
        source=Source(additions.source[i, j]),
        score=float(additions.score[i, j]),
        radius=radius if math.isfinite(radius) else None,
        decision=Decision(additions.decision[i, j]),
        reason=Reason(additions.reason[i, j]),
    )


def _put(arrays: Mapping[str, NDArray[Any]], i: int, j: int, estimate: Estimate, review: Review | None) -> None:
    arrays["xy"][i, j] = (np.nan, np.nan) if estimate.xy is None else estimate.xy
    arrays["visibility"][i, j] = estimate.visibility
    arrays["source"][i, j] = estimate.source
    arrays["score"][i, j] = estimate.score
    arrays["radius"][i, j] = np.nan if estimate.radius is None else estimate.radius
    arrays["decision"][i, j] = estimate.decision
    arrays["reason"][i, j] = estimate.reason
    arrays["review"][i, j] = review
