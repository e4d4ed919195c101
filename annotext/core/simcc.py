"""SimCC: a keypoint as one distribution over x bins and one over y bins (RTMPose; Li et al., ECCV 2022).

N people, K keypoints, B bins of one axis. Bin b stands at crop pixel b / split_ratio.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

# A decoded point's score is the mass its distribution puts within this many target sigmas of the peak: the target
# Gaussian itself then scores 0.954 per axis, a flat distribution almost nothing.
SCORE_RADIUS_SIGMAS = 2.0


def gaussian_targets(position: ArrayLike, bins: int, split_ratio: float, sigma: float) -> NDArray[np.float32]:
    """(..., B) float32 Gaussian targets that sum to 1 over the bins.

    position: (...,) crop pixels of the keypoint on this axis; NaN, or a Gaussian more than 3 sigma outside the
        input, gives a row of zeros. sigma: crop pixels.
    """
    mu = np.asarray(position, dtype=np.float64) * split_ratio
    spread = sigma * split_ratio
    with np.errstate(invalid="ignore"):
        inside = (mu > -3 * spread) & (mu < bins - 1 + 3 * spread)
    offset = np.arange(bins) - np.where(inside, mu, 0.0)[..., None]
    target = np.exp(-0.5 * (offset / spread) ** 2)
    target /= target.sum(axis=-1, keepdims=True)
    return np.where(inside[..., None], target, 0.0).astype(np.float32)


def softmax(logits: ArrayLike, beta: float = 1.0) -> NDArray[np.float32]:
    """softmax(beta x logits) over the last axis; RTMPose trains with beta = 10 (MMPose KLDiscretLoss)."""
    scaled = np.asarray(logits, dtype=np.float32) * np.float32(beta)
    scaled = scaled - scaled.max(axis=-1, keepdims=True)
    exp = np.exp(scaled)
    return exp / exp.sum(axis=-1, keepdims=True)


def heatmap_marginals(heatmap: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(..., h, w) non-negative heatmaps -> (..., w) x and (..., h) y distributions; an empty map gives flat ones."""
    weights = np.clip(np.asarray(heatmap, dtype=np.float32), 0.0, None)
    total = weights.sum(axis=(-1, -2), keepdims=True)
    h, w = weights.shape[-2:]
    weights = np.where(total > 0, weights / np.where(total > 0, total, 1), 1.0 / (h * w)).astype(np.float32)
    return weights.sum(axis=-2), weights.sum(axis=-1)


def peak_position(distribution: ArrayLike) -> NDArray[np.float64]:
    """(..., B) -> (...,) float64 sub-bin position of the maximum.

    A parabola through the logarithms of the peak and its two neighbours, exact for a Gaussian; at the ends and on
    plateaus the bin itself. Always finite, within half a bin of the maximum.
    """
    p = np.asarray(distribution, dtype=np.float64)
    top = p.argmax(axis=-1)
    bins = p.shape[-1]
    middle = np.clip(top, 1, bins - 2) if bins >= 3 else top
    if bins < 3:
        return top.astype(np.float64)

    def at(index: NDArray[np.intp]) -> NDArray[np.float64]:
        value = np.take_along_axis(p, index[..., None], axis=-1)[..., 0]
        return np.log(np.maximum(value, 1e-12))

    left, mid, right = at(middle - 1), at(middle), at(middle + 1)
    curvature = left - 2 * mid + right
    bent = (curvature < 0) & (middle == top)
    shift = np.where(bent, 0.5 * (left - right) / np.where(bent, curvature, -1.0), 0.0)
    return top + np.clip(shift, -0.5, 0.5)


def mass_near_peak(distribution: ArrayLike, radius: float) -> NDArray[np.float32]:
    """(..., B) -> (...,) float32 in [0, 1], the mass within `radius` bins of the maximum."""
    p = np.asarray(distribution, dtype=np.float32)
    top = p.argmax(axis=-1)[..., None]
    near = np.abs(np.arange(p.shape[-1]) - top) <= radius
    return np.clip(np.where(near, p, 0.0).sum(axis=-1), 0.0, 1.0).astype(np.float32)


def entropy(distribution: ArrayLike) -> NDArray[np.float32]:
    """(..., B) -> (...,) float32 entropy divided by log(B): 0 for a spike, 1 for a flat distribution."""
    p = np.asarray(distribution, dtype=np.float32)
    return (-(p * np.log(np.maximum(p, 1e-12))).sum(axis=-1) / np.log(p.shape[-1])).astype(np.float32)


def decode(
    x: ArrayLike, y: ArrayLike, *, split_ratio: float, sigma: float | tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Distributions (N, K, Bx) and (N, K, By) -> (N, K, 2) crop pixels and (N, K) scores in [0, 1].

    sigma: the target's standard deviation in crop pixels, one for both axes or (x, y); the score is the product over
    the two axes of the mass within `SCORE_RADIUS_SIGMAS` of the peak.
    """
    sigma_x, sigma_y = sigma if isinstance(sigma, tuple) else (sigma, sigma)
    radius_x, radius_y = (SCORE_RADIUS_SIGMAS * s * split_ratio for s in (sigma_x, sigma_y))
    xy = np.stack([peak_position(x), peak_position(y)], axis=-1) / split_ratio
    return xy, mass_near_peak(x, radius_x) * mass_near_peak(y, radius_y)
