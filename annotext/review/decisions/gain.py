"""What a review would remove: the true errors of added points, and how much of them an order of people reaches early.

N people, A added keypoints, Q people in a queue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# A point cannot be more wrong than this, in person sizes; one that is not in the picture at all is so wrong.
WORST = 1.0


@dataclass(frozen=True)
class TrueErrors:
    """What is wrong with the points of N people, held against a truth.

    points: (N, A) bool, looked at by whoever reviews the person. distance: (N, A) float64, person sizes, to the truth;
    `WORST` where the truth says the point is not in the picture. wrong: (N, A) bool, a reviewer would correct it. Both
    0 outside `points`.
    """

    points: NDArray[np.bool_]
    distance: NDArray[np.float64]
    wrong: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        points: NDArray[np.bool_],
        xy: NDArray[np.float64],
        truth: NDArray[np.float64],
        size: NDArray[np.float64],
        tolerance: NDArray[np.float64],
    ) -> TrueErrors:
        """Of (N, A, 2) px `xy` against (N, A, 2) px `truth`, NaN where not in the picture.

        size: (N,) px. tolerance: (N, A) px, errors up to there are right.
        """
        away = xy - truth
        pixels = np.hypot(away[..., 0], away[..., 1])
        there = np.isfinite(pixels)
        distance = np.where(there, pixels / size[:, None], WORST)
        wrong = ~there | (pixels > tolerance)
        return cls(points, np.where(points, distance, 0.0), points & wrong)

    @property
    def mass(self) -> NDArray[np.float64]:
        """(N, A) float64: the error a review removes: distances of wrong points, none above `WORST`."""
        return np.where(self.wrong, np.minimum(self.distance, WORST), 0.0)


def removed(
    order: NDArray[np.intp],
    points: NDArray[np.float64],
    mass: NDArray[np.float64],
    shares: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(S,) share of all mass that is gone once (S,) `shares` of all points are reviewed in the order of (Q,) people.

    points, mass: (N,) per person; both may be weighted. Within a person's points the mass goes evenly. NaN where there
    is no mass at all.
    """
    total, all_points = float(mass[order].sum()), float(points[order].sum())
    if not total or not all_points:
        return np.full(len(shares), np.nan)
    seen = np.concatenate([[0.0], np.cumsum(points[order])]) / all_points
    gone = np.concatenate([[0.0], np.cumsum(mass[order])]) / total
    return np.interp(shares, seen, gone)


def best_order(points: NDArray[np.float64], mass: NDArray[np.float64], people: NDArray[np.intp]) -> NDArray[np.intp]:
    """(Q,) people by their true mass per point: what no queue can beat."""
    return people[np.argsort(-(mass[people] / np.maximum(points[people], 1)), kind="stable")]
