"""What is known about where points lie: labels, or people's decisions from review.

Decisions add to the labels of another data set how often points are right on the people that the calibration is for.
N people, A added keypoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotext.calibration.model import Truth
from annotext.core.additions import Additions, Source
from annotext.core.poses import Poses
from annotext.core.predictions import Predictions


@dataclass(frozen=True)
class ReviewedPoints:
    """What reviewers decided about A keypoints of N people.

    place: (N, A, 2) float64 image pixels, where the point is; NaN where unknown. rejected: (N, A, 2) float64 image
    pixels, where it is not; NaN where unknown. absent: (N, A) bool, nowhere in the image.
    """

    keypoints: tuple[str, ...]
    place: NDArray[np.float64]
    rejected: NDArray[np.float64]
    absent: NDArray[np.bool_]

    @classmethod
    def of(cls, additions: Additions) -> ReviewedPoints:
        """The decisions that an extended file holds, and points that a person placed."""
        verdict = np.full(additions.visibility.shape, "", dtype=object)
        for i, j in np.argwhere(additions.review != None).tolist():  # noqa: E711
            verdict[i, j] = str(additions.review[i, j].verdict)
        placed = np.isin(verdict, ("accept", "hidden")) | (additions.added & (additions.source == Source.CORRECTED))
        return cls(
            additions.keypoints,
            np.where(placed[..., None], additions.xy, np.nan),
            np.where((verdict == "reject")[..., None], additions.xy, np.nan),
            np.asarray(verdict == "absent"),
        )

    @classmethod
    def of_labels(cls, keypoints: tuple[str, ...], xy: NDArray[np.float64]) -> ReviewedPoints:
        """(N, A, 2) labels, image pixels, NaN where not labelled, as if a reviewer had placed each."""
        return cls(keypoints, xy, np.full_like(xy, np.nan), np.zeros(xy.shape[:2], dtype=bool))

    @property
    def decided(self) -> NDArray[np.bool_]:
        """(N, A) bool: something is known that can be learned from."""
        return np.isfinite(self.place).all(axis=-1) | np.isfinite(self.rejected).all(axis=-1) | self.absent

    def only(self, keypoints: Sequence[str]) -> ReviewedPoints:
        """The decisions on `keypoints`, in their order; nothing is known of those that are not here."""
        there = [k for k in keypoints if k in self.keypoints]
        here, mine = [keypoints.index(k) for k in there], [self.keypoints.index(k) for k in there]
        n = len(self.absent)
        only = ReviewedPoints.of_labels(tuple(keypoints), np.full((n, len(keypoints), 2), np.nan))
        for name in ("place", "rejected", "absent"):
            getattr(only, name)[:, here] = getattr(self, name)[:, mine]
        return only

    def evaluate(
        self, xy: NDArray[np.float64], limit: NDArray[np.float64], size: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """How far off (N, A, 2) points are, `limit`, and what reviewers decided of them: the fields of an `Outcome`.

        limit: (N, A) in sizes, the largest error that is right. size: (N,) pixels. A point where a rejected one lay, or
        that is absent, is wrong (0) by an unknown error. Elsewhere the distance from the place decides (NaN).
        """
        error = np.linalg.norm(xy - self.place, axis=-1) / size[:, None]
        near_rejected = np.linalg.norm(xy - self.rejected, axis=-1) / size[:, None] <= limit
        return error, limit, np.where(near_rejected | self.absent, 0.0, np.nan)


@dataclass(frozen=True)
class ReviewedPeople:
    """poses: N people, with the labels that may be looked at. predictions: as `learn` takes them, of the same people.
    reviewed: of A keypoints. truth: where they come from."""

    poses: Poses
    predictions: Sequence[Predictions]
    reviewed: ReviewedPoints
    truth: Truth
