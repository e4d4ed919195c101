"""`annotext extend`: add the keypoints an annotation file lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from annotext.cli.decide import CALIBRATION_HELP, MIN_SCORE_HELP, POLICY_HELP, TARGET_ERROR_HELP
from annotext.cli.predict import (
    DETECTIONS_HELP,
    MIN_DETECTION_HELP,
    MIN_POINTS_HELP,
    TTA_HELP,
    UNLABELLED_HELP,
    parse_tta,
    unlabelled_options,
)


def extend(
    annotations: Annotated[Path, typer.Argument(help="A COCO, MPII or Halpe annotation file.", readable=False)],
    output: Annotated[Path, typer.Option("--out", "-o", help="The extended file to write.", readable=False)],
    images: Annotated[
        Path | None, typer.Option("--images", help="The folder its image names are relative to.", readable=False)
    ] = None,
    predictor: Annotated[
        list[Path] | None,
        typer.Option(
            "--predictor",
            help="A run of `annotext train`, a card, or an ONNX model with a card beside it. Give it several times: "
            "each missing keypoint comes from the first that knows it.",
            readable=False,
        ),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            "--predictions",
            help="A parquet file of predictions, to write; without --predictor it is read, and the "
            "decisions are made again without images.",
            readable=False,
        ),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option("--calibration", help=f"{CALIBRATION_HELP} Default: the one beside a predictor.", readable=False),
    ] = None,
    policy: Annotated[Path | None, typer.Option("--policy", help=POLICY_HELP, readable=False)] = None,
    target_error: Annotated[list[str] | None, typer.Option("--target-error", help=TARGET_ERROR_HELP)] = None,
    min_score: Annotated[float | None, typer.Option("--min-score", help=MIN_SCORE_HELP)] = None,
    tta: Annotated[str | None, typer.Option("--tta", "--passes", help=TTA_HELP)] = None,
    unlabelled: Annotated[bool, typer.Option("--unlabelled", help=UNLABELLED_HELP)] = False,
    detections: Annotated[Path | None, typer.Option("--detections", help=DETECTIONS_HELP, readable=False)] = None,
    min_detection: Annotated[float | None, typer.Option("--min-detection", help=MIN_DETECTION_HELP)] = None,
    min_points: Annotated[int | None, typer.Option("--min-points", help=MIN_POINTS_HELP)] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Also write the report as JSON.", readable=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out what is faulty, and list it.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace outputs that exist.")] = False,
) -> None:
    """Add the keypoints that a file lacks: derived from labels where possible, else predicted.

    Human keypoints stay as they are; `annotext strip` gives the input back.
    """
    from annotext.cli.output import print_report
    from annotext.cli.progress import people_progress
    from annotext.cli.reports.extension import extension_text
    from annotext.workflows.decide import PolicyOptions
    from annotext.workflows.extend import extend as run

    names = parse_tta(tta)
    options = unlabelled_options(unlabelled, detections, min_detection, min_points)
    with people_progress("predicting") as progress:
        result = run(
            annotations,
            images,
            predictor or [],
            output,
            predictions=predictions,
            calibration=calibration,
            policy=PolicyOptions(policy, tuple(target_error or ()), min_score),
            unlabelled=options,
            tta=names,
            report=report,
            skip_bad=skip_bad,
            force=force,
            progress=progress,
        )
    print_report(result, as_json=as_json, text=extension_text)
