"""What `Poses` and `Additions` promise about their arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from people import random_people

from annotext.core.poses import Additions, Source
from annotext.core.skeletons import COCO17, MPII16, UNION21


def test_a_labelled_point_without_coordinates_is_refused() -> None:
    poses = random_people(COCO17)
    xy = poses.xy.copy()
    xy[poses.labelled] = np.nan
    with pytest.raises(ValueError, match="finite exactly where visibility > 0"):
        replace(poses, xy=xy)


def test_coordinates_of_an_unlabelled_point_are_refused() -> None:
    poses = random_people(COCO17)
    with pytest.raises(ValueError, match="finite exactly where visibility > 0"):
        replace(poses, xy=np.nan_to_num(poses.xy))


def test_a_fourth_visibility_is_refused() -> None:
    poses = random_people(COCO17)
    with pytest.raises(ValueError, match="visibility outside 0-2"):
        replace(poses, visibility=np.where(poses.visibility == 2, 3, poses.visibility).astype(np.uint8))


def test_an_image_that_is_not_there_is_refused() -> None:
    poses = random_people(COCO17)
    with pytest.raises(ValueError, match="image_index outside images"):
        replace(poses, image_index=poses.image_index + 1)


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


def test_a_source_without_a_point_is_refused() -> None:
    with pytest.raises(ValueError, match="finite exactly where the source is not none"):
        replace(_additions(), source=np.full((2, 2), Source.STUDENT, dtype=object))


def test_a_visible_point_without_an_estimate_is_refused() -> None:
    with pytest.raises(ValueError, match="without an estimate cannot be visible"):
        replace(_additions(), visibility=np.full((2, 2), 2, dtype=np.uint8))


@pytest.mark.parametrize("score", [-0.1, 1.1, np.nan])
def test_a_score_outside_0_to_1_is_refused(score: float) -> None:
    with pytest.raises(ValueError, match="score outside"):
        replace(_additions(), score=np.full((2, 2), score))


def test_nothing_adds_nothing() -> None:
    nothing = Additions.nothing(3, ("pelvis",))
    assert len(nothing) == 3
    assert not nothing.added.any()
    assert not nothing.withheld.any()
