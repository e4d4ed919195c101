"""The paper's tables from finished runs: every figure where it belongs, and none where none is known."""

from __future__ import annotations

import copy
import hashlib
import json
import statistics
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from annotext.cli.main import app
from annotext.cli.reports.tables import grid_lines, tables_markdown, tables_text
from annotext.core.errors import InputError
from annotext.core.skeleton import Skeleton
from annotext.core.skeletons import COCO17, MPII16, UNION21
from annotext.evaluation.average_precision import FIGURES
from annotext.evaluation.files import OKS_FIGURES, read_evaluation
from annotext.evaluation.paper.published import COCO_ONLY, DISTILLED, MPII_ONLY, PUBLISHED
from annotext.workflows.tables import TablesReport, tables

SHARED = COCO17.shared_with(MPII16)
GOLDEN = Path(__file__).parent / "golden_tables.md"
SETS = {"coco": COCO17, "mpii": MPII16, "all": UNION21}


def oks_of(ap: float) -> dict[str, Any]:
    """Figures that can be told apart: each is the AP plus its place in the list, in thousandths."""
    return {"sigmas": "coco17", **{name: round(ap + i / 1000, 4) for i, name in enumerate(OKS_FIGURES[1:])}, "mean": ap}


def figures(names: Sequence[str], student: Sequence[str], ap: float, pckh: float) -> dict[str, Any]:
    missing = [k for k in names if k not in student]
    joints = {k: 0.0 if k in missing else round(pckh - i, 2) for i, k in enumerate(names)}
    return {
        "keypoints": list(names),
        "missing": missing,
        "people": 90,
        "oks": oks_of(ap),
        "pckh@0.5": {"mean": pckh, **joints},
        "pckh@0.1": {"mean": round(pckh / 4, 2), **joints},
        "pck@0.2": {"mean": round(pckh / 2, 2), **joints},
    }


def evaluation(
    *skeletons: Skeleton,
    model: str = "nano",
    ap: float = 0.5,
    pckh: float = 60.0,
    teachers: Sequence[str] = (),
    sets: Sequence[str] = ("coco", "mpii"),
) -> dict[str, Any]:
    """A hand-made evaluation: MPII truth has no areas, COCO truth no head sizes; shared figures are better by half."""
    student = {k for s in skeletons for k in s.keypoints}
    judged = []
    for name in sets:
        skeleton = SETS[name]
        both = {
            "all": figures(skeleton.keypoints, list(student), ap, pckh),
            "shared": figures(SHARED, list(student), ap + 0.1, pckh + 10),
        }
        for f in both.values():
            if name == "mpii":
                f["oks"] = None
            if name == "coco":
                f["pckh@0.5"] = f["pckh@0.1"] = None
        judged.append(
            {
                "name": name,
                "skeleton": skeleton.name,
                "annotations": f"people/{name}/annotations.json",
                "sha256": hashlib.sha256(name.encode()).hexdigest(),
                "people": 90,
                "metric": "pckh" if name == "mpii" else "ap",
                "value": pckh if name == "mpii" else ap,
                "figures": both,
            }
        )
    return {
        "format": "annotext-evaluation/1",
        "step": 100,
        "model": model,
        "data": [{"name": s.name, "skeleton": s.name} for s in skeletons],
        "teachers": list(teachers),
        "sets": judged,
    }


def make_run(folder: Path, document: dict[str, Any], recipe: str | None = None, **data: Any) -> Path:
    folder.mkdir(parents=True)
    student = f"student of {folder.name}".encode()
    (folder / "student.onnx").write_bytes(student)
    document = {**copy.deepcopy(document), "student_sha256": hashlib.sha256(student).hexdigest()}
    (folder / "evaluation.json").write_text(json.dumps(document))
    if recipe is not None:
        (folder / "recipe.toml").write_text(recipe)
    if data:
        (folder / "data.json").write_text(json.dumps(data))
    return folder


def recipe_text(name: str = "r", seed: int = 1, size: tuple[int, int] = (192, 256), **settings: str) -> str:
    more = "".join(f'\n[{key.partition("_")[0]}]\n{key.partition("_")[2]} = "{v}"\n' for key, v in settings.items())
    return f'name = "{name}"\nseed = {seed}\n[student]\ninput = [{size[0]}, {size[1]}]\n{more}'


def table(report: TablesReport, key: str) -> dict[str, Any]:
    return next(t for t in report.to_dict()["tables"] if t["table"] == key)


def cells(report: TablesReport, key: str, section: str, label: str) -> dict[str, float | None]:
    """The means of one row; AssertionError unless there is exactly one."""
    [row] = [r for r in table(report, key)["rows"] if (r["section"], r["label"]) == (section, label)]
    return {name: None if cell is None else cell["mean"] for name, cell in row["cells"].items()}


def rows(report: TablesReport, key: str) -> list[tuple[str, str]]:
    return [(r["section"], r["label"]) for r in table(report, key)["rows"]]


# What is published


@pytest.mark.parametrize("place", PUBLISHED, ids=" ".join)
def test_a_published_average_is_that_of_pckh_and_ap(place: tuple[str, str]) -> None:
    paper = PUBLISHED[place]
    judged = [f for f in (paper.all, paper.starred) if "average" in f]
    assert judged
    for f in judged:
        # The paper rounds halves up and down.
        assert f["average"] == pytest.approx((f["PCKh@0.5"] + f["AP"]) / 2, abs=0.00501)


def test_published_precision_falls_with_the_threshold_but_for_the_figure_that_says_so() -> None:
    for paper in PUBLISHED.values():
        for f in (paper.all, paper.starred):
            if "AP.75" in f:
                # Six of AP's ten thresholds are .75 or lower.
                possible = f["AP"] >= 0.6 * f["AP.75"]
                assert possible or "AP.75" in paper.remark


# Where figures go


def test_a_student_of_mpii_stands_under_its_own_points_and_with_a_star_under_the_shared(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", evaluation(MPII16, model="rtmpose-t", ap=0.2, pckh=87.0), recipe_text())
    report = tables([run])
    plain, starred = (cells(report, "1", f"tiny, {MPII_ONLY}{star}", "measured") for star in ("", " *"))
    assert (plain["PCKh@0.5"], plain["AP"], plain["average"]) == (87.0, 20.0, 53.5)
    # It has all of MPII's keypoints, so MPII's figure stays; COCO's is that of the shared 12.
    assert (starred["PCKh@0.5"], starred["AP"], starred["average"]) == (87.0, pytest.approx(30), pytest.approx(58.5))
    assert plain["points"] == 16


def test_a_student_of_coco_is_starred_on_mpii_and_not_on_coco(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", evaluation(COCO17, model="rtmpose-s", ap=0.7, pckh=50.0), recipe_text())
    report = tables([run])
    starred = cells(report, "1", f"small, {COCO_ONLY} *", "measured")
    assert (starred["PCKh@0.5"], starred["AP"], starred["points"]) == (60.0, 70.0, 17)
    assert (f"small, {COCO_ONLY} *", "measured") not in rows(report, "3")
    assert (f"small, {COCO_ONLY} *", "measured") in rows(report, "4")


def test_a_student_of_the_union_has_no_star(tmp_path: Path) -> None:
    report = tables([make_run(tmp_path / "a", evaluation(COCO17, MPII16), recipe_text())])
    assert not [section for section, _ in rows(report, "1") if "*" in section]
    assert cells(report, "1", "nano, union", "measured")["points"] == 21


def test_every_column_of_coco_holds_its_own_figure(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", evaluation(COCO17, MPII16, ap=0.4), recipe_text())
    found = cells(tables([run]), "3", "nano, union", "measured")
    expected = {"AP": "AP", "AP.5": "AP50", "AP.75": "AP75", "APM": "APM", "APL": "APL"}
    expected |= {"AR": "AR", "AR.5": "AR50", "AR.75": "AR75", "ARM": "ARM", "ARL": "ARL"}
    assert found == {column: pytest.approx(100 * oks_of(0.4)[key]) for column, key in expected.items()}


def test_a_joint_is_the_mean_of_its_sides_and_empty_where_the_student_lacks_it(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", evaluation(COCO17, pckh=50.0), recipe_text())
    found = cells(tables([run]), "4", f"nano, {COCO_ONLY}", "measured")
    at = MPII16.index
    assert found["wrist"] == 50 - (at["left_wrist"] + at["right_wrist"]) / 2
    assert [k for k, v in found.items() if v is None] == ["head top", "neck", "pelvis", "thorax"]
    assert found["mean"] == 50  # those it lacks count as wrong


def test_measured_and_published_stand_side_by_side(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", evaluation(COCO17, MPII16, model="rtmpose-t", teachers=["c", "m"]), recipe_text())
    report = tables([run])
    assert [label for section, label in rows(report, "1") if section == f"tiny, {DISTILLED}"] == [
        "measured",
        "published",
    ]
    assert cells(report, "1", f"tiny, {DISTILLED}", "published")["AP"] == 62.03
    assert cells(report, "2", "tiny, union", "published with")["average"] == 70.89
    assert cells(report, "2", "tiny, union", "difference") == {"PCKh@0.5": -0.46, "AP": 1.34, "average": 0.44}
    # What is not known of the paper's Table 3 and 4 stays empty.
    assert cells(report, "3", f"tiny, {DISTILLED}", "published")["APM"] is None
    joints = cells(report, "4", f"tiny, {DISTILLED}", "published")
    assert joints.pop("mean") == 79.75 and set(joints.values()) == {None}
    assert [n for n in table(report, "1")["notes"] if n.startswith("no run given of: tiny, MPII-only; tiny, COCO-only")]


@pytest.mark.parametrize(
    ("model", "size"), [("nano", (192, 256)), ("rtmpose-t", (96, 128)), ("rtmpose-m", (192, 256))], ids=str
)
def test_another_model_or_input_is_never_put_beside_the_paper(
    tmp_path: Path, model: str, size: tuple[int, int]
) -> None:
    run = make_run(tmp_path / "a", evaluation(COCO17, MPII16, model=model), recipe_text(size=size))
    report = tables([run])
    assert not [row for key in "1234" for row in rows(report, key) if "published" in row[1]]
    assert any(note.startswith("nothing published beside") for note in report.notes)


def test_people_without_labels_make_another_kind(tmp_path: Path) -> None:
    document = evaluation(COCO17, MPII16, model="rtmpose-t", teachers=["m"])
    document["data"][1]["labels"] = False
    report = tables([make_run(tmp_path / "a", document, recipe_text())])
    assert ("tiny, COCO + MPII without labels + distillation", "measured") in rows(report, "1")
    assert (f"tiny, {DISTILLED}", "measured") not in rows(report, "1")


# Several runs


def test_seeds_become_a_mean_and_a_deviation(tmp_path: Path) -> None:
    aps = (0.50, 0.53, 0.59)
    runs = [
        make_run(tmp_path / f"seed{i}", evaluation(COCO17, MPII16, ap=ap), recipe_text(seed=i))
        for i, ap in enumerate(aps)
    ]
    report = tables(runs)
    [row] = [r for r in table(report, "1")["rows"] if r["section"] == "nano, union"]
    assert row["runs"] == 3
    assert row["cells"]["AP"] == {
        "mean": pytest.approx(100 * statistics.fmean(aps)),
        "deviation": pytest.approx(100 * statistics.stdev(aps), abs=1e-4),
    }
    listed = report.to_dict()["runs"]
    assert [(r["seed"], r["tables"]["1"]["AP"]) for r in listed] == [(i, 100 * ap) for i, ap in enumerate(aps)]
    assert "measured, n=3" in tables_text(report) and "54.00 ± 4.58" in tables_markdown(report)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"recipe": recipe_text("other", distil_confidence="peak")},
            'r against other: distil.confidence not set, not "peak"',
        ),
        ({"data": [{"name": "c", "sha256": "1", "trained_on": 100}]}, "trained on other numbers of people"),
        ({"people": 80}, "judged on other people"),
    ],
    ids=["settings", "number of people", "judges"],
)
def test_runs_that_differ_by_more_than_the_seed_are_not_averaged(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    document = evaluation(COCO17, MPII16)
    people = [{"name": "c", "sha256": "1", "trained_on": 1000}]
    one = make_run(tmp_path / "a", document, recipe_text(), data=people)
    document["sets"][0]["people"] = change.get("people", 90)
    other = make_run(
        tmp_path / "b", document, change.get("recipe", recipe_text(seed=2)), data=change.get("data", people)
    )
    report = tables([one, other])
    assert [r["runs"] for r in table(report, "1")["rows"]] == [1, 1]
    assert any(said in note for note in report.notes), report.notes


def test_seeds_with_people_of_their_own_are_averaged_and_it_is_said(tmp_path: Path) -> None:
    runs = [
        make_run(
            tmp_path / f"{i}",
            evaluation(COCO17, MPII16),
            recipe_text(seed=i),
            data=[{"name": "c", "sha256": f"{i}", "trained_on": 1000 + 10 * i}],
        )
        for i in range(2)
    ]
    report = tables(runs)
    assert [r["runs"] for r in table(report, "1")["rows"]] == [2]
    assert "nano, union: its runs were trained on different files" in report.notes


def test_distillation_is_held_against_the_same_student_without_it(tmp_path: Path) -> None:
    runs = [
        make_run(tmp_path / "w", evaluation(COCO17, MPII16, ap=0.60, pckh=80), recipe_text()),
        make_run(tmp_path / "d", evaluation(COCO17, MPII16, ap=0.62, pckh=79, teachers=["m"]), recipe_text("d")),
    ]
    report = tables(runs)
    assert cells(report, "2", "nano, union", "difference") == {"PCKh@0.5": -1, "AP": 2, "average": 0.5}
    assert "+2.00" in tables_text(report)


def test_a_figure_that_one_seed_lacks_is_empty(tmp_path: Path) -> None:
    full, lame = evaluation(COCO17, MPII16), evaluation(COCO17, MPII16)
    lame["sets"][0]["figures"]["all"]["oks"] = None
    report = tables([make_run(tmp_path / "a", full, recipe_text()), make_run(tmp_path / "b", lame, recipe_text())])
    found = cells(report, "1", "nano, union", "measured")
    assert found["AP"] is None and found["PCKh@0.5"] == 60


def _folder_of_runs(folder: Path) -> list[Path]:
    """Six runs of five groups: what the golden file holds."""
    shape = evaluation
    tiny = "rtmpose-t"
    return [
        make_run(folder / "m", shape(MPII16, model=tiny, ap=0.2, pckh=87), recipe_text("m")),
        make_run(folder / "c", shape(COCO17, model=tiny, ap=0.68, pckh=70, sets=("coco",)), recipe_text("c")),
        make_run(folder / "u1", shape(COCO17, MPII16, model=tiny, ap=0.6, pckh=80), recipe_text("u", 1)),
        make_run(folder / "u2", shape(COCO17, MPII16, model=tiny, ap=0.61, pckh=81), recipe_text("u", 2)),
        make_run(
            folder / "d", shape(COCO17, MPII16, model=tiny, ap=0.62, pckh=79.5, teachers=["c", "m"]), recipe_text("d")
        ),
        make_run(folder / "n", shape(COCO17, MPII16, sets=("coco", "mpii", "all")), recipe_text("n", 1, (96, 128))),
    ]


@pytest.fixture(scope="module")
def some_runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return _folder_of_runs(tmp_path_factory.mktemp("runs"))


def test_the_tables_of_a_few_runs_are_those_of_the_golden_file(some_runs: list[Path]) -> None:
    assert tables_markdown(tables(some_runs)) == GOLDEN.read_text(encoding="utf-8")


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(6)))
def test_the_order_of_the_runs_changes_nothing(some_runs: list[Path], order: list[int]) -> None:
    shuffled, given_order = tables([some_runs[i] for i in order]), tables(some_runs)
    assert shuffled.to_dict() == given_order.to_dict()
    assert tables_text(shuffled) == tables_text(given_order)


def test_a_line_fits_a_terminal_of_100_columns_and_notes_stand_alone(some_runs: list[Path]) -> None:
    from rich.text import Text

    lines = [
        Text.from_markup(line).plain
        for grid in tables(some_runs).grids
        for line in grid_lines(grid)[: -len(grid.notes)]
    ]
    assert max(map(len, lines)) <= 100


# Why a cell is empty


def _without(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    document = evaluation(MPII16)
    change(document)
    return document


def _no_areas(document: dict[str, Any]) -> None:
    document["sets"][0]["figures"]["all"]["oks"] = None


def _no_heads(document: dict[str, Any]) -> None:
    document["sets"][1]["figures"]["all"]["pckh@0.5"] = None


def _no_coco(document: dict[str, Any]) -> None:
    del document["sets"][0]


def _nothing_shared(document: dict[str, Any]) -> None:
    document["sets"][0]["figures"]["shared"] = None


def _others_shared(document: dict[str, Any]) -> None:
    student = MPII16.keypoints
    document["sets"][0]["figures"]["shared"] = figures(SHARED[:5], student, 0.5, 50)


def _nobody_small(document: dict[str, Any]) -> None:
    document["sets"][0]["figures"]["all"]["oks"]["APM"] = None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_no_areas, f"nano, {MPII_ONLY}: the truth of coco has no areas"),
        (_no_heads, f"nano, {MPII_ONLY}: the truth of mpii has no head sizes"),
        (_no_coco, f"nano, {MPII_ONLY}: no validation set of coco17"),
        (
            _nothing_shared,
            f"nano, {MPII_ONLY} *: coco was not judged on shared keypoints: the recipe knows one skeleton only",
        ),
        (
            _others_shared,
            f"nano, {MPII_ONLY} *: coco was judged on 5 shared keypoints, not the 12 of COCO and MPII",
        ),
        (_nobody_small, f"nano, {MPII_ONLY}: nobody in coco is medium by COCO's measure"),
    ],
    ids=lambda v: v.__name__ if callable(v) else "",
)
def test_an_empty_cell_is_explained(tmp_path: Path, change: Callable[[dict[str, Any]], None], said: str) -> None:
    report = tables([make_run(tmp_path / "a", _without(change), recipe_text())])
    key = "3" if change is _nobody_small else "1"
    assert said in table(report, key)["notes"]


# Faults


def test_every_run_without_an_evaluation_is_named(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    with pytest.raises(InputError) as caught:
        tables([tmp_path / "a", tmp_path / "b", tmp_path / "c"])
    assert str(caught.value).splitlines() == [
        f"{tmp_path}/a: has no evaluation.json",
        "  hint: annotext train writes it at the end of a run whose recipe has a [[validation]]",
        f"{tmp_path}/b: has no evaluation.json",
        "  hint: annotext train writes it at the end of a run whose recipe has a [[validation]]",
        f"{tmp_path}/c: there is no such run directory",
    ]


def test_an_evaluation_of_another_student_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", evaluation(COCO17))
    (run / "student.onnx").write_bytes(b"another")
    with pytest.raises(
        InputError, match=r"evaluation\.json: student_sha256: was written for another student"
    ) as caught:
        tables([run])
    assert str(run / "student.onnx") in str(caught.value)


def test_a_run_given_twice_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", evaluation(COCO17))
    with pytest.raises(InputError, match="holds the same student as"):
        tables([run, run])


def test_of_several_coco_sets_one_must_be_named(tmp_path: Path) -> None:
    document = evaluation(COCO17, MPII16)
    document["sets"].append({**copy.deepcopy(document["sets"][0]), "name": "hard"})
    document["sets"][2]["figures"]["all"]["oks"] = oks_of(0.1)
    run = make_run(tmp_path / "a", document, recipe_text())
    with pytest.raises(InputError, match="has several sets of coco17: coco, hard\n  hint: --coco NAME"):
        tables([run])
    assert cells(tables([run], coco="hard"), "1", "nano, union", "measured")["AP"] == 10


@pytest.mark.parametrize(
    ("pointer", "value", "said"),
    [
        ("format", "annotext-evaluation/2", 'format: is "annotext-evaluation/2", expected annotext-evaluation/1'),
        ("step", "many", 'step: is "many", expected a whole number'),
        ("data", [], "data: is empty"),
        ("sets.0.figures.all.oks.AP", 50, "sets[0].figures.all.oks.AP: 50 is outside 0-1"),
        ("sets.0.figures.all.oks.AR", "high", 'sets[0].figures.all.oks.AR: is "high", expected a number'),
        ("sets.1.figures.all.missing", ["tail"], "sets[1].figures.all.missing: names tail, which is not among"),
        ("sets.1.figures.all.pckh@0.5", {}, "sets[1].figures.all.pckh@0.5: has no mean"),
        ("sets.0.name", "mpii", "sets: two sets are called mpii"),
    ],
)  # fmt: skip
def test_a_fault_of_an_evaluation_is_named_with_its_place(tmp_path: Path, pointer: str, value: Any, said: str) -> None:
    document = evaluation(COCO17)
    *path, last = (int(p) if p.isdigit() else p for p in _parts(pointer))
    target: Any = document
    for part in path:
        target = target[part]
    target[last] = value
    run = make_run(tmp_path / "a", document)
    with pytest.raises(InputError) as caught:
        read_evaluation(run / "evaluation.json")
    assert f"{run / 'evaluation.json'}: {said}" in str(caught.value)


def _parts(pointer: str) -> list[str]:
    head, at, tail = pointer.partition("pckh@0.5")
    return [*[p for p in head.split(".") if p], *([at] if at else []), *[p for p in tail.split(".") if p]]


def test_the_reader_knows_the_figures_that_average_precision_gives() -> None:
    assert ("mean", *FIGURES) == OKS_FIGURES


# The command


def test_the_command_prints_text_markdown_and_json(some_runs: list[Path]) -> None:
    runs = [str(r) for r in some_runs]
    report = tables(some_runs)
    runner = CliRunner()
    assert json.loads(runner.invoke(app, ["tables", *runs, "--json"]).stdout) == report.to_dict()
    assert runner.invoke(app, ["tables", *runs, "--markdown"]).stdout == tables_markdown(report)
    assert "Table 4: MPII, PCKh@0.5 per joint" in runner.invoke(app, ["tables", *runs]).stdout


def test_a_file_is_written_and_not_overwritten(
    some_runs: list[Path], tmp_path: Path, run_cli: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    out = tmp_path / "tables.md"
    done = run_cli("tables", *some_runs, "--out", out)
    assert (done.returncode, done.stdout) == (0, "") and out.read_text(encoding="utf-8").startswith("### Table 1")
    again = run_cli("tables", *some_runs, "--out", out)
    assert again.returncode == 1 and again.stderr == f"error: {out}: exists\n  hint: give --force to replace it\n"
    assert run_cli("tables", *some_runs, "--out", out, "--json", "--force").returncode == 0
    assert json.loads(out.read_text()) == tables(some_runs).to_dict()


def test_no_torch_is_needed() -> None:
    import sys

    code = "import sys; import annotext.workflows.tables; print([m for m in ('torch', 'tomli_w') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_frame_has_a_row_per_figure(some_runs: list[Path]) -> None:
    report = tables(some_runs)
    frame = report.to_frame()
    assert len(frame) == sum(len(line.cells) for grid in report.grids for line in grid.lines)
    line = report.grids[0].lines[0]
    rows = frame[(frame.table == "1") & (frame.section == line.section) & (frame.label == line.label)]
    assert dict(zip(rows.figure, rows["mean"], strict=True)) == {k: cell.mean for k, cell in line.cells.items()}
