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
    teacher: Annotated[
        list[str] | None,
        typer.Option("--teacher", help="name=PATH: this teacher's checkpoint, run or ONNX model. Several times."),
    ] = None,
    unpickle: Annotated[
        list[Path] | None,
        typer.Option(
            "--unpickle",
            help="A checkpoint that may run the code it holds while it is read; only one you trust. Several times.",
            readable=False,
        ),
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

    roots = _places(data, "--data", "FOLDER", "data set")
    teachers = _places(teacher, "--teacher", "PATH", "teacher")
    for path in unpickle or ():
        if not path.is_file():
            raise typer.BadParameter(f"{path} does not exist", param_hint="--unpickle")
    require_extra("train", "train")

    from annotext.workflows.train import train_student

    report = train_student(
        recipe,
        out,
        roots=roots,
        teachers=teachers,
        unpickle=unpickle or (),
        device=device.value,
        resume=resume,
        force=force,
        console=notes,
    )
    print_report(report, as_json=as_json)


def _places(given: list[str] | None, option: str, kind: str, what: str) -> dict[str, Path]:
    """name=PATH options as a mapping."""
    places: dict[str, Path] = {}
    for entry in given or []:
        name, equals, path = entry.partition("=")
        if not (name and equals and path):
            raise typer.BadParameter(f"{entry!r} is not name={kind}", param_hint=option)
        if name in places:
            raise typer.BadParameter(f"{what} {name} is given twice", param_hint=option)
        places[name] = Path(path)
    return places
