"""Corrections files: one decision of one reviewer a line, appended and never rewritten.

See docs/formats/corrections.md and `correction.schema.json`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from annotext.core.corrections import Correction
from annotext.core.problems import Problem
from annotext.formats.records import Kind


def correction_line(correction: Correction, kind: Kind) -> bytes:
    """One line of JSON with its newline; MPII: 1-based pixels and `record`."""
    raise NotImplementedError


def parse_line(line: bytes, path: object = "line", number: int = 1) -> Correction:
    """The correction of one line. Raises InputError (naming `path` and the line's number)."""
    raise NotImplementedError


def read_corrections(
    paths: Sequence[str | Path], *, skip_bad: bool = False, skipped: list[Problem] | None = None
) -> list[Correction]:
    """All corrections of the files, each id once, by time. Raises InputError with all problems at once.

    With `skip_bad` faulty lines are left out and added to `skipped`.
    """
    raise NotImplementedError


def append_corrections(path: str | Path, corrections: Sequence[Correction], kind: Kind) -> int:
    """Append those whose id is not yet in the file, on disk when this returns. Returns how many."""
    raise NotImplementedError
