"""Distillation: a teacher's distribution lands where the teacher saw it, on its own keypoints, with its own weight."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import cv2  # noqa: E402
from hypothesis import assume, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from annotext.core.poses import Image, Poses  # noqa: E402
from annotext.core.simcc import peak_position  # noqa: E402
from annotext.core.skeletons import COCO17, MPII16, UNION21  # noqa: E402
from annotext.formats.files.recipe import AugmentRecipe, DistilRecipe, TeacherRecipe  # noqa: E402
from annotext.predictors.outputs.heatmap import HeatmapOutput  # noqa: E402
from annotext.training.data.augment import CropRule  # noqa: E402
from annotext.training.data.samples import Draw, PersonCrops, TrainingSet, collate  # noqa: E402
from annotext.training.model.loss import ConditionalSimCCLoss, gaussian_rows  # noqa: E402
from annotext.training.teachers.distil import Distillation, resample, share_out  # noqa: E402
from annotext.training.teachers.teacher import Teacher  # noqa: E402

STUDENT = CropRule((48, 64), 1.25)
KL = {"form": "kl", "beta": 1.0, "sigma": (2.5, 2.5), "split_ratio": 1.0}
MMPOSE = {"form": "mmpose", "beta": 10.0, "sigma": (2.45, 2.83), "split_ratio": 2.0}
FORMS = pytest.mark.parametrize("form", [KL, MMPOSE], ids=["kl", "mmpose"])


def teacher(network: Callable, keypoints: tuple[str, ...] = MPII16.keypoints, **changes: object) -> Teacher:
    whole = Teacher(
        name="mpii",
        keypoints=keypoints,
        crop=STUDENT,
        step=1.0,
        offset=0.0,
        sigma=(2.5, 2.5),
        pixel_offset=(0.0, 0.0),
        network=network,
        identity={},
    )
    return replace(whole, **changes)


def distillation(*teachers: Teacher, form: dict = KL, entries: tuple = (), **distil: object) -> Distillation:
    return Distillation(
        teachers,
        entries or tuple(TeacherRecipe(name=t.name, source="x", weight=0.5) for t in teachers),
        DistilRecipe(**distil),
        criterion=ConditionalSimCCLoss(**form),
        skeleton=UNION21,
        student=STUDENT,
    )


def bins(form: dict) -> tuple[int, int]:
    w, h = STUDENT.input_wh
    return round(w * form["split_ratio"]), round(h * form["split_ratio"])


def logits(form: dict = KL, people: int = 3, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(people, 21, b, generator=generator, requires_grad=True) for b in bins(form)]


def says(*axes) -> Callable:
    """A network that always says this."""
    return lambda image: axes


def batch(people: int = 3, labelled: float = 1.0, seed: int = 0) -> dict:
    generator = torch.Generator().manual_seed(seed)
    return {
        "image": torch.zeros(people, 64, 48, 3, dtype=torch.uint8),
        "matrix": torch.eye(2, 3, dtype=torch.float64).repeat(people, 1, 1),
        "points": 10 + torch.rand(people, 21, 2, generator=generator) * 25,
        "labelled": torch.rand(people, 21, generator=generator) < labelled,
    }


def mean_position(p) -> np.ndarray:
    return (p * torch.arange(p.shape[-1])).sum(dim=-1).double().numpy()


@settings(deadline=None, max_examples=200)
@given(
    position=st.floats(40, 60),
    scale=st.floats(0.4, 2.5),
    shift=st.floats(-20, 20),
    ratio=st.sampled_from([0.5, 1.0, 2.0]),
    student_ratio=st.sampled_from([0.5, 1.0, 2.0]),
    sigma=st.floats(4, 8),
)
def test_a_gaussian_goes_through_unmoved(
    position: float, scale: float, shift: float, ratio: float, student_ratio: float, sigma: float
) -> None:
    """A Gaussian at `position` of a 100-pixel teacher's axis; student pixel = scale x teacher pixel + shift. Within .05
    student pixels, by its mean and by its decoded peak, and as wide as the scale makes it."""
    bin_scale = scale / ratio * student_ratio
    assume(bin_scale > 0.5)  # finer ones are shared out, below
    p = gaussian_rows(torch.tensor([position]), round(100 * ratio), ratio, sigma, form="kl")[None]
    wide = round((100 * scale + 60) * student_ratio)
    one = torch.ones(1, dtype=torch.float64)
    q, inside = resample(p, bin_scale * one, (shift + 30) * student_ratio * one, wide)
    expected = scale * position + shift + 30
    assert inside.item() == pytest.approx(1, abs=1e-4)
    assert mean_position(q)[0, 0] / student_ratio == pytest.approx(expected, abs=0.05)
    assert peak_position(q.numpy())[0, 0] / student_ratio == pytest.approx(expected, abs=0.05)
    spread = (q * (torch.arange(wide) / student_ratio - expected) ** 2).sum().sqrt()
    assert spread.item() == pytest.approx(scale * sigma, rel=0.02)


@pytest.mark.parametrize("input_wh", [(192, 256), (256, 256), (288, 384)])
def test_fine_bins_go_into_coarse_ones_unmoved(input_wh: tuple[int, int]) -> None:
    """An RTMPose with two bins a pixel teaches a nano with one bin per four pixels of a crop a quarter the size."""
    rule, own = CropRule(input_wh, 1.25), CropRule((96, 128), 1.25)
    scale = min(96 / input_wh[0], 128 / input_wh[1])
    points = [torch.linspace(0.4, 0.6, 15)[None] * side for side in input_wh]
    told = [
        gaussian_rows(at.flatten(), 2 * side, 2.0, 2.5, form="kl")[None].log()
        for at, side in zip(points, input_wh, strict=True)
    ]
    fine = Distillation(
        (teacher(says(*told), UNION21.keypoints[:15], crop=rule, step=0.5),),
        (TeacherRecipe(name="mpii", source="x"),),
        DistilRecipe(),
        criterion=ConditionalSimCCLoss(form="kl", beta=1.0, sigma=(2.5, 2.5), split_ratio=0.25),
        skeleton=UNION21,
        student=own,
    )
    matrices = [torch.tensor([[[s, 0, 0], [0, s, 0]]], dtype=torch.float64) for s in (scale, 1.0)]
    shown = {"image_1": torch.zeros(1), "matrix": matrices[0], "matrix_1": matrices[1]}
    (targets,) = fine.targets(shown, (24, 32))
    for axis, carried in enumerate((targets.x, targets.y)):
        np.testing.assert_allclose(4 * mean_position(carried)[0], scale * points[axis][0], atol=0.05)


def test_the_same_bins_are_left_exactly_alone() -> None:
    p = torch.softmax(torch.randn(2, 3, 40) * 3, dim=-1)
    q, inside = resample(p, torch.ones(2).double(), torch.zeros(2).double(), 40)
    assert torch.allclose(q, p, atol=1e-7)
    assert torch.allclose(inside, torch.ones(2, 3), atol=1e-6)


@pytest.mark.parametrize("at", [20.0, 20.3, 20.5])
def test_a_heatmap_whose_noise_was_cut_off_arrives_with_one_peak(at: float) -> None:
    columns, rows = np.meshgrid(np.arange(48), np.arange(64))
    spot = np.exp(-((columns - at) ** 2 + (rows - 30) ** 2) / (2 * 2.0**2)).astype(np.float32)
    potential = torch.from_numpy(HeatmapOutput("maps", 8.0).log_potentials([spot[None, None]], (384, 512))[0])
    one = torch.ones(1).double()
    q, _ = resample(torch.softmax(potential, dim=-1), 8 * one, 0 * one, 384)
    row = q[0, 0].numpy()
    tops = np.flatnonzero((row[1:-1] > row[:-2]) & (row[1:-1] > row[2:]) & (row[1:-1] > 1e-6)) + 1
    assert len(tops) == 1 and abs(tops[0] - 8 * at) <= 1
    assert abs(row @ np.arange(384) - 8 * at) < 0.3


@pytest.mark.parametrize("carry", [resample, share_out])
def test_what_lies_outside_the_students_crop_is_cut_off_and_counted(carry: Callable) -> None:
    p = torch.zeros(1, 2, 10)
    p[0, 0, [0, 9]] = 0.5
    p[0, 1, 9] = 1.0
    q, inside = carry(p, torch.ones(1).double(), torch.zeros(1).double(), 5)
    assert inside.tolist() == [[0.5, 0.0]]
    np.testing.assert_allclose(q[0, 0], [1, 0, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(q[0, 1], 0.2, atol=1e-6)


@FORMS
def test_a_teacher_that_is_the_student_gives_no_loss_and_no_gradient(form: dict) -> None:
    x, y = logits(form)
    same = says(form["beta"] * x.detach(), form["beta"] * y.detach())
    own = teacher(same, UNION21.keypoints, step=1 / form["split_ratio"])
    term = distillation(own, form=form).terms(x, y, batch())["mpii"]
    term.backward()
    assert abs(term.item()) < 1e-5
    assert x.grad.abs().max() < 1e-6 and y.grad.abs().max() < 1e-6


@FORMS
def test_a_teacher_who_says_what_the_labels_say_costs_what_the_labels_cost(form: dict) -> None:
    """The same scale for both terms: eq. 8's weights compare like with like."""
    x, y = logits(form)
    everything = batch()
    told = []
    for axis, size in enumerate(bins(form)):
        rows = gaussian_rows(
            everything["points"][..., axis].flatten(),
            size,
            form["split_ratio"],
            form["sigma"][axis],
            form=form["form"],
        )
        told.append(rows.reshape(3, 21, size).log())
    own = teacher(says(*told), UNION21.keypoints, step=1 / form["split_ratio"])
    term = distillation(own, form=form).terms(x, y, everything)["mpii"]
    task = ConditionalSimCCLoss(**form)(x, y, everything["points"], everything["labelled"])
    assert term.item() == pytest.approx(task.item(), rel=1e-4)


@FORMS
def test_each_teacher_touches_only_its_own_keypoints(form: dict) -> None:
    x, y = logits(form)
    generator = torch.Generator().manual_seed(1)
    told = [torch.randn(3, 16, b, generator=generator) for b in bins(form)]
    own = teacher(says(*told), step=1 / form["split_ratio"])
    distillation(own, form=form).terms(x, y, batch())["mpii"].backward()
    touched = {k for i, k in enumerate(UNION21.keypoints) if x.grad[:, i].any()}
    assert touched == set(MPII16.keypoints)


def test_a_teacher_teaches_no_more_than_the_recipe_lets_it() -> None:
    x, y = logits()
    told = [torch.randn(3, 16, b) for b in bins(KL)]
    entry = TeacherRecipe(name="mpii", source="x", keypoints=("head_top", "upper_neck"))
    distillation(teacher(says(*told)), entries=(entry,)).terms(x, y, batch())["mpii"].backward()
    assert {k for i, k in enumerate(UNION21.keypoints) if x.grad[:, i].any()} == {"head_top", "upper_neck"}


def test_equation_8_in_both_readings_by_hand() -> None:
    """Two bins an axis, one person, one keypoint: every number can be written down."""
    form = {"form": "kl", "beta": 1.0, "sigma": (2.5, 2.5), "split_ratio": 1.0}
    x = torch.tensor([[[0.0, math.log(3)]]]).repeat(1, 21, 1)
    y = torch.zeros(1, 21, 2)
    # The teacher says 1/2, 1/2 on x and 1/4, 3/4 on y; the student 1/4, 3/4 and 1/2, 1/2.
    told = (torch.zeros(1, 1, 2), torch.tensor([[[0.0, math.log(3)]]]))
    on_x = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    on_y = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    by_hand = (on_x + on_y) / 2
    tiny = CropRule((2, 2), 1.25)
    one = teacher(says(*told), ("head_top",), crop=tiny)
    for remainder, factor in ((True, 0.7), (False, 1.0)):
        both = Distillation(
            (one, replace(one, name="coco")),
            (TeacherRecipe(name="mpii", source="x", weight=0.25), TeacherRecipe(name="coco", source="x", weight=0.45)),
            DistilRecipe(alpha=0.3, remainder=remainder),
            criterion=ConditionalSimCCLoss(**form),
            skeleton=UNION21,
            student=tiny,
        )
        terms = both.terms(x, y, batch(1) | {"image": torch.zeros(1, 2, 2, 3, dtype=torch.uint8)})
        assert terms["mpii"].item() == pytest.approx(by_hand)
        total = both.total(torch.tensor(2.0), terms)
        assert total.item() == pytest.approx(0.3 * 2.0 + factor * (0.25 + 0.45) * by_hand)


def test_teachers_fade_over_the_run_if_the_recipe_says_so() -> None:
    term = {"mpii": torch.tensor(1.0)}
    for decay, half in (("none", 1.0), ("linear", 0.5), ("cosine", 0.5)):
        fading = distillation(teacher(says()), decay=decay, alpha=0.5)
        for progress, left in ((0.0, 1.0), (0.5, half), (1.0, 1.0 if decay == "none" else 0.0)):
            fading.progress = progress
            assert fading.total(torch.tensor(0.0), term).item() == pytest.approx(0.5 * 0.5 * left, abs=1e-6)


def test_distilling_only_where_there_is_no_label_leaves_the_labelled_points_alone() -> None:
    x, y = logits()
    told = [torch.randn(3, 21, b) for b in bins(KL)]
    some = batch(labelled=0.5)
    careful = distillation(teacher(says(*told), UNION21.keypoints), where="unlabelled")
    careful.terms(x, y, some)["mpii"].backward()
    assert torch.equal(x.grad.abs().sum(dim=-1) > 0, ~some["labelled"])


def test_with_confidence_a_flat_teacher_hardly_counts() -> None:
    x, y = logits()
    sharp = [30 * torch.nn.functional.one_hot(torch.full((3, 21), 20), b).float() for b in bins(KL)]
    flat = [torch.zeros(3, 21, b) for b in bins(KL)]
    found = []
    for told in (sharp, flat):
        own = teacher(says(*told), UNION21.keypoints)
        plain, weighed = (distillation(own, confidence=c).terms(x, y, batch())["mpii"].item() for c in ("none", "peak"))
        found.append(weighed / plain)
    assert found[0] == pytest.approx(1, abs=1e-3)
    assert found[1] < 0.1


def test_a_temperature_softens_both_sides_and_keeps_the_scale() -> None:
    """Hinton et al. 2015: T squared times KL(softmax(t / T) || softmax(s / T))."""
    x, y = logits()
    told = [2 * torch.randn(3, 21, b) for b in bins(KL)]
    entry = TeacherRecipe(name="mpii", source="x", temperature=3.0)
    term = distillation(teacher(says(*told), UNION21.keypoints), entries=(entry,)).terms(x, y, batch())["mpii"]
    expected = 0.0
    for student, teacher_logits in zip((x, y), told, strict=True):
        log_t, log_s = torch.log_softmax(teacher_logits / 3, -1), torch.log_softmax(student / 3, -1)
        expected += 9 * (log_t.exp() * (log_t - log_s)).sum(-1).mean().item() / 2
    assert term.item() == pytest.approx(expected, rel=1e-5)


def blob_picture(folder: Path) -> PersonCrops:
    """One grey picture with one soft blob on the nose of one person; crops of it for the student and three teachers."""
    h, w = 300, 320
    nose = np.array([150.3, 110.6])
    yy, xx = np.mgrid[:h, :w]
    blob = 255 * np.exp(-((xx - nose[0]) ** 2 + (yy - nose[1]) ** 2) / (2 * 5.0**2))
    cv2.imwrite(str(folder / "0.png"), np.repeat(blob[..., None], 3, axis=2).astype(np.uint8))
    xy = np.tile(nose, (1, 21, 1))
    poses = Poses(
        skeleton=UNION21,
        xy=xy,
        visibility=np.full((1, 21), 2, np.uint8),
        bbox_xywh=np.array([[100.0, 60.0, 100.0, 180.0]]),
        area=np.full(1, 9000.0),
        image_index=np.zeros(1, int),
        images=(Image("0.png"),),
        ids=np.arange(1),
        crowd=np.zeros(1, bool),
        head_size=np.full(1, np.nan),
    )
    everything = AugmentRecipe(flip=0.5, shift=0.1, zoom=(0.8, 1.2), rotate=60.0)
    return PersonCrops(
        [TrainingSet("a", poses, folder, 1.0)],
        (192, 256),
        expand=1.25,
        augment=everything,
        seed=0,
        others=(CropRule((256, 256), 1.25), CropRule((96, 128), 1.1), CropRule((256, 256), 1.4, fit="letterbox")),
    )


@pytest.mark.parametrize("view", [1, 2, 3], ids=["256x256", "96x128 tighter", "256x256 letterbox"])
def test_what_a_teacher_sees_in_its_own_crop_lands_on_the_students_label(view: int, tmp_path: Path) -> None:
    """Pictures through the real pipeline, turned, moved, zoomed, mirrored; the teacher is the picture's brightness."""
    crops = blob_picture(tmp_path)
    rule = crops.others[view - 1]

    def brightness(image):
        pixels = image[..., 0].double() ** 2
        return tuple(torch.log(pixels.sum(dim=d) + 1e-3).float()[:, None] for d in (1, 2))

    samples = [crops[Draw(0, 0, i)] for i in range(40)]
    shown = collate(samples) | {"image_1": torch.from_numpy(np.stack([s[f"image_{view}"] for s in samples]))}
    shown["matrix_1"] = torch.from_numpy(np.stack([s[f"matrix_{view}"] for s in samples]))
    own = Distillation(
        (teacher(brightness, ("nose",), crop=rule, name="light"),),
        (TeacherRecipe(name="light", source="x"),),
        DistilRecipe(),
        criterion=ConditionalSimCCLoss(form="kl", beta=1.0, sigma=(3.0, 3.0), split_ratio=2.0),
        skeleton=UNION21,
        student=CropRule((192, 256), 1.25),
    )
    (targets,) = own.targets(shown, (384, 512))
    assert targets.inside.all()
    found = np.stack([mean_position(targets.x)[:, 0], mean_position(targets.y)[:, 0]], axis=-1) / 2
    label = shown["points"][:, UNION21.index["nose"]].numpy()
    # Warped pixels are 8-bit and interpolated: a tenth of a pixel is what the pictures themselves give.
    np.testing.assert_allclose(found, label, atol=0.15)


def test_256x256_agrees_with_a_gaussian_drawn_straight_into_the_256x192_crop(tmp_path: Path) -> None:
    crops = blob_picture(tmp_path)
    shown = collate([crops[Draw(0, 0, i)] for i in range(40)])
    nose = torch.tensor([[150.3, 110.6, 1.0]], dtype=torch.float64)
    there = (shown["matrix_1"] @ nose.T)[..., 0].float()
    ratio = (shown["matrix"][:, 0, :2].norm(dim=1) / shown["matrix_1"][:, 0, :2].norm(dim=1)).float()
    sigma = 6.0
    told = [gaussian_rows(there[:, axis], 512, 2.0, sigma, form="kl")[:, None].log() for axis in (0, 1)]
    own = Distillation(
        (teacher(says(*told), ("nose",), crop=crops.others[0], step=0.5, name="mpii"),),
        (TeacherRecipe(name="mpii", source="x"),),
        DistilRecipe(),
        criterion=ConditionalSimCCLoss(form="kl", beta=1.0, sigma=(3.0, 3.0), split_ratio=2.0),
        skeleton=UNION21,
        student=CropRule((192, 256), 1.25),
    )
    (targets,) = own.targets(shown, (384, 512))
    label = shown["points"][:, UNION21.index["nose"]]
    for axis, carried in enumerate((targets.x, targets.y)):
        for i in range(40):
            size = carried.shape[-1]
            reference = gaussian_rows(label[i : i + 1, axis], size, 2.0, sigma * float(ratio[i]), form="kl")
            assert 0.5 * (carried[i] - reference).abs().sum() < 0.01  # total variation
            assert abs(mean_position(carried[i])[0] - mean_position(reference)[0]) / 2 < 0.05


def test_a_pixel_offset_moves_what_the_teacher_sees_in_the_image() -> None:
    told = [gaussian_rows(torch.full((3,), 20.0), b, 1.0, 2.5, form="kl")[:, None].log() for b in bins(KL)]
    turned = batch()
    # The image is mirrored and enlarged twice in the crop.
    turned["matrix"] = torch.tensor([[-2.0, 0.0, 60.0], [0.0, 2.0, 0.0]], dtype=torch.float64).repeat(3, 1, 1)
    (plain,) = distillation(teacher(says(*told), ("nose",))).targets(turned, bins(KL))
    (moved,) = distillation(teacher(says(*told), ("nose",), pixel_offset=(-1.0, -1.5))).targets(turned, bins(KL))
    dx = mean_position(moved.x) - mean_position(plain.x)
    dy = mean_position(moved.y) - mean_position(plain.y)
    np.testing.assert_allclose(dx, 2.0, atol=0.01)
    np.testing.assert_allclose(dy, -3.0, atol=0.01)


def test_a_teacher_with_the_students_own_crop_needs_no_second_one() -> None:
    same = distillation(teacher(says()), replace(teacher(says()), name="b", keypoints=COCO17.keypoints))
    assert same.rules == []
    clean = replace(teacher(says()), crop=replace(STUDENT, clean=True))
    assert distillation(clean, replace(clean, name="b")).rules == [replace(STUDENT, clean=True)]
