"""What `Poses` and `Additions` promise about their arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from people import random_people

from annotext.core.additions import Additions, Decision, Reason, Source
from annotext.core.poses import Poses
from annotext.core.skeletons import COCO17, MPII16, UNION21


@pytest.mark.parametrize(
    ("field", "change", "message"),
    [
        ("xy", lambda p: np.where(p.labelled[..., None], np.nan, p.xy), "finite exactly where visibility > 0"),
        ("xy", lambda p: np.nan_to_num(p.xy), "finite exactly where visibility > 0"),
        ("visibility", lambda p: np.where(p.visibility == 2, 3, p.visibility), "visibility outside 0-2"),
        ("image_index", lambda p: p.image_index + 1, "image_index outside images"),
    ],
)
def test_arrays_that_contradict_each_other_are_refused(
    field: str, change: Callable[[Poses], np.ndarray], message: str
) -> None:
    poses = random_people(COCO17)
    with pytest.raises(ValueError, match=message):
        replace(poses, **{field: change(poses).astype(getattr(poses, field).dtype)})


@pytest.mark.parametrize("field", ["xy", "visibility", "bbox_xywh", "area", "image_index", "crowd", "head_size"])
def test_an_array_of_the_wrong_length_is_named(field: str) -> None:
    poses = random_people(COCO17)
    with pytest.raises(ValueError, match=f"{field} has shape"):
        replace(poses, **{field: getattr(poses, field)[1:]})


def test_points_go_to_the_union_and_come_back_by_name() -> None:
    poses = random_people(MPII16)
    back = poses.to(UNION21).to(MPII16)
    assert np.array_equal(back.xy, poses.xy, equal_nan=True)
    assert np.array_equal(back.visibility, poses.visibility)


def test_what_a_skeleton_lacks_is_not_labelled() -> None:
    own = random_people(MPII16, labelled=1.0).to(UNION21)
    assert not own.labelled[:, UNION21.indices(["nose", "left_ear"])].any()


def test_taking_people_keeps_them_whole() -> None:
    poses = random_people(COCO17)
    taken = poses.take([5, 2])
    assert taken.ids.tolist() == [105, 102]
    assert taken.file_names() == [poses.file_names()[5], poses.file_names()[2]]
    assert np.array_equal(taken.xy, poses.xy[[5, 2]], equal_nan=True)


def _additions() -> Additions:
    xy = np.full((2, 2, 2), np.nan)
    xy[0] = 5.0
    source = np.array([[Source.STUDENT, Source.DERIVED], [Source.NONE, Source.NONE]], dtype=object)
    return Additions(
        keypoints=("upper_neck", "pelvis"),
        xy=xy,
        visibility=np.array([[0, 2], [0, 0]], dtype=np.uint8),
        source=source,
        score=np.array([[0.2, 0.9], [0.0, 0.0]]),
    )


def test_a_withheld_point_keeps_its_candidate() -> None:
    additions = _additions()
    assert additions.withheld.tolist() == [[True, False], [False, False]]
    assert additions.xy[0, 0].tolist() == [5.0, 5.0]
    assert additions.added.tolist() == [[False, True], [False, False]]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("source", np.full((2, 2), Source.STUDENT, dtype=object), "finite exactly where the source is not none"),
        ("visibility", np.full((2, 2), 2, dtype=np.uint8), "without an estimate cannot be visible"),
        ("reason", np.full((2, 2), Reason.LOW_SCORE, dtype=object), "has a reason not to be"),
        *(("score", np.full((2, 2), score), "score outside") for score in (-0.1, 1.1, np.nan)),
    ],
)
def test_an_array_that_contradicts_the_points_is_refused(field: str, value: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(_additions(), **{field: value})


def test_nothing_adds_nothing() -> None:
    nothing = Additions.nothing(3, ("pelvis",))
    assert len(nothing) == 3
    assert not nothing.added.any()
    assert not nothing.withheld.any()


def test_without_decisions_what_is_not_added_is_withheld() -> None:
    assert _additions().decision.tolist() == [[Decision.WITHHOLD, Decision.ADD], [Decision.NONE, Decision.NONE]]
    assert not _additions().asked.any()


@pytest.mark.parametrize(
    ("place", "decision", "message"),
    [
        ((0, 0), Decision.ADD, "what is added has visibility > 0"),
        ((0, 1), Decision.WITHHOLD, "what is added has visibility > 0"),
        ((0, 0), Decision.NONE, "none exactly where the source is none"),
        ((1, 1), Decision.ASK, "none exactly where the source is none"),
    ],
)
def test_a_decision_that_contradicts_the_point_is_refused(
    place: tuple[int, int], decision: Decision, message: str
) -> None:
    decisions = _additions().decision.copy()
    decisions[place] = decision
    with pytest.raises(ValueError, match=message):
        replace(_additions(), decision=decisions)


def test_a_point_may_be_written_and_asked_about() -> None:
    decisions = _additions().decision.copy()
    decisions[0] = Decision.ASK
    asked = replace(_additions(), decision=decisions)
    assert asked.asked.tolist() == [[True, True], [False, False]]
    assert asked.added.tolist() == [[False, True], [False, False]]


@pytest.mark.parametrize(("place", "radius"), [((0, 0), -1.0), ((0, 0), np.inf), ((1, 0), 3.0)])
def test_a_radius_is_of_a_point_that_there_is(place: tuple[int, int], radius: float) -> None:
    radii = np.full((2, 2), np.nan)
    radii[place] = radius
    with pytest.raises(ValueError, match="a radius is a number of pixels"):
        replace(_additions(), radius=radii)


def test_taking_people_keeps_their_additions_whole() -> None:
    taken = _additions().take([1, 0])
    assert taken.added.tolist() == [[False, False], [False, True]]
    assert taken.decision.tolist() == _additions().decision[::-1].tolist()
    assert len(_additions().take([])) == 0
