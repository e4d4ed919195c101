"""Tables of figures as `annotext tables` makes them: sections of lines, a cell per figure where it is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cell:
    """A mean over runs, or one figure. deviation: the sample's standard deviation, None for a single figure."""

    mean: float
    deviation: float | None = None

    def to_dict(self) -> dict[str, float | None]:
        """Two decimals more than are shown."""
        return {"mean": round(self.mean, 4), "deviation": None if self.deviation is None else round(self.deviation, 4)}


@dataclass(frozen=True)
class Column:
    """key: of the cells. head: what stands above it, group: above several."""

    key: str
    head: str
    group: str = ""
    decimals: int = 2

    def text(self, value: float, *, signed: bool = False) -> str:
        """The figure; 100 with one decimal, for the sake of the column's width."""
        decimals = min(self.decimals, 1) if abs(value) >= 99.995 else self.decimals
        return f"{value:{'+' if signed else ''}.{decimals}f}"


@dataclass(frozen=True)
class Line:
    """One line of figures. section: the lines' common heading. label: measured, published, ... runs: how many.
    signed: its figures are differences."""

    section: str
    label: str
    cells: Mapping[str, Cell]
    runs: int = 0
    signed: bool = False


@dataclass(frozen=True)
class Grid:
    """A whole table. notes: what a reader must know, one line each."""

    key: str
    title: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "table": self.key,
            "title": self.title,
            "columns": [c.key for c in self.columns],
            "rows": [
                {
                    "section": line.section,
                    "label": line.label,
                    "runs": line.runs,
                    "cells": {
                        c.key: line.cells[c.key].to_dict() if c.key in line.cells else None for c in self.columns
                    },
                }
                for line in self.lines
            ],
            "notes": list(self.notes),
        }
