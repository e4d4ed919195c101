"""Finding a rule: which few labelled keypoints, with which weights, best give the place of another keypoint.

Candidates are linear combinations with weights that sum to 1, so that a rule moves, turns and grows with the person.
For a keypoint on the midline left and right weigh the same. All candidates are fitted and evaluated on the same people,
those with every candidate parent labelled, and ranked by their error on people they were not fitted on.

N people, C candidates of P terms each (a term is a keypoint, or the middle of a left and right pair), T terms in all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from annotext.core.derive import ANY, Rule
from annotext.core.frame import columns, mean_point, size_of
from annotext.core.poses import Poses
from annotext.core.skeleton import Skeleton
from annotext.evaluation.derive_check import ERROR_CAP, Z95, Figures, Unit, clustered_error
from annotext.evaluation.ranking import group_folds

# By default: a rule of more parents is hard to check by eye, and applies to fewer people.
MOST_PARENTS = 4
# Parents are dropped, rarest first, until this share of the people with the keypoint has all of them.
MIN_SHARE = 0.5
MIN_PEOPLE = 40
FOLDS = 5
# Candidates are first sifted on this many people: with three free weights at most, what they see there is the truth.
_SIFT_PEOPLE = 2000
# What the sifting leaves of each number of parents, and how many rules are reported.
_SHORTLIST = 20
REPORTED = 5
# More candidates of one size than this are not all tried: the best of the size before grow by one term.
_MOST_CANDIDATES = 3000
_BEAM = 40
# Reweighting rounds, and the residual (in person sizes) below which a person's weight stops growing.
_ROUNDS = 8
_WEIGHT_FLOOR = 0.005
# Relative to the mean square of a term's distances: only keeps two equal terms from having no solution.
_RIDGE = 1e-6
# Numbers held at a time (float64), which bounds memory to some 100 MB.
_CHUNK = 2_000_000
# A rule that holds another one's parents and more is listed only if it is better by this share of the error, and by
# more than chance (95 %, paired).
_GAIN = 0.01


@dataclass(frozen=True)
class FoundRule:
    """A fitted rule and how it did on people it was not fitted on. The weights are those fitted on all people."""

    rule: Rule
    figures: Figures


@dataclass(frozen=True)
class Found:
    """The best rules for a keypoint, best first.

    parents: the candidate keypoints. left_out: those that too few people have, or that lack their other side.
    candidates: combinations tried. taught: people they were fitted on. rows: (M,) the people they were evaluated on.
    """

    rules: tuple[FoundRule, ...]
    parents: tuple[str, ...]
    left_out: tuple[str, ...]
    candidates: int
    taught: int
    rows: NDArray[np.intp]


def find(
    poses: Poses,
    keypoint: str,
    parents: Sequence[str],
    unit: Unit,
    *,
    train: Poses | None = None,
    keep_all: bool = False,
    most_parents: int = MOST_PARENTS,
    rng: np.random.Generator | None = None,
) -> Found:
    """Rules of 2 to `most_parents` of `parents` for `keypoint`, evaluated on `poses` in `unit`; crowds left out.

    train: fit on these people; without it on `poses` itself, cross-fitted over `FOLDS` groups of images.
    keep_all: leave out no parent because it is rare. rng: draws the groups (default: seed 0).

    Raises ValueError for an unknown keypoint, a keypoint that is its own parent, or too few people or parents.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    for skeleton in [p.skeleton for p in (poses, train) if p is not None]:
        unknown = [k for k in (keypoint, *parents) if k not in skeleton.index]
        if unknown:
            raise ValueError(f"there is no {', '.join(unknown)} in {skeleton.name}")
    if keypoint in parents:
        raise ValueError(f"{keypoint} cannot be its own parent")
    wanted = ~poses.crowd & np.isfinite(unit.length) & poses.labelled[:, poses.skeleton.index[keypoint]]
    terms = _terms(keypoint, parents, poses.skeleton)
    if not keep_all:
        terms = _common(poses, terms, wanted)
    names = tuple(k for term in terms for k in term)
    rows = np.flatnonzero(wanted & _complete(poses, names))
    _enough(len(rows), keypoint, "to judge on")
    if sum(len(t) for t in terms) < 2:
        raise ValueError(f"no two parents for {keypoint}")
    here = _Sample.of(poses.take(rows), keypoint, terms)
    there = here
    if train is not None:
        teaching = ~train.crowd & _complete(train, (keypoint, *names))
        _enough(int(teaching.sum()), keypoint, "to fit on")
        there = _Sample.of(train.take(teaching), keypoint, terms)
    zoom = here.size / unit.length[rows]
    group = poses.image_index[rows]

    shortlist, tried = _sift(here, there, terms, zoom, rng, most_parents, crossed=train is None)
    folds = group_folds(group, FOLDS, rng) if train is None else None
    fitted: list[_Fitted] = []
    for candidates in shortlist:
        distance = np.empty((len(candidates), len(rows)))
        weights = there.fit(candidates)
        if folds is None:
            distance[:] = here.distance(candidates, weights)
        else:
            for out in (folds == fold for fold in range(FOLDS)):
                distance[:, out] = here.take(out).distance(candidates, here.take(~out).fit(candidates))
        fitted += map(_Fitted, map(tuple, candidates.tolist()), weights, distance * zoom)
    source = (poses if train is None else train).skeleton.name
    found = tuple(
        FoundRule(
            Rule(keypoint, _by_name(terms, one), ANY, source, f"fitted on {len(there.size)} people"),
            Figures.of(unit.name, one.distance, group),
        )
        for one in _best(fitted, group)
    )
    return Found(found, names, tuple(k for k in parents if k not in names), tried, len(there.size), rows)


@dataclass(frozen=True)
class _Sample:
    """People with everything labelled, each moved and scaled to a like place and size; turned they are not.

    place: (N, T, 2) the terms, in person sizes. truth: (N, 2), likewise. size: (N,) image pixels.
    """

    place: NDArray[np.float64]
    truth: NDArray[np.float64]
    size: NDArray[np.float64]

    @classmethod
    def of(cls, poses: Poses, keypoint: str, terms: Sequence[tuple[str, ...]]) -> _Sample:
        given = columns(poses, [k for term in terms for k in term])
        center, size = mean_point(given)[:, None], size_of(given)
        size = np.where(size > 0, size, 1.0)
        place = np.stack([columns(poses, term).mean(axis=1) for term in terms], axis=1)
        truth = columns(poses, [keypoint])
        inside = (np.concatenate([place, truth], axis=1) - center) / size[:, None, None]
        return cls(inside[:, :-1], inside[:, -1], size)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> _Sample:
        return _Sample(self.place[rows], self.truth[rows], self.size[rows])

    def chunks(self, candidates: NDArray[np.intp]) -> Iterator[slice]:
        step = max(1, _CHUNK // max(1, 2 * len(self.size) * candidates.shape[1]))
        return (slice(start, start + step) for start in range(0, len(candidates), step))

    def fit(self, candidates: NDArray[np.intp]) -> NDArray[np.float64]:
        """(C, P) weights of (C, P) terms for the least sum of distances, by iteratively reweighted least squares."""
        if candidates.shape[1] == 1:
            return np.ones(candidates.shape)
        return np.concatenate([self._fit(candidates[part]) for part in self.chunks(candidates)])

    def _fit(self, candidates: NDArray[np.intp]) -> NDArray[np.float64]:
        c, p = candidates.shape
        # Relative to the last term: its weight is what is left to 1.
        base = self.place[:, candidates[:, -1]].transpose(1, 0, 2).reshape(c, -1, 1)
        sides = self.place[:, candidates[:, :-1]].transpose(1, 0, 3, 2).reshape(c, -1, p - 1) - base
        wanted = self.truth.reshape(1, -1, 1) - base
        weight = np.ones((c, len(self.size), 1))
        solution = np.zeros((c, p - 1, 1))
        for _ in range(_ROUNDS):
            weighted = (sides * np.repeat(weight, 2, axis=1)).transpose(0, 2, 1)
            gram = weighted @ sides
            spread = np.trace(gram, axis1=1, axis2=2)[:, None, None] / (p - 1)
            solution = np.linalg.solve(gram + (_RIDGE * spread + 1e-12) * np.eye(p - 1), weighted @ wanted)
            residual = np.linalg.norm((wanted - sides @ solution).reshape(c, -1, 2), axis=-1)
            weight = 1 / np.maximum(residual, _WEIGHT_FLOOR)[..., None]
        return np.concatenate([solution[..., 0], 1 - solution[..., 0].sum(axis=1, keepdims=True)], axis=1)

    def distance(self, candidates: NDArray[np.intp], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """(C, N) distances between rule and label, in person sizes."""
        parts = [np.empty((0, len(self.size)))]
        for part in self.chunks(candidates):
            estimate = (self.place[:, candidates[part]] * weights[part][None, :, :, None]).sum(axis=2)
            parts.append(np.linalg.norm(estimate - self.truth[:, None], axis=-1).T)
        return np.concatenate(parts)


def _terms(keypoint: str, parents: Sequence[str], skeleton: Skeleton) -> list[tuple[str, ...]]:
    """For a midline keypoint pairs and other midline keypoints, for a keypoint of one side single keypoints."""
    partner = {k: skeleton.keypoints[skeleton.flip_index[i]] for k, i in skeleton.index.items()}
    if partner[keypoint] != keypoint:
        return [(k,) for k in parents]
    terms: list[tuple[str, ...]] = []
    for name in parents:
        pair = (name, partner[name]) if name != partner[name] else (name,)
        if all(k in parents for k in pair) and not any(name in term for term in terms):
            terms.append(pair)
    return terms


def _complete(poses: Poses, names: Sequence[str]) -> NDArray[np.bool_]:
    """(N,) bool: people who have all of these labelled."""
    return np.asarray(poses.labelled[:, poses.skeleton.indices(names)].all(axis=1))


def _common(poses: Poses, terms: list[tuple[str, ...]], wanted: NDArray[np.bool_]) -> list[tuple[str, ...]]:
    """The terms less the rarest, until `MIN_SHARE` of the wanted people have all of them."""
    share = [float(_complete(poses, term)[wanted].mean()) if wanted.any() else 0.0 for term in terms]
    kept = list(range(len(terms)))
    while len(kept) > 2:
        if _complete(poses, [k for i in kept for k in terms[i]])[wanted].sum() >= MIN_SHARE * wanted.sum():
            break
        kept.remove(min(kept, key=lambda i: (share[i], i)))
    return [terms[i] for i in kept]


def _enough(n: int, keypoint: str, what_for: str) -> None:
    if n < MIN_PEOPLE:
        raise ValueError(
            f"{n} people have {keypoint} and all its candidate parents labelled, {MIN_PEOPLE} are needed {what_for}"
        )


def _sift(
    here: _Sample,
    there: _Sample,
    terms: Sequence[tuple[str, ...]],
    zoom: NDArray[np.float64],
    rng: np.random.Generator,
    most_parents: int,
    *,
    crossed: bool,
) -> tuple[list[NDArray[np.intp]], int]:
    """Per number of terms the (C, P) best candidates on a sample of the people that are fitted on; how many there were.

    zoom: (N,) person sizes in units, of `here`; only used where it is the sample that is fitted on.
    """
    n = len(there.size)
    some = np.sort(rng.choice(n, min(n, _SIFT_PEOPLE), replace=False))
    sample = there.take(some)
    scale = zoom[some] if crossed else np.ones(len(some))
    counts = np.array([len(t) for t in terms])
    shortlist: list[NDArray[np.intp]] = []
    tried = 0
    before = np.zeros((0, 0), dtype=np.intp)
    for p in range(1, most_parents + 1):
        if p > len(terms):
            break
        candidates = _candidates(len(terms), p, before)
        candidates = candidates[counts[candidates].sum(axis=1) <= most_parents]
        if not len(candidates):
            break
        distance = sample.distance(candidates, sample.fit(candidates)) * scale
        order = np.argsort(np.minimum(distance, ERROR_CAP).mean(axis=1), kind="stable")
        before = candidates[order[:_BEAM]]
        # One keypoint alone is no combination; it only leads to those of two.
        whole = candidates[order[counts[candidates[order]].sum(axis=1) >= 2]]
        tried += len(whole)
        if len(whole):
            shortlist.append(whole[:_SHORTLIST])
    return shortlist, tried


def _candidates(terms: int, p: int, before: NDArray[np.intp]) -> NDArray[np.intp]:
    """(C, p) all sets of p terms, or where they are too many, the sets `before` (C', p - 1) and one more."""
    if comb(terms, p) <= _MOST_CANDIDATES:
        return np.array(list(combinations(range(terms), p)), dtype=np.intp).reshape(-1, p)
    grown = {tuple(sorted((*some, more))) for some in before.tolist() for more in range(terms) if more not in some}
    return np.array(sorted(grown), dtype=np.intp).reshape(-1, p)


@dataclass(frozen=True)
class _Fitted:
    """A candidate: its P terms, their (P,) weights, and (M,) distances from the label in units."""

    terms: tuple[int, ...]
    weights: NDArray[np.float64]
    distance: NDArray[np.float64]

    @property
    def error(self) -> NDArray[np.float64]:
        """(M,) distances, each at most `ERROR_CAP`."""
        return np.minimum(self.distance, ERROR_CAP)


def _best(fitted: Sequence[_Fitted], group: NDArray[np.int64]) -> list[_Fitted]:
    """The `REPORTED` candidates of least error, without those that hold a better or equally good one and more."""
    kept: list[_Fitted] = []
    for one in sorted(fitted, key=lambda f: len(f.terms)):
        smaller = [other for other in kept if set(other.terms) < set(one.terms)]
        if all(_gains(one.error, other.error, group) for other in smaller):
            kept.append(one)
    return sorted(kept, key=lambda f: float(f.error.mean()))[:REPORTED]


def _gains(error: NDArray[np.float64], before: NDArray[np.float64], group: NDArray[np.int64]) -> bool:
    """Whether (M,) errors are smaller than those before by more than chance, and by `_GAIN`."""
    gain = before - error
    return bool(gain.mean() > max(Z95 * clustered_error(gain, group), _GAIN * before.mean()))


def _by_name(terms: Sequence[tuple[str, ...]], one: _Fitted) -> dict[str, float]:
    """Weights of keypoints, which a term's members share; they sum to 1."""
    return {
        name: float(w) / len(terms[term])
        for term, w in zip(one.terms, one.weights, strict=True)
        for name in terms[term]
    }
