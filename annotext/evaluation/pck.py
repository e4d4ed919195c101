"""Shares of keypoints predicted closely enough: PCK in units of the torso, PCKh in units of the head.

Sources: Andriluka et al. 2014 (MPII; PCKh), and its common implementation, HRNet lib/dataset/mpii.py `evaluate`
(MMPose MpiiPCKAccuracy): a prediction is right if its distance is at most threshold x unit.
N people, K keypoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotext.core.anatomy import TORSO
from annotext.core.poses import Poses


@dataclass(frozen=True)
class Share:
    """How many of `total` (K,) labelled keypoints are right, `right` (K,); both int64."""

    right: NDArray[np.int64]
    total: NDArray[np.int64]

    def percent(self) -> NDArray[np.float64]:
        """(K,) float64, NaN where there is nothing to count."""
        return np.where(self.total > 0, 100.0 * self.right / np.maximum(self.total, 1), np.nan)

    def pooled_percent(self, columns: Sequence[int] | NDArray[np.intp]) -> float:
        """Right of all labelled keypoints in `columns`; NaN where there is nothing to count."""
        columns = np.asarray(columns, dtype=np.intp)
        total = int(self.total[columns].sum())
        return 100.0 * int(self.right[columns].sum()) / total if total else float("nan")


def distances(truth_xy: NDArray[np.float64], predicted_xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, K) float64 pixels; NaN where the truth is not labelled, infinite where nothing is predicted."""
    distance = np.linalg.norm(predicted_xy - truth_xy, axis=-1)
    missing = ~np.isfinite(predicted_xy).all(axis=-1) & np.isfinite(truth_xy).all(axis=-1)
    return np.where(missing, np.inf, distance)


def share_within(distance: NDArray[np.float64], unit: NDArray[np.float64], threshold: float) -> Share:
    """Count keypoints with distance <= threshold x unit.

    distance: (N, K) from `distances`. unit: (N,) pixels; people whose unit is NaN or not positive are not counted.
    """
    with np.errstate(invalid="ignore"):
        known = np.isfinite(unit) & (unit > 0)
        labelled = ~np.isnan(distance) & known[:, None]
        right = labelled & (distance <= threshold * np.where(known, unit, 0.0)[:, None])
    return Share(right.sum(axis=0, dtype=np.int64), labelled.sum(axis=0, dtype=np.int64))


def torso_size(poses: Poses) -> NDArray[np.float64]:
    """(N,) float64 pixels from the middle of the shoulders to the middle of the hips.

    NaN unless all four are labelled, or where the two middles coincide.
    """
    if any(k not in poses.skeleton.index for k in TORSO):
        return np.full(len(poses), np.nan)
    xy = poses.xy[:, poses.skeleton.indices(TORSO)]
    size = np.linalg.norm((xy[:, 0] + xy[:, 1] - xy[:, 2] - xy[:, 3]) / 2, axis=-1)
    return np.where(size > 0, size, np.nan)
