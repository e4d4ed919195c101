"""Does anchoring help? Each keypoint alone, out of sample, against what is there without it.

`learn_anchor` fits the expectation and the anchor, and evaluates them where neither saw the people: in folds of whole
images. A keypoint is switched on only if the anchored point is closer than the raw prediction, than the expectation
without an image, and than a heuristic without learning, each by more than the interval of the difference.

N people, A added keypoints, I images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotext.calibration.pose_only import PoseOnlyModel
from annotext.calibration.pose_only import fit as fit_pose_only
from annotext.calibration.refine import MIN_PEOPLE, AnchorModel, fit_anchor
from annotext.core.anatomy import HIPS, SHOULDERS
from annotext.core.frame import Frame, columns
from annotext.core.poses import Poses, joined
from annotext.core.predictions import Predictions
from annotext.evaluation.pck import torso_size
from annotext.evaluation.ranking import NOBODY, Interval, group_folds

FOLDS = 5
ROUNDS = 1000
LEVEL = 0.95
# Each person is learned from twice, once with a share of the inputs drawn from 0 to this hidden: COCO's people have a
# third of theirs unlabelled, MPII's nearly none. Without it anchors learned on the one gain less on the other.
HIDDEN_SHARE = 0.6


def _along(up: float, aside: float = 0.0) -> Mapping[str, float]:
    """A point `up` torsos above the shoulders' middle, away from the hips', and `aside` shoulder widths to the left."""
    shoulders, hips = (1 + up) / 2, -up / 2
    return {
        "left_shoulder": shoulders + aside,
        "right_shoulder": shoulders - aside,
        "left_hip": hips,
        "right_hip": hips,
    }


# Points as weighted sums of others, by proportions of a standing body: heights in parts of the whole from Drillis and
# Contini 1966 as drawn in Winter, Biomechanics and Motor Control of Human Movement, fig. 4.1: hip .530, shoulder .818,
# chin .870, eye .936, shoulders .259 apart, upper arm .186, forearm .146, thigh .245, shank .246. The torso is then
# .288. The neck is put at the chin, the nose midway between chin and eyes; the head's width (two thirds of its height
# .130, five eyes wide) is the draughtsman's rule. Nothing was fitted; this is what a first script would do.
HEURISTICS: dict[str, Mapping[str, float]] = {
    "pelvis": dict.fromkeys(HIPS, 0.5),
    "thorax": dict.fromkeys(SHOULDERS, 0.5),
    "upper_neck": _along((0.870 - 0.818) / 0.288),
    "head_top": _along((1 - 0.818) / 0.288),
    "nose": _along((0.903 - 0.818) / 0.288),
    "left_eye": _along((0.936 - 0.818) / 0.288, 0.067),
    "right_eye": _along((0.936 - 0.818) / 0.288, -0.067),
    "left_ear": _along((0.936 - 0.818) / 0.288, 0.167),
    "right_ear": _along((0.936 - 0.818) / 0.288, -0.167),
    **{
        f"{side}_{joint}": {f"{side}_{parent}": weight for parent, weight in parents.items()}
        for side in ("left", "right")
        for joint, parents in {
            "elbow": {"shoulder": 0.44, "wrist": 0.56},
            "wrist": {"elbow": 1.785, "shoulder": -0.785},
            "knee": {"hip": 0.5, "ankle": 0.5},
            "ankle": {"knee": 2.0, "hip": -1.0},
            "hip": {"shoulder": 0.46, "knee": 0.54},
        }.items()
    },
}

# The points that are compared, by name.
STUDENT, POSE_ONLY, HEURISTIC, ANCHORED = "student", "pose_only", "heuristic", "anchored"
_CALLED = {STUDENT: "the raw prediction", POSE_ONLY: "the expectation without an image", HEURISTIC: "the heuristic"}


@dataclass(frozen=True)
class AnchorEvaluation:
    """How one keypoint fares out of sample.

    on: anchored beats all others. reason: a sentence why not, empty where on.
    people, images: evaluated. error: mean distance from the truth in sizes, by point: student, pose_only, heuristic
        (missing where there is no rule), anchored. difference: anchored minus each other's, with its 95 % interval.
    measure: "PCKh@0.5" or "PCK@0.2" (torsos). right: share right by it, by point. measured: people who have its unit.
    """

    keypoint: str
    on: bool
    reason: str
    people: int
    images: int
    error: Mapping[str, float]
    difference: Mapping[str, Interval]
    measure: str
    right: Mapping[str, float]
    measured: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, stable order; null where nothing could be measured."""
        return {
            "keypoint": self.keypoint,
            "on": self.on,
            "reason": self.reason,
            "people": self.people,
            "images": self.images,
            "mean_error_in_sizes": {k: _number(v) for k, v in self.error.items()},
            "anchored_minus": {k: [_number(x) for x in (v.value, v.low, v.high)] for k, v in self.difference.items()},
            "measure": self.measure,
            "right": {k: _number(v) for k, v in self.right.items()},
            "measured": self.measured,
        }


@dataclass(frozen=True)
class LearnedAnchor:
    """What `learn_anchor` found on N people.

    pose_only, anchor: fitted on all of them, the anchor on only where `evaluations` say so.
    frame: of the N people. expectation, xy: (N, A, 2) image pixels, the expectation and the final points (the
    prediction where off) of models that did not see the person: what calibration should be fitted on.
    """

    pose_only: PoseOnlyModel
    anchor: AnchorModel
    evaluations: tuple[AnchorEvaluation, ...]
    frame: Frame
    expectation: NDArray[np.float64]
    xy: NDArray[np.float64]


def learn_anchor(
    poses: Poses,
    predictions: Predictions,
    inputs: Sequence[str],
    keypoints: Sequence[str],
    *,
    rng: np.random.Generator,
    folds: int = FOLDS,
    pose_only: PoseOnlyModel | None = None,
) -> LearnedAnchor:
    """Fit expectation and anchor of A `keypoints` on N people who have them labelled, and evaluate them in folds.

    predictions: of the same people in the same order, by a network that did not learn from them. Crowds are left out.
    pose_only: fitted on other people, where there are more labels than predictions; else it is fitted here. Chance
    (folds, hidden inputs, features of the expectation) comes from `rng`. A fold's anchor learns from expectations that
    are out of sample for their own people, but whose models saw the fold's; the anchor has too few weights for that to
    matter. Raises ValueError as `pose_only.fit` and `fit_anchor` do, for a `pose_only` of other inputs or targets, and
    for fewer images than folds.
    """
    inputs, keypoints = tuple(inputs), tuple(keypoints)
    truth = np.where(poses.crowd[:, None, None], np.nan, columns(poses, keypoints))
    images = len(np.unique(poses.image_index))
    if images < folds:
        raise ValueError(f"{images} images, {folds} are needed to evaluate out of sample")
    fold = group_folds(poses.image_index, folds, rng)
    hidden = _with_inputs_hidden(poses, inputs, rng)
    if pose_only is None:
        seeds = rng.integers(0, 2**32, folds + 1)
        models = [
            fit_pose_only(poses.take(fold != number), inputs, keypoints, rng=np.random.default_rng(seeds[number]))
            for number in range(folds)
        ]
        pose_only = fit_pose_only(poses, inputs, keypoints, rng=np.random.default_rng(seeds[-1]))
    else:
        models = [pose_only] * folds
    if pose_only.inputs != inputs or pose_only.targets != keypoints:
        raise ValueError("the expectation is of other inputs or keypoints")
    expectation, hidden_expectation = np.full((2, *truth.shape), np.nan)
    for number, model in enumerate(models):
        there = fold == number
        expectation[there] = model.predict(poses.take(there))
        hidden_expectation[there] = model.predict(hidden.take(there))
    frame = pose_only.frame(poses)
    # Everybody twice, under new ids: as labelled, and with inputs hidden.
    n = len(poses)
    ids = np.arange(2 * n, dtype=np.int64)
    people, given = replace(joined(poses, hidden), ids=ids), _twice(predictions)
    expected, frames = np.concatenate([expectation, hidden_expectation]), Frame.joined([frame, pose_only.frame(hidden)])

    def anchor_of(rows: NDArray[np.intp]) -> AnchorModel:
        both = np.concatenate([rows, rows + n])
        return fit_anchor(
            people.take(both), given.take(both), expected[both], frames.take(both), truth[both % n], inputs, keypoints
        )

    raw = predictions.xy[:, predictions.skeleton.indices(keypoints)].astype(np.float64)
    xy = raw.copy()
    for number in range(folds):
        rows = np.flatnonzero(fold == number)
        others = anchor_of(np.flatnonzero(fold != number))
        mine = poses.take(rows), predictions.take(poses.ids[rows]), expectation[rows], frame.take(rows)
        xy[rows] = others.apply(*mine)
    anchor = anchor_of(np.arange(n))
    evaluations = evaluate_anchor(poses, predictions, expectation, xy, frame, truth, keypoints, rng=rng)
    on = tuple(a and e.on for a, e in zip(anchor.on, evaluations, strict=True))
    return LearnedAnchor(
        pose_only, replace(anchor, on=on), evaluations, frame, expectation, np.where(np.array(on)[:, None], xy, raw)
    )


def evaluate_anchor(
    poses: Poses,
    predictions: Predictions,
    expectation: NDArray[np.float64],
    anchored: NDArray[np.float64],
    frame: Frame,
    truth_xy: NDArray[np.float64],
    keypoints: Sequence[str],
    *,
    rng: np.random.Generator,
    rounds: int = ROUNDS,
) -> tuple[AnchorEvaluation, ...]:
    """How A `keypoints` fare on the people who have a truth and an expectation, each keypoint alone.

    expectation, anchored: (N, A, 2) image pixels, of models that did not see these people. truth_xy: (N, A, 2), NaN
    where unknown. Intervals: percentile bootstrap over images, paired.
    """
    everyone = columns(poses, tuple(poses.skeleton.keypoints))
    known = {k: everyone[:, i] for i, k in enumerate(poses.skeleton.keypoints)}
    evaluations = []
    for column, keypoint in enumerate(keypoints):
        truth = truth_xy[:, column]
        there = np.isfinite(truth).all(axis=-1) & np.isfinite(expectation[:, column]).all(axis=-1) & (frame.size > 0)
        rows = np.flatnonzero(there)
        points = {
            STUDENT: predictions.xy[:, predictions.skeleton.index[keypoint]],
            POSE_ONLY: expectation[:, column],
            HEURISTIC: heuristic(known, predictions, keypoint),
            ANCHORED: anchored[:, column],
        }
        distance = {
            name: np.linalg.norm(xy[rows] - truth[rows], axis=-1) for name, xy in points.items() if xy is not None
        }
        error = {name: d / frame.size[rows] for name, d in distance.items()}
        others = [name for name in error if name != ANCHORED]
        difference = _intervals(
            {name: error[ANCHORED] - error[name] for name in others}, poses.image_index[rows], rng, rounds
        )
        measure, unit, share = _measure(poses, rows)
        measured = np.isfinite(unit)
        mean = {name: _mean(e) for name, e in error.items()}
        reason = _why_off(keypoint, len(rows), mean, difference)
        evaluations.append(
            AnchorEvaluation(
                keypoint,
                not reason,
                reason,
                len(rows),
                len(np.unique(poses.image_index[rows])),
                mean,
                difference,
                measure,
                {name: _mean((d <= share * unit)[measured]) for name, d in distance.items()},
                int(measured.sum()),
            )
        )
    return tuple(evaluations)


def heuristic(
    known: Mapping[str, NDArray[np.float64]], predictions: Predictions, keypoint: str
) -> NDArray[np.float64] | None:
    """(N, 2) image pixels of `HEURISTICS`; None without a rule. known: (N, 2) labels by name, NaN where not labelled.

    Where a parent is not labelled the predicted one is used.
    """
    rule = HEURISTICS.get(keypoint)
    if rule is None or any(parent not in predictions.skeleton.index for parent in rule):
        return None
    placed = np.zeros((len(predictions), 2))
    for parent, weight in rule.items():
        seen = predictions.xy[:, predictions.skeleton.index[parent]].astype(np.float64)
        labelled = known.get(parent, np.full_like(seen, np.nan))
        placed += weight * np.where(np.isfinite(labelled), labelled, seen)
    return placed


def _why_off(keypoint: str, people: int, error: Mapping[str, float], difference: Mapping[str, Interval]) -> str:
    if people < MIN_PEOPLE:
        return f"{people} people have {keypoint} and enough inputs labelled, {MIN_PEOPLE} are needed"
    for name, gap in difference.items():
        if not gap.high < 0:
            return (
                f"not closer than {_CALLED[name]} beyond the interval: mean error {error[ANCHORED]:.4f} and "
                f"{error[name]:.4f} sizes, difference {gap.value:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}], n = {people}"
            )
    return ""


def _measure(poses: Poses, rows: NDArray[np.intp]) -> tuple[str, NDArray[np.float64], float]:
    """What is right: half a head size where the file has them, else a fifth of a torso; (len(rows),) pixels or NaN."""
    head = poses.head_size[rows]
    if (head > 0).any():
        return "PCKh@0.5", np.where(head > 0, head, np.nan), 0.5
    return "PCK@0.2", torso_size(poses)[rows], 0.2


def _intervals(
    values: Mapping[str, NDArray[np.float64]], image: NDArray[np.int64], rng: np.random.Generator, rounds: int
) -> dict[str, Interval]:
    """Means of (M,) values by name, with intervals from drawing whole images again with replacement."""
    _, member = np.unique(image, return_inverse=True)
    people = np.bincount(member)
    if not len(people):
        return dict.fromkeys(values, NOBODY)
    sums = np.stack([np.bincount(member, v) for v in values.values()] + [people], axis=1)
    drawn = np.stack([sums[rng.integers(0, len(people), len(people))].sum(axis=0) for _ in range(rounds)])
    means = drawn[:, :-1] / drawn[:, -1:]
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return {
        name: Interval(float(v.mean()), float(low[i]), float(high[i])) for i, (name, v) in enumerate(values.items())
    }


def _with_inputs_hidden(poses: Poses, inputs: tuple[str, ...], rng: np.random.Generator) -> Poses:
    """The same people with some inputs not labelled, a share drawn per person."""
    mine = poses.skeleton.indices(k for k in inputs if k in poses.skeleton.index)
    share = HIDDEN_SHARE * rng.random((len(poses), 1))
    hide = np.zeros(poses.visibility.shape, dtype=bool)
    hide[:, mine] = rng.random((len(poses), len(mine))) < share
    return replace(
        poses,
        xy=np.where(hide[..., None], np.nan, poses.xy),
        visibility=np.where(hide, 0, poses.visibility).astype(np.uint8),
    )


def _twice(predictions: Predictions) -> Predictions:
    """The same people two times over, under the ids 0 to 2N - 1."""
    return replace(
        predictions,
        ids=np.arange(2 * len(predictions), dtype=np.int64),
        file_names=predictions.file_names * 2,
        xy=np.tile(predictions.xy, (2, 1, 1)),
        score=np.tile(predictions.score, (2, 1)),
        features={name: np.tile(values, (2, 1)) for name, values in predictions.features.items()},
    )


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None
