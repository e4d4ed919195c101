"""The no-image baseline on files: geometry fitted on one data set, applied to the people of another."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotext.calibration.pose_only import PoseOnlyModel, fit
from annotext.core.additions import Source
from annotext.core.errors import InputError
from annotext.core.poses import Poses
from annotext.core.predictions import Predictions, PredictorIdentity
from annotext.formats.annotations.read import read_annotations

NAME = "pose-only"


def pose_only_predictions(fit_file: str | Path, apply_file: str | Path, keypoints: Sequence[str]) -> Predictions:
    """`keypoints` of the people in `apply_file` by geometry alone.

    Fitted on the people of `fit_file` who have them labelled, from the keypoints both files annotate (of an extended
    `apply_file`: those its people were labelled with, not what annotext added). People with too few labels get the
    keypoint's mean place in the person box and score 0; for the others the score is the share of inputs labelled.
    Raises InputError if it cannot be fitted on `fit_file`.
    """
    fitted, applied = read_annotations(fit_file).extended_poses, read_annotations(apply_file).poses
    inputs = [k for k in applied.skeleton.shared_with(fitted.skeleton) if k not in keypoints]
    unknown = [k for k in keypoints if k not in fitted.skeleton.index]
    if unknown:
        raise InputError.single(fit_file, "", f"does not annotate {', '.join(unknown)}")
    try:
        model = fit(fitted, inputs, keypoints)
    except ValueError as error:
        raise InputError.single(fit_file, "", f"no baseline can be fitted: {error}") from None
    return predict_people(model, fitted, applied, identity(model))


def identity(model: PoseOnlyModel) -> PredictorIdentity:
    """The baseline's name and the sha256 of what it learned."""
    digest = hashlib.sha256("\n".join((*model.inputs, "", *model.targets)).encode())
    for array in (model.mean, model.covariance, model.hidden, model.offset, model.weights):
        digest.update(np.ascontiguousarray(array).tobytes())
    return PredictorIdentity(name=NAME, sha256=digest.hexdigest(), source=Source.TEACHER)


def predict_people(model: PoseOnlyModel, fitted_on: Poses, poses: Poses, predictor: PredictorIdentity) -> Predictions:
    """The model's targets for all people of `poses`, crowds left out; finite everywhere."""
    poses = poses.take(~poses.crowd)
    xy = model.predict(poses)
    place = _mean_place(fitted_on, model.targets)
    in_box = poses.bbox_xywh[:, None, :2] + place * poses.bbox_xywh[:, None, 2:]
    unknown = np.isnan(xy[..., 0])
    inputs = [k for k in model.inputs if k in poses.skeleton.index]
    share = poses.labelled[:, poses.skeleton.indices(inputs)].sum(axis=1) / len(model.inputs)
    return Predictions(
        predictor=predictor,
        skeleton=fitted_on.skeleton.subset(model.targets, NAME),
        ids=poses.ids,
        file_names=tuple(poses.file_names()),
        xy=np.where(unknown[..., None], in_box, xy).astype(np.float32),
        score=np.where(unknown, 0.0, share[:, None]).astype(np.float32),
    )


def _mean_place(poses: Poses, keypoints: Sequence[str]) -> NDArray[np.float64]:
    """(T, 2) mean position of each keypoint in the person box, 0-1 in either direction."""
    corner, size = poses.bbox_xywh[:, None, :2], poses.bbox_xywh[:, None, 2:]
    return np.nanmean((poses.xy[:, poses.skeleton.indices(keypoints)] - corner) / size, axis=0)
