"""`annotext calibrate`: learn how far a predictor's added points can be trusted."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class _Criterion(StrEnum):
    KS_OF_SIZE = "ks-of-size"
    KS = "ks"
    PCKH = "pckh"


def calibrate(
    run: Annotated[Path, typer.Argument(help="A run of `annotext train`, or a model's card.", readable=False)],
    truth: Annotated[
        list[Path] | None,
        typer.Option(
            "--truth",
            help="An annotation file that labels what others lack: MPII for neck and head top, COCO for the face, "
            "Halpe. Several times.",
            readable=False,
        ),
    ] = None,
    held_out: Annotated[
        list[Path] | None,
        typer.Option(
            "--held-out",
            help="An annotation file whose joints are hidden in turn, pair by pair, as if it had none. Several times.",
            readable=False,
        ),
    ] = None,
    reviewed: Annotated[
        list[Path] | None,
        typer.Option(
            "--reviewed",
            help="A corrected file (annotext apply): what people decided about added points is the truth, beside the "
            "labels of --truth if given. Several times.",
            readable=False,
        ),
    ] = None,
    predictions: Annotated[
        list[Path] | None,
        typer.Option(
            "--predictions",
            help="What `annotext predict` wrote about these files; each belongs to the one it was made on, for a "
            "corrected file the one that was extended. Several times.",
            readable=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The file to write; calibration.json in the run by default.", readable=False),
    ] = None,
    keypoints: Annotated[
        str | None, typer.Option(metavar="A,B", help="Learn only these; all the truth labels beyond the inputs.")
    ] = None,
    inputs: Annotated[
        str | None, typer.Option(metavar="A,B", help="Labels that may be looked at; what COCO and MPII share.")
    ] = None,
    joints: Annotated[
        str | None, typer.Option(metavar="A,B", help="What --held-out hides, with its mirror partner; all inputs.")
    ] = None,
    criterion: Annotated[
        _Criterion, typer.Option("--criterion", help="When a point is right; the default can be asked of every file.")
    ] = _Criterion.KS_OF_SIZE,
    anchor: Annotated[
        bool, typer.Option("--anchor/--no-anchor", help="Move points by what the labels say, where that helps.")
    ] = True,
    poses: Annotated[
        Path | None,
        typer.Option(
            "--poses",
            help="An annotation file with many labelled people, to learn from what the pose alone says; for a small "
            "truth. It needs no images and no predictions.",
            readable=False,
        ),
    ] = None,
    head_sizes: Annotated[
        Path | None, typer.Option("--head-sizes", metavar="FILE.mat", help="MPII's official file.", readable=False)
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Also write the report as JSON.", readable=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    allow_seen: Annotated[
        bool, typer.Option("--allow-seen", help="Learn also from files the student was trained on.")
    ] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out faulty records, and list them.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace outputs that exist.")] = False,
) -> None:
    """Learn how far added points can be trusted, and how the labels correct them: scores become probabilities.

    From people whose truth is known and whom the student did not see. `extend` and `decide` use what is written.
    """
    from annotext.cli.output import notes, print_report
    from annotext.cli.reports.calibration import calibration_text
    from annotext.evaluation.correctness import Criterion
    from annotext.workflows.calibrate import calibrate as run_it

    def names(text: str | None) -> list[str]:
        return [n.strip() for n in (text or "").split(",") if n.strip()]

    result = run_it(
        run,
        truths=truth or [],
        held_out=held_out or [],
        reviewed=reviewed or [],
        predictions=predictions or [],
        keypoints=names(keypoints),
        inputs=names(inputs),
        joints=names(joints),
        criterion=Criterion(criterion.value),
        anchored=anchor,
        poses=poses,
        head_sizes=head_sizes,
        output=output,
        report=report,
        allow_seen=allow_seen,
        skip_bad=skip_bad,
        force=force,
        progress=lambda what: notes.print(what, style="dim", markup=False, highlight=False, soft_wrap=True),
    )
    print_report(result, as_json=as_json, text=calibration_text)
