"""Two processes started by torchrun: one run, the run of one process, and one message when it cannot be.

Gloo on the CPU, through the real command. What only GPUs do (NCCL, torch's own SyncBatchNorm) is not touched here.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from checkout import REPOSITORY  # noqa: E402
from dots import CARD, write_dot_model  # noqa: E402

from annotext.formats.files.recipe import (  # noqa: E402
    DistilRecipe,
    Recipe,
    TeacherRecipe,
    ValidationRecipe,
    find_recipe,
    read_recipe,
    write_recipe,
)

# A run that hangs fails its test after this long; a whole one takes half a minute on two slow cores.
HANGS = 300

# What a share's sums may differ from the whole batch's by rounding: of the loss, and of the whole gradient's length.
LOSS, GRADIENT = 1e-4, 5e-3


@dataclass(frozen=True)
class Ended:
    code: int
    err: str

    @property
    def errors(self) -> list[str]:
        """annotext's own; torchrun adds a summary of its own."""
        return [line for line in self.err.splitlines() if line.startswith("error: ")]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """People of two skeletons, and an ONNX model to teach them."""
    from annotext.workflows.synth import synthesise

    folder = tmp_path_factory.mktemp("together")
    synthesise(folder / "people", 12, 5, sets=("coco", "mpii"), workers=1)
    write_dot_model(folder / "dots", "simcc", CARD)
    return folder


def small(place: Path, *, batch: int = 8, steps: int = 2) -> Recipe:
    """A nano of few channels, with a teacher and a validation set."""
    demo = read_recipe(find_recipe("demo"))
    data = tuple(replace(d, root=str(place / "people" / d.name), min_keypoints=1) for d in demo.data)
    held_out = ValidationRecipe(
        name="val", skeleton="coco17", root=data[0].root, annotations="annotations.json", images="images", metric="oks"
    )
    return replace(
        demo,
        student=replace(demo.student, channels=(8, 16, 24), blocks=(0, 1, 1)),
        data=data,
        teacher=(TeacherRecipe(name="dots", source=str(place / "dots" / "dots.json"), weight=0.5),),
        distil=DistilRecipe(),
        validation=(held_out,),
        schedule=replace(demo.schedule, batch=batch, samples=batch * steps, warmup=1),
        runtime=replace(demo.runtime, workers=0, threads=1, checkpoint_every=1, amp="none"),
    )


def free_port() -> int:
    with socket.socket() as given:
        given.bind(("127.0.0.1", 0))
        return given.getsockname()[1]


def together(recipe: Recipe, folder: Path) -> Ended:
    """Train `recipe` into `folder` in two processes."""
    write_recipe(recipe, folder.with_suffix(".toml"))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port"]
    command += [str(free_port()), "-m", "annotext", "train", str(folder.with_suffix(".toml")), "--out", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "200", "NO_COLOR": "1"}
    process = subprocess.Popen(
        [*command, "--device", "cpu"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        err, _ = process.communicate(timeout=HANGS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        pytest.fail(f"two processes did not end within {HANGS} s")
    return Ended(process.returncode, err)


@pytest.fixture(scope="module")
def two(place: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    folder = tmp_path_factory.mktemp("two") / "run"
    return folder, together(small(place), folder)


@pytest.fixture(scope="module")
def one(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run in this process."""
    from rich.console import Console

    from annotext.training.run.prepare import RunRequest
    from annotext.training.run.train import train

    folder = tmp_path_factory.mktemp("one") / "run"
    train(RunRequest(small(place), folder, "r.toml", device="cpu"), console=Console(quiet=True))
    return folder


def first_moments(run: Path) -> dict[int, np.ndarray]:
    """Of every parameter, what AdamW holds after the first step: its gradient, clipped, times 0.1."""
    state = torch.load(run / "checkpoints" / "step_00000001.pth", weights_only=True)["optimizer"]["state"]
    return {i: held["exp_avg"].numpy() for i, held in state.items()}


@pytest.mark.slow
def test_two_processes_see_the_losses_of_one(two: tuple[Path, Ended], one: Path) -> None:
    folder, ended = two
    assert ended.code == 0, ended.err
    [ours], [theirs] = (
        [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()] for run in (folder, one)
    )
    assert ours.keys() == theirs.keys() >= {"loss", "task", "distil_dots"}
    assert ours["step"] == theirs["step"] == 2 and ours["samples"] == theirs["samples"]
    for name in ("loss", "task", "distil_dots"):
        assert ours[name] == pytest.approx(theirs[name], rel=LOSS), name


@pytest.mark.slow
def test_two_processes_take_the_first_step_of_one(two: tuple[Path, Ended], one: Path) -> None:
    ours, theirs = first_moments(two[0]), first_moments(one)
    assert ours.keys() == theirs.keys() and len(ours) > 20
    whole = np.sqrt(sum(np.square(g).sum() for g in theirs.values()))
    apart = np.sqrt(sum(np.square(ours[i] - g).sum() for i, g in theirs.items()))
    assert whole > 0 and apart < GRADIENT * whole


@pytest.mark.slow
def test_two_processes_normalise_by_the_batch_of_both(two: tuple[Path, Ended], one: Path) -> None:
    # AdamW moves a weight by its gradient's sign, so that rounding alone sets weights apart; of the first step it does
    # not, and running statistics hold what the first step's batch norm saw.
    ours, theirs = (
        torch.load(run / "checkpoints" / "step_00000001.pth", weights_only=True)["state_dict"] for run in (two[0], one)
    )
    seen = [name for name in theirs if name.endswith(("running_mean", "running_var"))]
    assert seen
    for name in seen:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_first_of_two_processes_writes_one_student_and_one_evaluation(two: tuple[Path, Ended], one: Path) -> None:
    folder, ended = two
    assert {p.name for p in folder.iterdir()} == {p.name for p in one.iterdir()}
    evaluation = json.loads((folder / "evaluation.json").read_text())
    card = json.loads((folder / "card.json").read_text())
    assert evaluation["student_sha256"] == card["sha256"]
    assert [s["name"] for s in evaluation["sets"]] == ["val"]
    assert len((folder / "validation.jsonl").read_text().splitlines()) == 1
    assert ended.err.count("student.onnx, within") == 1


@pytest.mark.slow
def test_two_processes_warn_of_nothing_a_user_could_mend(two: tuple[Path, Ended]) -> None:
    assert "Warning" not in two[1].err and "Traceback" not in two[1].err


@pytest.mark.slow
def test_a_batch_that_two_processes_cannot_share_is_one_message(place: Path, tmp_path: Path) -> None:
    ended = together(small(place, batch=7), tmp_path / "run")
    assert ended.code != 0
    assert len(ended.errors) == 1
    assert ended.errors[0].endswith("schedule.batch: a batch of 7 cannot be shared by 2 processes")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_people_who_are_not_there_are_one_message_from_two_processes(place: Path, tmp_path: Path) -> None:
    recipe = small(place)
    lost = replace(recipe, data=(recipe.data[0], replace(recipe.data[1], root=str(tmp_path / "lost"))))
    ended = together(lost, tmp_path / "run")
    assert ended.code != 0
    assert len(ended.errors) == 1
    assert ended.err.count(f"data[1].annotations: {tmp_path}/lost/annotations.json does not exist") == 1
    assert not (tmp_path / "run").exists()
