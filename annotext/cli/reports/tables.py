"""`annotext tables` for people: on a terminal, and as Markdown."""

from __future__ import annotations

from rich.markup import escape

from annotext.evaluation.paper.tables import Column, Grid, Line
from annotext.render.table import Column as Shown
from annotext.render.table import Table
from annotext.workflows.tables import TablesReport

_LEAST_WIDTH = 5


def tables_text(report: TablesReport) -> str:
    """For a terminal of 100 columns, in rich markup."""
    blocks = ["\n".join(grid_lines(grid)) for grid in report.grids]
    return "\n\n".join([*blocks, "\n".join(escape(note) for note in report.notes)]).rstrip()


def tables_markdown(report: TablesReport) -> str:
    """The same tables in Markdown."""
    blocks = ["\n".join(_markdown(grid)) for grid in report.grids]
    return "\n\n".join([*blocks, "\n".join(f"- {note}" for note in report.notes)]).rstrip() + "\n"


def grid_lines(grid: Grid) -> list[str]:
    """One table with its title and its notes; deviations stand below their means."""
    rows: list[list[str] | str] = []
    section = None
    for line in grid.lines:
        if line.section != section:
            rows.append(section := line.section)
        label = f"{line.label}, n={line.runs}" if line.runs > 1 else line.label
        rows.append([f"  {label}", *(_mean(line, c) for c in grid.columns)])
        deviations = [_deviation(line, c) for c in grid.columns]
        if any(deviations):
            rows.append(["    ±", *deviations])
    heads = [Shown(c.head, group=c.group, width=_LEAST_WIDTH) for c in grid.columns]
    table = Table([Shown("", left=True, width=13), *heads], rows, gap=1)
    return [
        f"[bold]{escape(grid.title)}[/]",
        *(table.lines() if grid.lines else []),
        *(f"  [dim]{escape(note)}[/]" for note in grid.notes),
    ]


def _markdown(grid: Grid) -> list[str]:
    """Deviations stand beside their means, notes are a list."""
    rows = []
    section = None
    for line in grid.lines:
        cells = [_mean(line, c) + (f" ± {d}" if (d := _deviation(line, c)) else "") for c in grid.columns]
        rows.append(["" if line.section == section else line.section, line.label, str(line.runs or ""), *cells])
        section = line.section
    heads = [Shown("", left=True), Shown("", left=True), "n", *(c.key if c.group else c.head for c in grid.columns)]
    lines = [f"### {grid.title}", *(["", *Table(heads, rows).markdown()] if rows else [])]
    return [*lines, *(["", *(f"- {note}" for note in grid.notes)] if grid.notes else [])]


def _mean(line: Line, column: Column) -> str:
    cell = line.cells.get(column.key)
    return "" if cell is None else column.text(cell.mean, signed=line.signed)


def _deviation(line: Line, column: Column) -> str:
    cell = line.cells.get(column.key)
    return "" if cell is None or cell.deviation is None else column.text(cell.deviation)
