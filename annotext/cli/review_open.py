"""`annotext review open`: FiftyOne's App, for one reviewer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def open_(
    name: Annotated[str, typer.Argument(help="The dataset, as `annotext review build` named it.")],
    port: Annotated[
        int, typer.Option("--port", min=1, max=65535, help="Of this machine; a second reviewer takes another one.")
    ] = 5151,
    reviewer: Annotated[
        str | None, typer.Option("--reviewer", help="Whose decisions these are. Default: your login name.")
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option("--journal", help="The folder your decisions are kept in.  [default: beside the extended file]"),
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
) -> None:
    """Open a dataset for review in your browser; Ctrl-C ends it.

    Only this machine can reach it. Every decision is saved when it is made.
    """
    from annotext.cli.extras import require_extra

    require_extra("review", "review open")
    from annotext.cli.output import notes
    from annotext.workflows.review_open import open_review

    def say(text: str) -> None:
        notes.print(text, soft_wrap=True)  # an address that is broken over two lines cannot be followed

    open_review(name, say, port=port, reviewer=reviewer, journal=journal, browser=not no_browser)
