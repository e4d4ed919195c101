"""Learning how far added points can be trusted: everybody evaluated by what did not see them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from calibration_files import FEW_INPUTS, mpii_people, unsure_predictions
from calibrations import ADDED, STUDENT, standing_people, student_predictions
from numpy.typing import NDArray

from annotext.calibration.keypoint import ANY
from annotext.calibration.learn import Learned, learn, learn_any, only
from annotext.calibration.model import CalibrationModel, CalibrationPart, Truth, points_of
from annotext.calibration.pose_only import PoseOnlyModel
from annotext.calibration.pose_only import fit as fit_pose_only
from annotext.calibration.refine_evaluation import HEURISTIC, POSE_ONLY
from annotext.core.frame import columns
from annotext.core.poses import Poses, Visibility
from annotext.core.predictions import Predictions
from annotext.core.skeletons import MPII16, UNION21
from annotext.evaluation.correctness import Criterion
from annotext.evaluation.ranking import auroc, coverage, ece, reliability_equal_count

PEOPLE = mpii_people()
PREDICTED = unsure_predictions(PEOPLE)
TRUTH = Truth("labels", "some.json", "cd" * 32, len(PEOPLE))
# Two of an image: what they have labelled is changed, to see who notices.
SOME = np.flatnonzero(PEOPLE.image_index == 7)


@pytest.fixture(scope="module")
def pose_only() -> PoseOnlyModel:
    """Fitted on others, so that a test need not fit it in folds."""
    return fit_pose_only(mpii_people(seed=7), FEW_INPUTS, ADDED)


def _learn(
    poses: Poses, pose_only: PoseOnlyModel | None, anchored: bool = True, predicted: Predictions = PREDICTED
) -> Learned:
    return learn(
        poses, [predicted], FEW_INPUTS, ADDED, criterion=Criterion.KS_OF_SIZE, anchored=anchored, pose_only=pose_only
    )  # fmt: skip


@pytest.fixture(scope="module")
def learned(pose_only: PoseOnlyModel) -> Learned:
    return _learn(PEOPLE, pose_only)


def _labelled(rows: NDArray[np.intp], names: tuple[str, ...], move: float) -> Poses:
    """`PEOPLE` with the labels of `names` of some of them moved by pixels."""
    xy = PEOPLE.xy.copy()
    xy[np.ix_(rows, MPII16.indices(names))] += move
    return replace(PEOPLE, xy=xy)


def test_what_people_have_labelled_does_not_move_their_own_finished_points(
    learned: Learned, pose_only: PoseOnlyModel
) -> None:
    other = _learn(_labelled(SOME, ADDED, 40.0), pose_only)
    assert learned.anchor.on == other.anchor.on == (True, True)
    assert np.array_equal(learned.points.xy[SOME], other.points.xy[SOME])
    assert not np.array_equal(learned.points.final.error[SOME], other.points.final.error[SOME])
    assert not np.array_equal(learned.anchor.weights, other.anchor.weights)


def test_what_people_have_labelled_does_not_weigh_their_own_evidence(pose_only: PoseOnlyModel) -> None:
    # Of one keypoint of one person: more could change how strong a ridge is chosen, which all folds share.
    wrong = _labelled(SOME[:1], ("head_top",), 40.0)
    one, other = (_learn(p, pose_only, anchored=False) for p in (PEOPLE, wrong))
    assert (one.points.final.error > one.points.final.tolerance)[SOME[0], 1] < (
        other.points.final.error > other.points.final.tolerance
    )[SOME[0], 1]
    assert np.array_equal(one.fitted.logit[SOME], other.fitted.logit[SOME])
    away = np.setdiff1d(np.arange(len(PEOPLE)), SOME)
    assert not np.array_equal(one.fitted.logit[away], other.fitted.logit[away])


def test_labels_that_are_pure_chance_cannot_be_told_apart() -> None:
    # So few that an expectation that had seen their labels would know them half by heart.
    some = PEOPLE.take(np.arange(150))
    rng = np.random.default_rng(3)
    xy, size = some.xy.copy(), some.bbox_xywh[:, None, 2:3] / 10
    chance = 0.6 * size * rng.normal(size=(len(some), 2, 2))
    mine = PREDICTED.take(some.ids)
    xy[:, MPII16.indices(ADDED)] = mine.xy[:, UNION21.indices(ADDED)] + chance
    found = _learn(replace(some, xy=xy), None, anchored=False, predicted=mine)
    for column in range(2):
        right = found.points.final.error[:, column] <= found.points.final.tolerance[:, column]
        assert 0.3 < right.mean() < 0.7
        assert auroc(found.fitted.score[:, column], right) < 0.62
        seen = np.linalg.norm(found.pose_only.predict(some) - xy[:, MPII16.indices(ADDED)], axis=-1)
        known_by_heart = np.nanmean(seen / found.points.size[:, None], axis=0)[column]
        assert found.anchor_evaluations[column].error[POSE_ONLY] > 1.05 * known_by_heart


def test_labels_that_are_neither_inputs_nor_asked_about_are_not_looked_at() -> None:
    inputs, knees = FEW_INPUTS[:4], ("left_knee", "right_knee")
    model = fit_pose_only(mpii_people(seed=7), inputs, knees)
    # The heuristic for a knee would like to see the ankle.
    there = np.arange(len(PEOPLE))
    for_all = (PEOPLE, _labelled(there, ("left_ankle", "right_ankle", "left_elbow", "head_top", "pelvis"), 500.0))
    one, other = (
        learn(p, [PREDICTED], inputs, knees, criterion=Criterion.KS_OF_SIZE, pose_only=model) for p in for_all
    )
    assert one.anchor_evaluations[0].error[HEURISTIC] == other.anchor_evaluations[0].error[HEURISTIC]
    for name in ("xy", "size"):
        assert np.array_equal(getattr(one.points, name), getattr(other.points, name), equal_nan=True)
    for name in ("error", "tolerance"):
        assert np.array_equal(getattr(one.points.final, name), getattr(other.points.final, name), equal_nan=True)
    assert np.array_equal(one.fitted.score, other.fitted.score, equal_nan=True)
    assert np.array_equal(one.points.raw_evidence.values, other.points.raw_evidence.values, equal_nan=True)


def test_scores_are_probabilities_where_raw_ones_are_not(learned: Learned) -> None:
    for column in range(2):
        right = learned.points.final.right[:, column]
        raw_right = learned.points.raw.right[:, column]
        assert ece(reliability_equal_count(learned.points.raw_score[:, column], raw_right)) > 0.1
        assert ece(reliability_equal_count(learned.fitted.score[:, column], right)) < 0.04


def test_finished_points_are_ranked_better_than_the_predictor_ranks_its_own(learned: Learned) -> None:
    for column in range(2):
        right = learned.points.final.right[:, column]
        raw_right = learned.points.raw.right[:, column]
        assert (
            auroc(learned.fitted.score[:, column], right) > auroc(learned.points.raw_score[:, column], raw_right) + 0.05
        )


def test_the_radius_holds_nine_times_of_ten(learned: Learned) -> None:
    for column in range(2):
        assert 0.84 < coverage(learned.points.final.error[:, column], learned.fitted.radius[:, column]) < 0.95


def test_finished_points_are_closer_than_the_predictors(learned: Learned) -> None:
    assert np.all(learned.points.final.error.mean(axis=0) < 0.7 * learned.points.raw.error.mean(axis=0))


def test_what_was_promised_out_of_sample_fresh_people_keep(learned: Learned) -> None:
    fresh = mpii_people(800, seed=20)
    blind = only(fresh, FEW_INPUTS)
    points = points_of(learned.part(TRUTH), blind, [unsure_predictions(fresh, seed=21)], ADDED)
    size = learned.pose_only.frame(blind).size
    error = np.linalg.norm(points.xy - columns(fresh, ADDED), axis=-1) / size[:, None]
    known = np.isfinite(error)
    assert np.nanmean(error, axis=0) == pytest.approx(np.nanmean(learned.points.final.error, axis=0), rel=0.25)
    for column in range(2):
        rows = known[:, column]
        limit = np.nanmedian(learned.points.final.tolerance[:, column])
        right = error[rows, column] <= limit
        assert ece(reliability_equal_count(points.score[rows, column], right)) < 0.05


def test_without_anchoring_points_stay_and_the_reason_is_given(pose_only: PoseOnlyModel) -> None:
    found = _learn(PEOPLE, pose_only, anchored=False)
    assert np.array_equal(found.points.xy, found.points.raw_xy)
    assert np.array_equal(found.points.final.error, found.points.raw.error)
    assert found.part(TRUTH).anchor is None
    assert [(j.on, j.reason) for j in found.anchor_evaluations] == [(False, "anchoring was not wanted")] * 2


def test_the_same_people_give_the_same_to_the_bit(learned: Learned, pose_only: PoseOnlyModel) -> None:
    again = _learn(PEOPLE, pose_only)
    assert np.array_equal(again.fitted.score, learned.fitted.score)
    assert np.array_equal(again.anchor.weights, learned.anchor.weights)
    assert again.anchor_evaluations == learned.anchor_evaluations


def test_people_without_a_truth_are_neither_known_nor_scored(pose_only: PoseOnlyModel) -> None:
    xy, visibility = PEOPLE.xy.copy(), PEOPLE.visibility.copy()
    head = MPII16.index["head_top"]
    xy[:50, head], visibility[:50, head] = np.nan, 0
    found = _learn(replace(PEOPLE, xy=xy, visibility=visibility), pose_only)
    assert (
        not found.points.final.known[:50, 1].any()
        and found.points.final.known[50:, 1].all()
        and found.points.final.known[:, 0].all()
    )
    assert np.isnan(found.fitted.score[:50, 1]).all()
    assert found.fitted.calibration["head_top"].points == len(PEOPLE) - 50


def test_only_leaves_the_named_labels_and_takes_the_others_away() -> None:
    seen = only(PEOPLE, FEW_INPUTS)
    kept = np.isin(MPII16.keypoints, FEW_INPUTS)
    assert np.array_equal(seen.xy[:, kept], PEOPLE.xy[:, kept], equal_nan=True)
    assert np.isnan(seen.xy[:, ~kept]).all()
    assert (seen.visibility[:, ~kept] == Visibility.NOT_LABELLED).all()
    assert np.isfinite(PEOPLE.xy[:, ~kept]).any()


def test_a_pooled_calibration_serves_keypoints_without_a_truth(learned: Learned) -> None:
    calibration = learn_any([learned])
    assert calibration[ANY].points == 2 * len(PEOPLE)
    # Of raw points: what would need an expectation has no part in it.
    assert not {"expected", "raw_expected", "moved", "limbs", "siblings"} & set(calibration[ANY].features)
    whole = fit_pose_only(PEOPLE, FEW_INPUTS, ())
    model = CalibrationModel(STUDENT.sha256, (CalibrationPart(FEW_INPUTS, (), whole, None, calibration, TRUTH),))
    people, truth = standing_people(600, seed=30)
    predicted = student_predictions(people, truth, seed=31)
    points = model.points(people, [predicted])
    assert points.keypoints == ("pelvis", "thorax", *ADDED)
    column = points.keypoints.index("head_top")
    assert np.array_equal(points.xy[:, column], predicted.xy[:, UNION21.index["head_top"]].astype(np.float64))
    right = np.linalg.norm(points.xy[:, column] - truth[:, 1], axis=-1) < 0.1 * people.bbox_xywh[:, 2]
    known = np.isfinite(points.score[:, column])
    assert known.mean() > 0.9
    assert auroc(points.score[known, column], right[known]) > 0.75


def test_pooling_needs_one_meaning_of_right(learned: Learned) -> None:
    with pytest.raises(ValueError, match="one criterion"):
        learn_any([learned, replace(learned, criterion=Criterion.PCKH)])
    with pytest.raises(ValueError, match="one criterion"):
        learn_any([])


def test_too_little_truth_gives_no_pooled_calibration(learned: Learned) -> None:
    raw = learned.points.raw
    few = replace(raw, error=np.where(np.arange(len(PEOPLE))[:, None] < 20, raw.error, np.nan))
    assert learn_any([replace(learned, points=replace(learned.points, raw=few))]) == {}
