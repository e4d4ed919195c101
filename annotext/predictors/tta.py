"""Test-time augmentation: the model runs again on the mirrored and the moved crop; a certain point stays where it is.

N crops, K keypoints.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from annotext.core.predictions import PredictorIdentity
from annotext.core.skeleton import Skeleton
from annotext.predictors.card import Card
from annotext.predictors.outputs.base import CropPoints
from annotext.predictors.predictor import Predictor

# How far the crop is moved to either side, as a share of the crop's width and height: more than a bin or a
# heatmap's cell (an eighth of 64), far less than a limb.
SHIFT = 1 / 32
FLIP, SHIFTED = "flip", "shift"
# The augmentations by the names of their features, and how often the model then runs again.
AUGMENTATIONS = {FLIP: 1, SHIFTED: 2}


class AugmentedPredictor:
    """A `Predictor` that adds the features `flip` and `shift`; points, scores and other features stay those of
    the crop as it is.

    `flip`: how far the point is from where the mirrored crop puts it. `shift`: the farther of the two places where
    crops moved by `SHIFT` to the lower right and to the upper left put it. Both as a share of the crop's longer side.
    A predictor that errs to one side whatever it sees has twice that error in every `flip`, and none of it in `shift`.
    """

    def __init__(self, predictor: Predictor, augmentations: Collection[str] = tuple(AUGMENTATIONS)) -> None:
        """augmentations: of `AUGMENTATIONS`, in any order; raises ValueError for another name."""
        unknown = [name for name in augmentations if name not in AUGMENTATIONS]
        if unknown:
            raise ValueError(f"there is no augmentation {', '.join(unknown)}, only {', '.join(AUGMENTATIONS)}")
        self._predictor, self._augmentations = predictor, frozenset(augmentations)
        self._partner = _partners(predictor.skeleton)

    @property
    def card(self) -> Card:
        """How crops are cut and what comes out."""
        return self._predictor.card

    @property
    def identity(self) -> PredictorIdentity:
        """Who says so, for files."""
        return self._predictor.identity

    @property
    def skeleton(self) -> Skeleton:
        """The K keypoints, in output order."""
        return self._predictor.skeleton

    def __call__(self, crops: NDArray[np.uint8]) -> CropPoints:
        """(N, height, width, 3) uint8 BGR crops -> their keypoints, with the features of the augmentations."""
        first = self._predictor(crops)
        features = dict(first.features)
        longer = max(crops.shape[1:3])
        if FLIP in self._augmentations:
            features[FLIP] = _share(self._mirrored(crops), first.xy, longer)
        if SHIFTED in self._augmentations:
            features[SHIFTED] = np.maximum(*(_share(self._moved(crops, s), first.xy, longer) for s in (1, -1)))
        return CropPoints(first.xy, first.score, features)

    def _mirrored(self, crops: NDArray[np.uint8]) -> NDArray[np.float64]:
        """(N, K, 2) crop pixels: the points of the mirrored crops, mirrored back."""
        xy = self._predictor(np.ascontiguousarray(crops[:, :, ::-1])).xy[:, self._partner]
        return np.stack([crops.shape[2] - 1 - xy[..., 0], xy[..., 1]], axis=-1)

    def _moved(self, crops: NDArray[np.uint8], sign: int) -> NDArray[np.float64]:
        """(N, K, 2) crop pixels: the points of the moved crops, moved back."""
        height, width = crops.shape[1:3]
        by = np.array([max(1, round(SHIFT * width)), max(1, round(SHIFT * height))]) * sign
        return self._predictor(_moved(crops, *by.tolist())).xy - by


def _share(xy: NDArray[np.float64], first: NDArray[np.float64], longer: int) -> NDArray[np.float32]:
    """(N, K) distances of (N, K, 2) crop pixels as a share of `longer`."""
    return (np.linalg.norm(xy - first, axis=-1) / longer).astype(np.float32)


def _partners(skeleton: Skeleton) -> list[int]:
    """For each keypoint the column of its mirror image."""
    partner = list(range(len(skeleton)))
    for left, right in skeleton.flip_pairs:
        one, other = skeleton.index[left], skeleton.index[right]
        partner[one], partner[other] = other, one
    return partner


def _moved(crops: NDArray[np.uint8], right: int, down: int) -> NDArray[np.uint8]:
    """The content moved by whole pixels; what comes in at the edge repeats the last row and column."""
    height, width = crops.shape[1:3]
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - right, 0, width - 1)
    return np.ascontiguousarray(crops[:, rows][:, :, columns])
