"""From evidence to a probability that a point is right, and a radius it is within nine times of ten.

A logistic regression on standardised evidence, an isotonic curve on its logit, a radius and minimal scores from people
the fit did not see. Fitted by `fit`, applied here with numpy alone.

N people, F features, B blocks of the isotonic curve, R knots of the radius, T thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotext.calibration.features import Evidence
from annotext.evaluation.correctness import Criterion
from annotext.evaluation.ranking import clopper_pearson_upper

# A calibration under this name serves every keypoint that has none of its own.
ANY = "*"
# Share of points that lie within their radius.
LEVEL = 0.9
# Evidence further than this many standard deviations from the usual counts as that far.
REACH = 4.0
# How sure a minimal score is to keep its promise on people like those it was fitted on.
CONFIDENCE = 0.9
# The kept shares at which minimal scores are looked for; each bound pays for all of them (Bonferroni). Close together
# near the top, where a few percent of the points hold most of the errors.
TRIED = (1, 0.99, 0.98, 0.97, 0.96, 0.95, 0.93, 0.9, 0.87, 0.84, 0.8, 0.75, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05)


@dataclass(frozen=True)
class Threshold:
    """What a minimal score promises.

    score: points from here up are kept; infinite where no score keeps the promise. kept: expected share of points.
    error: share of the kept that was wrong on people held out. bound: the error is below, see `threshold`.
    """

    score: float
    kept: float
    error: float
    bound: float


@dataclass(frozen=True)
class KeypointCalibration:
    """The calibration of one keypoint; sizes are the person's (`Frame.size`).

    keypoint: its name, or `ANY`. criterion: what "right" means. points, wrong: it was fitted on, and wrong among them.
    features: F names. mean, scale, weights: (F,) float64. unknown: (F,) float64, added to the logit where a feature is
        not known; it then counts as the mean.
    intercept: of the logit.
    isotonic_logit, isotonic_score: (B,) float64, rising; straight in between, constant outside.
    radius_score: (R,) float64, rising; radius: (R,) float64 sizes, falling; straight in between, constant outside.
    threshold_score: (T,) float64, falling; threshold_kept, threshold_wrong: (T,) int64, rising, of people held out.
    Raises ValueError if shapes or orders do not hold.
    """

    keypoint: str
    criterion: Criterion
    points: int
    wrong: int
    features: tuple[str, ...]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]
    unknown: NDArray[np.float64]
    intercept: float
    isotonic_logit: NDArray[np.float64]
    isotonic_score: NDArray[np.float64]
    radius_score: NDArray[np.float64]
    radius: NDArray[np.float64]
    threshold_score: NDArray[np.float64]
    threshold_kept: NDArray[np.int64]
    threshold_wrong: NDArray[np.int64]

    def __post_init__(self) -> None:
        where = f"calibration of {self.keypoint}"
        for name in ("mean", "scale", "weights", "unknown"):
            values = getattr(self, name)
            if values.shape != (len(self.features),) or not np.isfinite(values).all():
                raise ValueError(f"{where}: {name} must be {len(self.features)} finite numbers")
        if not (self.scale > 0).all():
            raise ValueError(f"{where}: scale must be above 0")
        for x, y, sign in (("isotonic_logit", "isotonic_score", 1), ("radius_score", "radius", -1)):
            one, other = getattr(self, x), getattr(self, y)
            if one.ndim != 1 or not len(one) or one.shape != other.shape:
                raise ValueError(f"{where}: {x} and {y} must be equally long and not empty")
            if (np.diff(one) <= 0).any() or (sign * np.diff(other) < 0).any():
                raise ValueError(f"{where}: {x} must rise and {y} must {'rise' if sign > 0 else 'fall'}")
        if ((self.isotonic_score < 0) | (self.isotonic_score > 1)).any() or (self.radius < 0).any():
            raise ValueError(f"{where}: a score outside [0, 1], or a radius below 0")
        if not self.threshold_score.shape == self.threshold_kept.shape == self.threshold_wrong.shape:
            raise ValueError(f"{where}: the three columns of thresholds differ in length")
        if (np.diff(self.threshold_score) >= 0).any() or (np.diff(self.threshold_kept) <= 0).any():
            raise ValueError(f"{where}: threshold_score must fall and threshold_kept rise")
        if ((self.threshold_wrong < 0) | (self.threshold_wrong > self.threshold_kept)).any():
            raise ValueError(f"{where}: threshold_wrong must be 0 to threshold_kept")

    def apply(self, evidence: Evidence, keypoint: str = "") -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(N,) float64 probability that the point is right, (N,) float64 radius in sizes that holds 90 % of the time.

        keypoint: whose evidence, where the calibration is of `ANY`. NaN for people about whom nothing is known.
        """
        values = evidence.of(keypoint or self.keypoint, self.features)
        score = self.score_of(self.logit(values))
        score = np.where(np.isfinite(values).any(axis=1), score, np.nan)
        return score, np.interp(score, self.radius_score, self.radius)

    def logit(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,) from (N, F) evidence in the order of `features`."""
        return (
            standardised(values, self.mean, self.scale) @ self.weights
            + np.isnan(values) @ self.unknown
            + (self.intercept)
        )

    def score_of(self, logit: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,) probabilities from (N,) logits."""
        return np.interp(logit, self.isotonic_logit, self.isotonic_score)

    def absent(self, evidence: Evidence) -> tuple[str, ...]:
        """Features that were weighed but that this evidence has none of (an optional pass left out): calibrate anew.

        None where the evidence is on nobody.
        """
        if not np.isfinite(evidence.values).any():
            return ()
        known = {n for i, n in enumerate(evidence.names) if np.isfinite(evidence.values[..., i]).any()}
        return tuple(f for f, w in zip(self.features, self.weights, strict=True) if w and f not in known)

    def minimum_score(self, target_error: float) -> float:
        """From which score up at most `target_error` of the points are wrong; infinite where none promises that."""
        return self.threshold(target_error).score

    def threshold(self, target_error: float, confidence: float | None = CONFIDENCE) -> Threshold:
        """The lowest score that keeps the share of wrong points among the kept ones at or below `target_error`.

        With `confidence`, so sure: the error rate's Clopper-Pearson upper bound, one-sided and shared out over the
        `TRIED` kept shares looked at, is at or below the target. That holds for independent points like those it was
        fitted on; not for another domain. With None, only the share counted on held-out people is.
        """
        if not 0 < target_error < 1:
            raise ValueError(f"target error {target_error}, expected above 0 and below 1")
        total = int(self.threshold_kept[-1]) if len(self.threshold_kept) else 0
        places = np.arange(len(self.threshold_kept))
        if confidence is not None:
            places = np.unique(np.searchsorted(self.threshold_kept, total * np.array(TRIED), side="right") - 1)
        for place in places[places >= 0][::-1]:
            kept, wrong = int(self.threshold_kept[place]), int(self.threshold_wrong[place])
            bound = wrong / kept
            if confidence is not None:
                bound = clopper_pearson_upper(wrong, kept, 1 - (1 - confidence) / len(TRIED))
            if bound <= target_error:
                return Threshold(float(self.threshold_score[place]), kept / total, wrong / kept, bound)
        return Threshold(float("inf"), 0.0, float("nan"), float("nan"))


def standardised(
    values: NDArray[np.float64], mean: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N, F) evidence in standard deviations from the mean, bounded, 0 where not known."""
    return np.nan_to_num(np.clip((values - mean) / scale, -REACH, REACH))
