"""Where an added point really is: the network's point, moved by what the same person's labels say about it.

A person who lacks one keypoint has others labelled. They tell two things: where the point would be by the labelled pose
alone (the expectation, `pose_only`), and how far off the network is on this person (the labelled inputs are predicted
too). The final point is a weighted mean of three,

    point = a0 * prediction + a1 * expectation + a2 * moved,        a = softmax(0, w1 . f, w2 . f),

`moved` being the prediction taken along by the similarity that lays the predicted inputs over the labelled ones. The
features f are a constant, a few gates (how unsure the network is, how far the three are apart, how far off it is on
the inputs, how many are labelled), and their squares and products. A sure point that nothing contradicts stays; one
that everything contradicts goes to the expectation. It never leaves the triangle of the three, and since the gates
are lengths in the person's size and the weights shared by left and right, it moves, turns, grows and mirrors with the
person. The weights are those of the smallest mean distance to the truth, with a ridge. Figures are in docs/anchor.md.

N people, A added keypoints, S inputs, G gates, F features, C = 2 alternatives to the prediction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotext.core.frame import Frame, columns
from annotext.core.poses import Poses
from annotext.core.predictions import Predictions
from annotext.core.skeleton import Skeleton

ALTERNATIVES = 2
# The network's confidence in its own point; the first that a prediction has.
CONFIDENCE = ("entropy", "score")
# Of test-time augmentation, where a prediction has it. They bring one to two per cent of the error.
AUGMENTATIONS = ("flip", "shift")
# Lengths and shares enter as logarithms above these floors: below them they are noise. Lengths are in sizes.
_FLOORS = {
    "entropy": 0.01,
    "score": 0.01,
    "flip": 0.002,
    "shift": 0.002,
    "disagreement": 0.02,
    "peers": 0.02,
    "offset": 0.01,
    "moved": 0.01,
}
# Gates further out than this many standard deviations say no more; products must not explode on other data.
REACH = 2.5
# Penalty on the squared weights beside the mean error as a share of the raw one. .002 to .01 differ by less than half a
# per cent of the error; the constant's is a tenth, about a start that leaves four fifths with the prediction.
RIDGE = 0.005
_START = -2.0
# Fewer people with a truth than this fit nothing; the 45 features times two are held by the ridge.
MIN_PEOPLE = 100
ROUNDS = 60
# The distance's kink at zero is rounded off over this share of the raw mean error.
_ROUNDING = 0.1
# An input counts in the similarity by its distance from the point, in sizes, and less if its offset is unlike the rest.
_NEAR = 0.8
_ALIKE = 0.03
# Few or close inputs say little about turn and scale: shrink towards none, by this spread in sizes.
_SPREAD = 0.15
_EPSILON = 1e-12
# People weighed at once, some tens of megabytes.
_CHUNK = 16_384


@dataclass(frozen=True)
class AnchorModel:
    """A fitted correction of one predictor's points.

    inputs: S names of labelled keypoints it looks at. keypoints: A names it corrects. on: A, whether it does.
    gates: G names. mean, scale: (A, G) float64, what makes a gate's values standard.
    weights: (A, F, C) float64, features -> logits of the alternatives against the prediction.
    """

    inputs: tuple[str, ...]
    keypoints: tuple[str, ...]
    on: tuple[bool, ...]
    gates: tuple[str, ...]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]

    def __post_init__(self) -> None:
        a, g = len(self.keypoints), len(self.gates)
        shape = (a, _features_of(g), ALTERNATIVES)
        if len(self.on) != a or self.mean.shape != (a, g) or self.scale.shape != (a, g) or self.weights.shape != shape:
            raise ValueError(f"anchor of {a} keypoints, {g} gates: weights {self.weights.shape}, expected {shape}")
        if not (self.scale > 0).all():
            raise ValueError("anchor: a scale that is not positive")

    def apply(
        self, poses: Poses, predictions: Predictions, expectation: NDArray[np.float64], frame: Frame
    ) -> NDArray[np.float64]:
        """(N, A, 2) float64 image pixels: the final points.

        predictions: of the same N people in the same order. expectation: (N, A, 2) image pixels, NaN where unknown.
        frame: of the N people, from all the labelled inputs. The prediction itself stands where the keypoint is off,
        the expectation or the size is unknown, or no input is labelled. A gate the predictions lack counts as average.
        Raises ValueError if the people differ or the predictor does not know a keypoint or input.
        """
        final = _points(predictions, self.keypoints)
        _check(poses, predictions, expectation, self.inputs, self.keypoints)
        for start in range(0, len(poses) if any(self.on) else 0, _CHUNK):
            rows = np.arange(start, min(start + _CHUNK, len(poses)))
            view = _View.of(poses, predictions, expectation, frame, self.inputs, self.keypoints, rows)
            for column in np.flatnonzero(self.on):
                case = view.case(int(column), self.gates)
                features = _features(case.gates, self.mean[column], self.scale[column])
                step, _ = _mix(features @ self.weights[column], case.alternatives)
                there = case.usable
                final[rows[there], column] += step[there] * view.size[there, None]
        return final


def fit_anchor(
    poses: Poses,
    predictions: Predictions,
    expectation: NDArray[np.float64],
    frame: Frame,
    truth_xy: NDArray[np.float64],
    inputs: Sequence[str],
    keypoints: Sequence[str],
) -> AnchorModel:
    """Learn the correction of A `keypoints`, on where everything is known; off where under `MIN_PEOPLE` have it.

    expectation: (N, A, 2) image pixels of a model that did not see these people. truth_xy: (N, A, 2), NaN unknown.
    A left and a right keypoint are learned together. Raises ValueError as `AnchorModel.apply` does, and if an input is
    a keypoint or none of the gates of `CONFIDENCE` is there.
    """
    inputs, keypoints = tuple(inputs), tuple(keypoints)
    both = [k for k in keypoints if k in inputs]
    if both:
        raise ValueError(f"cannot correct {', '.join(both)} by itself")
    _check(poses, predictions, expectation, inputs, keypoints)
    gates = _gate_names(predictions)
    view = _View.of(poses, predictions, expectation, frame, inputs, keypoints, np.arange(len(poses)))
    a, g = len(keypoints), len(gates)
    mean, scale = np.zeros((a, g)), np.ones((a, g))
    weights, on = np.zeros((a, _features_of(g), ALTERNATIVES)), [False] * a
    for group in _groups(keypoints, predictions.skeleton):
        cases = [view.case(column, gates) for column in group]
        wanted = [(truth_xy[:, column] - view.points[:, column]) / view.size[:, None] for column in group]
        known = [c.usable & np.isfinite(w).all(axis=-1) for c, w in zip(cases, wanted, strict=True)]
        if sum(int(k.sum()) for k in known) < MIN_PEOPLE:
            continue
        values = np.concatenate([c.gates[k] for c, k in zip(cases, known, strict=True)])
        middle, spread = _standard(values)
        found = _least_distance(
            _features(values, middle, spread),
            np.concatenate([c.alternatives[k] for c, k in zip(cases, known, strict=True)]),
            np.concatenate([w[k] for w, k in zip(wanted, known, strict=True)]),
        )
        for column in group:
            mean[column], scale[column], weights[column], on[column] = middle, spread, found, True
    return AnchorModel(inputs, keypoints, tuple(on), gates, mean, scale, weights)


@dataclass(frozen=True)
class _Case:
    """One keypoint of N people. alternatives: (N, C, 2) steps from the prediction, in sizes. gates: (N, G)."""

    alternatives: NDArray[np.float64]
    gates: NDArray[np.float64]
    usable: NDArray[np.bool_]


@dataclass(frozen=True)
class _View:
    """What is known about N people.

    there: (N, S) bool, the input is labelled and the person's size known. size: (N,) pixels, NaN where unknown.
    seen: (N, S, 2), points, expectation: (N, A, 2), image pixels: predicted inputs, predicted keypoints, expectation.
    offset: (N, S, 2) labelled - seen, in sizes; weight: (N, S); both 0 where not there.
    confidence: (N, A) arrays by name, the network's own figures of its points.
    """

    there: NDArray[np.bool_]
    seen: NDArray[np.float64]
    points: NDArray[np.float64]
    expectation: NDArray[np.float64]
    size: NDArray[np.float64]
    offset: NDArray[np.float64]
    weight: NDArray[np.float64]
    confidence: Mapping[str, NDArray[np.float64]]

    @classmethod
    def of(
        cls,
        poses: Poses,
        predictions: Predictions,
        expectation: NDArray[np.float64],
        frame: Frame,
        inputs: tuple[str, ...],
        keypoints: tuple[str, ...],
        rows: NDArray[np.intp],
    ) -> _View:
        labelled = columns(poses.take(rows), inputs)
        seen, points = _points(predictions, inputs)[rows], _points(predictions, keypoints)[rows]
        measured = np.asarray(frame.size[rows] > 0)
        size = np.where(measured, frame.size[rows], np.nan)
        there = np.isfinite(labelled).all(axis=-1) & measured[:, None]
        offset = np.where(there[..., None], (labelled - seen) / size[:, None, None], 0.0)
        unlike = np.linalg.norm(offset - _geometric_median(offset, there)[:, None], axis=-1)
        mine = np.ix_(rows, predictions.skeleton.indices(keypoints))
        confidence = {
            name: np.asarray(values[mine], dtype=np.float64)
            for name, values in (*predictions.features.items(), ("score", predictions.score))
        }
        weight = there / np.maximum(unlike, _ALIKE)
        return cls(there, seen, points, expectation[rows], size, offset, weight, confidence)

    def case(self, column: int, gates: Sequence[str]) -> _Case:
        """What is known about the keypoint `column`."""
        point, size = self.points[:, column], self.size[:, None]
        apart = (self.expectation - self.points) / size[..., None]
        expected, moved = apart[:, column], self._moved(point)
        peers = np.delete(apart, column, axis=1)
        length = np.where(self.there, np.linalg.norm(self.offset, axis=-1), np.nan)
        any_there = self.there.any(axis=1)
        offset = np.full(len(point), np.nan)
        offset[any_there] = np.nanmedian(length[any_there], axis=1)
        lengths = {
            "disagreement": np.linalg.norm(expected, axis=-1),
            "peers": np.linalg.norm(peers.mean(axis=1), axis=-1) if peers.shape[1] else np.zeros(len(point)),
            "offset": offset,
            "moved": np.linalg.norm(moved, axis=-1),
        }
        values = np.full((len(point), len(gates)), np.nan)
        for place, name in enumerate(gates):
            if name == "labelled":
                values[:, place] = self.there.mean(axis=1)
                continue
            value = lengths.get(name)
            if value is None and name in self.confidence:
                value = self.confidence[name][:, column]
            if value is not None:
                values[:, place] = np.log(np.maximum(value, 0) + _FLOORS[name])
        alternatives = np.stack([expected, moved], axis=1)
        usable = np.asarray(np.isfinite(alternatives).all(axis=(1, 2)) & any_there)
        return _Case(np.where(usable[:, None, None], alternatives, 0.0), values, usable)

    def _moved(self, point: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, 2) steps in sizes: where (N, 2) points go with the similarity from the inputs seen to those labelled."""
        seen = (self.seen - point[:, None]) / np.where(np.isfinite(self.size), self.size, 1.0)[:, None, None]
        weight = self.weight * np.exp(-0.5 * (np.linalg.norm(seen, axis=-1) / _NEAR) ** 2)
        weight /= weight.sum(axis=1, keepdims=True) + _EPSILON
        here, offset = seen[..., 0] + 1j * seen[..., 1], self.offset[..., 0] + 1j * self.offset[..., 1]
        middle, step = (weight * here).sum(axis=1), (weight * offset).sum(axis=1)
        away = here - middle[:, None]
        variance = (weight * np.abs(away) ** 2).sum(axis=1)
        # The least-squares similarity is 1 + turn about the middle; _SPREAD is its ridge.
        turn = (weight * offset * np.conj(away)).sum(axis=1) / (variance + _SPREAD**2)
        step = step - turn * middle
        return np.stack([step.real, step.imag], axis=-1)


def _points(predictions: Predictions, names: tuple[str, ...]) -> NDArray[np.float64]:
    return predictions.xy[:, predictions.skeleton.indices(names)].astype(np.float64)


def _check(
    poses: Poses,
    predictions: Predictions,
    expectation: NDArray[np.float64],
    inputs: tuple[str, ...],
    keypoints: tuple[str, ...],
) -> None:
    if not np.array_equal(poses.ids, predictions.ids):
        raise ValueError("poses and predictions are not of the same people in the same order")
    unknown = [k for k in (*inputs, *keypoints) if k not in predictions.skeleton.index]
    if unknown:
        raise ValueError(f"{predictions.predictor.name} does not predict {', '.join(unknown)}")
    if expectation.shape != (len(poses), len(keypoints), 2):
        raise ValueError(
            f"expectation has shape {expectation.shape} for {len(poses)} people, {len(keypoints)} keypoints"
        )


def _gate_names(predictions: Predictions) -> tuple[str, ...]:
    confidence = next(k for k in CONFIDENCE if k == "score" or _has(predictions, k))
    augmentations = [k for k in AUGMENTATIONS if _has(predictions, k)]
    return (confidence, *augmentations, "disagreement", "peers", "offset", "moved", "labelled")


def _has(predictions: Predictions, feature: str) -> bool:
    return feature in predictions.features and bool(np.isfinite(predictions.features[feature]).any())


def _groups(keypoints: tuple[str, ...], skeleton: Skeleton) -> list[list[int]]:
    """Columns learned together: left and right share their weights, so that a mirror changes nothing."""
    group_of = {k: [i] for i, k in enumerate(keypoints)}
    for left, right in skeleton.flip_pairs:
        if left in group_of and right in group_of:
            group_of[left] = group_of[right] = sorted([*group_of[left], *group_of[right]])
    return [list(g) for g in dict.fromkeys(tuple(group_of[k]) for k in keypoints)]


def _geometric_median(offset: NDArray[np.float64], there: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(N, 2) of (N, S, 2) offsets where (N, S) there; Weiszfeld's iteration, rounded off below _ALIKE."""
    weight = there.astype(np.float64)
    middle = np.zeros((len(offset), 2))
    for _ in range(6):
        middle = (weight[..., None] * offset).sum(axis=1) / (weight.sum(axis=1) + _EPSILON)[:, None]
        weight = there / np.maximum(np.linalg.norm(offset - middle[:, None], axis=-1), _ALIKE)
    return middle


def _features_of(gates: int) -> int:
    return 1 + gates + gates * (gates + 1) // 2


def _standard(gates: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(G,) mean and (G,) standard deviation of (N, G) gates; 1 for a gate that never changes."""
    known = np.isfinite(gates)
    n = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, gates, 0).sum(axis=0) / n
    deviation = np.sqrt((np.where(known, gates - mean, 0) ** 2).sum(axis=0) / n)
    return mean, np.where(deviation > 1e-6, deviation, 1.0)


def _features(gates: NDArray[np.float64], mean: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, G) gates -> (N, F): a constant, the standardised gates (0 where unknown), their squares and products."""
    plain = np.clip(np.nan_to_num((gates - mean) / scale), -REACH, REACH)
    one, other = np.triu_indices(plain.shape[1])
    return np.concatenate([np.ones((len(plain), 1)), plain, plain[:, one] * plain[:, other]], axis=1)


def _mix(
    logits: NDArray[np.float64], alternatives: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N, 2) the mean step and (N, C) the shares of the alternatives; the prediction's logit and step are 0."""
    top = np.maximum(logits.max(axis=1, keepdims=True), 0)
    share = np.exp(logits - top)
    share /= share.sum(axis=1, keepdims=True) + np.exp(-top)
    return (share[..., None] * alternatives).sum(axis=1), share


def _least_distance(
    features: NDArray[np.float64], alternatives: NDArray[np.float64], wanted: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(F, C) weights for the smallest mean distance of the mixed step from (N, 2) `wanted`, with a ridge.

    Levenberg's damped Gauss-Newton steps; the distances are reweighted squares, as in a robust regression.
    """
    n, f = features.shape
    raw = float(np.linalg.norm(wanted, axis=1).mean()) or 1.0
    penalty = np.full((f, ALTERNATIVES), RIDGE)
    penalty[0] *= 0.1
    start = np.zeros((f, ALTERNATIVES))
    start[0] = _START
    damping, weights = 1.0, start

    def cost(candidate: NDArray[np.float64]) -> tuple[float, NDArray[np.float64], NDArray[np.float64], NDArray]:
        step, share = _mix(features @ candidate, alternatives)
        distance = np.sqrt(((step - wanted) ** 2).sum(axis=1) + (_ROUNDING * raw) ** 2)
        value = distance.mean() / raw + (penalty * (candidate - start) ** 2).sum()
        return float(value), step, share, distance

    value, step, share, distance = cost(weights)
    for _ in range(ROUNDS):
        weight = 1 / (distance * raw * n)
        pull = share[..., None] * (alternatives - step[:, None])  # (N, C, 2), the step's change with each logit
        along = weight[:, None] * (pull * (step - wanted)[:, None]).sum(axis=-1)
        gradient = features.T @ along + 2 * penalty * (weights - start)
        hessian = np.zeros((ALTERNATIVES, f, ALTERNATIVES, f))
        for one in range(ALTERNATIVES):
            for other in range(ALTERNATIVES):
                both = weight * (pull[:, one] * pull[:, other]).sum(axis=-1)
                hessian[one, :, other] = (features * both[:, None]).T @ features
        square = hessian.reshape(2 * [f * ALTERNATIVES]) + np.diag(2 * penalty.T.reshape(-1))
        while True:
            damped = square + damping * np.diag(np.diag(square))
            change = np.linalg.solve(damped, gradient.T.reshape(-1)).reshape(ALTERNATIVES, f).T
            tried = cost(weights - change)
            if tried[0] < value or damping > 1e6:
                break
            damping *= 4
        if tried[0] >= value:
            break
        gain, weights = value - tried[0], weights - change
        value, step, share, distance = tried
        damping = max(damping / 4, 1e-6)
        if gain < 1e-7:
            break
    return weights
