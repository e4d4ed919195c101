"""The baseline without an image: where a keypoint is, judged from the person's labelled keypoints alone.

A model that looks at pixels must beat it, keypoint by keypoint. It is regression on geometry: the labelled inputs in
the person's own frame (shoulders at the origin, torso upright, size one; missing ones filled in by their conditional
mean), their products and a layer of random ReLU features, ridge regression reweighted towards least absolute error
(so that a few odd people do not bend it).

On MPII, fitted on 14,649 train people and judged on all of val from the 12 joints shared with COCO, it reaches
PCKh@0.5 97.5 / 70.9 and PCKh@0.1 30.5 / 6.7 for upper neck / head top, and 86.7 / 55.6 and 17.7 / 4.1 when a random
30 % of the inputs is hidden (a linear model fitted anew for every pattern of missing inputs: 87.8 / 50.6, 17.7 / 3.2).

N people, S inputs, T targets, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotext.core.frame import Frame, columns, count, mirror, usable
from annotext.core.poses import Poses

# A bound on time and memory (20,000 people: about 6 s on two cores, 0.3 GB); MPII's train set stays whole.
MAX_PEOPLE = 20_000
RANDOM_FEATURES = 400
RIDGE = 1.0
MIN_PEOPLE = 20
# Added to the covariance of positions (in person sizes, squared): one percent of a size of noise in every label.
PRIOR_VARIANCE = 1e-4
# Variance along turn, size and place when inputs are filled in; anything well above the covariance itself serves.
LOOSE_FRAME = 1.0
# Reweighting rounds, and the residual (in person sizes) below which a person's weight stops growing.
ROUNDS = 4
WEIGHT_FLOOR = 0.02
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
        features = _features(completed, known, frame, self.hidden, self.offset)
        inside = np.stack([features @ w for w in self.weights], axis=1).astype(np.float64)
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

    Each person is also seen mirrored, and once more with some inputs hidden, so that the model serves people whose
    labels are incomplete. Chance comes from `rng` (default: seed 0); the same input gives the same model.
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
    x = np.concatenate([x, mirror(x, inputs, poses.skeleton)])
    y = np.concatenate([y, mirror(y, targets, poses.skeleton)])

    whole = x[count(x) == len(inputs)]
    if len(whole) < 2 * MIN_PEOPLE:  # each stands there twice, once mirrored
        raise ValueError(f"{len(whole) // 2} people have all of {', '.join(inputs)} labelled, {MIN_PEOPLE} are needed")
    shape = Frame.of(whole, inputs).into(whole).reshape(len(whole), -1)
    mean, covariance = shape.mean(axis=0), np.cov(shape, rowvar=False) + PRIOR_VARIANCE * np.eye(shape.shape[1])

    half_hidden = _hide_some(x[: len(rows)], rng)
    enough = usable(half_hidden)
    x, y = np.concatenate([x, half_hidden[enough]]), np.concatenate([y, y[: len(rows)][enough]])

    completed = _complete(x, mean, covariance)
    frame = Frame.of(completed, inputs)
    plain = 3 * len(inputs) + 3
    hidden = (rng.normal(size=(plain, RANDOM_FEATURES)) / np.sqrt(plain / 4)).astype(np.float32)
    offset = rng.uniform(-1, 1, RANDOM_FEATURES).astype(np.float32)
    features = _features(completed, x, frame, hidden, offset)
    wanted = frame.into(y)
    weights = np.zeros((len(targets), features.shape[1], 2), dtype=np.float32)
    for column, target in enumerate(targets):
        known: NDArray[np.bool_] = np.isfinite(wanted[:, column].sum(axis=-1))
        labelled = int(known[: len(rows)].sum())
        if labelled < MIN_PEOPLE:
            raise ValueError(f"{labelled} people have {target} labelled beside the inputs, {MIN_PEOPLE} are needed")
        weights[column] = _robust_ridge(features[known], wanted[known, column].astype(np.float32))
    return PoseOnlyModel(inputs, targets, mean, covariance, hidden, offset, weights)


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


def _features(
    completed: NDArray[np.float64],
    given: NDArray[np.float64],
    frame: Frame,
    hidden: NDArray[np.float32],
    offset: NDArray[np.float32],
) -> NDArray[np.float32]:
    """(N, S, 2) inputs, filled in and as given -> (N, F): positions, what was given, turn, products, ReLU features."""
    there = np.isfinite(given).all(axis=-1)
    flat = np.clip(frame.into(completed), -REACH, REACH).reshape(len(given), 2 * completed.shape[1]).astype(np.float32)
    turn = np.stack([np.sin(frame.turn), np.cos(frame.turn)], axis=1)
    plain = np.concatenate([flat, there, turn, np.ones((len(given), 1))], axis=1).astype(np.float32)
    one, other = np.triu_indices(flat.shape[1])
    return np.concatenate([plain, flat[:, one] * flat[:, other], np.maximum(plain @ hidden + offset, 0)], axis=1)


def _robust_ridge(features: NDArray[np.float32], wanted: NDArray[np.float32]) -> NDArray[np.float32]:
    """(F, 2) ridge weights for the smallest sum of distances, by iteratively reweighted least squares."""
    weight = np.ones(len(features), dtype=np.float32)
    penalty = RIDGE * np.eye(features.shape[1])
    solution = np.zeros((features.shape[1], 2), dtype=np.float32)
    for _ in range(ROUNDS):
        weighted = features * weight[:, None]
        gram = (weighted.T @ features).astype(np.float64) + penalty
        solution = np.linalg.solve(gram, (weighted.T @ wanted).astype(np.float64)).astype(np.float32)
        residual = np.linalg.norm(features @ solution - wanted, axis=1)
        weight = 1 / np.maximum(residual, WEIGHT_FLOOR)
        weight /= weight.mean()
    return solution
