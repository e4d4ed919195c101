"""Settings of the training process: seeds, memory, threads, and what else slows a step down for no good reason."""

from __future__ import annotations

import ctypes
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import torch

# <malloc.h>: parameters of mallopt.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3

# The most mallopt takes: an int, and glibc's HEAP_MAX_SIZE / 2.
_NEVER_TRIM = 2**31 - 1
_LARGEST_MMAP_THRESHOLD = 32 * 2**20

# Loader processes hand tensors over as open files; many systems allow a process 1024.
_OPEN_FILES = 4096


def set_seed(seed: int) -> None:
    """Seed Python's, numpy's and torch's generators, those of all GPUs included; the same in every process."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  (for libraries that draw from it)
    torch.manual_seed(seed)
    torch.cuda.manual_seed_all(seed)


def configure_process() -> None:
    """Settings that hold for the process from then on: one thread for OpenCV, cuDNN chooses its kernels by timing them
    (all batches have one shape), and more open files."""
    cv2.setNumThreads(0)
    torch.backends.cudnn.benchmark = True
    try:
        import resource
    except ImportError:  # Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(_OPEN_FILES, soft), hard), hard))


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
