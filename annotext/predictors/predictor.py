"""The seam between pictures and keypoints: whatever turns crops of people into points in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from annotext.core.predictions import PredictorIdentity
from annotext.core.skeleton import Skeleton
from annotext.predictors.card import Card


@dataclass(frozen=True)
class CropPoints:
    """Keypoints of N crops.

    xy: (N, K, 2) float64, crop pixels, finite. score: (N, K) float32 in [0, 1]. features: (N, K) float32 by name.
    """

    xy: NDArray[np.float64]
    score: NDArray[np.float32]
    features: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


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
