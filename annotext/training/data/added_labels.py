"""Which points of an extended file are labels to train on, and how much each of them counts.

Human labels count fully. Of what annotext added a recipe says: nothing; what a person placed or confirmed in review; or
also what nobody has looked at yet, each point as much as it is probably right.

N people, A added keypoints, K of the file's skeleton, the added ones included.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from annotext.core.additions import Additions, Decision, Source
from annotext.core.poses import Poses
from annotext.core.skeleton import Skeleton
from annotext.formats.annotations.read import AnnotationFile

Added = Literal["none", "reviewed", "scored"]

# What a reviewer says who finds a point where it should be.
_CONFIRMING = ("accept", "hidden")


class Origin(StrEnum):
    """Why a point is a label."""

    HUMAN = "human"  # the annotation file had it
    CORRECTED = "corrected"  # a person placed it in review
    CONFIRMED = "confirmed"  # a person accepted it in review
    DERIVED = "derived"  # computed from human labels, nobody looked
    SCORED = "scored"  # predicted, nobody looked: counts as much as its calibrated score
    NONE = ""  # no label


@dataclass(frozen=True)
class Labels:
    """The labels of N people.

    poses: they and nothing else, under a skeleton of K keypoints. weight: (N, K) float32 in [0, 1], 0 exactly where
    not labelled. origin: (N, K) object array of `Origin`.
    """

    poses: Poses
    weight: NDArray[np.float32]
    origin: NDArray[np.object_]

    def only(self, keypoints: tuple[str, ...]) -> Labels:
        """The same people with the labels of `keypoints` alone."""
        return self._where(np.isin(self.poses.skeleton.keypoints, keypoints)[None] & self.poses.labelled)

    def to(self, skeleton: Skeleton) -> Labels:
        """The same people under another skeleton, mapped by name; what this one lacks is not labelled."""
        shape = len(self.poses), len(skeleton)
        shared = skeleton.shared_with(self.poses.skeleton)
        there, here = skeleton.indices(shared), self.poses.skeleton.indices(shared)
        weight, origin = np.zeros(shape, np.float32), np.full(shape, Origin.NONE, dtype=object)
        weight[:, there], origin[:, there] = self.weight[:, here], self.origin[:, here]
        return Labels(self.poses.to(skeleton), weight, origin)

    def take(self, rows: NDArray[np.bool_]) -> Labels:
        """The people at `rows`, in that order."""
        return Labels(self.poses.take(rows), self.weight[rows], self.origin[rows])

    def count(self, origin: Origin) -> dict[str, int]:
        """How many labels of this origin there are, by keypoint."""
        found = (self.origin == origin).sum(axis=0)
        return {k: int(n) for k, n in zip(self.poses.skeleton.keypoints, found, strict=True)}

    def _where(self, kept: NDArray[np.bool_]) -> Labels:
        poses = replace(
            self.poses,
            xy=np.where(kept[..., None], self.poses.xy, np.nan),
            visibility=np.where(kept, self.poses.visibility, 0).astype(np.uint8),
        )
        origin = self.origin.copy()
        origin[~kept] = Origin.NONE
        return Labels(poses, np.where(kept, self.weight, 0).astype(np.float32), origin)


def labels_of(file: AnnotationFile, added: Added, min_score: float = 0.0) -> Labels:
    """The labels of an annotation file, plain or extended, under its own (grown) skeleton.

    added: which added points are labels: "none"; "reviewed", what a person placed or confirmed; "scored", also what was
    added unseen: derived points fully, calibrated ones as much as their score, from `min_score` up. Points without a
    calibrated score, to be asked about, withheld, rejected or absent are none.
    """
    poses = file.extended_poses
    weight = poses.labelled.astype(np.float32)
    origin = np.full(weight.shape, Origin.NONE, dtype=object)
    origin[poses.labelled] = Origin.HUMAN
    if file.additions is not None:
        columns = poses.skeleton.indices(file.additions.keypoints)
        origin[:, columns] = _origins(file.additions, added, min_score)
        scored = origin[:, columns] == Origin.SCORED
        weight[:, columns] = np.where(scored, file.additions.score, origin[:, columns] != Origin.NONE)
    return Labels(poses, weight, origin)._where(weight > 0)


def is_calibrated(file: AnnotationFile) -> bool:
    """Whether some scores of an extended file are probabilities."""
    return isinstance((file.header or {}).get("calibration"), dict)


def _origins(additions: Additions, added: Added, min_score: float) -> NDArray[np.object_]:
    """(N, A) why each added point is a label."""
    origin = np.full(additions.visibility.shape, Origin.NONE, dtype=object)
    if added == "none":
        return origin
    if added == "scored":
        unseen = additions.decision == Decision.ADD
        # Only a calibration knows a radius: without one a score is no probability.
        known = np.isfinite(additions.radius) & (additions.score >= min_score)
        origin[unseen & (additions.source == Source.DERIVED)] = Origin.DERIVED
        predicted = (additions.source == Source.STUDENT) | (additions.source == Source.TEACHER)
        origin[unseen & predicted & known] = Origin.SCORED
    for i, j in np.argwhere(additions.review != None).tolist():  # noqa: E711
        if additions.review[i, j].verdict in _CONFIRMING:
            origin[i, j] = Origin.CONFIRMED
    origin[(additions.source == Source.CORRECTED) & additions.added] = Origin.CORRECTED
    return origin
