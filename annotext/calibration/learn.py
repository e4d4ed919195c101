"""Learn from people whose truth is known what a predictor's added points are worth, each judged unseen.

Where the pose alone puts a point, how to move the prediction by what the labels say (`core/anchor_judge`), what the
evidence says about the result and how far off it is (`trust/fit`): every step is fitted on what the steps before say
about people they did not see, and what is reported is out of fold throughout.

N people, A keypoints with a truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from annotext.calibration.features import Evidence, evidence
from annotext.calibration.fit import Fitted, fit_calibration
from annotext.calibration.keypoint import ANY, KeypointCalibration
from annotext.calibration.model import CalibrationPart, Truth
from annotext.calibration.pose_only import PoseOnlyModel
from annotext.calibration.refine import AnchorModel
from annotext.calibration.refine_evaluation import AnchorEvaluation, learn_anchor
from annotext.calibration.reviewed import Reviewed
from annotext.core.frame import columns
from annotext.core.poses import Poses, Visibility
from annotext.core.predictions import Predictions
from annotext.evaluation.correctness import Criterion, tolerance


@dataclass(frozen=True)
class Learned:
    """What was learned from one truth, and what it says about the same people without having seen them.

    pose_only, anchor, fitted: the models, fitted on all. judgements: of the anchor, one per keypoint.
    raw, xy: (N, A, 2) float64 image pixels, the predictor's point and the finished one; size: (N,) px.
    evidence: on `xy`, out of fold. raw_evidence: on `raw` without the expectation, for a calibration that serves any
    keypoint.
    raw_error, error, tolerance: (N, A) in sizes, of `raw` and of `xy`, and the largest that is right; NaN where there
    is no truth. raw_said, said: (N, A) 1 where somebody said that the point is right, 0 wrong, NaN where the error
    decides. raw_score: (N, A) the predictor's own. image_index: (N,).
    """

    inputs: tuple[str, ...]
    keypoints: tuple[str, ...]
    criterion: Criterion
    pose_only: PoseOnlyModel
    anchor: AnchorModel
    judgements: tuple[AnchorEvaluation, ...]
    fitted: Fitted
    evidence: Evidence
    raw_evidence: Evidence
    raw: NDArray[np.float64]
    xy: NDArray[np.float64]
    size: NDArray[np.float64]
    raw_error: NDArray[np.float64]
    error: NDArray[np.float64]
    tolerance: NDArray[np.float64]
    raw_said: NDArray[np.float64]
    said: NDArray[np.float64]
    raw_score: NDArray[np.float64]
    image_index: NDArray[np.int64]

    @property
    def known(self) -> NDArray[np.bool_]:
        """(N, A) bool: there is a truth, and it can be told what is right."""
        return _known(self.error, self.tolerance, self.said)

    @property
    def right(self) -> NDArray[np.bool_]:
        """(N, A) bool: the finished point is right; False where nobody knows."""
        return self.known & np.where(np.isfinite(self.said), self.said > 0, self.error <= self.tolerance)

    @property
    def raw_known(self) -> NDArray[np.bool_]:
        """(N, A) bool: as `known`, of the predictor's own point."""
        return _known(self.raw_error, self.tolerance, self.raw_said)

    @property
    def raw_right(self) -> NDArray[np.bool_]:
        """(N, A) bool: as `right`, of the predictor's own point."""
        decided = np.isfinite(self.raw_said)
        return self.raw_known & np.where(decided, self.raw_said > 0, self.raw_error <= self.tolerance)

    def take(self, rows: NDArray[np.bool_]) -> Learned:
        """What it says about the people at `rows`; the models stay as they are."""
        arrays = ("raw", "xy", "size", "raw_error", "error", "tolerance", "raw_said", "said", "raw_score")
        fitted = replace(self.fitted, **{n: getattr(self.fitted, n)[rows] for n in ("logit", "score", "radius")})
        return replace(
            self,
            fitted=fitted,
            evidence=self.evidence.take(rows),
            raw_evidence=self.raw_evidence.take(rows),
            image_index=self.image_index[rows],
            **{name: getattr(self, name)[rows] for name in arrays},
        )

    def part(self, truth: Truth, also: Sequence[Truth] = ()) -> CalibrationPart:
        """What a trust model keeps of it; also: of other truths that were fitted together with it."""
        anchor = self.anchor if any(self.anchor.on) else None
        calibration = self.fitted.calibration
        return CalibrationPart(self.inputs, self.keypoints, self.pose_only, anchor, calibration, truth, tuple(also))


def _known(error: NDArray[np.float64], tolerance: NDArray[np.float64], said: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (np.isfinite(error) & np.isfinite(tolerance)) | np.isfinite(said)


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
    reviewed: Reviewed | None = None,
    rng: np.random.Generator | None = None,
) -> Learned:
    """Learn about A `keypoints` of N people from their own labels of them; of the others only `inputs` are looked at.

    predictions: the first is the predictor's, of the same people in the same order; others are what it is compared
    with. anchored: points may be moved by what the labels say. pose_only: fitted on other people, for a small truth.
    reviewed: the labels of `keypoints` are what reviewers placed or confirmed, and this is all that they said of them.
    Chance (folds, hidden inputs) comes from `rng` (default: seed 0).
    Raises ValueError if there are too few people or images, as `learn_anchor` says.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    inputs, keypoints = tuple(inputs), tuple(keypoints)
    said, blind = predictions[0], only(poses, inputs)
    moved = learn_anchor(only(poses, (*inputs, *keypoints)), said, inputs, keypoints, rng=rng, pose_only=pose_only)
    truth, size = columns(poses, keypoints), np.where(moved.frame.size > 0, moved.frame.size, np.nan)
    there = said.skeleton.indices(keypoints)
    raw = said.xy[:, there].astype(np.float64)
    xy, anchor, judgements = moved.xy, moved.anchor, moved.judgements
    if not anchored:
        xy, anchor = raw, replace(anchor, on=(False,) * len(keypoints))
        judgements = tuple(replace(j, on=False, reason="anchoring was not wanted") for j in judgements)
    sigmas = np.array([poses.skeleton.sigmas[k] for k in keypoints])
    limit = tolerance(criterion, sigmas, area=poses.area, head_size=poses.head_size, size=size) / size[:, None]
    if reviewed is None:
        error, raw_error = (np.linalg.norm(p - truth, axis=-1) / size[:, None] for p in (xy, raw))
        verdict = raw_verdict = np.full(error.shape, np.nan)
    else:
        (error, verdict), (raw_error, raw_verdict) = (reviewed.judge(p, limit, size) for p in (xy, raw))
    found = evidence(blind, predictions, xy, moved.expectation, moved.frame, inputs, keypoints)
    unknown = np.full_like(moved.expectation, np.nan)
    return Learned(
        inputs=inputs,
        keypoints=keypoints,
        criterion=criterion,
        pose_only=moved.pose_only,
        anchor=anchor,
        judgements=judgements,
        fitted=fit_calibration(
            found,
            error,
            limit,
            poses.image_index,
            criterion=criterion,
            rng=rng,
            said=None if reviewed is None else verdict,
        ),
        evidence=found,
        raw_evidence=evidence(blind, predictions, raw, unknown, moved.frame, inputs, keypoints),
        raw=raw,
        xy=xy,
        size=size,
        raw_error=raw_error,
        error=error,
        tolerance=limit,
        raw_said=raw_verdict,
        said=verdict,
        raw_score=said.score[:, there].astype(np.float64),
        image_index=poses.image_index,
    )


def learn_any(learned: Sequence[Learned], *, rng: np.random.Generator | None = None) -> dict[str, KeypointCalibration]:
    """One calibration, under the name `ANY`, from all keypoints of several truths together: of raw predictions.

    For keypoints that have no truth of their own; so it does not look at an expectation, which would need one.
    Empty if there is too little truth. Raises ValueError without any, or if the criteria differ.
    """
    criteria = {one.criterion for one in learned}
    if len(criteria) != 1:
        raise ValueError("one calibration needs one criterion")
    # Every keypoint becomes a row of its own, of a keypoint without a name.
    rows: list[NDArray[np.float64]] = []
    for one in learned:
        rows += [one.raw_evidence.of(k, one.raw_evidence.names) for k in one.keypoints]
    stacked = Evidence((ANY,), learned[0].raw_evidence.names, np.concatenate(rows)[:, None])
    error = np.concatenate([one.raw_error.T.reshape(-1) for one in learned])[:, None]
    limit = np.concatenate([one.tolerance.T.reshape(-1) for one in learned])[:, None]
    images = np.concatenate([np.tile(one.image_index, len(one.keypoints)) for one in learned])
    return fit_calibration(stacked, error, limit, images, criterion=criteria.pop(), pooled=True, rng=rng).calibration
