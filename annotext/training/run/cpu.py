"""What slows training on a CPU for no good reason, and how it is stopped."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

# <malloc.h>: parameters of mallopt.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3

# The most mallopt takes: an int, and glibc's HEAP_MAX_SIZE / 2.
_NEVER_TRIM = 2**31 - 1
_LARGEST_MMAP_THRESHOLD = 32 * 2**20


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed memory for the next step instead of giving it back to the system.

    A step frees and asks again for hundreds of megabytes; each page that comes back anew costs a fault. With crops made
    between the steps this took the demo's training from 190 to 245 img/s on two virtual cores. True if it was done:
    on Linux with glibc; elsewhere nothing happens. It holds for the process.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_TRIM_THRESHOLD, _NEVER_TRIM)) and bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD))


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Treat denormal numbers as zero on the CPU: a softmax's vanishing tails otherwise slow it down several times.

    The setting is a thread's own and inherited: enter before torch has started its threads.
    """
    before = (torch.tensor([5e-324], dtype=torch.float64) * 1 == 0).item()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(bool(before))
