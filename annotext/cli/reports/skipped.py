"""What `--skip-bad` left out."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape

from annotext.core.errors import SHOWN_PROBLEMS, Problem


def skipped_lines(skipped: Sequence[Problem]) -> list[str]:
    """Lines in rich markup, none where nothing was skipped; beyond `SHOWN_PROBLEMS` only a count."""
    if not skipped:
        return []
    left = len(skipped) - SHOWN_PROBLEMS
    return [
        f"[yellow]skipped {len(skipped)}:[/]",
        *(f"  {escape(str(problem))}" for problem in skipped[:SHOWN_PROBLEMS]),
        *([f"  ... and {left} more (--json has all of them)"] if left > 0 else []),
    ]
