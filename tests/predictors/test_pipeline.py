"""From pictures and boxes to points in pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dots import CARD, KEYPOINTS, DotPredictor, write_people

from annotext.core.errors import InputError, Problem
from annotext.core.poses import Image
from annotext.predictors.images import cut_crops
from annotext.predictors.pipeline import predict

LETTERBOX = replace(CARD, box=replace(CARD.box, fit="letterbox"))
WIDE = replace(CARD, input=replace(CARD.input, width=160, height=96))


@pytest.mark.parametrize("card", [CARD, LETTERBOX, WIDE], ids=["context", "letterbox", "wide"])
def test_points_come_back_in_image_pixels(card: Any, tmp_path: Path) -> None:
    poses, truth = write_people(tmp_path)
    [found] = predict([DotPredictor(card)], poses, tmp_path)
    assert np.abs(found.xy - truth).max() < 0.35
    assert np.array_equal(found.ids, poses.ids)
    assert list(found.file_names) == poses.file_names()


def test_the_pixel_offset_of_the_card_is_added_in_image_pixels(tmp_path: Path) -> None:
    poses, _ = write_people(tmp_path)
    plain, moved = predict([DotPredictor(), DotPredictor(replace(CARD, pixel_offset=(-1.0, 2.0)))], poses, tmp_path)
    assert moved.xy - plain.xy == pytest.approx(np.broadcast_to([-1.0, 2.0], plain.xy.shape), abs=1e-4)


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 1), (3, 2), (64, 4)])
def test_batches_and_threads_change_nothing(batch_size: int, workers: int, tmp_path: Path) -> None:
    poses, _ = write_people(tmp_path, images=7)
    [one] = predict([DotPredictor()], poses, tmp_path)
    [other] = predict([DotPredictor()], poses, tmp_path, batch_size=batch_size, workers=workers)
    assert np.array_equal(one.xy, other.xy)
    assert np.array_equal(one.features["light"], other.features["light"])


def test_batches_are_filled_across_images(tmp_path: Path) -> None:
    poses, _ = write_people(tmp_path, images=7)  # 10 people
    predictor = DotPredictor()
    predict([predictor], poses, tmp_path, batch_size=4)
    assert predictor.batches == [4, 4, 2]


def test_people_of_one_image_may_stand_anywhere_in_the_file(tmp_path: Path) -> None:
    poses, truth = write_people(tmp_path, images=6)
    order = np.random.default_rng(3).permutation(len(poses))
    [found] = predict([DotPredictor()], poses.take(order), tmp_path)
    assert np.abs(found.xy - truth[order]).max() < 0.35
    assert np.array_equal(found.ids, poses.ids[order])


def test_letterbox_paints_what_lies_outside_the_grown_box() -> None:
    white = np.full((100, 100, 3), 255, dtype=np.uint8)
    tall = np.array([[40.0, 20.0, 10.0, 60.0]])
    filled = replace(LETTERBOX, box=replace(LETTERBOX.box, fill=(10, 20, 30)))
    [crop] = cut_crops(white, filled, tall)
    assert (crop[64, 48] == 255).all()
    assert crop[64, 2].tolist() == [30, 20, 10]  # the fill is RGB like the input, the crop BGR
    [context] = cut_crops(white, CARD, tall)
    assert (context[64, 2] == 255).all()


def test_a_point_outside_the_picture_says_how_far(tmp_path: Path) -> None:
    poses, _ = write_people(tmp_path, images=1)
    [inside] = predict([DotPredictor()], poses, tmp_path)
    [beyond] = predict([DotPredictor(replace(CARD, pixel_offset=(-500.0, 0.0)))], poses, tmp_path)
    assert (inside.features["outside"] == 0).all()
    assert beyond.features["outside"] == pytest.approx(500 - inside.xy[..., 0], abs=1e-3)


def test_progress_ends_with_everybody_done(tmp_path: Path) -> None:
    poses, _ = write_people(tmp_path, images=5)
    (tmp_path / "002.png").unlink()
    said: list[tuple[int, int]] = []
    predict([DotPredictor()], poses, tmp_path, on_bad=lambda _: None, progress=lambda *done: said.append(done))
    assert said == sorted(said)
    assert said[-1] == (len(poses), len(poses))


def spoil(folder: Path) -> None:
    """Of five images, three become unusable when they are decoded."""
    data = (folder / "001.png").read_bytes()
    (folder / "001.png").write_bytes(data[: len(data) // 2])
    (folder / "002.png").write_bytes(b"not an image at all")
    (folder / "004.png").write_bytes((folder / "003.png").read_bytes()[:60])


def test_all_images_that_cannot_be_decoded_are_named_at_once(tmp_path: Path) -> None:
    poses, _ = write_people(tmp_path, images=5)
    spoil(tmp_path)
    with pytest.raises(InputError) as caught:
        predict([DotPredictor()], poses, tmp_path)
    assert [Path(p.path).name for p in caught.value.problems] == ["001.png", "002.png", "004.png"]
    assert caught.value.problems[0].pointer == "annotation 101"


def test_missing_and_undecodable_images_are_named_at_once_before_anything_is_predicted(tmp_path: Path) -> None:
    poses, _ = write_people(tmp_path, images=5)
    poses = replace(poses, images=(*poses.images[:4], Image("../out.png", 320, 240)))
    spoil(tmp_path)
    (tmp_path / "000.png").unlink()
    (tmp_path / "003.png").write_bytes(b"")
    predictor = DotPredictor()
    with pytest.raises(InputError) as caught:
        predict([predictor], poses, tmp_path)
    assert [p.problem for p in caught.value.problems] == [
        "no such file or directory",
        "is a truncated PNG: its end chunk is missing",
        "is not an image that can be decoded",
        "the file is empty",
        "'../out.png' leaves the image folder",
    ]
    assert predictor.batches == []


def test_a_person_whose_box_lies_outside_the_picture_is_named(tmp_path: Path) -> None:
    poses, _ = write_people(tmp_path, images=2)
    boxes = poses.bbox_xywh.copy()
    boxes[1, :2] = 5000
    poses = replace(poses, bbox_xywh=boxes, images=tuple(Image(i.file_name) for i in poses.images))
    with pytest.raises(InputError, match=r"box \[5000, 5000, .*\] lies outside the image of") as caught:
        predict([DotPredictor()], poses, tmp_path)
    assert [p.pointer for p in caught.value.problems] == [f"annotation {poses.ids[1]}"]


def test_a_person_whose_box_lies_outside_the_picture_can_be_left_out(tmp_path: Path) -> None:
    poses, _ = write_people(tmp_path, images=2)
    boxes = poses.bbox_xywh.copy()
    boxes[1, :2] = -5000
    poses = replace(poses, bbox_xywh=boxes, images=tuple(Image(i.file_name) for i in poses.images))
    told: list[Problem] = []
    [found] = predict([DotPredictor()], poses, tmp_path, on_bad=told.append)
    assert len(told) == 1
    assert found.ids.tolist() == [i for i in poses.ids.tolist() if i != poses.ids[1]]


def test_bad_images_can_be_left_out_and_are_told(tmp_path: Path) -> None:
    poses, truth = write_people(tmp_path, images=5)
    spoil(tmp_path)
    told: list[Problem] = []
    [found] = predict([DotPredictor()], poses, tmp_path, on_bad=told.append)
    kept = np.isin(poses.image_index, [0, 3])
    assert len(told) == 3
    assert np.array_equal(found.ids, poses.ids[kept])
    assert np.abs(found.xy - truth[kept]).max() < 0.35


def test_images_without_people_need_not_exist(tmp_path: Path) -> None:
    poses, _ = write_people(tmp_path, images=2)
    poses = replace(poses, images=(*poses.images, Image("nowhere.png")))
    [found] = predict([DotPredictor()], poses, tmp_path)
    assert len(found) == len(poses)


def test_a_missing_folder_is_one_problem(tmp_path: Path) -> None:
    poses, _ = write_people(tmp_path, images=2)
    with pytest.raises(InputError, match="there is no such image folder") as caught:
        predict([DotPredictor()], poses, tmp_path / "nowhere")
    assert len(caught.value.problems) == 1


def test_nobody_to_predict_is_no_prediction(tmp_path: Path) -> None:
    poses, _ = write_people(tmp_path, images=1)
    [found] = predict([DotPredictor()], poses.take(np.zeros(len(poses), dtype=bool)), tmp_path)
    assert found.xy.shape == (0, len(KEYPOINTS), 2)


def test_a_folder_without_any_of_the_images_is_one_problem(tmp_path: Path) -> None:
    poses, _ = write_people(tmp_path / "images", images=4)
    told: list[Problem] = []
    with pytest.raises(InputError, match="holds none of the 4 images") as caught:
        predict([DotPredictor()], poses, tmp_path, on_bad=told.append)
    assert len(caught.value.problems) == 1


def test_images_none_of_which_can_be_decoded_are_an_error_also_when_bad_ones_are_left_out(tmp_path: Path) -> None:
    poses, _ = write_people(tmp_path, images=3)
    for i in range(3):
        (tmp_path / f"{i:03d}.png").write_bytes(b"not an image at all")
    with pytest.raises(InputError) as caught:
        predict([DotPredictor()], poses, tmp_path, on_bad=lambda _: None)
    assert len(caught.value.problems) == 3
