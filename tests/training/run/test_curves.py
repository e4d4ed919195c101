"""Curves of a run: what the table holds, that the picture is legible and whole, that events carry the same tags."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from rich.console import Console

from annotext.training.run.curves import Curves, drawing, picture, table, write_curves
from annotext.training.run.folder import StepLines


def metrics(steps: int, **parts: float) -> list[dict[str, Any]]:
    return [
        {"step": s, "samples": 8 * s, "lr": 1e-3 / s, "loss": 2 / s, **{k: v / s for k, v in parts.items()}}
        for s in range(20, 20 * steps + 1, 20)
    ]


def validation(*steps: int) -> list[dict[str, Any]]:
    def sets(step: int) -> dict[str, Any]:
        ap, pckh = 1 - 10 / step, 80 - 100 / step
        return {"coco": {"metric": "ap", "value": ap}, "mpii": {"metric": "pckh", "value": pckh}}

    return [{"step": s, "sets": sets(s), "mean": 0.5} for s in steps]


def test_the_table_has_a_row_per_measured_step_and_a_column_per_figure() -> None:
    rows = list(csv.DictReader(table(metrics(2, task=1.0), validation(25, 40)).splitlines()))
    assert [r["step"] for r in rows] == ["20", "25", "40"]
    assert list(rows[0]) == ["step", "samples", "lr", "loss", "task", "coco_ap", "mpii_pckh", "validation_mean"]
    assert rows[0]["coco_ap"] == rows[1]["loss"] == ""
    assert float(rows[2]["loss"]) == 0.05 and float(rows[2]["coco_ap"]) == 0.75 and float(rows[2]["mpii_pckh"]) == 77.5


def test_the_same_run_gives_the_same_picture_and_another_one_does_not() -> None:
    lines = metrics(30, task=1.0, distil_coco=0.5), validation(100, 200, 300)
    first = picture(*lines, "a run")
    assert picture(*lines, "a run") == first
    assert picture(lines[0], validation(100, 200), "a run") != first


@pytest.mark.parametrize("measured", [[], validation(300)], ids=["without validation", "with one"])
def test_no_text_of_the_picture_lies_on_another(measured: list[dict[str, Any]]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = drawing(metrics(500, task=1.0, distil_coco=0.5), measured, "a run with quite a long name")
    FigureCanvasAgg(figure).draw()
    for axis in figure.axes:
        labels = [*axis.get_yticklabels(), *axis.get_yticklabels(minor=True)]
        boxes = [label.get_window_extent() for label in labels if label.get_text()]
        shown = sorted((b for b in boxes if axis.bbox.y0 <= (b.y0 + b.y1) / 2 <= axis.bbox.y1), key=lambda b: b.y0)
        assert len(shown) > 1
        assert all(lower.y1 <= upper.y0 for lower, upper in pairwise(shown))


def test_curves_of_a_run_in_its_first_steps_are_an_empty_table(tmp_path: Path) -> None:
    write_curves(tmp_path, "young")
    assert (tmp_path / "curves.csv").read_text() == "step\n"
    assert not (tmp_path / "curves.png").exists()


def test_a_line_that_a_killed_run_did_not_finish_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 20, "loss": 1.0}\n{"step": 40, "lo')
    assert StepLines(tmp_path / "metrics.jsonl").read() == [{"step": 20, "loss": 1.0}]


def trained(folder: Path, begin: int, end: int) -> None:
    """Steps begin + 1 to end of a run that measures itself every 20 steps."""
    lines, curves = StepLines(folder / "metrics.jsonl"), Curves(folder, title="t", console=Console(quiet=True))
    curves.start(begin)
    for step in range(begin + 1, end + 1):
        if step % 20 == 0:
            line = {"step": step, "samples": 8.0, "lr": 1e-3, "loss": float(step)}
            lines.append(line)
            curves.add_metrics(line)
    curves.close(whole=True)


def test_a_resumed_run_goes_on_in_the_same_events_without_doubles(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trained(tmp_path, 0, 60)
    trained(tmp_path, 30, 80)  # the run was killed after step 60, its last checkpoint is that of step 30
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"train/loss", "train/lr"}
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [(s, float(s)) for s in (20, 40, 60, 80)]
    assert (tmp_path / "curves.png").is_file()
