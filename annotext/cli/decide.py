"""`annotext decide`: make the decisions anew from earlier predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from annotext.cli.predict import (
    DETECTIONS_HELP,
    MIN_DETECTION_HELP,
    MIN_POINTS_HELP,
    UNLABELLED_HELP,
    unlabelled_options,
)

CALIBRATION_HELP = "calibration.json, or the run that holds it."
POLICY_HELP = "A TOML file with a [policy] table; see docs/decide.md."
TARGET_ERROR_HELP = (
    "How many of a keypoint's added points may be wrong: 0.03 for every keypoint, head_top=0.03 for one. "
    "Give it several times."
)
MIN_SCORE_HELP = "Withhold uncalibrated points below this score (0-1)."


def decide(
    predictions: Annotated[
        Path, typer.Argument(help="What `annotext predict` wrote about the annotations.", readable=False)
    ],
    annotations: Annotated[Path, typer.Argument(help="The COCO, MPII or Halpe annotation file.", readable=False)],
    output: Annotated[Path, typer.Option("--out", "-o", help="The extended file to write.", readable=False)],
    calibration: Annotated[Path | None, typer.Option("--calibration", help=CALIBRATION_HELP, readable=False)] = None,
    policy: Annotated[Path | None, typer.Option("--policy", help=POLICY_HELP, readable=False)] = None,
    target_error: Annotated[list[str] | None, typer.Option("--target-error", help=TARGET_ERROR_HELP)] = None,
    min_score: Annotated[float | None, typer.Option("--min-score", help=MIN_SCORE_HELP)] = None,
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
    """Decide again what becomes a label, from a file of predictions: no images, no models, seconds.

    Human keypoints stay as they are; the same input gives the same bytes.
    """
    from annotext.cli.output import print_report
    from annotext.cli.reports.extension import extension_text
    from annotext.workflows.decide import PolicyOptions
    from annotext.workflows.decide import decide as run

    options = unlabelled_options(unlabelled, detections, min_detection, min_points)
    result = run(
        predictions,
        annotations,
        output,
        calibration=calibration,
        policy=PolicyOptions(policy, tuple(target_error or ()), min_score),
        unlabelled=options,
        report=report,
        skip_bad=skip_bad,
        force=force,
    )
    print_report(result, as_json=as_json, text=extension_text)
