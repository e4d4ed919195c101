"""From labels and predictions to decisions: what each person gains, from where, and what is kept back.

N people, A keypoints that their file lacks, P predictors in the order they were given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.derive import MIDPOINTS, derive
from annotext.core.poses import Additions, Poses, Source, Visibility
from annotext.core.predictions import Predictions

# A predicted point below this score is kept as a candidate and not written as a label. Scores are not calibrated yet
# and mean something else for each model; the default only cuts where most points are wrong. Measured by
# benchmarks/real_models.py on 551 real COCO persons (right = within 0.2 torso of the label): EfficientPose I .591 right
# of all, .804 at or above .3, .237 below; simplepose .833, .887, .40. For students it is a guess until calibration.
DEFAULT_MIN_SCORE = 0.3

# A derived point follows from two human labels; on MPII val 99.8 % lie within 0.1 head size of MPII's own label.
DERIVED_SCORE = 1.0

# The feature in which a prediction says how many pixels a point lies outside its image.
OUTSIDE = "outside"


class Reason(StrEnum):
    """Why a person did not gain a keypoint."""

    ADDED = ""
    LOW_SCORE = "score below the minimum"
    OUTSIDE_IMAGE = "outside the image"
    NO_PREDICTOR = "no predictor knows it"
    NOT_PREDICTED = "person not predicted"
    NO_KEYPOINTS = "person without labelled keypoints"
    CROWD = "crowd"


@dataclass(frozen=True)
class Policy:
    """What may become a label. min_score: predicted points below it are withheld; in [0, 1]."""

    min_score: float = DEFAULT_MIN_SCORE

    def __post_init__(self) -> None:
        if not 0 <= self.min_score <= 1:
            raise ValueError(f"min_score is {self.min_score}, expected 0 to 1")

    def to_dict(self) -> dict[str, Any]:
        """For the header of an extended file."""
        return {"name": "min_score", "min_score": self.min_score, "derived": list(MIDPOINTS)}


@dataclass(frozen=True)
class Decisions:
    """What N people gain, and why not. reason: (N, A) object array of `Reason`, ADDED where the point is written."""

    additions: Additions
    reason: NDArray[np.object_]


def gains_keypoints(poses: Poses) -> NDArray[np.bool_]:
    """(N,) bool: people to whom anything is added at all: not a crowd, and at least one keypoint labelled."""
    return poses.has_keypoints & ~poses.crowd


def decide(poses: Poses, predictions: Sequence[Predictions], keypoints: Sequence[str], policy: Policy) -> Decisions:
    """What each of N people gains of the A `keypoints`.

    A keypoint is derived wherever a person labelled both its parents; else it comes from the first of `predictions`
    that knows it and saw the person (matched by id). Predicted points outside the image or below the policy's minimum
    are withheld: they keep coordinates, source and score, with visibility 0.
    """
    n, a = len(poses), len(keypoints)
    eligible = gains_keypoints(poses)
    xy, visibility = derive(poses, keypoints)
    xy[~eligible], visibility[~eligible] = np.nan, Visibility.NOT_LABELLED
    source = np.full((n, a), Source.NONE, dtype=object)
    score = np.zeros((n, a))
    reason = np.full((n, a), Reason.NO_PREDICTOR, dtype=object)
    derived = visibility > 0
    source[derived], score[derived], reason[derived] = Source.DERIVED, DERIVED_SCORE, Reason.ADDED
    row_of = {int(i): row for row, i in enumerate(poses.ids)}
    for prediction in predictions:
        known = [k for k in keypoints if k in prediction.skeleton.index]
        columns = np.array([list(keypoints).index(k) for k in known], dtype=np.intp)
        open_places = reason[:, columns] == Reason.NO_PREDICTOR
        reason[:, columns] = np.where(open_places, Reason.NOT_PREDICTED, reason[:, columns])
        seen = np.array([i for i, person in enumerate(prediction.ids) if int(person) in row_of], dtype=np.intp)
        rows = np.array([row_of[int(prediction.ids[i])] for i in seen], dtype=np.intp)
        outside = _outside(prediction, poses, seen, rows)
        for column, there in zip(columns, prediction.skeleton.indices(known), strict=True):
            free = eligible[rows] & (source[rows, column] == Source.NONE)
            here, them = rows[free], seen[free]
            value = prediction.score[them, there].astype(np.float64)
            xy[here, column], score[here, column] = prediction.xy[them, there], value
            source[here, column], reason[here, column] = prediction.predictor.source, Reason.ADDED
            reason[here[value < policy.min_score], column] = Reason.LOW_SCORE
            reason[here[outside[free, there]], column] = Reason.OUTSIDE_IMAGE
            added = reason[here, column] == Reason.ADDED
            visibility[here, column] = np.where(added, Visibility.VISIBLE, Visibility.NOT_LABELLED)
    reason[~eligible] = Reason.NO_KEYPOINTS
    reason[poses.crowd] = Reason.CROWD
    return Decisions(Additions(tuple(keypoints), xy, visibility, source, score), reason)


def _outside(
    prediction: Predictions, poses: Poses, seen: NDArray[np.intp], rows: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """(len(seen), K) bool: by the prediction's own feature where it has one, else by the sizes the file names."""
    if OUTSIDE in prediction.features:
        return prediction.features[OUTSIDE][seen] > 0
    images = [poses.images[i] for i in poses.image_index[rows]]
    last = np.array([((i.width or np.inf) - 1, (i.height or np.inf) - 1) for i in images]).reshape(-1, 1, 2)
    xy = prediction.xy[seen]
    return np.any((xy < 0) | (xy > last), axis=-1)
