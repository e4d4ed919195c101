"""Settings of the process: what is restored after training, and seeds."""

from __future__ import annotations

import platform

import pytest

pytest.importorskip("torch")
import torch

from annotext.training.model import bridge
from annotext.training.run.process import denormals_flushed, keep_freed_memory, set_seed


def product() -> float:
    return float((torch.tensor([1e-300], dtype=torch.float64) * 1e-15).item())


def test_denormal_numbers_are_zero_inside_and_themselves_after() -> None:
    before = product()
    with denormals_flushed():
        assert product() == 0.0
    assert product() == before


def test_the_setting_is_given_back_when_training_fails() -> None:
    before = product()
    with pytest.raises(KeyError), denormals_flushed():
        raise KeyError("data")
    assert product() == before


def test_glibc_takes_the_setting_and_others_are_left_alone() -> None:
    assert keep_freed_memory() == (platform.libc_ver()[0] == "glibc")


def test_a_seed_fixes_every_generator() -> None:
    import random

    import numpy as np

    bridge.install()
    from mmengine.runner import set_random_seed

    def draws() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002

    set_seed(7)
    ours = draws()
    set_random_seed(7)
    assert draws() == ours
