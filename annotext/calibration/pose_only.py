"""The baseline without an image: where a keypoint is by the person's labelled keypoints alone.

A model that looks at pixels must beat it, keypoint by keypoint. It is regression on geometry: the labelled inputs in
the person's own frame (shoulders at the origin, torso upright, size one; missing ones filled in by their conditional
mean), their products and random ReLU features, ridge regression reweighted towards a loss that odd people do not bend.

The set of features is closed under mirroring: a mirrored person has the same features in another order, some with the
other sign. What is fitted then holds for people and their mirror images alike, and only one of the two is looked at.

On MPII, fitted on 14,649 train people and evaluated on the 2,932 of val who have upper neck and head top, from the 12
joints shared with COCO, it reaches PCKh@0.5 97.5 [96.9, 98.0] / 70.9 [69.3, 72.6] and PCKh@0.1 31.2 / 6.4 for upper
neck / head top, and 88.0 / 56.5 and 19.1 / 4.2 when a random 30 % of the labels is hidden (mean of five draws; a linear
model fitted anew for every pattern of missing inputs, on one draw: 87.8 / 50.6 and 17.7 / 3.2).

N people, S inputs, T targets, H plain features, R random ones, F in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.frame import Frame, columns, count, mirror, usable
from annotext.core.poses import Poses
from annotext.core.skeleton import Skeleton

# A bound on time and memory; MPII's train set stays whole.
MAX_PEOPLE = 20_000
MIN_PEOPLE = 20
# Added to the covariance of positions (in person sizes, squared): one percent of a size of noise in every label.
PRIOR_VARIANCE = 1e-4
# Variance along turn, size and place when inputs are filled in; anything well above the covariance itself serves.
LOOSE_FRAME = 1.0

# The settings below were chosen by cross-validation on MPII's train people alone (docs/derive.md says what was tried).
# Several fits, each with random features and hidden inputs of its own, are averaged into one model: better than one
# fit of as many features.
MEMBERS = 4
RANDOM_FEATURES = 400
RIDGE = 2.0
# A first fit of few random features on some of the people tells which directions matter.
FIRST_FEATURES = 200
FIRST_PEOPLE = 10_000
FIRST_ROUNDS = 2
# Reweighting rounds. The first reweights towards least distances: WEIGHT_FLOOR is the residual (in person sizes) below
# which a person's weight stops growing. The others go on to Cauchy's loss of this scale, about half a head size: people
# further off than that are wrong whatever the model does, and should not pull.
ROUNDS = 3
WEIGHT_FLOOR = 0.02
CAUCHY_SCALE = 0.1
# People predicted at a time, which bounds memory.
_CHUNK = 8192
# Inputs further out than this (in person sizes) are mistakes or extreme foreshortening; products must not explode.
REACH = 3.0


@dataclass(frozen=True)
class PoseOnlyModel:
    """A fitted baseline.

    inputs: S names it looks at. targets: T names it predicts.
    mean: (2S,) float64, covariance: (2S, 2S) float64, of complete people in their own frame: what fills in the
        inputs a person lacks.
    hidden: (H, R) float32 random projection of the H plain features; offset: (R,) float32.
    weights: (T, F, 2) float32, features -> position in the person's frame.
    Raises ValueError if shapes do not hold.
    """

    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    hidden: NDArray[np.float32]
    offset: NDArray[np.float32]
    weights: NDArray[np.float32]

    def __post_init__(self) -> None:
        s, t = len(self.inputs), len(self.targets)
        plain, random = 3 * s + 3, len(self.offset)
        shapes = {
            "mean": (2 * s,),
            "covariance": (2 * s, 2 * s),
            "hidden": (plain, random),
            "offset": (random,),
            "weights": (t, plain + s * (2 * s + 1) + random, 2),
        }
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"pose_only: {name} has shape {getattr(self, name).shape}, expected {shape}")

    def predict(self, poses: Poses) -> NDArray[np.float64]:
        """(N, T, 2) float64 image pixels; NaN for people with fewer than `MIN_INPUTS` labelled inputs.

        Inputs the skeleton of `poses` lacks count as not labelled.
        """
        predicted = np.full((len(poses), len(self.targets), 2), np.nan)
        known, completed, rows = self._completed(poses)
        frame = Frame.of(completed, self.inputs)
        plain = _plain_features(completed, known, frame)
        inside = np.empty((len(rows), len(self.targets), 2))
        for start in range(0, len(rows) if self.targets else 0, _CHUNK):
            part = slice(start, start + _CHUNK)
            features = _all_features(plain[part], self.hidden, self.offset)
            for target, weights in enumerate(self.weights):
                inside[part, target] = features @ weights
        predicted[rows] = frame.out_of(inside)
        return predicted

    def frame(self, poses: Poses) -> Frame:
        """The N people's own frames, incomplete people completed; NaN for those with too few labelled inputs."""
        _, completed, rows = self._completed(poses)
        found = Frame.of(completed, self.inputs)
        center, size, turn = np.full((len(poses), 2), np.nan), np.full(len(poses), np.nan), np.full(len(poses), np.nan)
        center[rows], size[rows], turn[rows] = found.center, found.size, found.turn
        return Frame(center, size, turn)

    def _completed(self, poses: Poses) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
        """(U, S, 2) labelled inputs of the U usable people, the same with the missing ones filled in, their rows."""
        xy = columns(poses, self.inputs)
        rows = np.flatnonzero(usable(xy))
        return xy[rows], _complete(xy[rows], self.mean, self.covariance), rows


def fit(
    poses: Poses,
    inputs: Sequence[str],
    targets: Sequence[str],
    *,
    rng: np.random.Generator | None = None,
) -> PoseOnlyModel:
    """Learn `targets` from `inputs` on the people of `poses` who have them labelled (crowds left out).

    Each person is also seen mirrored (unless an input stands without its other side), and once more with some inputs
    hidden, so that the model serves people whose labels are incomplete. Chance comes from `rng` (default: seed 0); the
    same input gives the same model.
    Without targets the model only knows the people's frames.

    Raises ValueError if a target is an input, or too few people have the inputs or a target labelled.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    inputs, targets = tuple(inputs), tuple(targets)
    both = [t for t in targets if t in inputs]
    if both:
        raise ValueError(f"cannot predict {', '.join(both)} from itself")
    x, y = columns(poses, inputs), columns(poses, targets)
    rows = np.flatnonzero(usable(x) & ~poses.crowd)
    if len(rows) > MAX_PEOPLE:
        rows = np.sort(rng.choice(rows, MAX_PEOPLE, replace=False))
    x, y = x[rows], y[rows]
    whole = x[count(x) == len(inputs)]
    if len(whole) < MIN_PEOPLE:
        raise ValueError(f"{len(whole)} people have all of {', '.join(inputs)} labelled, {MIN_PEOPLE} are needed")
    for target, labelled in zip(targets, count(y.transpose(1, 0, 2)).tolist(), strict=True):
        if labelled < MIN_PEOPLE:
            raise ValueError(f"{labelled} people have {target} labelled beside the inputs, {MIN_PEOPLE} are needed")

    reflection = _Reflection.of_plain(inputs, poses.skeleton)
    if reflection is not None:
        whole = np.concatenate([whole, mirror(whole, inputs, poses.skeleton)])
    shape = Frame.of(whole, inputs).into(whole).reshape(len(whole), -1)
    mean, covariance = shape.mean(axis=0), np.cov(shape, rowvar=False) + PRIOR_VARIANCE * np.eye(shape.shape[1])

    if not targets:
        plain, (one, _) = 3 * len(inputs) + 3, _products(3 * len(inputs) + 3)
        layer, weights = np.zeros((plain, 0), dtype=np.float32), np.zeros((0, plain + len(one), 2), dtype=np.float32)
        return PoseOnlyModel(inputs, targets, mean, covariance, layer, layer[0], weights)
    mirrored = _partners(targets, poses.skeleton)
    members = []
    metric = None
    for _ in range(MEMBERS):
        half_hidden = _hide_some(x, rng)
        enough = usable(half_hidden)
        given, there = np.concatenate([x, half_hidden[enough]]), np.concatenate([y, y[enough]])
        completed = _complete(given, mean, covariance)
        frame = Frame.of(completed, inputs)
        plain, wanted = _plain_features(completed, given, frame), frame.into(there).astype(np.float32)
        if metric is None:
            metric = _metric(plain, wanted, reflection, mirrored, rng)
        hidden, offset = _random_layer(plain.shape[1], RANDOM_FEATURES, reflection, rng, metric)
        features = _all_features(plain, hidden, offset)
        members.append((hidden, offset, _fit_all(features, wanted, reflection, mirrored, RANDOM_FEATURES, ROUNDS)))
    return PoseOnlyModel(inputs, targets, mean, covariance, *_averaged(members))


def _averaged(
    members: Sequence[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """(H, R), (R,) and (T, F, 2) of the one model that says the mean of what these say."""
    hidden, offset, weights = zip(*members, strict=True)
    shared = weights[0].shape[1] - len(offset[0])
    common = np.mean([w[:, :shared] for w in weights], axis=0)
    own = np.concatenate([w[:, shared:] for w in weights], axis=1) / len(weights)
    joined = np.concatenate([common, own], axis=1).astype(np.float32)
    return np.concatenate(hidden, axis=1), np.concatenate(offset), joined


def _random_layer(
    h: int,
    random: int,
    reflection: _Reflection | None,
    rng: np.random.Generator,
    metric: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(H, R) projections and (R,) offsets; with an (H, H) `metric` drawn along the directions that matter."""
    pairs = 1 if reflection is None else 2
    drawn = rng.normal(size=(h, random // pairs)) / np.sqrt(h / 4)
    offset = np.tile(rng.uniform(-1, 1, random // pairs).astype(np.float32), pairs)
    if metric is not None:
        drawn = metric @ drawn
    return drawn.astype(np.float32) if reflection is None else reflection.doubled(drawn), offset


def _metric(
    plain: NDArray[np.float32],
    wanted: NDArray[np.float32],
    reflection: _Reflection | None,
    mirrored: Sequence[int | None],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """(H, H) what turns and stretches random draws along the directions in which the targets change most.

    A first fit's gradients say which those are: the root of their mean outer product (Radhakrishnan et al., Science
    2024, recursive feature machines; one step of it), scaled so that projections vary as much as before.
    """
    some = rng.choice(len(plain), min(len(plain), FIRST_PEOPLE), replace=False)
    sample = plain[some]
    hidden, offset = _random_layer(plain.shape[1], FIRST_FEATURES, reflection, rng)
    features = _all_features(sample, hidden, offset)
    weights = _fit_all(features, wanted[some], reflection, mirrored, FIRST_FEATURES, FIRST_ROUNDS)
    root = _sensitivity(sample, weights, hidden, offset, reflection)
    covariance = np.cov(sample, rowvar=False, dtype=np.float64)
    # The variance of a projection along independent normal draws w is trace(covariance), along root @ w the other one.
    spread = max(np.trace(root.T @ covariance @ root), np.finfo(np.float64).tiny)
    return root * np.sqrt(np.trace(covariance) / spread)


def _sensitivity(
    plain: NDArray[np.float32],
    weights: NDArray[np.float32],
    hidden: NDArray[np.float32],
    offset: NDArray[np.float32],
    reflection: _Reflection | None,
) -> NDArray[np.float64]:
    """(H, H) root of the mean outer product of the fits' gradients by the plain features, targets weighing alike."""
    h = plain.shape[1]
    one, other = _products(h)
    active = (plain @ hidden + offset > 0).astype(np.float32)
    total = np.zeros((h, h))
    for fitted in weights:
        for axis in range(2):
            linear, squares, units = np.split(fitted[:, axis], [h, h + len(one)])
            double = np.zeros((h, h), dtype=np.float32)
            double[one, other] = squares
            slope = linear + plain @ (double + double.T) + (active * units) @ hidden.T
            moment = (slope.T @ slope).astype(np.float64)
            total += moment / max(np.trace(moment), np.finfo(np.float64).tiny)
    if reflection is not None:
        total += reflection.of_gram(total)
    value, vector = np.linalg.eigh(total)
    return (vector * np.sqrt(np.maximum(value, 0))) @ vector.T


def _complete(
    xy: NDArray[np.float64], mean: NDArray[np.float64], covariance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N, S, 2) image pixels with the missing inputs filled in: their conditional mean given the ones there.

    The points there are laid over the mean person by the best similarity (turn, size, place). How well a few points
    fix that similarity is part of the question, so the covariance is widened along its four directions.
    """
    average = _to_complex(mean.reshape(-1, 2))
    turned, ones = 1j * average, np.ones_like(average)
    directions = np.stack([_from_complex(d).reshape(-1) for d in (average, turned, ones, 1j * ones)])
    widened = covariance + LOOSE_FRAME * directions.T @ directions
    completed = xy.copy()
    patterns, member = np.unique(np.isfinite(xy).all(axis=-1), axis=0, return_inverse=True)
    for number, there in enumerate(patterns):
        if there.all():
            continue
        rows = np.flatnonzero(member.reshape(-1) == number)
        given, model = _to_complex(xy[rows][:, there]), average[there]
        center, origin = given.mean(axis=1), model.mean()
        zoom = ((given - center[:, None]) * np.conj(model - origin)).sum(axis=1) / (np.abs(model - origin) ** 2).sum()
        # Points that lie the other way round than the mean person's can cancel: keep the person's own size then.
        smallest = 0.2 * np.sqrt(
            (np.abs(given - center[:, None]) ** 2).sum(axis=1) / (np.abs(model - origin) ** 2).sum()
        )
        zoom = np.where(np.abs(zoom) < smallest, smallest, zoom)
        inside = _from_complex((given - center[:, None]) / zoom[:, None] + origin).reshape(len(rows), -1)
        have = np.repeat(there, 2)
        gain = np.linalg.solve(widened[np.ix_(have, have)], widened[np.ix_(have, ~have)])
        filled = _to_complex((mean[~have] + (inside - mean[have]) @ gain).reshape(len(rows), -1, 2))
        completed[np.ix_(rows, np.flatnonzero(~there))] = _from_complex(
            (filled - origin) * zoom[:, None] + center[:, None]
        )
    return completed


def _to_complex(xy: NDArray[np.float64]) -> NDArray[np.complex128]:
    return xy[..., 0] + 1j * xy[..., 1]


def _from_complex(points: NDArray[np.complex128]) -> NDArray[np.float64]:
    return np.stack([points.real, points.imag], axis=-1)


def _hide_some(xy: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """The same people with up to 60 % of their inputs hidden, a share drawn per person."""
    share = 0.6 * rng.random((len(xy), 1))
    return np.where((rng.random(xy.shape[:2]) < share)[..., None], np.nan, xy)


def _fit_all(
    features: NDArray[np.float32],
    wanted: NDArray[np.float32],
    reflection: _Reflection | None,
    mirrored: Sequence[int | None],
    random: int,
    rounds: int,
) -> NDArray[np.float32]:
    """(T, F, 2) ridge weights, robust by iteratively reweighted least squares, fitted on people and mirror images.

    wanted: (N, T, 2) in the person's frame, NaN where not labelled. mirrored: the target each turns into. The mirror
    images are never made: their sums are those of the people, reordered.
    """
    whole = None if reflection is None else reflection.of_all(random)
    penalty = RIDGE * np.eye(features.shape[1])
    known = [np.flatnonzero(np.isfinite(w).all(axis=-1)) for w in wanted.transpose(1, 0, 2)]
    weight = [np.ones(len(rows), dtype=np.float32) for rows in known]
    solution = np.zeros((len(known), features.shape[1], 2), dtype=np.float32)
    for number in range(rounds):
        sums = []
        for target, rows in enumerate(known):
            seen = features if len(rows) == len(features) else features[rows]
            weighted = (seen * weight[target][:, None]).T
            sums.append((weighted @ seen, weighted @ wanted[rows, target]))
        for target, rows in enumerate(known):
            gram, moment = sums[target]
            other = mirrored[target]
            if whole is not None and other is not None:
                gram, moment = gram + whole.of_gram(sums[other][0]), moment + whole.of_moment(sums[other][1])
            solution[target] = np.linalg.solve(gram.astype(np.float64) + penalty, moment.astype(np.float64))
            seen = features if len(rows) == len(features) else features[rows]
            residual = np.linalg.norm(seen @ solution[target] - wanted[rows, target], axis=1)
            towards_cauchy = 1 / (residual**2 + CAUCHY_SCALE**2)
            weight[target] = 1 / np.maximum(residual, WEIGHT_FLOOR) if number == 0 else towards_cauchy
            weight[target] /= weight[target].mean()
    return solution


def _plain_features(completed: NDArray[np.float64], given: NDArray[np.float64], frame: Frame) -> NDArray[np.float32]:
    """(N, S, 2) image pixels, filled in and as given -> (N, H): S places, S times whether given, turn (2), one."""
    there = np.isfinite(given).all(axis=-1)
    place = np.clip(frame.into(completed), -REACH, REACH).reshape(len(given), 2 * completed.shape[1])
    turn = np.stack([np.sin(frame.turn), np.cos(frame.turn)], axis=1)
    return np.concatenate([place, there, turn, np.ones((len(given), 1))], axis=1).astype(np.float32)


def _all_features(
    plain: NDArray[np.float32], hidden: NDArray[np.float32], offset: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(N, H) -> (N, F): plain features, products of coordinates, ReLU of (H, R) projections and (R,) offsets."""
    one, other = _products(plain.shape[1])
    return np.concatenate([plain, plain[:, one] * plain[:, other], np.maximum(plain @ hidden + offset, 0)], axis=1)


def _products(plain: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Which of the 2S coordinates of H = 3S + 3 plain features are multiplied with which: all pairs, squares too."""
    one, other = np.triu_indices(2 * ((plain - 3) // 3))
    return one, other


def _partners(names: Sequence[str], skeleton: Skeleton) -> tuple[int | None, ...]:
    """For each name the position of the one that takes its place in a mirror; None where that one is not named."""
    swap: dict[str, str] = {}
    for left, right in skeleton.flip_pairs:
        swap[left], swap[right] = right, left
    place = {name: i for i, name in enumerate(names)}
    return tuple(place.get(swap.get(name, name)) for name in names)


@dataclass(frozen=True)
class _Reflection:
    """Feature i of a mirrored person is sign[i] times feature index[i] of the person.

    index: (F,) int64. sign: (F,) float32, 1 or -1.
    """

    index: NDArray[np.intp]
    sign: NDArray[np.float32]

    @classmethod
    def of_plain(cls, inputs: Sequence[str], skeleton: Skeleton) -> _Reflection | None:
        """Of the H plain features; None if an input stands without its other side, and no mirror keeps the set."""
        partner = np.array([-1 if p is None else p for p in _partners(inputs, skeleton)])
        if (partner < 0).any():
            return None
        s = len(inputs)
        places = np.stack([2 * partner, 2 * partner + 1], axis=1).reshape(-1)
        sign = np.concatenate([np.tile([-1.0, 1.0], s), np.ones(s), [-1.0, 1.0, 1.0]])
        index = np.concatenate([places, 2 * s + partner, np.arange(3 * s, 3 * s + 3)])
        return cls(index, sign.astype(np.float32))

    def doubled(self, drawn: NDArray[np.float64]) -> NDArray[np.float32]:
        """(H, R / 2) projections -> (H, R): after them those that see the mirrored person as they see the person."""
        seen = np.zeros_like(drawn)
        seen[self.index] = drawn * self.sign[:, None]
        return np.concatenate([drawn, seen], axis=1).astype(np.float32)

    def of_all(self, random: int) -> _Reflection:
        """From the plain features to all F, of which the last `random` are `doubled`."""
        h = len(self.index)
        one, other = _products(h)
        place = np.zeros((h, h), dtype=np.intp)
        place[one, other] = place[other, one] = np.arange(len(one))
        units = np.roll(np.arange(random), random // 2)
        index = [self.index, h + place[self.index[one], self.index[other]], h + len(one) + units]
        sign = [self.sign, self.sign[one] * self.sign[other], np.ones(random, dtype=np.float32)]
        return _Reflection(np.concatenate(index), np.concatenate(sign))

    def of_gram(self, gram: NDArray[Any]) -> NDArray[Any]:
        """(F, F) sums of products of features over people -> the same over their mirror images."""
        return self.sign[:, None] * gram[np.ix_(self.index, self.index)] * self.sign

    def of_moment(self, moment: NDArray[np.float32]) -> NDArray[np.float32]:
        """(F, 2) sums of features times x and y -> the same over the mirror images, whose x is negated."""
        return self.sign[:, None] * moment[self.index] * np.array([-1, 1], dtype=np.float32)
