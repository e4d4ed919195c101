"""When a point is right: the largest error, in pixels, that still counts, and which rule says so.

A calibration means something on other data only if "right" means the same there. COCO's rule takes a person's segment
area, MPII's the head; files rarely have both. The rule `KS_OF_SIZE` needs only labelled keypoints, so it can be asked
of every file: it is COCO's rule for a person of the usual area for their size.

N people, A keypoints.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

# COCO's loosest threshold on the keypoint similarity: exp(-d^2 / (2 area (2 sigma)^2)) >= .5.
SIMILARITY = 0.5
# MPII's: half a head.
HEADS = 0.5
# Segment area over squared person size (`Frame.size`). Median of the 60 people of the COCO images used for tests that
# have all 12 joints shared with MPII and COCO's own area (middle half 1.31-1.79). On synthetic people 1.33 and 1.22.
AREA_OF_SIZE = 1.57


class Criterion(StrEnum):
    """A rule for what is right."""

    KS = "ks"  # keypoint similarity >= .5 with the person's own area
    PCKH = "pckh"  # at most half a head size away
    KS_OF_SIZE = "ks-of-size"  # keypoint similarity >= .5 with the usual area for the person's size


def tolerance(
    criterion: Criterion,
    sigmas: NDArray[np.float64],
    *,
    area: NDArray[np.float64],
    head_size: NDArray[np.float64],
    size: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(N, A) float64 px: errors up to here are right by `criterion`; NaN where a person lacks what it asks for.

    sigmas: (A,) of a named set. area: (N,) square pixels. head_size, size: (N,) px. Zero and NaN mean unknown.
    Source of the similarity: cocodataset/cocoapi cocoeval.py computeOks.
    """
    if criterion is Criterion.PCKH:
        unit, per_keypoint = HEADS * head_size, np.ones(len(sigmas))
    else:
        square = area if criterion is Criterion.KS else AREA_OF_SIZE * size**2
        unit = np.sqrt(np.where(square > 0, square, np.nan))
        per_keypoint = np.sqrt(-2 * np.log(SIMILARITY)) * 2 * sigmas
    unit = np.where(unit > 0, unit, np.nan)
    return unit[:, None] * per_keypoint
