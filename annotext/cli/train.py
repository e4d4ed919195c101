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


class _CheckImages(StrEnum):
    SAMPLE = "sample"
    ALL = "all"
    NONE = "none"


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
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Stop before the first step: check everything, time a few steps, draw a batch."),
    ] = False,
    check_images: Annotated[
        _CheckImages,
        typer.Option("--check-images", help="Which images to read beforehand, to see whether they are whole."),
    ] = _CheckImages.SAMPLE,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's last checkpoint.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a run that exists.")] = False,
) -> None:
    """Train a student from a recipe and export it as an ONNX predictor.

    The run directory documents itself: resolved recipe, data with hashes and counts, metrics, checkpoints, card. Before
    the first step everything is checked and one batch is drawn, with labels and teachers: look at preflight.png.
    """
    from annotext.cli.extras import require_extra
    from annotext.cli.output import notes, print_report

    roots = _places(data, "--data", "FOLDER", "data set")
    teachers = _places(teacher, "--teacher", "PATH", "teacher")
    for path in unpickle or ():
        if not path.is_file():
            raise typer.BadParameter(f"{path} does not exist", param_hint="--unpickle")
    require_extra("train", "train")

    from annotext.cli.reports.training import preflight_text, train_text
    from annotext.workflows.train import dry_run_student, train_student

    work, text = (dry_run_student, preflight_text) if dry_run else (train_student, train_text)
    report = work(
        recipe,
        out,
        roots=roots,
        teachers=teachers,
        unpickle=unpickle or (),
        check_images=check_images.value,
        device=device.value,
        resume=resume,
        force=force,
        console=notes,
    )
    print_report(report, as_json=as_json, text=text)


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
