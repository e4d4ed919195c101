"""Labelled people: the one form in which every file's annotations travel through annotext.

N people, K keypoints of the skeleton at hand, I images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from annotext.core.skeleton import Skeleton


class Visibility(IntEnum):
    """COCO's three states. Nothing folds 1 into 2."""

    NOT_LABELLED = 0
    HIDDEN = 1
    VISIBLE = 2


@dataclass(frozen=True)
class Image:
    """One image as the annotation file names it; width and height in pixels, None where the file does not say."""

    file_name: str
    width: int | None = None
    height: int | None = None


# The arrays of `Poses` that have a row per person, and the shape of a row.
PER_PERSON: dict[str, tuple[int | str, ...]] = {
    "xy": ("K", 2),
    "visibility": ("K",),
    "bbox_xywh": (4,),
    "area": (),
    "image_index": (),
    "ids": (),
    "crowd": (),
    "head_size": (),
}


@dataclass(frozen=True)
class Poses:
    """N people in file order.

    skeleton: the K keypoints of the arrays.
    xy: (N, K, 2) float64, image pixels, 0-based (the centre of the top left pixel is (0, 0)), x right, y down;
        NaN where not labelled.
    visibility: (N, K) uint8, values of `Visibility`; 0 exactly where xy is NaN.
    bbox_xywh: (N, 4) float64, image pixels: left, top, width, height of the person box (for MPII the square of side
        200 x scale about its shifted centre).
    area: (N,) float64, square pixels: the segment's area where the file has one; drives OKS. NaN where unknown.
    image_index: (N,) int64 into `images`.
    images: I images, in file order (COCO: also those without people).
    ids: (N,) int64, the file's annotation ids (MPII: the record's index).
    crowd: (N,) bool, boxes around groups (COCO iscrowd = 1): never predicted, never evaluated.
    head_size: (N,) float64, pixels, 0.6 x head box diagonal (MPII's PCKh unit); NaN where unknown.

    Raises ValueError when shapes or the NaN rule do not hold.
    """

    skeleton: Skeleton
    xy: NDArray[np.float64]
    visibility: NDArray[np.uint8]
    bbox_xywh: NDArray[np.float64]
    area: NDArray[np.float64]
    image_index: NDArray[np.int64]
    images: tuple[Image, ...]
    ids: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    head_size: NDArray[np.float64]

    def __post_init__(self) -> None:
        n, k = len(self.ids), len(self.skeleton)
        for name, rest in PER_PERSON.items():
            got, shape = getattr(self, name).shape, (n, *(k if size == "K" else size for size in rest))
            if got != shape:
                raise ValueError(f"poses of {self.skeleton.name}: {name} has shape {got}, expected {shape}")
        if n and int(self.visibility.max()) > Visibility.VISIBLE:
            raise ValueError(f"poses of {self.skeleton.name}: visibility outside 0-2")
        if not np.array_equal(np.isfinite(self.xy).all(axis=-1), self.visibility > 0):
            raise ValueError(f"poses of {self.skeleton.name}: xy must be finite exactly where visibility > 0")
        if n and (self.image_index.min() < 0 or self.image_index.max() >= len(self.images)):
            raise ValueError(f"poses of {self.skeleton.name}: image_index outside images")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """(N, K) bool: a person labelled this keypoint, visible or hidden."""
        return self.visibility > Visibility.NOT_LABELLED

    @property
    def has_keypoints(self) -> NDArray[np.bool_]:
        """(N,) bool: at least one keypoint is labelled."""
        return np.asarray(self.labelled.any(axis=1))

    def file_names(self) -> list[str]:
        """N image file names, one per person."""
        return [self.images[i].file_name for i in self.image_index]

    def to(self, skeleton: Skeleton) -> Poses:
        """The same people under another skeleton, mapped by name; what this one lacks is NaN and not labelled."""
        n, k = len(self), len(skeleton)
        xy = np.full((n, k, 2), np.nan)
        visibility = np.zeros((n, k), dtype=np.uint8)
        shared = skeleton.shared_with(self.skeleton)
        there, here = skeleton.indices(shared), self.skeleton.indices(shared)
        xy[:, there] = self.xy[:, here]
        visibility[:, there] = self.visibility[:, here]
        return replace(self, skeleton=skeleton, xy=xy, visibility=visibility)

    def take(self, rows: Sequence[int] | NDArray[np.intp] | NDArray[np.bool_]) -> Poses:
        """The people at `rows` (indices or a mask), in that order; the images stay as they are."""
        rows = np.asarray(rows)
        if not rows.size:
            rows = np.zeros(0, dtype=np.intp)  # an empty list has no integer type
        return replace(self, **{f: getattr(self, f)[rows] for f in PER_PERSON})


def joined(poses: Poses, others: Poses) -> Poses:
    """The people of both, `others` last. Raises ValueError unless skeleton and images are the same."""
    if poses.skeleton != others.skeleton or poses.images != others.images:
        raise ValueError("people of two files cannot be joined: skeleton or images differ")
    return replace(poses, **{f: np.concatenate([getattr(poses, f), getattr(others, f)]) for f in PER_PERSON})
