"""Decisions by calibrated scores: what a target error means, and what it never does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from calibrations import calibration_of
from hypothesis import given, settings
from hypothesis import strategies as st
from people import STUDENT, predicted, random_people

from annotext.core.additions import Additions, Decision, Reason
from annotext.core.anatomy import HIDDEN_WITH
from annotext.core.policy import OUTSIDE, Policy, decide, gains_keypoints
from annotext.core.poses import Visibility
from annotext.core.predictions import CalibratedPoints
from annotext.core.skeletons import COCO17, MPII16, UNION21

ADDED = UNION21.missing_from(COCO17)
HEAD, NECK = ADDED.index("head_top"), ADDED.index("upper_neck")
PEOPLE = random_people(COCO17, 200)
GAINS = gains_keypoints(PEOPLE)
PREDICTED = predicted(PEOPLE)


def calibrated(unknown: float = 0.0) -> CalibratedPoints:
    """Calibrated scores of neck and head top at random; the head top moved by a pixel."""
    rng = np.random.default_rng(4)
    keypoints = ("upper_neck", "head_top")
    raw = PREDICTED.xy[:, MPII16.indices(keypoints)].astype(np.float64)
    xy = raw + np.array([[0.0, 0.0], [1.0, 0.0]])
    score = np.where(rng.random((len(PEOPLE), 2)) < unknown, np.nan, rng.random((len(PEOPLE), 2)))
    return CalibratedPoints(
        STUDENT.sha256,
        keypoints,
        {k: calibration_of(k) for k in keypoints},
        xy,
        score,
        np.where(np.isfinite(score), 20 * (1 - score), np.nan),
        np.broadcast_to([False, True], score.shape).copy(),
        {},
    )


def decided(policy: Policy) -> Additions:
    return decide(PEOPLE, [PREDICTED], ADDED, policy, calibrated()).additions


@given(st.floats(0.001, 0.6), st.floats(0.001, 0.6), st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_larger_target_error_never_takes_an_added_point_away(one: float, other: float, write: bool) -> None:
    strict, lenient = (decided(Policy(target_error=e, write_asked=write)) for e in sorted((one, other)))
    assert (lenient.added | ~strict.added).all()
    assert (lenient.decision[strict.decision == Decision.ADD] == Decision.ADD).all()


@given(st.floats(0.01, 0.6), st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_points_are_added_asked_and_withheld_in_the_order_of_their_scores(target: float, ask_from: float) -> None:
    decisions = decide(PEOPLE, [PREDICTED], ADDED, Policy(target_error=target, ask_from=ask_from), calibrated())
    for column in (NECK, HEAD):
        limits = decisions.limits[ADDED[column]]
        score = decisions.additions.score[GAINS, column]
        decision = decisions.additions.decision[GAINS, column]
        assert np.array_equal(decision == Decision.ADD, score >= limits.add)
        assert np.array_equal(decision == Decision.ASK, (score >= limits.ask) & (score < limits.add))


@given(st.floats(0.001, 0.6), st.floats(0, 1), st.booleans(), st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_the_arrays_that_hold_human_keypoints_are_never_written_to(
    target: float, ask_from: float, write: bool, minimum: float
) -> None:
    before = PEOPLE.xy.copy(), PEOPLE.visibility.copy()
    additions = decided(Policy(target, {}, ask_from, write, minimum))
    assert not set(additions.keypoints) & set(PEOPLE.skeleton.keypoints)
    assert np.array_equal(PEOPLE.xy, before[0], equal_nan=True)
    assert np.array_equal(PEOPLE.visibility, before[1])


def test_what_is_more_likely_wrong_than_right_is_never_added() -> None:
    additions = decided(Policy(target_error=0.6, ask_from=0.5))
    weak = GAINS & (additions.score[:, HEAD] < 0.5)
    assert weak.any()
    assert (additions.decision[weak, HEAD] == Decision.WITHHOLD).all()


def test_a_target_error_of_one_keypoint_leaves_the_others_alone() -> None:
    plain, special = (decided(Policy(keypoints=k)) for k in ({}, {"head_top": 0.3}))
    assert (plain.decision[:, NECK] == special.decision[:, NECK]).all()
    assert special.added[:, HEAD].sum() > plain.added[:, HEAD].sum()


def test_calibrated_points_carry_probability_radius_and_the_moved_place() -> None:
    additions, points = decided(Policy()), calibrated()
    assert np.array_equal(additions.score[GAINS, HEAD], points.score[GAINS, 1])
    assert np.array_equal(additions.radius[GAINS, HEAD], points.radius[GAINS, 1])
    assert np.array_equal(additions.xy[GAINS, HEAD], points.xy[GAINS, 1])


def test_where_no_score_meets_the_target_every_point_is_asked_about_or_withheld() -> None:
    additions = decided(Policy(target_error=0.001, ask_from=0.4))
    asked = additions.score[:, HEAD] >= 0.4
    assert (additions.reason[GAINS & asked, HEAD] == Reason.OUT_OF_REACH).all()
    assert (additions.decision[GAINS & asked, HEAD] == Decision.ASK).all()
    assert (additions.decision[GAINS & ~asked, HEAD] == Decision.WITHHOLD).all()


def test_a_point_to_ask_about_is_a_candidate_unless_the_policy_writes_it() -> None:
    kept, written = (decided(Policy(target_error=0.01, ask_from=0.3, write_asked=w)) for w in (False, True))
    asked = kept.asked
    assert asked[:, HEAD].any()
    assert np.array_equal(asked, written.asked)
    assert not kept.added[asked].any() and written.added[asked].all()
    assert np.array_equal(kept.xy, written.xy, equal_nan=True)


def test_a_person_without_a_calibrated_score_is_asked_about_at_best() -> None:
    decisions = decide(PEOPLE, [PREDICTED], ADDED, Policy(target_error=0.5, min_score=0.6), calibrated(unknown=0.5))
    additions = decisions.additions
    unknown = GAINS & ~decisions.calibrated[:, HEAD]
    raw = PREDICTED.score[:, MPII16.index["head_top"]]
    assert unknown.sum() > 20
    assert (additions.decision[unknown & (raw >= 0.6), HEAD] == Decision.ASK).all()
    assert (additions.decision[unknown & (raw < 0.6), HEAD] == Decision.WITHHOLD).all()
    assert (additions.reason[unknown, HEAD] == Reason.NOT_CALIBRATED).all()


def test_a_calibration_of_another_predictor_changes_nothing() -> None:
    other = replace(calibrated(), predictor_sha256="b" * 64, calibration={})
    with_it, without = (decide(PEOPLE, [PREDICTED], ADDED, Policy(), t).additions for t in (other, None))
    assert np.array_equal(with_it.score, without.score)
    assert np.array_equal(with_it.visibility, without.visibility)


def test_a_point_moved_out_of_the_image_is_withheld_however_sure() -> None:
    points = calibrated()
    xy = points.xy.copy()
    xy[:, 1] = (700.0, 100.0)
    sure = replace(points, xy=xy, score=np.ones_like(points.score))
    decisions = decide(PEOPLE, [PREDICTED], ADDED, Policy(), sure)
    assert (decisions.reason[GAINS, HEAD] == Reason.OUTSIDE_IMAGE).all()
    assert not decisions.additions.added[:, HEAD].any()


def test_a_moved_point_of_an_image_without_a_size_is_checked_by_the_predictor() -> None:
    nameless = replace(PEOPLE, images=tuple(replace(i, width=None, height=None) for i in PEOPLE.images))
    outside = np.zeros((len(PEOPLE), len(MPII16)), np.float32)
    outside[::2, MPII16.index["head_top"]] = 4.0
    prediction = replace(PREDICTED, features={OUTSIDE: outside})
    decisions = decide(nameless, [prediction], ADDED, Policy(), calibrated())
    found = decisions.reason[:, HEAD] == Reason.OUTSIDE_IMAGE
    assert np.array_equal(found[GAINS], (np.arange(len(PEOPLE)) % 2 == 0)[GAINS])


@pytest.mark.parametrize("keypoint", [k for k in ADDED if k in HIDDEN_WITH])
def test_an_added_point_is_hidden_exactly_where_both_its_parents_are(keypoint: str) -> None:
    sure = replace(calibrated(), score=np.ones((len(PEOPLE), 2)))
    additions = decide(PEOPLE, [predicted(PEOPLE, score=1.0)], ADDED, Policy(), sure).additions
    column = ADDED.index(keypoint)
    parents = PEOPLE.visibility[:, COCO17.indices(HIDDEN_WITH[keypoint])]
    hidden = (parents == Visibility.HIDDEN).all(axis=1) & additions.added[:, column]
    assert hidden.any()
    assert np.array_equal(additions.visibility[:, column] == Visibility.HIDDEN, hidden)


def test_only_named_pairs_hide_a_point() -> None:
    known = set(UNION21.keypoints)
    assert all(known.issuperset((k, *pair)) and k not in pair for k, pair in HIDDEN_WITH.items())


@pytest.mark.parametrize("error", [0.0, 1.0, -0.1, float("nan")])
def test_a_target_error_that_is_no_share_is_refused(error: float) -> None:
    with pytest.raises(ValueError, match="target_error is"):
        Policy(target_error=error)
    with pytest.raises(ValueError, match="target_error of head_top is"):
        Policy(keypoints={"head_top": error})
