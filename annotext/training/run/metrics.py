"""metrics.jsonl and the progress bar."""

from __future__ import annotations

import logging
import math
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor

from annotext.core.errors import AnnotextError
from annotext.training.run.distributed import is_first, mean
from annotext.training.run.folder import METRICS, StepLines

# Steps between two lines of metrics.jsonl.
METRICS_EVERY = 20


class Metrics:
    """Shows progress and writes metrics.jsonl: one line per `METRICS_EVERY` steps with means since the last line."""

    def __init__(
        self, folder: Path, console: Console, *, steps: int, batch: int, label: str, log: logging.Logger
    ) -> None:
        self.lines, self.steps, self.batch, self.log = StepLines(folder / METRICS), steps, batch, log
        self.sums: dict[str, Tensor] = {}
        self.count = 0
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[shown]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )
        self.task = self.progress.add_task(label, total=steps, shown="")

    def start(self, done: int) -> None:
        """Go on after `done` steps."""
        if is_first():
            self.lines.keep_until(done)
        self.progress.reset(self.task, completed=done)
        self.progress.start()

    def add(self, step: int, losses: dict[str, Tensor], rate: float) -> dict[str, float] | None:
        """Count a step's losses; returns the line of metrics.jsonl where one is due. Raises AnnotextError for a loss
        that is not finite."""
        for name, value in losses.items():
            self.sums[name] = value.detach() if name not in self.sums else self.sums[name] + value.detach()
        self.count += 1
        line = None
        if step % METRICS_EVERY == 0 or step == self.steps:
            means = {name: float(mean(total)) / self.count for name, total in self.sums.items()}
            if not all(math.isfinite(value) for value in means.values()):
                raise AnnotextError(f"the loss is no longer a number after {step} steps: try a lower optim.lr")
            line = {"step": step, "samples": step * self.batch, "lr": rate, **means}
            if is_first():
                self.lines.append(line)
                self.log.info("step %d  loss %.4f  lr %.3g", step, means["loss"], rate)
            self.sums, self.count = {}, 0
            self.show(f"loss {means['loss']:.4f}  lr {rate:.2e}")
        self.progress.update(self.task, completed=step)
        return line

    def show(self, text: str) -> None:
        """Show what is going on beside the progress bar."""
        self.progress.update(self.task, shown=text)

    def close(self) -> None:
        self.progress.stop()
