"""COCO detection results: who of them becomes a person, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from documents import coco_annotation, coco_document, mpii_record, write

from annotext.core.errors import InputError
from annotext.formats.annotations.detections import Detections, read_detections
from annotext.formats.annotations.read import read_annotations


def detection(**changes: Any) -> dict[str, Any]:
    """A sure person on image 8, which nobody annotated; a change to `...` removes the key."""
    record = {"image_id": 8, "category_id": 1, "bbox": [10.5, 20, 30, 40], "score": 0.9}
    return {k: v for k, v in {**record, **changes}.items() if v is not ...}


def document(**changes: Any) -> dict[str, Any]:
    """Image 7 has person 41; images 8 and "nine" have nobody."""
    whole = coco_document(coco_annotation(41), **changes)
    whole["images"] += [
        {"id": 8, "file_name": "eight.jpg", "width": 100, "height": 90},
        {"id": "nine", "file_name": "nine.jpg"},
    ]
    return whole


def read(tmp_path: Path, *detections: Any, of: Any = None, **options: Any) -> Detections:
    file = read_annotations(write(tmp_path / "people.json", document() if of is None else of))
    return read_detections(write(tmp_path / "found.json", list(detections)), file, **options)


def test_a_detection_becomes_a_person_without_labels(tmp_path: Path) -> None:
    found = read(tmp_path, detection(), detection(image_id="nine", score=1))
    assert found.people.bbox_xywh.tolist() == [[10.5, 20, 30, 40]] * 2
    assert found.people.area.tolist() == [1200.0] * 2
    assert found.people.file_names() == ["eight.jpg", "nine.jpg"]
    assert found.image_ids == (8, "nine")
    assert found.score.tolist() == [0.9, 1.0]
    assert not found.people.has_keypoints.any()
    assert len(found.sha256) == 64


def test_ids_follow_the_highest_of_the_file_and_do_not_depend_on_the_threshold(tmp_path: Path) -> None:
    boxes = [detection(bbox=[20 * i, 0, 18, 40], score=s) for i, s in enumerate((0.6, 0.2, 0.8))]
    assert read(tmp_path, *boxes).people.ids.tolist() == [42, 44]
    assert read(tmp_path, *boxes, min_score=0.1).people.ids.tolist() == [42, 43, 44]
    assert read(tmp_path, *boxes, min_score=0.7).people.ids.tolist() == [44]


def test_annotations_of_other_categories_have_ids_too(tmp_path: Path) -> None:
    whole = document()
    whole["categories"].append({"id": 2, "name": "dog"})
    whole["annotations"].append({"id": 900, "image_id": 7, "category_id": 2})
    assert read(tmp_path, detection(), of=whole).people.ids.tolist() == [901]


@pytest.mark.parametrize(
    "annotation",
    [coco_annotation(), coco_annotation(iscrowd=1), coco_annotation(keypoints=..., num_keypoints=...)],
    ids=["labelled", "crowd", "box only"],
)
def test_images_with_an_annotation_are_left_alone(tmp_path: Path, annotation: dict[str, Any]) -> None:
    whole = document(annotations=[annotation])
    found = read(tmp_path, detection(image_id=7), detection(), of=whole)
    assert found.image_ids == (8,)
    assert found.left_out["annotated_image"] == 1


def test_an_image_on_which_only_a_dog_is_annotated_is_left_alone(tmp_path: Path) -> None:
    whole = document()
    whole["categories"].append({"id": 2, "name": "dog"})
    whole["annotations"].append({"id": 3, "image_id": 8, "category_id": 2})
    assert read(tmp_path, detection(), of=whole).left_out["annotated_image"] == 1


def test_low_scores_and_other_categories_are_left_out_and_counted(tmp_path: Path) -> None:
    found = read(tmp_path, detection(), detection(score=0.49), detection(category_id=2), detection(category_id=2))
    assert len(found.people) == 1
    assert found.left_out == {"other_category": 2, "low_score": 1, "annotated_image": 0, "overlapping": 0}


def test_of_two_overlapping_boxes_the_stronger_stays(tmp_path: Path) -> None:
    twice = [detection(score=0.7), detection(bbox=[11, 20, 30, 40], score=0.8), detection(image_id="nine", score=0.6)]
    found = read(tmp_path, *twice)
    assert found.score.tolist() == [0.8, 0.6]  # the same box on another image is another person
    assert found.left_out["overlapping"] == 1


def test_of_equal_overlapping_boxes_the_first_stays(tmp_path: Path) -> None:
    assert read(tmp_path, detection(), detection()).people.ids.tolist() == [42]


def test_boxes_that_overlap_less_are_two_people(tmp_path: Path) -> None:
    # 40 x 40 moved by 8: intersection over union is 32 / 48, by 7 it is 33 / 47.
    apart, same = detection(bbox=[18, 0, 40, 40]), detection(bbox=[17, 0, 40, 40])
    assert len(read(tmp_path, detection(bbox=[10, 0, 40, 40]), apart).people) == 2
    assert len(read(tmp_path, detection(bbox=[10, 0, 40, 40]), same).people) == 1


def test_a_suppressed_box_suppresses_nobody(tmp_path: Path) -> None:
    row = [detection(bbox=[10 + 6 * i, 0, 40, 40], score=0.9 - 0.1 * i) for i in range(3)]
    assert read(tmp_path, *row).score.tolist() == pytest.approx([0.9, 0.7])


def test_further_keys_of_a_detector_are_not_looked_at(tmp_path: Path) -> None:
    assert len(read(tmp_path, detection(segmentation={"size": [1, 1]}, id="x")).people) == 1


def test_nobody_found_is_no_error(tmp_path: Path) -> None:
    assert len(read(tmp_path).people) == 0


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"image_id": 99}, "[1].image_id: people.json has no image with the id 99"),
        ({"image_id": ...}, "[1].image_id: missing"),
        ({"image_id": True}, "[1].image_id: is True, expected an image's id"),
        ({"category_id": ...}, "[1].category_id: missing"),
        ({"category_id": None}, "[1].category_id: is None, expected a category's id"),
        ({"bbox": ...}, "[1].bbox: missing"),
        ({"bbox": [1, 2, 3]}, "[1].bbox: has 3 numbers, expected 4"),
        ({"bbox": [1, 2, "3", 4]}, "[1].bbox: holds a text at position 2, expected a number"),
        ({"bbox": [1, 2, 0, 4]}, "[1].bbox: has no area: width 0, height 4"),
        ({"bbox": [200, 2, 3, 4]}, "[1].bbox: [200, 2, 3, 4] lies outside the image of 100 x 90"),
        ({"score": ...}, "[1].score: missing"),
        ({"score": 1.5}, "[1].score: is 1.5, expected a number from 0 to 1"),
        ({"score": True}, "[1].score: is True, expected a number from 0 to 1"),
    ],
)
def test_a_record_that_is_no_detection_is_named_or_left_out(
    tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    records = (detection(), detection(**changes))
    with pytest.raises(InputError) as caught:
        read(tmp_path, *records)
    assert [f"{p.pointer}: {p.problem}" for p in caught.value.problems] == [problem]
    found = read(tmp_path, *records, skip_bad=True)
    assert (found.people.ids.tolist(), len(found.skipped)) == ([42], 1)


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, detection(score=2), 5, detection(bbox=None))
    assert [p.pointer for p in caught.value.problems] == ["[0].score", "[1]", "[2].bbox"]


def test_a_file_that_is_no_list_is_refused(tmp_path: Path) -> None:
    file = read_annotations(write(tmp_path / "people.json", document()))
    with pytest.raises(InputError, match="is an object, not a COCO detection result file"):
        read_detections(write(tmp_path / "found.json", {"annotations": []}), file)


def test_detections_of_other_categories_only_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no detection has the category_id 1 of people"):
        read(tmp_path, detection(category_id=0))


def test_an_mpii_file_takes_no_detections(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is an MPII file: every record of it is a person"):
        read(tmp_path, detection(), of=[mpii_record()])


def test_a_minimum_that_is_no_score_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="minimum score is 5"):
        read(tmp_path, detection(), min_score=5)


def test_an_image_that_the_reader_left_out_has_no_people(tmp_path: Path) -> None:
    whole = document()
    whole["images"][1]["file_name"] = "../eight.jpg"
    file = read_annotations(write(tmp_path / "people.json", whole), skip_bad=True)
    found = read_detections(write(tmp_path / "found.json", [detection(), detection(image_id="nine")]), file)
    assert found.people.file_names() == ["nine.jpg"]
    assert np.array_equal(found.people.ids, [43])
