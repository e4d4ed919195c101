"""The predictions of one model for N people: the seam between slow pixels and cheap decisions.

N people, K keypoints of the predictor's skeleton.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from annotext.core.additions import Source
from annotext.core.skeleton import Skeleton


@dataclass(frozen=True)
class PredictorIdentity:
    """Which model predicted: a name for people, the sha256 of the model file, and the source its points carry."""

    name: str
    sha256: str
    source: Source

    def __post_init__(self) -> None:
        if self.source not in (Source.STUDENT, Source.TEACHER):
            raise ValueError(f"predictor {self.name}: source {self.source} is not a predictor's")

    def to_dict(self) -> dict[str, str]:
        """As reports and headers of extended files hold it."""
        return {"name": self.name, "sha256": self.sha256, "source": str(self.source)}


@dataclass(frozen=True)
class Predictions:
    """One predictor's keypoints for N people.

    predictor: which model.
    skeleton: the K keypoints of the arrays, in the model's order.
    ids: (N,) int64, the annotation ids of the people (MPII: record index), unique.
    file_names: N image file names.
    xy: (N, K, 2) float32, image pixels, 0-based; finite everywhere.
    score: (N, K) float32 in [0, 1]; comparable within one predictor, calibrated for none.
    features: further (N, K) float32 arrays by name (peak, entropy, ...), what calibration may learn from.
    """

    predictor: PredictorIdentity
    skeleton: Skeleton
    ids: NDArray[np.int64]
    file_names: tuple[str, ...]
    xy: NDArray[np.float32]
    score: NDArray[np.float32]
    features: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n, k = len(self.ids), len(self.skeleton)
        if len(self.file_names) != n or self.xy.shape != (n, k, 2) or self.score.shape != (n, k):
            raise ValueError(
                f"predictions of {self.predictor.name}: {n} ids, {len(self.file_names)} file names, "
                f"xy {self.xy.shape}, score {self.score.shape}, {k} keypoints"
            )
        for name, values in self.features.items():
            if values.shape != (n, k):
                raise ValueError(f"predictions of {self.predictor.name}: feature {name} has shape {values.shape}")
        if not np.isfinite(self.xy).all():
            raise ValueError(f"predictions of {self.predictor.name}: coordinates that are not finite")
        if n and not ((self.score >= 0) & (self.score <= 1)).all():
            raise ValueError(f"predictions of {self.predictor.name}: score outside [0, 1]")
        if len(np.unique(self.ids)) != n:
            raise ValueError(f"predictions of {self.predictor.name}: a person predicted twice")

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, ids: NDArray[np.int64]) -> Predictions:
        """The people with these ids, in that order. Raises KeyError for an id that is not here."""
        row_of = {int(i): row for row, i in enumerate(self.ids)}
        rows = np.array([row_of[int(i)] for i in ids], dtype=np.intp)
        return replace(
            self,
            ids=self.ids[rows],
            file_names=tuple(self.file_names[r] for r in rows),
            xy=self.xy[rows],
            score=self.score[rows],
            features={name: values[rows] for name, values in self.features.items()},
        )


def matched(ids: NDArray[np.int64], others: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where the same people stand in two lists of ids: `ids[rows] == others[them]`, in the order of `others`.

    The ids of each list are unique; who is in one list only is left out.
    """
    if not len(ids):
        return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp)
    order = np.argsort(ids, kind="stable")
    place = np.minimum(np.searchsorted(ids, others, sorter=order), len(ids) - 1)
    rows = order[place]
    them = np.flatnonzero(ids[rows] == others)
    return rows[them], them


class MinimumScore(Protocol):
    """The calibration of one keypoint, as far as a policy needs it."""

    def minimum_score(self, target_error: float) -> float:
        """From which score up at most `target_error` of the points are wrong; infinite where no score is."""
        ...


@dataclass(frozen=True)
class CalibratedPoints:
    """A predictor's points of N people after refinement and calibration.

    keypoints: B names. calibration: of those of them that have one, by name.
    xy: (N, B, 2) float64, image pixels; NaN for people the predictor was not asked about.
    score: (N, B) float64, the probability that the point is right; NaN where unknown.
    radius: (N, B) float64, image pixels, the error stays below it with 90 % probability; NaN where unknown.
    anchored: (N, B) bool, refinement moved the point.
    absent: by calibrated keypoint, the features its calibration uses and these predictions lack.
    """

    predictor_sha256: str
    keypoints: tuple[str, ...]
    calibration: Mapping[str, MinimumScore]
    xy: NDArray[np.float64]
    score: NDArray[np.float64]
    radius: NDArray[np.float64]
    anchored: NDArray[np.bool_]
    absent: Mapping[str, tuple[str, ...]]
