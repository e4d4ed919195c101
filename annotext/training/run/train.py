"""A training run: recipe in, a run directory that documents itself out.

RUN/recipe.toml      the resolved recipe, every value spelled out
RUN/config.py        what MMEngine's Runner was built from
RUN/data.json        files, sha256, people, labelled keypoints per data set
RUN/metrics.jsonl    loss and learning rate over the steps
RUN/validation.jsonl the validation sets' figures over the steps
RUN/curves.csv, .png both of them to look at; RUN/tensorboard/ the same as events
RUN/checkpoints/     the two newest, and best.pth, the weights that did best on the validation sets
RUN/train.log        MMEngine's log
RUN/preflight.png    one augmented batch with labels and teachers, and RUN/preflight.json, what was known before step 1
RUN/student.pth      the student's weights, for student.init and as a teacher
RUN/student.onnx     the student, and RUN/card.json, what a predictor must know about it
RUN/evaluation.json  how that student does on the validation sets
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import nn

from annotext.core.errors import AnnotextError, InputError
from annotext.formats.files.recipe import Recipe, write_recipe
from annotext.training.data.samples import MixedBatches, PersonCrops, loader
from annotext.training.data.sets import TrainingData
from annotext.training.data.whole_images import Thoroughness
from annotext.training.model import bridge
from annotext.training.model.export import Export, export_student
from annotext.training.model.student import Student
from annotext.training.preflight.report import PreflightReport
from annotext.training.run.checkpoints import write_checkpoint
from annotext.training.run.cpu import denormals_flushed
from annotext.training.run.curves import Curves
from annotext.training.run.distributed import (
    Shares,
    buffers_left_alone,
    from_first,
    is_first,
    rank,
    synchronise_batch_norm,
    wait,
    world,
)
from annotext.training.run.files import writing
from annotext.training.run.folder import CHECKPOINTS, clear, recipe_hash, write_json
from annotext.training.run.hooks import Checkpoints, Metrics, MovingAverage
from annotext.training.run.log import close_log, experiment, log_to
from annotext.training.run.prepare import Device, Ready, prepare
from annotext.training.run.stops import Stopped, Stops
from annotext.training.run.validation import Evaluator, Judge, Validation

bridge.install()

from mmengine.logging import MMLogger  # noqa: E402
from mmengine.model import MMDistributedDataParallel  # noqa: E402
from mmengine.runner import Runner  # noqa: E402

# Real crops the export is compared on.
_EXPORT_CROPS = 8


@dataclass(frozen=True)
class Trained:
    """What a finished run holds. metrics: the last line of metrics.jsonl. exported: the step whose weights the student
    has. evaluation: evaluation.json, None without validation sets."""

    folder: Path
    data: TrainingData
    steps: int
    samples: int
    parameters: int
    metrics: Mapping[str, float]
    export: Export
    exported: int
    evaluation: Mapping[str, Any] | None


class _Runner(Runner):
    """MMEngine's Runner on a given device, logging to a file only."""

    def __init__(self, *, device: torch.device, run_log: MMLogger, **kwargs: Any) -> None:
        self._device, self._run_log = device, run_log
        super().__init__(**kwargs)
        # MMEngine makes a dated folder for logs it was not asked to write.
        if os.path.isdir(self._log_dir) and not os.listdir(self._log_dir):
            os.rmdir(self._log_dir)

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        return self._run_log

    def dump_config(self) -> None:
        path = Path(self.work_dir, "config.py")
        with writing(path):
            self.cfg.dump(str(path))

    def wrap_model(self, model_wrapper_cfg: dict[str, Any] | None, model: nn.Module) -> nn.Module:
        model = model.to(self._device)
        if world() == 1:
            return model
        # One batch norm over all processes: the buffers are the same everywhere.
        devices = [self._device.index] if self._device.type == "cuda" else None
        return MMDistributedDataParallel(
            synchronise_batch_norm(model, self._device), device_ids=devices, **buffers_left_alone()
        )

    def _init_model_weights(self) -> None:
        """It comes with its weights. MMEngine would write a line about each of them into the log."""


@denormals_flushed()
def dry_run(
    recipe: Recipe,
    folder: Path,
    *,
    source: str,
    roots: Mapping[str, Path],
    teachers: Mapping[str, Path] | None = None,
    unpickle: Collection[Path] = (),
    check_images: Thoroughness = "sample",
    device: Device = "auto",
    resume: bool = False,
    force: bool = False,
    console: Console,
) -> PreflightReport:
    """All that `train` does before its first step, at greater length; arguments and errors are those of `train`. Of the
    run directory only preflight.png and preflight.json are written."""
    ready = prepare(
        recipe,
        folder,
        source=source,
        roots=roots,
        teachers=teachers or {},
        unpickle=unpickle,
        check_images=check_images,
        device=device,
        resume=resume,
        force=force,
        thorough=True,
        console=console,
    )
    try:
        if is_first():
            folder.mkdir(parents=True, exist_ok=True)
            ready.looked.write(folder)
    except OSError as error:
        raise InputError.single(folder, "", f"cannot be written ({error.strerror or error})") from None
    return ready.looked.report


@denormals_flushed()
def train(
    recipe: Recipe,
    folder: Path,
    *,
    source: str,
    roots: Mapping[str, Path],
    teachers: Mapping[str, Path] | None = None,
    unpickle: Collection[Path] = (),
    judge: Judge | None = None,
    check_images: Thoroughness = "sample",
    device: Device = "auto",
    resume: bool = False,
    force: bool = False,
    console: Console,
) -> Trained:
    """Train `recipe` into `folder` and export the student.

    source: the recipe's file, as problems name it. roots: data or validation set name -> folder. teachers: teacher name
    -> its file or folder, in place of the recipe's. unpickle: checkpoints of others that may run code while they are
    read. judge: says how good answers on a validation set are (`workflows.validate.judge`); a recipe with any needs it.
    check_images: which images are read beforehand. resume: go on from the last checkpoint of `folder`. force: replace
    an earlier run there. Raises InputError or AnnotextError for everything that can be known before the first step.
    """
    if recipe.validation and judge is None:
        raise ValueError("a recipe with validation sets needs a judge")
    ready = prepare(
        recipe,
        folder,
        source=source,
        roots=roots,
        teachers=teachers or {},
        unpickle=unpickle,
        check_images=check_images,
        device=device,
        resume=resume,
        force=force,
        thorough=False,
        console=console,
    )
    where, data, config, student = ready.device, ready.data, ready.config, ready.student
    crops, batches, validation_sets = ready.crops, ready.batches, ready.validation
    steps = config.train_cfg["max_iters"]
    if not is_first():
        console = Console(quiet=True)
    wait()  # all have looked at the folder
    try:
        if is_first():
            if force:
                clear(folder)
            folder.mkdir(parents=True, exist_ok=True)
            with writing(folder / "recipe.toml"):
                write_recipe(recipe, folder / "recipe.toml")
            write_json(folder / "data.json", data.description)
            ready.looked.write(folder)
    except OSError as error:
        raise InputError.single(folder, "", f"cannot be written ({error.strerror or error})") from None
    wait()
    for line in ready.looked.report.lines():
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    log = log_to(folder / "train.log")
    log.info("torch %s on %s, %d process(es)", torch.__version__, where, world())

    average = MovingAverage(recipe.optim.ema) if recipe.optim.ema else None
    metrics = Metrics(folder / "metrics.jsonl", console, batch=recipe.schedule.batch, label=recipe.name, log=log)
    checkpoints = Checkpoints(
        folder / CHECKPOINTS,
        every=recipe.runtime.checkpoint_every,
        recipe=recipe_hash(recipe),
        resume=resume,
        average=average,
    )
    stops = Stops()

    def shown(text: str) -> None:
        metrics.show(text)
        if world() == 1:
            # Between two batches of a validation, too; of several processes, the others wait for its end.
            stops.check(checkpoints.done, steps)

    validation: Validation | None = None
    if judge is not None and validation_sets:
        validation = Validation(
            Evaluator(student, validation_sets, judge, recipe, data.skeleton),
            folder,
            checkpoints,
            every=recipe.schedule.validate_every,
            recipe=recipe_hash(recipe),
            console=console,
            average=average,
            shown=shown,
        )
    curves = Curves(folder, metrics, validation, title=recipe.name, console=console) if is_first() else None
    shares = batches if world() == 1 else Shares(batches, rank(), world())
    runner = _Runner(
        launcher="none" if world() == 1 else "pytorch",
        device=where,
        run_log=log,
        model=student,
        work_dir=str(folder),
        train_dataloader=loader(crops, shares, recipe.runtime.workers, pin=where.type == "cuda"),
        train_cfg=config.train_cfg,
        optim_wrapper=config.optim_wrapper,
        param_scheduler=config.param_scheduler,
        default_hooks=config.default_hooks,
        custom_hooks=[h for h in (average, metrics, checkpoints, validation, curves, stops) if h is not None],
        env_cfg=config.env_cfg,
        visualizer=config.visualizer,
        default_scope=config.default_scope,
        randomness=config.randomness,
        experiment_name=experiment(folder),
        cfg=config,
    )
    try:
        with stops.listening():
            runner.train()
    except Stopped:
        wait()  # the first has saved its checkpoint
        raise
    except AnnotextError as error:
        # From a loader's worker the message comes wrapped in that process's traceback.
        raise AnnotextError(
            str(error).rpartition(f"{AnnotextError.__module__}.{AnnotextError.__name__}: ")[2]
        ) from None
    finally:
        close_log(log)

    # The others wait for what the first process makes of it.
    exported, export, evaluation, last = from_first(
        _finish(student, recipe, ready, folder, average, validation) if is_first() else None
    )
    return Trained(
        folder=folder,
        data=data,
        steps=steps,
        samples=steps * recipe.schedule.batch,
        parameters=sum(p.numel() for p in student.parameters()),
        metrics=last,
        export=export,
        exported=exported,
        evaluation=evaluation,
    )


def _finish(
    student: Student,
    recipe: Recipe,
    ready: Ready,
    folder: Path,
    average: MovingAverage | None,
    validation: Validation | None,
) -> tuple[int, Export, dict[str, Any] | None, dict[str, float]]:
    """Write the student's files and what they are worth: (step, export, evaluation, last metrics)."""
    step = ready.config.train_cfg["max_iters"]
    if average is not None:
        student.load_state_dict(average.average)
    if validation is not None and recipe.schedule.keep == "best":
        if validation.best_path.is_file():
            step, weights = validation.best_weights()
            student.load_state_dict(weights)
        else:
            validation.console.print("no validation gave a figure: the last weights are exported, not the best")
    plain = {name: value.cpu() for name, value in student.state_dict().items()}
    write_checkpoint({"state_dict": plain, "recipe": recipe_hash(recipe), "step": step}, folder / "student.pth")
    crops = _export_crops(ready.crops, ready.batches)
    export = export_student(student, recipe, ready.data.skeleton, crops, folder)
    evaluation: dict[str, Any] | None = None
    if validation is not None:
        evaluation = validation.evaluation(step, recipe, export.sha256)
        write_json(folder / "evaluation.json", evaluation)
    return step, export, evaluation, _last_line(folder / "metrics.jsonl")


def _export_crops(crops: PersonCrops, batches: MixedBatches) -> NDArray[np.uint8]:
    draws = batches.batch(0)
    chosen = draws[:: max(1, len(draws) // _EXPORT_CROPS)][:_EXPORT_CROPS]
    return np.stack([crops[draw]["image"] for draw in chosen])


def _last_line(path: Path) -> dict[str, float]:
    lines = path.read_text().splitlines()
    return json.loads(lines[-1]) if lines else {}
