"""A table of figures, for the terminal and for Markdown: sections of lines, a column per figure, empty where there is
none. Nothing in it knows what the figures are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.markup import escape

_LEAST_WIDTH = 6


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

    @property
    def said(self) -> str:
        """The label, with the number of runs where there are several."""
        return f"{self.label}, n={self.runs}" if self.runs > 1 else self.label


@dataclass(frozen=True)
class Grid:
    """A whole table. notes: what a reader must know, one line each."""

    key: str
    title: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
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

    def text(self) -> list[str]:
        """Lines with rich markup; deviations stand below their means."""
        widths = [max(_LEAST_WIDTH, len(c.head) + 1, *self._lengths(c)) for c in self.columns]
        first = max([14, *(len(line.said) + 2 for line in self.lines)])
        lines = [f"[bold]{escape(self.title)}[/bold]"]
        groups = self._group_line(widths)
        if groups.strip() and self.lines:
            lines.append(" " * first + groups)
        heads = "".join(f"{c.head:>{w}}" for c, w in zip(self.columns, widths, strict=True))
        if self.lines:
            lines.append(f"[dim]{' ' * first}{escape(heads)}[/dim]")
        section = None
        for line in self.lines:
            if line.section != section:
                section = line.section
                lines.append(escape(section))
            lines.append(escape(f"{'  ' + line.said:<{first}}") + self._row(line, widths, deviations=False))
            if any(cell.deviation is not None for cell in line.cells.values()):
                spread = f"{'    ±':<{first}}" + self._row(line, widths, deviations=True)
                lines.append(f"[dim]{spread.rstrip()}[/dim]")
        lines += [f"  [dim]{escape(note)}[/dim]" for note in self.notes]
        return [line.rstrip() for line in lines]

    def markdown(self) -> list[str]:
        """A Markdown table, deviations beside their means, and its notes as a list."""
        heads = ["", "", "n", *(c.key if c.group else c.head for c in self.columns)]
        rule = ["---", "---", *["---:"] * (len(heads) - 2)]
        lines = [f"### {self.title}", *(["", _markdown_row(heads), _markdown_row(rule)] if self.lines else [])]
        section = None
        for line in self.lines:
            named = "" if line.section == section else line.section
            section = line.section
            cells = [_markdown_cell(line, c) for c in self.columns]
            lines.append(_markdown_row([named, line.label, str(line.runs or ""), *cells]))
        if self.notes:
            lines += ["", *(f"- {note}" for note in self.notes)]
        return lines

    def _lengths(self, column: Column) -> Iterable[int]:
        """What a column needs beside a blank before it."""
        for line in self.lines:
            if column.key in line.cells:
                yield len(column.text(line.cells[column.key].mean, signed=line.signed)) + 1

    def _row(self, line: Line, widths: Sequence[int], *, deviations: bool) -> str:
        texts = []
        for column in self.columns:
            cell = line.cells.get(column.key)
            value = None if cell is None else cell.deviation if deviations else cell.mean
            texts.append("" if value is None else column.text(value, signed=line.signed))
        return "".join(f"{text:>{width}}" for text, width in zip(texts, widths, strict=True))

    def _group_line(self, widths: Sequence[int]) -> str:
        """Every group's name above its first column, with a rule to its last."""
        spans: list[tuple[str, int]] = []
        for column, width in zip(self.columns, widths, strict=True):
            if spans and spans[-1][0] == column.group:
                spans[-1] = (column.group, spans[-1][1] + width)
            else:
                spans.append((column.group, width))
        return "".join(f"  {f'{name} '.ljust(width - 2, '-')}" if name else " " * width for name, width in spans)


def _markdown_cell(line: Line, column: Column) -> str:
    cell = line.cells.get(column.key)
    if cell is None:
        return ""
    mean = column.text(cell.mean, signed=line.signed)
    return mean if cell.deviation is None else f"{mean} ± {column.text(cell.deviation)}"


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
