"""MPII files: 1-based pixels become 0-based once; every fault has its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from documents import mpii_record, write

from annotext.core.errors import InputError
from annotext.core.skeletons import MPII16
from annotext.formats.annotations.read import read_annotations


def _with(key: str, place: int, value: Any) -> dict[str, Any]:
    values = list(mpii_record()[key])
    values[place] = value
    return {key: values}


def test_pixels_become_0_based(tmp_path: Path) -> None:
    poses = read_annotations(write(tmp_path / "x.json", [mpii_record()])).poses
    assert poses.skeleton is MPII16
    assert poses.xy[0, 3].tolist() == [12.0, 22.5]


def test_the_box_is_the_square_of_200_scale_about_the_lowered_center(tmp_path: Path) -> None:
    poses = read_annotations(write(tmp_path / "x.json", [mpii_record()])).poses
    assert poses.bbox_xywh.tolist() == [[593 - 300, 256 + 45 - 300, 600, 600]]


def test_the_head_size_is_06_of_the_head_box_diagonal(tmp_path: Path) -> None:
    document = [mpii_record(headbox=[914.0, 79.0, 1031.0, 237.0]), mpii_record()]
    size = read_annotations(write(tmp_path / "x.json", document)).poses.head_size
    assert size[0] == pytest.approx(0.6 * np.hypot(117, 158)) and np.isnan(size[1])


def test_a_missing_joint_is_not_labelled(tmp_path: Path) -> None:
    document = [mpii_record(**_with("joints_vis", 2, 0))]
    poses = read_annotations(write(tmp_path / "x.json", document)).poses
    assert poses.labelled[0].tolist() == [True, True, False] + [True] * 13


def test_is_visible_tells_hidden_joints_apart(tmp_path: Path) -> None:
    record = mpii_record(**_with("joints_vis", 2, 0), is_visible=[0, 1, 0] + [1] * 13)
    states = read_annotations(write(tmp_path / "x.json", [record])).poses.visibility
    assert states[0, :4].tolist() == [1, 2, 0, 2]


def test_ids_are_the_positions_of_the_records_and_images_are_shared(tmp_path: Path) -> None:
    document = [mpii_record(), mpii_record(image="b.jpg"), mpii_record()]
    poses = read_annotations(write(tmp_path / "x.json", document)).poses
    assert poses.ids.tolist() == [0, 1, 2]
    assert poses.image_index.tolist() == [0, 1, 0]


def test_a_record_of_the_test_set_is_a_person_without_labels(tmp_path: Path) -> None:
    document = [mpii_record(joints=..., joints_vis=...)]
    assert not read_annotations(write(tmp_path / "x.json", document)).poses.has_keypoints.any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joints": [[1, 2]] * 15}, "[1].joints: has 15 joints, expected 16"),
        ({"joints": ...}, "[1].joints: missing"),
        ({"joints_vis": ...}, "[1].joints_vis: missing"),
        (_with("joints", 3, [1]), "[1].joints[3]: has 1 numbers, expected 2"),
        (_with("joints", 3, [1, None]), "[1].joints[3]: holds null at position 1"),
        (_with("joints_vis", 3, 2), "[1].joints_vis[3]: is 2, expected 0 or 1"),
        (_with("joints_vis", 3, -1), "[1].joints_vis[3]: is -1, expected 0 or 1"),
        ({"is_visible": [3] * 16}, "[1].is_visible: holds something else"),
        ({"center": [1]}, "[1].center: has 1 numbers, expected 2"),
        ({"center": ...}, "[1].center: missing"),
        ({"scale": 0}, "[1].scale: is 0, expected a number above 0"),
        ({"scale": -2.5}, "[1].scale: is -2.5"),
        ({"scale": ...}, "[1].scale: missing"),
        ({"image": "../x.jpg"}, "[1].image: '../x.jpg' leaves the image folder"),
        ({"image": ...}, "[1].image: missing"),
        ({"headbox": "big"}, "[1].headbox: is a text"),
    ],
)
def test_a_faulty_record_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "x.json", [mpii_record(), mpii_record(**changes)])
    with pytest.raises(InputError) as caught:
        read_annotations(path)
    assert len(caught.value.problems) == 1
    assert f"x.json: {message}" in str(caught.value)


def test_skip_bad_keeps_the_positions_of_the_others(tmp_path: Path) -> None:
    document = [mpii_record(scale=0), mpii_record(), "text", mpii_record()]
    file = read_annotations(write(tmp_path / "x.json", document), skip_bad=True)
    assert file.poses.ids.tolist() == [1, 3] and file.rows.tolist() == [1, 3]
    assert [p.pointer for p in file.skipped] == ["[0].scale", "[2]"]


@pytest.mark.real
def test_mpii_derived_its_pelvis_and_thorax_from_hips_and_shoulders(real: Path) -> None:
    poses = read_annotations(real / "mpii/annotations/mpii_val_from_h5.json").poses
    for middle, parents in (("pelvis", ["left_hip", "right_hip"]), ("thorax", ["left_shoulder", "right_shoulder"])):
        points = poses.xy[:, MPII16.indices([middle, *parents])]
        distance = np.linalg.norm(points[:, 0] - points[:, 1:].mean(axis=1), axis=-1) / poses.head_size
        distance = distance[np.isfinite(distance)]
        assert len(distance) > 2000 and (distance < 0.1).mean() > 0.99
