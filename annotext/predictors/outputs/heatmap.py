"""Heatmap outputs: one map per keypoint, whose peak is the point.

N crops, K keypoints, maps of h x w cells.
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

# A second peak is looked for further than this share of the map's longer side from the first. HRNet's target (sigma 2
# cells on 48 x 64) is below 1 % at 6 cells, a tenth of 64.
SECOND_PEAK_DISTANCE = 0.1

# A heatmap's target in cells (HRNet and most others).
_TARGET_SIGMA = 2.0

# What is below this share of a heatmap's peak is the network's noise: over a whole map it adds up, and would make the
# marginals two to three times as wide as the peak (seen on three real models; docs/LOG.md).
_NOISE = 0.05

# The logarithm of a marginal is taken of at least this.
_LEAST = 1e-8


@dataclass(frozen=True)
class HeatmapOutput:
    """One tensor (N, K, h, w): the centre of cell i is crop pixel i x stride + offset.

    smooth_sigma: Gaussian smoothing in cells before the peak is taken, 0 for none.
    """

    kind: ClassVar[str] = "heatmap"
    name: str
    stride: float
    offset: float = 0.0
    smooth_sigma: float = 0.0

    def __post_init__(self) -> None:
        demand(self.name != "", "name", "is empty")
        demand(self.stride > 0, "stride", f"is {self.stride:g}, expected more than 0")
        demand(self.smooth_sigma >= 0, "smooth_sigma", f"is {self.smooth_sigma:g}, expected 0 or more")

    @property
    def names(self) -> tuple[str]:
        return (self.name,)

    @property
    def step(self) -> float:
        return self.stride

    @property
    def sigma(self) -> tuple[float, float]:
        return _TARGET_SIGMA * self.stride, _TARGET_SIGMA * self.stride

    def shapes(self, keypoints: int, input_wh: tuple[int, int]) -> list[tuple[int | None, ...]]:
        return [(None, keypoints, None, None)]

    def decode(self, tensors: Sequence[NDArray[np.float32]], input_wh: tuple[int, int]) -> CropPoints:
        """Score: the peak, clipped to [0, 1].

        Features: `peak`, the smoothed map's maximum as it is; `entropy`, of the map's two marginals, 0 sharp to 1 flat;
        `second`, the highest value away from the peak relative to it, 0 where there is none.
        """
        (heatmaps,) = tensors
        n, k, h, w = heatmaps.shape
        maps = _smooth(heatmaps, self.smooth_sigma)
        flat = maps.reshape(n, k, h * w)
        top = flat.argmax(axis=-1)
        row, column = np.divmod(top, w)
        peak = np.take_along_axis(flat, top[..., None], axis=-1)[..., 0]
        along_x = np.take_along_axis(maps, row[..., None, None], axis=2)[:, :, 0]
        along_y = np.take_along_axis(maps, column[..., None, None], axis=3)[..., 0]
        cell = np.stack([simcc.peak_position(along_x), simcc.peak_position(along_y)], axis=-1)
        x, y = simcc.heatmap_marginals(maps)
        return CropPoints(
            xy=cell * self.stride + self.offset,
            score=np.clip(peak, 0.0, 1.0).astype(np.float32),
            features={
                "peak": peak.astype(np.float32),
                "entropy": ((simcc.entropy(x) + simcc.entropy(y)) / 2).astype(np.float32),
                "second": _second_peak(maps, row, column, peak),
            },
        )

    def log_potentials(
        self, tensors: Sequence[NDArray[np.float32]], input_wh: tuple[int, int]
    ) -> tuple[NDArray[np.float32], ...]:
        """The logarithms of the map's marginals, and its peak; a map without a positive value gives flat axes."""
        (maps,) = tensors
        peak = maps.max(axis=(-1, -2))
        x, y = simcc.heatmap_marginals(np.where(maps > _NOISE * peak[..., None, None], maps, 0.0))
        return np.log(np.maximum(x, _LEAST)), np.log(np.maximum(y, _LEAST)), np.clip(peak, 0.0, 1.0)

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "kind": self.kind, **asdict(self)}


def _smooth(heatmaps: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    if sigma == 0:
        return heatmaps
    import cv2  # here, so that reading a card stays quick

    out = np.empty_like(heatmaps)
    for index in np.ndindex(heatmaps.shape[:2]):
        cv2.GaussianBlur(heatmaps[index], (0, 0), sigma, dst=out[index], borderType=cv2.BORDER_REPLICATE)
    return out


def _second_peak(
    maps: NDArray[np.float32], row: NDArray[np.intp], column: NDArray[np.intp], peak: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(N, K) float32 in [0, 1]: the maximum outside a square about the peak, over the peak."""
    n, k, h, w = maps.shape
    radius = max(1, round(SECOND_PEAK_DISTANCE * max(h, w)))
    second = np.zeros((n, k), dtype=np.float32)
    for i, j in np.ndindex(n, k):
        y, x, m = int(row[i, j]), int(column[i, j]), maps[i, j]
        bands = (m[: max(0, y - radius)], m[y + radius + 1 :], m[:, : max(0, x - radius)], m[:, x + radius + 1 :])
        second[i, j] = max((float(b.max()) for b in bands if b.size), default=0.0)
    safe = np.where(peak > 0, peak, 1.0)
    return np.where(peak > 0, np.clip(second / safe, 0.0, 1.0), 1.0).astype(np.float32)
