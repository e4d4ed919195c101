"""Halpe Full-Body files: COCO's layout with 136 points per person and a category that names none of them.

The first 26 points are the body in HALPE26's order; face and hands follow and are left alone. The visibility may be a
float: AlphaPose takes >= .35 as labelled, and so does this reader. `num_keypoints` counts COCO's 17 and is not checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annotext.core.skeleton import Skeleton
from annotext.core.skeletons import HALPE26
from annotext.formats.annotations.coco import Layout, added_names, check_lists, header_of, read_annotated_people
from annotext.formats.annotations.records import Faults, Parsed

POINTS = 136
LABELLED_FROM = 0.35
LAYOUT = Layout("halpe", HALPE26, POINTS, labelled_from=LABELLED_FROM, counts_points=False)


def is_halpe(document: Any) -> bool:
    """A COCO-like document without keypoint names in which an annotation has 3 x 136 numbers, added points aside."""
    if not isinstance(document, dict) or not isinstance(document.get("annotations"), list):
        return False
    categories = document.get("categories")
    if not isinstance(categories, list) or any(isinstance(c, dict) and c.get("keypoints") for c in categories):
        return False
    added = (header_of(document) or {}).get("added")
    numbers = 3 * (POINTS + (len(added) if isinstance(added, list) else 0))
    return any(
        isinstance(a, dict) and isinstance(a.get("keypoints"), list) and len(a["keypoints"]) == numbers
        for a in document["annotations"]
    )


def person_category(document: Mapping[str, Any]) -> int | None:
    """Position of the only category, or of the one named person."""
    categories = document["categories"]
    if len(categories) == 1:
        return 0
    named = [i for i, c in enumerate(categories) if isinstance(c, dict) and c.get("name") == "person"]
    return named[0] if len(named) == 1 else None


def read_halpe(document: Mapping[str, Any], faults: Faults, skeletons: Mapping[str, Skeleton]) -> Parsed | None:
    """The people of a Halpe document, their 26 body points. Problems go into `faults`."""
    if not check_lists(document, faults):
        return None
    category = person_category(document)
    if category is None:
        faults.file("categories", "none is named person", "Halpe has one category, person")
        return None
    added = added_names(document, faults, None)
    if added is None:
        return None
    return read_annotated_people(document, faults, category, LAYOUT, added, tuple(skeletons.values()))
