"""Validation while a student learns: its people, the student as a predictor, and the best weights so far.

The student is measured as its export will be: through `predictors.pipeline.predict`, on the annotated boxes, with the
card's crop rule and no augmentation. What the figures are is the judge's business (`evaluation/validation.py`).

N people, K keypoints of the student.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from annotext.core.errors import AnnotextError, InputError, Problem
from annotext.core.poses import Poses
from annotext.core.predictions import Predictions
from annotext.core.skeleton import Skeleton
from annotext.evaluation.pck import torso_size
from annotext.evaluation.validation import SetEvaluation, ValidationSet
from annotext.formats.annotations.head_sizes import with_head_sizes
from annotext.formats.files.recipe import Recipe, ValidationRecipe
from annotext.formats.files.skeletons import known_skeletons
from annotext.predictors.pipeline import BATCH_SIZE, predict
from annotext.training.data.sets import TrainingData, check_images, open_set, read_sets, recipe_skeleton
from annotext.training.model import bridge
from annotext.training.model.student import Student
from annotext.training.model.student_predictor import StudentPredictor
from annotext.training.run.checkpoints import load_checkpoint, write_checkpoint
from annotext.training.run.files import replacing, writing

bridge.install()

from mmengine.dist import barrier, is_main_process  # noqa: E402
from mmengine.hooks import Hook  # noqa: E402

BEST = "best.pth"
LINES = "validation.jsonl"

# Crops per inference on a GPU, which has room for more than the pipeline's.
_GPU_BATCH = 128


@dataclass(frozen=True)
class Metric:
    """A recipe's metric as people call it, its best value (values divided by it are what means over sets are made of),
    and how its value is printed."""

    label: str
    best: float
    form: str

    def text(self, value: float | None) -> str:
        """`AP 0.431`."""
        return f"{self.label} {'-' if value is None else format(value, self.form)}"


METRICS = {
    "ap": Metric("AP", 1.0, ".3f"),
    "oks": Metric("OKS", 1.0, ".3f"),
    "pckh": Metric("PCKh@0.5", 100.0, ".1f"),
    "pck": Metric("PCK@0.2", 100.0, ".1f"),
}


Judge = Callable[[ValidationSet, Predictions], SetEvaluation]


def read_people(recipe: Recipe, roots: Mapping[str, Path], source: str) -> tuple[TrainingData, list[ValidationSet]]:
    """Everybody to train on and to validate on; `read_sets` and `read_validation` with the problems of both at once."""
    problems: list[Problem] = []
    data: TrainingData | None = None
    validation: list[ValidationSet] = []
    try:
        data = read_sets(recipe, roots, source)
    except InputError as error:
        problems += error.problems
    try:
        validation = read_validation(recipe, roots, source)
    except InputError as error:
        problems += [p for p in error.problems if p not in problems]
    if data is None or problems:
        raise InputError(problems)
    if validation:
        data.description["validation"] = [v.describe() for v in validation]
    return data, validation


def trained_on(data: TrainingData, validation: Sequence[ValidationSet]) -> list[str]:
    """A warning for every set whose file is also trained on."""
    names = {d["sha256"]: d["name"] for d in data.description["data"]}
    return [
        f"validation set {v.name} is the file of data set {names[v.sha256]}: its figures say what was remembered"
        for v in validation
        if v.sha256 in names
    ]


def read_validation(recipe: Recipe, roots: Mapping[str, Path], source: str) -> list[ValidationSet]:
    """Read and check every [[validation]]; arguments and errors are those of `read_sets`."""
    student = recipe_skeleton(recipe, source)
    shared = shared_keypoints(recipe, source)
    problems: list[Problem] = []
    sets: list[ValidationSet] = []
    for i, entry in enumerate(recipe.validation):
        root = roots.get(entry.name, Path(entry.root))
        try:
            rng = np.random.default_rng(i)
            sets.append(_read(entry, root, student, shared, rng, f"validation[{i}]", source))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return sets


def shared_keypoints(recipe: Recipe, source: str) -> tuple[str, ...] | None:
    """What all skeletons of [[data]] and [[validation]] have in common (COCO and MPII: 12); None where there is one
    skeleton only, or nothing in common. Raises InputError for a skeleton nobody knows."""
    known = known_skeletons()
    problems = [
        Problem(
            source,
            f"validation[{i}].skeleton",
            f"unknown skeleton {v.skeleton!r}",
            f"one of: {', '.join(sorted(known))}",
        )
        for i, v in enumerate(recipe.validation)
        if v.skeleton not in known
    ]
    if problems:
        raise InputError(problems)
    first, *others = dict.fromkeys(d.skeleton for d in (*recipe.data, *recipe.validation))
    shared = tuple(k for k in known[first].keypoints if all(k in known[o].index for o in others))
    return shared if others and shared else None


def _read(
    entry: ValidationRecipe,
    root: Path,
    student: Skeleton,
    shared: tuple[str, ...] | None,
    rng: np.random.Generator,
    pointer: str,
    source: str,
) -> ValidationSet:
    file, labels = open_set(entry, root, pointer, source)
    everyone = labels.poses
    if not everyone.skeleton.shared_with(student):
        raise InputError.single(
            source, f"{pointer}.skeleton", f"{entry.skeleton} and the student have no keypoint in common"
        )
    if entry.head_sizes:
        head_sizes = root / entry.head_sizes
        if not head_sizes.is_file():
            hint = f"--data {entry.name}=FOLDER says where this data set is"
            raise InputError.single(source, f"{pointer}.head_sizes", f"{head_sizes} does not exist", hint)
        everyone = with_head_sizes(everyone, head_sizes)
    judgeable = everyone.has_keypoints & ~everyone.crowd & (everyone.bbox_xywh[:, 2:] > 1).all(axis=1)
    candidates = np.flatnonzero(judgeable)
    if not len(candidates):
        raise InputError.single(
            source, f"{pointer}.annotations", f"nobody in {root / entry.annotations} has a labelled keypoint and a box"
        )
    drawn = judgeable
    if 0 < entry.people < len(candidates):
        drawn = np.zeros_like(judgeable)
        drawn[rng.choice(candidates, entry.people, replace=False)] = True
    asked = everyone.take(drawn)
    why = _cannot_measure(entry.metric, asked)
    if why:
        raise InputError.single(source, f"{pointer}.metric", f"{entry.metric} needs {why[0]}", why[1])
    check_images(asked, root / entry.images, pointer, source)
    return ValidationSet(
        name=entry.name,
        skeleton=entry.skeleton,
        metric=entry.metric,
        truth=everyone.take(drawn | ~judgeable),
        asked=asked,
        images=root / entry.images,
        shared=shared,
        annotations=str(root / entry.annotations),
        sha256=file.sha256,
    )


def _cannot_measure(metric: str, people: Poses) -> tuple[str, str] | None:
    """What these people lack for the metric, and what to do; None where it can be measured."""
    if metric in ("ap", "oks") and not np.isfinite(people.area).any():
        return "areas, and nobody has one", "MPII files have none: take pckh or pck"
    if metric == "pckh" and not (people.head_size > 0).any():
        return "head boxes, and nobody has one", "head_sizes = FILE names MPII's .mat; or take pck"
    if metric == "pck" and not np.isfinite(torso_size(people)).any():
        return "people whose shoulders and hips are all labelled", "there is nobody: take ap, oks or pckh"
    return None


@contextmanager
def evaluated(student: Student, weights: Mapping[str, Tensor] | None = None) -> Iterator[None]:
    """The student in evaluation mode, and with other weights where given; afterwards it is what it was, to the bit."""
    modes = [(module, module.training) for module in student.modules()]
    own = {k: v.clone() for k, v in student.state_dict().items()} if weights is not None else {}
    # TF32 would move points by more than the export's ONNX does.
    fast = torch.backends.cudnn.allow_tf32
    try:
        torch.backends.cudnn.allow_tf32 = False
        if weights is not None:
            student.load_state_dict(weights)
        student.eval()
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = fast
        if own:
            student.load_state_dict(own)
        for module, training in modes:
            module.training = training


class Evaluator:
    """Asks a student about every set and has the answers judged."""

    def __init__(
        self, student: Student, sets: Sequence[ValidationSet], judge: Judge, recipe: Recipe, skeleton: Skeleton
    ) -> None:
        self.student, self.sets, self.judge = student, tuple(sets), judge
        self.predictor = StudentPredictor(student, recipe, skeleton)

    def examine(
        self, weights: Mapping[str, Tensor] | None = None, *, progress: Callable[[str], None] | None = None
    ) -> dict[str, SetEvaluation]:
        """A judgement per set. weights: by the student's state-dict names, its own by default."""
        gpu = next(self.student.parameters()).is_cuda
        found: dict[str, SetEvaluation] = {}
        with evaluated(self.student, weights):
            for people in self.sets:

                def said(done: int, of: int, name: str = people.name) -> None:
                    if progress:
                        progress(f"validating {name} {done}/{of}")

                [predictions] = predict(
                    [self.predictor],
                    people.asked,
                    people.images,
                    progress=said,
                    batch_size=_GPU_BATCH if gpu else BATCH_SIZE,
                )
                found[people.name] = self.judge(people, predictions)
        return found

    def mean(self, found: Mapping[str, SetEvaluation]) -> float | None:
        """The mean over sets of their metrics, each as a share of its best value; None where none has a value."""
        shares = [j.value / METRICS[s.metric].best for s in self.sets if (j := found[s.name]).value is not None]
        return sum(shares) / len(shares) if shares else None

    def line(self, step: int, found: Mapping[str, SetEvaluation]) -> dict[str, Any]:
        """What validation.jsonl says of it."""
        sets = {}
        for people in self.sets:
            judged = found[people.name]
            every = judged.figures["all"]
            more = {
                "AP": (every["oks"] or {}).get("AP"),
                "oks": (every["oks"] or {}).get("mean"),
                **{name: (every[name] or {}).get("mean") for name in ("pckh@0.5", "pckh@0.1", "pck@0.2")},
            }
            sets[people.name] = {
                "metric": people.metric,
                "value": judged.value,
                "shared": judged.shared,
                **{name: value for name, value in more.items() if value is not None},
            }
        return {"step": step, "sets": sets, "mean": self.mean(found)}

    def document(self, step: int, found: Mapping[str, SetEvaluation], recipe: Recipe, sha256: str) -> dict[str, Any]:
        """evaluation.json (read by `formats.evaluation`)."""
        return {
            "format": "annotext-evaluation/1",
            "student_sha256": sha256,
            "step": step,
            "model": recipe.student.model,
            "data": [
                {"name": d.name, "skeleton": d.skeleton} | ({} if d.labels else {"labels": False}) for d in recipe.data
            ],
            "teachers": [t.name for t in recipe.teacher],
            "sets": [
                {
                    "name": people.name,
                    "skeleton": people.skeleton,
                    "annotations": people.annotations,
                    "sha256": people.sha256,
                    "people": len(people.asked),
                    "metric": people.metric,
                    "value": found[people.name].value,
                    "figures": dict(found[people.name].figures),
                }
                for people in self.sets
            ],
        }


class Validation(Hook):
    """Examines the student every `every` steps (0: never) and after the last, writes validation.jsonl, keeps the best
    weights. Under several processes the first one works and the others wait.

    `step` and `found` are those of the newest examination. Runs after the checkpoints' hook: there is a checkpoint of
    every step that is examined, so that a resumed run never stands before the best weights it remembers.
    """

    priority = "LOWEST"

    def __init__(
        self,
        evaluator: Evaluator,
        folder: Path,
        checkpoints: Any,
        *,
        every: int,
        recipe: str,
        console: Console,
        average: Any = None,
        shown: Callable[[str], None] | None = None,
    ) -> None:
        """folder: the run's. checkpoints, average: their hooks. recipe: its hash. shown: told how far it is."""
        self.evaluator, self.checkpoints, self.average = evaluator, checkpoints, average
        self.lines, self.best_path = folder / LINES, checkpoints.folder / BEST
        self.every, self.recipe, self.console, self.shown = every, recipe, console, shown
        self.step = -1
        self.found: dict[str, SetEvaluation] = {}
        self.best: float | None = None

    def before_train(self, runner: Any) -> None:
        if not is_main_process():
            return
        # What an interrupted run measured after its last checkpoint will be measured again.
        kept = [line for line in read_lines(self.lines) if line["step"] <= runner.iter] if runner.iter else []
        with replacing(self.lines) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in kept))
        self.measured = {line["step"] for line in kept}
        if runner.iter and self.best_path.is_file():
            best = load_checkpoint(self.best_path)
            if best.get("recipe") == self.recipe and best["step"] in self.measured:
                self.best = best["mean"]
            else:
                self.best_path.unlink()

    def before_train_epoch(self, runner: Any) -> None:
        # Killed between a checkpoint and its examination.
        if runner.iter and self._due(runner.iter, runner):
            self._examine(runner, runner.iter)

    def after_train_iter(self, runner: Any, *args: Any, **kwargs: Any) -> None:
        step = runner.iter + 1
        if self._due(step, runner):
            if not all(bool(p.isfinite().all()) for p in self.evaluator.student.parameters()):
                raise AnnotextError(f"the weights are no longer numbers after {step} steps: try a lower optim.lr")
            self.checkpoints.ensure(runner)
            self._examine(runner, step)

    def _due(self, step: int, runner: Any) -> bool:
        return step == runner.max_iters or (self.every > 0 and step % self.every == 0)

    def _examine(self, runner: Any, step: int) -> None:
        if is_main_process() and step not in self.measured:
            weights = self._weights()
            self.found = self.evaluator.examine(weights, progress=self.shown)
            self.step = step
            self._record(step, weights or self.evaluator.student.state_dict())
        barrier()

    def _weights(self) -> dict[str, Tensor] | None:
        """The moving average's, where there is one."""
        if self.average is None:
            return None
        return {name.removeprefix("module."): value for name, value in self.average.average.items()}

    def _record(self, step: int, weights: Mapping[str, Tensor]) -> None:
        line = self.evaluator.line(step, self.found)
        mean = line["mean"]
        better = mean is not None and (self.best is None or mean > self.best)
        if better:
            # Before the line: a run killed between the two examines this step again.
            self.best = mean
            state = {"step": step, "recipe": self.recipe, "mean": mean, "state_dict": dict(weights)}
            write_checkpoint(state, self.best_path)
        with writing(self.lines), self.lines.open("a") as file:
            file.write(json.dumps(line) + "\n")
        self.measured.add(step)
        figures = "  ".join(f"{s.name} {METRICS[s.metric].text(self.found[s.name].value)}" for s in self.evaluator.sets)
        if self.shown:
            self.shown("validation " + ("-" if mean is None else f"{mean:.3f}"))
        self.console.print(f"step {step}: {figures}" + ("  (best so far)" if better else ""), highlight=False)

    def evaluation(self, step: int, recipe: Recipe, sha256: str) -> dict[str, Any]:
        """evaluation.json of the student as it is now, the weights of `step`, exported with this hash."""
        found = self.found if self.step == step else self.evaluator.examine()
        return self.evaluator.document(step, found, recipe, sha256)

    def best_weights(self) -> tuple[int, dict[str, Tensor]]:
        """The step and the weights of the best examination."""
        best = load_checkpoint(self.best_path)
        return best["step"], best["state_dict"]


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a .jsonl file; a last one that a killed run did not finish is left out."""
    lines = []
    for text in path.read_text().splitlines() if path.is_file() else []:
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    return lines
