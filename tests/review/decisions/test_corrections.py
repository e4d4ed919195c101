"""What counts of what reviewers decisions: the last word of each, agreement, conflicts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reviewers import added_people, correction, random_corrections

from annotext.core.additions import REVIEWED
from annotext.review.decisions.correction import AGREE_PX, Point, Verdict, standing

PELVIS = (1, "pelvis")


def test_what_can_stand_is_every_verdict_but_undo_and_note() -> None:
    assert {v.value for v in Verdict} == {*REVIEWED, "undo", "note"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "12"}, "32 hex digits"),
        ({"image": ""}, "image is empty"),
        ({"reviewer": " "}, "reviewer is empty"),
        ({"keypoint": ""}, "only a note may be on the whole person"),
        ({"new": Point(1, 2, 2)}, "null with every other decision"),
        ({"verdict": Verdict.MOVE, "new": None}, "new must say where a moved point is"),
        ({"verdict": Verdict.MOVE, "new": Point(1, 2, 0)}, "new has v = 0"),
        ({"old": None}, "nothing to accept"),
        ({"verdict": Verdict.REJECT, "old": None}, "nothing to reject"),
        ({"time": "yesterday"}, "expected ISO 8601"),
        ({"time": "2026-01-31T10:00:00"}, "expected UTC"),
        ({"time": "2026-01-31T10:00:00+02:00"}, "expected UTC"),
        ({"input_sha256": "ab"}, "not a sha256"),
    ],
)
def test_a_decision_that_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        correction(**changes)


@pytest.mark.parametrize(("point", "message"), [((float("nan"), 1, 2), "finite"), ((1, 1, 3), "v is 3")])
def test_a_point_is_two_numbers_and_a_visibility(point: tuple[float, float, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Point(*point)


def test_of_a_reviewer_the_last_decision_counts_whatever_the_order_of_the_list() -> None:
    decisions = [correction(2, Verdict.REJECT), correction(1, Verdict.ACCEPT)]
    stands, conflicts = standing(decisions)
    assert stands[PELVIS].verdict == Verdict.REJECT
    assert not conflicts


def test_of_decisions_at_one_time_the_later_in_the_list_counts() -> None:
    decisions = [correction(n, v, time="2026-01-31T10:00:00Z") for n, v in enumerate([Verdict.ACCEPT, Verdict.ABSENT])]
    assert standing(decisions)[0][PELVIS].verdict == Verdict.ABSENT
    assert standing(decisions[::-1])[0][PELVIS].verdict == Verdict.ACCEPT


def test_a_decision_without_a_time_is_before_all_others() -> None:
    decisions = [correction(1, Verdict.ACCEPT), correction(2, Verdict.REJECT, time="")]
    assert standing(decisions)[0][PELVIS].verdict == Verdict.ACCEPT


def test_undo_takes_back_what_this_reviewer_said_and_nothing_of_others() -> None:
    decisions = [correction(1), correction(2, reviewer="bob"), correction(3, Verdict.UNDO)]
    assert standing(decisions)[0][PELVIS].reviewers == ("bob",)
    assert not standing([decisions[0], decisions[2]])[0]


def test_a_note_changes_nothing() -> None:
    decisions = [correction(1), correction(2, Verdict.NOTE, note="blurred"), correction(3, Verdict.NOTE, keypoint="")]
    assert standing(decisions) == standing(decisions[:1])


@pytest.mark.parametrize("verdict", [Verdict.ACCEPT, Verdict.REJECT, Verdict.HIDDEN, Verdict.ABSENT])
def test_reviewers_who_say_the_same_agree(verdict: Verdict) -> None:
    stands, conflicts = standing([correction(1, verdict, reviewer="cleo"), correction(2, verdict)])
    assert stands[PELVIS].verdict == verdict
    assert stands[PELVIS].reviewers == ("ann", "cleo")
    assert not conflicts


def test_two_moves_to_nearly_the_same_place_agree_on_the_middle() -> None:
    decisions = [
        correction(1, Verdict.MOVE, new=Point(30.0, 40.0, 2)),
        correction(2, Verdict.MOVE, new=Point(32.0, 41.0, 2), reviewer="bob"),
    ]
    stands, conflicts = standing(decisions)
    assert stands[PELVIS].new == Point(31.0, 40.5, 2)
    assert not conflicts


def test_moves_agree_within_the_tolerance_and_not_beyond() -> None:
    decisions = [
        correction(1, Verdict.MOVE, new=Point(30.0, 40.0, 2)),
        correction(2, Verdict.MOVE, new=Point(30.0 + AGREE_PX, 40.0, 2), reviewer="bob"),
    ]
    assert standing(decisions)[0]
    assert not standing(decisions, lambda _: AGREE_PX - 0.1)[0]


def test_a_conflict_names_person_keypoint_reviewers_and_what_each_says() -> None:
    stands, conflicts = standing([correction(1), correction(2, Verdict.REJECT, reviewer="bob")])
    assert not stands
    assert [f.code for f in conflicts] == ["conflict"]
    assert (
        conflicts[0].message
        == "pelvis of person 1 (a/one.jpg): ann says accept, bob says reject; the point stays as it was"
    )
    assert conflicts[0].numbers == {
        "person": 1,
        "image": "a/one.jpg",
        "keypoint": "pelvis",
        "verdicts": {"ann": "accept", "bob": "reject"},
        "ids": [f"{1:032x}", f"{2:032x}"],
    }


def test_moves_far_apart_are_a_conflict_that_says_how_far() -> None:
    decisions = [
        correction(1, Verdict.MOVE, new=Point(30.0, 40.0, 2)),
        correction(2, Verdict.MOVE, new=Point(60.0, 80.0, 2), reviewer="bob"),
    ]
    stands, conflicts = standing(decisions)
    assert not stands
    assert conflicts[0].numbers["apart_px"] == 50.0


def test_a_moved_point_that_one_sees_and_another_does_not_is_a_conflict() -> None:
    decisions = [
        correction(1, Verdict.MOVE, new=Point(30.0, 40.0, 2)),
        correction(2, Verdict.MOVE, new=Point(30.0, 40.0, 1), reviewer="bob"),
    ]
    assert len(standing(decisions)[1]) == 1


@pytest.mark.parametrize(("verdict", "v"), [(Verdict.ACCEPT, 2), (Verdict.HIDDEN, 1)])
def test_to_accept_a_point_where_another_put_it_is_to_put_it_there_too(verdict: Verdict, v: int) -> None:
    move = correction(1, Verdict.MOVE, new=Point(50.0, 60.0, v))
    seen = correction(2, verdict, old=Point(50.0, 60.0, 2), reviewer="bob")
    stands, conflicts = standing([move, seen])
    assert stands[PELVIS].verdict == Verdict.MOVE
    assert stands[PELVIS].new == Point(50.0, 60.0, v)
    assert stands[PELVIS].reviewers == ("ann", "bob")
    assert not conflicts


def test_to_accept_the_middle_that_two_agreed_on_keeps_it() -> None:
    decisions = [
        correction(1, Verdict.MOVE, new=Point(30.0, 40.0, 2)),
        correction(2, Verdict.MOVE, new=Point(32.0, 40.0, 2), reviewer="bob"),
        correction(3, old=Point(31.0, 40.0, 2), reviewer="cleo"),
    ]
    stands, _ = standing(decisions)
    assert stands[PELVIS].new == Point(31.0, 40.0, 2)
    assert stands[PELVIS].reviewers == ("ann", "bob", "cleo")


def test_whoever_rejects_a_point_where_another_put_it_disagrees_with_them() -> None:
    move = correction(1, Verdict.MOVE, new=Point(50.0, 60.0, 2))
    assert len(standing([move, correction(2, Verdict.REJECT, old=Point(50.0, 60.0, 2), reviewer="bob")])[1]) == 1
    own = standing([move, correction(2, Verdict.REJECT, old=Point(50.0, 60.0, 2))])[0]
    assert own[PELVIS].verdict == Verdict.REJECT


@settings(max_examples=50)
@given(seed=st.integers(0, 1000), shuffled=st.randoms(use_true_random=False))
def test_what_stands_does_not_depend_on_the_order_of_the_list(seed: int, shuffled: Any) -> None:
    decisions = random_corrections(*added_people(seed % 5), seed)
    again = list(decisions)
    shuffled.shuffle(again)
    assert standing(again) == standing(decisions)
