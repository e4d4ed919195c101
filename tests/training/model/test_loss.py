"""The conditional loss: what counts, what does not, and agreement with MMPose and the numpy core."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from annotext.core import simcc  # noqa: E402
from annotext.core.skeletons import COCO17, MPII16, UNION21  # noqa: E402
from annotext.training.model.loss import ConditionalSimCCLoss, gaussian_rows  # noqa: E402

SIZE = (48, 64)
KL = {"form": "kl", "beta": 1.0, "sigma": (2.5, 2.5), "split_ratio": 0.5}
MMPOSE = {"form": "mmpose", "beta": 10.0, "sigma": (2.45, 2.83), "split_ratio": 2.0}
FORMS = pytest.mark.parametrize("settings_", [KL, MMPOSE], ids=["kl", "mmpose"])


def batch(settings_: dict, people: int = 4, keypoints: int = 21, seed: int = 0):
    """Random logits (with gradients), points inside the crop, and labels."""
    generator = torch.Generator().manual_seed(seed)
    bins = [round(side * settings_["split_ratio"]) for side in SIZE]
    x, y = (torch.randn(people, keypoints, b, generator=generator, requires_grad=True) for b in bins)
    points = torch.rand(people, keypoints, 2, generator=generator) * torch.tensor(SIZE)
    labelled = torch.rand(people, keypoints, generator=generator) < 0.6
    return x, y, points, labelled


def touched(logits) -> np.ndarray:
    """(N, K) bool: any bin has a gradient."""
    return (logits.grad != 0).any(dim=-1).numpy()


@FORMS
def test_exactly_the_labelled_keypoints_get_a_gradient(settings_: dict) -> None:
    x, y, points, labelled = batch(settings_)
    ConditionalSimCCLoss(**settings_)(x, y, points, labelled).backward()
    assert np.array_equal(touched(x), labelled.numpy())
    assert np.array_equal(touched(y), labelled.numpy())


@FORMS
@pytest.mark.parametrize("skeleton", [COCO17, MPII16], ids=lambda s: s.name)
def test_a_data_sets_images_do_not_touch_the_keypoints_it_does_not_have(settings_: dict, skeleton) -> None:
    x, y, points, _ = batch(settings_)
    labelled = torch.tensor([k in skeleton.index for k in UNION21.keypoints]).expand(4, -1)
    ConditionalSimCCLoss(**settings_)(x, y, points, labelled).backward()
    foreign = UNION21.indices(UNION21.missing_from(skeleton))
    assert not x.grad[:, foreign].any() and not y.grad[:, foreign].any()
    assert touched(x)[:, UNION21.indices(skeleton.shared_with(UNION21))].all()


@FORMS
def test_what_an_unlabelled_keypoint_holds_changes_nothing_even_if_it_is_not_a_number(settings_: dict) -> None:
    x, y, points, labelled = batch(settings_)
    loss = ConditionalSimCCLoss(**settings_)
    before = loss(x, y, points, labelled)
    with torch.no_grad():
        x[~labelled], y[~labelled], points[~labelled] = float("nan"), float("inf"), float("nan")
    after = loss(x, y, points, labelled)
    after.backward()
    assert after.item() == before.item()
    assert torch.isfinite(x.grad).all() and torch.isfinite(y.grad).all()


@FORMS
def test_a_batch_without_labels_costs_nothing_and_moves_nothing(settings_: dict) -> None:
    x, y, points, labelled = batch(settings_)
    loss = ConditionalSimCCLoss(**settings_)(x, y, points, torch.zeros_like(labelled))
    loss.backward()
    assert loss.item() == 0
    assert not x.grad.any() and not y.grad.any()


@FORMS
def test_a_keypoint_far_outside_the_crop_does_not_count(settings_: dict) -> None:
    x, y, points, labelled = batch(settings_)
    points[:, 3] = torch.tensor([-500.0, 10.0])
    ConditionalSimCCLoss(**settings_)(x, y, points, torch.ones_like(labelled)).backward()
    assert not touched(x)[:, 3].any()


def test_the_mmpose_form_is_mmposes_own_loss_on_mmposes_own_targets() -> None:
    from annotext.training.model import bridge

    bridge.install()
    from mmpose.codecs import SimCCLabel
    from mmpose.models.losses import KLDiscretLoss

    x, y, points, labelled = batch(MMPOSE, people=6)
    points[0, 0] = torch.tensor([-4.0, 30.0])  # its Gaussian reaches into the crop
    points[1, 1] = torch.tensor([70.0, 30.0])  # its Gaussian does not
    codec = SimCCLabel(input_size=SIZE, sigma=(4.9, 5.66), simcc_split_ratio=2.0, normalize=False, use_dark=False)
    encoded = [
        codec.encode(p[None].numpy().astype(np.float32), v[None].numpy().astype(np.float32))
        for p, v in zip(points, labelled, strict=True)
    ]
    target, weight = (
        [torch.from_numpy(np.concatenate([e[f"keypoint_{axis}_labels"] for e in encoded])) for axis in "xy"],
        torch.from_numpy(np.concatenate([e["keypoint_weights"] for e in encoded])),
    )
    theirs = KLDiscretLoss(use_target_weight=True, beta=10.0, label_softmax=True)((x, y), target, weight)
    ours = ConditionalSimCCLoss(**MMPOSE)(x, y, points, labelled)
    gradients = [torch.autograd.grad(loss, (x, y)) for loss in (ours, theirs)]
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-7)


def test_the_kl_form_does_not_depend_on_how_many_people_are_in_the_batch() -> None:
    x, y, points, labelled = batch(KL)
    loss = ConditionalSimCCLoss(**KL)
    twice = loss(*(torch.cat([t, t]) for t in (x, y, points, labelled)))
    assert twice.item() == pytest.approx(loss(x, y, points, labelled).item(), rel=1e-5)


def test_the_kl_form_is_zero_for_a_student_that_says_the_target() -> None:
    _, _, points, labelled = batch(KL)
    logits = [
        torch.stack(
            [gaussian_rows(p[:, axis], round(side * 0.5), 0.5, 2.5, form="kl").clamp_min(1e-30).log() for p in points]
        )
        for axis, side in enumerate(SIZE)
    ]
    assert ConditionalSimCCLoss(**KL)(*logits, points, labelled).item() == pytest.approx(0.0, abs=1e-5)


@settings(max_examples=50, deadline=None)
@given(st.floats(-3, 66), st.sampled_from([0.25, 0.5, 2.0]), st.floats(1.0, 4.0))
def test_targets_are_those_of_the_numpy_core(position: float, ratio: float, sigma: float) -> None:
    bins = round(64 * ratio)
    ours = gaussian_rows(torch.tensor([position]), bins, ratio, sigma, form="kl").numpy()
    core = simcc.gaussian_targets([position], bins, ratio, sigma)
    if core.any():  # the core says nothing about a Gaussian that is outside
        np.testing.assert_allclose(ours, core, atol=2e-5)
