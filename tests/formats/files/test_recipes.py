"""Recipes: every fault at once, each with its place; what is written back is what was read."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from annotext.core.errors import InputError
from annotext.formats.files.recipe import (
    Recipe,
    find_recipe,
    parse_recipe,
    read_recipe,
    recipe_document,
    recipe_folders,
    write_recipe,
)

SHIPPED = sorted(f for folder in recipe_folders() for f in folder.rglob("*.toml"))


def demo() -> dict:
    return copy.deepcopy(recipe_document(read_recipe(find_recipe("demo"))))


def problems(document: dict) -> list[str]:
    with pytest.raises(InputError) as caught:
        parse_recipe(document, "r.toml")
    return [str(p) for p in caught.value.problems]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_every_shipped_recipe_is_sound(path: Path) -> None:
    assert isinstance(read_recipe(path), Recipe)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_a_resolved_recipe_reads_back_as_itself(path: Path, tmp_path: Path) -> None:
    recipe = read_recipe(path)
    write_recipe(recipe, tmp_path / "resolved.toml")
    assert read_recipe(tmp_path / "resolved.toml") == recipe


def test_an_unknown_key_is_an_error_with_a_guess() -> None:
    document = demo()
    document["optim"]["weigth_decay"] = 0.1
    assert problems(document) == ["r.toml: optim.weigth_decay: unknown key\n  hint: did you mean weight_decay?"]


def test_all_faults_are_named_at_once() -> None:
    document = demo()
    document["student"]["input"] = [96, "128"]
    document["data"][1]["share"] = -1.0
    document["nonsense"] = 1
    del document["loss"]["sigma"]
    places = [p.split(": ")[1] for p in problems(document)]
    assert sorted(places) == ["data[1].share", "loss.sigma", "nonsense", "student.input[1]"]


@pytest.mark.parametrize(
    ("section", "key", "value", "said"),
    [
        ("student", "model", "rtmpose-x", 'is "rtmpose-x", expected one of nano, rtmpose-t, rtmpose-s, rtmpose-m'),
        ("student", "input", [100, 128], "[100, 128] must be [width, height], each a positive multiple of 16"),
        ("student", "input", [96], "has 1 entries, expected 2"),
        ("student", "blocks", [1, 2], "2 numbers for 4 channels"),
        ("optim", "lr", "fast", 'is "fast", expected a number'),
        ("optim", "lr", True, "is true, expected a number"),
        ("optim", "lr", 0.0, "0.0 must be positive"),
        ("schedule", "batch", 32.5, "is 32.5, expected a whole number"),
        ("schedule", "epochs", 3.0, "give either epochs or samples"),
        ("augment", "flip", 1.5, "1.5 is no chance between 0 and 1"),
        ("runtime", "workers", -1, "-1 is negative"),
    ],
)
def test_a_value_that_does_not_fit_is_named(section: str, key: str, value: object, said: str) -> None:
    document = demo()
    document[section][key] = value
    (problem,) = problems(document)
    assert problem.startswith((f"r.toml: {section}.{key}", "r.toml: schedule.epochs"))
    assert said in problem


def test_two_data_sets_of_one_name_are_refused() -> None:
    document = demo()
    document["data"][1]["name"] = "coco"
    assert problems(document) == ["r.toml: data: two data sets are called coco"]


def test_the_final_phase_needs_its_augmentation() -> None:
    document = demo()
    document["schedule"]["final_phase"] = 0.1
    assert "[augment.final] and final_phase > 0 belong together" in problems(document)[0]


def test_a_fault_in_the_final_augmentation_is_placed_there() -> None:
    document = demo()
    document["schedule"]["final_phase"] = 0.1
    document["augment"]["final"] = {"flip": 2.0}
    assert problems(document)[0].startswith("r.toml: augment.final.flip: ")


def test_a_file_that_is_not_toml_says_where(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text("name = \n")
    with pytest.raises(InputError, match=r"r\.toml: is not valid TOML.*line 1"):
        read_recipe(tmp_path / "r.toml")


def test_an_unknown_recipe_name_lists_the_shipped_ones() -> None:
    with pytest.raises(InputError, match=r"one of: .*demo.*smoke"):
        find_recipe("demmo")


def test_a_folder_named_like_a_recipe_does_not_hide_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "demo").mkdir()
    monkeypatch.chdir(tmp_path)
    assert read_recipe(find_recipe("demo")).name == "demo"
