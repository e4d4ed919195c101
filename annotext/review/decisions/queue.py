"""Which people a reviewer should look at next: the expected error of their added points, and how unlike they are.

A person is shown whole, and a reviewer's time goes by points: what counts is the error removed per point looked at.
Error is measured in person sizes (`frame.size_of`) and is that of points that are wrong: a reviewer
accepts a point that is right by the criterion, and nothing moves.

N people, A added keypoints, D features of a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from annotext.core.additions import Additions
from annotext.core.frame import Frame, columns, count, size_of, usable
from annotext.core.poses import Poses

# Kinds of people: enough to tell lying from sitting from running, few enough that each has many members.
KINDS = 64
# Fewer people to a kind say nothing about a kind.
MEMBERS = 20
# People on whom the kinds are found, and rounds of it: more change the kinds by little.
SAMPLE = 20_000
ROUNDS = 15
# A kind that gave a tenth of its even share counts less for each further one. On synthetic people this steepness costs
# about one percent of the error in the first tenth, .5 costs two, and a reviewer sees other kinds (docs/queue.md).
SHARE = 0.1
STEEPNESS = 0.25
# Opening a person costs a reviewer about what a point costs: without it people with one doubtful point would come
# before those with two, for a tenth to a quarter less error per person and none more per point (docs/queue.md).
OPENING = 1.0
# Inputs further out than this (in person sizes) are mistakes or extreme foreshortening.
REACH = 3.0
# Person size over the square root of the box, where nobody has enough labels to measure it: of a standing person.
SIZE_OF_BOX = 0.5


class Strategy(StrEnum):
    """How people are put in order."""

    EXPECTED_ERROR = "expected-error"  # most error for the reviewer's time first, unlike people before like ones
    UNCERTAINTY = "uncertainty"  # nearest to the limit between adding and asking first
    DIVERSE = "diverse"  # one of each kind, then the next of each, whatever their errors
    RANDOM = "random"


@dataclass(frozen=True)
class ReviewValue:
    """What a review of N people could find.

    points: (N, A) bool, to be looked at. wrong: (N, A) float64 in [0, 1], the probability that the point is wrong.
    error: (N, A) float64, person sizes, the expected error, counting only wrong points. Both 0 outside `points`.
    """

    points: NDArray[np.bool_]
    wrong: NDArray[np.float64]
    error: NDArray[np.float64]

    @property
    def people(self) -> NDArray[np.intp]:
        """(P,) rows of those who have a point to look at."""
        return np.flatnonzero(self.points.any(axis=1))

    def per_point(self, of: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,) mean of (N, A) `of` over a person's points; 0 for who has none."""
        n = self.points.sum(axis=1)
        return np.where(self.points, of, 0.0).sum(axis=1) / np.maximum(n, 1)


def review_values(
    additions: Additions, points: NDArray[np.bool_], size: NDArray[np.float64], tolerance: NDArray[np.float64]
) -> ReviewValue:
    """The expected errors of (N, A) `points`. size: (N,) px, of the people. tolerance: (N, A) px, see `correctness`.

    Wrong with probability 1 - score, and then off by the tolerance and the 90 % radius: measured on synthetic people,
    that sums up to .98 of the error where scores are probabilities, and to .77 where they were too good. A score
    without a radius is no probability; its rank among the others of its keypoint stands in for it, and the tolerance
    alone says how far off such a point is.
    """
    known = points & np.isfinite(additions.radius)
    wrong = np.where(points, 1 - additions.score, 0.0)
    for column in range(points.shape[1]):
        ranked = points[:, column] & ~known[:, column]
        wrong[ranked, column] = 1 - _mid_ranks(additions.score[ranked, column])
    reach = np.nan_to_num(tolerance) + np.where(known, np.nan_to_num(additions.radius), 0.0)
    return ReviewValue(points, wrong, np.where(points, wrong * reach / size[:, None], 0.0))


def sizes(poses: Poses, inputs: Sequence[str]) -> NDArray[np.float64]:
    """(N,) float64 px, each person's size by their labels of `inputs`; by the box where they have too few."""
    xy = columns(poses, inputs)
    enough = usable(xy)
    box = np.sqrt(np.maximum(poses.bbox_xywh[:, 2:].prod(axis=1), 1.0))
    usual = float(np.median(size_of(xy[enough]) / box[enough])) if enough.any() else SIZE_OF_BOX
    return np.where(enough, size_of(np.where(enough[:, None, None], xy, 0.0)), usual * box)


def pose_features(poses: Poses, inputs: Sequence[str]) -> NDArray[np.float64]:
    """(N, D) float64: the labels of `inputs` in the person's own frame, the mean of all where there is no label."""
    xy = columns(poses, inputs)
    enough = usable(xy)
    found = np.full((len(poses), 2 * len(inputs) + 2), np.nan)
    if enough.any():
        frame = Frame.of(xy[enough], tuple(inputs))
        place = np.clip(frame.into(xy[enough]), -REACH, REACH).reshape(count(xy[enough]).shape[0], -1)
        found[enough] = np.concatenate([place, np.sin(frame.turn)[:, None], np.cos(frame.turn)[:, None]], axis=1)
    there = np.isfinite(found)
    mean = np.where(there, found, 0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    return np.where(there, found, mean)


def kinds_of(features: Sequence[NDArray[np.float64]], rng: np.random.Generator) -> NDArray[np.intp]:
    """(N,) the kind each person is of, by k-means (Lloyd 1982) on blocks of (N, D) features that count alike."""
    blocks = []
    for block in features:
        centred = block - block.mean(axis=0)
        blocks.append(centred / max(float(np.sqrt((centred**2).sum(axis=1).mean())), 1e-12))
    space = np.concatenate(blocks, axis=1).astype(np.float32)
    n = len(space)
    k = max(1, min(KINDS, n // MEMBERS))
    sample = space[np.sort(rng.choice(n, min(n, SAMPLE), replace=False))]
    centres = sample[np.sort(rng.choice(len(sample), k, replace=False))]
    for _ in range(ROUNDS):
        member = _nearest(sample, centres)
        filled = np.bincount(member, minlength=k)
        total = np.zeros_like(centres)
        np.add.at(total, member, sample)
        centres = np.where(filled[:, None] > 0, total / np.maximum(filled, 1)[:, None], centres)
    return _nearest(space, centres)


def queue(
    values: ReviewValue,
    strategy: Strategy,
    *,
    score: NDArray[np.float64],
    limit: NDArray[np.float64],
    features: Sequence[NDArray[np.float64]],
    seed: int = 0,
) -> NDArray[np.intp]:
    """(P,) rows of all people who have a point to look at, the next one first; a budget is a cut.

    score: (N, A). limit: (A,) scores from which points are added, NaN or infinite where there is none (1/2 then).
    features: (N, D) blocks, see `kinds_of`; used by EXPECTED_ERROR and DIVERSE. The same input gives the same order.

    EXPECTED_ERROR: the gain of a person with n points is their expected error over n + `OPENING`, times
    (1 + r / t)^-`STEEPNESS` for one whose kind has r people with more, t = `SHARE` of a kind's mean number. That falls
    with r, so sorting by it is the greedy choice for a sum of concave functions of the kinds (Nemhauser et al. 1978).
    """
    people = values.people
    if not len(people):
        return people
    rng = np.random.default_rng(seed)
    if strategy is Strategy.RANDOM:
        return rng.permutation(people)
    if strategy is Strategy.UNCERTAINTY:
        between = np.where(np.isfinite(limit), limit, 0.5)
        return _by(values.per_point(1 - np.abs(score - between)), people)
    kind = kinds_of([block[people] for block in features], rng)
    if strategy is Strategy.DIVERSE:
        place = _places(rng.random(len(people)), kind)
        return people[np.lexsort((kind, place))]
    gain = values.error[people].sum(axis=1) / (OPENING + values.points[people].sum(axis=1))
    scale = max(1.0, SHARE * len(people) / (kind.max() + 1))
    gain = gain * (1 + _places(gain, kind) / scale) ** -STEEPNESS
    return people[np.argsort(-gain, kind="stable")]


def _by(value: NDArray[np.float64], people: NDArray[np.intp]) -> NDArray[np.intp]:
    return people[np.argsort(-value[people], kind="stable")]


def _places(value: NDArray[np.float64], kind: NDArray[np.intp]) -> NDArray[np.intp]:
    """(P,) how many of the same kind have more, earlier ones first among equals."""
    order = np.lexsort((-value, kind))
    first = np.searchsorted(kind[order], kind[order], side="left")
    places = np.empty(len(value), dtype=np.intp)
    places[order] = np.arange(len(value)) - first
    return places


def _mid_ranks(score: NDArray[np.float64]) -> NDArray[np.float64]:
    """(M,) in (0, 1): the share that scores lower, equal ones counting half."""
    _, member, size = np.unique(score, return_inverse=True, return_counts=True)
    return ((np.cumsum(size) - size / 2)[member]) / max(len(score), 1)


def _nearest(space: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.intp]:
    """(N,) the centre nearest to each, some at a time so that many people need little memory."""
    found = np.empty(len(space), dtype=np.intp)
    square = (centres**2).sum(axis=1)
    for start in range(0, len(space), SAMPLE):
        part = space[start : start + SAMPLE]
        found[start : start + SAMPLE] = (square - 2 * part @ centres.T).argmin(axis=1)
    return found
