"""The `[policy]` table: of a recipe or alone, every fault with its place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from annotext.core.errors import InputError
from annotext.core.policy import Policy
from annotext.formats.files.policy import PolicyRecipe, parse_policy, read_policy
from annotext.formats.files.recipe import find_recipe, read_recipe, write_recipe


def problems(table: object) -> list[str]:
    with pytest.raises(InputError) as caught:
        parse_policy(table, "p.toml")
    return [str(p) for p in caught.value.problems]


def test_a_table_becomes_the_policy_it_says(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(
        "[policy]\ntarget_error = 0.03\nask_from = 0.4\nwrite_asked = true\nkeypoints = {head_top = 0.1}\n"
    )
    policy = read_policy(tmp_path / "p.toml").policy()
    assert policy == Policy(target_error=0.03, keypoints={"head_top": 0.1}, ask_from=0.4, write_asked=True)


def test_what_a_table_leaves_out_is_the_default_of_the_policy() -> None:
    assert parse_policy({}, "p.toml").policy() == Policy()


def test_a_recipe_carries_its_policy_into_the_run(tmp_path: Path) -> None:
    recipe = replace(read_recipe(find_recipe("demo")), policy=PolicyRecipe(0.02, keypoints={"head_top": 0.1}))
    write_recipe(recipe, tmp_path / "recipe.toml")
    assert read_policy(tmp_path / "recipe.toml") == recipe.policy
    assert read_recipe(tmp_path / "recipe.toml") == recipe


def test_a_run_resumes_under_another_policy() -> None:
    pytest.importorskip("torch")
    from annotext.training.run.folder import recipe_hash

    recipe = read_recipe(find_recipe("demo"))
    assert recipe_hash(replace(recipe, policy=PolicyRecipe(0.02))) == recipe_hash(recipe)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"target_error": 0.0}, "policy.target_error: 0.0 is no share above 0 and below 1"),
        ({"target_error": 1}, "policy.target_error: 1.0 is no share above 0 and below 1"),
        ({"keypoints": {"head_top": 2.0}}, "policy.keypoints.head_top: 2.0 is no share above 0 and below 1"),
        ({"keypoints": {"head_top": "low"}}, 'policy.keypoints.head_top: is "low", expected a number'),
        ({"keypoints": 0.1}, "policy.keypoints: is 0.1, expected a table"),
        ({"ask_from": 1.5}, "policy.ask_from: 1.5 is outside 0-1"),
        ({"min_score": -1}, "policy.min_score: -1.0 is outside 0-1"),
        ({"write_asked": 1}, "policy.write_asked: is 1, expected true or false"),
        ({"target_eror": 0.1}, "policy.target_eror: unknown key\n  hint: did you mean target_error?"),
        (3, "policy: is 3, expected a table"),
    ],
)
def test_a_value_that_does_not_fit_is_named(table: object, said: str) -> None:
    assert problems(table) == [f"p.toml: {said}"]


def test_all_faults_are_named_at_once() -> None:
    places = [p.split(": ")[1] for p in problems({"ask": 1, "min_score": "x", "keypoints": {"a": None}})]
    assert places == ["policy.ask", "policy.min_score", "policy.keypoints.a"]


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "has no [policy] table"), ("[policy", "is not valid TOML"), (None, "cannot be read")],
)
def test_a_file_without_a_policy_says_so(text: str | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=said.replace("[", r"\[")):
        read_policy(path)
