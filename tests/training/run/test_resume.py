"""Runs that are killed, stopped, or cannot write: what is left of them, and that they go on to the same end.

One run here has everything that keeps state on: moving average, clipping, bfloat16, channels_last, validation, starting
weights from a file.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from checkout import REPOSITORY  # noqa: E402
from rich.console import Console  # noqa: E402

from annotext.core.errors import AnnotextError, InputError  # noqa: E402
from annotext.formats.files.recipe import Recipe, ValidationRecipe, find_recipe, read_recipe, write_recipe  # noqa: E402

STEPS = 24
# metrics.jsonl has a line every 20 steps: a run that goes on before step 20 writes the last one whole.
LAST_LINE_FROM = 20

# A process that does not come this far in this time fails its test.
PATIENCE = 240

# A resumed step computes what the unbroken one did, from the same numbers; what is allowed is what another thread's
# order of sums may do.
WEIGHTS, FIGURES = 1e-6, 1e-5


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from annotext.workflows.synth import synthesise

    folder = tmp_path_factory.mktemp("resumed")
    synthesise(folder / "people", 12, 5, sets=("coco", "mpii"), workers=1)
    return folder


@pytest.fixture(scope="module")
def recipe(place: Path) -> Recipe:
    from annotext.training.run.prepare import build_student

    demo = read_recipe(find_recipe("demo"))
    data = tuple(replace(d, root=str(place / "people" / d.name), min_keypoints=1) for d in demo.data)
    held_out = ValidationRecipe(
        name="val", skeleton="coco17", root=data[0].root, annotations="annotations.json", images="images", metric="oks"
    )
    small = replace(
        demo,
        student=replace(demo.student, channels=(8, 16, 24), blocks=(0, 1, 1)),
        data=data,
        validation=(held_out,),
        optim=replace(demo.optim, ema=0.01, clip=1.0),
        schedule=replace(demo.schedule, batch=8, samples=8 * STEPS, warmup=10, validate_every=STEPS // 2),
        runtime=replace(demo.runtime, workers=0, threads=1, checkpoint_every=2, amp="bf16"),
    )
    begun = build_student(replace(small, seed=9), 21, "r.toml")
    torch.save({"state_dict": begun.state_dict()}, place / "init.pth")
    return replace(small, student=replace(small.student, init=str(place / "init.pth")))


def run(recipe: Recipe, folder: Path, **options: object) -> None:
    """In this process."""
    from annotext.training.run.prepare import RunRequest
    from annotext.training.run.train import train

    train(RunRequest(recipe, folder, "r.toml", device="cpu", **options), console=Console(quiet=True))


@pytest.fixture(scope="module")
def whole(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unbroken run."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    run(recipe, folder)
    return folder


def start(recipe: Recipe, folder: Path, *options: str) -> subprocess.Popen[str]:
    """In a process of its own, as a user does."""
    write_recipe(recipe, folder.with_suffix(".toml"))
    command = [sys.executable, "-m", "annotext", "train", str(folder.with_suffix(".toml")), "--out", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.Popen(
        [*command, "--device", "cpu", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def until(process: subprocess.Popen[str], there: Callable[[], bool]) -> None:
    """Look without a pause: what is waited for may last a millisecond."""
    end = time.monotonic() + PATIENCE
    while not there():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            pytest.fail(f"the run ended too early, or never came so far: {process.communicate()[1]}")


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def saved(folder: Path) -> int:
    """The step of the newest checkpoint; 0 without any."""
    return max((int(p.stem[5:]) for p in (folder / "checkpoints").glob("step_*.pth")), default=0)


def kill_while_writing(process: subprocess.Popen[str], folder: Path) -> Path:
    """Kill it with a half-written checkpoint, after at least one whole; returns what was being written."""
    # Known by name, to be found with one look.
    for step in range(4, STEPS, 2):
        path = folder / "checkpoints" / f"step_{step:08d}.pth"
        writing = path.with_name(path.name + ".tmp")
        until(process, lambda p=path, w=writing: w.exists() or p.exists())
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(0.05)
        if writing.exists() and not path.exists():
            kill(process)
            return writing
        os.kill(process.pid, signal.SIGCONT)
    kill(process)
    pytest.fail("no checkpoint was seen while it was written")


@dataclass(frozen=True)
class Broken:
    """A run that was killed, killed with a process that loads its crops, stopped and finished. half: the first time was
    in the middle of a checkpoint. at: the checkpoints it went on from. code, err: how it ended when it was stopped."""

    folder: Path
    half: bool
    at: tuple[int, ...]
    code: int
    err: str


@pytest.fixture(scope="module")
def broken(recipe: Recipe, whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Broken:
    folder = tmp_path_factory.mktemp("broken") / "run"
    half = kill_while_writing(start(recipe, folder), folder).exists()
    Path(recipe.student.init).unlink()
    at = [saved(folder)]
    loading = replace(recipe, runtime=replace(recipe.runtime, workers=1))
    process = start(loading, folder, "--resume")
    until(process, lambda: saved(folder) > at[-1])
    time.sleep(np.random.default_rng().uniform(0, 0.2))  # at any moment
    kill(process)
    at.append(saved(folder))
    process = start(recipe, folder, "--resume")
    until(process, lambda: saved(folder) > at[-1])
    process.terminate()
    err = process.communicate(timeout=PATIENCE)[1]
    at.append(saved(folder))
    run(recipe, folder, resume=True)
    return Broken(folder, half, tuple(at), process.returncode, err)


def weights(path: Path) -> dict[str, np.ndarray]:
    state = torch.load(path, weights_only=True)["state_dict"]
    return {name: value.float().numpy() for name, value in state.items()}


def assert_same_end(folder: Path, whole: Path, gone_on_at: int) -> None:
    for name in (f"checkpoints/step_{STEPS:08d}.pth", "student.pth"):
        ours, theirs = weights(folder / name), weights(whole / name)
        for key, value in theirs.items():
            np.testing.assert_allclose(ours[key], value, atol=WEIGHTS, err_msg=f"{name}: {key}")
    ours, theirs = (
        [json.loads(line) for line in (f / "validation.jsonl").read_text().splitlines()] for f in (folder, whole)
    )
    assert [line["step"] for line in ours] == [line["step"] for line in theirs] == [STEPS // 2, STEPS]
    for mine, other in zip(ours, theirs, strict=True):
        assert mine["mean"] == pytest.approx(other["mean"], abs=FIGURES)
    ours, theirs = (
        [json.loads(line) for line in (f / "metrics.jsonl").read_text().splitlines()] for f in (folder, whole)
    )
    assert [line["step"] for line in ours] == [line["step"] for line in theirs]
    assert gone_on_at <= LAST_LINE_FROM, "a slow test: the last line of metrics is not of the same steps"
    assert ours[-1] == pytest.approx(theirs[-1], rel=FIGURES)


@pytest.mark.slow
def test_a_run_killed_at_any_moment_ends_where_an_unbroken_one_does(broken: Broken, whole: Path) -> None:
    assert len(set(broken.at)) == 3 and all(step % 2 == 0 for step in broken.at[:2])
    assert_same_end(broken.folder, whole, broken.at[-1])


@pytest.mark.slow
def test_a_checkpoint_that_was_being_written_does_no_harm(broken: Broken) -> None:
    assert broken.half
    assert not list((broken.folder / "checkpoints").glob("*.tmp"))


@pytest.mark.slow
def test_a_stopped_run_saves_its_last_step_and_says_how_to_go_on(broken: Broken) -> None:
    step = broken.at[-1]
    assert broken.code == 1
    assert broken.err.endswith(
        f"error: stopped by SIGTERM after {step} of {STEPS} steps\n  hint: --resume goes on with it\n"
    )
    assert "Traceback" not in broken.err


@pytest.mark.slow
def test_a_resumed_run_needs_its_starting_weights_no_more(broken: Broken, recipe: Recipe) -> None:
    assert not Path(recipe.student.init).exists()
    assert (broken.folder / "student.onnx").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "recipe.toml",
        "train.log",
        "metrics.jsonl",
        "validation.jsonl",
        f"checkpoints/step_{STEPS:08d}.pth",
        "curves.csv",
        "student.pth",
        "student.onnx",
    ],
)
def test_a_file_that_cannot_be_written_is_one_message(recipe: Recipe, whole: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    (folder / "checkpoints" / f"step_{STEPS:08d}.pth").unlink()
    before = weights(folder / "checkpoints" / f"step_{STEPS - 2:08d}.pth")
    # A folder where its file, or what becomes it, is to be opened.
    blocked = folder / (name if name.endswith(".log") else f"{name}.tmp")
    blocked.unlink(missing_ok=True)
    blocked.mkdir()
    with pytest.raises(AnnotextError) as caught:
        run(recipe, folder, resume=True)
    assert str(caught.value).splitlines() == [
        f"{folder / name}: cannot be written (Is a directory)",
        "  hint: what was written before is whole; make room, then go on with --resume",
    ]
    after = weights(folder / "checkpoints" / f"step_{STEPS - 2:08d}.pth")
    assert all(np.array_equal(after[key], value) for key, value in before.items())


def test_a_checkpoint_that_outgrows_the_disk_leaves_the_earlier_ones(tmp_path: Path) -> None:
    from annotext.training.run.checkpoints import save_checkpoint
    from annotext.training.run.folder import last_checkpoint

    save_checkpoint({"weights": torch.zeros(10)}, tmp_path, 1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, limits[1]))
        with pytest.raises(AnnotextError, match=r"step_00000002\.pth: cannot be written \(File too large\)"):
            save_checkpoint({"weights": torch.zeros(100_000)}, tmp_path, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert last_checkpoint(tmp_path) == tmp_path / "step_00000001.pth"
    assert [p.name for p in tmp_path.iterdir()] == ["step_00000001.pth"]


def test_a_line_that_outgrows_the_disk_is_one_message(tmp_path: Path) -> None:
    from annotext.training.run.folder import StepLines

    path = tmp_path / "metrics.jsonl"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        with pytest.raises(AnnotextError, match=r"metrics\.jsonl: cannot be written \(File too large\)"):
            StepLines(path).append({"step": 20, "text": "x" * 200})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("content", ["text", "of another student"])
def test_a_run_is_not_replaced_by_one_that_cannot_begin_with_its_weights(
    recipe: Recipe, tmp_path: Path, content: str
) -> None:
    if content == "text":
        (tmp_path / "init.pth").write_text("not weights")
        problem = "is text, no checkpoint of torch"
    else:
        torch.save({"state_dict": {"backbone.stem.conv.weight": torch.zeros(4, 3, 3, 3)}}, tmp_path / "init.pth")
        problem = "these are not the backbone's weights"
    folder = tmp_path / "run"
    folder.mkdir()
    write_recipe(recipe, folder / "recipe.toml")
    (folder / "student.onnx").write_bytes(b"hours of work")
    wrong = replace(recipe, student=replace(recipe.student, init=str(tmp_path / "init.pth")))
    with pytest.raises(InputError, match=problem):
        run(wrong, folder, force=True)
    assert (folder / "student.onnx").read_bytes() == b"hours of work"
