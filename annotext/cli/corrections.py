"""`annotext corrections`: decisions made in other tools. One pair of commands for each of `formats.tools.TOOLS`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from annotext.formats.tools import TOOLS, ToolCommands

app = typer.Typer(
    name="corrections",
    help="Take added points to CVAT or Label Studio, and bring the corrections back.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_Extended = Annotated[Path, typer.Argument(help="The extended file the points came from.", readable=False)]
_Json = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
_Force = Annotated[bool, typer.Option("--force", help="Replace outputs that exist.")]


def _add_from(name: str, tool: ToolCommands) -> None:
    @app.command(f"from-{name}", help=tool.reads)
    def from_tool(
        export: Annotated[Path, typer.Argument(help="The tool's export.", readable=False)],
        extended: _Extended,
        out: Annotated[
            Path, typer.Option("--out", "-o", help="Corrections file; what is new is appended.", readable=False)
        ],
        reviewer: Annotated[str, typer.Option("--reviewer", help="Whose work it is.")],
        tolerance: Annotated[
            float,
            typer.Option("--tolerance", min=0.0, help="A point within so many pixels of where it was did not move."),
        ] = 0.5,
        skip_bad: Annotated[
            bool, typer.Option("--skip-bad", help="Leave out what cannot be matched, and list it.")
        ] = False,
        as_json: _Json = False,
    ) -> None:
        from annotext.cli.output import print_report
        from annotext.cli.reports.corrections import from_tool_text
        from annotext.workflows.corrections import corrections_from

        report = corrections_from(
            name, export, extended, out, reviewer=reviewer, tolerance=tolerance, skip_bad=skip_bad
        )
        print_report(report, as_json=as_json, text=from_tool_text)


def _add_to(name: str, tool: ToolCommands) -> None:
    @app.command(f"to-{name}", help=tool.writes)
    def to_tool(
        extended: _Extended,
        # As defaults: their texts are the tool's, which a type that typer reads back by name cannot hold.
        out: Path = typer.Option(..., "--out", "-o", help=tool.output, readable=False),
        url: str = typer.Option(
            "/data/local-files/?d=", "--url", help="What stands before an image's file name.", hidden=not tool.url
        ),
        force: _Force = False,
        as_json: _Json = False,
    ) -> None:
        from annotext.cli.output import print_report
        from annotext.cli.reports.corrections import to_tool_text
        from annotext.workflows.corrections import corrections_to

        print_report(corrections_to(name, extended, out, url=url, force=force), as_json=as_json, text=to_tool_text)


for _name, _tool in TOOLS.items():
    if _tool.reads:
        _add_from(_name, _tool)
    _add_to(_name, _tool)
