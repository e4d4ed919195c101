"""From labels and predictions to decisions: what each person gains, from where, what is kept back, and who is asked.

N people, A keypoints that their file lacks, P predictors in the order they were given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.additions import Additions, Decision, Reason, Source
from annotext.core.anatomy import HIDDEN_WITH
from annotext.core.derive import MIDPOINTS, derive
from annotext.core.poses import Poses, Visibility
from annotext.core.predictions import CalibratedPoints, Predictions, matched

# How many of the added points of a keypoint may be wrong. One in twenty is a start, no measurement: give your own.
DEFAULT_TARGET_ERROR = 0.05

# A calibrated score is the probability that a point is right. Below one half a person who is asked would more often
# place the point anew than agree.
DEFAULT_ASK_FROM = 0.5

# An uncalibrated point below this score is kept as a candidate and not written as a label. Such scores mean something
# else for each model; the default only cuts where most points are wrong. Measured by benchmarks/studies/real_models.py
# on 551 real COCO persons (right = within 0.2 torso of the label): EfficientPose I .591 right of all, .804 at or above
# .3, .237 below; simplepose .833, .887, .40.
DEFAULT_MIN_SCORE = 0.3

# A derived point follows from two human labels; on MPII val 99.9 % (pelvis) and 99.7 % (thorax) lie within 0.1 head
# size of MPII's own label (`annotext derive-check`).
DERIVED_SCORE = 1.0

# The feature in which a prediction says how many pixels a point lies outside its image.
OUTSIDE = "outside"


@dataclass(frozen=True)
class Policy:
    """What may become a label. Human keypoints always stay as they are.

    target_error: the share of a keypoint's added points that may be wrong, in (0, 1); where scores are calibrated.
    keypoints: target errors of single keypoints, by name.
    ask_from: calibrated points below this score are withheld, whatever the target error; those above that are not sure
        enough to be added are asked about; in [0, 1].
    write_asked: points to ask about are written with v > 0 too; else they are kept as candidates with v = 0.
    min_score: uncalibrated points below this score are withheld; in [0, 1].
    """

    target_error: float = DEFAULT_TARGET_ERROR
    keypoints: Mapping[str, float] = field(default_factory=dict)
    ask_from: float = DEFAULT_ASK_FROM
    write_asked: bool = False
    min_score: float = DEFAULT_MIN_SCORE

    def __post_init__(self) -> None:
        for name in ("min_score", "ask_from"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 0 to 1")
        for name, error in {"target_error": self.target_error, **self.keypoints}.items():
            if not 0 < error < 1:
                what = name if name == "target_error" else f"target_error of {name}"
                raise ValueError(f"{what} is {error}, expected a share above 0 and below 1")

    def target_of(self, keypoint: str) -> float:
        """The target error of this keypoint."""
        return self.keypoints.get(keypoint, self.target_error)

    def to_dict(self) -> dict[str, Any]:
        """For the header of an extended file."""
        return {
            "target_error": self.target_error,
            "keypoints": dict(self.keypoints),
            "ask_from": self.ask_from,
            "write_asked": self.write_asked,
            "min_score": self.min_score,
            "derived": list(MIDPOINTS),
        }


@dataclass(frozen=True)
class Limits:
    """From which calibrated score up an estimate of a keypoint is added, and from which it is asked about.

    add: infinite where no score meets the target error.
    """

    add: float
    ask: float


@dataclass(frozen=True)
class Decisions:
    """What N people gain, and how that came about.

    additions: with decision and reason. calibrated, anchored: (N, A) bool, the score is a probability; the point was
    moved towards what the labels say. limits: of those of the A keypoints that have a calibration, by name.
    """

    additions: Additions
    calibrated: NDArray[np.bool_]
    anchored: NDArray[np.bool_]
    limits: Mapping[str, Limits]

    @property
    def reason(self) -> NDArray[np.object_]:
        """(N, A) object array of `Reason`."""
        return self.additions.reason


def gains_keypoints(poses: Poses) -> NDArray[np.bool_]:
    """(N,) bool: people to whom anything is added at all: not a crowd, and at least one keypoint labelled."""
    return poses.has_keypoints & ~poses.crowd


def decide(
    poses: Poses,
    predictions: Sequence[Predictions],
    keypoints: Sequence[str],
    policy: Policy,
    calibrated: CalibratedPoints | None = None,
    *,
    eligible: NDArray[np.bool_] | None = None,
) -> Decisions:
    """What each of N people gains of the A `keypoints`.

    A keypoint is derived wherever a person labelled both its parents; else it comes from the first of `predictions`
    that knows it and has the person (matched by id). calibrated: one of the predictions after refinement and
    calibration, for the same N people; it takes that prediction's place. Of a calibrated keypoint, points are added
    from the score up that meets the policy's target error, and asked about below; a person for whom there is no
    calibrated score is asked about at best. Of other keypoints, points are added from the policy's minimum up. Points
    outside the image are withheld. What is not added keeps coordinates, source and score, with visibility 0.
    eligible: (N,) bool, who may gain something; without it those of `gains_keypoints`.
    """
    keypoints = tuple(keypoints)
    eligible = gains_keypoints(poses) if eligible is None else eligible
    limits = _limits(keypoints, policy, calibrated)
    found = _Estimates.derived(poses, keypoints, eligible)
    for prediction in predictions:
        same = calibrated is not None and calibrated.predictor_sha256 == prediction.predictor.sha256
        found.fill(prediction, calibrated if same else None, poses, keypoints, eligible)
    decision, reason = found.decided(keypoints, policy, limits)
    for column, keypoint in enumerate(keypoints):
        known = any(keypoint in p.skeleton.index for p in predictions)
        nothing = decision[:, column] == Decision.NONE
        reason[nothing, column] = Reason.NOT_PREDICTED if known else Reason.NO_PREDICTOR
    reason[~eligible] = Reason.NO_KEYPOINTS
    reason[poses.crowd] = Reason.CROWD
    written = (decision == Decision.ADD) | ((decision == Decision.ASK) & policy.write_asked)
    visibility = np.where(written, _state(poses, keypoints), Visibility.NOT_LABELLED).astype(np.uint8)
    additions = Additions(keypoints, found.xy, visibility, found.source, found.score, found.radius, decision, reason)
    return Decisions(additions, found.calibrated, found.anchored, limits)


def _limits(keypoints: Sequence[str], policy: Policy, calibrated: CalibratedPoints | None) -> dict[str, Limits]:
    """Of the calibrated ones among `keypoints`, in their order.

    A good student may keep the target error with every point added; what is more likely wrong than right stays out.
    """
    limits: dict[str, Limits] = {}
    for keypoint in keypoints:
        if calibrated is not None and keypoint in calibrated.calibration:
            add = calibrated.calibration[keypoint].minimum_score(policy.target_of(keypoint))
            limits[keypoint] = Limits(max(add, policy.ask_from), policy.ask_from)
    return limits


def _state(poses: Poses, keypoints: Sequence[str]) -> NDArray[np.uint8]:
    """(N, A) `Visibility` an added point has: hidden where the person marked both of `HIDDEN_WITH` as hidden."""
    state = np.full((len(poses), len(keypoints)), Visibility.VISIBLE, dtype=np.uint8)
    for column, keypoint in enumerate(keypoints):
        parents = HIDDEN_WITH.get(keypoint, ())
        if parents and all(p in poses.skeleton.index for p in parents):
            hidden = (poses.visibility[:, poses.skeleton.indices(parents)] == Visibility.HIDDEN).all(axis=1)
            state[hidden, column] = Visibility.HIDDEN
    return state


@dataclass(frozen=True)
class _Estimates:
    """The best estimate of each point so far; its arrays are filled in place.

    xy: (N, A, 2) float64 px, NaN where there is none. source: (N, A) of `Source`. score: (N, A) float64. radius: (N, A)
    float64 px or NaN. outside, calibrated, anchored: (N, A) bool.
    """

    xy: NDArray[np.float64]
    source: NDArray[np.object_]
    score: NDArray[np.float64]
    radius: NDArray[np.float64]
    outside: NDArray[np.bool_]
    calibrated: NDArray[np.bool_]
    anchored: NDArray[np.bool_]

    @classmethod
    def derived(cls, poses: Poses, keypoints: Sequence[str], eligible: NDArray[np.bool_]) -> _Estimates:
        """What follows from the labels of the `eligible`."""
        shape = (len(poses), len(keypoints))
        xy = np.where(eligible[:, None, None], derive(poses, keypoints)[0], np.nan)
        there = np.isfinite(xy).all(axis=-1)
        source = np.full(shape, Source.NONE, dtype=object)
        source[there] = Source.DERIVED
        no = np.zeros(shape, dtype=bool)
        return cls(
            xy, source, np.where(there, DERIVED_SCORE, 0.0), np.full(shape, np.nan), no.copy(), no.copy(), no.copy()
        )

    def fill(
        self,
        prediction: Predictions,
        calibrated: CalibratedPoints | None,
        poses: Poses,
        keypoints: Sequence[str],
        eligible: NDArray[np.bool_],
    ) -> None:
        """Take what is still missing from a prediction, or from its calibrated points."""
        rows, found = matched(poses.ids, prediction.ids)
        last = _last_pixel(poses, rows)
        for column, keypoint in enumerate(keypoints):
            if keypoint not in prediction.skeleton.index:
                continue
            there = prediction.skeleton.index[keypoint]
            free = eligible[rows] & (self.source[rows, column] == Source.NONE)
            here, them = rows[free], found[free]
            self.source[here, column] = prediction.predictor.source
            self.xy[here, column] = prediction.xy[them, there]
            self.score[here, column] = prediction.score[them, there]
            moved = np.zeros(len(here), dtype=bool)
            if calibrated is not None and keypoint in calibrated.keypoints:
                position = calibrated.keypoints.index(keypoint)
                moved = calibrated.anchored[here, position]
                self.xy[here[moved], column] = calibrated.xy[here[moved], position]
                self.anchored[here, column] = moved
                sure = np.isfinite(calibrated.score[here, position])
                self.score[here[sure], column] = calibrated.score[here[sure], position]
                self.radius[here[sure], column] = calibrated.radius[here[sure], position]
                self.calibrated[here, column] = sure
            place = self.xy[here, column]
            outside = ((place < 0) | (place > last[free])).any(axis=1)
            if OUTSIDE in prediction.features:
                # The predictor saw the image itself; a point that was moved since is checked against the file's
                # sizes, if it names any.
                by_size = moved & np.isfinite(last[free]).all(axis=1)
                outside = np.where(by_size, outside, prediction.features[OUTSIDE][them, there] > 0)
            self.outside[here, column] = outside

    def decided(
        self, keypoints: Sequence[str], policy: Policy, limits: Mapping[str, Limits]
    ) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
        """(N, A) `Decision` and (N, A) `Reason`, ADDED where there is no estimate."""
        decision = np.full(self.score.shape, Decision.NONE, dtype=object)
        reason = np.full(self.score.shape, Reason.ADDED, dtype=object)
        for column, keypoint in enumerate(keypoints):
            limit = limits.get(keypoint)
            score, sure = self.score[:, column], self.calibrated[:, column]
            derived = self.source[:, column] == Source.DERIVED
            there = self.source[:, column] != Source.NONE
            inside = there & ~self.outside[:, column]
            enough = score >= policy.min_score
            add, ask = enough, np.zeros_like(sure)
            if limit is not None:
                add = sure & (score >= limit.add)
                ask = np.where(sure, score >= limit.ask, enough)
            add = derived | (inside & add)
            ask = inside & ask & ~add
            decision[there, column] = Decision.WITHHOLD
            decision[ask, column], decision[add, column] = Decision.ASK, Decision.ADD
            reason[there, column] = Reason.LOW_SCORE
            if limit is not None:
                reason[ask, column] = Reason.TO_ASK if np.isfinite(limit.add) else Reason.OUT_OF_REACH
                reason[there & ~sure, column] = Reason.NOT_CALIBRATED
            reason[there & ~inside, column] = Reason.OUTSIDE_IMAGE
            reason[add, column] = Reason.ADDED
        return decision, reason


def _last_pixel(poses: Poses, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """(len(rows), 2) the last x and y inside the images of these people; infinite where the file names no size."""
    size = np.array([(i.width or np.inf, i.height or np.inf) for i in poses.images]).reshape(-1, 2)
    return size[poses.image_index[rows]] - 1
