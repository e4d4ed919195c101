"""What regression on geometry looks at: positions, their products, random features; and what a mirror does to them.

The set of features is closed under mirroring: a mirrored person has the same features in another order, some with the
other sign. What is fitted then holds for people and their mirror images alike, and only one of the two is looked at.

N people, S inputs, H plain features, R random ones, F in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.frame import Frame
from annotext.core.skeleton import Skeleton

# Inputs further out than this (in person sizes) are mistakes or extreme foreshortening; products must not explode.
REACH = 3.0


def plain_features(completed: NDArray[np.float64], given: NDArray[np.float64], frame: Frame) -> NDArray[np.float32]:
    """(N, S, 2) image pixels, filled in and as given -> (N, H): S places, S times whether given, turn (2), one."""
    there = np.isfinite(given).all(axis=-1)
    place = np.clip(frame.into(completed), -REACH, REACH).reshape(len(given), 2 * completed.shape[1])
    turn = np.stack([np.sin(frame.turn), np.cos(frame.turn)], axis=1)
    return np.concatenate([place, there, turn, np.ones((len(given), 1))], axis=1).astype(np.float32)


def count_plain(inputs: int) -> int:
    """H for S inputs."""
    return 3 * inputs + 3


def count_inputs(plain: int) -> int:
    """S of H plain features."""
    return (plain - 3) // 3


def count_features(inputs: int, random: int) -> int:
    """F for S inputs and R random features."""
    return count_plain(inputs) + inputs * (2 * inputs + 1) + random


def all_features(
    plain: NDArray[np.float32], hidden: NDArray[np.float32], offset: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(N, H) -> (N, F): plain features, products of coordinates, ReLU of (H, R) projections and (R,) offsets."""
    one, other = products(plain.shape[1])
    return np.concatenate([plain, plain[:, one] * plain[:, other], np.maximum(plain @ hidden + offset, 0)], axis=1)


def products(plain: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Which of the 2S coordinates are multiplied with which: all pairs, squares too."""
    one, other = np.triu_indices(2 * count_inputs(plain))
    return one, other


def partners(names: Sequence[str], skeleton: Skeleton) -> tuple[int | None, ...]:
    """For each name the position of the one that takes its place in a mirror; None where that one is not named."""
    swap: dict[str, str] = {}
    for left, right in skeleton.flip_pairs:
        swap[left], swap[right] = right, left
    place = {name: i for i, name in enumerate(names)}
    return tuple(place.get(swap.get(name, name)) for name in names)


@dataclass(frozen=True)
class Reflection:
    """Feature i of a mirrored person is sign[i] times feature index[i] of the person.

    index: (F,) int64. sign: (F,) float32, 1 or -1.
    """

    index: NDArray[np.intp]
    sign: NDArray[np.float32]

    @classmethod
    def of_plain(cls, inputs: Sequence[str], skeleton: Skeleton) -> Reflection | None:
        """Of the H plain features; None if an input stands without its other side, and no mirror keeps the set."""
        partner = np.array([-1 if p is None else p for p in partners(inputs, skeleton)])
        if (partner < 0).any():
            return None
        s = len(inputs)
        places = np.stack([2 * partner, 2 * partner + 1], axis=1).reshape(-1)
        sign = np.concatenate([np.tile([-1.0, 1.0], s), np.ones(s), [-1.0, 1.0, 1.0]])
        index = np.concatenate([places, 2 * s + partner, np.arange(3 * s, 3 * s + 3)])
        return cls(index, sign.astype(np.float32))

    def doubled(self, drawn: NDArray[np.float64]) -> NDArray[np.float32]:
        """(H, R / 2) projections -> (H, R): after them those that see the mirrored person as they see the person."""
        seen = np.zeros_like(drawn)
        seen[self.index] = drawn * self.sign[:, None]
        return np.concatenate([drawn, seen], axis=1).astype(np.float32)

    def of_all(self, random: int) -> Reflection:
        """From the plain features to all F, of which the last `random` are `doubled`."""
        h = len(self.index)
        one, other = products(h)
        place = np.zeros((h, h), dtype=np.intp)
        place[one, other] = place[other, one] = np.arange(len(one))
        units = np.roll(np.arange(random), random // 2)
        index = [self.index, h + place[self.index[one], self.index[other]], h + len(one) + units]
        sign = [self.sign, self.sign[one] * self.sign[other], np.ones(random, dtype=np.float32)]
        return Reflection(np.concatenate(index), np.concatenate(sign))

    def of_gram(self, gram: NDArray[Any]) -> NDArray[Any]:
        """(F, F) sums of products of features over people -> the same over their mirror images."""
        return self.sign[:, None] * gram[np.ix_(self.index, self.index)] * self.sign

    def of_moment(self, moment: NDArray[np.float32]) -> NDArray[np.float32]:
        """(F, 2) sums of features times x and y -> the same over the mirror images, whose x is negated."""
        return self.sign[:, None] * moment[self.index] * np.array([-1, 1], dtype=np.float32)
