"""The paper's recipes are MMPose's own configurations, which its wheel carries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from annotext.formats.recipe import find_recipe, read_recipe
from annotext.training import bridge
from annotext.training.config import runner_config

bridge.install()

import mmpose  # noqa: E402
from mmengine.config import Config  # noqa: E402

SIZES = pytest.mark.parametrize("size", ["t", "s"])


def theirs(size: str) -> Any:
    folder = Path(mmpose.__file__).parent / ".mim" / "configs" / "body_2d_keypoint" / "rtmpose" / "coco"
    return Config.fromfile(folder / f"rtmpose-{size}_8xb256-420e_coco-256x192.py")


def ours(size: str) -> Any:
    return read_recipe(find_recipe(f"paper-rtmpose-{size}"))


@SIZES
def test_network_and_optimiser_are_mmposes(size: str) -> None:
    built, config = runner_config(ours(size), keypoints=21, people=171_000), theirs(size)
    backbone = {k: v for k, v in config.model.backbone.items() if k not in ("init_cfg", "_scope_", "norm_cfg")}
    assert {k: built.model.backbone[k] for k in backbone} == backbone
    head = {k: v for k, v in config.model.head.items() if k not in ("out_channels", "loss", "decoder")}
    assert {k: built.model.head[k] for k in head} == head
    assert built.optim_wrapper == config.optim_wrapper


@SIZES
def test_sigma_in_pixels_is_mmposes_sigma_in_bins(size: str) -> None:
    recipe, config = ours(size), theirs(size)
    assert recipe.split_ratio == config.codec.simcc_split_ratio
    assert tuple(s * recipe.split_ratio for s in recipe.loss.sigma) == pytest.approx(config.codec.sigma)
    assert recipe.loss.beta == config.model.head.loss.beta


@SIZES
def test_the_learning_rate_rises_and_falls_as_mmposes(size: str) -> None:
    recipe, config = ours(size), theirs(size)
    built = runner_config(recipe, keypoints=21, people=171_000)
    rise, fall = built.param_scheduler
    assert (rise.start_factor, rise.end) == (config.param_scheduler[0].start_factor, config.param_scheduler[0].end)
    assert fall.eta_min == pytest.approx(config.param_scheduler[1].eta_min)
    assert fall.begin / fall.end == pytest.approx(config.param_scheduler[1].begin / config.max_epochs, rel=1e-4)
    assert recipe.schedule.epochs == config.max_epochs
    assert recipe.schedule.batch == config.train_dataloader.batch_size
    assert recipe.schedule.final_phase == pytest.approx(config.stage2_num_epochs / config.max_epochs, rel=1e-4)


@SIZES
def test_both_stages_of_augmentation_are_mmposes(size: str) -> None:
    recipe, config = ours(size), theirs(size)
    for augment, pipeline in ((recipe.augment, config.train_pipeline), (recipe.final, config.train_pipeline_stage2)):
        steps = {step["type"]: step for step in pipeline}
        box = steps["RandomBBoxTransform"]
        assert (list(augment.zoom), augment.rotate) == (list(box["scale_factor"]), box["rotate_factor"])
        assert augment.shift == box.get("shift_factor", 0.16)
        chances = {step["type"]: step["p"] for step in steps["Albumentation"]["transforms"]}
        assert (augment.blur, augment.median_blur, augment.erase) == tuple(chances.values())


@SIZES
def test_only_the_small_size_keeps_a_moving_average(size: str) -> None:
    averages = [hook["momentum"] for hook in theirs(size).custom_hooks if hook["type"] == "EMAHook"]
    assert ours(size).optim.ema == sum(averages)
