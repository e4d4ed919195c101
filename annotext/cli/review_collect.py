"""`annotext review collect`: decisions of reviewers as a corrections file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def collect(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Corrections file; what is new is appended.", readable=False)
    ],
    name: Annotated[str | None, typer.Argument(help="The dataset.", show_default=False)] = None,
    journal: Annotated[
        Path | None,
        typer.Option(
            "--journal",
            metavar="EXTENDED",
            help="Instead of a dataset: the extended file, or the folder of its journals. Needs no database.",
            readable=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Append what reviewers decided to a corrections file, for `annotext apply`; say where they disagree."""
    from annotext.cli.output import print_report
    from annotext.cli.reports.review import collect_text

    if (name is None) == (journal is None):
        raise typer.BadParameter("give either the NAME of a dataset or --journal")
    if name is not None:
        from annotext.cli.extras import require_extra

        require_extra("review", "review collect NAME")
    from annotext.workflows.review_collect import collect_reviews

    print_report(collect_reviews(name, out, journal=journal), as_json=as_json, text=collect_text)
