"""A table of text: for a terminal (rich markup or plain), for Markdown and for HTML."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape as escape_html

from rich.markup import escape


@dataclass(frozen=True)
class Column:
    """head: what stands above it; group: above several neighbours. left: text, not figures. width: at least so many
    characters on a terminal. style: rich style of its cells there."""

    head: str
    left: bool = False
    group: str = ""
    width: int = 0
    style: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of text under a header.

    columns: a string is a column of figures, the first one a column of text. rows: cells, those at the end may be left
    out; a string is a line of its own (terminal only). gap: blanks between columns on a terminal.
    """

    columns: Sequence[Column | str]
    rows: Sequence[Sequence[str] | str]
    gap: int = 2

    @property
    def _columns(self) -> list[Column]:
        return [Column(c, left=not i) if isinstance(c, str) else c for i, c in enumerate(self.columns)]

    @property
    def _rows(self) -> list[list[str]]:
        return [self._filled(row) for row in self.rows if not isinstance(row, str)]

    def lines(self, indent: int = 0, *, markup: bool = True) -> list[str]:
        """For a terminal, the header in bold; markup: with rich markup, cells escaped."""
        columns = self._columns
        widths = [
            max(c.width, *(len(cells[i]) for cells in ([d.head for d in columns], *self._rows)))
            for i, c in enumerate(columns)
        ]
        start = " " * indent
        head = start + self._line([c.head for c in columns], widths, markup=False)
        groups = [start + self._groups(widths).rstrip()] if any(c.group for c in columns) else []
        lines = [f"[bold]{escape(line)}[/]" if markup else line for line in (*groups, head) if line.strip()]
        for row in self.rows:
            if isinstance(row, str):
                lines.append(start + (escape(row) if markup else row))
            else:
                lines.append(start + self._line(self._filled(row), widths, markup=markup))
        return lines

    def markdown(self) -> list[str]:
        """As Markdown."""
        columns = self._columns
        rows = [[c.head for c in columns], ["---" if c.left else "---:" for c in columns], *self._rows]
        return [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]

    def html(self) -> str:
        """As an HTML table."""
        head = "".join(f"<th>{escape_html(c.head)}</th>" for c in self._columns)
        rows = "".join("<tr>" + "".join(f"<td>{escape_html(c)}</td>" for c in r) + "</tr>\n" for r in self._rows)
        return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table>"

    def _filled(self, row: Sequence[str]) -> list[str]:
        return [*row, *[""] * (len(self.columns) - len(row))]

    def _line(self, cells: Sequence[str], widths: Sequence[int], *, markup: bool) -> str:
        columns = self._columns
        padded = [c.ljust(w) if col.left else c.rjust(w) for c, col, w in zip(cells, columns, widths, strict=True)]
        last = max((i for i, cell in enumerate(cells) if cell), default=-1)
        padded = [*padded[:last], padded[last].rstrip()] if last >= 0 else []
        if markup:
            padded = [
                f"[{column.style}]{escape(cell)}[/]" if column.style and cell.strip() else escape(cell)
                for cell, column in zip(padded, columns, strict=False)
            ]
        return (" " * self.gap).join(padded)

    def _groups(self, widths: Sequence[int]) -> str:
        """Every group's name above its first column, with a rule to its last."""
        spans: list[tuple[str, int]] = []
        for i, (column, width) in enumerate(zip(self._columns, widths, strict=True)):
            size = width + (self.gap if i else 0)
            if spans and spans[-1][0] == column.group:
                spans[-1] = (column.group, spans[-1][1] + size)
            else:
                spans.append((column.group, size))
        return "".join(f"  {f'{name} '.ljust(size - 2, '-')}" if name else " " * size for name, size in spans)


def number(value: float | None, decimals: int) -> str:
    """The figure, or - where there is none (None or NaN)."""
    return "-" if value is None or math.isnan(value) else f"{value:.{decimals}f}"


def percent(value: float | None, decimals: int = 1) -> str:
    """A share in [0, 1] as per cent, or - where there is none."""
    return "-" if value is None or math.isnan(value) else f"{value:.{decimals}%}"
