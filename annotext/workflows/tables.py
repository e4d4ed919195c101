"""`annotext tables`: the paper's Tables 1 to 4 from finished runs, measured beside published, and every validation set.

All figures are percent, OKS and AP too. What a cell is, is written in docs/tables.md. A cell is empty where a run does
not know the figure, or the paper's is not known here (`annotext.evaluation.paper.published`); nothing is guessed.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotext.core.skeletons import LIMB_JOINTS
from annotext.evaluation.files import EvaluatedSet, Figures
from annotext.evaluation.paper.finished_runs import Group, Run, figures_of, group, read_runs, unequal_runs
from annotext.evaluation.paper.published import AP, DISTILLED, KINDS, PCKH, PUBLISHED, UNION, Published
from annotext.evaluation.paper.tables import Cell, Column, Grid, Line

if TYPE_CHECKING:
    import pandas as pd

Values = Mapping[str, float | None]

# The paper's names of COCO's figures -> evaluation.json's.
_OKS = {name: name.replace(".5", "50").replace(".75", "75") for name in AP}
_BY_SIZE = {"APM": "APM", "APL": "APL", "ARM": "ARM", "ARL": "ARL"}
_JOINTS = {
    "head top": ("head_top",),
    "neck": ("upper_neck",),
    **{part: (f"left_{part}", f"right_{part}") for part in LIMB_JOINTS},
    "pelvis": ("pelvis",),
    "thorax": ("thorax",),
}
_STAR = " *"
_DISTILLATION = " + distillation"


@dataclass(frozen=True)
class TablesReport:
    """Tables 1 to 4 and the one of all validation sets."""

    grids: tuple[Grid, ...]
    groups: tuple[Group, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values: every run with its own figures, then the tables as they are shown."""
        return {
            "runs": [_run_dict(group, run) for group in self.groups for run in group.runs],
            "tables": [grid.to_dict() for grid in self.grids],
            "notes": list(self.notes),
        }

    def to_frame(self) -> pd.DataFrame:
        """One row per figure: table, section, label, runs, figure, mean and deviation (percent; NaN of one run)."""
        import pandas as pd

        return pd.DataFrame(
            {
                "table": grid.key,
                "section": line.section,
                "label": line.label,
                "runs": line.runs,
                "figure": figure,
                "mean": cell.mean,
                "deviation": float("nan") if cell.deviation is None else cell.deviation,
            }
            for grid in self.grids
            for line in grid.lines
            for figure, cell in line.cells.items()
        )


def tables(runs: Sequence[str | Path], *, coco: str | None = None, mpii: str | None = None) -> TablesReport:
    """Lay out the tables of finished runs, whatever they are and in whatever order they are given.

    coco, mpii: names of the validation sets that stand for COCO and MPII, where a run has several of that skeleton.
    Raises InputError naming every run that has no evaluation, or one of another student.
    """
    groups, variants = group(read_runs(runs, coco=coco, mpii=mpii))
    grids = (_table1(groups), _table2(groups), _table3(groups), _table4(groups), _all_sets(groups))
    notes = [
        "percent, OKS and AP too; measured with ground-truth boxes; ± is the standard deviation between runs",
        "*: where the student lacks keypoints of a set, on the 12 that COCO and MPII share; without *, those are wrong",
        *variants,
        *unequal_runs(groups),
        *_what_is_measured(groups),
    ]
    return TablesReport(grids, groups, tuple(notes))


def _what_is_measured(groups: Sequence[Group]) -> Iterable[str]:
    """That our validation sets need not be the paper's, and which sizes it does not have."""
    beside = [g for g in groups if any(size == g.size for size, _ in PUBLISHED)]
    if beside:
        yield "published: arXiv 2405.20084, on the paper's own training and validation people"
    others = sorted({g.size for g in groups if g not in beside})
    if others:
        yield f"nothing published beside {', '.join(others)}: not the paper's model"
    for side in ("coco", "mpii"):
        sets: dict[str, None] = {}
        for run in (run for g in groups for run in g.runs):
            judged: EvaluatedSet | None = getattr(run, side)
            if judged is not None:
                sets[f"{judged.people} people of {judged.annotations} (sha256 {judged.sha256[:8]})"] = None
        if sets:
            yield f"{side.upper()} here: {'; '.join(sorted(sets))}"


def _coco_values(run: Run, *, starred: bool, names: Mapping[str, str]) -> Values:
    figures = figures_of(run.coco, starred=starred)
    return {name: _percent(figures.oks, key) if figures and figures.oks else None for name, key in names.items()}


def _mpii_values(run: Run, *, starred: bool) -> Values:
    figures = figures_of(run.mpii, starred=starred)
    return {name: _share(figures, name.lower(), "mean") for name in PCKH}


def _table1_values(run: Run, *, starred: bool) -> Values:
    values = {**_mpii_values(run, starred=starred), **_coco_values(run, starred=starred, names=_OKS)}
    points = run.points
    return {**values, "points": None if points is None else float(points), "average": _average(values)}


def _table3_values(run: Run, *, starred: bool) -> Values:
    return _coco_values(run, starred=starred, names={**_OKS, **_BY_SIZE})


def _table4_values(run: Run, *, starred: bool) -> Values:
    figures = figures_of(run.mpii, starred=starred)
    values: dict[str, float | None] = {}
    for joint, keypoints in _JOINTS.items():
        shares = [_share(figures, "pckh@0.5", k) if figures and k not in figures.missing else None for k in keypoints]
        known = [s for s in shares if s is not None]
        values[joint] = statistics.fmean(known) if len(known) == len(keypoints) else None
    return {**values, "mean": _share(figures, "pckh@0.5", "mean")}


def _average(values: Values) -> float | None:
    pckh, ap = values["PCKh@0.5"], values["AP"]
    return None if pckh is None or ap is None else (pckh + ap) / 2


def _percent(figures: Values, key: str) -> float | None:
    value = figures.get(key)
    return None if value is None else 100 * value


def _share(figures: Figures | None, name: str, keypoint: str) -> float | None:
    values = figures.shares.get(name) if figures else None
    return values.get(keypoint) if values else None


def _line(
    section: str, label: str, runs: Sequence[Run], values: Callable[[Run], Values], columns: Sequence[Column]
) -> Line:
    """Means over the runs; a figure that one of them does not know is not the mean of the others."""
    each = [values(run) for run in runs]
    cells = {}
    for column in columns:
        known = [v for v in (one[column.key] for one in each) if v is not None]
        if known and len(known) == len(runs):
            # The number of points is no measurement.
            spread = statistics.stdev(known) if len(known) > 1 and column.decimals else None
            cells[column.key] = Cell(statistics.fmean(known), spread)
    return Line(section, label, cells, len(runs))


def _given(figures: Mapping[str, float], columns: Sequence[Column]) -> dict[str, Cell]:
    return {c.key: Cell(figures[c.key]) for c in columns if c.key in figures}


def _lacks(runs: Sequence[Run], sides: Sequence[str]) -> bool:
    """Whether the runs' students lack some keypoint of one of these sets."""
    judged = [getattr(run, side) for run in runs for side in sides]
    return any(s is not None and s.all.missing for s in judged)


def _paper_grid(
    key: str,
    title: str,
    columns: tuple[Column, ...],
    groups: Sequence[Group],
    values: Callable[..., Values],
    *,
    sides: Sequence[str],
    published: Callable[[Published], tuple[Mapping[str, float], Mapping[str, float]]],
) -> Grid:
    """Per size and kind the measured groups and the published line, on all keypoints and starred.

    published: its figures in this table, on all keypoints and starred.
    """
    lines: list[Line] = []
    notes: list[str] = []
    absent: list[str] = []
    for size, kind in _sections(groups):
        section = f"{size}, {kind}"
        here = [g for g in groups if (g.size, g.kind) == (size, kind)]
        paper = PUBLISHED.get((size, kind))
        in_paper = published(paper) if paper else ({}, {})
        if not here:
            absent.append(section)
        for starred, figures in zip((False, True), in_paper, strict=True):
            star = _STAR if starred else ""
            for one in here:
                if starred and not _lacks(one.runs, sides):
                    continue
                line = _line(
                    section + star,
                    one.variant or "measured",
                    one.runs,
                    lambda run, starred=starred: values(run, starred=starred),
                    columns,
                )
                lines.append(line)
                notes += [f"{one.name}{star}: {why}" for why in _why_empty(one.runs, sides, starred=starred)]
            if _given(figures, columns):
                lines.append(Line(section + star, "published", _given(figures, columns)))
                if paper and paper.remark and "AP.75" in figures and not starred:
                    notes.append(paper.remark)
    if absent:
        notes.append(f"no run given of: {'; '.join(absent)}")
    return Grid(key, title, columns, tuple(lines), tuple(notes))


def _sections(groups: Sequence[Group]) -> list[tuple[str, str]]:
    """(size, kind) in order: what there are runs of, and all published kinds of a size there are runs of."""
    found: dict[str, list[str]] = {}
    for one in groups:
        kinds = found.setdefault(one.size, [k for k in KINDS if (one.size, k) in PUBLISHED])
        if one.kind not in kinds:
            kinds.append(one.kind)
    return [(size, kind) for size, kinds in found.items() for kind in kinds]


def _why_empty(runs: Sequence[Run], sides: Sequence[str], *, starred: bool) -> list[str]:
    """Why cells of these runs are empty, each reason once."""
    reasons: dict[str, None] = {}
    for run in runs:
        for side in sides:
            judged: EvaluatedSet | None = getattr(run, side)
            reason = _why(judged, side, starred=starred)
            if reason:
                reasons[reason] = None
    return list(reasons)


def _why(judged: EvaluatedSet | None, side: str, *, starred: bool) -> str:
    skeleton, unit = {"coco": ("coco17", "areas"), "mpii": ("mpii16", "head sizes")}[side]
    if judged is None:
        return f"no validation set of {skeleton}"
    figures = figures_of(judged, starred=starred)
    if figures is None:
        if judged.shared is None:
            return f"{judged.name} was not judged on shared keypoints: the recipe knows one skeleton only"
        return (
            f"{judged.name} was judged on {len(judged.shared.keypoints)} shared keypoints, not the 12 of COCO and MPII"
        )
    known = figures.oks if side == "coco" else figures.shares.get("pckh@0.5")
    if known is None:
        return f"the truth of {judged.name} has no {unit}"
    if side == "coco" and any(known[k] is None for k in _BY_SIZE):
        sizes = [name for name, k in (("medium", "APM"), ("large", "APL")) if known[k] is None]
        return f"nobody in {judged.name} is {' or '.join(sizes)} by COCO's measure" if sizes else ""
    return ""


def _table1(groups: Sequence[Group]) -> Grid:
    columns = (
        *(Column(name, name.removeprefix("PCKh"), "MPII PCKh") for name in PCKH),
        *(Column(name, name.removeprefix(name[:2]) or name, "COCO AP" if name[1] == "P" else "AR") for name in AP),
        Column("points", "pts", decimals=0),
        Column("average", "avg"),
    )
    return _paper_grid(
        "1",
        "Table 1: across data sets (average: of PCKh@0.5 and AP)",
        columns,
        groups,
        _table1_values,
        sides=("mpii", "coco"),
        # Of the union without distillation the paper's Table 1 has no row; what Table 2 says of it stands here too.
        published=lambda p: (
            {**p.all, "points": p.points},
            {**p.starred, "points": p.points} if p.starred else {},
        ),
    )


def _table2(groups: Sequence[Group]) -> Grid:
    columns = (Column("PCKh@0.5", "PCKh@0.5"), Column("AP", "AP"), Column("average", "average"))
    lines: list[Line] = []
    notes: list[str] = []
    pairs = dict.fromkeys(
        (size, kind.removesuffix(_DISTILLATION)) for size, kind in _sections(groups) if kind.endswith(_DISTILLATION)
    )
    for size, data in pairs:
        section = f"{size}, {data}"
        without = [g for g in groups if (g.size, g.kind) == (size, data)]
        taught = [g for g in groups if (g.size, g.kind) == (size, data + _DISTILLATION)]

        def measured(one: Group, label: str, section: str = section) -> Line:
            name = f"{label}, {one.variant}" if one.variant else label
            return _line(section, name, one.runs, lambda run: _table1_values(run, starred=False), columns)

        before = [measured(g, "without") for g in without]
        lines += before
        for one in taught:
            after = measured(one, "with")
            lines.append(after)
            like = [g for g in without if g.runs[0].evaluated_on == one.runs[0].evaluated_on]
            if len(like) == 1:
                lines.append(_change(section, before[without.index(like[0])], after, columns))
            else:
                reason = "several groups" if like else "no group"
                notes.append(f"{one.name}: no difference, {reason} without teachers was judged on the same people")
        for one in (*without, *taught):
            notes += [f"{one.name}: {why}" for why in _why_empty(one.runs, ("mpii", "coco"), starred=False)]
        if data == UNION and (size, UNION) in PUBLISHED:
            paper = [
                Line(section, f"published {label}", _given(PUBLISHED[size, kind].all, columns))
                for label, kind in (("without", UNION), ("with", DISTILLED))
            ]
            lines += [*paper, _change(section, paper[0], paper[1], columns)]
    if not pairs:
        notes.append("no run has teachers")
    return Grid("2", "Table 2: without and with distillation", columns, tuple(lines), tuple(notes))


def _change(section: str, before: Line, after: Line, columns: Sequence[Column]) -> Line:
    both = [c.key for c in columns if c.key in before.cells and c.key in after.cells]
    cells = {k: Cell(after.cells[k].mean - before.cells[k].mean) for k in both}
    return Line(section, "difference", cells, signed=True)


def _table3(groups: Sequence[Group]) -> Grid:
    def head(name: str) -> str:
        return name[2:] or name

    aps = ("AP", "AP.5", "AP.75", "APM", "APL")
    ars = ("AR", "AR.5", "AR.75", "ARM", "ARL")
    columns = (*(Column(n, head(n), "COCO AP") for n in aps), *(Column(n, head(n), "AR") for n in ars))
    return _paper_grid(
        "3",
        "Table 3: COCO",
        columns,
        groups,
        _table3_values,
        sides=("coco",),
        published=lambda p: (p.all, p.starred if _differ(p, AP) else {}),
    )


def _table4(groups: Sequence[Group]) -> Grid:
    columns = (*(Column(joint, joint) for joint in _JOINTS), Column("mean", "mean"))
    return _paper_grid(
        "4",
        "Table 4: MPII, PCKh@0.5 per joint",
        columns,
        groups,
        _table4_values,
        sides=("mpii",),
        published=lambda p: (_mean_only(p.all), _mean_only(p.starred) if _differ(p, PCKH) else {}),
    )


def _mean_only(figures: Mapping[str, float]) -> dict[str, float]:
    return {"mean": figures["PCKh@0.5"]} if "PCKh@0.5" in figures else {}


def _differ(paper: Published, names: Sequence[str]) -> bool:
    return any(paper.starred.get(n) != paper.all.get(n) for n in names) and bool(paper.starred)


def _all_sets(groups: Sequence[Group]) -> Grid:
    columns = (
        Column("keypoints", "points", decimals=0),
        Column("missing", "lacks", decimals=0),
        Column("people", "people", decimals=0),
        Column("oks", "OKS"),
        Column("AP", "AP"),
        Column("pck@0.2", "PCK@0.2"),
        Column("pckh@0.5", "PCKh@0.5"),
    )
    lines: list[Line] = []
    for one in groups:
        names = dict.fromkeys(s.name for run in one.runs for s in run.evaluation.sets)
        for name in names:
            for shared in (False, True):
                figures = [_of_set(run, name, shared=shared) for run in one.runs]
                if all(f is None for f in figures):
                    continue
                label = f"{name}, shared" if shared else name
                lines.append(
                    _line(
                        one.name,
                        label,
                        one.runs,
                        lambda run, name=name, shared=shared: _set_values(_of_set(run, name, shared=shared)),
                        columns,
                    )
                )
        mean = _line(one.name, "mean of the sets", one.runs, _mean_values, columns)
        if len(names) > 1 and mean.cells:
            lines.append(mean)
    notes = (
        "all keypoints of a set, those the student lacks are wrong; shared: those all skeletons of the recipe have",
        "OKS: mean per person",
    )
    return Grid("sets", "Every validation set", columns, tuple(lines), notes)


def _of_set(run: Run, name: str, *, shared: bool) -> Figures | None:
    found = [s for s in run.evaluation.sets if s.name == name]
    if not found:
        return None
    return found[0].shared if shared else found[0].all


def _set_values(figures: Figures | None) -> Values:
    if figures is None:
        return dict.fromkeys(("keypoints", "missing", "people", "oks", "AP", "pck@0.2", "pckh@0.5"))
    return {
        "keypoints": float(len(figures.keypoints)),
        "missing": float(len(figures.missing)),
        "people": float(figures.people),
        "oks": _percent(figures.oks, "mean") if figures.oks else None,
        "AP": _percent(figures.oks, "AP") if figures.oks else None,
        "pck@0.2": _share(figures, "pck@0.2", "mean"),
        "pckh@0.5": _share(figures, "pckh@0.5", "mean"),
    }


def _mean_values(run: Run) -> Values:
    """Every set counts alike; a figure that one of them has not is not the mean of the others."""
    each = [_set_values(s.all) for s in run.evaluation.sets]
    means: dict[str, float | None] = dict.fromkeys(("keypoints", "missing", "people"))
    for name in ("oks", "AP", "pck@0.2", "pckh@0.5"):
        known = [v for v in (one[name] for one in each) if v is not None]
        means[name] = statistics.fmean(known) if known and len(known) == len(each) else None
    return means


def _run_dict(one: Group, run: Run) -> dict[str, Any]:
    """A run with its own figures of Tables 1, 3 and 4."""
    found = run.evaluation

    def plain(values: Values) -> dict[str, float | None]:
        return {k: None if v is None else round(v, 4) for k, v in values.items()}

    def shown(*, starred: bool) -> dict[str, Any]:
        return {
            "1": plain(_table1_values(run, starred=starred)),
            "3": plain(_table3_values(run, starred=starred)),
            "4": plain(_table4_values(run, starred=starred)),
        }

    return {
        "run": run.path,
        "size": one.size,
        "kind": one.kind,
        "variant": one.variant,
        "recipe": run.recipe,
        "seed": run.seed,
        "step": found.step,
        "model": found.model,
        "student_sha256": found.student_sha256,
        "points": run.points,
        "data": [{"name": d.name, "skeleton": d.skeleton, "labels": d.labels} for d in found.data],
        "teachers": list(found.teachers),
        "tables": shown(starred=False),
        "starred": shown(starred=True) if _lacks((run,), ("coco", "mpii")) else None,
        "sets": {s.name: plain(_set_values(s.all)) for s in found.sets},
    }
