"""From logits of people a model did not see to scores, radii and thresholds. M points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotext.calibration.keypoint import LEVEL

RADIUS_KNOTS = 20
# A 90 % quantile of fewer points is hardly known.
MIN_PER_KNOT = 50
THRESHOLDS = 200


@dataclass(frozen=True)
class Curves:
    """Scores from logits and radii from scores; the arrays are those of `KeypointCalibration` by these names."""

    isotonic_logit: NDArray[np.float64]
    isotonic_score: NDArray[np.float64]
    radius_score: NDArray[np.float64]
    radius: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        logit: NDArray[np.float64],
        right: NDArray[np.bool_],
        error: NDArray[np.float64],
        weight: NDArray[np.float64] | None = None,
    ) -> Curves:
        """Fit both on (M,) logits, whether the point is right, and its error in sizes, NaN where nobody knows it.

        weight: (M,) how much each counts; None: all alike.
        """
        x, y = isotonic(logit, right, weight)
        known = np.isfinite(error)
        measured = None if weight is None else weight[known]
        return cls(x, y, *radius(np.interp(logit[known], x, y), error[known], measured))

    def apply(self, logit: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(M,) scores and (M,) radii in sizes."""
        score = np.interp(logit, self.isotonic_logit, self.isotonic_score)
        return score, np.interp(score, self.radius_score, self.radius)


def out_of_fold(
    logit: NDArray[np.float64],
    right: NDArray[np.bool_],
    error: NDArray[np.float64],
    fold: NDArray[np.intp],
    weight: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(M,) scores and radii of each fold by curves fitted on the others."""
    score, reach = np.full((2, len(logit)), np.nan)
    for one in np.unique(fold):
        mine = fold == one
        others = None if weight is None else weight[~mine]
        score[mine], reach[mine] = Curves.of(logit[~mine], right[~mine], error[~mine], others).apply(logit[mine])
    return score, reach


def isotonic(
    logit: NDArray[np.float64], right: NDArray[np.bool_], weight: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The knots of a rising curve from logit to share right: (B,) logits and (B,) scores, both strictly rising.

    scikit-learn's isotonic regression, each of its flat blocks reduced to its middle (mean logit) and joined by
    straight lines (centered isotonic regression, Oron and Flournoy 2017): that keeps the ranking inside the blocks. No
    block says never or always: scores stay 1 / (M + 2) off 0 and 1.
    """
    from sklearn.isotonic import IsotonicRegression

    edge = 1 / (len(logit) + 2)
    # The fit takes values that differ by rounding for one, their mean: the outermost must not be outside of its range.
    curve = IsotonicRegression(y_min=edge, y_max=1 - edge, out_of_bounds="clip")
    fitted = curve.fit(logit, right, sample_weight=weight).predict(logit)
    score, block, size = np.unique(fitted, return_inverse=True, return_counts=True)
    if weight is None:
        return np.bincount(block, weights=logit) / size, score
    return np.bincount(block, weights=weight * logit) / np.bincount(block, weights=weight), score


def radius(
    score: NDArray[np.float64], error: NDArray[np.float64], weight: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The knots of a falling curve from score to the radius that holds `LEVEL` of the time: (R,) scores, (R,) sizes.

    In each of up to `RADIUS_KNOTS` bins of equally many points the split conformal quantile, the ceil((n + 1) LEVEL)-th
    smallest of n errors (Vovk et al. 2005; Lei et al. 2018), then made falling by isotonic regression.
    """
    from sklearn.isotonic import IsotonicRegression

    bins = int(np.clip(len(score) // MIN_PER_KNOT, 1, RADIUS_KNOTS))
    parts = np.array_split(np.argsort(score, kind="stable"), bins)
    middle = np.array([score[p].mean() for p in parts])
    if weight is None:
        reach = np.array([np.sort(error[p])[min(int(np.ceil((len(p) + 1) * LEVEL)), len(p)) - 1] for p in parts])
        share = [len(p) for p in parts]
    else:
        reach = np.array([_weighted_quantile(error[p], weight[p]) for p in parts])
        share = [weight[p].sum() for p in parts]
    # Bins of one score have means that differ by rounding; see `isotonic`.
    falling = IsotonicRegression(increasing=False, out_of_bounds="clip").fit(middle, reach, sample_weight=share)
    knots = np.unique(middle)
    return knots, np.minimum.accumulate(falling.predict(knots)).astype(np.float64)


def _weighted_quantile(error: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    """The smallest error that `LEVEL` of the weight does not exceed, another point of the heaviest weight being beyond
    them all (Tibshirani et al. 2019, with the weights of the fit)."""
    order = np.argsort(error, kind="stable")
    share = np.cumsum(weight[order]) / (weight.sum() + weight.max())
    return float(error[order][min(int(np.searchsorted(share, LEVEL)), len(error) - 1)])


def thresholds(
    score: NDArray[np.float64], right: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """How many points a minimal score keeps and how many of these are wrong, at up to `THRESHOLDS` scores."""
    levels, member = np.unique(-score, return_inverse=True)
    kept = np.cumsum(np.bincount(member))
    wrong = np.cumsum(np.bincount(member, weights=~right)).astype(np.int64)
    wanted = np.ceil(len(score) * np.arange(1, THRESHOLDS + 1) / THRESHOLDS)
    chosen = np.unique(np.searchsorted(kept, wanted))
    return -levels[chosen], kept[chosen].astype(np.int64), wrong[chosen]
