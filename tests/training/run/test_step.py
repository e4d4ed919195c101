"""The training step against MMEngine's: learning rates, parameter groups, and weights after some steps, to the bit."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from annotext.formats.files.recipe import Recipe, find_recipe, read_recipe  # noqa: E402
from annotext.training.model import bridge  # noqa: E402
from annotext.training.model.config import run_config  # noqa: E402
from annotext.training.run.prepare import build_student  # noqa: E402
from annotext.training.run.step import Objective, Optimiser, learning_rates, train_step  # noqa: E402

bridge.install()

from mmengine.optim import build_optim_wrapper  # noqa: E402
from mmengine.registry import PARAM_SCHEDULERS  # noqa: E402


def tiny(steps: int, **schedule: Any) -> Recipe:
    demo = read_recipe(find_recipe("demo"))
    return replace(
        demo,
        student=replace(demo.student, channels=(8, 16, 24), blocks=(0, 1, 1)),
        optim=replace(demo.optim, clip=0.5),
        schedule=replace(demo.schedule, **{"batch": 4, "samples": 4 * steps, **schedule}),
        runtime=replace(demo.runtime, amp="none"),
    )


def mmengines(recipe: Recipe, model: torch.nn.Module) -> tuple[Any, list[Any]]:
    """Its optimiser and schedulers, of what config.py says."""
    config = run_config(recipe, keypoints=21, people=0)
    with bridge.mmengine_quiet():
        wrapper = build_optim_wrapper(model, config.optim_wrapper)
        schedulers = [
            PARAM_SCHEDULERS.build(part, default_args={"optimizer": wrapper}) for part in config.param_scheduler
        ]
    return wrapper, schedulers


def batches(count: int) -> list[dict[str, torch.Tensor]]:
    chance = torch.Generator().manual_seed(3)
    return [
        {
            "image": torch.randint(0, 256, (4, 128, 96, 3), generator=chance, dtype=torch.uint8),
            "points": torch.rand(4, 21, 2, generator=chance) * 90,
            "labelled": torch.rand(4, 21, generator=chance) < 0.7,
        }
        for _ in range(count)
    ]


@pytest.mark.parametrize("warmup", [0, 1, 2, 37])
@pytest.mark.parametrize("cosine_from", [0.0, 0.5, 1.0])
def test_learning_rates_are_mmengines(warmup: int, cosine_from: float) -> None:
    recipe = tiny(120, warmup=warmup, cosine_from=cosine_from)
    wrapper, schedulers = mmengines(recipe, torch.nn.Linear(1, 1))
    expected = []
    for _ in range(120):
        expected.append(wrapper.param_groups[0]["lr"])
        wrapper.optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    assert learning_rates(recipe, 120) == expected


@pytest.mark.parametrize("model", ["nano", "rtmpose-t"])
def test_norms_and_biases_do_not_decay_and_the_groups_are_mmengines(model: str) -> None:
    recipe = tiny(1)
    recipe = replace(recipe, student=replace(recipe.student, model=model))
    student = build_student(recipe, 21, "r.toml")
    ours, theirs = Optimiser(student, recipe.optim).adamw, mmengines(recipe, student)[0].optimizer
    for mine, other in zip(ours.param_groups, theirs.param_groups, strict=True):
        assert mine["params"][0] is other["params"][0] and mine["weight_decay"] == other["weight_decay"]
    decays = {id(group["params"][0]): group["weight_decay"] > 0 for group in ours.param_groups}
    assert not any(decays[id(p)] for name, p in student.named_parameters() if name.endswith((".bias", ".bn.weight")))
    assert decays[id(student.head.final_layer.weight)]


def test_steps_are_mmengines_and_go_on_from_its_state() -> None:
    recipe = tiny(6, warmup=2)
    objective = Objective(build_student(recipe, 21, "r.toml").train())
    other = copy.deepcopy(objective)
    optimiser, rates = Optimiser(objective.student, recipe.optim), learning_rates(recipe, 6)
    wrapper, schedulers = mmengines(recipe, other.student)
    for step, batch in enumerate(batches(6)):
        if step == 4:
            # As after a restart, from a checkpoint of annotext's first versions.
            optimiser = Optimiser(objective.student, recipe.optim)
            optimiser.load_state_dict(copy.deepcopy(wrapper.state_dict()))
        ours = train_step(objective, optimiser, batch, rates[step])
        theirs = other(batch)
        wrapper.update_params(theirs["loss"])
        for scheduler in schedulers:
            scheduler.step()
        assert ours["loss"].item() == theirs["loss"].item()
    for (name, mine), value in zip(objective.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, value), name
