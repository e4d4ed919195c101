"""`annotext tables`: the paper's tables from finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def tables(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run directories.", readable=False)],
    coco: Annotated[
        str | None, typer.Option(metavar="NAME", help="The validation set to take for COCO, where a run has several.")
    ] = None,
    mpii: Annotated[str | None, typer.Option(metavar="NAME", help="Likewise for MPII.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with every run's own figures.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Write Markdown (or with --json, JSON) here, not to the screen.", readable=False
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Lay out the paper's Tables 1 to 4 from any runs, measured beside published.

    Runs that differ by their seed only become a mean and a standard deviation. An empty cell is not known.
    """
    from annotext.cli.output import notes, print_report, results
    from annotext.cli.reports.tables import tables_markdown, tables_text
    from annotext.formats.files.jsonio import write_json
    from annotext.formats.files.outputs import check_output, writing
    from annotext.workflows.tables import tables as lay_out

    if markdown and as_json:
        raise typer.BadParameter("give --markdown or --json, not both")
    if out is not None:
        check_output(out, force=force)
    report = lay_out(runs, coco=coco, mpii=mpii)
    if out is not None:
        if as_json:
            write_json(report.to_dict(), out, force=force, indent=True)
        else:
            with writing(out, force=force) as temporary:
                temporary.write_text(tables_markdown(report), encoding="utf-8")
        notes.print(f"wrote {out}", highlight=False, markup=False, soft_wrap=True)
    elif markdown:
        with results():
            print(tables_markdown(report), end="")
    else:
        print_report(report, as_json=as_json, text=tables_text)
