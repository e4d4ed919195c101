"""From people to crops: a keypoint stays on its pixel through every augmentation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import cv2
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from annotext.core import geometry
from annotext.core.errors import AnnotextError
from annotext.core.poses import Image, Poses
from annotext.core.skeletons import COCO17, MPII16, UNION21
from annotext.formats.files.recipe import AugmentRecipe
from annotext.training.data.augment import CropRule, crop_matrix
from annotext.training.data.kept_images import KEPT_BYTES
from annotext.training.data.samples import Draw, MixedBatches, PersonCrops, TrainingSet, loader, trainable

WH = (96, 128)
EVERYTHING = AugmentRecipe(flip=0.5, half_body=0.3, shift=0.16, zoom=(0.6, 1.4), rotate=80.0)


def person(skeleton=UNION21, people: int = 1, seed: int = 0) -> Poses:
    """People with every keypoint labelled, somewhere in a 200 x 240 image each."""
    rng = np.random.default_rng(seed)
    k = len(skeleton)
    return Poses(
        skeleton=skeleton,
        xy=rng.uniform([60, 50], [140, 190], (people, k, 2)),
        visibility=np.full((people, k), 2, np.uint8),
        bbox_xywh=np.tile([50.0, 40.0, 100.0, 160.0], (people, 1)),
        area=np.full(people, 9000.0),
        image_index=np.arange(people),
        images=tuple(Image(f"{i}.png") for i in range(people)),
        ids=np.arange(people),
        crowd=np.zeros(people, bool),
        head_size=np.full(people, np.nan),
    )


def draw_dot(folder: Path, poses: Poses, keypoint: str) -> Path:
    """One black image with one bright blob on the keypoint of person 0."""
    yy, xx = np.mgrid[:240, :200]
    x, y = poses.xy[0, poses.skeleton.index[keypoint]]
    blob = 255 * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * 3.0**2))
    cv2.imwrite(str(folder / "0.png"), np.repeat(blob[..., None], 3, axis=2).astype(np.uint8))
    return folder


def test_a_bright_dot_on_a_keypoint_is_where_the_sample_says_it_is(tmp_path: Path) -> None:
    poses = person()
    crops = PersonCrops(
        [TrainingSet("one", poses, draw_dot(tmp_path, poses, "left_wrist"), 1.0)],
        WH,
        expand=1.25,
        augment=EVERYTHING,
        seed=5,
    )
    yy, xx = np.mgrid[: WH[1], : WH[0]]
    turned = compared = 0
    for number in range(60):
        sample = crops[Draw(0, 0, number)]
        mirrored = np.linalg.det(sample["matrix"][:, :2]) < 0
        # In a mirrored image a left wrist looks like, and is taught as, a right one.
        point = sample["points"][UNION21.index["right_wrist" if mirrored else "left_wrist"]]
        if not ((point > 12) & (point < np.array(WH) - 13)).all():
            continue
        light = sample["image"][..., 0].astype(float)
        seen = np.array([(xx * light).sum(), (yy * light).sum()]) / light.sum()
        assert np.abs(seen - point).max() < 0.25
        compared, turned = compared + 1, turned + mirrored
    assert compared > 30 and turned > 10


def test_without_augmentation_the_crop_is_the_predictors_crop(tmp_path: Path) -> None:
    poses = person()
    folder = draw_dot(tmp_path, poses, "nose")
    sample = PersonCrops([TrainingSet("one", poses, folder, 1.0)], WH, expand=1.25, augment=AugmentRecipe(), seed=0)[
        Draw(0, 0, 0)
    ]
    matrix = geometry.image_to_crop_matrix(poses.bbox_xywh[0], WH)
    np.testing.assert_allclose(sample["matrix"], matrix, atol=1e-12)
    np.testing.assert_allclose(sample["points"], geometry.image_to_crop(poses.xy[0], matrix), atol=1e-4)


@settings(deadline=None)
@given(st.floats(-0.16, 0.16), st.floats(-0.16, 0.16), st.floats(0.5, 1.5), st.floats(-180, 180), st.booleans())
def test_a_crop_matrix_shows_the_shifted_box_centre_in_the_middle_and_keeps_angles(
    dx: float, dy: float, zoom: float, degrees: float, flip: bool
) -> None:
    box = np.array([50.0, 40.0, 100.0, 160.0])
    matrix = crop_matrix(
        box, WH, expand=1.25, move=np.array([dx, dy]) * box[2:] * 1.25, zoom=zoom, degrees=degrees, flip=flip
    )
    middle = geometry.apply_affine(matrix, [[100 + dx * 125, 120 + dy * 200]])
    np.testing.assert_allclose(middle, [[48, 64]], atol=1e-9)
    gram = matrix[:, :2] @ matrix[:, :2].T
    np.testing.assert_allclose(gram, np.eye(2) * gram[0, 0], atol=1e-9)
    assert (np.linalg.det(matrix[:, :2]) < 0) == flip


def test_mirroring_swaps_left_and_right_labels_and_leaves_the_middle(tmp_path: Path) -> None:
    poses = person()
    folder = draw_dot(tmp_path, poses, "nose")
    one = [TrainingSet("one", poses, folder, 1.0)]
    plain = PersonCrops(one, WH, expand=1.25, augment=AugmentRecipe(), seed=0)[Draw(0, 0, 0)]["points"]
    flipped = PersonCrops(one, WH, expand=1.25, augment=AugmentRecipe(flip=1.0), seed=0)[Draw(0, 0, 0)]["points"]
    at = UNION21.index
    mirror = np.array([WH[0], 0]) + np.array([-1, 1]) * plain
    for name, partner in (("left_knee", "right_knee"), ("right_ear", "left_ear"), ("thorax", "thorax")):
        np.testing.assert_allclose(flipped[at[name]], mirror[at[partner]], atol=1e-4)


def test_the_union_knows_which_keypoints_a_data_set_does_not_label() -> None:
    mapped = trainable(person(MPII16), UNION21, 1)
    unlabelled = {k for k, seen in zip(UNION21.keypoints, mapped.labelled[0], strict=True) if not seen}
    assert unlabelled == set(UNION21.missing_from(MPII16))


def test_crowds_and_people_with_too_few_keypoints_are_not_trained_on() -> None:
    poses = person(COCO17, people=3)
    poses.visibility[1, 2:] = 0
    poses.xy[1, 2:] = np.nan
    poses.crowd[2] = True
    assert trainable(poses, UNION21, 3).ids.tolist() == [0]


def test_workers_make_the_same_crops_as_the_training_process(tmp_path: Path) -> None:
    poses = person()
    one = [TrainingSet("one", poses, draw_dot(tmp_path, poses, "nose"), 1.0)]
    crops = PersonCrops(one, WH, expand=1.25, augment=EVERYTHING, seed=2)
    images = [[b["image"].numpy() for b in loader(crops, MixedBatches([1], [2], 3, 0), workers)] for workers in (0, 1)]
    for here, there in zip(*images, strict=True):
        assert np.array_equal(here, there)


def test_a_truncated_picture_is_named_with_its_person_instead_of_learned_from(tmp_path: Path) -> None:
    poses = person()
    cut = tmp_path / "0.png"
    draw_dot(tmp_path, poses, "nose")
    cut.write_bytes(cut.read_bytes()[:-20])
    crops = PersonCrops([TrainingSet("one", poses, tmp_path, 1.0)], WH, expand=1.25, augment=AugmentRecipe(), seed=0)
    with pytest.raises(AnnotextError, match=r"0\.png: data set one, annotation 0: is a truncated PNG"):
        crops[Draw(0, 0, 0)]


def two_in_each(folder: Path, images: int) -> TrainingSet:
    """Two people in each of several noisy images."""
    poses = replace(
        person(people=2 * images),
        image_index=np.arange(2 * images) // 2,
        images=tuple(Image(f"{i}.png") for i in range(images)),
    )
    rng = np.random.default_rng(0)
    for i in range(images):
        cv2.imwrite(str(folder / f"{i}.png"), rng.integers(0, 255, (240, 200, 3), np.uint8))
    return TrainingSet("two", poses, folder, 1.0)


@pytest.mark.parametrize("workers", [0, 2])
def test_crops_of_kept_images_are_those_of_images_decoded_anew(tmp_path: Path, workers: int) -> None:
    source = two_in_each(tmp_path, 8)
    everything = replace(EVERYTHING, hsv=(5, 30, 30), blur=0.5, median_blur=0.5, erase=1.0)
    teacher = CropRule((64, 64), 1.25, "letterbox", (1.0, 2.0, 3.0))
    seen = []
    for keep_bytes in (0, KEPT_BYTES):
        crops = PersonCrops(
            [source], WH, expand=1.25, augment=everything, seed=2, others=[teacher], keep_bytes=keep_bytes
        )
        near = MixedBatches([16], [4], 8, 0, near=4, image_of=[source.poses.image_index])
        seen.append(list(loader(crops, near, workers)))
    for anew, kept in zip(*seen, strict=True):
        assert all(torch.equal(anew[key], kept[key]) for key in ("image", "image_1", "points"))


def test_an_image_is_decoded_once_for_all_its_people_and_then_let_go(tmp_path: Path) -> None:
    source = two_in_each(tmp_path, 8)
    crops = PersonCrops([source], WH, expand=1.25, augment=EVERYTHING, seed=2, keep_bytes=KEPT_BYTES)
    batches = MixedBatches([16], [4], 4, 0, near=4, image_of=[source.poses.image_index])
    for _ in loader(crops, batches, 0):
        pass
    assert crops.kept.decoded == 8
    assert crops.kept.bytes == 0 < crops.kept.most_bytes


def test_nothing_is_kept_unless_asked_for(tmp_path: Path) -> None:
    source = two_in_each(tmp_path, 2)
    crops = PersonCrops([source], WH, expand=1.25, augment=EVERYTHING, seed=2)
    for row in (0, 1, 0, 1):
        crops[Draw(0, row, row)]
    assert (crops.kept.decoded, crops.kept.most_bytes) == (4, 0)
