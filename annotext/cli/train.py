"""`annotext train`: a recipe in, a student out."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class _Device(StrEnum):
    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe's file, or the name of a shipped one (demo, smoke, ...).")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The run directory to write.", readable=False)],
    data: Annotated[
        list[str] | None,
        typer.Option("--data", help="name=FOLDER: where this data or validation set is. Give it several times."),
    ] = None,
    device: Annotated[_Device, typer.Option("--device", help="auto takes the GPU where there is one.")] = _Device.AUTO,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's last checkpoint.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a run that exists.")] = False,
) -> None:
    """Train a student from a recipe and export it as an ONNX predictor.

    The run directory documents itself: resolved recipe, data with hashes and counts, metrics, checkpoints, card.
    """
    from annotext.cli.extras import require_extra
    from annotext.cli.output import notes, print_report

    roots: dict[str, Path] = {}
    for given in data or []:
        name, equals, folder = given.partition("=")
        if not (name and equals and folder):
            raise typer.BadParameter(f"{given!r} is not name=FOLDER", param_hint="--data")
        if name in roots:
            raise typer.BadParameter(f"data set {name} is given twice", param_hint="--data")
        roots[name] = Path(folder)
    require_extra("train", "train")

    from annotext.workflows.train import train_student

    report = train_student(recipe, out, roots=roots, device=device.value, resume=resume, force=force, console=notes)
    print_report(report, as_json=as_json)
