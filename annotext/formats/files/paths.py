"""Paths as callers give them: a text or a Path, one or several."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import overload

AnyPath = str | Path


@overload
def path_of(given: AnyPath) -> Path: ...
@overload
def path_of(given: None) -> None: ...
@overload
def path_of(given: AnyPath | None) -> Path | None: ...
def path_of(given: AnyPath | None) -> Path | None:
    """The path that was given, if any."""
    return None if given is None else Path(given)


def paths_of(given: AnyPath | Iterable[AnyPath]) -> list[Path]:
    """The paths that were given; one alone need not stand in a list."""
    return [Path(given)] if isinstance(given, str | Path) else [Path(p) for p in given]
