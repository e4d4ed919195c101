"""The evidence on added points: what changes it, and what must not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from people import STANDING

from annotext.calibration.features import CROWD_REACH, Evidence, evidence
from annotext.core.additions import Source
from annotext.core.frame import Frame, columns
from annotext.core.poses import Image, Poses
from annotext.core.predictions import Predictions, PredictorIdentity
from annotext.core.skeleton import Skeleton
from annotext.core.skeletons import COCO17, MPII16, UNION21

INPUTS = MPII16.shared_with(COCO17)
KEYPOINTS = ("upper_neck", "head_top", "left_ear", "right_ear")
FEATURES = ("peak", "entropy", "second", "flip", "shift")
N = 12


def _figures(seed: int = 0) -> NDArray[np.float64]:
    """(N, 21, 2) people far apart, some facing away, none upright exactly."""
    rng = np.random.default_rng(seed)
    body = np.array([STANDING[k] for k in UNION21.keypoints]) + rng.normal(scale=0.3, size=(N, 21, 2))
    body[..., 0] *= np.where(rng.random((N, 1)) < 0.5, 1, -1)
    angle = rng.normal(scale=0.3, size=(N, 1))
    turned = np.stack(
        [
            body[..., 0] * np.cos(angle) - body[..., 1] * np.sin(angle),
            body[..., 0] * np.sin(angle) + body[..., 1] * np.cos(angle),
        ],
        axis=-1,
    )
    return turned * rng.uniform(6, 9, (N, 1, 1)) + [320, 240]


def _poses(xy: NDArray[np.float64], skeleton: Skeleton = UNION21, images: NDArray[np.int64] | None = None) -> Poses:
    low, high = xy.min(axis=1), xy.max(axis=1)
    return Poses(
        skeleton=skeleton,
        xy=xy,
        visibility=np.full(xy.shape[:2], 2, dtype=np.uint8),
        bbox_xywh=np.concatenate([low, high - low], axis=1),
        area=np.full(N, 1000.0),
        image_index=np.arange(N) if images is None else images,
        images=tuple(Image(f"{i}.jpg", 640, 480) for i in range(N)),
        ids=np.arange(N) + 7,
        crowd=np.zeros(N, dtype=bool),
        head_size=np.full(N, np.nan),
    )


def _predictions(xy: NDArray[np.float64], name: str = "student", seed: int = 1) -> Predictions:
    rng = np.random.default_rng(seed)
    n = len(xy)
    return Predictions(
        predictor=PredictorIdentity(name, name, Source.STUDENT),
        skeleton=UNION21,
        ids=np.arange(n) + 7,
        file_names=tuple(f"{i}.jpg" for i in range(n)),
        xy=xy.astype(np.float32),
        score=rng.uniform(0.1, 0.9, (n, 21)).astype(np.float32),
        features={f: rng.uniform(0.01, 0.9, (n, 21)).astype(np.float32) for f in FEATURES},
    )


class Case:
    """People, a prediction near the truth, an expectation near it too."""

    def __init__(self) -> None:
        rng = np.random.default_rng(2)
        truth = _figures()
        self.poses = _poses(truth)
        self.predicted = _predictions(truth + rng.normal(scale=1.0, size=truth.shape))
        columns_ = UNION21.indices(KEYPOINTS)
        self.xy = self.predicted.xy[:, columns_].astype(np.float64)
        self.expectation = truth[:, columns_] + rng.normal(scale=2.0, size=self.xy.shape)

    def evidence(self, others: tuple[Predictions, ...] = ()) -> Evidence:
        frame = Frame.of(columns(self.poses, INPUTS), INPUTS)
        return evidence(self.poses, [self.predicted, *others], self.xy, self.expectation, frame, INPUTS, KEYPOINTS)

    def mapped(self, scale: float, angle: float, shift: tuple[float, float], mirror: bool = False) -> Case:
        """The same people, images, predictions and expectations seen otherwise."""
        other = Case()
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) * scale
        swap = UNION21.flip_index if mirror else np.arange(21)
        side = [KEYPOINTS.index(UNION21.keypoints[swap[UNION21.index[k]]]) for k in KEYPOINTS]

        def move(xy: NDArray[np.float64]) -> NDArray[np.float64]:
            return (xy * [-1.0, 1.0] + [640.0, 0.0] if mirror else xy) @ turn + shift

        other.poses = replace(_poses(move(self.poses.xy[:, swap])), images=tuple(Image("a.jpg") for _ in range(N)))
        predicted = self.predicted
        other.predicted = replace(
            predicted,
            xy=move(predicted.xy[:, swap].astype(np.float64)).astype(np.float32),
            score=predicted.score[:, swap],
            features={k: v[:, swap] for k, v in predicted.features.items()},
        )
        other.xy, other.expectation = move(self.xy[:, side]), move(self.expectation[:, side])
        return other


def _values(found: Evidence, keypoint: str, name: str) -> NDArray[np.float64]:
    return found.of(keypoint, [name])[:, 0]


@pytest.mark.parametrize(
    ("scale", "angle", "mirror", "changes"),
    [(1.0, 0.0, True, set()), (3.0, 0.0, False, {"size"}), (1.0, 0.7, False, {"lean"})],
    ids=["mirrored", "grown", "turned"],
)
def test_people_seen_otherwise_give_the_same_evidence(
    scale: float, angle: float, mirror: bool, changes: set[str]
) -> None:
    case = Case()
    case.poses = replace(case.poses, images=tuple(Image("a.jpg") for _ in range(N)))
    before, after = case.evidence(), case.mapped(scale, angle, (50.0, -20.0), mirror).evidence()
    for k in KEYPOINTS:
        there = UNION21.keypoints[UNION21.flip_index[UNION21.index[k]]] if mirror else k
        for name in before.names:
            if name not in changes:
                expected = pytest.approx(_values(before, k, name), abs=2e-3, nan_ok=True)
                assert _values(after, there, name) == expected, f"{name} of {k}"


def test_a_point_pulled_away_from_where_the_pose_puts_it_raises_what_says_so() -> None:
    case = Case()
    before = case.evidence()
    case.xy = case.xy.copy()
    case.xy[0, 1] += [40.0, 40.0]
    after = case.evidence()
    for name in ("expected", "moved", "siblings"):
        change = _values(after, "head_top", name) - _values(before, "head_top", name)
        assert change[0] > 0.5, name
        assert np.abs(change[1:]).max() == 0, name
    assert _values(after, "head_top", "raw_expected") == pytest.approx(_values(before, "head_top", "raw_expected"))


def test_inputs_found_badly_lower_the_agreement_of_that_person_only() -> None:
    case = Case()
    before = case.evidence()
    xy = case.predicted.xy.copy()
    xy[3, UNION21.indices(INPUTS)] += 15
    case.predicted = replace(case.predicted, xy=xy)
    after = case.evidence()
    for name in ("near", "all"):
        change = _values(after, "upper_neck", name) - _values(before, "upper_neck", name)
        assert change[3] > 0.5
        assert np.abs(np.delete(change, 3)).max() == 0


def test_left_taken_for_right_shows() -> None:
    case = Case()
    assert _values(case.evidence(), "head_top", "swapped").max() < 0
    case.predicted = replace(case.predicted, xy=case.predicted.xy[:, UNION21.flip_index])
    assert _values(case.evidence(), "head_top", "swapped").min() > 0


def test_another_predictor_elsewhere_is_disagreement_and_none_is_unknown() -> None:
    case = Case()
    assert np.isnan(_values(case.evidence(), "head_top", "disagreement")).all()
    near = replace(case.predicted, predictor=PredictorIdentity("near", "near", Source.TEACHER))
    far = replace(near, xy=near.xy + np.float32(10), ids=near.ids + 1)
    assert _values(case.evidence((near,)), "head_top", "disagreement") == pytest.approx(np.log(0.01), abs=1e-3)
    apart = _values(case.evidence((far,)), "head_top", "disagreement")
    assert np.isnan(apart[0])  # the second predictor did not see the first person
    assert (apart[1:] > np.log(0.1)).all()


def test_a_feature_the_predictions_lack_is_unknown_and_the_rest_stands() -> None:
    case = Case()
    whole = case.evidence()
    case.predicted = replace(case.predicted, features={k: v for k, v in case.predicted.features.items() if k != "flip"})
    part = case.evidence()
    assert np.isnan(part.of("head_top", ["flip"])).all()
    for name in part.names:
        assert np.array_equal(_values(part, "head_top", name), _values(whole, "head_top", name), equal_nan=True)


def test_nothing_is_known_of_people_without_a_prediction_or_a_frame() -> None:
    case = Case()
    case.predicted = case.predicted.take(case.predicted.ids[1:])
    xy = case.poses.xy.copy()
    xy[4] = np.nan
    case.poses = replace(case.poses, xy=xy, visibility=np.where(np.isnan(xy[..., 0]), 0, 2).astype(np.uint8))
    case.xy = case.xy.copy()
    case.xy[0] = np.nan
    found = case.evidence()
    assert np.isnan(found.values[[0, 4]]).all()
    assert np.isfinite(found.of("head_top", ["expected", "near", "score"])[[1, 2, 3]]).all()


def test_evidence_does_not_look_at_labels_beyond_the_inputs() -> None:
    case = Case()
    before = case.evidence()
    hide = [k for k in UNION21.keypoints if k not in INPUTS]
    case.poses = replace(
        case.poses,
        xy=np.where(np.isin(UNION21.keypoints, hide)[:, None], np.nan, case.poses.xy),
        visibility=np.where(np.isin(UNION21.keypoints, hide), 0, case.poses.visibility).astype(np.uint8),
    )
    assert np.array_equal(case.evidence().values, before.values, equal_nan=True)


def test_another_persons_points_nearby_are_crowding() -> None:
    case = Case()
    assert (_values(case.evidence(), "head_top", "crowding") == -CROWD_REACH).all()
    case.poses = replace(case.poses, image_index=np.zeros(N, dtype=np.int64))
    assert (_values(case.evidence(), "head_top", "crowding") > -CROWD_REACH).all()


def test_a_keypoint_the_predictor_lacks_is_named() -> None:
    case = Case()
    frame = Frame.of(columns(case.poses, INPUTS), INPUTS)
    with pytest.raises(ValueError, match="student does not predict left_heel"):
        evidence(case.poses, [case.predicted], case.xy[:, :1], case.expectation[:, :1], frame, INPUTS, ("left_heel",))


def test_joined_evidence_does_not_know_a_feature_that_only_the_other_part_has() -> None:
    one = Evidence(("nose",), ("score", "flip"), np.array([[[1.0, 2.0]]]))
    other = Evidence(("nose",), ("score",), np.array([[[3.0]]]))
    joined = Evidence.joined([one, other])
    assert joined.names == ("score", "flip")
    assert np.array_equal(joined.values[:, 0], [[1.0, 2.0], [3.0, np.nan]], equal_nan=True)
