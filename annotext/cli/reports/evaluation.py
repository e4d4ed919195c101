"""`annotext evaluate` for people."""

from __future__ import annotations

import math

from rich.markup import escape

from annotext.core.anatomy import POOLED_JOINTS
from annotext.evaluation.report import EvaluationReport
from annotext.workflows.skipped import skipped_lines


def evaluation_text(report: EvaluationReport) -> str:
    """What a person wants to read of an evaluation, in rich markup."""
    people = report.people
    lines = [
        f"[bold]{escape(report.judged)}[/bold] against {escape(report.truth)}: {people['matched']} people, "
        f"{len(report.keypoints)} keypoints compared",
        "",
        f"OKS  mean {_text(report.oks_mean, 3)} over {people['with_oks']} people",
        f"     sigmas {escape(report.sigma_set.name)}: [dim]{escape(report.sigma_set.source)}[/dim]",
        *_figure_lines(report.average_precision),
        "",
    ]
    header = f"{'keypoint':<16}{'n':>7}{'missing':>9}{'error px':>10}{'PCK@0.2':>9}"
    header += "".join(f"{f'PCKh@{t}':>10}" for t in report.pckh)
    lines.append(f"[bold]{header}[/bold]")
    for name, figures in report.keypoints.items():
        line = f"{name:<16}{figures.n:>7}{figures.missing or '':>9}{_text(figures.mean_error_px, 1):>10}"
        line += f"{_text(figures.pck, 1):>9}"
        lines.append(line + "".join(f"{_text(values[name], 1):>10}" for values in report.pckh.values()))
    pooled = [k for k in POOLED_JOINTS if k in report.keypoints]
    if pooled:
        mean = "".join(f"{_text(values['mean'], 1):>10}" for values in report.pckh.values())
        lines.append(f"{f'PCKh mean, {len(pooled)} MPII joints pooled':<51}{mean}")
    if report.added:
        lines += ["", f"[bold]{'added point':<16}{'source':<11}{'n':>7}{'error px':>10}{'PCK@0.2':>9}[/bold]"]
        for name, sources in report.added.items():
            for source, figures in sources.items():
                lines.append(
                    f"{name:<16}{source:<11}{figures.n:>7}{_text(figures.mean_error_px, 1):>10}"
                    f"{_text(figures.pck, 1):>9}"
                )
    lines += ["", *report.notes] if report.notes else []
    lines += skipped_lines(report.skipped)
    return "\n".join(lines)


def _figure_lines(figures: dict[str, float | None]) -> list[str]:
    text = [f"{name:>5} {_text(value, 3)}" for name, value in figures.items()]
    return [" ".join(f"{t:<11}" for t in text[:5]).rstrip(), " ".join(f"{t:<11}" for t in text[5:]).rstrip()]


def _text(value: float | None, decimals: int) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.{decimals}f}"
