"""Added points that look wrong beside the labels: impossible limbs, points far outside the box, swapped sides.

Cheap and blunt: what it names is probably wrong, and most wrong points it does not name. How often both is so stands in
docs/plausibility.md. N people, K keypoints of the grown skeleton, A added ones, the last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from annotext.core.additions import Additions, Source
from annotext.core.anatomy import LONGEST_LIMBS, SHARED, SHORTEST_LIMBS, SHOULDERS
from annotext.core.frame import count, size_of
from annotext.core.poses import Poses

# A person's size is measured on the labelled ones of `SHARED`: limbs and torso, which every skeleton here has.
# With fewer of them, or on people this small, lengths relative to the size mean little.
MIN_LABELS = 6
MIN_SIZE = 20.0  # px

# How far outside its box a point may be, as a share of the box's longer side.
OUTSIDE = 0.2
# Sides are compared where the labelled shoulders are this far apart (in sizes): the person is not seen from the side.
SHOULDERS_APART = 0.4
# ... and are swapped where the right one lies this far (in sizes) on the left shoulder's side of the left one.
SWAPPED_BY = 0.05


class Code(StrEnum):
    """What is odd."""

    LIMB = "implausible limb"
    OUTSIDE_BOX = "outside the box"
    SWAPPED = "left and right swapped"


@dataclass(frozen=True)
class PlausibilityIssue:
    """One odd added point. row: of the person. numbers: what it rests on, JSON values."""

    row: int
    code: Code
    keypoint: str
    numbers: Mapping[str, float | str]

    def __str__(self) -> str:
        return f"{self.keypoint}: {self.code}"

    def explained(self) -> str:
        """With its numbers, in words."""
        n = self.numbers
        if self.code is Code.LIMB:
            bound = f"at most {n['longest']}" if "longest" in n else f"at least {n['shortest']}"
            return f"{self} ({n['ratio']} sizes to {n['to']}, {bound} in labels)"
        if self.code is Code.OUTSIDE_BOX:
            return f"{self} (by {n['share']} of its side)"
        return f"{self} (by {n['by']} sizes)"


def find_issues(poses: Poses, additions: Additions) -> list[PlausibilityIssue]:
    """What is odd about the predicted, written points of `additions`, by person, then in the order of `Code`.

    poses: as read from an extended file, added points included. additions: of the same people.
    """
    xy, human, score = _points(poses, additions)
    sized = np.where(human[..., None], poses.xy, np.nan)
    sized = sized[:, [poses.skeleton.index[k] for k in SHARED if k in poses.skeleton.index]]
    size = np.where(count(sized) >= MIN_LABELS, size_of(sized), np.nan)
    size = np.where(size >= MIN_SIZE, size, np.nan)
    found = [
        *_limbs(poses, xy, human, score, size),
        *_outside(poses, xy, human),
        *_swapped(poses, xy, human, size),
    ]
    order = list(Code)
    unique = {(o.row, o.code, o.keypoint): o for o in reversed(found)}
    return sorted(unique.values(), key=lambda o: (o.row, order.index(o.code), poses.skeleton.index[o.keypoint]))


def _points(poses: Poses, additions: Additions) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """(N, K, 2) shown points, (N, K) whether a human labelled them or they follow from labels, (N, K) score."""
    human = poses.labelled.copy()
    score = np.ones(human.shape)
    columns = poses.skeleton.indices(additions.keypoints)
    human[:, columns] &= ~additions.added | (additions.source == Source.DERIVED)
    score[:, columns] = np.where(additions.added, additions.score, 1.0)
    return poses.xy, human, score


def _limbs(
    poses: Poses,
    xy: NDArray[np.float64],
    human: NDArray[np.bool_],
    score: NDArray[np.float64],
    size: NDArray[np.float64],
) -> list[PlausibilityIssue]:
    index, names = poses.skeleton.index, poses.skeleton.keypoints
    odd_limbs = []
    tested, at_fault = np.zeros(human.shape), np.zeros(human.shape)
    for (one, other), longest, shortest in _both_sides(poses):
        a, b = index[one], index[other]
        ratio = np.linalg.norm(xy[:, a] - xy[:, b], axis=1) / size
        odd = (ratio > longest) | (ratio < shortest)
        for end in (a, b):
            tested[:, end] += np.isfinite(ratio)
            at_fault[:, end] += odd
        for row in np.flatnonzero(odd & ~(human[:, a] & human[:, b])).tolist():
            bound = {"longest": longest} if ratio[row] > longest else {"shortest": shortest}
            odd_limbs.append((row, a, b, {"ratio": round(float(ratio[row]), 3), **bound}))
    share = at_fault / np.maximum(tested, 1)
    found = []
    for row, a, b, numbers in odd_limbs:
        # The added end is at fault; of two the one with more limbs amiss, then the one that is less sure, then the one
        # with fewer limbs in order.
        ends = [end for end in (a, b) if not human[row, end]]
        worse = max(ends, key=lambda e: (at_fault[row, e], -score[row, e], share[row, e]))
        found.append(PlausibilityIssue(row, Code.LIMB, names[worse], {"to": names[a + b - worse], **numbers}))
    return found


def _both_sides(poses: Poses) -> list[tuple[tuple[str, str], float, float]]:
    """The limbs the skeleton has, on both sides: ends, longest, shortest."""
    index, partner = poses.skeleton.index, {}
    for left, right in poses.skeleton.flip_pairs:
        partner[left], partner[right] = right, left
    limbs = {}
    for (one, other), longest in LONGEST_LIMBS.items():
        shortest = SHORTEST_LIMBS.get((one, other), 0.0)
        for ends in ((one, other), (partner.get(one, one), partner.get(other, other))):
            if ends[0] in index and ends[1] in index and ends[::-1] not in limbs:
                limbs[ends] = (longest, shortest)
    return [(ends, *bounds) for ends, bounds in limbs.items()]


def _outside(poses: Poses, xy: NDArray[np.float64], human: NDArray[np.bool_]) -> list[PlausibilityIssue]:
    side = poses.bbox_xywh[:, 2:].max(axis=1, initial=0)
    near = poses.bbox_xywh[:, None, :2]
    beyond = np.maximum(near - xy, xy - (near + poses.bbox_xywh[:, None, 2:])).max(axis=-1)
    share = beyond / np.where(side > 0, side, np.nan)[:, None]
    odd = (share > OUTSIDE) & ~human
    return [
        PlausibilityIssue(row, Code.OUTSIDE_BOX, poses.skeleton.keypoints[k], {"share": round(float(share[row, k]), 3)})
        for row, k in np.argwhere(odd).tolist()
    ]


def _swapped(
    poses: Poses, xy: NDArray[np.float64], human: NDArray[np.bool_], size: NDArray[np.float64]
) -> list[PlausibilityIssue]:
    """Pairs of added points whose left one lies on the right shoulder's side of the right one."""
    index, found = poses.skeleton.index, []
    if not set(SHOULDERS) <= set(index):
        return []
    left, right = (index[k] for k in SHOULDERS)
    across = xy[:, left] - xy[:, right]
    apart = np.linalg.norm(across, axis=1)
    labelled = human[:, left] & human[:, right] & (apart > SHOULDERS_APART * size)
    for one, other in poses.skeleton.flip_pairs:
        a, b = index[one], index[other]
        if one not in _FACE:
            continue
        by = -((xy[:, a] - xy[:, b]) * across).sum(axis=1) / np.where(apart > 0, apart, np.nan) / size
        odd = labelled & ~human[:, a] & ~human[:, b] & (by > SWAPPED_BY)
        for row in np.flatnonzero(odd).tolist():
            found += [PlausibilityIssue(row, Code.SWAPPED, k, {"by": round(float(by[row]), 3)}) for k in (one, other)]
    return found


# Pairs that the shoulders say something about.
_FACE = ("left_eye", "left_ear")


def codes(issues: Sequence[PlausibilityIssue]) -> dict[str, int]:
    """How many of each kind."""
    return {str(code): sum(o.code is code for o in issues) for code in Code}
