"""Decoded images, kept for the other people who stand in them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np
from numpy.typing import NDArray

# Bytes per loading process. COCO's people in batches of 256 take up to 170 MB if `near` is 4 times the workers, and 260
# if it is 8 times (replayed on its train annotations); the rest is for larger images.
KEPT_BYTES = 512 * 2**20


class KeptImages:
    """Images from the first of their people to the last; beyond `limit` bytes those that nobody asked for longest go.

    An image with one person is never kept. Whom another process draws is waited for in vain, until the limit.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = self.most_bytes = self.decoded = 0
        self._held: OrderedDict[Hashable, tuple[NDArray[np.uint8], int]] = OrderedDict()

    def image(self, key: Hashable, people: int, decode: Callable[[], NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """The image `key`, in which `people` stand, for one of them. It is shared: nobody may paint on it."""
        if key in self._held:
            image, left = self._held.pop(key)
            self.bytes -= image.nbytes
        else:
            image, left = decode(), people
            self.decoded += 1
        if left > 1 and image.nbytes <= self.limit:
            self._held[key] = (image, left - 1)
            self.bytes += image.nbytes
            while self.bytes > self.limit:
                self.bytes -= self._held.popitem(last=False)[1][0].nbytes
            self.most_bytes = max(self.most_bytes, self.bytes)
        return image

    def forget(self) -> None:
        """Keep nothing of what was decoded so far."""
        self._held.clear()
        self.bytes = 0
