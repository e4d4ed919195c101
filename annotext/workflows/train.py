"""Train a student from a recipe and say what came out. The work is in `annotext.training.run.train`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotext.evaluation.files import EvaluatedSet
from annotext.evaluation.validation import METRICS
from annotext.formats.files.paths import AnyPath, paths_of
from annotext.formats.files.recipe import find_recipe, read_recipe

if TYPE_CHECKING:
    from rich.console import Console

    from annotext.training.data.whole_images import Thoroughness
    from annotext.training.preflight.report import PreflightReport
    from annotext.training.run.prepare import Device


@dataclass(frozen=True)
class TrainReport:
    """A finished run. data: per data set its name, people, people trained on and labelled keypoints by name. exported:
    the step whose weights the student has. validation: per validation set name, metric, people, the metric's value over
    all of the set's keypoints and over those that all skeletons of the recipe share."""

    folder: str
    recipe: str
    model: str
    parameters: int
    keypoints: tuple[str, ...]
    data: tuple[Mapping[str, Any], ...]
    steps: int
    samples: int
    loss: float
    onnx_sha256: str
    onnx_difference: float
    exported: int
    validation: tuple[Mapping[str, Any], ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "run": self.folder,
            "recipe": self.recipe,
            "model": self.model,
            "parameters": self.parameters,
            "keypoints": list(self.keypoints),
            "data": [dict(d) for d in self.data],
            "steps": self.steps,
            "samples": self.samples,
            "loss": self.loss,
            "exported_step": self.exported,
            "validation": [dict(v) for v in self.validation],
            "onnx": {"sha256": self.onnx_sha256, "max_probability_difference": self.onnx_difference},
        }


def train_student(
    recipe: AnyPath,
    out: AnyPath,
    *,
    roots: Mapping[str, AnyPath] | None = None,
    teachers: Mapping[str, AnyPath] | None = None,
    unpickle: AnyPath | Collection[AnyPath] = (),
    check_images: Thoroughness = "sample",
    device: Device = "auto",
    resume: bool = False,
    force: bool = False,
    console: Console | None = None,
) -> TrainReport:
    """Train the recipe of this path or name into the run directory `out`.

    roots: name of a data or validation set -> folder in place of the recipe's root. teachers: name of a teacher -> its
    checkpoint, run or ONNX model in place of the recipe's. unpickle: checkpoints that may run code while they are read.
    check_images: which images are read before the first step, to see whether they are whole. Progress goes to `console`
    (stderr by default). Raises InputError or AnnotextError with everything that is wrong before the first step.
    """
    path = find_recipe(str(recipe))
    checked = read_recipe(path)
    # A recipe's errors need no torch, which is only loaded now.
    from annotext.training.run.prepare import RunRequest
    from annotext.training.run.train import train

    request = RunRequest(
        checked,
        Path(out),
        str(path),
        _paths(roots),
        _paths(teachers),
        paths_of(unpickle),
        check_images,
        device,
        resume=resume,
        force=force,
    )
    trained = train(request, console=console)
    kept = ("name", "skeleton", "people", "trained_on", "labelled")
    return TrainReport(
        folder=str(out),
        recipe=checked.name,
        model=checked.student.model,
        parameters=trained.parameters,
        keypoints=trained.data.skeleton.keypoints,
        data=tuple({k: d[k] for k in kept} for d in trained.data.description["data"]),
        steps=trained.steps,
        samples=trained.samples,
        loss=trained.metrics["loss"],
        onnx_sha256=trained.export.sha256,
        onnx_difference=trained.export.difference,
        exported=trained.exported,
        validation=tuple(_measured(s) for s in trained.evaluation.sets) if trained.evaluation else (),
    )


def dry_run_student(
    recipe: AnyPath,
    out: AnyPath,
    *,
    roots: Mapping[str, AnyPath] | None = None,
    teachers: Mapping[str, AnyPath] | None = None,
    unpickle: AnyPath | Collection[AnyPath] = (),
    check_images: Thoroughness = "sample",
    device: Device = "auto",
    resume: bool = False,
    force: bool = False,
    console: Console | None = None,
) -> PreflightReport:
    """What `train_student` would do with the same arguments, up to the first step: everything is read and checked, some
    steps are timed, and one batch is drawn. Writes preflight.png and preflight.json into `out`, nothing else."""
    path = find_recipe(str(recipe))
    checked = read_recipe(path)
    from annotext.training.run.prepare import RunRequest
    from annotext.training.run.train import dry_run

    request = RunRequest(
        checked,
        Path(out),
        str(path),
        _paths(roots),
        _paths(teachers),
        paths_of(unpickle),
        check_images,
        device,
        resume=resume,
        force=force,
    )
    return dry_run(request, console=console)


def _paths(named: Mapping[str, AnyPath] | None) -> dict[str, Path]:
    return {name: Path(path) for name, path in (named or {}).items()}


def _measured(evaluated: EvaluatedSet) -> dict[str, Any]:
    """One set of evaluation.json as a report has it."""
    return {
        **{key: getattr(evaluated, key) for key in ("name", "metric", "people", "value")},
        "shared": METRICS[evaluated.metric].value(evaluated.shared),
        "keypoints": len(evaluated.all.keypoints),
        "missing": list(evaluated.all.missing),
    }
