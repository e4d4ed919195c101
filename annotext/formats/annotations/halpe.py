"""Halpe Full-Body files: COCO's layout with 136 points per person and a category that names none of them.

The first 26 points are the body in HALPE26's order; face and hands follow and are left alone. The visibility may be a
float: AlphaPose takes >= .35 as labelled, and so does this reader. `num_keypoints` counts COCO's 17 and is not checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.poses import Visibility
from annotext.core.skeleton import Skeleton
from annotext.core.skeletons import HALPE26
from annotext.formats.annotations.coco import CocoFormat
from annotext.formats.annotations.records import Faults

POINTS = 136
LABELLED_FROM = 0.35


class HalpeFormat(CocoFormat):
    """COCO's adapter with Halpe's numbers."""

    kind = "halpe"
    title = "Halpe"
    expected_v = "expected 0 to 2"

    def detect(self, document: Any, added: int) -> bool:
        """A COCO-like document without keypoint names in which an annotation has 3 x 136 numbers, added ones aside."""
        if not isinstance(document, dict) or not isinstance(document.get("annotations"), list):
            return False
        categories = document.get("categories")
        if not isinstance(categories, list) or any(isinstance(c, dict) and c.get("keypoints") for c in categories):
            return False
        numbers = 3 * (POINTS + added)
        return any(
            isinstance(a, dict) and isinstance(a.get("keypoints"), list) and len(a["keypoints"]) == numbers
            for a in document["annotations"]
        )

    def category(self, document: Mapping[str, Any]) -> int | None:
        """Position of the only category, or of the one named person."""
        categories = document["categories"]
        if len(categories) == 1:
            return 0
        named = [i for i, c in enumerate(categories) if isinstance(c, dict) and c.get("name") == "person"]
        return named[0] if len(named) == 1 else None

    def skeleton(
        self, document: Mapping[str, Any], faults: Faults, skeletons: Mapping[str, Skeleton]
    ) -> Skeleton | None:
        """The 26 body points."""
        if self.category(document) is None:
            faults.file("categories", "none is named person", "Halpe has one category, person")
            return None
        return HALPE26

    def points(self, document: Any) -> int:
        return POINTS

    def states(self, v: NDArray[np.float64]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        # A float below 2 is a confidence, not a state: nothing says such a point is hidden.
        states = np.zeros(v.shape, dtype=np.uint8)
        states[v >= LABELLED_FROM] = Visibility.VISIBLE
        states[v == Visibility.HIDDEN] = Visibility.HIDDEN
        return states, np.isfinite(v) & ~((v >= 0) & (v <= 2))

    def check_counts(
        self, records: Sequence[Any], rows: Sequence[int], counted: NDArray[np.int64], faults: Faults
    ) -> None:
        """`num_keypoints` counts COCO's 17 in these files."""


HALPE = HalpeFormat()
