"""SIGTERM and Ctrl-C: the step that runs is finished, a checkpoint saved, and one message says how to go on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from annotext.core.errors import AnnotextError
from annotext.training.run.distributed import mean, world

# A look at the GPUs' flags waits for their work; on the CPU it costs nothing that a step would notice.
_GPU_STEPS = 20


class Stopped(AnnotextError):
    """The run was asked to stop, and did so between two steps."""


class Stops:
    """Ends a run after the step in which it was asked to; a second Ctrl-C ends it at once, without a checkpoint.

    Several processes agree on the step: after every one on the CPU, after every 20th on GPUs. torchrun, stopped itself,
    kills whoever is still there 30 seconds later: a run whose steps or validation take longer goes on from its last
    checkpoint.
    """

    def __init__(self) -> None:
        self.asked: signal.Signals | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Signals are noted, where this is the thread that gets them."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, _: Any) -> None:
        if self.asked == number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = signal.Signals(number)

    def check(self, step: int, steps: int) -> None:
        """Raises Stopped if this process was asked to stop."""
        if self.asked is not None:
            raise self._stopped(step, steps)

    def check_all(self, step: int, steps: int, device: torch.device) -> None:
        """Raises Stopped, in every process, if any of them was asked to stop; to be called by all after each step."""
        if world() == 1:
            self.check(step, steps)
        elif device.type == "cpu" or step % _GPU_STEPS == 0:
            asked = mean(torch.tensor(float(self.asked is not None), device=device)) > 0
            if asked:
                raise self._stopped(step, steps)

    def _stopped(self, step: int, steps: int) -> Stopped:
        name = self.asked.name if self.asked else "a signal to another process"
        hint = "--resume goes on with it" if step else "nothing is saved; --force starts it anew"
        return Stopped(f"stopped by {name} after {step} of {steps} steps\n  hint: {hint}")
