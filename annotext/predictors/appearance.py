"""What people look like, in a few numbers: enough to tell clothes, light and background apart, not who somebody is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from annotext.core.errors import InputError, Problem
from annotext.core.poses import Poses
from annotext.predictors.images import find_missing, pointer_to, read_image, used_images

# Cells of a person's box along each side.
GRID = 6


def appearance(
    poses: Poses, folder: Path, *, progress: Callable[[int, int], None] | None = None
) -> NDArray[np.float64]:
    """(N, D) float64: the mean Lab colour of each cell of a `GRID` x `GRID` grid over each person's box.

    progress: called with (people done, all). Raises InputError for images that cannot be read, all that are missing
    at once.
    """
    missing = find_missing(folder, poses)
    if missing:
        raise InputError(missing.values())
    found = np.zeros((len(poses), 3 * GRID * GRID))
    done = 0
    for index in used_images(poses):
        try:
            pixels = read_image(folder, poses.images[index])
        except ValueError as error:
            where = str(folder / poses.images[index].file_name)
            raise InputError([Problem(where, pointer_to(poses, index), str(error))]) from None
        lab = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2LAB), dtype=np.uint8)
        rows = np.flatnonzero(poses.image_index == index)
        for row in rows:
            found[row] = _cells(lab, poses.bbox_xywh[row])
        done += len(rows)
        if progress is not None:
            progress(done, len(poses))
    return found


def _cells(lab: NDArray[np.uint8], bbox_xywh: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3 GRID^2,) mean colours inside what of the box is on the picture, at least one pixel."""
    h, w = lab.shape[:2]
    left, top = (int(np.clip(v, 0, last - 1)) for v, last in zip(np.floor(bbox_xywh[:2]), (w, h), strict=True))
    right, bottom = (
        int(np.clip(v, low + 1, last))
        for v, low, last in zip(np.ceil(bbox_xywh[:2] + bbox_xywh[2:]), (left, top), (w, h), strict=True)
    )
    cells = cv2.resize(lab[top:bottom, left:right], (GRID, GRID), interpolation=cv2.INTER_AREA)
    return cells.astype(np.float64).ravel()
