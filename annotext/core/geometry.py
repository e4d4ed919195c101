"""Three coordinate spaces and the affines between them.

image: pixels of the file, 0-based, (0, 0) is the centre of the top left pixel, x right, y down.
box:   a person box in image space, `xywh` (left, top, width, height) or `xyxy`.
crop:  pixels of a model's input, the same convention.

N boxes, P points. All functions return new arrays and leave their arguments alone.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Fit = Literal["context", "letterbox"]


def box_center_size(box_xywh: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(..., 4) boxes -> (..., 2) centres and (..., 2) sizes, image pixels."""
    box = np.asarray(box_xywh, dtype=np.float64)
    return box[..., :2] + box[..., 2:] / 2, box[..., 2:].copy()


def box_scale(box_xywh: ArrayLike, input_wh: tuple[int, int], *, expand: float, fit: Fit) -> NDArray[np.float64]:
    """Crop pixels per image pixel, (...,) float64, one number for both axes.

    The box is grown about its centre by `expand`. "context" then enlarges its shorter side to the input's aspect, so
    that surroundings stay visible (RTMPose and HRNet: MMPose GetBBoxCenterScale + TopdownAffine); "letterbox" scales
    the longer side to the input. Both give the same scale; they differ in what is painted outside the grown box.
    """
    if fit not in ("context", "letterbox"):
        raise ValueError(f"unknown fit {fit!r}, expected context or letterbox")
    _, size = box_center_size(box_xywh)
    grown = size * expand
    return np.minimum(input_wh[0] / grown[..., 0], input_wh[1] / grown[..., 1])


def image_to_crop_matrix(
    box_xywh: ArrayLike, input_wh: tuple[int, int], *, expand: float = 1.25, fit: Fit = "context"
) -> NDArray[np.float64]:
    """(..., 2, 3) float64 affines from image to crop pixels: the box's centre goes to (width / 2, height / 2).

    Source of the convention: MMPose 1.3.2 structures/bbox/transforms.py get_warp_matrix (without UDP).
    """
    center, _ = box_center_size(box_xywh)
    scale = box_scale(box_xywh, input_wh, expand=expand, fit=fit)
    matrix = np.zeros((*scale.shape, 2, 3))
    matrix[..., 0, 0] = scale
    matrix[..., 1, 1] = scale
    matrix[..., :, 2] = np.array(input_wh) / 2 - center * scale[..., None]
    return matrix


def invert_affine(matrix: ArrayLike) -> NDArray[np.float64]:
    """(..., 2, 3) affines -> their inverses, for any invertible linear part."""
    affine = np.asarray(matrix, dtype=np.float64)
    inverse = np.linalg.inv(affine[..., :2]).astype(np.float64)
    return np.concatenate([inverse, -(inverse @ affine[..., 2:])], axis=-1)


def compose_affine(second: ArrayLike, first: ArrayLike) -> NDArray[np.float64]:
    """The affine that applies `first`, then `second`; (..., 2, 3) each."""
    a, b = np.asarray(second, dtype=np.float64), np.asarray(first, dtype=np.float64)
    return np.concatenate([a[..., :2] @ b[..., :2], a[..., :2] @ b[..., 2:] + a[..., 2:]], axis=-1)


def apply_affine(matrix: ArrayLike, xy: ArrayLike) -> NDArray[np.float64]:
    """(..., 2, 3) affines on (..., P, 2) points, one affine per leading index; NaN stays NaN."""
    affine = np.asarray(matrix, dtype=np.float64)
    points = np.asarray(xy, dtype=np.float64)
    return points @ np.swapaxes(affine[..., :2], -1, -2) + np.swapaxes(affine[..., 2:], -1, -2)


def image_to_crop(xy: ArrayLike, matrix: ArrayLike) -> NDArray[np.float64]:
    """Points from image to crop pixels; `matrix` from `image_to_crop_matrix`."""
    return apply_affine(matrix, xy)


def crop_to_image(xy: ArrayLike, matrix: ArrayLike) -> NDArray[np.float64]:
    """Points from crop to image pixels; `matrix` is the image-to-crop affine."""
    return apply_affine(invert_affine(matrix), xy)
