"""A training run: recipe in, a run directory that documents itself out.

RUN/recipe.toml      the resolved recipe, every value spelled out
RUN/config.py        the student, optimiser and schedule as an MMEngine config
RUN/data.json        files, sha256, people, labelled keypoints per data set
RUN/metrics.jsonl    loss and learning rate over the steps
RUN/validation.jsonl the validation sets' figures over the steps
RUN/curves.csv, .png both of them to look at; RUN/tensorboard/ the same as events
RUN/checkpoints/     the two newest, and best.pth, the weights that did best on the validation sets
RUN/train.log        device, versions and the same metrics, with the time of day
RUN/preflight.png    one augmented batch with labels and teachers, and RUN/preflight.json, what was known before step 1
RUN/student.pth      the student's weights, for student.init and as a teacher
RUN/student.onnx     the student, and RUN/card.json, what a predictor must know about it
RUN/evaluation.json  how that student does on the validation sets
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from annotext.core.errors import AnnotextError, InputError
from annotext.evaluation import files
from annotext.evaluation.files import Evaluation
from annotext.formats.files.recipe import write_recipe
from annotext.training.data.samples import MixedBatches, PersonCrops, loader
from annotext.training.data.sets import TrainingData
from annotext.training.model.config import run_config
from annotext.training.model.export import Export, export_student
from annotext.training.preflight.report import PreflightReport
from annotext.training.run.checkpoints import write_checkpoint
from annotext.training.run.curves import Curves
from annotext.training.run.distributed import Shares, from_first, is_first, rank, wait, world
from annotext.training.run.folder import (
    METRICS,
    StepLines,
    cannot_write,
    clear,
    recipe_hash,
    write_document,
    write_errors,
)
from annotext.training.run.loop import Loop
from annotext.training.run.metrics import Metrics
from annotext.training.run.prepare import Ready, RunRequest, prepare
from annotext.training.run.process import configure_process, denormals_flushed, set_seed
from annotext.training.run.stops import Stopped, Stops
from annotext.training.run.validation import Evaluator, Validation

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
    evaluation: Evaluation | None


@denormals_flushed()
def dry_run(asked: RunRequest, *, console: Console | None = None) -> PreflightReport:
    """All that `train` does before its first step, at greater length, with its errors. Of the run directory only
    preflight.png and preflight.json are written."""
    console = console or Console(stderr=True)
    ready = prepare(asked, thorough=True, console=console)
    if is_first():
        with _folder(asked.folder):
            ready.preflight.write(asked.folder)
    return ready.preflight.report


@denormals_flushed()
def train(asked: RunRequest, *, console: Console | None = None) -> Trained:
    """Train a recipe into its run directory and export the student.

    Raises InputError or AnnotextError: for everything that can be known, before the first step.
    """
    console = console or Console(stderr=True)
    ready = prepare(asked, thorough=False, console=console)
    recipe, folder, student = asked.recipe, asked.folder, ready.objective.student
    if not is_first():
        console = Console(quiet=True)
    wait()  # all have looked at the folder
    if is_first():
        if asked.force:
            with _folder(folder):
                clear(folder)
        _begin(asked, ready)
    wait()
    for line in ready.preflight.report.lines():
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    configure_process()
    set_seed(recipe.seed)
    validation = None
    if ready.validation:
        evaluator = Evaluator(student, ready.validation, recipe, ready.data.skeleton)
        validation = Validation(evaluator, folder, recipe=recipe, steps=ready.steps, console=console)
    stops = Stops()
    with _log(folder / "train.log") as log, stops.listening():
        log.info("torch %s on %s, %d process(es)", torch.__version__, ready.device, world())
        batches = ready.batches if world() == 1 else Shares(ready.batches, rank(), world())
        loop = Loop(
            ready.objective,
            recipe,
            folder,
            steps=ready.steps,
            loader=loader(ready.crops, batches, recipe.runtime.workers, pin=ready.device.type == "cuda"),
            device=ready.device,
            metrics=Metrics(
                folder, console, steps=ready.steps, batch=recipe.schedule.batch, label=recipe.name, log=log
            ),
            validation=validation,
            curves=Curves(folder, title=recipe.name, console=console) if is_first() else None,
            stops=stops,
        )
        try:
            loop.run(resume=asked.resume)
        except Stopped:
            wait()  # the first has saved its checkpoint
            raise
        except AnnotextError as error:
            # From a loader's worker the message comes wrapped in that process's traceback.
            raise AnnotextError(
                str(error).rpartition(f"{AnnotextError.__module__}.{AnnotextError.__name__}: ")[2]
            ) from None
    # The others wait for what the first process makes of it.
    exported, export, evaluation = from_first(_finish(asked, ready, loop, validation, console) if is_first() else None)
    return Trained(
        folder=folder,
        data=ready.data,
        steps=ready.steps,
        samples=ready.steps * recipe.schedule.batch,
        parameters=sum(p.numel() for p in student.parameters()),
        metrics=from_first(StepLines(folder / METRICS).read()[-1] if is_first() else None),
        export=export,
        exported=exported,
        evaluation=evaluation,
    )


def _begin(asked: RunRequest, ready: Ready) -> None:
    """Write what is known before the first step."""
    folder = asked.folder
    with _folder(folder):
        with write_errors(folder / "recipe.toml"):
            write_recipe(asked.recipe, folder / "recipe.toml")
        config = run_config(asked.recipe, keypoints=len(ready.data.skeleton), people=ready.data.people)
        with write_errors(folder / "config.py"):
            config.dump(str(folder / "config.py"))
        write_document(folder / "data.json", ready.data.description)
        ready.preflight.write(folder)


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """Makes the run directory for the block; where it cannot be made, or emptied, that is one message."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise InputError.single(folder, "", f"cannot be written ({error.strerror or error})") from None


class _LogFile(logging.FileHandler):
    """A log that cannot be written ends the run like any other of its files; Python's would print a traceback."""

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            raise cannot_write(Path(self.baseFilename), error) from None
        super().handleError(record)


@contextmanager
def _log(path: Path) -> Iterator[logging.Logger]:
    """A logger that writes to `path`, in the first process, and nowhere else."""
    log = logging.getLogger("annotext.training")
    log.setLevel(logging.INFO)
    log.propagate = False
    handler: logging.Handler = logging.NullHandler()
    if is_first():
        with write_errors(path):
            handler = _LogFile(path)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    try:
        yield log
    finally:
        log.removeHandler(handler)
        with suppress(OSError):  # reported when it was written
            handler.close()


def _finish(
    asked: RunRequest, ready: Ready, loop: Loop, validation: Validation | None, console: Console
) -> tuple[int, Export, Evaluation | None]:
    """Write the student's files and its evaluation: (step whose weights it has, export, evaluation)."""
    recipe, folder, student, step = asked.recipe, asked.folder, ready.objective.student, ready.steps
    if loop.average is not None:
        student.load_state_dict(loop.average.average)
    if validation is not None and recipe.schedule.keep == "best":
        best = validation.best_weights()
        if best is None:
            console.print("no validation gave a figure: the last weights are exported, not the best")
        else:
            step, weights = best
            student.load_state_dict(weights)
    plain = {name: value.cpu() for name, value in student.state_dict().items()}
    write_checkpoint({"state_dict": plain, "recipe": recipe_hash(recipe), "step": step}, folder / "student.pth")
    export = export_student(student, recipe, ready.data.skeleton, _export_crops(ready.crops, ready.batches), folder)
    evaluation = None
    if validation is not None:
        evaluation = validation.evaluation(step, export.sha256)
        write_document(folder / files.FILE, evaluation.to_dict())
    return step, export, evaluation


def _export_crops(crops: PersonCrops, batches: MixedBatches) -> NDArray[np.uint8]:
    draws = batches.batch(0)
    chosen = draws[:: max(1, len(draws) // _EXPORT_CROPS)][:_EXPORT_CROPS]
    return np.stack([crops[draw]["image"] for draw in chosen])
