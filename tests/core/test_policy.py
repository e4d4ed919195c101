"""What people gain: derived first, then by predictor order, weak and outside points withheld."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from people import STUDENT, predicted, random_people

from annotext.core.additions import Source
from annotext.core.derive import derive
from annotext.core.policy import OUTSIDE, Policy, Reason, decide, gains_keypoints
from annotext.core.predictions import PredictorIdentity
from annotext.core.skeletons import COCO17, MPII16, UNION21

ADDED = UNION21.missing_from(COCO17)
TEACHER = PredictorIdentity("zoo", "b" * 64, Source.TEACHER)


def column(name: str) -> int:
    return ADDED.index(name)


PEOPLE = random_people(COCO17)
GAINS = gains_keypoints(PEOPLE)


def test_a_point_with_both_parents_labelled_is_derived_whatever_a_predictor_says() -> None:
    decisions = decide(PEOPLE, [predicted(PEOPLE, TEACHER, score=1.0)], ADDED, Policy())
    xy, visibility = derive(PEOPLE, ADDED)
    derived = (visibility > 0) & GAINS[:, None]
    assert derived.any()
    assert np.array_equal(decisions.additions.source == Source.DERIVED, derived)
    assert np.array_equal(decisions.additions.xy[derived], xy[derived])


def test_a_derived_point_is_certain() -> None:
    additions = decide(PEOPLE, [], ADDED, Policy(min_score=1.0)).additions
    derived = additions.source == Source.DERIVED
    assert (additions.score[derived] == 1).all()
    assert additions.added[derived].all()


def test_what_cannot_be_derived_is_predicted() -> None:
    decisions = decide(PEOPLE, [predicted(PEOPLE, TEACHER, score=1.0)], ADDED, Policy())
    assert (decisions.additions.source[GAINS] != Source.NONE).all()
    assert (decisions.additions.source[GAINS, column("head_top")] == Source.TEACHER).all()


def test_the_first_predictor_that_knows_a_keypoint_is_taken() -> None:
    one, other = predicted(PEOPLE, STUDENT, seed=1, score=1.0), predicted(PEOPLE, TEACHER, seed=2, score=1.0)
    neck = column("upper_neck")
    forth, back = (decide(PEOPLE, pair, ADDED, Policy()).additions for pair in ([one, other], [other, one]))
    assert (forth.source[GAINS, neck] == Source.STUDENT).all()
    assert (back.source[GAINS, neck] == Source.TEACHER).all()


def test_a_predictor_that_did_not_see_a_person_leaves_them_to_the_next() -> None:
    full, rows = predicted(PEOPLE, TEACHER, score=1.0), np.flatnonzero(GAINS)[::2]
    part = replace(full.take(full.ids[rows]), predictor=STUDENT)
    source = decide(PEOPLE, [part, full], ADDED, Policy()).additions.source[:, column("head_top")]
    assert (source[rows] == Source.STUDENT).all()
    assert (source[np.setdiff1d(np.flatnonzero(GAINS), rows)] == Source.TEACHER).all()


@given(st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_a_point_is_withheld_exactly_below_the_minimum(minimum: float) -> None:
    additions = decide(PEOPLE, [predicted(PEOPLE, TEACHER)], ADDED, Policy(min_score=minimum)).additions
    taken = additions.source == Source.TEACHER
    assert np.array_equal(additions.withheld[taken], additions.score[taken] < minimum)


def test_a_withheld_point_keeps_its_candidate_source_and_score() -> None:
    decisions = decide(PEOPLE, [predicted(PEOPLE, TEACHER, score=0.25)], ADDED, Policy(min_score=0.5))
    withheld = decisions.additions.withheld
    assert withheld[GAINS, column("head_top")].all()
    assert np.isfinite(decisions.additions.xy[withheld]).all()
    assert (decisions.additions.score[withheld] == 0.25).all()
    assert set(decisions.reason[withheld]) == {Reason.LOW_SCORE}


def test_a_point_outside_its_image_is_withheld_however_sure() -> None:
    prediction = predicted(PEOPLE, TEACHER, score=1.0)
    xy = prediction.xy.copy()
    xy[3:6] = (640.5, 100)
    decisions = decide(PEOPLE, [replace(prediction, xy=xy)], ADDED, Policy())
    head = decisions.reason[:, column("head_top")]
    assert np.array_equal(np.flatnonzero(head == Reason.OUTSIDE_IMAGE), np.flatnonzero(GAINS[3:6]) + 3)


def test_a_prediction_that_says_what_lies_outside_is_believed() -> None:
    outside = np.zeros((len(PEOPLE), len(MPII16)), dtype=np.float32)
    outside[:, MPII16.index["upper_neck"]] = 3.5
    prediction = replace(predicted(PEOPLE, TEACHER, score=1.0), features={OUTSIDE: outside})
    decisions = decide(PEOPLE, [prediction], ADDED, Policy())
    assert (decisions.reason[GAINS, column("upper_neck")] == Reason.OUTSIDE_IMAGE).all()
    assert (decisions.reason[GAINS, column("head_top")] == Reason.ADDED).all()


def test_crowds_and_people_without_labels_gain_nothing() -> None:
    decisions = decide(PEOPLE, [predicted(PEOPLE, TEACHER, score=1.0)], ADDED, Policy(min_score=0.0))
    assert (~GAINS).sum() > 3
    assert (decisions.additions.source[~GAINS] == Source.NONE).all()
    assert (decisions.reason[PEOPLE.crowd] == Reason.CROWD).all()
    assert (decisions.reason[~PEOPLE.has_keypoints & ~PEOPLE.crowd] == Reason.NO_KEYPOINTS).all()


def test_nothing_is_left_without_a_reason() -> None:
    decisions = decide(PEOPLE, [predicted(PEOPLE, TEACHER)], ADDED, Policy(min_score=0.5))
    assert np.array_equal(decisions.reason == Reason.ADDED, decisions.additions.added)


def test_a_keypoint_that_no_predictor_knows_says_so() -> None:
    decisions = decide(PEOPLE, [], ADDED, Policy())
    assert (decisions.reason[GAINS, column("head_top")] == Reason.NO_PREDICTOR).all()


def test_a_person_whose_image_could_not_be_used_was_not_predicted() -> None:
    full = predicted(PEOPLE)
    decisions = decide(PEOPLE, [full.take(full.ids[:0])], ADDED, Policy())
    assert (decisions.reason[GAINS, column("head_top")] == Reason.NOT_PREDICTED).all()


@pytest.mark.parametrize("minimum", [-0.1, 1.1, float("nan")])
def test_a_minimum_outside_0_to_1_is_refused(minimum: float) -> None:
    with pytest.raises(ValueError, match="min_score"):
        Policy(min_score=minimum)
