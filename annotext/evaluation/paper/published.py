"""What the method's paper prints (arXiv 2405.20084, Tables 1 and 2), as far as it is known here.

Percent; AP and AR on COCO, PCKh on MPII, `average` the mean of PCKh@0.5 and AP. Tables 3 and 4 repeat some of these
figures and hold more that are not known here: those cells stay empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MPII_ONLY, COCO_ONLY, UNION, DISTILLED = "MPII-only", "COCO-only", "union", "union + distillation"
KINDS = (MPII_ONLY, COCO_ONLY, UNION, DISTILLED)
SIZES = {"rtmpose-t": "tiny", "rtmpose-s": "small"}
# The paper's input, [width, height]: another one is another model.
INPUT = (192, 256)

PCKH = ("PCKh@0.5", "PCKh@0.1")
AP = ("AP", "AP.5", "AP.75", "AR", "AR.5", "AR.75")


@dataclass(frozen=True)
class Published:
    """One student. all: on every keypoint of the truth, those it lacks are wrong. starred: where it lacks some, on the
    12 that COCO and MPII share, elsewhere on all. points: of the student. remark: what to know about a figure."""

    points: int
    all: Mapping[str, float]
    starred: Mapping[str, float] = field(default_factory=dict)
    remark: str = ""


def _figures(pckh: tuple[float, ...], ap: tuple[float, ...], average: float | None = None) -> dict[str, float]:
    named = {**dict(zip(PCKH, pckh, strict=False)), **dict(zip(AP, ap, strict=False))}
    return named if average is None else {**named, "average": average}


PUBLISHED: Mapping[tuple[str, str], Published] = {
    ("tiny", MPII_ONLY): Published(
        16,
        _figures((87.75, 29.66), (19.82, 57.56, 3.93, 25.75, 62.37, 14.37), 53.79),
        _figures((87.75, 29.66), (53.23, 76.61, 56.43, 59.12, 81.40, 62.46), 70.49),
    ),
    ("tiny", COCO_ONLY): Published(
        17,
        _figures((), (67.99, 88.07, 75.59, 73.50, 92.03, 80.38)),
        _figures((77.62, 17.79), (67.99, 88.07, 75.59, 73.50, 92.03, 80.38), 72.81),
    ),
    ("tiny", UNION): Published(21, _figures((80.21,), (60.69,), 70.45)),
    ("tiny", DISTILLED): Published(21, _figures((79.75, 19.58), (62.03, 85.66, 69.39, 68.12, 90.05, 75.13), 70.89)),
    ("small", MPII_ONLY): Published(
        16,
        _figures((89.69, 32.28), (21.86, 60.85, 53.51, 27.96, 65.52, 16.17), 55.78),
        _figures((89.69, 32.28), (57.48, 78.88, 61.57, 63.33, 83.61, 67.50), 73.59),
        # AP is the mean over ten thresholds, of which six are .75 or lower and none of those can be below AP.75.
        remark="small, MPII-only: AP.75 of 53.51 is as printed, and cannot belong to an AP of 21.86",
    ),
    ("small", COCO_ONLY): Published(
        17,
        _figures((), (72.17, 89.19, 79.38, 77.23, 92.85, 84.74)),
        _figures((81.93, 22.82), (72.17, 89.19, 79.38, 77.23, 92.85, 84.74), 77.05),
    ),
    ("small", UNION): Published(21, _figures((85.46,), (67.14,), 76.30)),
    ("small", DISTILLED): Published(21, _figures((84.16, 24.66), (68.63, 88.30, 75.73, 74.14, 92.10, 80.71), 76.40)),
}
