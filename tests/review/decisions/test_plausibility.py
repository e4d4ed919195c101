"""Odd points: named when they are wrong beyond doubt, and never because of a label."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from annotext.core.additions import Additions, Source
from annotext.core.poses import Image, Poses
from annotext.core.skeletons import UNION21
from annotext.review.decisions.plausibility import Code, PlausibilityIssue, codes, find_issues

# A person who stands upright and faces the camera, 100 wide and 200 tall; their own left is on the right.
STANDING = {
    "nose": (50, 18),
    "left_eye": (55, 14),
    "right_eye": (45, 14),
    "left_ear": (60, 16),
    "right_ear": (40, 16),
    "left_shoulder": (72, 45),
    "right_shoulder": (28, 45),
    "left_elbow": (82, 75),
    "right_elbow": (18, 75),
    "left_wrist": (86, 102),
    "right_wrist": (14, 102),
    "left_hip": (64, 105),
    "right_hip": (36, 105),
    "left_knee": (65, 148),
    "right_knee": (35, 148),
    "left_ankle": (66, 190),
    "right_ankle": (34, 190),
    "pelvis": (50, 105),
    "thorax": (50, 45),
    "upper_neck": (50, 36),
    "head_top": (50, 2),
}
FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
TOP = ("upper_neck", "head_top")


def person(added: tuple[str, ...], score: float = 0.9, **moved: tuple[float, float]) -> tuple[Poses, Additions]:
    """One person with `added` points from a student, some of them moved."""
    xy = np.array([[{**STANDING, **moved}[k] for k in UNION21.keypoints]], dtype=float)
    columns = UNION21.indices(added)
    poses = Poses(
        skeleton=UNION21,
        xy=xy,
        visibility=np.full((1, 21), 2, np.uint8),
        bbox_xywh=np.array([[0.0, 0.0, 100.0, 200.0]]),
        area=np.array([12000.0]),
        image_index=np.zeros(1, dtype=np.int64),
        images=(Image("one.jpg", 300, 300),),
        ids=np.array([7]),
        crowd=np.zeros(1, dtype=bool),
        head_size=np.array([np.nan]),
    )
    source = np.full((1, len(added)), Source.STUDENT, dtype=object)
    visibility = np.full((1, len(added)), 2, np.uint8)
    return poses, Additions(added, xy[:, columns], visibility, source, np.full((1, len(added)), score))


def named(issues: list[PlausibilityIssue]) -> set[tuple[str, str]]:
    return {(o.code, o.keypoint) for o in issues}


@pytest.mark.parametrize("added", [FACE, TOP])
def test_a_standing_person_has_nothing_odd(added: tuple[str, ...]) -> None:
    assert find_issues(*person(added)) == []


def test_a_neck_at_the_knees_is_an_impossible_limb_and_the_head_is_not_blamed() -> None:
    assert named(find_issues(*person(TOP, upper_neck=(50, 150)))) == {(Code.LIMB, "upper_neck")}


def test_a_head_at_the_feet_is_blamed_and_not_the_neck_beside_the_shoulders() -> None:
    found = find_issues(*person(TOP, head_top=(50, 195)))
    assert named(found) == {(Code.LIMB, "head_top")}
    assert found[0].numbers["ratio"] > found[0].numbers["longest"]


def test_a_head_on_the_neck_is_too_short_and_the_less_sure_of_the_two_is_blamed() -> None:
    poses, additions = person(TOP, head_top=(50, 35))
    for blamed, score in (("upper_neck", [[0.7, 0.9]]), ("head_top", [[0.9, 0.7]])):
        (found,) = find_issues(poses, replace(additions, score=np.array(score)))
        assert (found.code, found.keypoint) == (Code.LIMB, blamed)
        assert found.numbers["ratio"] < found.numbers["shortest"]


def test_a_point_far_outside_the_box_is_named_with_its_share() -> None:
    found = [o for o in find_issues(*person(TOP, head_top=(50, -50))) if o.code is Code.OUTSIDE_BOX]
    assert [(o.keypoint, o.numbers) for o in found] == [("head_top", {"share": 0.25})]


def test_a_point_a_little_outside_the_box_is_not() -> None:
    assert find_issues(*person(TOP, head_top=(50, -10))) == []


def test_a_mirrored_face_is_swapped() -> None:
    mirrored = {
        a: STANDING[b] for a, b in zip(FACE, ("nose", "right_eye", "left_eye", "right_ear", "left_ear"), strict=True)
    }
    assert named(find_issues(*person(FACE, **mirrored))) == {(Code.SWAPPED, k) for k in FACE[1:]}


def test_a_person_seen_from_the_side_may_look_anywhere() -> None:
    mirrored = {
        a: STANDING[b] for a, b in zip(FACE, ("nose", "right_eye", "left_eye", "right_ear", "left_ear"), strict=True)
    }
    aside = {"left_shoulder": (53.0, 45.0), "right_shoulder": (47.0, 45.0)}
    assert Code.SWAPPED not in {o.code for o in find_issues(*person(FACE, **mirrored, **aside))}


def test_labels_are_never_odd() -> None:
    poses, additions = person(TOP, left_knee=(50, -300), nose=(50, 195))
    assert not {o.keypoint for o in find_issues(poses, additions)} - set(TOP)


def test_a_derived_point_follows_from_labels_and_is_never_odd() -> None:
    poses, additions = person(TOP, head_top=(50, 195))
    derived = replace(additions, source=np.full((1, 2), Source.DERIVED, dtype=object))
    assert find_issues(poses, derived) == []


def test_a_person_too_small_or_with_few_labels_is_not_measured() -> None:
    poses, additions = person(TOP, upper_neck=(50, 150))
    tiny = replace(poses, xy=poses.xy / 10, bbox_xywh=poses.bbox_xywh / 10)
    assert find_issues(tiny, replace(additions, xy=additions.xy / 10)) == []
    limbs = [k for k in UNION21.keypoints if k.split("_")[-1] in ("elbow", "wrist", "knee", "ankle")]
    xy, visibility = poses.xy.copy(), poses.visibility.copy()
    xy[:, UNION21.indices(limbs)], visibility[:, UNION21.indices(limbs)] = np.nan, 0
    assert find_issues(replace(poses, xy=xy, visibility=visibility), additions) == []


def test_what_is_odd_does_not_depend_on_where_or_how_large_the_person_is() -> None:
    poses, additions = person(TOP, head_top=(50, 195), upper_neck=(50, 36))
    grown = replace(poses, xy=poses.xy * 3 + 40, bbox_xywh=poses.bbox_xywh * 3 + [40, 40, 0, 0])
    found = find_issues(grown, replace(additions, xy=additions.xy * 3 + 40))
    assert named(found) == named(find_issues(poses, additions))


def test_each_says_its_numbers_in_words() -> None:
    explained = [o.explained() for o in find_issues(*person(TOP, head_top=(50, -50)))]
    assert "head_top: outside the box (by 0.25 of its side)" in explained
    (limb,) = find_issues(*person(TOP, upper_neck=(50, 150), head_top=(50, 60)))[:1]
    assert limb.explained() == (
        f"upper_neck: implausible limb ({limb.numbers['ratio']} sizes to {limb.numbers['to']}, "
        f"at most {limb.numbers['longest']} in labels)"
    )


def test_they_are_counted_by_kind() -> None:
    found = find_issues(*person(TOP, head_top=(50, -60), upper_neck=(50, 150)))
    assert codes(found) == {c.value: sum(o.code is c for o in found) for c in Code}
    assert sum(codes(found).values()) == len(found) > 1
