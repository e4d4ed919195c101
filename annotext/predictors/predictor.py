"""The seam between pictures and keypoints: whatever turns crops of people into points in them."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from annotext.core.predictions import PredictorIdentity
from annotext.core.skeleton import Skeleton
from annotext.predictors.card import Card
from annotext.predictors.outputs.base import CropPoints


class Predictor(Protocol):
    """A model and its card. Implementations know crops only; images and boxes belong to the pipeline."""

    @property
    def card(self) -> Card:
        """How crops are cut and what comes out."""
        ...

    @property
    def identity(self) -> PredictorIdentity:
        """Who says so, for files."""
        ...

    @property
    def skeleton(self) -> Skeleton:
        """The K keypoints, in output order."""
        ...

    def __call__(self, crops: NDArray[np.uint8]) -> CropPoints:
        """(N, height, width, 3) uint8 crops, BGR as OpenCV decodes them, N >= 1 -> their keypoints."""
        ...
