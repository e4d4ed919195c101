"""Which added points are open for review, and how doubtful they are: what a reviewer sorts by.

N people, A added keypoints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.additions import Additions, Decision, Source
from annotext.core.frame import MIN_INPUTS, count, size_of
from annotext.core.poses import Poses
from annotext.core.predictions import Predictions, matched

# Predictors cut their crops a quarter larger than the box (RTMPose, HRNet: MMPose's GetBBoxCenterScale); what test-time
# augmentation displaced is a share of the crop's longer side, and predictions do not keep their crops.
CROP_OF_BOX = 1.25
# From here predictors disagree, in person sizes. One student's flip and shift on 1,000 synthetic COCO people: of the
# predicted points of the 174 people from here up .101 were wrong, of the others' .008; on 1,000 MPII people, candidates
# included, .696 of those of 139 people, and .437.
DISAGREE_FROM = 0.2
# Features that say how far test-time augmentation moved a point.
_AUGMENTED = ("flip", "shift")


def add_limits(keypoints: Sequence[str], header: Mapping[str, Any]) -> NDArray[np.float64]:
    """(A,) the score from which up each keypoint is added unseen, by the file's header; NaN where it names none.

    header: `AnnotationFile.header`. No limit: uncalibrated, or no score meets the target.
    """
    policy = header.get("policy")
    limits = policy.get("limits") if isinstance(policy, Mapping) else None
    entries = [limits.get(k) if isinstance(limits, Mapping) else None for k in keypoints]
    found = [e.get("add_from") if isinstance(e, Mapping) else None for e in entries]
    return np.array([np.nan if f is None else float(f) for f in found], dtype=np.float64)


def predicted(additions: Additions) -> NDArray[np.bool_]:
    """(N, A) bool: a model made the estimate."""
    return np.asarray((additions.source == Source.STUDENT) | (additions.source == Source.TEACHER))


def undecided(additions: Additions) -> NDArray[np.bool_]:
    """(N, A) bool: there is an estimate, and no review has decided about it."""
    return np.asarray((additions.source != Source.NONE) & (additions.review == None))  # noqa: E711


def open_points(
    additions: Additions, limits: NDArray[np.float64] | None = None, *, withheld: bool = True, derived: bool = False
) -> NDArray[np.bool_]:
    """(N, A) bool: undecided points a reviewer may be asked about: asked about already, written, or kept back.

    limits: (A,) scores from which a written point is sure enough (NaN: none is asked about for its score); without them
    every predicted point that is written is open, and an order weighs its score. withheld: candidates that the policy
    kept back are open, too. derived: so are points that follow from labels, where a file asks about them or withholds
    them; annotext's policy always adds them, and one that is added is never open.
    """
    made = predicted(additions)
    kept = additions.asked | (additions.decision == Decision.WITHHOLD) if withheld else additions.asked
    written = additions.added & made
    if limits is not None:
        written &= additions.score < limits  # False where there is no limit
    return undecided(additions) & (written | (kept if derived else kept & made))


def lowest_score(additions: Additions) -> NDArray[np.float64]:
    """(N,) the lowest score of an undecided point that is written or asked about; NaN where there is none."""
    counted = _counted(additions)
    lowest = np.where(counted, additions.score, np.inf).min(axis=1, initial=np.inf)
    return np.where(np.isfinite(lowest), lowest, np.nan)


def expected_wrong(additions: Additions) -> NDArray[np.float64]:
    """(N,) sum of 1 - score over the undecided points that are written or asked about: with calibrated scores the
    number of wrong points to expect. Withheld points are no labels and do not count."""
    return np.where(_counted(additions), 1.0 - additions.score, 0.0).sum(axis=1)


def _counted(additions: Additions) -> NDArray[np.bool_]:
    return undecided(additions) & (additions.added | additions.asked)


def person_size(poses: Poses) -> NDArray[np.float64]:
    """(N,) px, `Frame.size` of the points a person has, added ones too; NaN with fewer than three different ones."""
    size = size_of(poses.xy)
    return np.where((count(poses.xy) >= MIN_INPUTS) & (size > 0), size, np.nan)


def disagreement(poses: Poses, additions: Additions, predictions: Sequence[Predictions]) -> NDArray[np.float64]:
    """(N,) the largest disagreement about a predicted point of the person, in person sizes; NaN where none is known.

    Of a keypoint that several predictors know: the largest distance between two of them. Of one that a single predictor
    knows: how far test-time augmentation (`flip`, `shift`) moved it, whichever is more; their share of the crop is
    turned into pixels as if the crop were `CROP_OF_BOX` times the box.
    """
    n, a = additions.visibility.shape
    size = person_size(poses)[:, None]
    places = np.full((len(predictions), n, a, 2), np.nan)
    moved = np.full((n, a), np.nan)
    for i, one in enumerate(predictions):
        rows, them = matched(poses.ids, one.ids)
        for column, keypoint in enumerate(additions.keypoints):
            if keypoint not in one.skeleton.index:
                continue
            k = one.skeleton.index[keypoint]
            places[i, rows, column] = one.xy[them, k]
            for name in _AUGMENTED:
                if name in one.features:
                    moved[rows, column] = np.fmax(moved[rows, column], one.features[name][them, k])
    between = np.full((n, a), np.nan)
    for i in range(len(predictions)):
        for j in range(i):
            between = np.fmax(between, np.linalg.norm(places[i] - places[j], axis=-1))
    crop = CROP_OF_BOX * poses.bbox_xywh[:, 2:].max(axis=1, initial=0)[:, None]
    share = np.where(np.isfinite(between), between, moved * crop) / size
    share = np.where(predicted(additions) & np.isfinite(share), share, -np.inf).max(axis=1, initial=-np.inf)
    return np.where(np.isfinite(share), share, np.nan)
