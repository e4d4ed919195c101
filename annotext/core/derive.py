"""Keypoints that follow from labelled ones: where a person labelled all parents, nothing needs to be predicted.

`RULES` is the declared table, one row per pair (whose labels -> whose convention) and keypoint, each with its
evidence. `evaluation/derive_check.py` measures a rule on a file that has both the keypoint and the parents labelled,
`evaluation/derive_search.py` finds new ones. N people, A added keypoints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from annotext.core.anatomy import HIPS, SHOULDERS
from annotext.core.poses import Poses
from annotext.core.skeleton import Skeleton

# A rule for the labels of any skeleton that has the parents.
ANY = "*"
# Weights are written by hand and added up in binary; they must still leave a moved person's point where it is.
_SUM_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Rule:
    """A keypoint as a weighted mean of labelled keypoints.

    weights: parent -> weight; they sum to 1, so the point moves, turns and grows with the person.
    source: the skeleton whose labels the parents are, or `ANY`. target: the skeleton whose annotation
        convention the point follows.
    evidence: how we know, with figures and n, and what is not known.

    Raises ValueError if the weights do not sum to 1 or the keypoint is its own parent.
    """

    keypoint: str
    weights: Mapping[str, float]
    source: str
    target: str
    evidence: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", MappingProxyType(dict(self.weights)))
        if self.keypoint in self.weights:
            raise ValueError(f"rule for {self.keypoint}: is its own parent")
        total = sum(self.weights.values())
        if not abs(total - 1) <= _SUM_TOLERANCE:
            raise ValueError(f"rule for {self.keypoint}: weights sum to {total}, expected 1")

    @property
    def parents(self) -> tuple[str, ...]:
        """The keypoints it is computed from."""
        return tuple(self.weights)

    def text(self) -> str:
        """`0.5 left_hip + 0.5 right_hip`."""
        return formula(self.weights)

    def applies_to(self, skeleton: Skeleton) -> bool:
        """Whether it is meant for labels of `skeleton`, and `skeleton` has all parents."""
        return self.source in (ANY, skeleton.name) and all(p in skeleton.index for p in self.weights)

    def apply(self, poses: Poses) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """(N, 2) float64 image pixels, NaN where a parent is not labelled; (N,) uint8 visibility.

        The point is hidden (1) if any parent is hidden, else visible (2), and 0 where it is NaN. Raises KeyError for a
        parent the skeleton lacks.
        """
        columns = poses.skeleton.indices(self.weights)
        weight = np.array(list(self.weights.values()))
        seen = poses.visibility[:, columns].min(axis=1)
        xy = (poses.xy[:, columns] * weight[:, None]).sum(axis=1)
        return np.where(seen[:, None] > 0, xy, np.nan), seen


def formula(weights: Mapping[str, float]) -> str:
    """Weights as a sum for people to read, left and right of equal weight written once."""
    terms: list[tuple[float, str]] = []
    done: set[str] = set()
    for name, weight in weights.items():
        if name in done:
            continue
        other = _other_side(name)
        if other != name and weights.get(other) == weight:
            part = name.split("_", 1)[1]
            terms.append((2 * weight, f"mid {part}s"))
            done |= {name, other}
        else:
            terms.append((weight, name))
            done.add(name)
    text = ""
    for weight, name in terms:
        sign = ("- " if weight < 0 else "+ ") if text else ("-" if weight < 0 else "")
        size = "" if abs(weight) == 1 else f"{abs(weight):.3g} "
        text += f"{' ' if text else ''}{sign}{size}{name}"
    return text


def _other_side(name: str) -> str:
    """The name with left and right traded; itself where it has no side."""
    for one, other in (("left_", "right_"), ("right_", "left_")):
        if name.startswith(one):
            return other + name.removeprefix(one)
    return name


_MID_HIPS = dict.fromkeys(HIPS, 0.5)
_MID_SHOULDERS = dict.fromkeys(SHOULDERS, 0.5)

# What holds of MPII's own labels, measured (`annotext derive-check`; people with the point and both parents labelled;
# shares are within 0.1 head size, with Wilson's 95 % interval).
_PELVIS_EVIDENCE = "MPII computed it: 99.9 % [99.6, 99.9] of 2,878 people of MPII val, median 0.006 head sizes"
_THORAX_EVIDENCE = "MPII computed it: 99.7 % [99.5, 99.9] of 2,932 people of MPII val, median 0.006 head sizes"
# COCO has neither point, so nothing can be measured there.
_COCO_HIPS = (
    "the same arithmetic on COCO's labels, which have no pelvis to compare with: it is the middle of COCO's hips, and "
    "COCO's and MPII's hips follow different habits"
)
_COCO_SHOULDERS = (
    "the same arithmetic on COCO's labels, which have no thorax to compare with: it is the middle of COCO's shoulders, "
    "and COCO's and MPII's shoulders follow different habits; the paper makes Halpe's thorax so too (its Table 5)"
)
_ANY_LABELS = (
    "the same arithmetic on labels of another skeleton, no figures of ours: `annotext derive-check` measures it where "
    "a file has"
)

# The first rule for a keypoint that applies to a skeleton holds: rules of a pair before rules for any labels.
RULES: tuple[Rule, ...] = (
    Rule("pelvis", _MID_HIPS, "mpii16", "mpii16", _PELVIS_EVIDENCE),
    Rule("thorax", _MID_SHOULDERS, "mpii16", "mpii16", _THORAX_EVIDENCE),
    Rule("pelvis", _MID_HIPS, "coco17", "mpii16", _COCO_HIPS),
    Rule("thorax", _MID_SHOULDERS, "coco17", "mpii16", _COCO_SHOULDERS),
    Rule("pelvis", _MID_HIPS, ANY, "mpii16", f"{_ANY_LABELS} a pelvis"),
    Rule("thorax", _MID_SHOULDERS, ANY, "mpii16", f"{_ANY_LABELS} a thorax"),
)

# Derived keypoint -> its two parents, where the rule is their midpoint whoever labelled them.
MIDPOINTS: dict[str, tuple[str, ...]] = {r.keypoint: r.parents for r in RULES if r.source == ANY}


def rule_for(keypoint: str, skeleton: Skeleton) -> Rule | None:
    """The declared rule for `keypoint` on labels of `skeleton`; None where there is none or a parent is lacking."""
    return next((r for r in RULES if r.keypoint == keypoint and r.applies_to(skeleton)), None)


def derive(poses: Poses, keypoints: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """(N, A, 2) float64 image pixels and (N, A) uint8 visibility of the A `keypoints` of N people.

    A keypoint is derived where `RULES` has a rule for it and the skeleton, and a person labelled all its parents;
    elsewhere it is NaN and 0. It is hidden (1) if any parent is hidden, else visible (2).
    """
    n, a = len(poses), len(keypoints)
    xy = np.full((n, a, 2), np.nan)
    visibility = np.zeros((n, a), dtype=np.uint8)
    for column, keypoint in enumerate(keypoints):
        rule = rule_for(keypoint, poses.skeleton)
        if rule is not None:
            xy[:, column], visibility[:, column] = rule.apply(poses)
    return xy, visibility
