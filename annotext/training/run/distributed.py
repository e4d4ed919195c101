"""Several processes as one (torchrun): joining them, a batch's shares, batch norm and losses over all of them.

`schedule.batch` is the global batch, and a run of several processes is the run of one: every process computes its share
of each batch, batch norm takes its statistics over all shares, and a loss divides by what all of them hold. DDP then
averages gradients.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Sampler

from annotext.core.errors import AnnotextError

# The others wait while the first process validates and exports. When one dies, torchrun ends all of them.
_PATIENCE = timedelta(hours=24)

_FAILURES = "annotext/failures"


def world() -> int:
    """How many processes train together."""
    there = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if there else 1


def rank() -> int:
    """Which of them this one is; 0 writes files and talks."""
    return torch.distributed.get_rank() if world() > 1 else 0


def is_first() -> bool:
    """Whether this process writes files and talks."""
    return rank() == 0


def join(device: torch.device) -> torch.device:
    """Meet the other processes that torchrun started, if it started any; returns this process's device. Raises
    AnnotextError for fewer GPUs than processes."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or "RANK" not in os.environ:
        return device
    if device.type == "cuda":
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            count = torch.cuda.device_count()
            raise AnnotextError(
                f"torchrun started more processes than the {count} GPU(s) here: --nproc-per-node {count}"
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    # torchrun sets OMP_NUM_THREADS.
    os.environ.setdefault("MKL_NUM_THREADS", os.environ.setdefault("OMP_NUM_THREADS", "1"))
    if not torch.distributed.is_initialized():
        backend = "nccl" if device.type == "cuda" else "gloo"
        torch.distributed.init_process_group(backend, timeout=_PATIENCE)
    return device


def wait() -> None:
    """Until all processes are here."""
    if world() > 1:
        torch.distributed.barrier()


def leave() -> None:
    """Part from the other processes once all are here, so that none goes while another still speaks to it."""
    if world() > 1:
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def first_to_fail() -> bool:
    """Whether no other process has failed before this one: then it is the one to say why."""
    if world() == 1:
        return os.environ.get("RANK", "0") == "0"
    try:
        store: Any = torch.distributed.distributed_c10d._get_default_store()
        return store.add(_FAILURES, 1) == 1
    except RuntimeError:  # the store went with the others
        return False


def from_first(value: Any) -> Any:
    """The first process's `value`, in every process."""
    if world() == 1:
        return value
    held = [value]
    torch.distributed.broadcast_object_list(held, src=0)
    return held[0]


def mean_count(count: Tensor) -> Tensor:
    """A count of this process, averaged over all of them."""
    return mean(count.float()) if world() > 1 else count


def mean(value: Tensor) -> Tensor:
    """A value of this process, averaged over all of them; without gradients."""
    if world() == 1:
        return value
    return _summed(value.detach()) / world()


class Shares(Sampler[list[Any]]):
    """Of every batch of another batch sampler, the part of one process: every `world`-th sample from `rank` on."""

    def __init__(self, batches: Any, rank: int, world: int) -> None:
        self.batches, self.rank, self.world = batches, rank, world

    @property
    def start(self) -> int:
        """The first batch, as `data.MixedBatches` has it."""
        return self.batches.start

    @start.setter
    def start(self, value: int) -> None:
        self.batches.start = value

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[Any]]:
        for batch in self.batches:
            yield batch[self.rank :: self.world]


class _Sum(torch.autograd.Function):
    """A tensor summed over all processes; so is its gradient, for every process's loss depends on every share."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return _summed(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _summed(gradients[0])


def _summed(value: Tensor) -> Tensor:
    total = value.contiguous().clone()
    torch.distributed.all_reduce(total)
    return total


def _mean_with_gradient(value: Tensor) -> Tensor:
    total: Any = _Sum.apply(value)
    return total / world()


class SyncedBatchNorm(nn.BatchNorm2d):
    """Batch norm over the equal shares of all processes, on the CPU, where torch's SyncBatchNorm does not work."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or world() == 1:
            return super().forward(input)
        x = input.float()
        axes = (0, 2, 3)
        centre = _mean_with_gradient(x.mean(axes))
        x = x - centre[:, None, None]
        variance = _mean_with_gradient(x.square().mean(axes))
        if self.track_running_stats and self.running_mean is not None and self.running_var is not None:
            with torch.no_grad():
                count = input.numel() // input.shape[1] * world()
                assert self.num_batches_tracked is not None
                self.num_batches_tracked.add_(1)
                momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
                self.running_mean.lerp_(centre.detach(), momentum)
                self.running_var.lerp_(variance.detach() * (count / max(count - 1, 1)), momentum)
        x = x * (variance + self.eps).rsqrt()[:, None, None]
        if self.affine:
            x = x * self.weight[:, None, None] + self.bias[:, None, None]
        return x.to(input.dtype)


def synchronise_batch_norm(model: nn.Module, device: torch.device) -> None:
    """Let every batch norm of `model` see the batch of all processes; state-dict names stay."""
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SyncedBatchNorm


def parallel(model: nn.Module, device: torch.device) -> nn.Module:
    """`model`, of several processes with torch's DDP around it and one batch norm over all of them."""
    if world() == 1:
        return model
    synchronise_batch_norm(model, device)
    # Synchronised, the buffers are the same everywhere. Newer versions of torch warn of the older one's name.
    known = inspect.signature(DistributedDataParallel.__init__).parameters
    buffers: Any = {"forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers": False}
    return DistributedDataParallel(model, device_ids=[device.index] if device.type == "cuda" else None, **buffers)
