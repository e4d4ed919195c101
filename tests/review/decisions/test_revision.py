"""Decisions applied to additions: what each verdict does, what is refused, and that all of it can be taken back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reviewers import ADDED, added_people, correction, random_corrections, same, undone

from annotext.core.additions import PER_POINT, Additions, Decision, Reason, Source
from annotext.core.poses import Image, Poses
from annotext.review.decisions.apply import agreement, apply_corrections, counts, reverted
from annotext.review.decisions.correction import Correction, Point, Verdict

seeds = st.integers(0, 300)


def one_person() -> tuple[Poses, Additions]:
    """Person 1 on a/one.jpg, 100 x 90: a pelvis at (30.13, 40.5), a thorax withheld at (35, 20), no upper neck, a
    head top to ask about at (36, 5)."""
    poses, _ = added_people(3, n=12)
    row = int(np.flatnonzero(poses.has_keypoints & ~poses.crowd)[0])
    poses = replace(
        poses.take([row]),
        images=(Image("a/one.jpg", 100, 90),),
        image_index=np.zeros(1, dtype=np.int64),
        ids=np.array([1]),
        area=np.array([2500.0]),
    )
    additions = Additions(
        ADDED,
        xy=np.array([[[30.13, 40.5], [35, 20], [np.nan, np.nan], [36, 5]]]),
        visibility=np.array([[2, 0, 0, 0]], dtype=np.uint8),
        source=np.array([[Source.DERIVED, Source.STUDENT, Source.NONE, Source.TEACHER]], dtype=object),
        score=np.array([[1.0, 0.25, 0.0, 0.5]]),
        radius=np.array([[np.nan, 7.5, np.nan, 4.0]]),
        decision=np.array([[Decision.ADD, Decision.WITHHOLD, Decision.NONE, Decision.ASK]], dtype=object),
        reason=np.array([[Reason.ADDED, Reason.LOW_SCORE, Reason.NO_PREDICTOR, Reason.TO_ASK]], dtype=object),
    )
    return poses, additions


THORAX = {"keypoint": "thorax", "old": Point(35, 20, 0)}


def cell(additions: Additions, keypoint: str) -> dict[str, Any]:
    j = additions.keypoints.index(keypoint)
    names = ("visibility", "source", "score", "decision", "reason")
    return {"xy": additions.xy[0, j].tolist(), **{n: getattr(additions, n)[0, j] for n in names}}


def apply_to_one(*decisions: Correction, **options: Any) -> Additions:
    revision = apply_corrections(*one_person(), decisions, **options)
    assert not revision.findings
    return revision.additions


def test_an_accepted_candidate_becomes_a_visible_label_of_its_own_source() -> None:
    revised = apply_to_one(correction(1, Verdict.ACCEPT, **THORAX))
    expected = {"xy": [35.0, 20.0], "visibility": 2, "source": Source.STUDENT, "score": 0.25}
    assert cell(revised, "thorax") == {**expected, "decision": Decision.ADD, "reason": Reason.ADDED}
    assert revised.radius[0, 1] == 7.5


def test_an_accepted_label_keeps_its_visibility() -> None:
    poses, additions = one_person()
    hidden = replace(additions, visibility=np.array([[1, 0, 0, 0]], dtype=np.uint8))
    assert apply_corrections(poses, hidden, [correction()]).additions.visibility[0, 0] == 1


def test_a_hidden_point_is_a_label_that_cannot_be_seen() -> None:
    revised = apply_to_one(correction(1, Verdict.HIDDEN, **THORAX))
    assert cell(revised, "thorax")["visibility"] == 1
    assert cell(revised, "thorax")["decision"] == Decision.ADD


def test_a_moved_point_is_a_persons_own() -> None:
    revised = apply_to_one(correction(1, Verdict.MOVE, new=Point(50, 60, 1), **THORAX))
    expected = {"xy": [50.0, 60.0], "visibility": 1, "source": Source.CORRECTED, "score": 1.0}
    assert cell(revised, "thorax") == {**expected, "decision": Decision.ADD, "reason": Reason.ADDED}
    assert np.isnan(revised.radius[0, 1])


@pytest.mark.parametrize(("verdict", "reason"), [(Verdict.REJECT, Reason.REJECTED), (Verdict.ABSENT, Reason.ABSENT)])
def test_a_point_that_is_wrong_is_kept_as_a_candidate(verdict: Verdict, reason: Reason) -> None:
    revised = apply_to_one(correction(1, verdict))
    expected = {"xy": [30.13, 40.5], "visibility": 0, "source": Source.DERIVED, "score": 1.0}
    assert cell(revised, "pelvis") == {**expected, "decision": Decision.WITHHOLD, "reason": reason}


def test_a_point_nobody_estimated_can_be_placed_or_called_absent() -> None:
    neck = {"keypoint": "upper_neck", "old": None}
    placed = apply_to_one(correction(1, Verdict.MOVE, new=Point(40, 30, 2), **neck))
    assert cell(placed, "upper_neck")["source"] == Source.CORRECTED
    absent = apply_to_one(correction(1, Verdict.ABSENT, **neck))
    assert cell(absent, "upper_neck")["reason"] == Reason.ABSENT
    assert cell(absent, "upper_neck")["decision"] == Decision.NONE


def test_a_point_placed_from_nothing_and_then_rejected_is_nothing_again() -> None:
    neck = {"keypoint": "upper_neck"}
    placed = correction(1, Verdict.MOVE, new=Point(40, 30, 2), old=None, **neck)
    revised = apply_to_one(placed, correction(2, Verdict.REJECT, old=Point(40, 30, 2), **neck))
    assert same(revised, one_person()[1])


def test_the_review_keeps_who_said_what_and_what_was_before() -> None:
    poses, additions = one_person()
    revised = apply_corrections(poses, additions, [correction(1, Verdict.ABSENT)]).additions
    review = revised.review[0, 0]
    assert (review.verdict, review.reviewers) == ("absent", ("ann",))
    assert review.before.xy == (30.13, 40.5)
    assert same(reverted(revised), additions)
    assert counts(revised) == {"pelvis": {"absent": 1}}


@pytest.mark.parametrize("verdict", [Verdict.ACCEPT, Verdict.HIDDEN, Verdict.REJECT])
@pytest.mark.parametrize(("keypoint", "now"), [("pelvis", "is at (30.13, 40.5)"), ("upper_neck", "has no estimate")])
def test_a_decision_on_a_point_that_is_elsewhere_by_now_is_stale(verdict: Verdict, keypoint: str, now: str) -> None:
    poses, additions = one_person()
    decisions = correction(1, verdict, keypoint=keypoint, old=Point(30.16, 40.5, 2))
    revision = apply_corrections(poses, additions, [decisions])
    assert same(revision.additions, additions)
    (finding,) = revision.findings
    assert finding.code == "stale"
    assert finding.numbers["ids"] == [decisions.id]
    assert finding.message.endswith(f"the point that was looked at was at (30.16, 40.5), now it {now}")


def test_a_point_read_back_from_a_file_is_the_point_that_was_looked_at() -> None:
    apply_to_one(correction(1, old=Point(30.125, 40.4999, 2)))


@pytest.mark.parametrize("verdict", [Verdict.MOVE, Verdict.ABSENT])
def test_where_a_point_is_can_be_said_whatever_was_there(verdict: Verdict) -> None:
    apply_to_one(correction(1, verdict, old=Point(1, 2, 2)))


@pytest.mark.parametrize(
    ("changes", "code", "why"),
    [
        ({"person": 2}, "unknown-person", "no such person"),
        ({"image": "b.jpg"}, "other-image", "the person is on a/one.jpg"),
        ({"keypoint": "tail"}, "unknown-keypoint", "added are pelvis, thorax"),
        ({"keypoint": "nose"}, "human-keypoint", "never changed"),
        ({"input_sha256": "ab" * 32}, "other-data", "sha256 abababababab, not on cdcdcdcdcdcd: 1, not applied"),
        ({"verdict": Verdict.MOVE, "new": Point(99.6, 5, 2)}, "outside-image", "100 x 90 pixels"),
        ({"verdict": Verdict.MOVE, "new": Point(5, -0.6, 2)}, "outside-image", "outside the image"),
    ],
)
def test_what_does_not_fit_is_a_finding_and_changes_nothing(changes: dict[str, Any], code: str, why: str) -> None:
    poses, additions = one_person()
    revision = apply_corrections(poses, additions, [correction(1, **changes)], input_sha256="cd" * 32)
    assert same(revision.additions, additions)
    (finding,) = revision.findings
    assert finding.code == code
    assert why in finding.message
    assert finding.numbers["ids"] == [f"{1:032x}"]


def test_a_point_may_lie_on_the_border_of_its_image() -> None:
    apply_to_one(correction(1, Verdict.MOVE, new=Point(99.5, -0.5, 2)))


def test_a_point_cannot_be_outside_left_of_an_image_of_unknown_size() -> None:
    poses, additions = one_person()
    poses = replace(poses, images=(Image("a/one.jpg"),))
    far = apply_corrections(poses, additions, [correction(1, Verdict.MOVE, new=Point(9000, 1, 2))])
    assert not far.findings
    left = apply_corrections(poses, additions, [correction(1, Verdict.MOVE, new=Point(-9, 1, 2))])
    assert [f.code for f in left.findings] == ["outside-image"]


def test_a_crowd_gets_no_points_from_reviewers() -> None:
    poses, additions = one_person()
    crowd = replace(poses, crowd=np.array([True]))
    assert [f.code for f in apply_corrections(crowd, additions, [correction(1, Verdict.ABSENT)]).findings] == ["crowd"]


@pytest.mark.parametrize("verdict", [Verdict.MOVE, Verdict.ABSENT])
def test_people_who_were_put_in_another_order_do_not_get_each_others_points(verdict: Verdict) -> None:
    poses, additions = one_person()
    both = replace(poses.take([0, 0]), ids=np.array([1, 2]))
    beside = replace(additions, xy=additions.xy + 20)
    decisions = correction(1, verdict, new=Point(31, 41, 2) if verdict == Verdict.MOVE else None)
    for first, second, found in ((additions, beside, []), (beside, additions, ["other-person"])):
        arrays = {k: np.concatenate([getattr(a, k) for a in (first, second)]) for k in PER_POINT}
        revision = apply_corrections(both, Additions(ADDED, **arrays), [decisions])
        assert [f.code for f in revision.findings] == found
        assert (revision.additions.review != None).sum() == 1 - len(found)  # noqa: E711
    assert "the point that was looked at is that of person 2" in revision.findings[0].message


def test_a_note_may_be_on_a_person_or_on_their_own_keypoints() -> None:
    notes = [correction(n, Verdict.NOTE, keypoint=k) for n, k in enumerate(["", "nose", "pelvis"])]
    assert same(apply_to_one(*notes), one_person()[1])


def test_a_stale_decision_is_no_conflict_with_a_fresh_one() -> None:
    stale = correction(1, Verdict.REJECT, old=Point(1, 2, 2), reviewer="bob")
    revision = apply_corrections(*one_person(), [stale, correction(2)])
    assert [f.code for f in revision.findings] == ["stale"]
    assert revision.counts == {"pelvis": {"accept": 1}}


def test_a_conflict_leaves_the_point_as_it_was() -> None:
    poses, additions = one_person()
    revision = apply_corrections(poses, additions, [correction(1), correction(2, Verdict.REJECT, reviewer="bob")])
    assert same(revision.additions, additions)
    assert [f.code for f in revision.findings] == ["conflict"]


def test_reviewers_agree_as_far_as_neither_would_be_wrong_by_the_other() -> None:
    poses, _ = one_person()
    sigma = poses.skeleton.sigmas["pelvis"]
    expected = np.sqrt(-2 * np.log(0.5)) * 2 * sigma * 50  # the root of the person's area
    assert agreement(poses, ADDED)(correction()) == pytest.approx(expected)


def test_decisions_that_are_not_given_again_are_undone_and_it_is_said() -> None:
    poses, additions = one_person()
    corrected = apply_corrections(poses, additions, [correction()]).additions
    revision = apply_corrections(poses, corrected, [])
    assert same(revision.additions, additions)
    (finding,) = revision.findings
    assert finding.code == "dropped"
    assert finding.numbers == {"points": [{"person": 1, "keypoint": "pelvis"}]}


@settings(max_examples=60, deadline=None)
@given(seed=seeds)
def test_applying_twice_changes_nothing_more(seed: int) -> None:
    poses, additions = added_people(seed % 7)
    decisions = random_corrections(poses, additions, seed)
    once = apply_corrections(poses, additions, decisions)
    again = apply_corrections(poses, once.additions, decisions)
    assert same(again.additions, once.additions)
    assert again.findings == once.findings
    assert again.counts == once.counts


@settings(max_examples=60, deadline=None)
@given(seed=seeds)
def test_undo_restores_exactly_what_was(seed: int) -> None:
    poses, additions = added_people(seed % 7)
    decisions = random_corrections(poses, additions, seed)
    corrected = apply_corrections(poses, additions, decisions).additions
    assert same(reverted(corrected), additions)
    assert same(apply_corrections(poses, corrected, [*decisions, *undone(decisions)]).additions, additions)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, shuffled=st.randoms(use_true_random=False))
def test_neither_order_nor_steps_matter(seed: int, shuffled: Any) -> None:
    poses, additions = added_people(seed % 7)
    decisions = random_corrections(poses, additions, seed)
    at_once = apply_corrections(poses, additions, decisions)
    first = apply_corrections(poses, additions, decisions[: len(decisions) // 2]).additions
    mixed = list(decisions)
    shuffled.shuffle(mixed)
    in_steps = apply_corrections(poses, first, mixed)
    assert same(in_steps.additions, at_once.additions)


@settings(max_examples=60, deadline=None)
@given(seed=seeds)
def test_a_second_session_on_the_corrected_people_fits_the_estimates_too(seed: int) -> None:
    poses, additions = added_people(seed % 7)
    first = random_corrections(poses, additions, seed, n=25)
    corrected = apply_corrections(poses, additions, first).additions
    second = [
        replace(c, id=f"{2**65 + n:032x}", time=c.time.replace("T10", "T12"))
        for n, c in enumerate(random_corrections(poses, corrected, seed + 1, n=25))
    ]
    both = apply_corrections(poses, corrected, [*first, *second])
    anew = apply_corrections(poses, additions, [*first, *second])
    assert same(both.additions, anew.additions)
    assert not [f for f in anew.findings if f.code == "stale"]


@settings(max_examples=30, deadline=None)
@given(seed=seeds)
def test_only_points_that_carry_a_review_differ(seed: int) -> None:
    poses, additions = added_people(seed % 7)
    revised = apply_corrections(poses, additions, random_corrections(poses, additions, seed)).additions
    untouched = np.asarray(revised.review == None)  # noqa: E711
    for name in ("xy", "visibility", "source", "score", "radius", "decision", "reason"):
        one, other = getattr(additions, name)[untouched], getattr(revised, name)[untouched]
        assert np.array_equal(one, other, equal_nan=one.dtype != object)
