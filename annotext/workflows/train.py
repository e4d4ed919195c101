"""Train a student from a recipe and say what came out. The work is in `annotext.training.run`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from annotext.formats.recipe import find_recipe, read_recipe

if TYPE_CHECKING:
    from annotext.training.run import Device


@dataclass(frozen=True)
class TrainReport:
    """A finished run. data: per data set its name, people, people trained on and labelled keypoints by name."""

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
            "onnx": {"sha256": self.onnx_sha256, "max_probability_difference": self.onnx_difference},
        }

    def summary(self) -> str:
        sets = ", ".join(f"{d['name']} {d['trained_on']} of {d['people']} people" for d in self.data)
        return "\n".join(
            [
                f"[bold]{self.recipe}[/bold]: {self.model}, {self.parameters / 1e6:.2f} M parameters, "
                f"{len(self.keypoints)} keypoints",
                f"  data      {sets}",
                f"  training  {self.samples} samples in {self.steps} steps, last loss {self.loss:.4f}",
                f"  student   {self.folder}/student.onnx, within {self.onnx_difference:.0e} of torch (probability)",
                f"  use it    annotext extend ANNOTATIONS --images DIR --predictor {self.folder} -o OUT",
            ]
        )


def train_student(
    recipe: str,
    out: Path,
    *,
    roots: Mapping[str, Path],
    device: Device = "auto",
    resume: bool = False,
    force: bool = False,
    console: Console | None = None,
) -> TrainReport:
    """Train the recipe of this path or name into the run directory `out`.

    roots: data set name -> folder that replaces the recipe's root. Progress goes to `console` (stderr by default).
    Raises InputError or AnnotextError with everything that is wrong before the first step.
    """
    path = find_recipe(recipe)
    checked = read_recipe(path)
    # A recipe's errors need no torch; only now the heavy room is entered.
    from annotext.training.run import train

    trained = train(
        checked,
        out,
        source=str(path),
        roots=roots,
        device=device,
        resume=resume,
        force=force,
        console=console or Console(stderr=True),
    )
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
    )
