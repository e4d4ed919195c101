"""A command whose extra is missing says in one line what to install."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from annotext.cli.main import main; main()"


@pytest.mark.parametrize("command", [["train", "demo", "--out", "run"], ["demo", "--out", "made"]])
def test_a_missing_extra_is_one_line_and_leaves_nothing_behind(command: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *command], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "needs torch" in done.stderr
    assert ".[train]" in done.stderr
    assert list(tmp_path.iterdir()) == []
