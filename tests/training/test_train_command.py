"""`annotext train` at the command line: what goes wrong before the first step."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.slow
def test_missing_data_is_exit_code_1_with_the_recipes_field_and_a_hint(run_cli: Cli, tmp_path: Path) -> None:
    done = run_cli("train", "demo", "--out", tmp_path / "run", "--data", f"coco={tmp_path}", cwd=tmp_path)
    assert done.returncode == 1
    assert "data[0].annotations" in done.stderr and "--data mpii=FOLDER" in done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""
    assert not (tmp_path / "run").exists()


def test_a_recipe_with_faults_names_them_all(run_cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('name = "r"\n[student]\nmodel = "nano"\ninput = [1, 2]\n[optim]\nlr = 0\n')
    done = run_cli("train", tmp_path / "r.toml", "--out", tmp_path / "run")
    assert done.returncode == 1
    for place in ("student.input", "optim.lr", "data: is missing", "loss: is missing", "schedule: is missing"):
        assert place in done.stderr


def test_data_that_is_not_name_and_folder_is_exit_code_2(run_cli: Cli, tmp_path: Path) -> None:
    assert run_cli("train", "demo", "--out", tmp_path / "run", "--data", "coco").returncode == 2
