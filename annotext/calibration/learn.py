"""Learn from people whose truth is known how far a predictor's added points can be trusted, each evaluated unseen.

Where the pose alone puts a point, how to move the prediction by what the labels say (`refine_evaluation`), what the
evidence says about the result and how far off it is (`fit`): every step is fitted on what the steps before say about
people they did not see, and what is reported is out of fold throughout.

Labels of another data set are many and of other people; decisions from review are few and of the people that the
calibration is for. `pooled` fits both together. The expectation and the anchor stay those of the labels: what a
reviewer confirmed lies where the predictor put it, and would make an anchor leave points where they are.

N people, A keypoints with a truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from annotext.calibration.features import Evidence, evidence
from annotext.calibration.fit import Fitted, Outcome, fit_calibration
from annotext.calibration.keypoint import ANY, KeypointCalibration
from annotext.calibration.model import CalibrationPart, PointContext, Truth, point_context
from annotext.calibration.pose_only import PoseOnlyModel
from annotext.calibration.refine import AnchorModel
from annotext.calibration.refine_evaluation import AnchorEvaluation, learn_anchor
from annotext.calibration.reviewed import ReviewedPeople, ReviewedPoints
from annotext.core.frame import columns
from annotext.core.poses import Poses, Visibility
from annotext.core.predictions import Predictions
from annotext.core.skeleton import Skeleton
from annotext.evaluation.correctness import Criterion, tolerance

# Decisions on a keypoint from which on they are used beside labels. 30 people of the synthetic domain gap halved the
# error of the face's scores there; fewer were not tried.
MIN_DECISIONS = 30
# Decisions weigh together as much as the labels, but none more than so many labels: of 100 people, 3 times brought the
# face's cross-domain ECE from .162 to .087, 10 times to .067, 30 times to .062, and a radius that held .96 for .9.
MAX_WEIGHT = 10.0


@dataclass(frozen=True)
class EvaluatedPoints:
    """N people's points of A keypoints beside the truth: as the predictor gave them (raw) and as they are finished.

    raw_xy, xy: (N, A, 2) float64 image pixels; size: (N,) px. raw, final: which of them are right.
    evidence: on `xy`, out of fold. raw_evidence: on `raw_xy` without the expectation, for a calibration that serves any
    keypoint. raw_score: (N, A) the predictor's own. image_index: (N,).
    """

    raw_xy: NDArray[np.float64]
    xy: NDArray[np.float64]
    size: NDArray[np.float64]
    raw: Outcome
    final: Outcome
    evidence: Evidence
    raw_evidence: Evidence
    raw_score: NDArray[np.float64]
    image_index: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        poses: Poses,
        predictions: Sequence[Predictions],
        reviewed: ReviewedPoints,
        context: PointContext,
        criterion: Criterion,
        inputs: tuple[str, ...],
        skeleton: Skeleton,
    ) -> EvaluatedPoints:
        """The points of `context` by what is known of `reviewed`; the sigmas are those of `skeleton`.

        predictions: the first is the predictor's own; rows aligned with `poses`, of which only `inputs` are looked at.
        """
        keypoints = reviewed.keypoints
        size = np.where(context.frame.size > 0, context.frame.size, np.nan)
        sigmas = np.array([skeleton.sigmas[k] for k in keypoints])
        limit = tolerance(criterion, sigmas, area=poses.area, head_size=poses.head_size, size=size) / size[:, None]
        raw, final = (Outcome(*reviewed.evaluate(xy, limit, size)) for xy in (context.raw, context.xy))
        unknown = np.full_like(context.xy, np.nan)
        blind, own = only(poses, inputs), predictions[0]
        return cls(
            raw_xy=context.raw,
            xy=context.xy,
            size=size,
            raw=raw,
            final=final,
            evidence=context.evidence,
            raw_evidence=evidence(blind, predictions, context.raw, unknown, context.frame, inputs, keypoints),
            raw_score=own.score[:, own.skeleton.indices(keypoints)].astype(np.float64),
            image_index=poses.image_index,
        )

    @classmethod
    def joined(cls, parts: Sequence[EvaluatedPoints]) -> EvaluatedPoints:
        """One below the other; people of different parts share no image."""
        first = np.cumsum([0, *(int(part.image_index.max(initial=-1)) + 1 for part in parts)])
        images = [part.image_index + start for part, start in zip(parts, first, strict=False)]
        arrays = ("raw_xy", "xy", "size", "raw_score")
        return cls(
            raw=_joined_outcome([part.raw for part in parts]),
            final=_joined_outcome([part.final for part in parts]),
            evidence=Evidence.joined([part.evidence for part in parts]),
            raw_evidence=Evidence.joined([part.raw_evidence for part in parts]),
            image_index=np.concatenate(images),
            **{name: np.concatenate([getattr(part, name) for part in parts]) for name in arrays},
        )

    def take(self, rows: NDArray[np.bool_]) -> EvaluatedPoints:
        """The people at `rows`."""
        arrays = ("raw_xy", "xy", "size", "raw_score", "image_index")
        return EvaluatedPoints(
            raw=Outcome(*(values[rows] for values in vars(self.raw).values())),
            final=Outcome(*(values[rows] for values in vars(self.final).values())),
            evidence=self.evidence.take(rows),
            raw_evidence=self.raw_evidence.take(rows),
            **{name: getattr(self, name)[rows] for name in arrays},
        )


def _joined_outcome(parts: Sequence[Outcome]) -> Outcome:
    return Outcome(*(np.concatenate(values) for values in zip(*(vars(part).values() for part in parts), strict=True)))


@dataclass(frozen=True)
class Learned:
    """What was learned from one calibration set, and what it says about the same people without having seen them.

    pose_only, anchor, fitted: the models, fitted on all. anchor_evaluations: one per keypoint. points: of all people.
    """

    inputs: tuple[str, ...]
    keypoints: tuple[str, ...]
    criterion: Criterion
    pose_only: PoseOnlyModel
    anchor: AnchorModel
    anchor_evaluations: tuple[AnchorEvaluation, ...]
    fitted: Fitted
    points: EvaluatedPoints

    def take(self, rows: NDArray[np.bool_]) -> Learned:
        """What it says about the people at `rows`; the models stay as they are."""
        fitted = replace(self.fitted, **{n: getattr(self.fitted, n)[rows] for n in ("logit", "score", "radius")})
        return replace(self, fitted=fitted, points=self.points.take(rows))

    def part(self, truth: Truth, also: Sequence[Truth] = ()) -> CalibrationPart:
        """What a calibration model keeps of it; also: of other truths that were fitted together with it."""
        anchor = self.anchor if any(self.anchor.on) else None
        calibration = self.fitted.calibration
        return CalibrationPart(self.inputs, self.keypoints, self.pose_only, anchor, calibration, truth, tuple(also))


def only(poses: Poses, keypoints: Sequence[str]) -> Poses:
    """The same people with the labels of `keypoints` alone: what a model may see."""
    kept = np.isin(poses.skeleton.keypoints, list(keypoints))
    return replace(
        poses,
        xy=np.where(kept[None, :, None], poses.xy, np.nan),
        visibility=np.where(kept, poses.visibility, Visibility.NOT_LABELLED).astype(np.uint8),
    )


def learn(
    poses: Poses,
    predictions: Sequence[Predictions],
    inputs: Sequence[str],
    keypoints: Sequence[str],
    *,
    criterion: Criterion,
    anchored: bool = True,
    pose_only: PoseOnlyModel | None = None,
    reviewed: ReviewedPoints | None = None,
    rng: np.random.Generator | None = None,
) -> Learned:
    """Learn about A `keypoints` of N people from their own labels of them; of the others only `inputs` are looked at.

    predictions: the first is the predictor's, of the same people in the same order; others are what it is compared
    with. anchored: points may be moved by what the labels say. pose_only: fitted on other people, for a small truth.
    reviewed: the labels of `keypoints` are what reviewers placed or confirmed, and this is all that they decided.
    Chance (folds, hidden inputs) comes from `rng` (default: seed 0).
    Raises ValueError if there are too few people or images, as `learn_anchor` says.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    inputs, keypoints = tuple(inputs), tuple(keypoints)
    own, blind = predictions[0], only(poses, inputs)
    moved = learn_anchor(only(poses, (*inputs, *keypoints)), own, inputs, keypoints, rng=rng, pose_only=pose_only)
    raw = own.xy[:, own.skeleton.indices(keypoints)].astype(np.float64)
    xy, anchor, evaluations = moved.xy, moved.anchor, moved.evaluations
    if not anchored:
        xy, anchor = raw, replace(anchor, on=(False,) * len(keypoints))
        evaluations = tuple(replace(e, on=False, reason="anchoring was not wanted") for e in evaluations)
    found = evidence(blind, predictions, xy, moved.expectation, moved.frame, inputs, keypoints)
    context = PointContext(raw, xy, moved.frame, found)
    reviewed = reviewed or ReviewedPoints.of_labels(keypoints, columns(poses, keypoints))
    points = EvaluatedPoints.of(poses, predictions, reviewed, context, criterion, inputs, poses.skeleton)
    fitted = fit_calibration(found, points.final, poses.image_index, criterion=criterion, rng=rng)
    return Learned(inputs, keypoints, criterion, moved.pose_only, anchor, evaluations, fitted, points)


def pooled(
    learned: Learned, people: Sequence[ReviewedPeople], *, rng: np.random.Generator | None = None
) -> tuple[Learned, NDArray[np.intp]]:
    """`learned` with the rows of reviewed people behind its own and a calibration fitted on all of them, and (N,) whose
    a row is: 0 its own, i + 1 of `people[i]`.

    Chance (folds) comes from `rng` (default: seed 0). Raises ValueError without anybody.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    parts = [learned.points, *(_reviewed_points(learned, one) for one in people)]
    member = np.repeat(np.arange(len(parts)), [len(part.size) for part in parts])
    own, others = int(parts[0].final.known.sum()), sum(int(part.final.known.sum()) for part in parts[1:])
    points = EvaluatedPoints.joined(parts)
    fitted = fit_calibration(
        points.evidence,
        points.final,
        points.image_index,
        criterion=learned.criterion,
        rng=rng,
        weight=np.where(member == 0, 1.0, np.clip(own / max(others, 1), 1.0, MAX_WEIGHT)),
        target=member > 0,
    )
    return replace(learned, fitted=fitted, points=points), member


def _reviewed_points(learned: Learned, people: ReviewedPeople) -> EvaluatedPoints:
    """The reviewed people's points by the models of `learned`, which never saw them."""
    poses, predictions = people.poses, people.predictions
    blind = only(poses, learned.inputs)
    context = point_context(learned.part(people.truth), blind, predictions, learned.keypoints)
    reviewed = people.reviewed.only(learned.keypoints)
    skeleton = predictions[0].skeleton
    return EvaluatedPoints.of(poses, predictions, reviewed, context, learned.criterion, learned.inputs, skeleton)


def learn_any(learned: Sequence[Learned], *, rng: np.random.Generator | None = None) -> dict[str, KeypointCalibration]:
    """One calibration, under the name `ANY`, from all keypoints of several truths together: of raw predictions.

    For keypoints that have no truth of their own; so it does not look at an expectation, which would need one.
    Empty if there is too little truth. Raises ValueError without any, or if the criteria differ.
    """
    criteria = {one.criterion for one in learned}
    if len(criteria) != 1:
        raise ValueError("one calibration needs one criterion")
    # Every keypoint becomes a row of its own, of a keypoint without a name.
    points = [one.points for one in learned]
    names = points[0].raw_evidence.names
    rows = [p.raw_evidence.of(k, p.raw_evidence.names) for p in points for k in p.raw_evidence.keypoints]
    error = np.concatenate([p.raw.error.T.reshape(-1) for p in points])[:, None]
    limit = np.concatenate([p.raw.tolerance.T.reshape(-1) for p in points])[:, None]
    images = np.concatenate([np.tile(p.image_index, p.raw.error.shape[1]) for p in points])
    return fit_calibration(
        Evidence((ANY,), names, np.concatenate(rows)[:, None]),
        Outcome.of_errors(error, limit),
        images,
        criterion=criteria.pop(),
        pooled=True,
        rng=rng,
    ).calibration
