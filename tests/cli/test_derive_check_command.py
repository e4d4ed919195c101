"""`annotext derive-check` as typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from annotext.cli.main import app


@pytest.fixture(scope="module")
def mpii(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from annotext.workflows.synth import synthesise

    folder = tmp_path_factory.mktemp("synth") / "sets"
    synthesise(folder, people=120, seed=0, sets=("mpii",), workers=1)
    return folder / "mpii/annotations.json"


def _run(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["derive-check", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_json_is_keypoints_with_the_figures_that_were_promised(mpii: Path) -> None:
    found = json.loads(_run(mpii, "--json"))
    assert set(found) == {"pelvis", "thorax"}
    for figures in found.values():
        assert {"n", "median", "pckh@0.1", "pckh@0.5"} <= set(figures)
        assert 0 <= figures["pckh@0.1"] <= figures["pckh@0.5"] <= 100


def test_a_person_reads_rule_figures_and_evidence(mpii: Path) -> None:
    text = _run(mpii)
    assert "pelvis = mid hips" in text
    assert "head sizes (0.6 x the head box's diagonal)" in text
    assert "2,878 people of MPII val" in text


def test_a_found_rule_is_written_as_a_sum(mpii: Path) -> None:
    text = _run(mpii, "--find", "--keypoint", "upper_neck", "--from", "left_shoulder,right_shoulder,left_hip,right_hip")
    assert "found for upper_neck" in text
    assert "mid shoulders" in text


def test_the_most_parents_can_be_set(mpii: Path) -> None:
    options = ("--find", "--keypoint", "left_knee", "--most-parents", "2", "--json")
    found = json.loads(_run(mpii, *options))["left_knee"]["found"]
    assert {len(rule["weights"]) for rule in found} == {2}


def test_what_skip_bad_leaves_out_is_listed_beside_the_json(mpii: Path, tmp_path: Path) -> None:
    records = json.loads(mpii.read_text())
    records[3]["scale"] = -1
    (tmp_path / "bad.json").write_text(json.dumps(records))
    done = CliRunner().invoke(app, ["derive-check", str(tmp_path / "bad.json"), "--skip-bad", "--json"])
    assert set(json.loads(done.stdout)) == {"pelvis", "thorax"}
    assert "skipped 1" in done.stderr


def test_a_report_is_not_replaced_without_force(mpii: Path, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("mine")
    done = CliRunner().invoke(app, ["derive-check", str(mpii), "--report", str(tmp_path / "report.json")])
    assert done.exit_code == 1
    assert (tmp_path / "report.json").read_text() == "mine"
