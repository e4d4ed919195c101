"""Validation while a student learns: the student as a predictor, the lines of validation.jsonl, the best weights.

The student is measured as its export will be: through `predictors.pipeline.predict`, on the annotated boxes, with the
card's crop rule and no augmentation. The figures are those of `annotext.evaluation.validation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from annotext.core.skeleton import Skeleton
from annotext.evaluation.files import EvaluatedSet, Evaluation, TrainedOn
from annotext.evaluation.validation import METRICS, ValidationSet, evaluate_set
from annotext.formats.files.recipe import Recipe
from annotext.predictors.pipeline import BATCH_SIZE, predict
from annotext.training.model.student import Student
from annotext.training.model.student_predictor import StudentPredictor
from annotext.training.run.checkpoints import load_checkpoint, write_checkpoint
from annotext.training.run.distributed import is_first, wait
from annotext.training.run.folder import CHECKPOINTS, VALIDATION, StepLines, recipe_hash

BEST = "best.pth"

# Crops per inference on a GPU, which has room for more than the pipeline's.
_GPU_BATCH = 128

Progress = Callable[[str], None]


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
    """Runs a student on every validation set and evaluates its predictions."""

    def __init__(self, student: Student, sets: Sequence[ValidationSet], recipe: Recipe, skeleton: Skeleton) -> None:
        self.student, self.sets = student, tuple(sets)
        self.predictor = StudentPredictor(student, recipe, skeleton)

    def evaluate(
        self, weights: Mapping[str, Tensor] | None = None, *, progress: Progress | None = None
    ) -> tuple[EvaluatedSet, ...]:
        """Every set, in the recipe's order. weights: by the student's state-dict names, its own by default."""
        gpu = next(self.student.parameters()).is_cuda
        found = []
        with evaluated(self.student, weights):
            for people in self.sets:

                def show(done: int, of: int, name: str = people.name) -> None:
                    if progress:
                        progress(f"validating {name} {done}/{of}")

                [predictions] = predict(
                    [self.predictor],
                    people.asked,
                    people.images,
                    progress=show,
                    batch_size=_GPU_BATCH if gpu else BATCH_SIZE,
                )
                found.append(evaluate_set(people, predictions))
        return tuple(found)


def mean_of(found: Sequence[EvaluatedSet]) -> float | None:
    """The mean over sets of their metrics, each as a share of its best value; None where none has a value."""
    shares = [s.value / METRICS[s.metric].best for s in found if s.value is not None]
    return sum(shares) / len(shares) if shares else None


def line_of(step: int, found: Sequence[EvaluatedSet]) -> dict[str, Any]:
    """The line of validation.jsonl."""
    sets = {}
    for one in found:
        oks = one.all.oks or {}
        more = {"AP": oks.get("AP"), "oks": oks.get("mean")}
        more |= {name: (share or {}).get("mean") for name, share in one.all.shares.items()}
        sets[one.name] = {
            "metric": one.metric,
            "value": one.value,
            "shared": METRICS[one.metric].value(one.shared),
            **{name: value for name, value in more.items() if value is not None},
        }
    return {"step": step, "sets": sets, "mean": mean_of(found)}


class Validation:
    """Evaluates the student every `every` steps (0: never) and after the last, writes validation.jsonl, keeps the best
    weights. Under several processes the first one works and the others wait."""

    def __init__(self, evaluator: Evaluator, folder: Path, *, recipe: Recipe, steps: int, console: Console) -> None:
        """folder: the run's. steps: of the whole run."""
        self.evaluator, self.recipe, self.steps, self.console = evaluator, recipe, steps, console
        self.lines, self.best_path = StepLines(folder / VALIDATION), folder / CHECKPOINTS / BEST
        self.measured: set[int] = set()
        self.best: float | None = None
        self._newest: tuple[int, tuple[EvaluatedSet, ...]] = -1, ()

    def start(self, done: int) -> None:
        """Go on after `done` steps: what was measured later will be measured again."""
        if not is_first():
            return
        self.measured = {line["step"] for line in self.lines.keep_until(done)}
        if done and self.best_path.is_file():
            best = load_checkpoint(self.best_path)
            if best.get("recipe") == recipe_hash(self.recipe) and best["step"] in self.measured:
                self.best = best["mean"]
            else:
                self.best_path.unlink()

    def due(self, step: int) -> bool:
        """Whether it is this step's turn."""
        every = self.recipe.schedule.validate_every
        return step == self.steps or (every > 0 and step % every == 0)

    def run(
        self, step: int, weights: Mapping[str, Tensor] | None = None, *, progress: Progress | None = None
    ) -> dict[str, Any] | None:
        """Evaluate the student after `step` steps, with `weights` in place of its own where given; returns the line of
        validation.jsonl. None where that step has a line, and in all processes but the first."""
        line = None
        if is_first() and step not in self.measured:
            found = self.evaluator.evaluate(weights, progress=progress)
            self._newest = step, found
            line = line_of(step, found)
            self._record(line, weights or self.evaluator.student.state_dict(), progress)
        wait()
        return line

    def _record(self, line: dict[str, Any], weights: Mapping[str, Tensor], progress: Progress | None) -> None:
        step, mean = line["step"], line["mean"]
        better = mean is not None and (self.best is None or mean > self.best)
        if better:
            # Before the line: a run killed between the two evaluates this step again.
            self.best = mean
            state = {"step": step, "recipe": recipe_hash(self.recipe), "mean": mean, "state_dict": dict(weights)}
            write_checkpoint(state, self.best_path)
        self.lines.append(line)
        self.measured.add(step)
        if progress:
            progress("validation " + ("-" if mean is None else f"{mean:.3f}"))
        figures = "  ".join(f"{name} {METRICS[s['metric']].text(s['value'])}" for name, s in line["sets"].items())
        self.console.print(f"step {step}: {figures}" + ("  (best so far)" if better else ""), highlight=False)

    def evaluation(self, step: int, sha256: str) -> Evaluation:
        """evaluation.json of the student as it is now, the weights of `step`, exported with this hash."""
        newest, found = self._newest
        return Evaluation(
            student_sha256=sha256,
            step=step,
            model=self.recipe.student.model,
            data=tuple(TrainedOn(d.name, d.skeleton, d.labels) for d in self.recipe.data),
            teachers=tuple(t.name for t in self.recipe.teacher),
            sets=found if newest == step else self.evaluator.evaluate(),
        )

    def best_weights(self) -> tuple[int, dict[str, Tensor]] | None:
        """The step and the weights of the best evaluation; None where none gave a figure."""
        if not self.best_path.is_file():
            return None
        best = load_checkpoint(self.best_path)
        return best["step"], best["state_dict"]
