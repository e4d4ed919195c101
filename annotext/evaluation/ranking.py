"""How well a score ranks points, how far it can be taken as a probability, and how sure such figures are.

Scores are better when higher. `wrong` and `correct` say of each of M points whether it is; callers leave out points
nobody can judge. Equal scores count as a random order among them, so a constant score is worth what chance is.
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
class RiskCoverage:
    """What share is wrong among the best-scored ones: at each of M coverages in (0, 1], the risk; both (M,) float64."""

    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]


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


def auroc(score: NDArray[np.float64], correct: NDArray[np.bool_]) -> float:
    """Probability that a correct point scores above a wrong one, ties counting half; NaN without one of each.

    The Mann-Whitney statistic from mid-ranks, equal to the area under the ROC curve (Hanley and McNeil 1982).
    """
    good = int(correct.sum())
    bad = len(correct) - good
    if not good or not bad:
        return float("nan")
    _, member, size = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(size) - (size - 1) / 2)[member]
    return float((ranks[correct].sum() - good * (good + 1) / 2) / (good * bad))


def risk_coverage(score: NDArray[np.float64], wrong: NDArray[np.bool_]) -> RiskCoverage:
    """The share wrong among the best 1, 2, ... M points (Geifman and El-Yaniv 2017); ties in expectation."""
    count = np.arange(1, len(wrong) + 1)
    return RiskCoverage(count / max(len(wrong), 1), np.cumsum(_expected_wrong(score, wrong)) / count)


def aurc(score: NDArray[np.float64], wrong: NDArray[np.bool_]) -> float:
    """Area under the risk-coverage curve: the mean risk over all coverages; NaN without points."""
    return float(risk_coverage(score, wrong).risk.mean()) if len(wrong) else float("nan")


def excess_aurc(score: NDArray[np.float64], wrong: NDArray[np.bool_]) -> float:
    """`aurc` less that of a perfect ranking of the same points (E-AURC, Geifman et al. 2019)."""
    return aurc(score, wrong) - aurc(-wrong.astype(np.float64), wrong)


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
    return _reliability(probability, correct, np.searchsorted(edges, probability, side="left"), bins)


def reliability_equal_width(
    probability: NDArray[np.float64], correct: NDArray[np.bool_], bins: int = BINS
) -> Reliability:
    """`bins` bins of width 1 / bins, closed on the right as in Guo et al. 2017."""
    member = np.clip(np.ceil(probability * bins).astype(np.intp) - 1, 0, bins - 1)
    return _reliability(probability, correct, member, bins)


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


def clopper_pearson_upper(wrong: int, total: int, level: float) -> float:
    """The largest share wrong that `wrong` of `total` independent points leave possible, one-sided at `level`.

    The p with P(X <= wrong; total, p) = 1 - level (Clopper and Pearson 1934), found by halving; 1 without points.
    """
    if not 0 <= wrong <= total:
        raise ValueError(f"{wrong} wrong of {total}")
    if wrong == total:
        return 1.0
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, total + 1)))])
    k = np.arange(wrong + 1)
    choose = logs[total] - logs[k] - logs[total - k]
    low, high = wrong / total, 1.0
    for _ in range(60):
        p = (low + high) / 2
        terms = choose + k * np.log(p) + (total - k) * np.log1p(-p) if 0 < p < 1 else np.array([-np.inf])
        if np.exp(terms).sum() > 1 - level:
            low = p
        else:
            high = p
    return high


def _expected_wrong(score: NDArray[np.float64], wrong: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(M,) best first: is the point wrong; among equal scores, the share that is."""
    _, member, size = np.unique(-score, return_inverse=True, return_counts=True)
    return np.repeat(np.bincount(member, weights=wrong, minlength=len(size)) / size, size)


def _reliability(
    probability: NDArray[np.float64], correct: NDArray[np.bool_], member: NDArray[np.intp], bins: int
) -> Reliability:
    count = np.bincount(member, minlength=bins)
    there = count > 0
    predicted = np.bincount(member, weights=probability, minlength=bins)[there] / count[there]
    observed = np.bincount(member, weights=correct, minlength=bins)[there] / count[there]
    return Reliability(predicted, observed, count[there].astype(np.int64))
