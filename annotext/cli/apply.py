"""`annotext apply`: write what reviewers decided into an extended file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def apply(
    extended: Annotated[
        Path, typer.Argument(help="A file that `annotext extend` or `decide` wrote, corrected or not.", readable=False)
    ],
    corrections: Annotated[
        list[Path], typer.Argument(help="Corrections files: all there are, in any order.", readable=False)
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The corrected file to write.", readable=False)],
    report: Annotated[
        Path | None, typer.Option("--report", help="Also write the report as JSON.", readable=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    take_back: Annotated[
        bool,
        typer.Option(
            "--take-back", help="Undo what was decided in the file and no corrections file speaks of any more."
        ),
    ] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out what is faulty, and list it.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace outputs that exist.")] = False,
) -> None:
    """Write reviewers' decisions into an extended file: human keypoints stay, `annotext strip` still works.

    What cannot be applied, and what reviewers disagree on, is listed and changes nothing.
    """
    from annotext.cli.output import print_report
    from annotext.cli.reports.corrections import apply_text
    from annotext.workflows.apply import apply as run

    result = run(extended, corrections, out, report=report, take_back=take_back, skip_bad=skip_bad, force=force)
    print_report(result, as_json=as_json, text=apply_text)
