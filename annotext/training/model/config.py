"""A recipe as an MMEngine config: what the Runner is built from, and what the run directory keeps as config.py.

RTMPose-t/s/m carry the settings of MMPose's own configs (configs/body_2d_keypoint/rtmpose/coco/rtmpose-*_8xb256-420e_
coco-256x192.py), with three differences that change no number: the backbone is MMPose's CSPNeXt instead of mmdet's,
normalisation is BN (MMEngine turns it into SyncBN for several GPUs), and the data come from the recipe instead of
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
    """The `Student` of a recipe with `keypoints` outputs."""
    backbone, head = (_nano if recipe.student.model == "nano" else _rtmpose)(recipe, keypoints)
    return {
        "type": "Student",
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


def schedulers(recipe: Recipe, steps: int) -> list[dict[str, Any]]:
    """Linear warm-up, a constant rate, a cosine down to final_lr x lr; all by step."""
    schedule = recipe.schedule
    warmup = min(schedule.warmup, steps // 2)
    parts: list[dict[str, Any]] = []
    if warmup:
        parts.append(
            {
                "type": "LinearLR",
                "start_factor": schedule.warmup_start,
                "by_epoch": False,
                "begin": 0,
                "end": warmup,
            }
        )
    begin = max(warmup, round(schedule.cosine_from * steps))
    if begin < steps:
        parts.append(
            {
                "type": "CosineAnnealingLR",
                "eta_min": recipe.optim.lr * schedule.final_lr,
                "by_epoch": False,
                "begin": begin,
                "end": steps,
                "T_max": steps - begin,
            }
        )
    return parts


def runner_config(recipe: Recipe, *, keypoints: int, people: int) -> Config:
    """Everything the Runner is given except the data loader, which recipe.toml and data.json describe."""
    steps = recipe.schedule.steps(people)
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
            "model": model_config(recipe, keypoints),
            "train_cfg": {"type": "StepLoop", "max_iters": steps},
            "optim_wrapper": optim_wrapper,
            "param_scheduler": schedulers(recipe, steps),
            "randomness": {"seed": recipe.seed},
            # Logging, checkpoints and the moving average are annotext's (training/run/hooks.py).
            "default_hooks": {"timer": None, "logger": None, "sampler_seed": None, "checkpoint": None},
            "visualizer": {"type": "Visualizer", "vis_backends": []},
            "env_cfg": {"cudnn_benchmark": True, "mp_cfg": {"mp_start_method": "fork", "opencv_num_threads": 0}},
        }
    )
