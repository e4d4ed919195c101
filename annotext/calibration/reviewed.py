"""People's decisions from review as a truth: what is right, what is wrong, and how far off, where that is known.

Beside the labels of another data set they teach what that data set cannot: how points fare on one's own people.
N people, A added keypoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from annotext.core.additions import Additions, Source


@dataclass(frozen=True)
class Reviewed:
    """What reviewers said of A keypoints of N people.

    place: (N, A, 2) float64 image pixels, where the point is; NaN where nobody said. confirmed: (N, A) bool, that is
    where the estimate stood: near enough, said somebody, not placed by hand. rejected: (N, A, 2) float64 image pixels,
    where it is not; NaN where nobody said. absent: (N, A) bool, nowhere in the image.
    """

    keypoints: tuple[str, ...]
    place: NDArray[np.float64]
    confirmed: NDArray[np.bool_]
    rejected: NDArray[np.float64]
    absent: NDArray[np.bool_]

    @classmethod
    def of(cls, additions: Additions) -> Reviewed:
        """The decisions that an extended file holds, and points that a person placed."""
        verdict = np.full(additions.visibility.shape, "", dtype=object)
        for i, j in np.argwhere(additions.review != None).tolist():  # noqa: E711
            verdict[i, j] = str(additions.review[i, j].verdict)
        confirmed = (verdict == "accept") | (verdict == "hidden")
        placed = confirmed | (additions.added & (additions.source == Source.CORRECTED))
        return cls(
            additions.keypoints,
            np.where(placed[..., None], additions.xy, np.nan),
            confirmed,
            np.where((verdict == "reject")[..., None], additions.xy, np.nan),
            np.asarray(verdict == "absent"),
        )

    @property
    def decided(self) -> NDArray[np.bool_]:
        """(N, A) bool: somebody said something that can be learned from."""
        return np.isfinite(self.place).all(axis=-1) | np.isfinite(self.rejected).all(axis=-1) | self.absent

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Reviewed:
        """The people at `rows`, in that order."""
        arrays = ("place", "confirmed", "rejected", "absent")
        return replace(self, **{name: getattr(self, name)[rows] for name in arrays})

    def only(self, keypoints: Sequence[str]) -> Reviewed:
        """The decisions on `keypoints`, in their order; nobody said anything of those that are not here."""
        keypoints = tuple(keypoints)
        n, a = len(self.absent), len(keypoints)
        mine = Reviewed(
            keypoints,
            np.full((n, a, 2), np.nan),
            np.zeros((n, a), dtype=bool),
            np.full((n, a, 2), np.nan),
            np.zeros((n, a), dtype=bool),
        )
        for column, keypoint in enumerate(keypoints):
            if keypoint in self.keypoints:
                there = self.keypoints.index(keypoint)
                for name in ("place", "confirmed", "rejected", "absent"):
                    getattr(mine, name)[:, column] = getattr(self, name)[:, there]
        return mine

    def judge(
        self, xy: NDArray[np.float64], limit: NDArray[np.float64], size: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """How far off (N, A, 2) points are, (N, A) in sizes, and what reviewers said of them, (N, A).

        limit: (N, A) in sizes, the largest error that is right. size: (N,) pixels. A point where a rejected one lay, or
        that is absent, is wrong (0) by an unknown error. Elsewhere the distance from the place decides (NaN).
        """
        error = np.linalg.norm(xy - self.place, axis=-1) / size[:, None]
        near_rejected = np.linalg.norm(xy - self.rejected, axis=-1) / size[:, None] <= limit
        return error, np.where(near_rejected | self.absent, 0.0, np.nan)
