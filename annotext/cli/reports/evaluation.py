"""`annotext evaluate` for people."""

from __future__ import annotations

from rich.markup import escape

from annotext.cli.reports.skipped import skipped_lines
from annotext.core.anatomy import POOLED_JOINTS
from annotext.evaluation.report import EvaluationReport
from annotext.render.table import Column, Table, number


def evaluation_text(report: EvaluationReport) -> str:
    """An evaluation, in rich markup."""
    people = report.people
    lines = [
        f"[bold]{escape(report.judged)}[/bold] against {escape(report.truth)}: {people['matched']} people, "
        f"{len(report.keypoints)} keypoints compared",
        "",
        f"OKS  mean {number(report.oks_mean, 3)} over {people['with_oks']} people",
        f"     sigmas {escape(report.sigma_set.name)}: [dim]{escape(report.sigma_set.source)}[/dim]",
        *_figure_lines(report.average_precision),
        "",
    ]
    name, n = Column("keypoint", left=True, width=16), Column("n", width=5)
    rows = [
        [
            keypoint,
            str(figures.n),
            str(figures.missing or ""),
            number(figures.mean_error_px, 1),
            number(figures.pck, 1),
            *(number(values[keypoint], 1) for values in report.pckh.values()),
        ]
        for keypoint, figures in report.keypoints.items()
    ]
    pooled = [k for k in POOLED_JOINTS if k in report.keypoints]
    if pooled and report.pckh:
        means = [number(values["mean"], 1) for values in report.pckh.values()]
        rows.append([f"mean ({len(pooled)} joints)", "", "", "", "", *means])
    lines += Table([name, n, "missing", "error px", "PCK@0.2", *(f"PCKh@{t}" for t in report.pckh)], rows).lines()
    if report.added:
        added = [
            [keypoint, source, str(figures.n), number(figures.mean_error_px, 1), number(figures.pck, 1)]
            for keypoint, sources in report.added.items()
            for source, figures in sources.items()
        ]
        columns = [Column("added point", left=True, width=14), Column("source", left=True, width=11), n, "error px"]
        lines += ["", *Table([*columns, "PCK@0.2"], added).lines()]
    lines += ["", *report.notes] if report.notes else []
    return "\n".join([*lines, *skipped_lines(report.skipped)])


def _figure_lines(figures: dict[str, float | None]) -> list[str]:
    text = [f"{name:>5} {number(value, 3)}" for name, value in figures.items()]
    return [" ".join(f"{t:<11}" for t in half).rstrip() for half in (text[:5], text[5:])]
