"""`annotext demo` for people: its steps as they are done, and what came out."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.markup import escape

from annotext.cli.reports.calibration import calibration_text
from annotext.cli.reports.extension import extension_text, predict_text
from annotext.cli.reports.files import synth_text
from annotext.cli.reports.review import build_text
from annotext.cli.reports.training import train_text
from annotext.render.table import Column, Table, percent
from annotext.workflows.calibrate import CalibrationReport
from annotext.workflows.decide import ExtensionReport
from annotext.workflows.demo import DemoReport, DemoReview, SetResult, scores
from annotext.workflows.predict import PredictReport
from annotext.workflows.review_build import ReviewBuildReport
from annotext.workflows.synth import SynthReport
from annotext.workflows.train import TrainReport

_TEXT: dict[type, Callable[[Any], str]] = {
    SynthReport: synth_text,
    TrainReport: train_text,
    PredictReport: predict_text,
    CalibrationReport: calibration_text,
    ExtensionReport: extension_text,
    ReviewBuildReport: build_text,
}


def step_text(report: object) -> str:
    """The report of one step; a failure that the demo goes on without is its own text."""
    return _TEXT[type(report)](report) if type(report) in _TEXT else escape(str(report))


def demo_text(report: DemoReport) -> str:
    """Set by set how good the added points are, and where to look, in rich markup."""
    lines = [line for result in report.sets.values() for line in _set_lines(result)]
    lines += ["", f"Pictures and tables: [bold]{escape(str(report.out / 'index.html'))}[/]"]
    return "\n".join([*lines, *([] if report.review is None else [review_text(report.review)])])


def review_text(review: DemoReview) -> str:
    """How to open what has most to look at, in rich markup."""
    lines = [f"not built for review: {escape(review.problem)}"] if review.problem else []
    for report in review.built.values():
        lines.append(f"{report.dataset}: {report.people} people, {report.to_review} added points to review")
    if review.built:
        most = max(review.built.values(), key=lambda report: report.to_review)
        lines.append(f"Review them in a browser: [bold]{escape(_program())} review open {escape(most.dataset)}[/]")
    return "\n".join(lines)


def _set_lines(result: SetResult) -> list[str]:
    student = result.student
    rows = [
        [
            k,
            *scores(student.keypoints[k], result.baseline.keypoints[k]),
            f"{lead}" if lead.low > 0 else f"{lead}: {lead.verdict}",
        ]
        for k, lead in result.leads.items()
    ]
    columns = ["PCK@0.2", "no image", "error px", "no image", Column("lead in PCK [95 %]", left=True)]
    lines = [
        "",
        f"[bold]{result.name}[/]: mean OKS {student.oks_mean:.3f} over all {len(student.keypoints)} keypoints, "
        f"{student.people['with_oks']} people not trained on",
        *Table(["added point", *columns], rows).lines(2),
    ]
    if result.promises:
        kept = [[k, str(p.added), *map(percent, (p.target, p.expected, p.wrong))] for k, p in result.promises.items()]
        lines += Table(["added by student", "points", "may be wrong", "expected", "wrong"], kept).lines(2)
    return lines


def _program() -> str:
    """`annotext` as this user has to type it: `make demo` runs it from a virtual environment that is not active."""
    if shutil.which("annotext"):
        return "annotext"
    beside = Path(sys.executable).with_name("annotext")
    try:
        return str(beside.relative_to(Path.cwd()))
    except ValueError:
        return str(beside)
