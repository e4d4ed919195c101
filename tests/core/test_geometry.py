"""Image, box and crop space, and the way between them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotext.core.geometry import (
    apply_affine,
    box_scale,
    compose_affine,
    crop_to_image,
    image_to_crop,
    image_to_crop_matrix,
    invert_affine,
)

_place = st.floats(-2000, 2000)
_side = st.floats(1, 3000)
boxes = st.tuples(_place, _place, _side, _side)
inputs = st.sampled_from([(192, 256), (256, 256), (96, 128), (368, 368)])
expands = st.floats(1.0, 2.0)


@given(boxes, inputs, expands, st.lists(st.tuples(_place, _place), min_size=1, max_size=5))
def test_a_point_comes_back_from_the_crop(box: tuple, size: tuple, expand: float, points: list) -> None:
    matrix = image_to_crop_matrix(box, size, expand=expand)
    xy = np.array(points)
    assert crop_to_image(image_to_crop(xy, matrix), matrix) == pytest.approx(xy, abs=1e-6)


@given(boxes, inputs, expands)
def test_the_boxs_centre_is_the_crops_centre(box: tuple, size: tuple, expand: float) -> None:
    center = np.array([[box[0] + box[2] / 2, box[1] + box[3] / 2]])
    matrix = image_to_crop_matrix(box, size, expand=expand)
    assert image_to_crop(center, matrix)[0] == pytest.approx(np.array(size) / 2, abs=1e-6)


@given(boxes, inputs, expands)
def test_the_grown_box_fits_the_crop_and_touches_it(box: tuple, size: tuple, expand: float) -> None:
    scale = box_scale(box, size, expand=expand, fit="context")
    used = np.array(box[2:]) * expand * scale / size
    assert used.max() == pytest.approx(1.0)


def _mmpose_warp(box: tuple, size: tuple[int, int], expand: float) -> np.ndarray:
    """MMPose 1.3.2: GetBBoxCenterScale, TopdownAffine._fix_aspect_ratio, get_warp_matrix with rot 0, restated."""
    center = np.array([box[0] + box[2] / 2, box[1] + box[3] / 2], dtype=np.float32)
    w, h = box[2] * expand, box[3] * expand
    aspect = size[0] / size[1]
    scale = (w, w / aspect) if w > h * aspect else (h * aspect, h)
    source = np.zeros((3, 2), dtype=np.float32)
    target = np.zeros((3, 2), dtype=np.float32)
    source[0], source[1] = center, (center[0] - 0.5 * scale[0], center[1])
    target[0], target[1] = (size[0] / 2, size[1] / 2), (0, size[1] / 2)
    for points in (source, target):
        direction = points[0] - points[1]
        points[2] = points[1] + [-direction[1], direction[0]]
    return cv2.getAffineTransform(source, target)


@pytest.mark.parametrize("box", [(10, 20, 100, 300), (-40.5, 7, 333, 80), (500, 400, 64, 64)])
@pytest.mark.parametrize("size", [(192, 256), (256, 256)])
def test_a_crop_is_cut_as_mmpose_cuts_it(box: tuple, size: tuple[int, int]) -> None:
    ours = image_to_crop_matrix(box, size, expand=1.25, fit="context")
    corners = np.add(box[:2], [[0, 0], box[2:]])
    assert apply_affine(ours, corners) == pytest.approx(apply_affine(_mmpose_warp(box, size, 1.25), corners), abs=1e-3)


@pytest.mark.slow
def test_mmposes_own_function_gives_the_restated_matrix() -> None:
    pytest.importorskip("mmpose")
    from annotext.training.model import bridge

    bridge.install()
    from mmpose.structures.bbox import get_warp_matrix

    for w, h, size in ((100, 300, (192, 256)), (333, 80, (192, 256)), (64, 64, (256, 256))):
        grown, aspect = np.array([w, h]) * 1.25, size[0] / size[1]
        wide = grown[0] > grown[1] * aspect
        scale = np.array([grown[0], grown[0] / aspect] if wide else [grown[1] * aspect, grown[1]])
        theirs = get_warp_matrix(np.array([w / 2 + 7, h / 2 - 3]), scale, 0, size)
        assert image_to_crop_matrix((7, -3, w, h), size) == pytest.approx(theirs, abs=1e-6)


def test_several_boxes_at_once_equal_one_by_one() -> None:
    rng = np.random.default_rng(0)
    many = np.concatenate([rng.uniform(-50, 50, (6, 2)), rng.uniform(5, 200, (6, 2))], axis=1)
    xy = rng.uniform(0, 100, (6, 4, 2))
    together = image_to_crop(xy, image_to_crop_matrix(many, (192, 256)))
    alone = [image_to_crop(p, image_to_crop_matrix(b, (192, 256))) for p, b in zip(xy, many, strict=True)]
    assert together == pytest.approx(np.array(alone))


@given(st.lists(st.floats(-5, 5), min_size=12, max_size=12))
def test_composing_is_applying_one_after_the_other(numbers: list[float]) -> None:
    first, second = np.array(numbers).reshape(2, 2, 3)
    xy = np.array([[1.0, 2.0], [-3.0, 0.5]])
    assert apply_affine(compose_affine(second, first), xy) == pytest.approx(
        apply_affine(second, apply_affine(first, xy)), abs=1e-9
    )


def test_a_turned_and_sheared_affine_is_inverted() -> None:
    matrix = np.array([[0.5, -1.0, 3.0], [2.0, 0.25, -7.0]])
    assert compose_affine(invert_affine(matrix), matrix) == pytest.approx(np.eye(2, 3), abs=1e-12)


def test_a_point_that_is_not_there_stays_so_alone() -> None:
    matrix = image_to_crop_matrix((0, 0, 10, 10), (64, 64))
    out = image_to_crop(np.array([[np.nan, np.nan], [5.0, 5.0]]), matrix)
    assert np.isnan(out[0]).all()
    assert np.isfinite(out[1]).all()


def test_an_unknown_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown fit 'stretch'"):
        box_scale((0, 0, 1, 1), (64, 64), expand=1.0, fit="stretch")  # type: ignore[arg-type]


def test_arguments_are_left_alone() -> None:
    box, xy = np.array([1.0, 2.0, 3.0, 4.0]), np.array([[1.0, 1.0]])
    image_to_crop(xy, image_to_crop_matrix(box, (64, 64)))
    assert box.tolist() == [1, 2, 3, 4]
    assert xy.tolist() == [[1, 1]]
