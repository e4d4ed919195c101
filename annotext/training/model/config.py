"""A recipe as the student's parts, and as the MMEngine config that the run directory keeps as config.py.

RTMPose-t/s/m carry the settings of MMPose's own configs (configs/body_2d_keypoint/rtmpose/coco/rtmpose-*_8xb256-420e_
coco-256x192.py), with three differences that change no number: the backbone is MMPose's CSPNeXt instead of mmdet's,
normalisation is BN (over all processes of a run), and the data come from the recipe instead of
`CocoDataset`.
"""

from __future__ import annotations

from typing import Any

from annotext.formats.files.recipe import Recipe
from annotext.training.model import bridge

bridge.install()

from mmengine.config import Config  # noqa: E402

# deepen_factor, widen_factor, channels of the last stage.
_CSPNEXT = {"rtmpose-t": (0.167, 0.375, 384), "rtmpose-s": (0.33, 0.5, 512), "rtmpose-m": (0.67, 0.75, 768)}
_TOTAL_STRIDE = 32


def _rtmpose(recipe: Recipe, keypoints: int) -> tuple[dict[str, Any], dict[str, Any]]:
    deepen, widen, channels = _CSPNEXT[recipe.student.model]
    w, h = recipe.student.input
    backbone = {
        "type": "CSPNeXt",
        "arch": "P5",
        "expand_ratio": 0.5,
        "deepen_factor": deepen,
        "widen_factor": widen,
        "out_indices": (4,),
        "channel_attention": True,
        "norm_cfg": {"type": "BN"},
        "act_cfg": {"type": "SiLU"},
    }
    head = {
        "type": "RTMCCHead",
        "in_channels": channels,
        "out_channels": keypoints,
        "input_size": (w, h),
        "in_featuremap_size": (w // _TOTAL_STRIDE, h // _TOTAL_STRIDE),
        "simcc_split_ratio": recipe.split_ratio,
        "final_layer_kernel_size": 7,
        "gau_cfg": {
            "hidden_dims": 256,
            "s": 128,
            "expansion_factor": 2,
            "dropout_rate": 0.0,
            "drop_path": 0.0,
            "act_fn": "SiLU",
            "use_rel_bias": False,
            "pos_enc": False,
        },
    }
    return backbone, head


def _nano(recipe: Recipe, keypoints: int) -> tuple[dict[str, Any], dict[str, Any]]:
    student = recipe.student
    backbone = {
        "type": "NanoUNet",
        "channels": student.channels,
        "blocks": student.blocks,
        "stride": student.stride,
    }
    level = {2: 0, 4: 1}[student.stride]
    head = {"type": "MarginalSimCCHead", "in_channels": student.channels[level], "out_channels": keypoints}
    return backbone, head


def model_config(recipe: Recipe, keypoints: int) -> dict[str, Any]:
    """The arguments of the `Student` of a recipe with `keypoints` outputs."""
    backbone, head = (_nano if recipe.student.model == "nano" else _rtmpose)(recipe, keypoints)
    return {
        "backbone": backbone,
        "head": head,
        "loss": {
            "form": recipe.loss.form,
            "beta": recipe.loss.beta,
            "sigma": recipe.loss.sigma,
            "split_ratio": recipe.split_ratio,
        },
        "amp": None if recipe.runtime.amp == "none" else recipe.runtime.amp,
        "channels_last": recipe.runtime.channels_last,
    }


def phases(recipe: Recipe, steps: int) -> tuple[int, int]:
    """(end of the linear warm-up, begin of the cosine), in steps; between them the rate is constant."""
    warmup = min(recipe.schedule.warmup, steps // 2)
    return warmup, max(warmup, round(recipe.schedule.cosine_from * steps))


def run_config(recipe: Recipe, *, keypoints: int, people: int) -> Config:
    """The run in MMEngine's terms, except for its data, which recipe.toml and data.json describe. annotext builds the
    model of it; its own optimiser and learning rates (`training.run.step`) are what MMEngine would build of the rest.
    """
    steps = recipe.schedule.steps(people)
    warmup, begin = phases(recipe, steps)
    schedulers: list[dict[str, Any]] = []
    if warmup:
        start = recipe.schedule.warmup_start
        schedulers.append({"type": "LinearLR", "start_factor": start, "by_epoch": False, "begin": 0, "end": warmup})
    if begin < steps:
        schedulers.append(
            {
                "type": "CosineAnnealingLR",
                "eta_min": recipe.optim.lr * recipe.schedule.final_lr,
                "by_epoch": False,
                "begin": begin,
                "end": steps,
                "T_max": steps - begin,
            }
        )
    optim_wrapper: dict[str, Any] = {
        "type": "OptimWrapper",
        "optimizer": {"type": "AdamW", "lr": recipe.optim.lr, "weight_decay": recipe.optim.weight_decay},
        "paramwise_cfg": {"norm_decay_mult": 0, "bias_decay_mult": 0, "bypass_duplicate": True},
    }
    if recipe.optim.clip:
        optim_wrapper["clip_grad"] = {"max_norm": recipe.optim.clip}
    return Config(
        {
            "default_scope": "mmpose",
            "model": {"type": "Student", **model_config(recipe, keypoints)},
            "train_cfg": {"by_epoch": False, "max_iters": steps},
            "optim_wrapper": optim_wrapper,
            "param_scheduler": schedulers,
            "randomness": {"seed": recipe.seed},
        }
    )
