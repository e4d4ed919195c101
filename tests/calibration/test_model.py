"""A predictor's points by a calibration model, beside its parts alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from calibrations import ADDED, INPUTS, STUDENT, calibration_model, calibration_of, standing_people, student_predictions

from annotext.calibration import model as model_module
from annotext.calibration.keypoint import ANY
from annotext.calibration.model import CalibrationModel, expect
from annotext.core.additions import Source
from annotext.core.predictions import PredictorIdentity
from annotext.core.skeletons import COCO17, MPII16, UNION21

PEOPLE, TRUTH = standing_people()
PREDICTED = student_predictions(PEOPLE, TRUTH)
MODEL = calibration_model()
PART = MODEL.parts[0]
POINTS = MODEL.points(PEOPLE, [PREDICTED])


def errors(xy: np.ndarray) -> np.ndarray:
    return np.linalg.norm(xy - TRUTH, axis=-1)


def test_the_anchored_points_are_nearer_to_the_truth_than_the_predictions() -> None:
    raw = PREDICTED.xy[:, UNION21.indices(ADDED)]
    assert POINTS.anchored.mean() > 0.9
    assert errors(POINTS.xy).mean() < 0.8 * errors(raw).mean()


def test_sure_points_are_right_more_often_than_unsure_ones() -> None:
    order = np.argsort(POINTS.score[:, 0])
    error = errors(POINTS.xy)[order, 0]
    assert error[-100:].mean() < 0.85 * error[:100].mean()


def test_the_radius_is_in_pixels_of_the_person() -> None:
    _, frame = expect(PART.pose_only, PEOPLE)
    sizes = np.interp(POINTS.score, [0.0, 1.0], [0.5, 0.05])
    assert np.allclose(POINTS.radius, sizes * frame.size[:, None], equal_nan=True)


def test_a_person_scaled_with_the_image_keeps_scores_and_grows_in_radius() -> None:
    images = tuple(replace(i, width=1280, height=960) for i in PEOPLE.images)
    large = replace(PEOPLE, xy=2 * PEOPLE.xy, bbox_xywh=2 * PEOPLE.bbox_xywh, area=4 * PEOPLE.area, images=images)
    points = MODEL.points(large, [replace(PREDICTED, xy=2 * PREDICTED.xy)])
    assert np.allclose(points.score, POINTS.score, atol=1e-6, equal_nan=True)
    assert np.allclose(points.radius, 2 * POINTS.radius, rtol=1e-6, equal_nan=True)
    assert np.allclose(points.xy, 2 * POINTS.xy, atol=1e-2, equal_nan=True)


def test_people_the_predictor_did_not_see_have_no_points() -> None:
    rows = np.arange(0, len(PEOPLE), 3)
    points = MODEL.points(PEOPLE, [student_predictions(PEOPLE, TRUTH, rows=slice(None, None, 3))])
    missing = np.setdiff1d(np.arange(len(PEOPLE)), rows)
    assert np.isnan(points.xy[missing]).all() and np.isnan(points.score[missing]).all()
    assert np.isnan(points.radius[missing]).all() and not points.anchored[missing].any()
    assert np.allclose(points.xy[rows], POINTS.xy[rows], equal_nan=True)


def test_the_order_of_the_predictions_rows_does_not_matter() -> None:
    shuffled = PREDICTED.take(np.random.default_rng(0).permutation(PREDICTED.ids))
    points = MODEL.points(PEOPLE, [shuffled])
    assert np.allclose(points.xy, POINTS.xy, equal_nan=True)
    assert np.allclose(points.score, POINTS.score, equal_nan=True)


def test_a_person_with_too_few_labels_has_a_point_and_no_score() -> None:
    xy, visibility = PEOPLE.xy.copy(), PEOPLE.visibility.copy()
    xy[:5, 1:], visibility[:5, 1:] = np.nan, 0
    points = MODEL.points(replace(PEOPLE, xy=xy, visibility=visibility), [PREDICTED])
    assert np.isfinite(points.xy[:5]).all()
    assert np.isnan(points.score[:5]).all() and np.isnan(points.radius[:5]).all()
    assert not points.anchored[:5].any()


def test_only_keypoints_that_the_people_lack_are_calibrated() -> None:
    assert POINTS.keypoints == ADDED
    assert MODEL.points(PEOPLE.to(MPII16), [PREDICTED]).keypoints == ()


def test_a_predictor_that_does_not_know_all_inputs_gets_no_points() -> None:
    without = replace(
        PREDICTED, skeleton=COCO17, xy=PREDICTED.xy[:, :17], score=PREDICTED.score[:, :17],
        features={k: v[:, :17] for k, v in PREDICTED.features.items()},
    )  # fmt: skip
    assert MODEL.points(PEOPLE, [without]).keypoints == ()


def test_predictions_of_others_alone_are_refused() -> None:
    other = replace(PREDICTED, predictor=PredictorIdentity("other", "0" * 64, Source.TEACHER))
    with pytest.raises(ValueError, match="none of the predictions"):
        MODEL.points(PEOPLE, [other])


def test_without_an_anchor_the_points_stay_where_they_were_seen() -> None:
    plain = CalibrationModel(STUDENT.sha256, (replace(PART, anchor=None),))
    points = plain.points(PEOPLE, [PREDICTED])
    assert not points.anchored.any()
    assert np.array_equal(points.xy, PREDICTED.xy[:, UNION21.indices(ADDED)].astype(np.float64))


def test_a_keypoint_without_a_calibration_of_its_own_takes_the_one_for_any() -> None:
    common = replace(PART, calibration={ANY: calibration_of(ANY, ("score",))})
    points = CalibrationModel(STUDENT.sha256, (common,)).points(PEOPLE, [PREDICTED])
    assert set(points.calibration) == set(ADDED)
    assert np.isfinite(points.score).mean() > 0.9


def test_the_first_part_that_has_a_keypoint_calibrates_it() -> None:
    silent = replace(PART, calibration={})
    first, last = (
        CalibrationModel(STUDENT.sha256, p).points(PEOPLE, [PREDICTED]) for p in ((PART, silent), (silent, PART))
    )
    assert set(first.calibration) == set(ADDED)
    assert not last.calibration
    assert last.keypoints == ADDED


def test_a_feature_that_a_calibration_weighs_and_no_prediction_has_is_named() -> None:
    asks = {k: calibration_of(k, ("score", "flip")) for k in ADDED}
    points = CalibrationModel(STUDENT.sha256, (replace(PART, calibration=asks),)).points(PEOPLE, [PREDICTED])
    assert points.absent == dict.fromkeys(ADDED, ("flip",))


def test_a_large_file_is_worked_through_in_parts_of_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, frame = expect(PART.pose_only, PEOPLE)
    monkeypatch.setattr(model_module, "CHUNK", 64)
    parts, frames = expect(PART.pose_only, PEOPLE)
    assert np.allclose(parts, whole, atol=1e-3, equal_nan=True)
    assert np.allclose(frames.size, frame.size, equal_nan=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": INPUTS[1:]}, "pose_only has other inputs"),
        ({"keypoints": ADDED[::-1]}, "pose_only has other inputs or targets"),
        ({"calibration": {"nose": calibration_of("nose")}}, "calibration.nose is of nose, or of a keypoint"),
        ({"calibration": {"head_top": calibration_of("upper_neck")}}, "calibration.head_top is of upper_neck"),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(PART, **change)
