"""Validation during training: its people, that it leaves no trace, that its figures are the export's, what is kept."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from rich.console import Console

from annotext.core.errors import InputError
from annotext.core.skeletons import UNION21
from annotext.evaluation.files import OKS_FIGURES, SHARES, EvaluatedSet, Figures, read_evaluation
from annotext.formats.annotations.read import read_annotations
from annotext.formats.files.recipe import Recipe, ValidationRecipe, find_recipe, read_recipe
from annotext.training.data.validation_sets import read_people, read_validation
from annotext.training.run.prepare import RunRequest, build_student
from annotext.training.run.train import train
from annotext.training.run.validation import Evaluator, Validation, evaluated

QUIET = Console(quiet=True)
COCO = ValidationRecipe("coco", "coco17", "annotations.json", "images", "ap")
MPII = ValidationRecipe("mpii", "mpii16", "annotations.json", "images", "pckh")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from annotext.workflows.synth import synthesise

    folder = tmp_path_factory.mktemp("people") / "all"
    synthesise(folder, 24, 5, sets=("coco", "mpii"), workers=1)
    return folder


def tiny(*validation: ValidationRecipe, steps: int = 6, ema: float = 0.0, **schedule: Any) -> Recipe:
    """A nano of few channels."""
    demo = read_recipe(find_recipe("demo"))
    return replace(
        demo,
        student=replace(demo.student, channels=(8, 16, 24), blocks=(0, 1, 1)),
        optim=replace(demo.optim, ema=ema),
        schedule=replace(demo.schedule, **{"batch": 8, "samples": 8 * steps, "warmup": 2, **schedule}),
        runtime=replace(demo.runtime, workers=0, threads=1, checkpoint_every=2, amp="none"),
        validation=validation,
    )


def roots(people: Path) -> dict[str, Path]:
    return {"coco": people / "coco", "mpii": people / "mpii"}


def run(recipe: Recipe, folder: Path, people: Path, **options: Any):
    options = {"roots": roots(people), **options}
    return train(RunRequest(recipe, folder, "r.toml", device="cpu", **options), console=QUIET)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "validation.jsonl").read_text().splitlines()]


# Reading.


def refused(recipe: Recipe, given: dict[str, Path]) -> list[str]:
    with pytest.raises(InputError) as caught:
        read_people(recipe, given, "r.toml")
    return [str(p) for p in caught.value.problems]


def test_a_missing_set_is_named_beside_the_missing_data(people: Path, tmp_path: Path) -> None:
    problems = refused(tiny(replace(MPII, name="val", root=str(tmp_path))), {"coco": people / "coco", "mpii": tmp_path})
    assert {p.split(": ")[1] for p in problems} == {
        f"{place}.{field}" for place in ("data[1]", "validation[0]") for field in ("annotations", "images")
    }
    assert any("hint: --data val=FOLDER says where this data set is" in p for p in problems)


def test_every_other_fault_of_a_set_is_named_by_its_field(people: Path, tmp_path: Path) -> None:
    document = json.loads((people / "coco" / "annotations.json").read_text())
    for annotation in document["annotations"]:
        annotation["keypoints"] = [0] * 51
        annotation["num_keypoints"] = 0
    (tmp_path / "annotations.json").write_text(json.dumps(document))
    (tmp_path / "images").mkdir()
    here = str(people / "coco")
    problems = refused(
        tiny(
            replace(COCO, name="skeleton", root=here, skeleton="mpii16"),
            replace(COCO, name="nobody", root=str(tmp_path)),
            replace(COCO, name="pictures", root=here, images="."),
            replace(COCO, name="heads", root=here, head_sizes="heads.mat"),
            replace(COCO, name="headless", root=here, metric="pckh"),
        ),
        roots(people),
    )
    assert (
        "r.toml: validation[0].skeleton: " in problems[0]
        and "pelvis, thorax, upper_neck, head_top missing" in problems[0]
    )
    assert problems[1].startswith("r.toml: validation[1].annotations: nobody in ")
    assert problems[2].startswith("r.toml: validation[2].images: ") and "images are not in" in problems[2]
    assert problems[3].startswith(f"r.toml: validation[3].head_sizes: {here}/heads.mat does not exist")
    assert problems[4].startswith(
        "r.toml: validation[4].metric: pckh needs head boxes, and nobody has one\n  hint: head_s"
    )
    assert len(problems) == 5


def test_ap_needs_areas(people: Path) -> None:
    problems = refused(tiny(replace(MPII, metric="ap")), roots(people))
    assert problems == [
        "r.toml: validation[0].metric: ap needs areas, and nobody has one\n"
        "  hint: MPII files have none: take pckh or pck"
    ]


def test_an_unknown_skeleton_of_a_set_is_refused(people: Path) -> None:
    problems = refused(tiny(replace(COCO, skeleton="coco18")), roots(people))
    assert len(problems) == 1 and problems[0].startswith("r.toml: validation[0].skeleton: unknown skeleton 'coco18'")


def test_a_folder_is_for_the_data_and_the_validation_set_of_its_name(people: Path) -> None:
    recipe = tiny(COCO, replace(MPII, name="other"))
    data, [coco, other] = read_people(recipe, {**roots(people), "other": people / "mpii"}, "r.toml")
    assert coco.images == people / "coco" / "images" == data.sets[0].images
    assert other.images == people / "mpii" / "images"
    assert data.description["validation"][0]["sha256"] == coco.sha256
    with pytest.raises(InputError, match="no data set is called halpe\n  hint: the recipe has: coco, mpii, other"):
        read_people(recipe, {**roots(people), "halpe": people}, "r.toml")


def test_some_people_are_the_same_people_for_every_seed(people: Path) -> None:
    def drawn(seed: int) -> list[int]:
        recipe = replace(tiny(replace(MPII, people=7)), seed=seed)
        return read_validation(recipe, roots(people), "r.toml")[0].asked.ids.tolist()

    assert drawn(1) == drawn(2) and len(drawn(1)) == 7
    assert drawn(1) != list(range(7)), "simply the first"


def test_head_sizes_come_from_the_mat_file(people: Path, tmp_path: Path) -> None:
    from scipy.io import savemat

    root = people / "mpii"
    truth = read_annotations(root / "annotations.json").poses
    boxes = np.zeros((2, 2, len(truth)))
    boxes[1] = np.arange(1, len(truth) + 1)
    savemat(root / "heads.mat", {"headboxes_src": boxes})
    [found] = read_validation(tiny(replace(MPII, head_sizes="heads.mat", people=5)), roots(people), "r.toml")
    np.testing.assert_allclose(found.asked.head_size, 0.6 * np.sqrt(2) * (found.asked.ids + 1))


def test_the_shared_keypoints_are_those_of_all_skeletons(people: Path) -> None:
    truth = replace(COCO, name="truth", root=str(people / "coco"), skeleton="union21", annotations="truth.json")
    both = tiny(COCO, MPII, truth)
    assert [len(s.shared or ()) for s in read_validation(both, roots(people), "r.toml")] == [12, 12, 12]
    alone = replace(tiny(COCO), data=tiny().data[:1])
    assert read_validation(alone, {"coco": people / "coco"}, "r.toml")[0].shared is None


# Evaluating.


def test_an_evaluation_leaves_weights_modes_and_chance_as_they_were() -> None:
    student = build_student(tiny(), 21, "r.toml")
    student.train()
    student.head.eval()
    before = {k: v.clone() for k, v in student.state_dict().items()}
    other = {k: v + 1 for k, v in before.items()}
    modes, chance = [m.training for m in student.modules()], torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt), evaluated(student, other):
        assert not any(m.training for m in student.modules())
        assert all(torch.equal(v, other[k]) for k, v in student.state_dict().items())
        raise KeyboardInterrupt
    assert all(torch.equal(v, before[k]) for k, v in student.state_dict().items())
    assert [m.training for m in student.modules()] == modes
    assert torch.equal(torch.get_rng_state(), chance)


@pytest.mark.slow
def test_training_is_the_same_to_the_bit_with_and_without_validation(people: Path, tmp_path: Path) -> None:
    from annotext.training.run.checkpoints import load_checkpoint

    run(tiny(ema=0.01), tmp_path / "without", people)
    run(tiny(COCO, MPII, ema=0.01, validate_every=1), tmp_path / "with", people)
    assert [line["step"] for line in lines(tmp_path / "with")] == [1, 2, 3, 4, 5, 6]
    kept = [load_checkpoint(tmp_path / name / "checkpoints/step_00000006.pth") for name in ("without", "with")]
    for part in ("state_dict", "average"):
        assert all(torch.equal(value, kept[1][part][name]) for name, value in kept[0][part].items())
    assert (tmp_path / "with/metrics.jsonl").read_text() == (tmp_path / "without/metrics.jsonl").read_text()


@pytest.mark.slow
def test_the_figures_are_those_of_evaluate_on_the_exported_model(people: Path, tmp_path: Path) -> None:
    from annotext.evaluation.inputs import EvaluationInput
    from annotext.evaluation.report import evaluate
    from annotext.predictors.load import load_predictor
    from annotext.predictors.pipeline import predict

    truth = replace(COCO, name="truth", root=str(people / "coco"), skeleton="union21", annotations="truth.json")
    recipe = tiny(COCO, MPII, replace(truth, metric="oks"), steps=150, ema=0.01)
    trained = run(recipe, tmp_path / "run", people)
    found = read_evaluation(tmp_path / "run" / "evaluation.json")
    assert found.student_sha256 == trained.export.sha256
    predictor = load_predictor(tmp_path / "run")
    for one, file in zip(found.sets, ("coco/annotations", "mpii/annotations", "coco/truth"), strict=True):
        poses = read_annotations(people / f"{file}.json").poses
        asked = poses.take(poses.has_keypoints)
        [predictions] = predict([predictor], asked, people / Path(file).parent / "images")
        report = evaluate(poses, EvaluationInput.of_predictions(predictions)).to_dict()
        for name, value in (one.all.oks or {}).items():
            assert value == pytest.approx(report["oks"][name], abs=1e-3), (file, name)
        for name in ("pckh@0.5", "pckh@0.1", "pck@0.2"):
            share = one.all.shares[name]
            assert (share or {"mean": None})["mean"] == pytest.approx(report[name]["mean"], abs=0.1), (file, name)
    assert found.sets[1].all.shares["pckh@0.5"]["mean"] > 5  # it has learned something to be compared
    assert lines(tmp_path / "run")[-1]["sets"]["mpii"]["value"] == found.sets[1].value


@pytest.mark.slow
def test_a_student_of_one_skeleton_is_told_what_it_misses_of_another(people: Path, tmp_path: Path) -> None:
    recipe = tiny(COCO, MPII, steps=2)
    only_mpii = replace(recipe, data=recipe.data[1:])
    run(only_mpii, tmp_path / "run", people)
    document = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert document["data"] == [{"name": "mpii", "skeleton": "mpii16"}] and document["teachers"] == []
    coco, mpii = (s["figures"] for s in document["sets"])
    assert coco["all"]["missing"] == ["nose", "left_eye", "right_eye", "left_ear", "right_ear"]
    assert coco["shared"]["missing"] == mpii["all"]["missing"] == []
    assert len(coco["shared"]["keypoints"]) == 12
    assert mpii["all"]["oks"] is None and coco["all"]["pckh@0.5"] is None


# Keeping the best.


class Scripted(Evaluator):
    """An evaluator of one set whose values are the next of `values`."""

    def __init__(self, *values: float) -> None:
        super().__init__(build_student(tiny(), 21, "r.toml"), (), tiny(), UNION21)
        self.values = list(values)

    def evaluate(self, weights: Any = None, *, progress: Any = None) -> tuple[EvaluatedSet, ...]:
        value = self.values.pop(0)
        figures = Figures((), (), 1, dict.fromkeys(OKS_FIGURES, value), dict.fromkeys(SHARES), "coco")
        return (EvaluatedSet("coco", "coco17", "a.json", "0" * 64, 1, "oks", value, figures, None),)


def validated(folder: Path, *values: float, begin: int = 0) -> Validation:
    """Validations after every second of six steps, from `begin` on, in the manner of a run; the weights of a step are
    its number."""
    validation = Validation(Scripted(*values), folder, recipe=tiny(validate_every=2), steps=6, console=QUIET)
    validation.start(begin)
    for step in range(begin + 1, 7):
        if validation.due(step):
            validation.run(step, {"w": torch.tensor(float(step))})
    return validation


def means(folder: Path) -> list[float]:
    return [line["mean"] for line in lines(folder)]


def test_the_best_weights_are_those_that_were_evaluated(tmp_path: Path) -> None:
    validation = validated(tmp_path, 0.1, 0.9, 0.5)
    assert validation.best_weights() == (4, {"w": torch.tensor(4.0)})
    assert [(line["step"], line["mean"]) for line in lines(tmp_path)] == [(2, 0.1), (4, 0.9), (6, 0.5)]


def test_a_student_is_evaluated_again_only_where_its_weights_are_of_an_earlier_step(tmp_path: Path) -> None:
    validation = validated(tmp_path, 0.9, 0.1, 0.5, 0.9)
    assert validation.evaluation(6, "0" * 64).sets[0].value == 0.5
    assert validation.evaluation(2, "0" * 64).sets[0].value == 0.9


def test_the_best_of_before_an_interruption_is_remembered(tmp_path: Path) -> None:
    validated(tmp_path, 0.9, 0.1, 0.5)
    best = validated(tmp_path, 0.5, begin=4).best_weights()
    assert best is not None and best[0] == 2 and means(tmp_path) == [0.9, 0.1, 0.5]


def test_a_best_of_steps_that_are_made_again_is_forgotten(tmp_path: Path) -> None:
    validated(tmp_path, 0.1, 0.2, 0.9)
    best = validated(tmp_path, 0.3, begin=4).best_weights()
    assert best is not None and best[1]["w"] == 6 and means(tmp_path) == [0.1, 0.2, 0.3]


def test_a_step_that_has_its_line_is_not_evaluated_again(tmp_path: Path) -> None:
    validation = validated(tmp_path, 0.1, 0.2, 0.3, 0.4)
    assert validation.run(6) is None and means(tmp_path) == [0.1, 0.2, 0.3]


@pytest.fixture(scope="module")
def spoilt(people: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path, Any]:
    """A run whose last weights are not its best: its learning rate is far too high."""
    recipe = tiny(replace(COCO, metric="oks"), ema=0.5, validate_every=2, keep="best", warmup=4)
    recipe = replace(recipe, optim=replace(recipe.optim, lr=1.0))
    folder = tmp_path_factory.mktemp("spoilt") / "run"
    return recipe, folder, run(recipe, folder, people)


@pytest.mark.slow
def test_the_best_weights_survive_and_are_exported(spoilt: tuple[Recipe, Path, Any]) -> None:
    _, folder, trained = spoilt
    best = max(lines(folder), key=lambda line: line["mean"])
    assert trained.exported == best["step"] != 6
    kept, exported = (torch.load(folder / name, weights_only=True) for name in ("checkpoints/best.pth", "student.pth"))
    assert all(torch.equal(value, exported["state_dict"][name]) for name, value in kept["state_dict"].items())
    document = json.loads((folder / "evaluation.json").read_text())
    assert document["step"] == best["step"] and document["sets"][0]["value"] == best["sets"]["coco"]["value"]
    assert sorted(p.name for p in (folder / "checkpoints").iterdir()) == [
        "best.pth",
        "step_00000004.pth",
        "step_00000006.pth",
    ]
    from annotext.training.run.checkpoints import load_checkpoint

    last = load_checkpoint(folder / "checkpoints" / "step_00000006.pth")["average"]
    assert not all(torch.equal(value, last[name]) for name, value in exported["state_dict"].items())


@pytest.mark.slow
def test_a_run_killed_between_checkpoint_and_validation_makes_up_for_it(
    spoilt: tuple[Recipe, Path, Any], people: Path, tmp_path: Path
) -> None:
    recipe, folder, trained = spoilt
    shutil.copytree(folder, tmp_path / "run")
    (tmp_path / "run/checkpoints/step_00000006.pth").unlink()
    kept = (folder / "validation.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "run/validation.jsonl").write_text(kept[0])
    assert run(recipe, tmp_path / "run", people, resume=True).exported == trained.exported
    assert "".join(kept) == (tmp_path / "run/validation.jsonl").read_text()


@pytest.mark.slow
def test_a_resumed_run_measures_and_keeps_what_an_unbroken_one_does(people: Path, tmp_path: Path) -> None:
    recipe = tiny(COCO, MPII, steps=8, validate_every=2)
    run(recipe, tmp_path / "whole", people)
    run(recipe, tmp_path / "broken", people)
    # As if it had been killed after the validation of step 8, before its checkpoint was complete.
    (tmp_path / "broken/checkpoints/step_00000008.pth").unlink()
    with (tmp_path / "broken/validation.jsonl").open("a") as file:
        file.write('{"step": 10, "se')
    run(recipe, tmp_path / "broken", people, resume=True)
    assert lines(tmp_path / "broken") == lines(tmp_path / "whole")
    broken, whole = (json.loads((tmp_path / name / "evaluation.json").read_text()) for name in ("broken", "whole"))
    assert broken["sets"] == whole["sets"]


@pytest.mark.slow
def test_a_run_does_not_go_on_with_other_people_to_validate_on(people: Path, tmp_path: Path) -> None:
    held = replace(COCO, name="held", root=str(tmp_path), images=str(people / "coco" / "images"))
    text = (people / "coco" / "annotations.json").read_text()
    (tmp_path / "annotations.json").write_text(text)
    run(tiny(held, steps=2), tmp_path / "run", people)
    (tmp_path / "annotations.json").write_text(text + "\n")
    with pytest.raises(InputError, match="the annotations of held are not those the run began with"):
        run(tiny(held, steps=2), tmp_path / "run", people, resume=True)


@pytest.mark.slow
def test_the_report_says_how_the_student_does(people: Path, tmp_path: Path) -> None:
    from annotext.cli.reports.training import train_text
    from annotext.formats.files.recipe import write_recipe
    from annotext.workflows.train import train_student

    recipe = tiny(COCO, MPII, steps=2)
    write_recipe(replace(recipe, data=recipe.data[1:]), tmp_path / "r.toml")
    report = train_student(str(tmp_path / "r.toml"), tmp_path / "run", roots=roots(people), device="cpu", console=QUIET)
    coco, mpii = report.to_dict()["validation"]
    assert coco["name"] == "coco" and coco["people"] > 0 and coco["missing"] and mpii["missing"] == []
    assert report.to_dict()["exported_step"] == 2
    summary = train_text(report)
    assert f"PCKh@0.5 {mpii['value']:.1f} on {mpii['people']} people of mpii" in summary
    assert f"(5 of 17 points missing; AP {coco['shared']:.3f} on the shared ones)" in summary


def test_the_card_the_student_predicts_by_is_that_of_its_export() -> None:
    from annotext.training.model.export import student_card
    from annotext.training.model.student_predictor import StudentPredictor

    recipe = tiny()
    card = StudentPredictor(build_student(recipe, 21, "r.toml"), recipe, UNION21).card
    exported = student_card(recipe, UNION21, "a" * 64, "student.onnx")
    assert replace(exported, sha256="0" * 64) == card
