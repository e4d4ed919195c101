"""The paper's recipes are MMPose's own configurations, which its wheel carries, but for what they say; and they differ
from each other in what their names say."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from annotext.formats.files.recipe import Recipe, find_recipe, read_recipe, recipe_document, recipe_folders
from annotext.training.model import bridge
from annotext.training.model.config import run_config
from annotext.training.teachers.zoo import ZOO

bridge.install()

import mmpose  # noqa: E402
from mmengine.config import Config  # noqa: E402

KINDS = ("mpii", "coco", "union", "distilled")
SIZES = pytest.mark.parametrize("size", ["t", "s"])
ALL = pytest.mark.parametrize(("size", "kind"), [(s, k) for s in ("t", "s") for k in KINDS])

# People with keypoints: datasets/coco17.toml; HRNet's mpii_train.json, which MMPose uses.
PEOPLE = {"coco": 149_813, "mpii": 22_246}


def theirs(size: str) -> Any:
    folder = Path(mmpose.__file__).parent / ".mim" / "configs" / "body_2d_keypoint" / "rtmpose" / "coco"
    return Config.fromfile(folder / f"rtmpose-{size}_8xb256-420e_coco-256x192.py")


def ours(size: str, kind: str) -> Recipe:
    return read_recipe(find_recipe(f"paper/rtmpose-{size}-{kind}"))


def built(recipe: Recipe) -> Any:
    return run_config(recipe, keypoints=21, people=people(recipe))


def people(recipe: Recipe) -> int:
    return sum(PEOPLE[d.name] for d in recipe.data)


def differing(a: Recipe, b: Recipe) -> set[str]:
    """Places two recipes differ in, as `table.key`."""
    documents = [recipe_document(r) for r in (a, b)]
    flat = [
        {f"{k}.{i}" if isinstance(v, dict) else k: i_v for k, v in d.items() for i, i_v in _items(v)} for d in documents
    ]
    return {k for k in flat[0].keys() | flat[1].keys() if flat[0].get(k) != flat[1].get(k)}


def _items(value: Any) -> list[tuple[str, Any]]:
    return list(value.items()) if isinstance(value, dict) else [("", value)]


def test_there_are_eight_and_each_is_called_as_its_file() -> None:
    files = {f.stem for folder in recipe_folders() for f in (folder / "paper").glob("*.toml")}
    assert files == {f"rtmpose-{s}-{k}" for s in ("t", "s") for k in KINDS}
    assert all(read_recipe(find_recipe(f"paper/{name}")).name == f"paper-{name}" for name in files)


@ALL
def test_the_network_is_mmposes(size: str, kind: str) -> None:
    model, config = built(ours(size, kind)).model, theirs(size).model
    backbone = {k: v for k, v in config.backbone.items() if k not in ("init_cfg", "_scope_", "norm_cfg")}
    assert {k: model.backbone[k] for k in backbone} == backbone
    head = {k: v for k, v in config.head.items() if k not in ("out_channels", "loss", "decoder")}
    assert {k: model.head[k] for k in head} == head


@ALL
def test_the_optimiser_is_mmposes_but_for_the_weight_decay_of_the_authors_code(size: str, kind: str) -> None:
    """.05 is MMPose's for its larger models; the authors' clip only with teachers."""
    wrapper, expected = built(ours(size, kind)).optim_wrapper, theirs(size).optim_wrapper.to_dict()
    expected["optimizer"]["weight_decay"] = 0.05
    if kind == "distilled":
        expected["clip_grad"] = {"max_norm": 1.0}
    assert wrapper.to_dict() == expected


@ALL
def test_sigma_in_pixels_is_mmposes_sigma_in_bins(size: str, kind: str) -> None:
    recipe, config = ours(size, kind), theirs(size)
    assert recipe.split_ratio == config.codec.simcc_split_ratio
    assert tuple(s * recipe.split_ratio for s in recipe.loss.sigma) == pytest.approx(config.codec.sigma)
    assert recipe.loss.beta == config.model.head.loss.beta


@ALL
def test_the_learning_rate_rises_and_falls_as_mmposes(size: str, kind: str) -> None:
    recipe, config = ours(size, kind), theirs(size)
    rise, fall = built(recipe).param_scheduler
    assert (rise.start_factor, rise.end) == (config.param_scheduler[0].start_factor, config.param_scheduler[0].end)
    assert fall.eta_min == pytest.approx(config.param_scheduler[1].eta_min)
    assert fall.begin / fall.end == pytest.approx(config.param_scheduler[1].begin / config.max_epochs, rel=1e-4)
    assert recipe.schedule.epochs == config.max_epochs
    assert recipe.schedule.batch == config.train_dataloader.batch_size
    assert recipe.schedule.final_phase == pytest.approx(config.stage2_num_epochs / config.max_epochs, rel=1e-4)


@ALL
def test_both_stages_of_augmentation_are_mmposes(size: str, kind: str) -> None:
    recipe, config = ours(size, kind), theirs(size)
    for augment, pipeline in ((recipe.augment, config.train_pipeline), (recipe.final, config.train_pipeline_stage2)):
        assert augment is not None
        steps = {step["type"]: step for step in pipeline}
        box = steps["RandomBBoxTransform"]
        assert (list(augment.zoom), augment.rotate) == (list(box["scale_factor"]), box["rotate_factor"])
        assert augment.shift == box.get("shift_factor", 0.16)
        chances = {step["type"]: step["p"] for step in steps["Albumentation"]["transforms"]}
        assert (augment.blur, augment.median_blur, augment.erase) == tuple(chances.values())


@ALL
def test_the_moving_average_is_mmposes(size: str, kind: str) -> None:
    averages = [hook["momentum"] for hook in theirs(size).custom_hooks if hook["type"] == "EMAHook"]
    assert ours(size, kind).optim.ema == sum(averages)
    assert bool(averages) == (size == "s")


@ALL
def test_validation_comes_every_ten_epochs_on_both_sets_with_their_own_metric(size: str, kind: str) -> None:
    recipe = ours(size, kind)
    assert recipe.schedule.validate_every == round(
        theirs(size).train_cfg.val_interval * people(recipe) / recipe.schedule.batch
    )
    assert {v.name: v.metric for v in recipe.validation} == {"coco": "ap", "mpii": "pckh"}
    assert recipe.schedule.keep == "best"


@SIZES
def test_the_distilled_students_teachers_and_weights_are_the_papers(size: str) -> None:
    recipe = ours(size, "distilled")
    assert recipe.distil is not None
    assert {t.name: (t.source, t.weight) for t in recipe.teacher} == {
        "coco": ("rtmpose-m-coco-256x192", 0.45),
        "mpii": ("rtmpose-m-mpii-256x256", 0.25),
    }
    assert all(t.source in ZOO and not t.checkpoint and t.temperature == 1 for t in recipe.teacher)
    assert (recipe.distil.alpha, recipe.distil.remainder) == (0.3, True)
    assert (recipe.distil.confidence, recipe.distil.decay, recipe.distil.where) == ("none", "none", "everywhere")


@SIZES
def test_the_recipes_of_a_size_differ_only_in_what_their_names_say(size: str) -> None:
    union = ours(size, "union")
    for kind in ("coco", "mpii"):
        assert differing(union, ours(size, kind)) == {"name", "data", "schedule.validate_every"}
    expected = {"name", "teacher", "distil.alpha", "distil.remainder", "optim.clip"}
    expected |= {"distil.confidence", "distil.decay", "distil.where"}
    assert differing(union, ours(size, "distilled")) == expected
    alone = [d for kind in ("coco", "mpii") for d in ours(size, kind).data]
    assert tuple(alone) == union.data == ours(size, "distilled").data


def test_the_two_sizes_differ_only_in_network_and_moving_average() -> None:
    for kind in KINDS:
        t, s = ours("t", kind), ours("s", kind)
        assert dataclasses.replace(s, name=t.name, student=t.student, optim=t.optim) == t
        assert dataclasses.replace(s.student, model="rtmpose-t") == t.student
        assert dataclasses.replace(s.optim, ema=0.0) == t.optim
