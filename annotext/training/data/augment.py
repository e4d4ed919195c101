"""One augmented look at one person: for each model a single affine warp, then colour, blur and an erased patch.

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
from annotext.core.anatomy import LOWER_BODY, UPPER_BODY
from annotext.core.skeleton import Skeleton
from annotext.formats.files.recipe import AugmentRecipe

_NORMAL = NormalDist()

# MMPose RandomHalfBody: padding.
_HALF_BODY_EXPAND = 1.5


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
    move: NDArray[np.float64],
    zoom: float,
    degrees: float,
    flip: bool,
) -> NDArray[np.float64]:
    """(2, 3) affine from image to augmented crop pixels.

    The box, grown by `expand` and to the input's aspect, is moved by `move` (image pixels), enlarged by `zoom` (> 1
    shows more of the surroundings), turned by `degrees` about its centre, and mirrored. Without a move, with zoom 1, 0
    degrees and no flip it is `geometry.image_to_crop_matrix`.
    """
    center, _ = geometry.box_center_size(box_xywh)
    center = center + move
    scale = float(geometry.box_scale(box_xywh, input_wh, expand=expand, fit="context")) / zoom
    angle = np.deg2rad(degrees)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if flip:
        linear[0] = -linear[0]
    middle = np.array(input_wh) / 2
    return np.column_stack([linear, middle - linear @ center])


@dataclass(frozen=True)
class CropRule:
    """How one model wants its crops: input size, how much the box is grown, what is painted outside.

    fill: RGB. fit: see `geometry.box_scale`. clean: without colour changes, blur and erased patch.
    """

    input_wh: tuple[int, int]
    expand: float
    fit: geometry.Fit = "context"
    fill: tuple[float, float, float] = (0.0, 0.0, 0.0)
    clean: bool = False


@dataclass(frozen=True)
class CropView:
    """One random look at one person. Every model sees it through its own `CropRule`: with the same centre, angle,
    zoom and mirroring, so that the affine between two models' crops only scales and moves, axis by axis.

    box_xywh: (4,) image pixels, the person's box, or half of it (`half`). move: (2,) image pixels.
    """

    box_xywh: NDArray[np.float64]
    half: bool
    move: NDArray[np.float64]
    zoom: float
    degrees: float
    flip: bool

    def expand(self, rule: CropRule, student: CropRule) -> float:
        """How much the box is grown: for half a body the student by MMPose's 1.5, the others in proportion."""
        return _HALF_BODY_EXPAND * rule.expand / student.expand if self.half else rule.expand

    def matrix(self, rule: CropRule, student: CropRule) -> NDArray[np.float64]:
        """(2, 3) affine from image to crop pixels."""
        return crop_matrix(
            self.box_xywh,
            rule.input_wh,
            expand=self.expand(rule, student),
            move=self.move,
            zoom=self.zoom,
            degrees=self.degrees,
            flip=self.flip,
        )

    def crop(self, image: NDArray[np.uint8], rule: CropRule, student: CropRule) -> NDArray[np.uint8]:
        """(H, W, 3) BGR image -> (h, w, 3) BGR crop; what the rule does not want to see is painted over."""
        crop: Any = cv2.warpAffine(
            image,
            self.matrix(rule, student),
            rule.input_wh,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=rule.fill[::-1],
        )
        if rule.fit == "letterbox":
            expand = self.expand(rule, student)
            scale = float(geometry.box_scale(self.box_xywh, rule.input_wh, expand=expand, fit="letterbox"))
            for axis, (side, length) in enumerate(zip(rule.input_wh, self.box_xywh[2:], strict=True)):
                edge = max(0, round((side - length * expand * scale) / 2))
                bars = (crop[:, :edge], crop[:, side - edge :]) if axis == 0 else (crop[:edge], crop[side - edge :])
                for bar in bars:
                    bar[:] = rule.fill[::-1]
        return crop


def random_view(
    box_xywh: NDArray[np.float64],
    xy: NDArray[np.float64],
    labelled: NDArray[np.bool_],
    halves: BodyHalves,
    expand: float,
    augment: AugmentRecipe,
    rng: np.random.Generator,
) -> CropView:
    """A random view of one person; expand: the student's. `flip` set means: swap left and right keypoints."""
    flip = bool(rng.random() < augment.flip)
    half = half_body_box(xy, labelled, halves, augment, rng)
    if half is not None:
        box_xywh, expand = half, _HALF_BODY_EXPAND
    draws = _truncated_normal(rng, 4)
    chance = rng.random(2)
    shift = draws[:2] * augment.shift if chance[0] < augment.shift_chance else np.zeros(2)
    low, high = augment.zoom
    zoom = (low + high) / 2 + draws[2] * (high - low) / 2
    degrees = draws[3] * augment.rotate if chance[1] < augment.rotate_chance else 0.0
    return CropView(
        box_xywh=box_xywh,
        half=half is not None,
        move=shift * box_xywh[2:] * expand,
        zoom=float(zoom),
        degrees=float(degrees),
        flip=flip,
    )


@dataclass(frozen=True)
class Jitter:
    """Changes of a crop that move nothing, drawn once and applied to every model's crop of the same person.

    gains: (3,) of hue, saturation, value. blur, median_blur: side of the window in student crop pixels, 0 for none.
    erased: (4,) left, top, width, height of the erased patch in student crop pixels, or None.
    """

    gains: NDArray[np.float64]
    blur: int
    median_blur: int
    erased: tuple[int, int, int, int] | None

    @classmethod
    def draw(cls, input_wh: tuple[int, int], augment: AugmentRecipe, rng: np.random.Generator) -> Jitter:
        """input_wh: the student's."""
        w, h = input_wh
        gains = rng.uniform(-1, 1, 3) * augment.hsv * rng.integers(0, 2, 3)
        blur = int(rng.integers(3, 8)) if rng.random() < augment.blur else 0
        median_blur = int(rng.choice([3, 5, 7])) if rng.random() < augment.median_blur else 0
        erased = None
        if rng.random() < augment.erase:
            low, high = augment.erase_size
            eh, ew = (round(side * rng.uniform(low, high)) for side in (h, w))
            top, left = int(rng.integers(0, h - eh + 1)), int(rng.integers(0, w - ew + 1))
            erased = (left, top, ew, eh)
        return cls(gains, blur, median_blur, erased)

    def seen_by(self, between: NDArray[np.float64]) -> Jitter:
        """The same changes in another crop; between: (2, 3) affine from the student's crop to that one."""
        scale = abs(float(between[0, 0]))
        erased = None
        if self.erased is not None:
            left, top, w, h = self.erased
            corners = geometry.apply_affine(between, np.array([[left, top], [left + w, top + h]], np.float64))
            low, high = np.round(corners.min(axis=0)), np.round(corners.max(axis=0))
            erased = (int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))
        blur = max(2, round(self.blur * scale)) if self.blur else 0
        median = max(3, 2 * round((self.median_blur * scale - 1) / 2) + 1) if self.median_blur else 0
        return Jitter(self.gains, blur, median, erased)

    def apply(self, crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(h, w, 3) BGR crop -> a new one with colours shifted, perhaps blurred, perhaps a patch erased to black."""
        out: Any = crop.copy()
        if self.gains.any():
            table = np.arange(256)[:, None] + np.trunc(self.gains)
            hsv = cv2.cvtColor(out, cv2.COLOR_BGR2HSV)
            table[:, 0] %= 180
            lookup = np.clip(table, 0, 255).astype(np.uint8)[None]
            out = cv2.cvtColor(cv2.LUT(hsv, lookup), cv2.COLOR_HSV2BGR)
        if self.blur:
            out = cv2.blur(out, (self.blur, self.blur))
        if self.median_blur:
            out = cv2.medianBlur(out, self.median_blur)
        if self.erased is not None:
            left, top, w, h = self.erased
            out[max(0, top) : max(0, top + h), max(0, left) : max(0, left + w)] = 0
        return out
