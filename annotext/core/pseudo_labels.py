"""Pseudo-labels, for people without labels: every keypoint is predicted, nothing follows from labels.

N people, K keypoints of their file's skeleton, A keypoints it lacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from annotext.core.additions import Additions, Decision, Reason, Source, columns
from annotext.core.policy import Policy, decide
from annotext.core.poses import Poses, Visibility
from annotext.core.predictions import Predictions

# A person with fewer sure points than this stays empty. On 541 labelled COCO persons whose labels were hidden
# (simplepose and EfficientPose I, points from a score of .3), points were right (KS >= .5) in .903 of 4,197 cases on
# people with at least ten sure points, and in .763 of 560 on the others. Eight: .897 and .721; twelve: .908 and .794.
MIN_POINTS = 10


@dataclass(frozen=True)
class PseudoLabelDecisions:
    """What people without labels gain: N of them.

    own: (N, K) the keypoints of the file's skeleton. added: (N, A) those it lacks. left_empty: (N,) bool: too few of
    the predicted points were sure enough, so that nothing at all is kept.
    """

    own: Additions
    added: Additions
    left_empty: NDArray[np.bool_]


def decide_pseudo_labels(
    poses: Poses,
    predictions: Sequence[Predictions],
    added: Sequence[str],
    policy: Policy,
    *,
    min_points: int,
) -> PseudoLabelDecisions:
    """What each of N people without labels gains: all keypoints of the file and the A `added` ones.

    Crowds gain nothing. Each point is decided as `decide` judges a predicted one without calibration. A person with
    fewer than `min_points` points that are sure enough stays empty, candidates included.
    Raises ValueError for a person with labels.
    """
    if poses.has_keypoints.any():
        raise ValueError(f"{int(poses.has_keypoints.sum())} of the people to get pseudo-labels have labels")
    keypoints = (*poses.skeleton.keypoints, *added)
    points = decide(poses, predictions, keypoints, policy, eligible=~poses.crowd).additions
    estimated = (points.source != Source.NONE).any(axis=1)
    left_empty = estimated & (points.added.sum(axis=1) < min_points)
    points = _emptied(points, left_empty)
    k = len(poses.skeleton)
    return PseudoLabelDecisions(columns(points, range(k)), columns(points, range(k, len(keypoints))), left_empty)


def _emptied(additions: Additions, rows: NDArray[np.bool_]) -> Additions:
    """Without anything about the people at `rows` but the reason."""
    change = rows[:, None]
    return replace(
        additions,
        xy=np.where(change[..., None], np.nan, additions.xy),
        visibility=np.where(change, Visibility.NOT_LABELLED, additions.visibility).astype(np.uint8),
        source=np.where(change, Source.NONE, additions.source),
        score=np.where(change, 0.0, additions.score),
        radius=np.where(change, np.nan, additions.radius),
        decision=np.where(change, Decision.NONE, additions.decision),
        reason=np.where(change, Reason.FEW_POINTS, additions.reason),
    )
