"""Heatmaps to points: peak, sub-cell position and what the map's shape says about it.

N crops, K keypoints, maps of h x w cells.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from annotext.core import simcc
from annotext.predictors.card import HeatmapOutput
from annotext.predictors.predictor import CropPoints

# A second peak is looked for further than this share of the map's longer side from the first. HRNet's target (sigma 2
# cells on 48 x 64) is below 1 % at 6 cells, a tenth of 64.
SECOND_PEAK_DISTANCE = 0.1


def decode_heatmaps(heatmaps: NDArray[np.float32], output: HeatmapOutput) -> CropPoints:
    """(N, K, h, w) float32 maps -> crop pixels, score (the peak, clipped to [0, 1]) and features.

    Features: `peak`, the smoothed map's maximum as it is; `entropy`, of the map's two marginals, 0 sharp to 1 flat;
    `second`, the highest value away from the peak relative to it, 0 where there is none.
    """
    n, k, h, w = heatmaps.shape
    maps = _smooth(heatmaps, output.smooth_sigma)
    flat = maps.reshape(n, k, h * w)
    top = flat.argmax(axis=-1)
    row, column = np.divmod(top, w)
    peak = np.take_along_axis(flat, top[..., None], axis=-1)[..., 0]
    along_x = np.take_along_axis(maps, row[..., None, None], axis=2)[:, :, 0]
    along_y = np.take_along_axis(maps, column[..., None, None], axis=3)[..., 0]
    cell = np.stack([simcc.peak_position(along_x), simcc.peak_position(along_y)], axis=-1)
    x, y = simcc.heatmap_marginals(maps)
    return CropPoints(
        xy=cell * output.stride + output.offset,
        score=np.clip(peak, 0.0, 1.0).astype(np.float32),
        features={
            "peak": peak.astype(np.float32),
            "entropy": ((simcc.entropy(x) + simcc.entropy(y)) / 2).astype(np.float32),
            "second": _second_peak(maps, row, column, peak),
        },
    )


def _smooth(heatmaps: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    if sigma == 0:
        return heatmaps
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
