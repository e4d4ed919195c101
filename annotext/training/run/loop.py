"""The training loop: steps, and between them metrics, checkpoints, validation, and whether to stop."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from annotext.core.errors import AnnotextError
from annotext.formats.files.recipe import Recipe
from annotext.training.model.student import Student
from annotext.training.run.checkpoints import load_checkpoint, save_checkpoint
from annotext.training.run.curves import Curves
from annotext.training.run.distributed import is_first, parallel, world
from annotext.training.run.folder import CHECKPOINTS, last_checkpoint, recipe_hash
from annotext.training.run.metrics import Metrics
from annotext.training.run.step import Objective, Optimiser, learning_rates, train_step
from annotext.training.run.stops import Stopped, Stops
from annotext.training.run.validation import Validation


class MovingAverage:
    """An exponential moving average of a student's weights and buffers (MMEngine's ExpMomentumEMA: the first steps are
    forgotten faster). `average`: by state-dict name, on the student's device."""

    _GAMMA = 2000

    def __init__(self, student: Student, momentum: float) -> None:
        self.momentum, self.steps = momentum, 0
        self.average = {name: value.detach().clone() for name, value in student.state_dict().items()}

    @torch.no_grad()
    def update(self, student: Student) -> None:
        """Take in the weights after a step."""
        momentum = (1 - self.momentum) * math.exp(-(1 + self.steps) / self._GAMMA) + self.momentum
        for name, value in student.state_dict().items():
            kept = self.average[name]
            if kept.is_floating_point():
                kept.lerp_(value.detach(), momentum)
            else:
                kept.copy_(value)
        self.steps += 1

    def restore(self, average: dict[str, Tensor], steps: int) -> None:
        """Go on with what a checkpoint holds."""
        self.average = {name: value.to(self.average[name].device) for name, value in average.items()}
        self.steps = steps


class Loop:
    """A run of a fixed number of steps. `done` of them are made; `average` is None where the recipe has none.

    A checkpoint is written every `runtime.checkpoint_every` steps, before every validation (a resumed run never stands
    before the best weights it remembers), after the last step, and when the run is stopped. Several processes compute
    a share of each batch; the first one writes, and validates while the others wait.
    """

    def __init__(
        self,
        objective: Objective,
        recipe: Recipe,
        folder: Path,
        *,
        steps: int,
        loader: DataLoader,
        device: torch.device,
        metrics: Metrics,
        validation: Validation | None,
        curves: Curves | None,
        stops: Stops,
    ) -> None:
        """folder: the run's. loader: its batch sampler has a `start`, the first batch. curves: of the first process."""
        self.objective, self.recipe, self.checkpoints = objective, recipe, folder / CHECKPOINTS
        self.steps, self.loader, self.device = steps, loader, device
        self.metrics, self.validation, self.curves, self.stops = metrics, validation, curves, stops
        self.model = parallel(objective.to(device), device)
        self.student = objective.student
        self.optimiser = Optimiser(self.student, recipe.optim)
        self.rates = learning_rates(recipe, steps)
        self.average = MovingAverage(self.student, recipe.optim.ema) if recipe.optim.ema else None
        self.done, self._saved = 0, 0

    def run(self, *, resume: bool = False) -> None:
        """Make the steps that are left; resume: go on from the last checkpoint.

        Raises Stopped if the run is asked to stop, and AnnotextError where it cannot go on: a file that cannot be
        written, a loss that is not finite, an image that cannot be read.
        """
        whole = False  # whether the weights are something to go on from: an error may come in the middle of a step
        try:
            if resume:
                self._restore()
            self._start()
            for batch in self._batches():
                self._step(batch)
            whole = True
        except Stopped:
            whole = True
            raise
        finally:
            self.metrics.close()
            if whole:
                self._save()
            if self.curves is not None:
                self.curves.close(whole=whole)

    def _start(self) -> None:
        if self.validation is not None:
            self.validation.start(self.done)
        if self.curves is not None:
            self.curves.start(self.done)
        self.metrics.start(self.done)
        if self.done:  # perhaps killed between a checkpoint and its validation
            self._validate()
        sampler: Any = self.loader.batch_sampler
        sampler.start = self.done
        self.model.train()

    def _batches(self) -> Iterator[dict[str, Tensor]]:
        try:
            yield from self.loader
        except RuntimeError:
            # Of a signal to all processes of the run, the loader's workers die first.
            self.stops.check(self.done, self.steps)
            raise

    def _step(self, batch: dict[str, Tensor]) -> None:
        if self.objective.distillation is not None:
            self.objective.distillation.progress = self.done / self.steps
        batch = {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}
        rate = self.rates[self.done]
        losses = train_step(self.model, self.optimiser, batch, rate)
        self.done += 1
        if self.average is not None:
            self.average.update(self.student)
        line = self.metrics.add(self.done, losses, rate)
        if line is not None and self.curves is not None:
            self.curves.add_metrics(line)
        if self.done % self.recipe.runtime.checkpoint_every == 0:
            self._save()
        self._validate()
        self.stops.check_all(self.done, self.steps, self.device)

    def _validate(self) -> None:
        """If it is this step's turn."""
        if self.validation is None or not self.validation.due(self.done):
            return
        self._save()
        weights = None if self.average is None else self.average.average
        line = self.validation.run(self.done, weights, progress=self._show)
        if line is not None and self.curves is not None:
            self.curves.add_validation(line)

    def _show(self, text: str) -> None:
        self.metrics.show(text)
        if world() == 1:
            # Between two batches of a validation, too; of several processes, the others wait for its end.
            self.stops.check(self.done, self.steps)

    def _save(self) -> None:
        """Write a checkpoint of this step if there is none. Raises AnnotextError for weights that are not finite."""
        if self.done == self._saved:
            return
        if not all(bool(p.isfinite().all()) for p in self.student.parameters()):
            raise AnnotextError(f"the weights are no longer numbers after {self.done} steps: try a lower optim.lr")
        state = {
            "step": self.done,
            "recipe": recipe_hash(self.recipe),
            "state_dict": self.student.state_dict(),
            "optimizer": self.optimiser.state_dict(),
        }
        if self.average is not None:
            state["average"] = self.average.average
        if is_first():
            save_checkpoint(state, self.checkpoints, self.done)
        self._saved = self.done

    def _restore(self) -> None:
        path = last_checkpoint(self.checkpoints)
        if path is None:
            return
        state = load_checkpoint(path)
        if state.get("recipe") != recipe_hash(self.recipe):
            raise AnnotextError(f"{path}: was written by another recipe; start a new run, or use --force")
        self.student.load_state_dict(state["state_dict"])
        self.optimiser.load_state_dict(state["optimizer"])
        self.done = self._saved = state["step"]
        if self.average is not None:
            self.average.restore(state["average"], self.done)
