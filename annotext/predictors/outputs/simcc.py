"""SimCC outputs: one distribution over x bins and one over y bins per keypoint.

N crops, K keypoints, Bx and By bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from annotext.core import simcc
from annotext.formats.files.typed import demand
from annotext.predictors.outputs.base import CropPoints


@dataclass(frozen=True)
class SimccOutput:
    """Two tensors of raw logits, (N, K, Bx) and (N, K, By): the distribution is softmax(beta x logits).

    names: of the x and the y tensor. split_ratio: bins per crop pixel. sigma: the target's standard deviation on x
    and on y, crop pixels.
    """

    kind: ClassVar[str] = "simcc"
    names: tuple[str, str]
    split_ratio: float
    beta: float
    sigma: tuple[float, float]

    def __post_init__(self) -> None:
        demand(all(self.names) and self.names[0] != self.names[1], "names", f"is {list(self.names)}")
        demand(self.split_ratio > 0, "split_ratio", f"is {self.split_ratio:g}, expected more than 0")
        demand(self.beta > 0, "beta", f"is {self.beta:g}, expected more than 0")
        demand(min(self.sigma) > 0, "sigma", f"is {list(self.sigma)}, expected numbers above 0")

    @property
    def step(self) -> float:
        return 1 / self.split_ratio

    @property
    def offset(self) -> float:
        return 0.0

    def shapes(self, keypoints: int, input_wh: tuple[int, int]) -> list[tuple[int | None, ...]]:
        return [(None, keypoints, round(side * self.split_ratio)) for side in input_wh]

    def decode(self, tensors: Sequence[NDArray[np.float32]], input_wh: tuple[int, int]) -> CropPoints:
        """Score: see `core.simcc.decode`.

        Features: `peak`, the smaller of the two highest raw logits (MMPose's score); `entropy`, mean of both axes, 0
        sharp to 1 flat; `second`, the highest probability beyond twice the score's radius relative to the peak, the
        larger axis.
        """
        x, y = (simcc.softmax(logits, self.beta) for logits in tensors)
        xy, score = simcc.decode(x, y, split_ratio=self.split_ratio, sigma=self.sigma)
        radius = [2 * simcc.SCORE_RADIUS_SIGMAS * sigma * self.split_ratio for sigma in self.sigma]
        return CropPoints(
            xy=xy,
            score=score,
            features={
                "peak": np.minimum(*(logits.max(axis=-1) for logits in tensors)).astype(np.float32),
                "entropy": ((simcc.entropy(x) + simcc.entropy(y)) / 2).astype(np.float32),
                "second": np.maximum(_second(x, radius[0]), _second(y, radius[1])),
            },
        )

    def log_potentials(
        self, tensors: Sequence[NDArray[np.float32]], input_wh: tuple[int, int]
    ) -> tuple[NDArray[np.float32], ...]:
        return tuple(np.float32(self.beta) * axis for axis in tensors)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, **asdict(self)}


def _second(distribution: NDArray[np.float32], radius: float) -> NDArray[np.float32]:
    """(..., B) -> (...,) float32 in [0, 1]: the highest value more than `radius` bins from the peak, over the peak."""
    top = distribution.argmax(axis=-1)[..., None]
    away = np.abs(np.arange(distribution.shape[-1]) - top) > radius
    return (np.where(away, distribution, 0.0).max(axis=-1) / distribution.max(axis=-1)).astype(np.float32)
