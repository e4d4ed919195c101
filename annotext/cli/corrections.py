"""`annotext corrections`: decisions made in other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="corrections",
    help="Take added points to CVAT or Label Studio, and bring the corrections back.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_Export = Annotated[Path, typer.Argument(help="The tool's export.", readable=False)]
_Extended = Annotated[Path, typer.Argument(help="The extended file the points came from.", readable=False)]
_Append = Annotated[
    Path, typer.Option("--out", "-o", help="Corrections file; what is new is appended.", readable=False)
]
_Reviewer = Annotated[str, typer.Option("--reviewer", help="Whose work it is.")]
_Tolerance = Annotated[
    float, typer.Option("--tolerance", min=0.0, help="A point within so many pixels of where it was did not move.")
]
_SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave out what cannot be matched, and list it.")]
_Json = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
_Force = Annotated[bool, typer.Option("--force", help="Replace outputs that exist.")]


@app.command("from-cvat")
def from_cvat(
    export: _Export,
    extended: _Extended,
    out: _Append,
    reviewer: _Reviewer,
    tolerance: _Tolerance = 0.5,
    skip_bad: _SkipBad = False,
    as_json: _Json = False,
) -> None:
    """Turn a CVAT export ("CVAT for images 1.1" or "COCO Keypoints 1.0") into corrections."""
    _from("cvat", export, extended, out, reviewer, tolerance, skip_bad, as_json)


@app.command("from-label-studio")
def from_label_studio(
    export: _Export,
    extended: _Extended,
    out: _Append,
    reviewer: _Reviewer,
    tolerance: _Tolerance = 0.5,
    skip_bad: _SkipBad = False,
    as_json: _Json = False,
) -> None:
    """Turn Label Studio's JSON export into corrections."""
    _from("label-studio", export, extended, out, reviewer, tolerance, skip_bad, as_json)


@app.command("to-cvat")
def to_cvat(
    extended: _Extended,
    out: Annotated[Path, typer.Option("--out", "-o", help="CVAT for images 1.1 (.xml).", readable=False)],
    force: _Force = False,
    as_json: _Json = False,
) -> None:
    """Write the added points for upload to a CVAT task, and the labels to make the task with."""
    from annotext.cli.output import print_report
    from annotext.cli.reports.corrections import to_tool_text
    from annotext.workflows.corrections import Tool, corrections_to

    print_report(corrections_to(Tool.CVAT, extended, out, force=force), as_json=as_json, text=to_tool_text)


@app.command("to-label-studio")
def to_label_studio(
    extended: _Extended,
    out: Annotated[Path, typer.Option("--out", "-o", help="Tasks to import (.json).", readable=False)],
    url: Annotated[
        str, typer.Option("--url", help="What stands before an image's file name.")
    ] = "/data/local-files/?d=",
    force: _Force = False,
    as_json: _Json = False,
) -> None:
    """Write the added points as tasks for Label Studio, and the labelling interface they need."""
    from annotext.cli.output import print_report
    from annotext.cli.reports.corrections import to_tool_text
    from annotext.workflows.corrections import Tool, corrections_to

    print_report(
        corrections_to(Tool.LABEL_STUDIO, extended, out, url=url, force=force), as_json=as_json, text=to_tool_text
    )


def _from(
    tool: str,
    export: Path,
    extended: Path,
    out: Path,
    reviewer: str,
    tolerance: float,
    skip_bad: bool,
    as_json: bool,
) -> None:
    from annotext.cli.output import print_report
    from annotext.cli.reports.corrections import from_tool_text
    from annotext.workflows.corrections import Tool, corrections_from

    report = corrections_from(
        Tool(tool), export, extended, out, reviewer=reviewer, tolerance=tolerance, skip_bad=skip_bad
    )
    print_report(report, as_json=as_json, text=from_tool_text)
