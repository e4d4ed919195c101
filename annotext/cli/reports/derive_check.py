"""`annotext derive-check` for people."""

from __future__ import annotations

from rich.markup import escape

from annotext.cli.reports.skipped import skipped_lines
from annotext.evaluation.derive_check import LIMITS, Figures, Measurement
from annotext.render.table import Column, Table, number
from annotext.workflows.derive_check import DeriveCheckReport, KeypointCheck

_UNIT_NAMES = {
    "head": "head sizes (0.6 x the head box's diagonal)",
    "torso": "torsos (middle of the shoulders to middle of the hips): the file has no head sizes",
    "size": "person sizes (twice the root mean square distance of the labelled points from their mean): the file has "
    "neither head sizes nor torsos",
}
_SAME, _EVERYBODY = "regression on geometry, same people", "regression on geometry, everybody"


def derive_check_text(report: DeriveCheckReport) -> str:
    """Declared rules, found rules and regression beside them, in rich markup."""
    lines = [
        f"[bold]{escape(report.file)}[/]: {report.people} people ({escape(report.skeleton)})",
        f"distances in {_UNIT_NAMES[report.unit]}; {report.with_unit} people have one",
    ]
    declared = {k: c.measurement for k, c in report.keypoints.items() if c.measurement is not None}
    if declared:
        rules = {f"{name} = {measured.rule.text()}": measured.figures for name, measured in declared.items()}
        lines += ["", *_table("declared rules", report.unit, rules)]
    for name, measured in declared.items():
        lines += [f"  [dim]{name}: {escape(line)}[/]" for line in _about(report, measured)]
    for name, check in report.keypoints.items():
        lines += _searched(report, name, check)
        lines += [f"[yellow]{escape(name)}:[/] {escape(note)}" for note in check.notes]
    return "\n".join([*lines, *skipped_lines(report.skipped)])


def _about(report: DeriveCheckReport, measured: Measurement) -> list[str]:
    lines = [f"{measured.rule.source} -> {measured.rule.target}: {measured.rule.evidence}"]
    lacking = {"lack a parent": measured.without_parents, f"have no {report.unit}": measured.without_unit}
    counts = ", ".join(f"{n} {what}" for what, n in lacking.items() if n)
    if counts:
        lines.append(f"of {measured.labelled} people with the keypoint {counts}: not measured")
    if measured.farthest:
        worst = ", ".join(f"{d:.2f} (id {report.names[r][0]}, {report.names[r][1]})" for r, d in measured.farthest)
        lines.append(f"farthest: {worst}")
    return lines


def _searched(report: DeriveCheckReport, name: str, check: KeypointCheck) -> list[str]:
    found, regressor = check.found, check.regressor
    if found is None and regressor is None:
        return []
    rows = {} if found is None else {f.rule.text(): f.figures for f in found.rules}
    if regressor is not None:
        rows |= {} if regressor.same is None else {_SAME: regressor.same}
        rows[_EVERYBODY] = regressor.everybody
    lines = ["", *_table(name if found is None else f"found for {name}", report.unit, rows)]
    if found is not None:
        how = (
            f"fitted and cross-checked on {found.taught} people"
            if report.train is None
            else f"fitted on {found.taught} people of {escape(report.train)}, measured on {len(found.rows)}"
        )
        lines.append(f"  [dim]{found.candidates} combinations of {len(found.parents)} keypoints, {how}[/]")
        if found.left_out:
            lines.append(f"  [dim]left out, too rare or one-sided: {escape(', '.join(found.left_out))}[/]")
    return lines


def _table(title: str, unit: str, rules: dict[str, Figures]) -> list[str]:
    heads = [Column(title, left=True, width=len(_SAME)), Column("n", width=4), Column("median", width=7)]
    limits = [Column(f"% within {limit:g}", width=20) for limit in LIMITS[unit]]
    rows = []
    for name, f in rules.items():
        shares = [f"{share:.2f} [{low:.1f}, {high:.1f}]" if f.n else "-" for share, low, high in f.within.values()]
        figures = [number(value[0] if f.n else None, 3) for value in (f.median, f.error)]
        rows.append([name, str(f.n), figures[0], *shares, figures[1]])
    return Table([*heads, *limits, Column("error", width=6)], rows).lines()
