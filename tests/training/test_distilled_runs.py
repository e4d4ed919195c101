"""Whole runs with teachers: what is logged, what is saved, and what makes a run refuse to go on."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rich.console import Console  # noqa: E402

from annotext.core.errors import InputError  # noqa: E402
from annotext.formats.files.recipe import DistilRecipe, Recipe, TeacherRecipe, find_recipe, read_recipe  # noqa: E402

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from annotext.workflows.synth import synthesise

    folder = tmp_path_factory.mktemp("distilled") / "people"
    synthesise(folder, 24, 5, sets=("coco", "mpii"), workers=1)
    return folder


def tiny(*sets: str, steps: int = 4) -> Recipe:
    demo = read_recipe(find_recipe("demo"))
    return replace(
        demo,
        student=replace(demo.student, channels=(8, 16, 24), blocks=(0, 1, 1)),
        data=tuple(replace(d, min_keypoints=1) for d in demo.data if d.name in sets),
        schedule=replace(demo.schedule, batch=8, samples=8 * steps, warmup=2),
        runtime=replace(demo.runtime, workers=0, threads=1, checkpoint_every=2, amp="none"),
    )


def run(recipe: Recipe, folder: Path, people: Path, **options: object):
    from annotext.training.run.prepare import RunRequest
    from annotext.training.run.train import train

    roots = {d.name: people / d.name.split("-")[0] for d in recipe.data}
    return train(RunRequest(recipe, folder, "r.toml", roots, device="cpu", **options), console=QUIET)


@pytest.fixture(scope="module")
def teachers(people: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two runs: one with the student's input, one with a larger square one."""
    folder = tmp_path_factory.mktemp("teachers")
    for name, size in (("coco", (96, 128)), ("mpii", (128, 128))):
        recipe = tiny(name)
        run(replace(recipe, name=name, student=replace(recipe.student, input=size)), folder / name, people)
    return {name: folder / name for name in ("coco", "mpii")}


def distilled(teachers: dict[str, Path], **changes: object) -> Recipe:
    entries = tuple(
        TeacherRecipe(name=name, source=str(path), weight=weight)
        for (name, path), weight in zip(teachers.items(), (0.45, 0.25), strict=True)
    )
    return replace(tiny("coco", "mpii"), **{"teacher": entries, "distil": DistilRecipe(), **changes})


@pytest.mark.slow
def test_a_run_with_teachers_logs_its_parts_and_keeps_them_out_of_its_weights(
    people: Path, teachers: dict[str, Path], tmp_path: Path
) -> None:
    recipe = distilled(teachers)
    trained = run(recipe, tmp_path / "run", people)
    m = trained.metrics
    assert m["distil_coco"] > 0 and m["distil_mpii"] > 0
    whole = 0.3 * m["task"] + 0.7 * (0.45 * m["distil_coco"] + 0.25 * m["distil_mpii"])
    assert m["loss"] == pytest.approx(whole, rel=1e-5)
    described = json.loads((tmp_path / "run" / "data.json").read_text())["teachers"]
    assert [t["name"] for t in described] == ["coco", "mpii"] and all(len(t["sha256"]) == 64 for t in described)
    newest = max((tmp_path / "run" / "checkpoints").glob("step_*.pth"))
    state = torch.load(newest, weights_only=True)["state_dict"]
    alone = run(tiny("coco", "mpii", steps=2), tmp_path / "alone", people)
    newest = max((alone.folder / "checkpoints").glob("step_*.pth"))
    assert state.keys() == torch.load(newest, weights_only=True)["state_dict"].keys()


@pytest.mark.slow
def test_a_run_goes_on_with_its_teachers_and_not_with_others(
    people: Path, teachers: dict[str, Path], tmp_path: Path
) -> None:
    recipe = distilled(teachers, distil=DistilRecipe(decay="linear"))
    run(recipe, tmp_path / "whole", people)
    run(recipe, tmp_path / "broken", people)
    (tmp_path / "broken" / "checkpoints" / "step_00000004.pth").unlink()
    run(recipe, tmp_path / "broken", people, resume=True)
    ends = []
    for name in ("whole", "broken"):
        state = torch.load(tmp_path / name / "checkpoints" / "step_00000004.pth", weights_only=True)["state_dict"]
        ends.append({k: v.numpy() for k, v in state.items()})
    for key, value in ends[0].items():
        np.testing.assert_allclose(ends[1][key], value, atol=1e-6, err_msg=key)
    swapped = {"coco": tmp_path / "other", "mpii": teachers["mpii"]}
    shutil.copytree(tmp_path / "whole", swapped["coco"])
    with pytest.raises(InputError, match="the weights of coco are not those the run began with"):
        run(recipe, tmp_path / "broken", people, resume=True, teachers=swapped)


@pytest.mark.slow
def test_people_without_labels_are_taught_by_teachers_alone(
    people: Path, teachers: dict[str, Path], tmp_path: Path
) -> None:
    recipe = distilled(teachers)
    unlabelled = tuple(replace(d, labels=False, min_keypoints=0) for d in recipe.data)
    trained = run(replace(recipe, data=unlabelled), tmp_path / "run", people)
    assert trained.metrics["task"] == 0
    assert trained.metrics["loss"] > 0
    described = json.loads((tmp_path / "run" / "data.json").read_text())["data"]
    assert all(count == 0 for d in described for count in d["labelled"].values())
    assert all(d["trained_on"] > 0 for d in described)
