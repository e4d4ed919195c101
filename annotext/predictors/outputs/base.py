"""What an output kind is: one way in which a model's tensors hold keypoints.

N crops, K keypoints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class CropPoints:
    """Keypoints of N crops.

    xy: (N, K, 2) float64, crop pixels, finite. score: (N, K) float32 in [0, 1]. features: (N, K) float32 by name.
    """

    xy: NDArray[np.float64]
    score: NDArray[np.float32]
    features: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


class Output(Protocol):
    """A frozen dataclass whose fields are the keys of a card's `output`, beside `kind`; it is listed in
    `annotext.predictors.outputs`. input_wh is always the (width, height) of the model's input, pixels.

    As a teacher a model gives log-potentials: bin i of either axis stands at crop pixel i x step + offset.
    """

    kind: ClassVar[str]

    @property
    def names(self) -> Sequence[str]:
        """Of the tensors, as the model calls them."""
        ...

    @property
    def step(self) -> float:
        """Crop pixels from bin to bin."""
        ...

    @property
    def offset(self) -> float:
        """Crop pixel of bin 0."""
        ...

    @property
    def sigma(self) -> tuple[float, float]:
        """(x, y) crop pixels: the width of a sharp distribution."""
        ...

    def shapes(self, keypoints: int, input_wh: tuple[int, int]) -> list[tuple[int | None, ...]]:
        """Of each tensor; None for a side that may have any length. The first is N."""
        ...

    def decode(self, tensors: Sequence[NDArray[np.float32]], input_wh: tuple[int, int]) -> CropPoints:
        """The points in the tensors, which are float32 and in the order of `names`."""
        ...

    def log_potentials(
        self, tensors: Sequence[NDArray[np.float32]], input_wh: tuple[int, int]
    ) -> tuple[NDArray[np.float32], ...]:
        """(N, K, Bx) and (N, K, By) float32, whose softmax is what the model believes; then, from a kind that has a
        score of its own, (N, K) float32 in [0, 1]."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """The card's `output`."""
        ...
