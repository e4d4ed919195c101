"""Several processes as one: what a loss must know about the others."""

from __future__ import annotations

import torch.distributed
from torch import Tensor


def world() -> int:
    """How many processes train together."""
    there = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if there else 1


def mean_count(count: Tensor) -> Tensor:
    """A count of this process, averaged over all of them."""
    if world() == 1:
        return count
    total = count.detach().clone().float()
    torch.distributed.all_reduce(total)
    return total / world()
