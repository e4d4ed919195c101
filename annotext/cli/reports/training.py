"""`annotext train` for people: a finished run, and what `--dry-run` found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.markup import escape

from annotext.evaluation.validation import METRICS
from annotext.render.table import Column, Table
from annotext.training.preflight.report import PreflightReport, SetFacts, TeacherFacts
from annotext.workflows.train import TrainReport


def train_text(report: TrainReport) -> str:
    """A finished run, and how to use its student."""
    sets = ", ".join(f"{d['name']} {d['trained_on']} of {d['people']} people" for d in report.data)
    return "\n".join(
        [
            f"[bold]{escape(report.recipe)}[/]: {report.model}, {report.parameters / 1e6:.2f} M parameters, "
            f"{len(report.keypoints)} keypoints",
            f"  data      {escape(sets)}",
            f"  training  {report.samples} samples in {report.steps} steps, last loss {report.loss:.4f}",
            f"  student   {escape(report.folder)}/student.onnx, within {report.onnx_difference:.0e} of torch "
            "(probability)",
            *(
                f"  measured  {_measured(v)} on {v['people']} people of {escape(v['name'])}, weights of step "
                f"{report.exported}"
                for v in report.validation
            ),
            f"  use it    annotext extend ANNOTATIONS --images DIR --predictor {escape(report.folder)} -o OUT",
        ]
    )


def _measured(measured: Mapping[str, Any]) -> str:
    """`AP 0.431`; where the student lacks points of the set, also what it does on those that all sets share."""
    metric = METRICS[measured["metric"]]
    text = metric.text(measured["value"])
    if measured["missing"] and measured["shared"] is not None:
        lacking = f"{len(measured['missing'])} of {measured['keypoints']} points missing"
        text += f" ({lacking}; {metric.text(measured['shared'])} on the shared ones)"
    return text


def preflight_text(report: PreflightReport) -> str:
    """What would be trained, the estimates, who labels and teaches what, and the findings."""
    lines = [
        f"[bold]{escape(report.recipe)}[/]: {report.model}, {report.parameters / 1e6:.2f} M parameters, "
        f"{len(report.keypoints)} keypoints",
        *(f"  data      {escape(_set_line(d))}" for d in report.data),
        *(f"  validate  {escape(v['name'])}: {v['people']} people" for v in report.validation),
        *(f"  teacher   {escape(_teacher_line(t))}" for t in report.teachers),
        f"  run       {report.pace.line()}" + (", and validation" if report.validation else ""),
        f"  loading   {report.pace.loading()}",
        f"  picture   {escape(report.picture)}: {report.shown} people of one batch",
        "",
        *_counts(report),
    ]
    for data in report.data:
        if data.origins:
            lines += ["", *origin_lines(data)]
    if any(t.overall for t in report.teachers):
        lines += ["", *_agreement(report)]
    lines += [f"\n[yellow]warning:[/] {escape(str(f))}" for f in report.findings]
    return "\n".join(lines)


def _counts(report: PreflightReport) -> list[str]:
    """Labelled people per keypoint and data set, and who teaches it."""
    columns = ["labelled", *(d.name for d in report.data)]
    rows = []
    for keypoint in report.keypoints:
        counts = [f"{d.labelled[keypoint]}" if d.labels else "withheld" for d in report.data]
        teaching = ", ".join(t.name for t in report.teachers if keypoint in t.teaches)
        rows.append([keypoint, *counts, *([teaching or "-"] if report.teachers else [])])
    return Table([*columns, *([Column("taught by", left=True)] if report.teachers else [])], rows).lines(2)


def _agreement(report: PreflightReport) -> list[str]:
    """Teachers against labels: median distance in crop pixels, share within two sigmas, number."""
    measured = [t for t in report.teachers if t.overall]
    groups = list(dict.fromkeys(a.group for t in measured for a in t.groups))
    rows = []
    for group in [*groups, "all"]:
        cells = [next((a for a in (*t.groups, t.overall) if a and a.group == group), None) for t in measured]
        rows.append([group, *(f"{a.median_px:.1f} px  {a.within:4.0%}  n={a.n:<4}" if a else "-" for a in cells)])
    offsets = [
        t.offset and "  ".join(f"{v:+.2f}±{e:.2f}" for v, e in zip(t.offset.xy, t.offset.error, strict=True))
        for t in measured
    ]
    rows.append(["offset x, y (image px)", *(o or "-" for o in offsets)])
    table = Table(["teacher against label", *(t.name for t in measured)], rows)
    return [*table.lines(2), "(median distance in crop pixels, share within 2 sigma)"]


def origin_lines(data: SetFacts) -> list[str]:
    """Where the labels of the keypoints come from that annotext added."""
    rows = list(_origin_rows(data))
    if not rows:
        return [f"  {escape(data.name)}: none of the added points is a label"]
    return Table([f"{data.name}: added points that are labels", *data.origins], rows).lines(2)


def _origin_rows(data: SetFacts) -> Iterator[list[str]]:
    for keypoint in data.labelled:
        counts = [n.get(keypoint, 0) for n in data.origins.values()]
        if any(n for o, n in zip(data.origins, counts, strict=True) if o != "human"):
            cells = [f"{n}" for n in counts]
            if "scored" in data.origins and data.origins["scored"].get(keypoint):
                cells[-1] += f" (weight {data.scored_weight[keypoint]:g})"
            yield [keypoint, *cells]


def _set_line(data: SetFacts) -> str:
    withheld = "" if data.labels else ", labels withheld"
    checked = f"{data.checked} of {data.images} images read" if data.checked else f"{data.images} images, none read"
    return f"{data.name} ({data.skeleton}): {data.trained_on} of {data.people} people{withheld}, {checked}"


def _teacher_line(teacher: TeacherFacts) -> str:
    w, h = teacher.input_wh
    sees = f"{w} x {h}, {teacher.fit}, box x {teacher.expand:g}" + (", clean" if teacher.clean else "")
    moved = ", moved by {:+g} {:+g} px".format(*teacher.pixel_offset) if any(teacher.pixel_offset) else ""
    what = f"{teacher.identity.get('source', '')} (sha256 {teacher.identity.get('sha256', '')[:12]})"
    return f"{teacher.name}: {what}, {len(teacher.teaches)} keypoints, weight {teacher.weight:g}, sees {sees}{moved}"
