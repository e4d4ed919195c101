"""COCO and Halpe files: what is read, and every fault with its place."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from documents import coco_annotation, coco_document, halpe_document, write

from annotext.core.errors import InputError
from annotext.core.poses import Visibility
from annotext.core.skeletons import COCO17, HALPE26, UNION21
from annotext.formats.annotations.read import read_annotations

_ZEROS = [0] * 51


def _keypoints(**at: Any) -> list[Any]:
    """51 good numbers, with some replaced: `_keypoints(p3=1)` sets position 3."""
    numbers: list[Any] = list(coco_annotation()["keypoints"])
    for place, value in at.items():
        numbers[int(place[1:])] = value
    return numbers


def _problems(tmp_path: Path, document: Any) -> list[str]:
    path = write(tmp_path / "x.json", document)
    with pytest.raises(InputError) as caught:
        read_annotations(path)
    return [str(p).replace(str(path), "x.json") for p in caught.value.problems]


def test_the_three_states_of_visibility_are_kept(tmp_path: Path) -> None:
    annotation = coco_annotation(keypoints=_keypoints(p0=0, p1=0, p2=0, p5=1), num_keypoints=16)
    poses = read_annotations(write(tmp_path / "x.json", coco_document(annotation))).poses
    assert poses.visibility[0, :3].tolist() == [Visibility.NOT_LABELLED, Visibility.HIDDEN, Visibility.VISIBLE]
    assert np.isnan(poses.xy[0, 0]).all()
    assert poses.xy[0, 1].tolist() == [11, 21]


def test_a_person_is_read_with_box_area_and_image(tmp_path: Path) -> None:
    file = read_annotations(write(tmp_path / "x.json", coco_document()))
    assert file.kind == "coco"
    assert file.poses.skeleton is COCO17
    assert file.poses.bbox_xywh.tolist() == [[5.5, 6, 40, 50]]
    assert file.poses.area.tolist() == [1000.25]
    assert file.poses.file_names() == ["a/one.jpg"]
    assert (file.poses.images[0].width, file.poses.images[0].height) == (100, 90)
    assert file.additions is None and file.header is None


def test_a_whole_float_is_accepted_as_visibility(tmp_path: Path) -> None:
    document = coco_document(coco_annotation(keypoints=[float(n) for n in _keypoints()]))
    assert (read_annotations(write(tmp_path / "x.json", document)).poses.visibility == 2).all()


def test_coordinates_beside_v_0_are_not_a_label(tmp_path: Path) -> None:
    document = coco_document(coco_annotation(keypoints=_keypoints(p2=0), num_keypoints=16))
    poses = read_annotations(write(tmp_path / "x.json", document)).poses
    assert not poses.labelled[0, 0] and np.isnan(poses.xy[0, 0]).all()


def test_an_annotation_without_keypoints_is_a_person_without_labels(tmp_path: Path) -> None:
    document = coco_document(coco_annotation(keypoints=..., num_keypoints=...))
    assert not read_annotations(write(tmp_path / "x.json", document)).poses.has_keypoints.any()


def test_a_missing_area_is_unknown_not_invented(tmp_path: Path) -> None:
    poses = read_annotations(write(tmp_path / "x.json", coco_document(coco_annotation(area=...)))).poses
    assert np.isnan(poses.area[0])


def test_a_crowd_is_flagged(tmp_path: Path) -> None:
    crowd = coco_annotation(2, iscrowd=1, keypoints=_ZEROS, num_keypoints=0)
    poses = read_annotations(write(tmp_path / "x.json", coco_document(coco_annotation(), crowd))).poses
    assert poses.crowd.tolist() == [False, True]


def test_a_head_box_gives_the_head_size(tmp_path: Path) -> None:
    document = coco_document(coco_annotation(headbox=[10, 10, 13, 14]), coco_annotation(2))
    size = read_annotations(write(tmp_path / "x.json", document)).poses.head_size
    assert size[0] == pytest.approx(3.0) and np.isnan(size[1])


def test_a_category_that_names_21_keypoints_is_read_as_the_union(tmp_path: Path) -> None:
    document = coco_document(coco_annotation(keypoints=[5, 6, 1] * 21, num_keypoints=21))
    document["categories"][0]["keypoints"] = list(UNION21.keypoints)
    assert read_annotations(write(tmp_path / "x.json", document)).poses.skeleton is UNION21


def test_a_category_of_a_described_skeleton_is_read_under_canonical_names(tmp_path: Path) -> None:
    names = [f"{s}_{p}" for p in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for s in ("left", "right")]
    document = coco_document(coco_annotation(keypoints=[5, 6, 2] * 14, num_keypoints=14))
    document["categories"][0]["keypoints"] = [*names, "head", "neck"]
    skeleton = read_annotations(write(tmp_path / "x.json", document)).poses.skeleton
    assert skeleton.name == "crowdpose14" and skeleton.keypoints[-2:] == ("head_top", "upper_neck")


def test_people_of_other_categories_are_left_alone(tmp_path: Path) -> None:
    dog = {"id": 5, "image_id": 7, "category_id": 2, "bbox": [0, 0, 0, 0], "keypoints": "none"}
    document = coco_document(dog, coco_annotation())
    document["categories"].append({"id": 2, "name": "dog"})
    file = read_annotations(write(tmp_path / "x.json", document))
    assert file.rows.tolist() == [1] and file.poses.ids.tolist() == [1]


def test_a_box_that_overhangs_its_image_is_accepted(tmp_path: Path) -> None:
    document = coco_document(coco_annotation(bbox=[-3, 50, 200, 41.5]))
    assert len(read_annotations(write(tmp_path / "x.json", document)).poses) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoints": [1, 2, 2] * 16 + [1, 2]}, "annotations[0].keypoints: has 50 numbers, expected 51\n  hint: "),
        ({"keypoints": None}, "annotations[0].keypoints: is null, expected a list of 51 numbers"),
        ({"keypoints": _keypoints(p4="9")}, "annotations[0].keypoints: holds a text at position 4"),
        ({"keypoints": _keypoints(p4=True)}, "annotations[0].keypoints: holds true or false at position 4"),
        (
            {"keypoints": _keypoints(p4=10**400)},
            "annotations[0].keypoints[4]: is 10000000000000000000... of 401 digits, too large for a float",
        ),
        ({"keypoints": _keypoints(p8=3)}, "annotations[0].keypoints[8]: v is 3, expected 0, 1 or 2"),
        ({"keypoints": _keypoints(p8=-1)}, "annotations[0].keypoints[8]: v is -1, expected 0, 1 or 2"),
        ({"keypoints": _keypoints(p8=1.5, p11=9)}, "v is 1.5, expected 0, 1 or 2 (1 more in this annotation)"),
        ({"num_keypoints": 3}, "annotations[0].num_keypoints: is 3, but 17 keypoints have v > 0"),
        ({"num_keypoints": "17"}, "annotations[0].num_keypoints: is '17'"),
        ({"bbox": ...}, "annotations[0].bbox: missing\n  hint: "),
        ({"bbox": [1, 2, 3]}, "annotations[0].bbox: has 3 numbers, expected 4"),
        ({"bbox": [1, 2, 0, 5]}, "annotations[0].bbox: has no area: width 0, height 5"),
        ({"bbox": [1, 2, 3, -5]}, "annotations[0].bbox: has no area: width 3, height -5"),
        ({"bbox": [120, 2, 30, 5]}, "[120, 2, 30, 5] lies outside the image of 100 x 90"),
        ({"bbox": [-50, 2, 30, 5]}, "lies outside the image"),
        ({"area": None}, "annotations[0].area: is None, expected a number from 0 up"),
        ({"area": -1}, "annotations[0].area: is -1"),
        ({"iscrowd": 2}, "annotations[0].iscrowd: is 2, expected 0 or 1"),
        ({"id": ...}, "annotations[0].id: missing"),
        ({"id": 2**70}, "annotations[0].id: is 1180591620717411303424, expected a whole number of 64 bits"),
        ({"id": "a"}, "annotations[0].id: is 'a'"),
        ({"image_id": 8}, "annotations[0].image_id: no image has the id 8"),
        ({"image_id": []}, "annotations[0].image_id: is []"),
        ({"category_id": 9}, "annotations[0].category_id: no category has the id 9"),
        ({"category_id": ...}, "annotations[0].category_id: missing"),
        ({"headbox": [1, 2]}, "annotations[0].headbox: has 2 numbers, expected 4"),
    ],
)
def test_a_faulty_annotation_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    problems = _problems(tmp_path, coco_document(coco_annotation(**changes)))
    assert len(problems) == 1
    assert message in problems[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": ...}, "x.json: images: missing"),
        ({"annotations": {}}, "x.json: annotations: is an object, expected a list"),
        ({"categories": [3]}, "x.json: categories[0]: is a number, expected an object"),
        ({"annotations": ["a"]}, "x.json: annotations[0]: is a text, expected an object"),
        ({"info": None}, "x.json: info: is null, expected an object"),
        ({"info": {"annotext": 3}}, "x.json: info.annotext: is a number, expected the header"),
        ({"info": {"annotext": {}}}, "x.json: info.annotext.added: expected the list of added keypoints"),
        ({"annotations": [coco_annotation(annotext={})]}, "x.json: info.annotext: missing, but annotations[0] is"),
        (
            {"categories": [{"id": 1, "keypoints": "nose"}]},
            "categories[0].keypoints: is a text, expected a list of names",
        ),
        ({"categories": [{"id": 1, "name": "person"}]}, "categories: no category names keypoints\n  hint: this looks"),
        ({"categories": [{"id": 1, "name": "person", "keypoints": ["a", "b"]}]}, "no known skeleton has exactly"),
        ({"categories": [{"id": 1, "name": "person", "keypoints": [1]}]}, "something that is not a name"),
    ],
)
def test_a_faulty_document_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    problems = _problems(tmp_path, coco_document(**changes))
    assert message in "\n".join(problems)
    assert len(problems) == len(set(problems))


@pytest.mark.parametrize(
    "name", ["/etc/x.jpg", "../x.jpg", "a/../../x.jpg", "a\\x.jpg", "C:x.jpg", "", None, "a\0.jpg"]
)
def test_a_file_name_that_leaves_the_image_folder_is_refused(tmp_path: Path, name: Any) -> None:
    document = coco_document(images=[{"id": 7, "file_name": name, "width": 100, "height": 90}])
    assert any(p.startswith("x.json: images[0].file_name: ") for p in _problems(tmp_path, document))


def test_two_dots_inside_a_name_are_harmless(tmp_path: Path) -> None:
    document = coco_document(images=[{"id": 7, "file_name": "a..b/..c.jpg"}])
    assert read_annotations(write(tmp_path / "x.json", document)).poses.file_names() == ["a..b/..c.jpg"]


def test_repeated_ids_are_named_with_both_places(tmp_path: Path) -> None:
    document = coco_document(coco_annotation(), coco_annotation())
    document["images"] *= 2
    problems = _problems(tmp_path, document)
    assert "x.json: images[1].id: 7 is also the id of images[0]" in problems
    assert "x.json: annotations[1].id: 1 is also the id of annotations[0]" in problems


def test_all_problems_come_at_once_in_file_order(tmp_path: Path) -> None:
    document = coco_document(
        coco_annotation(1, bbox=[0, 0, 0, 1]), coco_annotation(2), coco_annotation(3, keypoints=[], image_id=99)
    )
    document["images"][0]["width"] = "wide"
    problems = [p.split(": ")[1] for p in _problems(tmp_path, document)]
    assert problems[0] == "images[0].width"
    assert problems[-2:] == ["annotations[2].image_id", "annotations[2].keypoints"]
    assert "annotations[0].bbox" in problems


def test_skip_bad_leaves_out_the_faulty_and_lists_them(tmp_path: Path) -> None:
    document = coco_document(coco_annotation(1, bbox=[1, 1, 0, 1]), coco_annotation(2), coco_annotation(3, image_id=8))
    document["images"].append({"id": 8, "file_name": "../x.jpg"})
    file = read_annotations(write(tmp_path / "x.json", document), skip_bad=True)
    assert file.poses.ids.tolist() == [2]
    assert file.rows.tolist() == [1]
    assert [im.file_name for im in file.poses.images] == ["a/one.jpg"]
    assert [p.pointer for p in file.skipped] == [
        "images[1].file_name",
        "annotations[0].bbox",
        "annotations[2].image_id",
    ]


def test_skip_bad_keeps_people_with_their_own_image(tmp_path: Path) -> None:
    document = coco_document(coco_annotation(1), coco_annotation(2, image_id=9))
    document["images"] = [
        {"id": 7, "file_name": "one.jpg"},
        {"id": 8, "file_name": "/bad.jpg"},
        {"id": 9, "file_name": "two.jpg"},
    ]
    file = read_annotations(write(tmp_path / "x.json", document), skip_bad=True)
    assert file.poses.file_names() == ["one.jpg", "two.jpg"]


def test_skip_bad_does_not_forgive_a_file_without_anybody_left(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no area"):
        read_annotations(write(tmp_path / "x.json", coco_document(coco_annotation(bbox=[1, 1, 0, 1]))), skip_bad=True)


@pytest.mark.parametrize("document", [[], [1, 2], {}, {"a": 1}, 3, "text", None])
def test_a_document_of_no_known_format_says_what_is_expected(tmp_path: Path, document: Any) -> None:
    assert "expected a COCO or Halpe file" in _problems(tmp_path, document)[0]


def test_halpe_gives_its_26_body_points(tmp_path: Path) -> None:
    file = read_annotations(write(tmp_path / "x.json", halpe_document()))
    assert file.kind == "halpe" and file.poses.skeleton is HALPE26
    assert file.poses.xy[0, HALPE26.index["right_heel"]].tolist() == [35, 45]


def test_halpe_visibility_counts_from_35_hundredths_on(tmp_path: Path) -> None:
    states = read_annotations(write(tmp_path / "x.json", halpe_document([0.34, 0.35, 1, 1.0, 2, 0]))).poses.visibility
    assert states[0, :6].tolist() == [0, 2, 1, 1, 2, 0]


def test_halpe_visibility_outside_0_to_2_is_a_fault(tmp_path: Path) -> None:
    assert "keypoints[2]: v is 2.5, expected 0 to 2" in _problems(tmp_path, halpe_document([2.5]))[0]


def test_halpe_num_keypoints_counts_other_points_and_is_not_compared(tmp_path: Path) -> None:
    document = halpe_document()
    document["annotations"][0]["num_keypoints"] = 3
    assert len(read_annotations(write(tmp_path / "x.json", document)).poses) == 1


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "people", "labelled", "crowds"),
    [
        ("coco/annotations/person_keypoints_val2017_official_objects.json", 135, 96, 1),
        ("coco/annotations/person_keypoints_train2017_official_objects.json", 358, 196, 9),
        ("coco/annotations/person_keypoints_val2017_subset.json", 191, 191, 0),
        ("coco/annotations/person_keypoints_train2017_subset.json", 360, 360, 0),
        ("halpe/test_halpe.json", 14, 12, 0),
        ("mpii/annotations/test_mpii.json", 5, 5, 0),
        ("mpii/annotations/mpii_val_from_h5.json", 2958, 2958, 0),
    ],
)
def test_a_real_file_has_the_people_it_is_known_to_have(
    real: Path, name: str, people: int, labelled: int, crowds: int
) -> None:
    poses = read_annotations(real / name).poses
    assert (len(poses), int(poses.has_keypoints.sum()), int(poses.crowd.sum())) == (people, labelled, crowds)


@pytest.mark.real
@pytest.mark.slow
def test_almost_all_of_coco_train_reads(real: Path, tmp_path: Path) -> None:
    packed = real / "coco/annotations/person_keypoints_train2017_reconstructed.json.gz"
    (tmp_path / "train.json").write_bytes(gzip.decompress(packed.read_bytes()))
    poses = read_annotations(tmp_path / "train.json").poses
    assert (len(poses), len(poses.images), bool(poses.has_keypoints.all())) == (146_386, 54_916, True)


@pytest.mark.real
def test_the_real_halpe_excerpt_labels_heads_and_neither_necks_nor_hips(real: Path) -> None:
    poses = read_annotations(real / "halpe/test_halpe.json").poses
    columns = HALPE26.indices(["head_top", "upper_neck", "pelvis"])
    assert poses.labelled[:, columns].sum(axis=0).tolist() == [12, 0, 0]
