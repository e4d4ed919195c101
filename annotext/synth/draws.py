"""Chance that arrives image by image and is used for many people at once.

Every image owns a generator, so what an image shows never depends on its neighbours; the body's arithmetic is faster
on a few hundred people than on one. A person therefore draws a row of numbers from the image's generator, and the rows
of a chunk are stacked and handed out column by column.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

# More than `body` and `figure` use together; Draws raises when a change outgrows it.
NORMALS, UNIFORMS = 72, 48


def draw_rows(rng: np.random.Generator, people: int) -> NDArray[np.float64]:
    """(people, NORMALS + UNIFORMS) float64: standard normals, then uniforms in [0, 1)."""
    return np.concatenate([rng.standard_normal((people, NORMALS)), rng.random((people, UNIFORMS))], axis=1)


class Draws:
    """Hands out the columns of (N, NORMALS + UNIFORMS) rows, each once, in the order they are asked for."""

    def __init__(self, rows: NDArray[np.float64]) -> None:
        self._rows = rows
        self._normal, self._uniform = 0, NORMALS

    def __len__(self) -> int:
        return len(self._rows)

    def normal(self, mean: ArrayLike = 0.0, sigma: ArrayLike = 1.0) -> NDArray[np.float64]:
        """(N,) normal numbers."""
        self._normal += 1
        if self._normal > NORMALS:
            raise ValueError("a person needs more normal draws than NORMALS")
        return np.asarray(mean) + np.asarray(sigma) * self._rows[:, self._normal - 1]

    def uniform(self, low: ArrayLike = 0.0, high: ArrayLike = 1.0) -> NDArray[np.float64]:
        """(N,) uniform numbers in [low, high)."""
        self._uniform += 1
        if self._uniform > NORMALS + UNIFORMS:
            raise ValueError("a person needs more uniform draws than UNIFORMS")
        return np.asarray(low) + (np.asarray(high) - np.asarray(low)) * self._rows[:, self._uniform - 1]

    def factor(self, sigma: float) -> NDArray[np.float64]:
        """(N,) log-normal factors about 1."""
        return np.exp(self.normal(0.0, sigma))

    def choice(self, weights: Sequence[float]) -> NDArray[np.intp]:
        """(N,) indices drawn with the given weights."""
        edges = np.cumsum(weights) / np.sum(weights)
        return np.minimum(np.searchsorted(edges, self.uniform(), side="right"), len(weights) - 1)
