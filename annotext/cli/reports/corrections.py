"""`annotext apply` and `annotext corrections` for people."""

from __future__ import annotations

from rich.markup import escape

from annotext.cli.reports.skipped import skipped_lines
from annotext.core.errors import SHOWN_PROBLEMS
from annotext.render.table import Table
from annotext.review.decisions.correction import Verdict
from annotext.workflows.apply import ApplyReport
from annotext.workflows.corrections import FromToolReport, ToToolReport


def apply_text(report: ApplyReport) -> str:
    """What was applied, keypoint by keypoint, and what was not."""
    points, people, decisions = (
        f"{n} {one if n == 1 else several}"
        for n, one, several in (
            (report.points, "point", "points"),
            (report.people, "person", "people"),
            (report.decisions, "decision", "decisions"),
        )
    )
    by = ", ".join(f"{escape(name)} {count}" for name, count in report.reviewers.items())
    verdicts = [v.value for v in Verdict if any(v.value in row for row in report.counts.values())]
    rows = [[k, *(str(row.get(v, 0)) for v in verdicts)] for k, row in report.counts.items()]
    lines = [
        f"{escape(report.output)}: {points} of {people} decided, from {decisions}",
        *(Table(["keypoint", *verdicts], rows).lines(2) if rows else []),
        *([f"by {by}"] if by else []),
        *([f"notes, which change nothing: {report.notes}"] if report.notes else []),
    ]
    if report.findings:
        found = ", ".join(f"{count} {code}" for code, count in report.found.items())
        lines.append(f"[yellow]not applied as decided:[/] {found}")
        lines += [f"  {escape(str(f))}" for f in report.findings[:SHOWN_PROBLEMS]]
        left = len(report.findings) - SHOWN_PROBLEMS
        lines += [f"  ... and {left} more (--json has all of them)"] if left > 0 else []
    return "\n".join([*lines, *skipped_lines(report.skipped)])


def from_tool_text(report: FromToolReport) -> str:
    """What was decided in a tool, and what could not be matched."""
    decided = ", ".join(f"{n} {verdict}" for verdict, n in report.decisions.items()) or "no decision"
    lines = [
        f"[bold]{escape(report.output)}[/]: {report.new} new decisions; of {report.people} people in the export "
        f"{decided}, {report.unchanged} points as they were"
    ]
    return "\n".join([*lines, *skipped_lines(report.problems)])


def to_tool_text(report: ToToolReport) -> str:
    """What was written for a tool."""
    return f"{', '.join(map(escape, report.outputs))}: {report.points} added points of {report.people} people"
