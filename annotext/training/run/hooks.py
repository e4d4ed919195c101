"""What happens around a training step: the loop, progress, metrics, checkpoints, moving average.

`runner` is MMEngine's Runner, whose attributes have too many types to be declared here.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn

from annotext.core.errors import AnnotextError
from annotext.training.model import bridge
from annotext.training.run.checkpoints import last_checkpoint, load_checkpoint, save_checkpoint
from annotext.training.run.distributed import bare, is_first, mean
from annotext.training.run.files import replacing, writing
from annotext.training.run.stops import Stopped, Stops

bridge.install()

from mmengine.hooks import Hook  # noqa: E402
from mmengine.registry import LOOPS  # noqa: E402
from mmengine.runner import BaseLoop  # noqa: E402

# Steps between two lines of metrics.jsonl.
METRICS_EVERY = 20


@LOOPS.register_module()
class StepLoop(BaseLoop):
    """A fixed number of steps. A resumed run asks the batch sampler to start where it stopped; MMEngine's own loop
    would load, and throw away, everything before. However a run ends, its hooks hear of it: `failed` says whether the
    weights are something to go on from."""

    stops: Stops | None = None

    def __init__(self, runner: Any, dataloader: Any, max_iters: int) -> None:
        super().__init__(runner, dataloader)
        self.max_iters, self.max_epochs = max_iters, 1
        self.iter, self.epoch = 0, 0
        self.stop_training = False
        self.failed = False

    def run(self) -> nn.Module:
        try:
            self.runner.call_hook("before_train")
            self.runner.call_hook("before_train_epoch")
            sampler: Any = self.dataloader.batch_sampler
            sampler.start = self.iter
            self.runner.model.train()
            for batch in self._batches():
                self.run_iter(batch)
        except Stopped:
            raise
        except BaseException:
            # Perhaps in the middle of a step.
            self.failed = True
            raise
        finally:
            self.runner.call_hook("after_train_epoch")
            self.runner.call_hook("after_train")
        return self.runner.model

    def _batches(self) -> Iterator[dict[str, Tensor]]:
        try:
            yield from self.dataloader
        except RuntimeError:
            # Of a signal to all processes of the run, the loader's workers die first.
            if self.stops is not None:
                self.stops.check(self.iter, self.max_iters)
            raise

    def run_iter(self, batch: dict[str, Tensor]) -> None:
        """One step, with its hooks."""
        distillation = getattr(bare(self.runner.model), "distillation", None)
        if distillation is not None:
            distillation.progress = self.iter / self.max_iters
        self.runner.call_hook("before_train_iter", batch_idx=self.iter, data_batch=batch)
        outputs = self.runner.model.train_step(batch, optim_wrapper=self.runner.optim_wrapper)
        self.runner.call_hook("after_train_iter", batch_idx=self.iter, data_batch=batch, outputs=outputs)
        self.iter += 1


class MovingAverage(Hook):
    """Keeps an exponential moving average of weights and buffers (MMEngine's ExpMomentumEMA: the first steps, of no
    worth, are forgotten faster). `average` holds it by state-dict name, on the model's device."""

    priority = "NORMAL"
    _GAMMA = 2000

    def __init__(self, momentum: float) -> None:
        self.momentum = momentum
        self.average: dict[str, Tensor] = {}
        self.steps = 0

    def before_train(self, runner: Any) -> None:
        if not self.average:
            self.average = {k: v.detach().clone() for k, v in bare(runner.model).state_dict().items()}

    @torch.no_grad()
    def after_train_iter(self, runner: Any, *args: Any, **kwargs: Any) -> None:
        momentum = (1 - self.momentum) * math.exp(-(1 + self.steps) / self._GAMMA) + self.momentum
        for name, value in bare(runner.model).state_dict().items():
            kept = self.average[name]
            if kept.is_floating_point():
                kept.lerp_(value.detach(), momentum)
            else:
                kept.copy_(value)
        self.steps += 1


class Checkpoints(Hook):
    """Saves every `every` steps, at the end, and when the run is interrupted; with `resume`, goes on from the last.

    Runs after the schedulers' hook, so that a checkpoint holds the state the next step starts from.
    """

    priority = "VERY_LOW"

    def __init__(
        self, folder: Path, *, every: int, recipe: str, resume: bool, average: MovingAverage | None = None
    ) -> None:
        self.folder, self.every, self.recipe, self.resume, self.average = folder, every, recipe, resume, average
        self.saved = -1
        self.done = 0

    def before_train(self, runner: Any) -> None:
        path = last_checkpoint(self.folder) if self.resume else None
        if path is None:
            return
        state = load_checkpoint(path)
        if state.get("recipe") != self.recipe:
            raise AnnotextError(f"{path}: was written by another recipe; start a new run, or use --force")
        bare(runner.model).load_state_dict(state["state_dict"])
        runner.optim_wrapper.load_state_dict(state["optimizer"])
        for scheduler, kept in zip(_schedulers(runner), state["schedulers"], strict=True):
            scheduler.load_state_dict(kept)
        runner.train_loop.iter = self.done = self.saved = state["step"]
        if self.average is not None:
            device = next(runner.model.parameters()).device
            self.average.average = {k: v.to(device) for k, v in state["average"].items()}
            self.average.steps = state["step"]

    def after_train_iter(self, runner: Any, *args: Any, **kwargs: Any) -> None:
        self.done = runner.iter + 1
        if self.done % self.every == 0:
            self._save(runner)

    def after_train(self, runner: Any) -> None:
        if self.done != self.saved and self.done > 0 and not runner.train_loop.failed:
            self._save(runner)

    def ensure(self, runner: Any) -> None:
        """A checkpoint of this step, whether it is its turn or not."""
        if self.done != self.saved:
            self._save(runner)

    def _save(self, runner: Any) -> None:
        model = bare(runner.model)
        if not all(bool(p.isfinite().all()) for p in model.parameters()):
            raise AnnotextError(f"the weights are no longer numbers after {self.done} steps: try a lower optim.lr")
        state = {
            "step": self.done,
            "recipe": self.recipe,
            "state_dict": model.state_dict(),
            "optimizer": runner.optim_wrapper.state_dict(),
            "schedulers": [_plain(s.state_dict()) for s in _schedulers(runner)],
        }
        if self.average is not None:
            state["average"] = self.average.average
        if is_first():
            save_checkpoint(state, self.folder, self.done)
        self.saved = self.done


def _schedulers(runner: Any) -> Sequence[Any]:
    found = runner.param_schedulers
    return found if isinstance(found, list) else [s for group in found.values() for s in group]


def _plain(state: dict[str, Any]) -> dict[str, Any]:
    """A scheduler's state without what `weights_only` would not read back (bound methods, registries)."""
    kept = (bool, int, float, str, list, tuple, dict, type(None))
    return {k: v for k, v in state.items() if isinstance(v, kept)}


class Metrics(Hook):
    """Shows progress and writes metrics.jsonl: one line per `METRICS_EVERY` steps with means since the last line."""

    # Before the schedulers' hook changes the learning rate the step was made with.
    priority = "BELOW_NORMAL"

    def __init__(self, path: Path, console: Console, *, batch: int, label: str, log: logging.Logger) -> None:
        self.path, self.console, self.batch, self.label, self.log = path, console, batch, label, log
        self.sums: dict[str, Tensor] = {}
        self.count = 0
        self.last: dict[str, float] = {}
        self.progress: Progress | None = None

    def before_train_epoch(self, runner: Any) -> None:
        # Not in before_train: there a resumed run learns where it stopped.
        done = runner.iter
        if is_first():
            self._keep_until(done)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[shown]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
        )
        self.progress.start()
        self.task = self.progress.add_task(self.label, total=runner.max_iters, completed=done, shown="")

    def _keep_until(self, done: int) -> None:
        """Drop what an interrupted run wrote after its last checkpoint, a half-written line too: it comes again."""
        kept = []
        for line in self.path.read_text().splitlines() if done and self.path.exists() else []:
            try:
                if json.loads(line)["step"] > done:
                    break
            except json.JSONDecodeError:
                break
            kept.append(f"{line}\n")
        with replacing(self.path) as temporary:
            temporary.write_text("".join(kept))

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Tensor] | None = None
    ) -> None:
        for name, value in (outputs or {}).items():
            held = self.sums.get(name)
            self.sums[name] = value.detach() if held is None else held + value.detach()
        self.count += 1
        step = runner.iter + 1
        if step % METRICS_EVERY == 0 or step == runner.max_iters:
            means = {k: float(mean(v)) / self.count for k, v in self.sums.items()}
            if not all(math.isfinite(v) for v in means.values()):
                raise AnnotextError(f"the loss is no longer a number after {step} steps: try a lower optim.lr")
            rate = float(runner.optim_wrapper.param_groups[0]["lr"])
            self.last = {"step": step, "samples": step * self.batch, "lr": rate, **means}
            if is_first():
                self._write(self.last)
            self.sums, self.count = {}, 0
            self.show(f"loss {means['loss']:.4f}  lr {rate:.2e}")
        if self.progress is not None:
            self.progress.update(self.task, completed=step)

    def _write(self, line: dict[str, float]) -> None:
        with writing(self.path), self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        self.log.info("step %d  loss %.4f  lr %.3g", line["step"], line["loss"], line["lr"])

    def show(self, text: str) -> None:
        """Say what is going on beside the progress bar."""
        if self.progress is not None:
            self.progress.update(self.task, shown=text)

    def after_train(self, runner: Any) -> None:
        if self.progress is not None:
            self.progress.stop()
