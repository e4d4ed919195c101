"""The `annotext` block of a person: what is known about each added point, as JSON values, written and read.

N people, A added keypoints. See docs/formats/extended.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.additions import REVIEWED, Additions, Decision, Estimate, Reason, Review, Source, default_decision
from annotext.formats.annotations.records import Faults, is_number
from annotext.formats.files.jsonio import kind_of

# Under this key stand a record's block and, in `info`, the header of the file.
EXTENDED_KEY = "annotext"
# The hint where additions are not as annotext wrote them.
CHANGED = "the file was edited by hand or by another tool"
# A hundredth of a pixel is far below the error of any of the points, and keeps files small.
XY_DECIMALS = 2
SCORE_DECIMALS = 4
RADIUS_DECIMALS = 2
# What an annotation says itself: not noted at each of the many people without keypoints.
_PLAIN_TO_SEE = (Reason.NO_KEYPOINTS, Reason.CROWD)

_SOURCES = {s.value: s for s in Source}
_DECISIONS = {d.value: d for d in Decision}
_REASONS = {r.value or None: r for r in Reason}


@dataclass(frozen=True)
class AddedPoints:
    """One person's added points as JSON values, in the file's pixels."""

    points: list[list[float] | None]  # where v > 0
    visibility: list[int]
    source: list[str]
    score: list[float]
    candidate: list[list[float] | None]
    told: dict[str, list[Any]]  # radius, decision, reason and review, where they say more than the rest does

    def block(self, *, with_visibility: bool = False) -> dict[str, Any]:
        """with_visibility: for formats whose own lists do not tell a hidden point from a visible one."""
        block = {"source": self.source, "score": self.score, "candidate": self.candidate, **self.told}
        return {**block, "visibility": self.visibility} if with_visibility else block

    @property
    def count(self) -> int:
        """How many points have v > 0."""
        return sum(v > 0 for v in self.visibility)


def blocks_as_json(additions: Additions, offset: float) -> Iterator[AddedPoints]:
    # + 0.0 turns -0.0 into 0.0.
    xy = (np.round(additions.xy + offset, XY_DECIMALS) + 0.0).tolist()
    visibility = additions.visibility.tolist()
    score = (np.round(additions.score, SCORE_DECIMALS) + 0.0).tolist()
    withheld = additions.withheld.tolist()
    source = _texts(additions.source)
    told = _told(additions, offset)
    for i in range(len(additions)):
        yield AddedPoints(
            points=[p if v > 0 else None for p, v in zip(xy[i], visibility[i], strict=True)],
            visibility=visibility[i],
            source=source[i],
            score=score[i],
            candidate=[p if w else None for p, w in zip(xy[i], withheld[i], strict=True)],
            told=told[i],
        )


def _told(additions: Additions, offset: float) -> list[dict[str, list[Any]]]:
    """Per person the lists that are not left out: see docs/formats/extended.md."""
    told: list[dict[str, list[Any]]] = [{} for _ in range(len(additions))]
    radius = np.round(additions.radius, RADIUS_DECIMALS)
    known = np.isfinite(radius)
    for i in np.flatnonzero(known.any(axis=1)).tolist():
        told[i]["radius"] = [r if k else None for r, k in zip(radius[i].tolist(), known[i].tolist(), strict=True)]
    estimated = additions.decision != Decision.NONE
    special = additions.decision != default_decision(estimated, additions.visibility)
    decision = _texts(additions.decision)
    for i in np.flatnonzero(special.any(axis=1)).tolist():
        told[i]["decision"] = decision[i]
    reviewed = np.asarray(additions.review != None)  # noqa: E711
    reason = additions.reason
    special = (reason != Reason.ADDED) & ~np.logical_or.reduce([reason == r for r in _PLAIN_TO_SEE])
    # Beside a review all are noted: they must be there when it is taken back.
    noted = special | ((reason != Reason.ADDED) & reviewed.any(axis=1, keepdims=True))
    texts = _texts(reason)
    for i in np.flatnonzero(noted.any(axis=1)).tolist():
        told[i]["reason"] = [text or None for text in texts[i]]
    for i in np.flatnonzero(reviewed.any(axis=1)).tolist():
        told[i]["review"] = [None if r is None else _review_as_json(r, offset) for r in additions.review[i]]
    return told


def _review_as_json(review: Review, offset: float) -> dict[str, Any]:
    before = review.before
    return {
        "decision": review.verdict,
        "by": list(review.reviewers),
        "before": {
            "xy": None if before.xy is None else [round(c + offset, XY_DECIMALS) + 0.0 for c in before.xy],
            "visibility": before.visibility,
            "source": str(before.source),
            "score": round(before.score, SCORE_DECIMALS) + 0.0,
            "radius": None if before.radius is None else round(before.radius, RADIUS_DECIMALS),
            "decision": str(before.decision),
            "reason": str(before.reason) or None,
        },
    }


def _parse_review(review: dict[str, Any]) -> Review:
    before = review["before"]
    xy, radius = before["xy"], before["radius"]
    estimate = Estimate(
        xy=None if xy is None else (float(xy[0]), float(xy[1])),
        visibility=before["visibility"],
        source=_SOURCES[before["source"]],
        score=float(before["score"]),
        radius=None if radius is None else float(radius),
        decision=_DECISIONS[before["decision"]],
        reason=_REASONS[before["reason"]],
    )
    return Review(review["decision"], tuple(review["by"]), estimate)


def shifted(additions: Additions, by: float) -> Additions:
    """The same points `by` pixels further right and down: from a file's frame into annotext's, or back."""
    review = additions.review.copy()
    for i, j in np.argwhere(review != None).tolist():  # noqa: E711
        before = review[i, j].before
        xy = None if before.xy is None else (before.xy[0] + by, before.xy[1] + by)
        review[i, j] = replace(review[i, j], before=replace(before, xy=xy))
    return replace(additions, xy=additions.xy + by, review=review)


def _texts(values: NDArray[np.object_]) -> list[list[str]]:
    """(N, A) enum members as plain texts."""
    text = {kind: str(kind) for kind in (*Source, *Decision, *Reason)}
    return [[text[v] for v in row] for row in values.tolist()]


def nothing_added(count: int) -> AddedPoints:
    return AddedPoints([None] * count, [0] * count, ["none"] * count, [0.0] * count, [None] * count, {})


def parse_blocks(
    faults: Faults,
    section: str,
    rows: Sequence[int],
    blocks: Sequence[Any],
    keypoints: tuple[str, ...],
    xy: NDArray[np.float64],
    visibility: NDArray[np.uint8],
    *,
    name: str = EXTENDED_KEY,
) -> Additions:
    """The blocks of N records: A added keypoints, aligned with `rows`; faulty ones read as nothing.

    xy: (N, A, 2), visibility: (N, A): the added points as they stand in the file's keypoint arrays. Coordinates stay
    in the file's frame. name: what messages call a block.
    """
    n, a = len(blocks), len(keypoints)
    nothing = Additions.nothing(n, keypoints)
    out_xy, source = nothing.xy.copy(), nothing.source.copy()
    states, scores = nothing.visibility.copy(), nothing.score.copy()
    radius, decision, reason = nothing.radius.copy(), nothing.decision.copy(), nothing.reason.copy()
    review = nothing.review.copy()
    for i, (row, block) in enumerate(zip(rows, blocks, strict=True)):
        problem = _block_problem(block, a, visibility[i])
        if problem:
            faults.record(section, row, name, problem, CHANGED)
            continue
        if "reason" in block:
            reason[i] = [_REASONS[r] for r in block["reason"]]
        if "review" in block:
            review[i] = [None if r is None else _parse_review(r) for r in block["review"]]
        for j in range(a):
            kind = _SOURCES[block["source"][j]]
            if kind is Source.NONE:
                continue
            source[i, j] = kind
            scores[i, j] = block["score"][j]
            states[i, j] = visibility[i, j]
            out_xy[i, j] = xy[i, j] if visibility[i, j] > 0 else block["candidate"][j]
            if "radius" in block and block["radius"][j] is not None:
                radius[i, j] = block["radius"][j]
            default = _default_decision(kind, visibility[i, j])
            decision[i, j] = _DECISIONS[block["decision"][j] if "decision" in block else default]
    return Additions(keypoints, out_xy, states, source, scores, radius, decision, reason, review)


def sources_problem(block: Any, a: int | None) -> str:
    """Why the points of a block cannot be told; a: how many they must be, None where nobody knows."""
    if not isinstance(block, dict):
        return "missing" if block is None else f"is {kind_of(block)}, expected an object"
    source = block.get("source")
    if not isinstance(source, list) or a not in (None, len(source)):
        return f"source must be a list of {a}" if a is not None else "source must be a list"
    return ""


def _block_problem(block: Any, a: int, visibility: NDArray[np.uint8]) -> str:
    if problem := sources_problem(block, a):
        return problem
    for key in ("score", "candidate"):
        values = block.get(key)
        if not isinstance(values, list) or len(values) != a:
            return f"{key} must be a list of {a}"
    for j in range(a):
        source, score, candidate = block["source"][j], block["score"][j], block["candidate"][j]
        if not isinstance(source, str) or source not in _SOURCES:
            return f"source[{j}] is {source!r}, expected one of {', '.join(_SOURCES)}"
        if not is_number(score) or not 0 <= score <= 1:
            return f"score[{j}] is outside [0, 1]"
        none = source == Source.NONE.value
        has_candidate = isinstance(candidate, list) and len(candidate) == 2 and all(is_number(c) for c in candidate)
        if candidate is not None and not has_candidate:
            return f"candidate[{j}] must be null or [x, y]"
        if visibility[j] > 0 and (none or has_candidate):
            return f"point {j} has v > 0, " + ("but its source is none" if none else "and a candidate too")
        if visibility[j] == 0 and none == has_candidate:
            return f"point {j} has v = 0, " + ("a candidate and no source" if none else "a source and no candidate")
    return _told_problem(block, a, visibility) or _review_problem(block, a, visibility)


def _told_problem(block: dict[str, Any], a: int, visibility: NDArray[np.uint8]) -> str:
    """What is wrong with radius, decision and reason, which a block may leave out."""
    for key in ("radius", "decision", "reason"):
        values = block.get(key, [])
        if key in block and (not isinstance(values, list) or len(values) != a):
            return f"{key} must be a list of {a}"
    fitting = [_default_decision(s, v) for s, v in zip(block["source"], visibility.tolist(), strict=True)]
    decisions = block.get("decision", fitting)
    for j, radius in enumerate(block.get("radius", [])):
        if radius is not None and (fitting[j] == Decision.NONE or not is_number(radius) or radius < 0):
            return f"radius[{j}] must be null, or pixels of a point that has a source"
    for j, decision in enumerate(decisions):
        if not isinstance(decision, str) or decision not in _DECISIONS:
            return f"decision[{j}] is {decision!r}, expected one of {', '.join(_DECISIONS)}"
        if decision != fitting[j] and (decision != Decision.ASK or fitting[j] == Decision.NONE):
            return f"decision[{j}] is {decision!r}, but the point has v = {visibility[j]}, source {block['source'][j]}"
    for j, reason in enumerate(block.get("reason", [])):
        if not isinstance(reason, str | None) or reason not in _REASONS:
            return f"reason[{j}] is {reason!r}, expected null or one of: {', '.join(r for r in _REASONS if r)}"
        if reason is not None and decisions[j] == Decision.ADD:
            return f"reason[{j}] is {reason!r}, but the point is added"
    return ""


def _review_problem(block: dict[str, Any], a: int, visibility: NDArray[np.uint8]) -> str:
    """What is wrong with the reviews, which a block may leave out. The rest of the block is right."""
    reviews = block.get("review", [])
    if "review" in block and (not isinstance(reviews, list) or len(reviews) != a):
        return f"review must be a list of {a}"
    for j, review in enumerate(reviews):
        if review is None:
            continue
        if not isinstance(review, dict) or set(review) != {"decision", "by", "before"}:
            return f"review[{j}] must be null or say decision, by and before"
        verdict, by = review["decision"], review["by"]
        if verdict not in REVIEWED:
            return f"review[{j}].decision is {verdict!r}, expected one of {', '.join(REVIEWED)}"
        if not isinstance(by, list) or not by or not all(isinstance(name, str) and name for name in by):
            return f"review[{j}].by must name reviewers"
        problem = _before_problem(review["before"])
        if problem:
            return f"review[{j}].before: {problem}"
        before, source = review["before"], block["source"][j]
        if before["xy"] is None and verdict not in ("move", "absent"):
            return f"review[{j}] is {verdict}, but there was no estimate"
        added = visibility[j] > 0 and block.get("decision", ["add"] * a)[j] == Decision.ADD
        if source != (Source.CORRECTED if verdict == "move" else before["source"]) or added != (
            verdict in ("accept", "hidden", "move")
        ):
            return f"review[{j}] is {verdict}, but the point has v = {visibility[j]}, source {source}"
    return ""


def _before_problem(before: Any) -> str:
    """What is wrong with the estimate that a review keeps: it must make sense as a block of one point."""
    keys = ("xy", "visibility", "source", "score", "radius", "decision", "reason")
    if not isinstance(before, dict) or set(before) != set(keys):
        return f"must say {', '.join(keys)}"
    xy, v = before["xy"], before["visibility"]
    if type(v) is not int or v not in (0, 1, 2):
        return f"visibility is {v!r}, expected 0, 1 or 2"
    if v > 0 and not (isinstance(xy, list) and len(xy) == 2 and all(is_number(c) for c in xy)):
        return "xy must be [x, y] of a point with v > 0"
    told = ("source", "score", "radius", "decision", "reason")
    block = {**{key: [before[key]] for key in told}, "candidate": [xy if v == 0 else None]}
    return _block_problem(block, 1, np.array([v], dtype=np.uint8))


def _default_decision(source: str, visibility: int) -> str:
    """What a decision is that the block leaves out; see `default_decision`."""
    if source == Source.NONE:
        return Decision.NONE.value
    return Decision.ADD.value if visibility > 0 else Decision.WITHHOLD.value
