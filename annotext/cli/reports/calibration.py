"""`annotext calibrate` for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.markup import escape

from annotext.calibration.datasets import REVIEWED
from annotext.cli.reports.skipped import skipped_lines
from annotext.render.table import Column, Table, number, percent
from annotext.workflows.calibrate import CalibrationReport, KeypointReport

_CRITERIA = {
    "ks": "keypoint similarity at least .5 with the person's own area",
    "pckh": "at most half a head size away",
    "ks-of-size": "keypoint similarity at least .5 with the usual area for the person's size",
}


def calibration_text(report: CalibrationReport) -> str:
    """What was fitted on which file, and how well scores separate right from wrong, in rich markup."""
    lines = [
        f"[bold]{escape(report.output)}[/]: calibration of {escape(report.predictor)}"
        + (f"; drawn in {escape(report.picture)}" if report.picture else "")
    ]
    fitted_on: dict[tuple[str, str], list[str]] = {}
    for k in report.keypoints:
        fitted_on.setdefault((k.file, k.protocol), []).append(k.keypoint)
    lines += [f"  {escape(file)} ({protocol}): {', '.join(names)}" for (file, protocol), names in fitted_on.items()]
    lines += [
        f"  right means: {_CRITERIA[report.criterion]}; sizes are distances in the person's own size",
        "  evaluated out of sample, by image; raw: the predictor's own score on its own points",
        "  [dim]AUROC: how often a right point scores above a wrong one. AURC: share wrong among the surest[/]",
        "  [dim]points, over all shares kept; small is good. ECE: how far scores are from the share right.[/]",
    ]
    columns = [
        Column("keypoint", left=True, width=15),
        Column("n", width=4),
        Column("right", width=6),
        "AUROC raw",
        "AUROC",
        "AURC raw",
        Column("AURC", width=6),
        Column("ECE", width=5),
        "90 % radius holds",
        Column("anchored", left=True),
        Column("", left=True, style="dim"),
    ]
    lines += Table(columns, [_row(k) for k in report.keypoints]).lines(2)
    for k in report.keypoints:
        if not k.figures:
            lines.append(f"  [dim]{k.keypoint} is not calibrated: {escape(k.skipped)}[/]")
        elif np.isnan(k.figures["auroc"][0]):
            wrong = round((1 - k.right) * k.n)
            lines.append(f"  [dim]{k.keypoint}: {wrong} of {k.n} wrong, too few to tell which: all have one score[/]")
        if not k.anchor["on"]:
            lines.append(f"  [dim]{k.keypoint} stays where the predictor put it: {escape(k.anchor['reason'])}[/]")
    lines += [f"  note: {escape(note)}" for note in report.notes]
    if report.any_points:
        lines.append(f"  keypoints without a truth are scored by {report.any_points} held-out joints together")
    lines.append("  [dim]a domain shift remains: the people to be extended are not those of the truth[/]")
    return "\n".join([*lines, *skipped_lines(report.skipped)])


def _row(k: KeypointReport) -> list[str]:
    figures = [""] * 6
    if k.figures:
        f = {name: value[0] for name, value in k.figures.items()}
        figures = [number(f[name], 3 + name.endswith("aurc")) for name in ("raw_auroc", "auroc", "raw_aurc", "aurc")]
        figures += [number(f["ece"], 3), percent(f["coverage"])]
    reviewed = "as people decided" if k.protocol == REVIEWED else ""
    return [k.keypoint, str(k.n), percent(k.right), *figures, _anchor_text(k.anchor), reviewed]


def _anchor_text(anchor: Mapping[str, Any]) -> str:
    if not anchor["on"]:
        return "off"
    error = anchor["mean_error_in_sizes"]
    return f"on: error {error['student']:.4f} -> {error['anchored']:.4f} sizes"
