"""Teachers from files: ONNX models with cards, runs; what each says lands where it saw it; what is wrong is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from dots import CARD, KEYPOINTS, write_dot_model, write_people  # noqa: E402

from annotext.core.errors import InputError  # noqa: E402
from annotext.core.geometry import apply_affine  # noqa: E402
from annotext.core.skeletons import COCO17, UNION21  # noqa: E402
from annotext.formats.files.recipe import AugmentRecipe, DistilRecipe, Recipe, TeacherRecipe, find_recipe, read_recipe  # noqa: E402
from annotext.predictors.card import CardBox, CardInput  # noqa: E402
from annotext.training.data.augment import CropRule  # noqa: E402
from annotext.training.data.samples import Draw, PersonCrops, TrainingSet, collate  # noqa: E402
from annotext.training.model.loss import ConditionalSimCCLoss  # noqa: E402
from annotext.training.teachers.distil import Distillation  # noqa: E402
from annotext.training.teachers.teacher import kind_of, load_teachers  # noqa: E402

STUDENT = CropRule((96, 128), 1.25)


def taught_by(*teachers: TeacherRecipe) -> Recipe:
    return replace(read_recipe(find_recipe("demo")), teacher=teachers, distil=DistilRecipe())


def load(*teachers: TeacherRecipe, skeleton=UNION21, **options: object):
    return load_teachers(taught_by(*teachers), "r.toml", skeleton=skeleton, **options)


@pytest.mark.parametrize("kind", ["heatmap", "simcc"])
@pytest.mark.parametrize(
    "card",
    [
        CARD,
        replace(
            CARD,
            input=CardInput("input", 160, 128, "NHWC", "BGR", 1 / 255, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
            box=CardBox(1.5, "letterbox", (0, 0, 0)),
            keypoints=KEYPOINTS[::-1],
        ),
    ],
    ids=["as the student", "letterbox, BGR, wide"],
)
def test_an_onnx_model_teaches_the_points_it_finds_in_its_own_crop(kind: str, card, tmp_path: Path) -> None:
    poses, truth = write_people(tmp_path / "images")
    path = write_dot_model(tmp_path / "model", kind, card)
    entry = TeacherRecipe(name="dots", source=str(path))
    teachers = load(entry)
    assert teachers[0].keypoints == card.keypoints and teachers[0].identity["kind"] == "onnx"
    own = Distillation(
        teachers,
        (entry,),
        DistilRecipe(),
        criterion=ConditionalSimCCLoss(form="kl", beta=1.0, sigma=(2.5, 2.5), split_ratio=1.0),
        skeleton=UNION21,
        student=STUDENT,
    )
    crops = PersonCrops(
        [TrainingSet("a", poses.to(UNION21), tmp_path / "images", 1.0)],
        STUDENT.input_wh,
        expand=STUDENT.expand,
        augment=AugmentRecipe(zoom=(1.0, 1.3), rotate=40.0),
        seed=0,
        others=own.rules,
    )
    batch = collate([crops[Draw(0, i, i)] for i in range(len(poses))])
    (targets,) = own.targets(batch, (96, 128))
    label = np.stack([apply_affine(m, t) for m, t in zip(batch["matrix"].numpy(), truth, strict=True)])
    order = [KEYPOINTS.index(k) for k in card.keypoints]
    found = np.stack([targets.x.argmax(-1).numpy(), targets.y.argmax(-1).numpy()], axis=-1)
    # A cell of the coarsest model is four of its pixels; a dot's peak lies within half of one.
    assert np.abs(found - label[:, order])[targets.inside.numpy()].max() < 4
    assert targets.inside.float().mean() > 0.9
    names = [UNION21.keypoints[c] for c in targets.columns.tolist()]
    assert names == list(card.keypoints)


def test_what_a_teacher_is_shows_in_its_source() -> None:
    for source, kind in (("a/config.py", "mmpose"), ("a.onnx", "onnx"), ("card.json", "onnx"), ("run", "run")):
        assert kind_of(TeacherRecipe(name="t", source=source)) == kind


def test_teachers_that_are_not_there_are_all_named_with_the_recipes_field() -> None:
    with pytest.raises(InputError) as error:
        load(TeacherRecipe(name="a", source="no.onnx"), TeacherRecipe(name="b", source="nowhere"))
    text = str(error.value)
    assert "r.toml: teacher[0].source: no.onnx does not exist" in text
    assert "r.toml: teacher[1].source: nowhere does not exist" in text
    assert "--teacher b=PATH says where it is" in text


def test_a_teacher_can_be_moved_and_a_stranger_is_refused(tmp_path: Path) -> None:
    path = write_dot_model(tmp_path)
    (found,) = load(TeacherRecipe(name="a", source="no.onnx"), given={"a": path})
    assert found.identity["source"] == str(path)
    with pytest.raises(InputError, match=r"no teacher is called b\n.*the recipe has: a"):
        load(TeacherRecipe(name="a", source=str(path)), given={"b": path})


def test_keypoints_a_teacher_does_not_have_are_refused(tmp_path: Path) -> None:
    path = str(write_dot_model(tmp_path))
    with pytest.raises(InputError, match=r"teacher\[0\].keypoints: teacher a has no left_wrist\n.*nose, upper_neck"):
        load(TeacherRecipe(name="a", source=path, keypoints=("nose", "left_wrist")))
    with pytest.raises(InputError, match="teacher a has no keypoint of the student's"):
        load(TeacherRecipe(name="a", source=path, keypoints=("head_top",)), skeleton=COCO17)


def test_the_recipes_pixel_offset_goes_before_the_cards(tmp_path: Path) -> None:
    path = str(write_dot_model(tmp_path, card=replace(CARD, pixel_offset=(-1.0, -1.0))))
    own, given = load(
        TeacherRecipe(name="a", source=path), TeacherRecipe(name="b", source=path, pixel_offset=(0.0, 2.0), clean=True)
    )
    assert own.pixel_offset == (-1, -1) and not own.crop.clean
    assert given.pixel_offset == (0, 2) and given.crop.clean
