"""`annotext draw`: a contact sheet of an extended file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def draw(
    extended: Annotated[Path, typer.Argument(help="A file that `annotext extend` wrote.", readable=False)],
    images: Annotated[
        Path, typer.Option("--images", help="The folder its image names are relative to.", readable=False)
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The PNG to write.", readable=False)],
    worst: Annotated[
        int | None, typer.Option("--worst", help="Show this many people, lowest scores of added points first.")
    ] = None,
    people: Annotated[
        int | None, typer.Option("--people", help="Show this many people, drawn by chance.  [default: 24]")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the draw.")] = 0,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out what is faulty, and list it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print who is on the sheet as JSON.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing sheet.")] = False,
) -> None:
    """Draw people of an extended file: human points, added points, low scores and withheld candidates."""
    from annotext.cli.output import print_report
    from annotext.cli.reports.files import draw_text
    from annotext.workflows.draw import PEOPLE
    from annotext.workflows.draw import draw as run

    if worst is not None and people is not None:
        raise typer.BadParameter("give --worst or --people, not both")
    count = PEOPLE if people is None else people
    report = run(extended, images, out, worst=worst, people=count, seed=seed, skip_bad=skip_bad, force=force)
    print_report(report, as_json=as_json, text=draw_text)
