"""How commands talk: results on stdout, everything else on stderr, JSON on request."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, Protocol

from rich.console import Console

from annotext.core.errors import AnnotextError

# Progress and notes; results go to stdout through `print_report`.
notes = Console(stderr=True)


class Report(Protocol):
    """What every workflow returns."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, stable order, no timestamps."""
        ...


class _Results(Console):
    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError  # rich would exit with 1


@contextmanager
def results(**options: Any) -> Iterator[Console]:
    """`with results() as console:` print to stdout, through the console or plainly.

    A reader who has gone (head, less) is no failure. Raises AnnotextError if stdout cannot be written for another
    reason, such as a full disk.
    """
    try:
        yield _Results(highlight=False, **options)
        sys.stdout.flush()
    except OSError as error:
        # What is still in the buffer would fail again when the program ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise AnnotextError(f"stdout: cannot be written ({error.strerror or error})") from None


def print_json(value: Any) -> None:
    """Print a JSON value to stdout. Raises AnnotextError as `results` does."""
    with results():
        print(json.dumps(value, indent=2, allow_nan=False))


def print_report(report: Report, *, as_json: bool, text: Callable[[Any], str]) -> None:
    """Print a workflow's report to stdout: JSON for programs, what `text` makes of it (rich markup) for people."""
    if as_json:
        print_json(report.to_dict())
    else:
        with results(soft_wrap=True) as console:
            console.print(text(report))
