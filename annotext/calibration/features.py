"""The evidence on an added point: dimensionless numbers that a calibration weighs.

Everything is measured against the person: distances in the person's own size (`Frame.size`), a network's confidence in
a point beside its confidence in the labelled ones. That is what holds when the images change. A mirrored, moved,
grown or (but for `lean`) turned person gives the same numbers. NaN says that something could not be known.

N people, A added keypoints, S inputs (labelled keypoints that may be looked at), F features, K of a predictor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotext.core.anatomy import SHOULDERS
from annotext.core.frame import Frame, columns, count
from annotext.core.poses import Poses
from annotext.core.predictions import Predictions, matched

# Distances in sizes enter as logarithms above this floor: a hundredth of a person is within the noise of any label.
FLOOR = 0.01
# Displacements under test-time augmentation are shares of the crop; half a pixel of a crop of 256.
PASS_FLOOR = 0.002
# Scores of 0 and 1 have no logit.
SCORE_FLOOR = 1e-4
# How many labelled inputs count as a point's neighbours: for a head the shoulders and the next.
NEIGHBOURS = 3
# Another person's points further away than this many sizes say no more.
CROWD_REACH = 1.0


@dataclass(frozen=True)
class Evidence:
    """keypoints: A names. names: F features. values: (N, A, F) float64, NaN where unknown."""

    keypoints: tuple[str, ...]
    names: tuple[str, ...]
    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or self.values.shape[1:] != (len(self.keypoints), len(self.names)):
            expected = (len(self.keypoints), len(self.names))
            raise ValueError(f"evidence has shape {self.values.shape}, expected (N, {expected[0]}, {expected[1]})")

    def __len__(self) -> int:
        return len(self.values)

    def of(self, keypoint: str, names: Sequence[str]) -> NDArray[np.float64]:
        """(N, len(names)) values of one keypoint; NaN for a feature there is none of. KeyError: no such keypoint."""
        if keypoint not in self.keypoints:
            raise KeyError(f"no evidence on {keypoint}")
        mine = self.values[:, self.keypoints.index(keypoint)]
        found = np.full((len(mine), len(names)), np.nan)
        for column, name in enumerate(names):
            if name in self.names:
                found[:, column] = mine[:, self.names.index(name)]
        return found

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Evidence:
        """The people at `rows`, in that order."""
        return Evidence(self.keypoints, self.names, self.values[rows])

    @classmethod
    def joined(cls, parts: Sequence[Evidence]) -> Evidence:
        """One below the other, of the same keypoints; a feature that only some know is not known of the others."""
        names = tuple(dict.fromkeys(name for part in parts for name in part.names))
        keypoints = parts[0].keypoints
        values = [np.stack([part.of(k, names) for k in keypoints], axis=1) for part in parts]
        return cls(keypoints, names, np.concatenate(values))


def evidence(
    poses: Poses,
    predictions: Sequence[Predictions],
    xy: NDArray[np.float64],
    expectation: NDArray[np.float64],
    frame: Frame,
    inputs: Sequence[str],
    keypoints: Sequence[str],
) -> Evidence:
    """The evidence on (N, A, 2) final points `xy` of N people, image pixels, NaN where there is none.

    predictions: the first is the one the points come from; those of others about the same person (matched by id) are
    compared with it. expectation: (N, A, 2) where the pose alone puts the point. frame: the N people's own frames. Only
    the labels of `inputs` are looked at. Without a point or a frame everything is NaN.
    Raises ValueError without predictions, or if the first lacks one of `keypoints`.
    """
    keypoints, inputs = tuple(keypoints), tuple(inputs)
    if not predictions:
        raise ValueError("evidence needs a prediction")
    first = predictions[0]
    lacking = [k for k in keypoints if k not in first.skeleton.index]
    if lacking:
        raise ValueError(f"{first.predictor.name} does not predict {', '.join(lacking)}")
    labels = columns(poses, inputs)
    rows, them = matched(poses.ids, first.ids)
    raw = _spread(first.xy, first.skeleton.indices(keypoints), rows, them, len(poses))
    size = np.where(frame.size > 0, frame.size, np.nan)[:, None]
    found: dict[str, NDArray[np.float64]] = {
        **_confidence(first, keypoints, inputs, rows, them, len(poses)),
        **_against_expectation(xy, raw, expectation, size),
        "disagreement": _disagreement(predictions[1:], poses, keypoints, raw, size),
        "limbs": _limbs(xy, expectation, labels, size),
        **_agreement(first, poses, inputs, labels, expectation, size, rows, them),
        **_posture(labels, inputs, frame, size),
        "crowding": _crowding(xy, labels, poses, size),
    }
    values = np.stack([np.broadcast_to(v, xy.shape[:2]) for v in found.values()], axis=-1)
    known = np.isfinite(xy).all(axis=-1) & np.isfinite(size)
    return Evidence(keypoints, tuple(found), np.where(known[..., None], values, np.nan))


def _spread(
    values: NDArray[np.floating], there: NDArray[np.intp], rows: NDArray[np.intp], them: NDArray[np.intp], n: int
) -> NDArray[np.float64]:
    """A prediction's (P, K, ...) values of the keypoints `there`, laid out for N people; NaN for others."""
    spread = np.full((n, len(there), *values.shape[2:]), np.nan)
    spread[rows] = values[them][:, there]
    return spread


def _log_sizes(distance: NDArray[np.float64], size: NDArray[np.float64], floor: float = FLOOR) -> NDArray[np.float64]:
    """Logarithm of pixels over a person's size, bounded below."""
    return np.log(distance / size + floor)


def _norm(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.hypot(xy[..., 0], xy[..., 1])


def _median(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, S) -> (N, 1) median of what is not NaN."""
    there = np.isfinite(values)
    ordered = np.sort(values, axis=1)  # NaN last
    n = there.sum(axis=1)
    low, high = np.maximum((n - 1) // 2, 0), np.maximum(n // 2, 0)
    pick = np.arange(len(values))
    last = values.shape[1] - 1
    middle = (ordered[pick, np.minimum(low, last)] + ordered[pick, np.minimum(high, last)]) / 2
    return np.where(n > 0, middle, np.nan)[:, None]


def _confidence(
    first: Predictions,
    keypoints: tuple[str, ...],
    inputs: tuple[str, ...],
    rows: NDArray[np.intp],
    them: NDArray[np.intp],
    n: int,
) -> dict[str, NDArray[np.float64]]:
    """What the network says about the point, by itself and beside what it says about the person's inputs."""
    here = first.skeleton.indices(keypoints)
    others = first.skeleton.indices(k for k in inputs if k in first.skeleton.index)
    clipped = np.clip(first.score.astype(np.float64), SCORE_FLOOR, 1 - SCORE_FLOOR)
    plain: dict[str, NDArray[np.float64]] = {"score": np.log(clipped / (1 - clipped))}
    for name in ("peak", "entropy", "second", "flip", "shift"):
        if name in first.features:
            values = first.features[name].astype(np.float64)
            if name in ("flip", "shift"):
                values = np.log(values + PASS_FLOOR)
            elif name == "peak":
                values = np.log1p(np.maximum(values, 0))
            plain[name] = values
    found: dict[str, NDArray[np.float64]] = {}
    for name, values in plain.items():
        found[name] = _spread(values, here, rows, them, n)
        found[f"{name}_of_person"] = _median(_spread(values, others, rows, them, n))
    return found


def _against_expectation(
    xy: NDArray[np.float64], raw: NDArray[np.float64], expectation: NDArray[np.float64], size: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """How far the final and the raw point are from what the pose says, how far anchoring went, and the others.

    `siblings`: how differently the other added points of the person sit from their own expectations.
    """
    away = xy - expectation
    there = np.isfinite(away).all(axis=-1)
    others = there.sum(axis=1, keepdims=True) - there
    rest = np.nan_to_num(away).sum(axis=1, keepdims=True) - np.nan_to_num(away)
    mean_of_others = np.where(others[..., None] > 0, rest / np.maximum(others, 1)[..., None], np.nan)
    return {
        "expected": _log_sizes(_norm(away), size),
        "raw_expected": _log_sizes(_norm(raw - expectation), size),
        "moved": _log_sizes(_norm(xy - raw), size),
        "siblings": _log_sizes(_norm(away - mean_of_others), size),
        "siblings_expected": _log_sizes(_norm(mean_of_others), size),
    }


def _disagreement(
    others: Sequence[Predictions],
    poses: Poses,
    keypoints: tuple[str, ...],
    raw: NDArray[np.float64],
    size: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(N, A) mean distance to what the other predictors say that know the point; NaN where none does."""
    total, seen = np.zeros(raw.shape[:2]), np.zeros(raw.shape[:2])
    for other in others:
        known = [a for a, k in enumerate(keypoints) if k in other.skeleton.index]
        there = other.skeleton.indices(keypoints[a] for a in known)
        rows, them = matched(poses.ids, other.ids)
        apart = _norm(_spread(other.xy, there, rows, them, len(poses)) - raw[:, known])
        total[:, known] += np.nan_to_num(apart)
        seen[:, known] += np.isfinite(apart)
    return _log_sizes(np.where(seen > 0, total / np.maximum(seen, 1), np.nan), size)


def _nearest(
    expectation: NDArray[np.float64], labels: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """(N, A, NEIGHBOURS) the labelled inputs nearest to where the point is expected, and (N, A, S) their distances."""
    apart = _norm(expectation[:, :, None] - labels[:, None])
    near = min(NEIGHBOURS, labels.shape[1])
    return np.argsort(apart, axis=-1, kind="stable")[..., :near], apart


def _limbs(
    xy: NDArray[np.float64], expectation: NDArray[np.float64], labels: NDArray[np.float64], size: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N, A) mean |log ratio| of the distances to the nearest labelled inputs, as they are and as expected."""
    nearest, expected = _nearest(expectation, labels)
    actual = _norm(xy[:, :, None] - labels[:, None])
    ratio = np.abs(_log_sizes(actual, size[..., None], 0.05) - _log_sizes(expected, size[..., None], 0.05))
    return _mean(np.take_along_axis(ratio, nearest, axis=-1))


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the last axis of what is not NaN."""
    there = np.isfinite(values).sum(axis=-1)
    return np.where(there > 0, np.nan_to_num(values).sum(axis=-1) / np.maximum(there, 1), np.nan)


def _agreement(
    first: Predictions,
    poses: Poses,
    inputs: tuple[str, ...],
    labels: NDArray[np.float64],
    expectation: NDArray[np.float64],
    size: NDArray[np.float64],
    rows: NDArray[np.intp],
    them: NDArray[np.intp],
) -> dict[str, NDArray[np.float64]]:
    """How well the network finds the points the person has labels of: the nearest, all, and left from right."""
    predicted = np.full(labels.shape, np.nan)
    known = [s for s, k in enumerate(inputs) if k in first.skeleton.index]
    predicted[:, known] = _spread(first.xy, first.skeleton.indices(inputs[s] for s in known), rows, them, len(poses))
    off = _norm(predicted - labels)
    nearest, _ = _nearest(expectation, labels)
    near = np.take_along_axis(np.broadcast_to(off[:, None], (*nearest.shape[:2], off.shape[1])), nearest, axis=-1)
    index = {k: s for s, k in enumerate(inputs)}
    pairs = [(index[a], index[b]) for a, b in first.skeleton.flip_pairs if a in index and b in index]
    straight, crossed = np.full((2, len(labels), max(len(pairs), 1)), np.nan)
    for column, (left, right) in enumerate(pairs):
        straight[:, column] = off[:, left] + off[:, right]
        crossed[:, column] = _norm(predicted[:, left] - labels[:, right]) + _norm(predicted[:, right] - labels[:, left])
    swap = np.clip((straight - crossed) / (straight + crossed + 1e-9), -1, 1)
    return {
        "near": _log_sizes(_mean(near), size),
        "all": _log_sizes(_median(off), size),
        "swapped": _mean(swap)[:, None],
    }


def _posture(
    labels: NDArray[np.float64], inputs: tuple[str, ...], frame: Frame, size: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """How many inputs, how large on the image, how bent, and which way the person faces."""
    inside = frame.into(labels)
    index = {k: s for s, k in enumerate(inputs)}
    facing = np.full(len(labels), np.nan)
    if set(SHOULDERS) <= set(index):
        left, right = (index[k] for k in SHOULDERS)
        facing = inside[:, left, 0] - inside[:, right, 0]
    return {
        "labelled": (count(labels) / max(len(inputs), 1))[:, None],
        "size": np.log(size),
        "lean": (1 - np.cos(frame.turn))[:, None],
        "facing": np.clip(facing, -1, 1)[:, None],
        "sideways": -np.abs(np.clip(facing, -1, 1))[:, None],
    }


def _crowding(
    xy: NDArray[np.float64], labels: NDArray[np.float64], poses: Poses, size: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N, A) minus the distance to the nearest labelled input of another person of the image, in sizes, bounded."""
    n, a = xy.shape[:2]
    nearest = np.full((n, a), np.inf)
    order = np.argsort(poses.image_index, kind="stable")
    image = poses.image_index[order]
    # Each person is compared with the one k places further in the image, for as long as any image has so many.
    for step in range(1, n):
        one, other = order[:-step], order[step:]
        same = image[:-step] == image[step:]
        if not same.any():
            break
        for me, them in ((one[same], other[same]), (other[same], one[same])):
            apart = _norm(xy[me][:, :, None] - labels[them][:, None])
            nearest[me] = np.fmin(nearest[me], np.fmin.reduce(apart, axis=-1, initial=np.inf))
    return -np.minimum(nearest / size, CROWD_REACH)
