"""A person's own coordinates: shoulders at the origin, torso upright, size one; and labelled points as columns.

What is learned about poses is learned there, so that it does not depend on where, how large and how turned a person is.
N people, P points, S of them inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotext.core.anatomy import HIPS, SHOULDERS
from annotext.core.poses import Poses
from annotext.core.skeleton import Skeleton

# Two points fix a place and a size, the third begins to say which way the person bends.
MIN_INPUTS = 3


@dataclass(frozen=True)
class Frame:
    """Each person's own coordinates; every person has at least `MIN_INPUTS` different points."""

    center: NDArray[np.float64]  # (N, 2) image pixels
    size: NDArray[np.float64]  # (N,) image pixels, twice the root mean square distance from the mean input
    turn: NDArray[np.float64]  # (N,) radians from upright to the torso's direction, clockwise on screen

    @classmethod
    def of(cls, xy: NDArray[np.float64], inputs: tuple[str, ...]) -> Frame:
        """The frames of (N, S, 2) inputs."""
        middle = mean_point(xy)
        shoulders = mean_point(xy[:, [inputs.index(k) for k in SHOULDERS if k in inputs]])
        hips = mean_point(xy[:, [inputs.index(k) for k in HIPS if k in inputs]])
        up = shoulders - hips
        turn = np.where(np.isfinite(up).all(axis=1), np.arctan2(up[:, 0], -up[:, 1]), 0.0)
        return cls(np.where(np.isfinite(shoulders), shoulders, middle), size_of(xy), turn)

    @classmethod
    def joined(cls, parts: Sequence[Frame]) -> Frame:
        """Those of all parts, one behind the other."""
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("center", "size", "turn")))

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Frame:
        """Those of the people at `rows`, in that order."""
        return Frame(self.center[rows], self.size[rows], self.turn[rows])

    def into(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, P, 2) image pixels -> the person's frame."""
        return rotate((xy - self.center[:, None]) / self.size[:, None, None], -self.turn)

    def out_of(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, P, 2) in the person's frame -> image pixels."""
        return rotate(xy, self.turn) * self.size[:, None, None] + self.center[:, None]


def columns(poses: Poses, names: Sequence[str]) -> NDArray[np.float64]:
    """(N, len(names), 2) labelled positions, NaN where not labelled or not in the skeleton."""
    xy = np.full((len(poses), len(names), 2), np.nan)
    for column, name in enumerate(names):
        if name in poses.skeleton.index:
            xy[:, column] = poses.xy[:, poses.skeleton.index[name]]
    return xy


def count(xy: NDArray[np.float64]) -> NDArray[np.intp]:
    """(N,) finite points per person."""
    return np.isfinite(xy).all(axis=-1).sum(axis=1)


def size_of(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) twice the root mean square distance of the finite points from their mean."""
    spread = np.nan_to_num(xy - mean_point(xy)[:, None])
    return 2 * np.sqrt((spread**2).sum(axis=(1, 2)) / np.maximum(2 * count(xy), 1))


def usable(xy: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) bool: enough inputs, and not all in one place."""
    return (count(xy) >= MIN_INPUTS) & (size_of(xy) > 0)


def mean_point(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, P, 2) -> (N, 2) mean of the finite points, NaN where there is none."""
    there = count(xy)[:, None]
    return np.where(there > 0, np.nan_to_num(xy).sum(axis=1) / np.maximum(there, 1), np.nan)


def rotate(xy: NDArray[np.float64], angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, P, 2) turned by (N,) radians, clockwise on screen (y down)."""
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    return np.stack([xy[..., 0] * cos - xy[..., 1] * sin, xy[..., 0] * sin + xy[..., 1] * cos], axis=-1)


def mirror(xy: NDArray[np.float64], names: tuple[str, ...], skeleton: Skeleton) -> NDArray[np.float64]:
    """(N, P, 2) people seen in a mirror: x negated, left and right traded where both are among `names`."""
    partner = {k: k for k in names}
    for left, right in skeleton.flip_pairs:
        if left in partner and right in partner:
            partner[left], partner[right] = right, left
    return xy[:, [names.index(partner[k]) for k in names]] * [-1.0, 1.0]
