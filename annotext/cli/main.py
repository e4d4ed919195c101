"""The `annotext` program: finds the command, runs it, turns a known failure into one message and exit code 1."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from annotext import __version__
from annotext.cli import commands
from annotext.core.errors import AnnotextError

app = typer.Typer(
    name="annotext",
    help="Adds the keypoints a pose data set lacks, and says how far to trust each one.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: rich takes twice the time, and reads [policy] as markup
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
commands.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"annotext {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 a failure annotext knows, 2 a wrong command line."""
    try:
        app()
    except AnnotextError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output (head, less) has gone; nothing is wrong.
        sys.stderr.close()
        sys.exit(0)


if __name__ == "__main__":
    main()
