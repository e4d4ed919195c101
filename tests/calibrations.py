"""Calibration models for tests: small, made by hand or fitted on made-up people, of a predictor that never ran."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annotext.calibration.keypoint import KeypointCalibration
from annotext.calibration.model import CalibrationModel, CalibrationPart, Truth, expect
from annotext.calibration.pose_only import fit
from annotext.calibration.refine import AnchorModel, fit_anchor
from annotext.core.additions import Source
from annotext.core.frame import columns
from annotext.core.poses import Image, Poses
from annotext.core.predictions import Predictions, PredictorIdentity
from annotext.core.skeletons import COCO17, MPII16, UNION21
from annotext.evaluation.correctness import Criterion

STUDENT = PredictorIdentity("made-up", "ab" * 32, Source.STUDENT)
ADDED = ("upper_neck", "head_top")
INPUTS = tuple(k for k in COCO17.keypoints if k in MPII16.index)


def calibration_of(keypoint: str, features: tuple[str, ...] = ("score",)) -> KeypointCalibration:
    """Rising in every feature; the share of wrong points among those kept rises from 0 to 30 %."""
    kept = np.arange(1, 101) * 200
    return KeypointCalibration(
        keypoint=keypoint,
        criterion=Criterion.KS_OF_SIZE,
        points=20_000,
        wrong=6_000,
        features=features,
        mean=np.zeros(len(features)),
        scale=np.ones(len(features)),
        weights=np.ones(len(features)),
        unknown=np.zeros(len(features)),
        intercept=0.0,
        isotonic_logit=np.array([-4.0, 4.0]),
        isotonic_score=np.array([0.0, 1.0]),
        radius_score=np.array([0.0, 1.0]),
        radius=np.array([0.5, 0.05]),
        threshold_score=np.linspace(0.99, 0.01, 100),
        threshold_kept=kept,
        threshold_wrong=np.floor(0.3 * kept * np.linspace(0, 1, 100)).astype(np.int64),
    )


def standing_people(n: int = 300, seed: int = 0) -> tuple[Poses, NDArray[np.float64]]:
    """COCO people who stand about, some points unlabelled, two to an image, and (N, 2, 2) px of what is `ADDED`."""
    rng = np.random.default_rng(seed)
    plan = {
        "nose": (0, -4), "left_eye": (0.3, -4.3), "right_eye": (-0.3, -4.3), "left_ear": (0.6, -4.2),
        "right_ear": (-0.6, -4.2), "left_shoulder": (1, -3), "right_shoulder": (-1, -3), "left_elbow": (1.3, -1.6),
        "right_elbow": (-1.3, -1.6), "left_wrist": (1.4, 0), "right_wrist": (-1.4, 0), "left_hip": (0.7, 0),
        "right_hip": (-0.7, 0), "left_knee": (0.7, 2), "right_knee": (-0.7, 2), "left_ankle": (0.7, 4),
        "right_ankle": (-0.7, 4), "upper_neck": (0, -3.4), "head_top": (0, -5),
    }  # fmt: skip
    size = rng.uniform(10, 25, n)
    middle = np.stack([rng.uniform(100, 500, n), rng.uniform(150, 300, n)], axis=1)
    turn = rng.normal(0, 0.15, n)

    def placed(names: tuple[str, ...]) -> NDArray[np.float64]:
        plain = np.array([plan[k] for k in names]) + 0.15 * rng.normal(size=(n, len(names), 2))
        cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
        turned = np.stack([cos * plain[..., 0] - sin * plain[..., 1], sin * plain[..., 0] + cos * plain[..., 1]], -1)
        return middle[:, None] + size[:, None, None] * turned

    xy, truth = placed(COCO17.keypoints), placed(ADDED)
    visibility = np.where(rng.random((n, 17)) < 0.9, rng.integers(1, 3, (n, 17)), 0).astype(np.uint8)
    poses = Poses(
        skeleton=COCO17,
        xy=np.where(visibility[..., None] > 0, xy, np.nan),
        visibility=visibility,
        bbox_xywh=np.concatenate([middle - 5 * size[:, None], np.stack([10 * size] * 2, axis=1)], axis=1),
        area=40 * size**2,
        image_index=np.arange(n) // 2,
        images=tuple(Image(f"{i:04d}.jpg", 640, 480) for i in range((n + 1) // 2)),
        ids=np.arange(1000, 1000 + n),
        crowd=np.zeros(n, dtype=bool),
        head_size=np.full(n, np.nan),
    )
    return poses, truth


def student_predictions(
    poses: Poses, truth: NDArray[np.float64], seed: int = 1, rows: slice = slice(None)
) -> Predictions:
    """The student's 21 points of them, the `ADDED` ones near the truth or, with low scores, far off."""
    rng = np.random.default_rng(seed)
    n = len(poses)
    whole = poses.to(UNION21)
    middle = poses.bbox_xywh[:, None, :2] + poses.bbox_xywh[:, None, 2:] / 2
    xy = np.where(np.isfinite(whole.xy), whole.xy, middle)
    xy[:, UNION21.indices(ADDED)] = truth
    far = rng.random((n, 21)) < 0.2
    size = poses.bbox_xywh[:, None, 2:3] / 10
    xy = xy + np.where(far, 2.0, 0.15)[..., None] * size * rng.normal(size=xy.shape)
    score = np.clip(np.where(far, 0.35, 0.8) + 0.1 * rng.normal(size=(n, 21)), 0, 1)
    features = {"entropy": (1 - score).astype(np.float32), "outside": np.zeros((n, 21), np.float32)}
    return Predictions(
        STUDENT,
        UNION21,
        poses.ids,
        tuple(poses.file_names()),
        xy.astype(np.float32),
        score.astype(np.float32),
        features,
    ).take(poses.ids[rows])


def calibration_model(people: int = 300) -> CalibrationModel:
    """Fitted on `standing_people` but for its calibrations, which are made by hand."""
    poses, truth = standing_people(people, seed=10)
    predictions = student_predictions(poses, truth, seed=11)
    whole = poses.to(UNION21)
    xy, visibility = whole.xy.copy(), whole.visibility.copy()
    xy[:, UNION21.indices(ADDED)], visibility[:, UNION21.indices(ADDED)] = truth, 2
    pose_only = fit(Poses(**{**vars(whole), "xy": xy, "visibility": visibility}), INPUTS, ADDED)
    expectation, frame = expect(pose_only, poses)
    anchor: AnchorModel = fit_anchor(poses, predictions, expectation, frame, truth, INPUTS, ADDED)
    assert np.isfinite(columns(poses, INPUTS)).any()
    calibration = {k: calibration_of(k, ("score", "expected")) for k in ADDED}
    part = CalibrationPart(
        INPUTS, ADDED, pose_only, anchor, calibration, Truth("labels", "some.json", "cd" * 32, people)
    )
    return CalibrationModel(STUDENT.sha256, (part,))
