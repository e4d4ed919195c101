"""Fixtures for all tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from checkout import REPOSITORY


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real images, annotations and models: $ANNOTEXT_REAL, or `shared/real` beside the repository."""
    folder = Path(os.environ.get("ANNOTEXT_REAL", REPOSITORY.parent / "shared" / "real"))
    if not folder.is_dir():
        pytest.skip("no real data: set ANNOTEXT_REAL to the folder that holds it")
    return folder


@pytest.fixture(scope="session")
def run_cli() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`run_cli("strip", path, "-o", out)`: run annotext in a process of its own; returncode, stdout, stderr."""

    def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "annotext.cli.main", *map(str, arguments)]
        environment = {**os.environ, "COLUMNS": "120", "NO_COLOR": "1", "PYTHONPATH": str(REPOSITORY)}
        return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False)

    return run
