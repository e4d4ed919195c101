"""`annotext synth`, `strip` and `draw` for people."""

from __future__ import annotations

from rich.markup import escape

from annotext.cli.reports.skipped import skipped_lines
from annotext.render.table import Table
from annotext.workflows.draw import DrawReport
from annotext.workflows.strip import StripReport
from annotext.workflows.synth import SynthReport


def synth_text(report: SynthReport) -> str:
    """What was drawn, set by set."""
    world = "harder world" if report.harder else "MPII's midpoints"
    rows = [
        [s.name, *map(str, (s.people, s.images, s.labelled, s.blank)), f"{s.image_bytes / 1e6:.1f}"]
        for s in report.sets
    ]
    table = Table(["set", "people", "images", "labelled keypoints", "people without", "MB"], rows)
    title = f"[bold]{escape(str(report.out))}[/]: seed {report.seed}, pelvis and thorax: {world}"
    return "\n".join([title, *table.lines(2)])


def strip_text(report: StripReport) -> str:
    """What was taken out."""
    points = "1 added keypoint" if report.keypoints == 1 else f"{report.keypoints} added keypoints"
    return f"{escape(report.output)}: the input again; {points} taken from each of {report.people} people"


def draw_text(report: DrawReport) -> str:
    """One line, and what was skipped."""
    line = f"[bold]{escape(report.output)}[/]: {len(report.people)} of {report.of} people with additions"
    return "\n".join([line, *skipped_lines(report.skipped)])
