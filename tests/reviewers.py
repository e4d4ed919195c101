"""What reviewers decide in tests: single decisions, and random ones of several people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from people import random_people

from annotext.core.additions import PER_POINT, Additions, Decision, Reason, Source, default_decision
from annotext.core.poses import Poses
from annotext.core.skeleton import Skeleton
from annotext.core.skeletons import COCO17, UNION21
from annotext.review.decisions.correction import Correction, Point, Verdict

ADDED = UNION21.missing_from(COCO17)
WHO = ("ann", "bob", "cleo")


def correction(number: int = 1, verdict: Verdict = Verdict.ACCEPT, **changes: Any) -> Correction:
    """Ann's decision on the pelvis of person 1 at (30.13, 40.5), `number` seconds past ten."""
    known = {
        "id": f"{number:032x}",
        "person": 1,
        "image": "a/one.jpg",
        "keypoint": "pelvis",
        "verdict": verdict,
        "old": Point(30.13, 40.5, 2),
        "new": Point(33.0, 41.0, 2) if verdict == Verdict.MOVE else None,
        "reviewer": "ann",
        "time": f"2026-01-31T10:{number // 60:02d}:{number % 60:02d}Z",
    }
    return Correction(**{**known, **changes})


def added_people(
    seed: int = 0, n: int = 12, skeleton: Skeleton = COCO17, images: int = 4, crowds: float = 0.1
) -> tuple[Poses, Additions]:
    """N people of COCO's 17 keypoints (or another skeleton's) and what was added to them: points of every kind, and
    none."""
    rng = np.random.default_rng(seed)
    poses = random_people(skeleton, n=n, images=images, seed=seed, crowds=crowds)
    added = UNION21.missing_from(skeleton)
    shape = (n, len(added))
    takes = (poses.has_keypoints & ~poses.crowd)[:, None]
    visibility = np.where(takes, rng.integers(0, 3, shape), 0).astype(np.uint8)
    estimated = ((visibility > 0) | (rng.random(shape) < 0.7)) & takes
    source = rng.choice(np.array([Source.DERIVED, Source.STUDENT, Source.TEACHER], dtype=object), shape)
    source[~estimated] = Source.NONE
    decision = default_decision(estimated, visibility)
    decision[estimated & (rng.random(shape) < 0.3)] = Decision.ASK
    reason = np.where(decision == Decision.ASK, Reason.TO_ASK, Reason.ADDED).astype(object)
    reason[~estimated] = Reason.NO_PREDICTOR
    corner, side = poses.bbox_xywh[:, None, :2], poses.bbox_xywh[:, None, 2:]
    xy = np.round(np.clip(corner + rng.random((*shape, 2)) * side, 0, 450), 2)
    additions = Additions(
        added,
        np.where(estimated[..., None], xy, np.nan),
        visibility,
        source,
        np.where(estimated, np.round(rng.random(shape), 4), 0.0),
        np.where(estimated & (rng.random(shape) < 0.7), np.round(20 * rng.random(shape), 2), np.nan),
        decision,
        reason,
    )
    return grown(poses, additions), additions


def grown(poses: Poses, additions: Additions) -> Poses:
    """The people in the union's keypoints, as the reader of an extended file gives them."""
    whole = poses.to(UNION21)
    at = UNION21.indices(additions.keypoints)
    xy, visibility = whole.xy.copy(), whole.visibility.copy()
    xy[:, at] = np.where(additions.added[..., None], additions.xy, np.nan)
    visibility[:, at] = additions.visibility
    return replace(whole, xy=xy, visibility=visibility)


def random_corrections(poses: Poses, additions: Additions, seed: int, n: int = 40) -> list[Correction]:
    """N decisions, several on one point, all at another time: of every verdict, by three reviewers."""
    rng = np.random.default_rng(seed)
    files = poses.file_names()
    people = rng.choice(len(poses), size=max(1, len(poses) // 2), replace=False)
    decisions = []
    for number in range(n):
        i, j = int(rng.choice(people)), int(rng.integers(len(additions.keypoints)))
        x, y = additions.xy[i, j].tolist()
        old = Point(x, y, int(additions.visibility[i, j])) if np.isfinite(x) else None
        verdicts = list(Verdict) if old else [Verdict.MOVE, Verdict.ABSENT, Verdict.UNDO, Verdict.NOTE]
        verdict = verdicts[int(rng.integers(len(verdicts)))]
        at = (old.x, old.y) if old else tuple(poses.bbox_xywh[i, :2].tolist())
        to_x, to_y = np.round(np.clip(np.array(at) + rng.normal(size=2) * 3, 0, 470), 2).tolist()
        changes = {"person": int(poses.ids[i]), "image": files[i], "keypoint": additions.keypoints[j], "old": old}
        new = Point(to_x, to_y, int(rng.integers(1, 3))) if verdict == Verdict.MOVE else None
        decisions.append(correction(number, verdict, **changes, new=new, reviewer=str(rng.choice(WHO))))
    return [replace(c, id=f"{1000 * seed + n:032x}") for n, c in enumerate(decisions)]


def undone(corrections: Sequence[Correction]) -> list[Correction]:
    """Every reviewer takes back everything, an hour later."""
    return [
        replace(
            c, id=f"{int(c.id, 16) + 2**64:032x}", verdict=Verdict.UNDO, new=None, time=c.time.replace("T10", "T11")
        )
        for c in corrections
    ]


def same(one: Additions, other: Additions) -> bool:
    """Whether the two say the same of every point."""
    return one.keypoints == other.keypoints and all(
        np.array_equal(a, b, equal_nan=a.dtype != object)
        for a, b in ((getattr(one, name), getattr(other, name)) for name in PER_POINT)
    )
