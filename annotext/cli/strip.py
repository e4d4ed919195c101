"""`annotext strip`: the input of an extended file again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def strip(
    file: Annotated[Path, typer.Argument(help="A file that `annotext extend` wrote.", readable=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write what it was extended from.", readable=False)],
    force: Annotated[bool, typer.Option("--force", help="Replace an existing output.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Take the additions out: what comes back equals the input as JSON, key order included."""
    from annotext.cli.output import print_report
    from annotext.cli.reports.files import strip_text
    from annotext.workflows.strip import strip_file

    print_report(strip_file(file, out, force=force), as_json=as_json, text=strip_text)
