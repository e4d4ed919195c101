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
import logging
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import nn

from annotext.core.problems import AnnotextError, InputError
from annotext.formats.recipe import Recipe, write_recipe
from annotext.training import bridge
from annotext.training.augment import CropRule
from annotext.training.checkpoints import initialise, write_checkpoint
from annotext.training.config import runner_config
from annotext.training.cpu import denormals_flushed, keep_freed_memory
from annotext.training.curves import Curves
from annotext.training.data import MixedBatches, PersonCrops, batch_counts, loader
from annotext.training.distil import Distillation
from annotext.training.distributed import (
    Shares,
    buffers_left_alone,
    from_first,
    is_first,
    join,
    rank,
    synchronise_batch_norm,
    wait,
    world,
)
from annotext.training.export import Export, export_student
from annotext.training.folder import CHECKPOINTS, check_folder, check_same_data, clear, recipe_hash, write_json
from annotext.training.hooks import Checkpoints, Metrics, MovingAverage
from annotext.training.kept_images import KEPT_BYTES
from annotext.training.preflight import Preflight, preflight
from annotext.training.preflight_report import PreflightReport
from annotext.training.sets import TrainingData
from annotext.training.student import Student
from annotext.training.teachers import load_teachers
from annotext.training.validation import Examiner, Judge, Validation, ValidationSet, read_people, trained_on
from annotext.training.whole_images import Pictures, Thoroughness, check_whole

bridge.install()

from mmengine.config import Config  # noqa: E402
from mmengine.logging import MMLogger  # noqa: E402
from mmengine.model import MMDistributedDataParallel  # noqa: E402
from mmengine.registry import MODELS, init_default_scope  # noqa: E402
from mmengine.runner import Runner, set_random_seed  # noqa: E402

Device = Literal["auto", "cpu", "cuda"]

# Real crops the export is compared on.
_EXPORT_CROPS = 8

_PACKAGE = Path(__file__).parent


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
        self.cfg.dump(os.path.join(self.work_dir, "config.py"))

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


def choose_device(device: Device) -> torch.device:
    """`auto` is the GPU where there is one. Raises AnnotextError for a GPU that is not there."""
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise AnnotextError("--device cuda: torch finds no GPU on this machine")
    return torch.device("cuda" if device != "cpu" and available else "cpu")


@dataclass(frozen=True)
class _Ready:
    """Everything a run needs before its first step, read and checked; nothing is written yet."""

    device: torch.device
    data: TrainingData
    validation: list[ValidationSet]
    config: Config
    student: Student
    crops: PersonCrops
    batches: MixedBatches
    looked: Preflight


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
    ready = _prepare(
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
    ready = _prepare(
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
            write_recipe(recipe, folder / "recipe.toml")
            write_json(folder / "data.json", data.description)
            ready.looked.write(folder)
    except OSError as error:
        raise InputError.single(folder, "", f"cannot be written ({error.strerror or error})") from None
    wait()
    for line in ready.looked.report.lines():
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    log = _log_to(folder / "train.log")
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
    validation: Validation | None = None
    if judge is not None and validation_sets:
        validation = Validation(
            Examiner(student, validation_sets, judge, recipe, data.skeleton),
            folder,
            checkpoints,
            every=recipe.schedule.validate_every,
            recipe=recipe_hash(recipe),
            console=console,
            average=average,
            shown=metrics.show,
        )
    curves = Curves(folder, metrics, validation, title=recipe.name, console=console) if is_first() else None
    shares: Any = batches if world() == 1 else Shares(batches, rank(), world())
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
        custom_hooks=[h for h in (average, metrics, checkpoints, validation, curves) if h is not None],
        env_cfg=config.env_cfg,
        visualizer=config.visualizer,
        default_scope=config.default_scope,
        randomness=config.randomness,
        experiment_name=_experiment(folder),
        cfg=config,
    )
    try:
        runner.train()
    except AnnotextError as error:
        # From a loader's worker the message comes wrapped in that process's traceback.
        raise AnnotextError(
            str(error).rpartition(f"{AnnotextError.__module__}.{AnnotextError.__name__}: ")[2]
        ) from None
    finally:
        _close(log)

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
    ready: _Ready,
    folder: Path,
    average: MovingAverage | None,
    validation: Validation | None,
) -> tuple[int, Export, dict[str, Any] | None, dict[str, float]]:
    """Write the student's files and what they are worth: (step, export, evaluation, last metrics)."""
    step = ready.config.train_cfg["max_iters"]
    if validation is not None and recipe.schedule.keep == "best":
        step, weights = validation.best_weights()
        student.load_state_dict(weights)
    elif average is not None:
        student.load_state_dict(average.average)
    plain = {name: value.cpu() for name, value in student.state_dict().items()}
    write_checkpoint({"state_dict": plain, "recipe": recipe_hash(recipe), "step": step}, folder / "student.pth")
    crops = _export_crops(ready.crops, ready.batches)
    export = export_student(student, recipe, ready.data.skeleton, crops, folder)
    evaluation: dict[str, Any] | None = None
    if validation is not None:
        evaluation = validation.evaluation(step, recipe, export.sha256)
        write_json(folder / "evaluation.json", evaluation)
    return step, export, evaluation, _last_line(folder / "metrics.jsonl")


def _prepare(
    recipe: Recipe,
    folder: Path,
    *,
    source: str,
    roots: Mapping[str, Path],
    teachers: Mapping[str, Path],
    unpickle: Collection[Path],
    check_images: Thoroughness,
    device: Device,
    resume: bool,
    force: bool,
    thorough: bool,
    console: Console,
) -> _Ready:
    where = join(choose_device(device))
    if recipe.schedule.batch % world():
        problem = f"a batch of {recipe.schedule.batch} cannot be shared by {world()} processes"
        raise InputError.single(source, "schedule.batch", problem, f"take a multiple of {world()}")
    check_folder(folder, recipe, resume=resume, force=force)
    data, validation = read_people(recipe, roots, source)
    for warning in trained_on(data, validation):
        console.print(warning, markup=False)
    pictures = [
        *(Pictures(f"data set {s.name}", f"data[{i}].images", s.poses, s.images) for i, s in enumerate(data.sets)),
        *(
            Pictures(f"validation set {v.name}", f"validation[{i}].images", v.asked, v.images)
            for i, v in enumerate(validation)
        ),
    ]
    read = check_whole(pictures, check_images, source=source, seed=recipe.seed, console=console)
    taught_by = load_teachers(recipe, source, skeleton=data.skeleton, given=teachers, device=where, unpickle=unpickle)
    data.description["teachers"] = [{"name": t.name, **t.identity} for t in taught_by]
    if resume:
        check_same_data(folder, data)
    if where.type == "cpu":
        keep_freed_memory()
        if recipe.runtime.threads:
            torch.set_num_threads(recipe.runtime.threads)
    config = runner_config(recipe, keypoints=len(data.skeleton), people=data.people)
    with _mmengine_silent():
        student = build_student(config, recipe, source, unpickle)
    if recipe.distil is not None:
        student.distillation = Distillation(
            taught_by,
            recipe.teacher,
            recipe.distil,
            criterion=student.criterion,
            skeleton=data.skeleton,
            student=CropRule(recipe.student.input, recipe.student.expand),
            device=where,
        )
    others = student.distillation.rules if student.distillation else ()
    crops, batches = _samples(recipe, data, config.train_cfg["max_iters"], others)
    with _mmengine_silent():
        looked = preflight(
            recipe,
            folder,
            data=data,
            checked=dict(zip((s.name for s in data.sets), read[: len(data.sets)], strict=True)),
            student=student,
            config=config,
            crops=crops,
            batches=batches,
            device=where,
            thorough=thorough,
        )
    return _Ready(where, data, validation, config, student, crops, batches, looked)


def build_student(config: Config, recipe: Recipe, source: str, unpickle: Collection[Path] = ()) -> Student:
    """The student with its starting weights: random by the recipe's seed, then those of student.init."""
    init_default_scope(config.default_scope)
    set_random_seed(recipe.seed)
    student = MODELS.build(config.model)
    student.init_weights()
    if recipe.student.init:
        initialise(student, _starting_weights(recipe, source), unpickle=unpickle)
    return student


def _starting_weights(recipe: Recipe, source: str) -> Path:
    return Path(source).parent / recipe.student.init


def _samples(
    recipe: Recipe, data: TrainingData, steps: int, others: Sequence[CropRule] = ()
) -> tuple[PersonCrops, MixedBatches]:
    batch = recipe.schedule.batch
    crops = PersonCrops(
        data.sets,
        recipe.student.input,
        expand=recipe.student.expand,
        augment=recipe.augment,
        final=recipe.final,
        final_from=round((1 - recipe.schedule.final_phase) * steps) * batch,
        seed=recipe.seed,
        others=others,
        keep_bytes=KEPT_BYTES if recipe.schedule.near else 0,
    )
    counts = batch_counts([s.share for s in data.sets], batch)
    image_of = [s.poses.image_index for s in data.sets]
    sizes = [len(images) for images in image_of]
    return crops, MixedBatches(sizes, counts, steps, recipe.seed, near=recipe.schedule.near, image_of=image_of)


def _export_crops(crops: PersonCrops, batches: MixedBatches) -> NDArray[np.uint8]:
    draws = batches.batch(0)
    chosen = draws[:: max(1, len(draws) // _EXPORT_CROPS)][:_EXPORT_CROPS]
    return np.stack([crops[draw]["image"] for draw in chosen])


def _experiment(folder: Path) -> str:
    return f"annotext {folder.resolve()}"


def _log_to(path: Path) -> MMLogger:
    """MMEngine's logger, writing to `path` and nowhere else."""
    name = _experiment(path.parent)
    log = MMLogger.get_instance(name, logger_name=name)
    log.handlers = []
    if is_first():
        handler = logging.FileHandler(path)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        handler.addFilter(_for_people)
        log.addHandler(handler)
    log.setLevel(logging.INFO)
    return log


@contextmanager
def _mmengine_silent() -> Iterator[None]:
    """While there is no folder to log into: what MMEngine says of every single weight goes nowhere."""
    log = MMLogger.get_instance("annotext before a run", logger_name="annotext before a run")
    log.handlers = []
    try:
        yield
    finally:
        _close(log)


def _for_people(record: logging.LogRecord) -> bool:
    """Of MMEngine only warnings."""
    return Path(record.pathname).is_relative_to(_PACKAGE) or record.levelno >= logging.WARNING


def _close(log: MMLogger) -> None:
    for handler in log.handlers:
        handler.close()
    # A second run of this process into the same folder gets a new one.
    MMLogger._instance_dict.pop(log.instance_name, None)


def _last_line(path: Path) -> dict[str, float]:
    lines = path.read_text().splitlines()
    return json.loads(lines[-1]) if lines else {}
