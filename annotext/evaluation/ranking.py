"""How well a score ranks points, how far it can be taken as a probability, and how sure such figures are.

Scores are better when higher. `wrong` and `correct` tell of each of M points whether it is; callers leave out points
of which that is not known. Equal scores count as a random order among them, so a constant score is as good as chance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Fewer bins hide what happens between them, more are noise: 15 is what the literature reports (Guo et al. 2017).
BINS = 15
ROUNDS = 1000


@dataclass(frozen=True)
class Reliability:
    """Bins of predicted probabilities that hold at least one point, lowest first, B of them.

    predicted: (B,) float64 mean probability. observed: (B,) float64 share correct. count: (B,) int64 points.
    """

    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    count: NDArray[np.int64]


@dataclass(frozen=True)
class Interval:
    """A figure and the interval resampling gives it."""

    value: float
    low: float
    high: float


# Of a figure without points.
NOBODY = Interval(float("nan"), float("nan"), float("nan"))


def auroc(score: NDArray[np.float64], correct: NDArray[np.bool_]) -> float:
    """Probability that a correct point scores above a wrong one, ties counting half; NaN without one of each.

    The Mann-Whitney statistic from mid-ranks, equal to the area under the ROC curve (Hanley and McNeil 1982).
    """
    good = int(correct.sum())
    bad = len(correct) - good
    if not good or not bad:
        return float("nan")
    from scipy.stats import rankdata

    return float((rankdata(score)[correct].sum() - good * (good + 1) / 2) / (good * bad))


def aurc(score: NDArray[np.float64], wrong: NDArray[np.bool_]) -> float:
    """Area under the risk-coverage curve (Geifman and El-Yaniv 2017): the mean share wrong among the best 1, 2, ... M
    points, ties in expectation; NaN without points."""
    if not len(wrong):
        return float("nan")
    return float((np.cumsum(_expected_wrong(score, wrong)) / np.arange(1, len(wrong) + 1)).mean())


def found_in_worst(score: NDArray[np.float64], wrong: NDArray[np.bool_], share: float) -> float:
    """Of all wrong points, the share among the `share` that scores lowest; NaN where nothing is wrong.

    A queue's end between two points takes its part of the point there.
    """
    total = int(wrong.sum())
    if not total:
        return float("nan")
    worst_first = _expected_wrong(-score, wrong)
    seen = np.concatenate([[0.0], np.cumsum(worst_first)])
    return float(np.interp(share * len(wrong), np.arange(len(wrong) + 1), seen) / total)


def reliability_equal_count(
    probability: NDArray[np.float64], correct: NDArray[np.bool_], bins: int = BINS
) -> Reliability:
    """`bins` bins of equally many points, by rank; equal probabilities stay together in the lower one."""
    order = np.sort(probability)
    edges = order[np.clip(np.ceil(np.arange(1, bins) * len(order) / bins).astype(np.intp) - 1, 0, None)]
    member = np.searchsorted(edges, probability, side="left")
    count = np.bincount(member, minlength=bins)
    there = count > 0
    predicted, observed = (
        np.bincount(member, weights=values, minlength=bins)[there] / count[there] for values in (probability, correct)
    )
    return Reliability(predicted, observed, count[there].astype(np.int64))


def ece(reliability: Reliability) -> float:
    """Expected calibration error: the mean distance of predicted from observed, weighted by points; NaN without any."""
    if not reliability.count.sum():
        return float("nan")
    return float(np.average(np.abs(reliability.predicted - reliability.observed), weights=reliability.count))


def coverage(error: NDArray[np.float64], radius: NDArray[np.float64]) -> float:
    """Share of points whose error is at most their radius; NaN without points."""
    return float((error <= radius).mean()) if len(error) else float("nan")


def bootstrap(
    statistic: Callable[[NDArray[np.intp]], float],
    groups: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    rounds: int = ROUNDS,
    level: float = 0.95,
) -> Interval:
    """Percentile interval of a figure when whole groups (images, people) are drawn again with replacement.

    statistic: from (M',) rows to a figure; rounds where it is NaN are left out. groups: (M,) the group of each row.
    """
    _, member = np.unique(groups, return_inverse=True)
    order = np.argsort(member, kind="stable")
    rows_of = np.split(order, np.cumsum(np.bincount(member))[:-1])
    figures = []
    for _ in range(rounds):
        drawn = rng.integers(0, len(rows_of), len(rows_of))
        figures.append(statistic(np.concatenate([rows_of[g] for g in drawn])))
    known = np.array(figures)[~np.isnan(figures)]
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2]) if len(known) else (np.nan, np.nan)
    return Interval(float(statistic(np.arange(len(groups)))), float(low), float(high))


def group_folds(groups: NDArray[np.int64], folds: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """(M,) the fold, 0 to `folds` - 1, of each of M rows; rows of one group (image) share it."""
    known, member = np.unique(groups, return_inverse=True)
    return (rng.permutation(len(known)) % folds)[member.reshape(-1)]


def clopper_pearson_upper(wrong: int, total: int, level: float) -> float:
    """The largest share wrong that `wrong` of `total` independent points leave possible, one-sided at `level`.

    The p with P(X <= wrong; total, p) = 1 - level (Clopper and Pearson 1934); 1 without points.
    """
    from scipy.special import betaincinv

    if not 0 <= wrong <= total:
        raise ValueError(f"{wrong} wrong of {total}")
    return float(betaincinv(wrong + 1, total - wrong, level)) if wrong < total else 1.0


def _expected_wrong(score: NDArray[np.float64], wrong: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(M,) best first: is the point wrong; among equal scores, the share that is."""
    _, member, size = np.unique(-score, return_inverse=True, return_counts=True)
    return np.repeat(np.bincount(member, weights=wrong, minlength=len(size)) / size, size)
