"""One training step: the objective it minimises, the learning rate it is made with, and the optimiser."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from annotext.formats.files.recipe import OptimRecipe, Recipe
from annotext.training.model.config import phases
from annotext.training.model.student import Student
from annotext.training.teachers.distil import Distillation

_NORMS = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
    *(nn.GroupNorm, nn.LayerNorm),
)


class Objective(nn.Module):
    """A student with the loss of its labels and of its teachers, if it has any: a batch in, losses out.

    It is a module so that DDP can wrap it. Its state is the student's alone: teachers are in no checkpoint.
    """

    def __init__(self, student: Student, distillation: Distillation | None = None) -> None:
        super().__init__()
        self.student, self.distillation = student, distillation

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """() float32 each: "loss" is what is minimised; "task" and "distil_NAME", detached, are its parts."""
        x, y = self.student(batch["image"])
        task = self.student.criterion(x, y, batch["points"], batch["labelled"], batch.get("weight"))
        if self.distillation is None:
            return {"loss": task, "task": task.detach()}
        terms = self.distillation.terms(x, y, batch)
        parts = {f"distil_{name}": term.detach() for name, term in terms.items()}
        return {"loss": self.distillation.total(task, terms), "task": task.detach(), **parts}


class Optimiser:
    """AdamW with gradients clipped to a norm. Norm layers and biases do not decay.

    Its state is torch's, with one group per parameter in the model's order.
    """

    def __init__(self, model: nn.Module, optim: OptimRecipe) -> None:
        self.adamw = torch.optim.AdamW(list(_groups(model, optim.weight_decay)), lr=optim.lr)
        self.parameters = [p for group in self.adamw.param_groups for p in group["params"]]
        self.clip = optim.clip

    def step(self, loss: Tensor, rate: float) -> None:
        """Backward, clip, update with learning rate `rate`."""
        loss.backward()
        if self.clip:
            clip_grad_norm_(self.parameters, self.clip)
        for group in self.adamw.param_groups:
            group["lr"] = rate
        self.adamw.step()
        self.adamw.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        return self.adamw.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Also takes the state that MMEngine's OptimWrapper saved, which has settings of its own beside torch's."""
        self.adamw.load_state_dict({key: state[key] for key in ("state", "param_groups")})


def _groups(model: nn.Module, weight_decay: float) -> Iterator[dict[str, Any]]:
    """MMEngine's groups for norm_decay_mult = bias_decay_mult = 0: each parameter once, in the order of modules."""
    seen: set[nn.Parameter] = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter in seen or not parameter.requires_grad:
                continue
            seen.add(parameter)
            decays = not isinstance(module, _NORMS) and name != "bias"
            yield {"params": [parameter], "weight_decay": weight_decay if decays else 0.0}


def learning_rates(recipe: Recipe, steps: int) -> list[float]:
    """The rate of each of `steps` steps: linear warm-up, constant, cosine down to final_lr x lr.

    Computed from step to step as MMEngine's LinearLR and CosineAnnealingLR do, with the same rounding.
    """
    warmup, begin = phases(recipe, steps)
    start, least = recipe.schedule.warmup_start, recipe.optim.lr * recipe.schedule.final_lr
    rate, rates = recipe.optim.lr, []
    for step in range(steps):
        if step == 0 and warmup:
            rate *= start
        elif step < warmup:
            rate *= 1.0 + (1.0 - start) / ((warmup - 1) * start + (step - 1) * (1.0 - start))
        if step > begin:
            now, before = (1 + math.cos(math.pi * (s - begin) / (steps - begin)) for s in (step, step - 1))
            rate = now / before * (rate - least) + least
        rates.append(rate)
    return rates


def train_step(objective: nn.Module, optimiser: Optimiser, batch: dict[str, Tensor], rate: float) -> dict[str, Tensor]:
    """Make one step on `batch`, which is on the model's device; returns the `Objective`'s losses before it."""
    losses = objective(batch)
    optimiser.step(losses["loss"], rate)
    return losses
