"""Which added points of an extended file a student learns from, how much each counts, and what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dots import coco_document, write_people

torch = pytest.importorskip("torch")

from annotext.cli.reports.training import origin_lines  # noqa: E402
from annotext.core.additions import Additions, Decision, Estimate, Reason, Review, Source  # noqa: E402
from annotext.core.errors import InputError  # noqa: E402
from annotext.core.poses import Poses  # noqa: E402
from annotext.core.skeletons import COCO17, UNION21  # noqa: E402
from annotext.formats.annotations.read import read_annotations  # noqa: E402
from annotext.formats.files.recipe import DataRecipe, Recipe, ValidationRecipe, find_recipe, parse_recipe, read_recipe  # noqa: E402
from annotext.formats.overlay.write import write_extended  # noqa: E402
from annotext.training.data.added_labels import labels_of  # noqa: E402
from annotext.training.data.samples import Draw, PersonCrops, TrainingSet  # noqa: E402
from annotext.training.data.sets import read_sets  # noqa: E402
from annotext.training.data.validation_sets import read_validation  # noqa: E402
from annotext.training.model.loss import ConditionalSimCCLoss  # noqa: E402
from annotext.training.preflight.report import SetFacts  # noqa: E402
from annotext.training.run.folder import recipe_hash  # noqa: E402

KL = {"form": "kl", "beta": 1.0, "sigma": (2.5, 2.5), "split_ratio": 0.5}
MMPOSE = {"form": "mmpose", "beta": 10.0, "sigma": (2.45, 2.83), "split_ratio": 2.0}
FORMS = pytest.mark.parametrize("form", [KL, MMPOSE], ids=["kl", "mmpose"])
ADDED = ("pelvis", "thorax", "upper_neck", "head_top")
CALIBRATED = {
    "predictors": [],
    "policy": {},
    "calibration": {"sha256": "0" * 64, "predictor_sha256": "1" * 64, "keypoints": list(ADDED), "truth": []},
}


def batch(form: dict):
    """Random logits of 3 people and 5 keypoints (with gradients), points inside the crop, and labels."""
    generator = torch.Generator().manual_seed(0)
    bins = [round(side * form["split_ratio"]) for side in (48, 64)]
    x, y = (torch.randn(3, 5, b, generator=generator, requires_grad=True) for b in bins)
    points = torch.rand(3, 5, 2, generator=generator) * torch.tensor((48, 64))
    return x, y, points, torch.rand(3, 5, generator=generator) < 0.7


@FORMS
def test_labels_that_all_weigh_one_give_the_loss_without_weights_bit_for_bit(form: dict) -> None:
    x, y, points, labelled = batch(form)
    loss = ConditionalSimCCLoss(**form)
    plain, weighted = loss(x, y, points, labelled), loss(x, y, points, labelled, torch.ones(3, 5))
    assert torch.equal(plain, weighted)
    for one, other in zip(torch.autograd.grad(plain, (x, y)), torch.autograd.grad(weighted, (x, y)), strict=True):
        assert torch.equal(one, other)


@FORMS
def test_a_label_without_weight_is_no_label_to_the_bit(form: dict) -> None:
    x, y, points, labelled = batch(form)
    loss = ConditionalSimCCLoss(**form)
    weight = (torch.arange(15).view(3, 5) % 2).float()
    without, zero = loss(x, y, points, labelled & (weight > 0)), loss(x, y, points, labelled, weight)
    assert torch.equal(without, zero)
    for one, other in zip(torch.autograd.grad(without, (x, y)), torch.autograd.grad(zero, (x, y)), strict=True):
        assert torch.equal(one, other)


def test_the_mean_is_taken_with_the_weights() -> None:
    x, y, points, _ = batch(KL)
    loss = ConditionalSimCCLoss(**KL)
    only = [torch.zeros(3, 5, dtype=torch.bool) for _ in range(2)]
    only[0][0, 1] = only[1][2, 3] = True
    a, b = (loss(x, y, points, o).item() for o in only)
    weight = torch.full((3, 5), 0.25)
    weight[0, 1] = 1.0
    both = loss(x, y, points, only[0] | only[1], weight).item()
    assert both == pytest.approx((a + 0.25 * b) / 1.25, rel=1e-6)
    assert loss(x, y, points, only[1], weight).item() == pytest.approx(0.25 * b, rel=1e-6)


def test_mmposes_form_multiplies_each_term_by_its_weight() -> None:
    x, y, points, labelled = batch(MMPOSE)
    loss = ConditionalSimCCLoss(**MMPOSE)
    half = loss(x, y, points, labelled, torch.full((3, 5), 0.5))
    assert torch.equal(half, loss(x, y, points, labelled) / 2)


def reviewed_additions(poses: Poses) -> Additions:
    """Person by person: 0 moved, accepted, hidden, rejected; 1 absent, then nobody looked: derived, sure, to ask (and
    written); 2 scored without a calibration, withheld; the others get nothing."""
    nothing = Additions.nothing(len(poses), ADDED)
    xy, visibility, source = nothing.xy.copy(), nothing.visibility.copy(), nothing.source.copy()
    score, radius, decision = nothing.score.copy(), nothing.radius.copy(), nothing.decision.copy()
    reason, review = nothing.reason.copy(), nothing.review.copy()

    def put(i: int, j: int, v: int, of: Source, what: Decision, *, s: float, r: float, verdict: str = "") -> None:
        xy[i, j], visibility[i, j], source[i, j] = poses.bbox_xywh[i, :2] + 10 * (j + 1), v, of
        score[i, j], radius[i, j], decision[i, j] = s, r, what
        if verdict:
            before = Estimate((50.0, 50.0), 0, Source.STUDENT, 0.4, 5.0, Decision.WITHHOLD, Reason.LOW_SCORE)
            review[i, j] = Review(verdict, ("ann",), before)
        if what is not Decision.ADD:
            reason[i, j] = {"reject": Reason.REJECTED, "absent": Reason.ABSENT}.get(verdict, Reason.TO_ASK)

    put(0, 0, 2, Source.CORRECTED, Decision.ADD, s=1.0, r=math.nan, verdict="move")
    put(0, 1, 2, Source.STUDENT, Decision.ADD, s=0.4, r=5.0, verdict="accept")
    put(0, 2, 1, Source.STUDENT, Decision.ADD, s=0.4, r=5.0, verdict="hidden")
    put(0, 3, 0, Source.STUDENT, Decision.WITHHOLD, s=0.4, r=5.0, verdict="reject")
    put(1, 0, 0, Source.STUDENT, Decision.WITHHOLD, s=0.4, r=5.0, verdict="absent")
    put(1, 1, 2, Source.DERIVED, Decision.ADD, s=1.0, r=math.nan)
    put(1, 2, 2, Source.STUDENT, Decision.ADD, s=0.75, r=5.0)
    put(1, 3, 2, Source.STUDENT, Decision.ASK, s=0.6, r=5.0)
    put(2, 2, 2, Source.TEACHER, Decision.ADD, s=0.9, r=math.nan)
    put(2, 3, 0, Source.STUDENT, Decision.WITHHOLD, s=0.3, r=5.0)
    return Additions(ADDED, xy, visibility, source, score, radius, decision, reason, review)


@pytest.fixture
def extended(tmp_path: Path) -> Path:
    """A folder with images and `extended.json`, of people who were reviewed in part."""
    people, _ = write_people(tmp_path / "images", images=6)
    (tmp_path / "coco.json").write_text(json.dumps(coco_document(people)))
    file = read_annotations(tmp_path / "coco.json")
    write_extended(file, reviewed_additions(file.poses), CALIBRATED, tmp_path / "extended.json", force=True)
    return tmp_path


def origins(folder: Path, added: str, min_score: float = 0.0) -> list[list[str]]:
    """Of the first three people's added points."""
    labels = labels_of(read_annotations(folder / "extended.json"), added, min_score)  # type: ignore[arg-type]
    return [[str(o) for o in row] for row in labels.origin[:3, 17:]]


def test_reviewed_is_what_a_person_placed_or_confirmed(extended: Path) -> None:
    assert origins(extended, "none") == [["", "", "", ""]] * 3
    assert origins(extended, "reviewed") == [["corrected", "confirmed", "confirmed", ""], [""] * 4, [""] * 4]


def test_scored_is_also_what_was_added_unseen_and_has_a_calibrated_score(extended: Path) -> None:
    expected = [["corrected", "confirmed", "confirmed", ""], ["", "derived", "scored", ""], [""] * 4]
    assert origins(extended, "scored") == expected
    assert origins(extended, "scored", 0.8)[1] == ["", "derived", "", ""]
    labels = labels_of(read_annotations(extended / "extended.json"), "scored")
    assert labels.weight[1, 17:].tolist() == [0.0, 1.0, 0.75, 0.0]
    assert labels.weight[0, 17:].tolist() == [1.0, 1.0, 1.0, 0.0]


def test_human_labels_count_fully_whatever_was_added(extended: Path) -> None:
    plain = read_annotations(extended / "coco.json").poses
    for added in ("none", "reviewed", "scored"):
        labels = labels_of(read_annotations(extended / "extended.json"), added)
        assert np.array_equal(labels.weight[:, :17], plain.labelled.astype(np.float32))
        assert np.array_equal(labels.poses.xy[:, :17], plain.xy, equal_nan=True)
        assert np.array_equal(labels.weight > 0, labels.poses.labelled)


def recipe(folder: Path, added: str = "none", skeleton: str = "union21", file: str = "extended.json", **more) -> Recipe:
    smoke = read_recipe(find_recipe("smoke"))
    data = DataRecipe("a", skeleton, file, "images", str(folder), added=added, **more)  # type: ignore[arg-type]
    return replace(smoke, data=(data,))


def test_the_set_has_the_grown_skeleton_and_weights_at_its_labels_alone(extended: Path) -> None:
    data = read_sets(recipe(extended, "scored"), {}, "r.toml")
    [one] = data.sets
    assert one.poses.skeleton.keypoints == UNION21.keypoints
    assert one.weight is not None and np.array_equal(one.weight > 0, one.poses.labelled)
    described = data.description["data"][0]
    assert {o: described["origins"][o]["upper_neck"] for o in ("human", "confirmed", "scored")} == {
        "human": 0,
        "confirmed": 1,
        "scored": 1,
    }
    assert described["scored_weight"]["upper_neck"] == 0.75
    assert described["labelled"]["upper_neck"] == 2


def test_reviewed_points_need_no_weights(extended: Path) -> None:
    [one] = read_sets(recipe(extended, "reviewed"), {}, "r.toml").sets
    assert one.weight is None
    assert one.poses.labelled[:, UNION21.index["pelvis"]].sum() == 1


def test_a_file_of_17_keypoints_gives_its_added_points_to_a_student_that_has_them(extended: Path) -> None:
    both = recipe(extended, "reviewed", "coco17")
    both = replace(both, data=(*both.data, replace(both.data[0], name="b", skeleton="union21")))
    first, second = read_sets(both, {}, "r.toml").sets
    assert np.array_equal(first.poses.xy, second.poses.xy, equal_nan=True)


def test_an_extended_file_without_a_word_about_added_points_trains_as_the_file_it_was_made_from(extended: Path) -> None:
    [grown] = read_sets(recipe(extended, skeleton="coco17"), {}, "r.toml").sets
    [plain] = read_sets(recipe(extended, skeleton="coco17", file="coco.json"), {}, "r.toml").sets
    assert grown.poses.skeleton == plain.poses.skeleton == COCO17
    assert np.array_equal(grown.poses.xy, plain.poses.xy, equal_nan=True) and grown.weight is None


@pytest.mark.parametrize(
    ("given", "place", "problem"),
    [
        ({"added": "none"}, "data[0].skeleton", "has no labels of pelvis, thorax, upper_neck, head_top"),
        ({"added": "reviewed", "skeleton": "coco17"}, "data[0].added", "the student has none of the added"),
        ({"added": "reviewed", "skeleton": "coco17", "file": "coco.json"}, "data[0].added", "not an extended file"),
        ({"added": "scored", "file": "uncalibrated.json"}, "data[0].added", "are uncalibrated: they are no weights"),
    ],
)
def test_what_makes_no_sense_is_refused_at_its_place_in_the_recipe(
    extended: Path, given: dict, place: str, problem: str
) -> None:
    document = json.loads((extended / "extended.json").read_text())
    document["info"]["annotext"]["calibration"] = "uncalibrated"
    (extended / "uncalibrated.json").write_text(json.dumps(document))
    with pytest.raises(InputError) as error:
        read_sets(recipe(extended, **given), {}, "r.toml")
    [found] = error.value.problems
    assert found.pointer == place and problem in found.problem


def test_a_recipe_asks_no_least_score_of_points_that_have_none() -> None:
    for given, field in (({"min_score": 0.5}, "min_score"), ({"added": "scored", "labels": False}, "added")):
        with pytest.raises(ValueError, match=field):
            DataRecipe("a", "coco17", "a.json", "images", **given)  # type: ignore[arg-type]


def test_a_recipe_without_added_points_is_the_recipe_that_an_older_run_began_with() -> None:
    document = {
        "name": "old",
        "student": {"model": "nano", "input": [96, 128]},
        "data": [{"name": "a", "skeleton": "coco17", "annotations": "a.json", "images": "images"}],
        "loss": {"sigma": [2.5, 2.5]},
        "optim": {"lr": 0.001},
        "schedule": {"batch": 8, "samples": 80},
    }
    # As it was computed before recipes knew `added`.
    before = "5c01e8a3e4744d9ce76feda376c3c0bfc528d1d2833f3d55fa9207fc8796e80f"
    assert recipe_hash(parse_recipe(document, "old.toml")) == before
    document["data"][0]["added"] = "reviewed"
    assert recipe_hash(parse_recipe(document, "old.toml")) != before


def test_a_crop_brings_its_labels_weights_along_mirrored_too(extended: Path) -> None:
    smoke = recipe(extended, "scored")
    [one] = read_sets(smoke, {}, "r.toml").sets
    for flip in (0.0, 1.0):
        augment = replace(smoke.augment, flip=flip, half_body=0.0)
        crops = PersonCrops([one], (96, 128), expand=1.25, augment=augment, seed=0)
        sample = crops[Draw(0, 1, 0)]
        assert sample["weight"][UNION21.index["upper_neck"]] == 0.75
        assert np.array_equal(sample["weight"] > 0, sample["labelled"])
    assert one.weight is not None
    lopsided = np.where(np.arange(21) == UNION21.index["left_shoulder"], 0.5 * one.weight, one.weight).astype(
        np.float32
    )
    crops = PersonCrops([replace(one, weight=lopsided)], (96, 128), expand=1.25, augment=augment, seed=0)
    assert crops[Draw(0, 1, 0)]["weight"][UNION21.index["right_shoulder"]] == 0.5


def test_without_weights_a_crop_is_what_it_always_was(extended: Path) -> None:
    smoke = recipe(extended, "reviewed")
    [one] = read_sets(smoke, {}, "r.toml").sets
    assert "weight" not in PersonCrops([one], (96, 128), expand=1.25, augment=smoke.augment, seed=0)[Draw(0, 0, 0)]


def test_weights_elsewhere_than_at_labels_are_refused(extended: Path) -> None:
    [one] = read_sets(recipe(extended, "scored"), {}, "r.toml").sets
    with pytest.raises(ValueError, match="exactly at its labels"):
        TrainingSet("a", one.poses, one.images, 1.0, weight=np.ones((len(one.poses), 21), np.float32))


def test_a_set_is_validated_by_human_and_reviewed_points_only(extended: Path) -> None:
    asked = recipe(extended, "reviewed")
    entry = ValidationRecipe("v", "union21", "extended.json", "images", "oks", str(extended))
    [found] = read_validation(replace(asked, validation=(entry,)), {}, "r.toml")
    assert found.truth.labelled[:, UNION21.indices(ADDED)].sum(axis=0).tolist() == [1, 1, 1, 0]


def test_the_preflight_says_where_labels_come_from(extended: Path) -> None:
    described = read_sets(recipe(extended, "scored"), {}, "r.toml").description["data"][0]
    facts = SetFacts(
        "a",
        "union21",
        *(described[k] for k in ("people", "trained_on", "image_files")),
        checked=0,
        labels=True,
        labelled=described["labelled"],
        origins=described["origins"],
        scored_weight=described["scored_weight"],
    )
    text = "\n".join(origin_lines(facts))
    assert "1 (weight 0.75)" in text and "left_shoulder" not in text
    assert facts.to_dict()["origins"]["corrected"]["pelvis"] == 1
