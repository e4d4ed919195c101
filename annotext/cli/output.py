"""How commands talk: results on stdout, everything else on stderr, JSON on request."""

from __future__ import annotations

import json
from typing import Any, Protocol

from rich.console import Console

# Progress and notes; results go to stdout through `print_report`.
notes = Console(stderr=True)


class Report(Protocol):
    """What every workflow returns."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, stable order, no timestamps."""
        ...

    def summary(self) -> str:
        """What a person wants to read, in rich markup."""
        ...


def print_report(report: Report, *, as_json: bool) -> None:
    """Print a workflow's report to stdout: JSON for programs, the summary for people."""
    if as_json:
        print(json.dumps(report.to_dict(), indent=2, allow_nan=False))
    else:
        Console(highlight=False, soft_wrap=True).print(report.summary())
