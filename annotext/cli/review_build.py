"""`annotext review build`: the FiftyOne dataset of an extended file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PREDICTIONS_HELP = (
    "Predictions on the file (annotext predict, extend --predictions): then disagreement is shown. May be repeated."
)
QUEUE_HELP = (
    "A queue file of the extended file (annotext review queue -o): a view `queue` shows its people in its order."
)
AUDIT_HELP = "How many added points the random audit has; their share of wrong ones estimates that of all."


def build(
    extended: Annotated[Path, typer.Argument(help="The extended file.", readable=False)],
    images: Annotated[
        Path, typer.Option("--images", help="The folder its image names are relative to.", readable=False)
    ],
    name: Annotated[str | None, typer.Option("--name", help="Of the dataset.  [default: the file's name]")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a dataset of that name; no decision is lost.")
    ] = False,
    predictions: Annotated[
        list[Path] | None, typer.Option("--predictions", help=PREDICTIONS_HELP, readable=False)
    ] = None,
    queue: Annotated[Path | None, typer.Option("--queue", help=QUEUE_HELP, readable=False)] = None,
    audit: Annotated[int, typer.Option("--audit", min=0, help=AUDIT_HELP)] = 100,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Draws the random audit.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Build a FiftyOne dataset of an extended file, with views that show the doubtful points first.

    The file stays the truth: the dataset can be built again at any time.
    """
    from annotext.cli.extras import require_extra

    require_extra("review", "review build")
    from annotext.cli.output import print_report
    from annotext.cli.progress import people_progress
    from annotext.cli.reports.review import build_text
    from annotext.workflows.review_build import build_review

    report = build_review(
        extended,
        images,
        name=name,
        overwrite=overwrite,
        predictions=predictions or (),
        queue=queue,
        audit=audit,
        seed=seed,
        progress=people_progress,
    )
    print_report(report, as_json=as_json, text=build_text)
