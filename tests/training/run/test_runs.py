"""Whole runs, small: what a run directory holds, that it repeats, resumes, learns, and exports what it learned."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from rich.console import Console

from annotext.core.errors import AnnotextError, InputError
from annotext.core.skeletons import UNION21
from annotext.formats.annotations.read import read_annotations
from annotext.formats.files.recipe import Recipe, find_recipe, read_recipe

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from annotext.workflows.synth import synthesise

    folder = tmp_path_factory.mktemp("people") / "all"
    synthesise(folder, 24, 5, sets=("coco", "mpii"), workers=1)
    return folder


def roots(people: Path) -> dict[str, Path]:
    return {"coco": people / "coco", "mpii": people / "mpii"}


def tiny(steps: int = 6, **schedule: object) -> Recipe:
    """A nano of few channels."""
    demo = read_recipe(find_recipe("demo"))
    return replace(
        demo,
        student=replace(demo.student, channels=(8, 16, 24), blocks=(0, 1, 1)),
        schedule=replace(demo.schedule, batch=8, samples=8 * steps, warmup=2, **schedule),
        runtime=replace(demo.runtime, workers=0, threads=1, checkpoint_every=2, amp="none"),
    )


def run(recipe: Recipe, folder: Path, people: Path, **options: object):
    from annotext.training.run.prepare import RunRequest
    from annotext.training.run.train import train

    return train(RunRequest(recipe, folder, "r.toml", roots(people), device="cpu", **options), console=QUIET)


def weights(folder: Path) -> dict[str, np.ndarray]:
    from annotext.training.run.checkpoints import load_checkpoint
    from annotext.training.run.folder import last_checkpoint

    path = last_checkpoint(folder / "checkpoints")
    assert path is not None
    return {k: v.numpy() for k, v in load_checkpoint(path)["state_dict"].items()}


@pytest.mark.slow
def test_the_smoke_recipe_trains_rtmpose_t_and_exports_it(people: Path, tmp_path: Path) -> None:
    recipe = read_recipe(find_recipe("smoke"))
    trained = run(recipe, tmp_path / "run", people)
    assert trained.steps == 6
    assert trained.export.difference < 1e-4
    card = json.loads((tmp_path / "run" / "card.json").read_text())
    assert card["keypoints"] == list(UNION21.keypoints)
    assert card["role"] == "student"
    assert card["sha256"] == hashlib.sha256((tmp_path / "run" / "student.onnx").read_bytes()).hexdigest()


@pytest.mark.slow
def test_a_run_directory_documents_itself(people: Path, tmp_path: Path) -> None:
    recipe = tiny()
    run(recipe, tmp_path / "run", people)
    names = {p.name for p in (tmp_path / "run").iterdir()}
    assert names == {
        "recipe.toml",
        "config.py",
        "data.json",
        "metrics.jsonl",
        "curves.csv",
        "curves.png",
        "tensorboard",
        "train.log",
        "checkpoints",
        "preflight.png",
        "preflight.json",
        "student.pth",
        "student.onnx",
        "card.json",
    }
    assert read_recipe(tmp_path / "run" / "recipe.toml") == recipe
    described = json.loads((tmp_path / "run" / "data.json").read_text())["data"]
    file = read_annotations(people / "mpii" / "annotations.json")
    assert described[1]["sha256"] == file.sha256
    assert described[1]["labelled"]["pelvis"] == file.poses.labelled[:, file.poses.skeleton.index["pelvis"]].sum()
    assert described[1]["labelled"]["nose"] == 0


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_and_another_seed_does_not(people: Path, tmp_path: Path) -> None:
    recipe = tiny()
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(replace(recipe, seed=seed), tmp_path / name, people)
    a, b, c = (weights(tmp_path / name) for name in "abc")
    assert all(np.array_equal(a[k], b[k]) for k in a)
    assert any(not np.array_equal(a[k], c[k]) for k in a)
    lines = [(tmp_path / name / "metrics.jsonl").read_text() for name in "ab"]
    assert lines[0] == lines[1]


@pytest.mark.slow
def test_a_resumed_run_ends_where_an_unbroken_one_does(people: Path, tmp_path: Path) -> None:
    recipe = replace(tiny(), optim=replace(tiny().optim, ema=0.001))
    run(recipe, tmp_path / "whole", people)
    run(recipe, tmp_path / "broken", people)
    # As if it had been killed after the checkpoint of step 4, with later lines of metrics already written.
    (tmp_path / "broken" / "checkpoints" / "step_00000006.pth").unlink()
    (tmp_path / "broken" / "student.onnx").unlink()
    run(recipe, tmp_path / "broken", people, resume=True)
    whole, broken = weights(tmp_path / "whole"), weights(tmp_path / "broken")
    for name, value in whole.items():
        np.testing.assert_allclose(broken[name], value, atol=1e-6, err_msg=name)
    metrics = [json.loads(line) for line in (tmp_path / "broken" / "metrics.jsonl").read_text().splitlines()]
    assert [m["step"] for m in metrics] == [6]


@pytest.mark.slow
def test_a_run_resumes_only_with_its_own_recipe(people: Path, tmp_path: Path) -> None:
    run(tiny(), tmp_path / "run", people)
    with pytest.raises(InputError, match="is another recipe than the one given"):
        run(replace(tiny(), seed=9), tmp_path / "run", people, resume=True)


@pytest.mark.slow
def test_a_run_is_not_overwritten_without_force(people: Path, tmp_path: Path) -> None:
    run(tiny(2), tmp_path / "run", people)
    with pytest.raises(InputError, match="holds a run\n  hint: --resume goes on with it, --force replaces it"):
        run(tiny(2), tmp_path / "run", people)
    run(tiny(2), tmp_path / "run", people, force=True)


@pytest.mark.slow
def test_nano_learns_a_few_people_by_heart(people: Path, tmp_path: Path) -> None:
    # Twelve people of each set, sixty times, as they are: a net that works remembers them.
    recipe = tiny(180)
    plain = replace(recipe.augment, flip=0.0, zoom=(1.0, 1.0), rotate=0.0, hsv=(0, 0, 0))
    trained = run(replace(recipe, augment=plain), tmp_path / "run", people)
    first = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])["loss"]
    assert trained.metrics["loss"] < 0.5 * first


def test_a_run_killed_before_its_first_checkpoint_is_told_to_start_anew(people: Path, tmp_path: Path) -> None:
    from annotext.formats.files.recipe import write_recipe

    write_recipe(tiny(), tmp_path / "recipe.toml")
    for resume in (True, False):
        with pytest.raises(InputError) as caught:
            run(tiny(), tmp_path, people, resume=resume)
        assert "--force" in caught.value.problems[0].hint and "--resume" not in caught.value.problems[0].hint


def test_a_run_is_not_replaced_by_one_whose_starting_weights_are_missing(people: Path, tmp_path: Path) -> None:
    from annotext.formats.files.recipe import write_recipe

    write_recipe(tiny(), tmp_path / "recipe.toml")
    (tmp_path / "student.onnx").write_bytes(b"hours of work")
    lacking = replace(tiny(), student=replace(tiny().student, init="absent.pth"))
    with pytest.raises(InputError, match=r"absent\.pth: checkpoint not found"):
        run(lacking, tmp_path, people, force=True)
    assert (tmp_path / "student.onnx").read_bytes() == b"hours of work"


def test_a_run_folder_that_cannot_be_made_is_one_message(people: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/run: cannot be written \(Not a directory\)"):
        run(tiny(), tmp_path / "file" / "run", people)


def test_a_folder_that_is_no_run_is_never_emptied(people: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(InputError, match="is not empty and holds no run"):
        run(tiny(), tmp_path, people, force=True)
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_a_missing_data_set_is_named_by_its_recipe_field(tmp_path: Path) -> None:
    from annotext.training.data.sets import read_sets

    with pytest.raises(InputError) as caught:
        read_sets(tiny(), {"coco": tmp_path}, "r.toml")
    problems = [str(p) for p in caught.value.problems]
    assert problems[0].startswith(f"r.toml: data[0].annotations: {tmp_path}/annotations.json does not exist")
    assert "hint: --data coco=FOLDER" in problems[0]
    assert {p.split(": ")[1] for p in problems} == {f"data[{i}].{f}" for i in (0, 1) for f in ("annotations", "images")}


def test_a_folder_for_an_unknown_data_set_is_refused(tmp_path: Path) -> None:
    from annotext.training.data.sets import read_sets

    with pytest.raises(InputError, match="no data set is called halpe\n  hint: the recipe has: coco, mpii"):
        read_sets(tiny(), {"halpe": tmp_path}, "r.toml")


def test_an_image_that_is_not_there_is_known_before_training(people: Path) -> None:
    from annotext.training.data.sets import read_sets

    wrong = replace(tiny(), data=(tiny().data[0], replace(tiny().data[1], images=".")))
    with pytest.raises(InputError, match=r"data\[1\]\.images: \d+ of \d+ images are not in"):
        read_sets(wrong, roots(people), "r.toml")


def test_a_gpu_that_is_not_there_is_an_error() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    from annotext.training.run.prepare import choose_device

    with pytest.raises(AnnotextError, match="torch finds no GPU"):
        choose_device("cuda")
