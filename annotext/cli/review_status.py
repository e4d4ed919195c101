"""`annotext review status`: how far the reviews are."""

from __future__ import annotations

from typing import Annotated

import typer


def status(
    name: Annotated[
        str | None, typer.Argument(help="The dataset; all that annotext built if left out.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Say what is decided and what is left, who did how much, and how many unseen points are wrong."""
    from annotext.cli.extras import require_extra

    require_extra("review", "review status")
    from annotext.cli.output import print_report
    from annotext.cli.reports.review import status_text
    from annotext.workflows.review_status import review_status

    print_report(review_status(name), as_json=as_json, text=status_text)
