"""One augmented crop of one person: a single affine warp, then colour, blur and an erased patch.

The steps and their parameters are those of RTMPose's MMPose pipeline (RandomFlip, RandomHalfBody, RandomBBoxTransform,
TopdownAffine, YOLOXHSVRandomAug, Albumentation's Blur, MedianBlur and CoarseDropout), written anew so that a crop is
resampled once, chance comes from one `numpy.random.Generator`, and albumentations is not needed. With the same
parameters the distribution of crops is MMPose's; single draws are not.

K keypoints; (w, h) is the model's input.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotext.core import geometry
from annotext.core.skeleton import Skeleton
from annotext.formats.recipe import AugmentRecipe

# Which half of the body a keypoint belongs to (MMPose's upper_body_ids and lower_body_ids, by name).
UPPER_BODY = frozenset(
    f"{side}_{part}" for side in ("left", "right") for part in ("eye", "ear", "shoulder", "elbow", "wrist")
) | {"nose", "thorax", "upper_neck", "head_top"}
LOWER_BODY = frozenset(
    f"{side}_{part}" for side in ("left", "right") for part in ("hip", "knee", "ankle", "big_toe", "small_toe", "heel")
) | {"pelvis"}

_NORMAL = NormalDist()


@dataclass(frozen=True)
class BodyHalves:
    """Positions of the upper and the lower body's keypoints in a skeleton's arrays."""

    upper: NDArray[np.intp]
    lower: NDArray[np.intp]

    @classmethod
    def of(cls, skeleton: Skeleton) -> BodyHalves:
        return cls(
            upper=skeleton.indices(k for k in skeleton.keypoints if k in UPPER_BODY),
            lower=skeleton.indices(k for k in skeleton.keypoints if k in LOWER_BODY),
        )


def _truncated_normal(rng: np.random.Generator, size: int) -> NDArray[np.float64]:
    """(size,) standard normal draws conditioned on [-1, 1] (scipy's truncnorm(-1, 1), as MMPose uses it)."""
    low, high = _NORMAL.cdf(-1.0), _NORMAL.cdf(1.0)
    return np.array([_NORMAL.inv_cdf(u) for u in rng.uniform(low, high, size)])


def half_body_box(
    xy: NDArray[np.float64],
    labelled: NDArray[np.bool_],
    halves: BodyHalves,
    augment: AugmentRecipe,
    rng: np.random.Generator,
) -> NDArray[np.float64] | None:
    """(4,) xywh box around the upper or lower body's labelled keypoints, not yet grown, or None: keep the person's box.

    xy: (K, 2) image pixels. labelled: (K,). Limits on the number of keypoints: MMPose RandomHalfBody's defaults.
    """
    if labelled.sum() < 9 or rng.random() >= augment.half_body:
        return None
    upper = halves.upper[labelled[halves.upper]]
    lower = halves.lower[labelled[halves.lower]]
    prefer_upper = rng.random() < 0.7
    if len(upper) < 2 and len(lower) < 3:
        return None
    if len(lower) < 3:
        chosen = upper
    elif len(upper) < 2:
        chosen = lower
    else:
        chosen = upper if prefer_upper else lower
    points = xy[chosen]
    center, size = points.mean(axis=0), np.maximum(np.ptp(points, axis=0), 1.0)
    return np.concatenate([center - size / 2, size])


def crop_matrix(
    box_xywh: NDArray[np.float64],
    input_wh: tuple[int, int],
    *,
    expand: float,
    shift: NDArray[np.float64],
    zoom: float,
    degrees: float,
    flip: bool,
) -> NDArray[np.float64]:
    """(2, 3) affine from image to augmented crop pixels.

    The box, grown by `expand` and to the input's aspect, is moved by `shift` (in units of the grown box), enlarged by
    `zoom` (> 1 shows more of the surroundings), turned by `degrees` about its centre, and mirrored. With no shift,
    zoom 1, 0 degrees and no flip it is `geometry.image_to_crop_matrix`.
    """
    center, size = geometry.box_center_size(box_xywh)
    center = center + shift * size * expand
    scale = float(geometry.box_scale(box_xywh, input_wh, expand=expand, fit="context")) / zoom
    angle = np.deg2rad(degrees)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if flip:
        linear[0] = -linear[0]
    middle = np.array(input_wh) / 2
    return np.column_stack([linear, middle - linear @ center])


def random_crop_matrix(
    box_xywh: NDArray[np.float64],
    xy: NDArray[np.float64],
    labelled: NDArray[np.bool_],
    halves: BodyHalves,
    input_wh: tuple[int, int],
    expand: float,
    augment: AugmentRecipe,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], bool]:
    """A random (2, 3) image-to-crop affine for one person, and whether it mirrors (then swap left and right)."""
    flip = bool(rng.random() < augment.flip)
    half = half_body_box(xy, labelled, halves, augment, rng)
    if half is not None:
        box_xywh, expand = half, 1.5  # MMPose RandomHalfBody: padding
    draws = _truncated_normal(rng, 4)
    chance = rng.random(2)
    shift = draws[:2] * augment.shift if chance[0] < augment.shift_chance else np.zeros(2)
    low, high = augment.zoom
    zoom = (low + high) / 2 + draws[2] * (high - low) / 2
    degrees = draws[3] * augment.rotate if chance[1] < augment.rotate_chance else 0.0
    matrix = crop_matrix(
        box_xywh, input_wh, expand=expand, shift=shift, zoom=float(zoom), degrees=float(degrees), flip=flip
    )
    return matrix, flip


def jitter(crop: NDArray[np.uint8], augment: AugmentRecipe, rng: np.random.Generator) -> NDArray[np.uint8]:
    """(h, w, 3) BGR crop -> a new one with colours shifted, perhaps blurred, perhaps a patch erased to black."""
    h, w = crop.shape[:2]
    out: Any = crop.copy()
    gains = rng.uniform(-1, 1, 3) * augment.hsv * rng.integers(0, 2, 3)
    if gains.any():
        table = np.arange(256)[:, None] + np.trunc(gains)
        hsv = cv2.cvtColor(out, cv2.COLOR_BGR2HSV)
        table[:, 0] %= 180
        lookup = np.clip(table, 0, 255).astype(np.uint8)[None]
        out = cv2.cvtColor(cv2.LUT(hsv, lookup), cv2.COLOR_HSV2BGR)
    if rng.random() < augment.blur:
        side = int(rng.integers(3, 8))
        out = cv2.blur(out, (side, side))
    if rng.random() < augment.median_blur:
        out = cv2.medianBlur(out, int(rng.choice([3, 5, 7])))
    if rng.random() < augment.erase:
        low, high = augment.erase_size
        eh, ew = (round(side * rng.uniform(low, high)) for side in (h, w))
        top, left = int(rng.integers(0, h - eh + 1)), int(rng.integers(0, w - ew + 1))
        out[top : top + eh, left : left + ew] = 0
    return out
