"""The calibration of one predictor's added points: where they lie, how probably they are right, how far off they are.

A `CalibrationModel` is what `annotext calibrate` learns about one student. It looks at predictions and at the labels
people have, never at an image. N people, A keypoints that it calibrates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotext.calibration.features import Evidence, evidence
from annotext.calibration.keypoint import ANY, KeypointCalibration
from annotext.calibration.pose_only import PoseOnlyModel
from annotext.calibration.refine import AnchorModel
from annotext.core.frame import Frame
from annotext.core.poses import Poses
from annotext.core.predictions import CalibratedPoints, Predictions, matched

# People whose expectation is computed at once: its features are some 740 numbers each, 48 MB.
CHUNK = 16_384


@dataclass(frozen=True)
class Truth:
    """What was learned from.

    protocol: how the truth came about, by the name `annotext calibrate` gives it. file, sha256: of the annotations.
    people: in it, with a prediction and a truth.
    """

    protocol: str
    file: str
    sha256: str
    people: int

    def to_dict(self) -> dict[str, Any]:
        """For the header of an extended file."""
        return {"protocol": self.protocol, "file": self.file, "sha256": self.sha256, "people": self.people}


@dataclass(frozen=True)
class CalibrationPart:
    """What was learned from one calibration set about its keypoints.

    inputs: labelled keypoints it looks at. keypoints: those it calibrates. pose_only: where the labels alone put
    them. anchor: moves the predictor's points, None where that helps none of them. calibration: by keypoint; `ANY`
    serves those without one of their own. also: further truths it was learned from. Raises ValueError if the parts do
    not belong together.
    """

    inputs: tuple[str, ...]
    keypoints: tuple[str, ...]
    pose_only: PoseOnlyModel
    anchor: AnchorModel | None
    calibration: Mapping[str, KeypointCalibration]
    truth: Truth
    also: tuple[Truth, ...] = ()

    def __post_init__(self) -> None:
        if self.pose_only.inputs != self.inputs or self.pose_only.targets != self.keypoints:
            raise ValueError("pose_only has other inputs or targets")
        if self.anchor is not None and (self.anchor.inputs, self.anchor.keypoints) != (self.inputs, self.keypoints):
            raise ValueError("anchor has other inputs or keypoints")
        for name, calibration in self.calibration.items():
            if calibration.keypoint != name or name not in (*self.keypoints, ANY):
                raise ValueError(f"calibration.{name} is of {calibration.keypoint}, or of a keypoint it does not know")

    def calibration_of(self, keypoint: str) -> KeypointCalibration | None:
        """The keypoint's own, or the one that serves any."""
        return self.calibration.get(keypoint, self.calibration.get(ANY))


@dataclass(frozen=True)
class CalibrationModel:
    """All that was learned about one predictor: calibration.json.

    predictor_sha256: of the predictor's model. parts: one per calibration set; the first that has a keypoint calibrates
    it.
    """

    predictor_sha256: str
    parts: tuple[CalibrationPart, ...]

    @property
    def truth(self) -> tuple[Truth, ...]:
        """What it was learned from."""
        return tuple(truth for part in self.parts for truth in (part.truth, *part.also))

    def points(self, poses: Poses, predictions: Sequence[Predictions]) -> CalibratedPoints:
        """The predictor's points of N people as they should be taken: of the keypoints that their skeleton lacks.

        predictions: those of the predictor itself among them, the others are what it is compared with; people are
        matched by id. Raises ValueError if its own are missing.
        """
        own = [p for p in predictions if p.predictor.sha256 == self.predictor_sha256]
        if not own:
            raise ValueError("none of the predictions are of the predictor this was learned about")
        ordered = [own[0], *(p for p in predictions if p is not own[0])]
        open_places = [k for k in own[0].skeleton.keypoints if k not in poses.skeleton.index]
        found: list[CalibratedPoints] = []
        for part in self.parts:
            mine = tuple(k for k in part.keypoints if k in open_places)
            if mine and {*part.inputs, *part.keypoints} <= set(own[0].skeleton.keypoints):
                found.append(points_of(part, poses, ordered, mine))
                open_places = [k for k in open_places if k not in mine]
        for part in self.parts:
            if not part.keypoints and ANY in part.calibration and set(part.inputs) <= set(own[0].skeleton.keypoints):
                mine = tuple(k for k in open_places if k not in part.inputs)
                if mine:
                    found.append(points_of(part, poses, ordered, mine))
                open_places = []
        return _joined(self.predictor_sha256, found, len(poses))


@dataclass(frozen=True)
class PointContext:
    """What a part sees of N people and A keypoints. raw, xy: (N, A, 2) float64 image pixels, the predictor's points and
    the finished ones, NaN for people it did not see. frame: the people's own. evidence: on `xy`."""

    raw: NDArray[np.float64]
    xy: NDArray[np.float64]
    frame: Frame
    evidence: Evidence


def points_of(
    part: CalibrationPart, poses: Poses, predictions: Sequence[Predictions], keypoints: tuple[str, ...]
) -> CalibratedPoints:
    """The calibrated points of a part's `keypoints`; the first of `predictions` is the predictor's own.

    A part that has no keypoints of its own serves any, by the calibration for `ANY` and without an expectation.
    Raises ValueError if the predictor does not know all inputs and keypoints of the part.
    """
    known = part.keypoints or keypoints
    context = point_context(part, poses, predictions, known)
    columns = [known.index(k) for k in keypoints]
    score, radius = np.full((2, len(poses), len(keypoints)), np.nan)
    calibration = {k: c for k in keypoints if (c := part.calibration_of(k)) is not None}
    for name, one in calibration.items():
        column = keypoints.index(name)
        score[:, column], sizes = one.apply(context.evidence, name)
        radius[:, column] = sizes * context.frame.size
    moved = np.isfinite(context.xy).all(axis=-1) & (context.xy != context.raw).any(axis=-1)
    absent = {k: c.absent(context.evidence) for k, c in calibration.items()}
    return CalibratedPoints(
        predictions[0].predictor.sha256,
        keypoints,
        calibration,
        context.xy[:, columns],
        score,
        radius,
        moved[:, columns],
        absent,
    )


def point_context(
    part: CalibrationPart, poses: Poses, predictions: Sequence[Predictions], keypoints: tuple[str, ...]
) -> PointContext:
    """What the part sees of `keypoints`: its own or, where it has none, any; see `points_of`."""
    own = predictions[0]
    rows, them = matched(poses.ids, own.ids)
    expectation, frame = expect(part.pose_only, poses)
    if not part.keypoints:
        expectation = np.full((len(poses), len(keypoints), 2), np.nan)
    raw = np.full((len(poses), len(keypoints), 2), np.nan)
    raw[rows] = own.xy[them][:, own.skeleton.indices(keypoints)]
    xy = raw.copy()
    if part.anchor is not None:
        xy[rows] = part.anchor.apply(poses.take(rows), own.take(poses.ids[rows]), expectation[rows], frame.take(rows))
    return PointContext(raw, xy, frame, evidence(poses, predictions, xy, expectation, frame, part.inputs, keypoints))


def expect(pose_only: PoseOnlyModel, poses: Poses) -> tuple[NDArray[np.float64], Frame]:
    """(N, T, 2) where the labels alone put the targets, image pixels or NaN, and the people's own frames.

    Some people at a time, so that a large file needs little memory.
    """
    none = np.zeros(0)
    expectation, frames = [np.zeros((0, len(pose_only.targets), 2))], [Frame(np.zeros((0, 2)), none, none)]
    for start in range(0, len(poses), CHUNK):
        people = poses.take(np.arange(start, min(start + CHUNK, len(poses))))
        expectation.append(pose_only.predict(people))
        frames.append(pose_only.frame(people))
    return np.concatenate(expectation), Frame.joined(frames)


def _joined(predictor_sha256: str, parts: Sequence[CalibratedPoints], n: int) -> CalibratedPoints:
    """The points of the parts, side by side."""
    none = np.zeros((n, 0))
    return CalibratedPoints(
        predictor_sha256,
        tuple(k for p in parts for k in p.keypoints),
        {k: c for p in parts for k, c in p.calibration.items()},
        np.concatenate([np.zeros((n, 0, 2)), *(p.xy for p in parts)], axis=1),
        np.concatenate([none, *(p.score for p in parts)], axis=1),
        np.concatenate([none, *(p.radius for p in parts)], axis=1),
        np.concatenate([none.astype(bool), *(p.anchored for p in parts)], axis=1),
        {k: a for p in parts for k, a in p.absent.items()},
    )
