"""The program as a whole: quick to answer, and light until a command runs."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from typer.main import get_command

RunCli = Callable[..., subprocess.CompletedProcess[str]]

# What no command line may pay for before its command runs.
_HEAVY = ("torch", "torchvision", "mmengine", "mmcv", "mmpose", "fiftyone", "numpy", "pandas", "pyarrow", "cv2")
_HEAVY += ("onnxruntime", "scipy", "sklearn", "pycocotools", "faster_coco_eval", "matplotlib", "orjson")


def test_help_answers_in_half_a_second(run_cli: RunCli) -> None:
    # Processor time of the process, all of it start-up: on an idle machine this is how long one waits, and a busy
    # machine cannot spoil it. Several tries, because two busy threads of one core slow each other down.
    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert run_cli("--help").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert any(seconds() < 0.5 for _ in range(10))


def test_the_program_imports_nothing_heavy_until_a_command_runs() -> None:
    code = f"import sys; import annotext.cli.main; print([m for m in {_HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_command_says_what_it_does() -> None:
    from annotext.cli.main import app

    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert {"strip", "skeletons"} <= set(commands)
    assert all(command.help for command in commands.values())


def test_the_version_is_printed(run_cli: RunCli) -> None:
    from annotext import __version__

    assert run_cli("--version").stdout == f"annotext {__version__}\n"


def test_a_wrong_command_line_exits_with_2(run_cli: RunCli) -> None:
    assert run_cli("skeletons", "--no-such-option").returncode == 2


@pytest.mark.parametrize("data", ["", "[1, NaN]", '{"annotations": []}'])
def test_a_known_failure_exits_with_1_and_no_traceback(run_cli: RunCli, tmp_path: Path, data: str) -> None:
    (tmp_path / "in.json").write_text(data)
    done = run_cli("strip", tmp_path / "in.json", "-o", tmp_path / "out.json")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path / 'in.json'}: ") and "Traceback" not in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.json"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("option", [[], ["--json"]], ids=["text", "json"])
def test_results_that_cannot_be_written_are_a_known_failure(option: list[str]) -> None:
    command = [sys.executable, "-m", "annotext.cli.main", "skeletons", "coco17", *option]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: stdout: cannot be written (No space left on device)\n"


@pytest.mark.parametrize("option", [[], ["--json"]], ids=["text", "json"])
def test_a_reader_who_leaves_early_is_no_failure(option: list[str]) -> None:
    command = [sys.executable, "-m", "annotext.cli.main", "skeletons", "coco17", *option]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout and program.stderr
        program.stdout.close()
        assert program.stderr.read() == ""
    assert program.returncode == 0


def test_an_unreadable_file_is_left_to_our_readers_who_exit_with_1() -> None:
    from annotext.cli.main import app

    checked = [
        f"{command.name} {name}"
        for command in app.registered_commands
        for name, hint in get_type_hints(command.callback, include_extras=True).items()
        if "Path" in str(get_args(hint)[:1]) and hint.__metadata__[0].readable
    ]
    assert checked == []


def test_help_shows_brackets_as_they_are_typed(run_cli: RunCli) -> None:
    assert "[policy]" in run_cli("decide", "--help").stdout


def test_the_list_of_commands_has_whole_lines(run_cli: RunCli) -> None:
    assert "..." not in run_cli("--help").stdout.partition("Commands:")[2]
