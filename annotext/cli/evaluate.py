"""`annotext evaluate`: hold predictions or an annotation file against a truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    truth: Annotated[Path, typer.Argument(metavar="TRUTH", help="Annotation file that is right.", readable=False)],
    predictions: Annotated[
        Path,
        typer.Argument(
            metavar="PREDICTIONS", help="Annotation file, extended file, or parquet of predictions.", readable=False
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    sigmas: Annotated[
        str | None, typer.Option(metavar="NAME", help="OKS sigma set; the truth's skeleton's own by default.")
    ] = None,
    head_sizes: Annotated[
        Path | None,
        typer.Option(metavar="FILE.mat", help="MPII's official file, for PCKh without head boxes.", readable=False),
    ] = None,
    keypoints: Annotated[
        str | None, typer.Option(metavar="A,B", help="Compare only these; all that both files have by default.")
    ] = None,
    only_added: Annotated[
        bool, typer.Option("--only-added", help="Compare only the keypoints annotext added to PREDICTIONS.")
    ] = False,
    predictor: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which predictor of a parquet that holds several.")
    ] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out faulty records, and list them.")] = False,
) -> None:
    """Judge keypoints against a truth: OKS with AP and AR, PCKh, and PCK and mean error per keypoint.

    People are matched by annotation id (MPII: order) and image file name.
    """
    from annotext.cli.output import print_report
    from annotext.cli.reports.evaluation import evaluation_text
    from annotext.workflows.evaluate import evaluate_files

    report = evaluate_files(
        truth,
        predictions,
        sigmas=sigmas,
        head_sizes=head_sizes,
        keypoints=None if keypoints is None else [k.strip() for k in keypoints.split(",") if k.strip()],
        only_added=only_added,
        predictor=predictor,
        skip_bad=skip_bad,
    )
    print_report(report, as_json=as_json, text=evaluation_text)
