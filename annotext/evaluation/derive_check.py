"""How far a derived keypoint is from the labels, on a file that has both the keypoint and its parents labelled.

Distances are in a unit of the person's own: head sizes where the file has them (MPII's PCKh), else the torso, else the
person's size; the unit's name stands in every figure's name. N people, M of them judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.derive import Rule
from annotext.core.frame import size_of, usable
from annotext.core.poses import Poses
from annotext.evaluation.pck import torso_size

# Of each unit the strict limit and the usual one. MPII and the paper judge by .5 and .1 head sizes, `annotext evaluate`
# by .2 torso; the strict ones of torso and size are about as long as .1 head size (a torso is 2 to 3 heads).
LIMITS = {"head": (0.1, 0.5), "torso": (0.05, 0.2), "size": (0.05, 0.2)}
# Two-sided 95 % of a normal distribution.
Z95 = 1.959964
# A point further off than this many units is wrong, however far: one mistaken label must not decide a mean.
ERROR_CAP = 1.0


@dataclass(frozen=True)
class Unit:
    """What distances of N people are measured in.

    name: a key of `LIMITS`. length: (N,) float64 image pixels, NaN where a person has none.
    """

    name: str
    length: NDArray[np.float64]


def unit_of(poses: Poses) -> Unit:
    """Head sizes if anybody has one, else torsos, else sizes.

    A size is twice the root mean square distance of the labelled points from their mean; fewer than three give none.
    """
    head = np.where(poses.head_size > 0, poses.head_size, np.nan)
    if np.isfinite(head).any():
        return Unit("head", head)
    torso = torso_size(poses)
    if np.isfinite(torso).any():
        return Unit("torso", torso)
    return Unit("size", np.where(usable(poses.xy), size_of(poses.xy), np.nan))


@dataclass(frozen=True)
class Figures:
    """How far estimates of one keypoint are from its labels, over n people; distances in `unit`.

    median: with the 95 % interval of its order statistics. within: limit -> (percent, low, high), Wilson's 95 %
    interval. error: the mean distance, each at most `ERROR_CAP`, with a 95 % interval that takes people of one image as
    one draw. All NaN where n is 0.
    """

    unit: str
    n: int
    median: tuple[float, float, float]
    within: Mapping[float, tuple[float, float, float]]
    error: tuple[float, float, float]

    @classmethod
    def of(cls, unit: str, distance: NDArray[np.float64], group: NDArray[np.integer[Any]]) -> Figures:
        """From (M,) distances in units, finite, and (M,) the image each person is on."""
        capped = np.minimum(distance, ERROR_CAP)
        mean = float(capped.mean()) if len(capped) else np.nan
        margin = Z95 * clustered_error(capped, group)
        return cls(
            unit=unit,
            n=len(distance),
            median=_median(distance),
            within={limit: wilson(int((distance <= limit).sum()), len(distance)) for limit in LIMITS[unit]},
            error=(mean, mean - margin, mean + margin),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON values, the unit in the names: in head sizes `median` and `pckh@0.1`, else `median_torso` and so on."""
        head = self.unit == "head"
        median, error = ("median", "error") if head else (f"median_{self.unit}", f"error_{self.unit}")
        found: dict[str, Any] = {"n": self.n, median: _plain(self.median[0])}
        share = {f"{'pckh' if head else f'pck_{self.unit}'}@{limit:g}": v for limit, v in self.within.items()}
        found.update({name: _plain(value[0]) for name, value in share.items()})
        found[error] = _plain(self.error[0])
        found["interval_95"] = {
            name: [_plain(v) for v in value[1:]]
            for name, value in {median: self.median, **share, error: self.error}.items()
        }
        return found


@dataclass(frozen=True)
class Measurement:
    """A rule held against the labels of a file.

    labelled: people with the keypoint labelled; of them without_parents lack a parent, without_unit have the parents
    but no unit. figures: over the rest. farthest: rows of the people the rule is worst for, worst first, and how far.
    """

    rule: Rule
    labelled: int
    without_parents: int
    without_unit: int
    figures: Figures
    farthest: tuple[tuple[int, float], ...]


# How many of the worst are named: enough to see what went wrong there.
_FARTHEST = 3


def measure(poses: Poses, rule: Rule, unit: Unit) -> Measurement:
    """How far `rule` is from the labels of its keypoint; crowds left out.

    Raises KeyError if the skeleton lacks the keypoint or a parent.
    """
    estimate, seen = rule.apply(poses)
    truth = poses.xy[:, poses.skeleton.indices([rule.keypoint])[0]]
    labelled = np.isfinite(truth).all(axis=1) & ~poses.crowd
    derived, known = labelled & (seen > 0), np.isfinite(unit.length)
    rows = np.flatnonzero(derived & known)
    distance = np.linalg.norm(estimate[rows] - truth[rows], axis=1) / unit.length[rows]
    worst = np.argsort(-distance, kind="stable")[:_FARTHEST]
    return Measurement(
        rule,
        labelled=int(labelled.sum()),
        without_parents=int((labelled & ~derived).sum()),
        without_unit=int((derived & ~known).sum()),
        figures=Figures.of(unit.name, distance, poses.image_index[rows]),
        farthest=tuple((int(rows[w]), float(distance[w])) for w in worst),
    )


def wilson(right: int, n: int) -> tuple[float, float, float]:
    """Percent right of n, and Wilson's 95 % score interval (Wilson 1927), in percent; NaN for n = 0."""
    if n == 0:
        return np.nan, np.nan, np.nan
    share, z2 = right / n, Z95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * np.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return 100 * share, 100 * max(middle - half, 0.0), 100 * min(middle + half, 1.0)


def clustered_error(values: NDArray[np.float64], group: NDArray[np.integer[Any]]) -> float:
    """Standard error of the mean of (M,) values when those of one (M,) group hang together; NaN for one group.

    The sandwich of the mean: sqrt(G / (G - 1) x sum over G groups of (sum of deviations)^2) / M.
    """
    _, member = np.unique(group, return_inverse=True)
    groups = int(member.max()) + 1 if len(member) else 0
    if groups < 2:
        return float("nan")
    sums = np.bincount(member.reshape(-1), weights=values - values.mean())
    return float(np.sqrt(groups / (groups - 1) * (sums**2).sum()) / len(values))


def _median(distance: NDArray[np.float64]) -> tuple[float, float, float]:
    """The median and its 95 % interval by order statistics (normal approximation of the binomial)."""
    n = len(distance)
    if n == 0:
        return np.nan, np.nan, np.nan
    ordered = np.sort(distance)
    reach = Z95 * np.sqrt(n) / 2
    low, high = max(int(n / 2 - reach), 0), min(int(np.ceil(n / 2 + reach)), n - 1)
    return float(np.median(ordered)), float(ordered[low]), float(ordered[high])


def _plain(value: float) -> float | None:
    """For JSON: null for what could not be computed; six decimals, for nobody reads more."""
    return round(float(value), 6) if np.isfinite(value) else None
