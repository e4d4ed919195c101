"""Before the first step: nothing is disturbed, nothing but two files is written, and what is wrong is reported."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import cv2  # noqa: E402
from rich.console import Console  # noqa: E402
from torch import Tensor  # noqa: E402

from annotext.cli.reports.training import preflight_text  # noqa: E402
from annotext.core import geometry  # noqa: E402
from annotext.core.errors import InputError  # noqa: E402
from annotext.core.skeletons import COCO17, UNION21  # noqa: E402
from annotext.formats.files.recipe import DistilRecipe, Recipe, TeacherRecipe, find_recipe, read_recipe, write_recipe  # noqa: E402
from annotext.training.data.augment import CropRule  # noqa: E402
from annotext.training.data.samples import MixedBatches, PersonCrops, collate  # noqa: E402
from annotext.training.data.sets import TrainingData, read_sets  # noqa: E402
from annotext.training.model.loss import ConditionalSimCCLoss  # noqa: E402
from annotext.training.preflight.preflight import preflight  # noqa: E402
from annotext.training.preflight.teachers import agreement, predict_teacher  # noqa: E402
from annotext.training.run.prepare import RunRequest, build_student  # noqa: E402
from annotext.training.run.step import Objective  # noqa: E402
from annotext.training.run.train import dry_run, train  # noqa: E402
from annotext.training.teachers.distil import Distillation  # noqa: E402
from annotext.training.teachers.teacher import Teacher  # noqa: E402

QUIET = Console(quiet=True)
BATCH = 16


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from annotext.workflows.synth import synthesise

    folder = tmp_path_factory.mktemp("preflight") / "all"
    synthesise(folder, 40, 5, sets=("coco", "mpii"), workers=1)
    return folder


def roots(people: Path) -> dict[str, Path]:
    return {"coco": people / "coco", "mpii": people / "mpii"}


def tiny(**changes: object) -> Recipe:
    demo = read_recipe(find_recipe("demo"))
    return replace(
        demo,
        student=replace(demo.student, channels=(8, 16, 24), blocks=(0, 1, 1)),
        schedule=replace(demo.schedule, batch=BATCH, samples=4 * BATCH, warmup=2),
        runtime=replace(demo.runtime, workers=0, amp="none", threads=1),
        **changes,
    )


def asked(people: Path, folder: Path, **options: Any) -> RunRequest:
    return RunRequest(tiny(), folder, "r.toml", roots(people), device="cpu", **options)


class KnowsTheTruth:
    """A teacher's network that knows `batches` and answers with their labels, moved by `shift` image pixels."""

    def __init__(self, rule: CropRule, keypoints: tuple[str, ...], view: int, shift: tuple[float, float]) -> None:
        self.rule, self.columns, self.view, self.shift = rule, UNION21.indices(keypoints), view, shift
        self.batches: list[dict[str, Tensor]] = []

    def __call__(self, image: Tensor) -> tuple[Tensor, ...]:
        suffix = f"_{self.view}" if self.view else ""
        batch = next(b for b in self.batches if torch.equal(b[f"image{suffix}"], image))
        own = batch[f"matrix{suffix}"].numpy()
        seen = geometry.crop_to_image(batch["points"].numpy(), batch["matrix"].numpy())
        at = geometry.image_to_crop(seen + np.array(self.shift), own)[:, self.columns]
        return tuple(
            torch.from_numpy(-0.5 * ((np.arange(side) - at[..., axis, None]) / 2.0) ** 2)
            for axis, side in enumerate(self.rule.input_wh)
        )


def teaching(
    recipe: Recipe, shift: tuple[float, float] = (0, 0), keypoints: tuple[str, ...] = COCO17.keypoints, **rule: object
) -> tuple[Distillation, KnowsTheTruth]:
    """One teacher that knows the truth, seen through its own crop rule if `rule` says one."""
    student = CropRule(recipe.student.input, recipe.student.expand)
    own = replace(student, **rule)
    network = KnowsTheTruth(own, keypoints, 1 if rule else 0, shift)
    teacher = Teacher("coco", keypoints, own, 1.0, 0.0, (2.0, 2.0), (0.0, 0.0), network, {"source": "fake"})
    criterion = ConditionalSimCCLoss(form="kl", beta=1.0, sigma=recipe.loss.sigma, split_ratio=recipe.split_ratio)
    entry = (TeacherRecipe(name="coco", source="fake"),)
    return (
        Distillation([teacher], entry, DistilRecipe(), criterion=criterion, skeleton=UNION21, student=student),
        network,
    )


def samples(recipe: Recipe, data: TrainingData, distillation: Distillation | None) -> tuple[PersonCrops, MixedBatches]:
    crops = PersonCrops(
        data.sets,
        recipe.student.input,
        expand=recipe.student.expand,
        augment=recipe.augment,
        seed=recipe.seed,
        others=distillation.rules if distillation else (),
    )
    return crops, MixedBatches([len(s.poses) for s in data.sets], (BATCH // 2, BATCH // 2), 4, recipe.seed)


def first_two(crops: PersonCrops, batches: MixedBatches) -> list[dict[str, Tensor]]:
    return [collate([crops[d] for d in batches.batch(i)]) for i in (0, 1)]


def looked_at(people: Path, recipe: Recipe, distillation: Distillation | None = None, data: TrainingData | None = None):
    """A preflight, and the student it was made with."""
    data = data or read_sets(recipe, roots(people), "r.toml")
    crops, batches = samples(recipe, data, distillation)
    student = build_student(recipe, len(data.skeleton), "r.toml")
    result = preflight(
        recipe,
        Path("run"),
        data=data,
        checked={},
        objective=Objective(student, distillation),
        crops=crops,
        batches=batches,
        device=torch.device("cpu"),
        thorough=False,
    )
    return result, student


def codes(result) -> list[str]:
    return [f.code for f in result.report.findings]


def test_weights_and_chance_are_as_if_no_preflight_had_been(people: Path) -> None:
    recipe = tiny()
    torch.manual_seed(0)
    untouched = build_student(recipe, 21, "r.toml")
    expected = torch.rand(3)
    _, student = looked_at(people, recipe)
    # build_student seeds, so the next draws are known.
    assert torch.equal(torch.rand(3), expected)
    for name, value in untouched.state_dict().items():
        assert torch.equal(student.state_dict()[name], value), name


@pytest.mark.slow
def test_a_run_after_a_thorough_dry_run_has_the_same_losses(people: Path, tmp_path: Path) -> None:
    dry_run(asked(people, tmp_path / "a"), console=QUIET)
    train(asked(people, tmp_path / "a"), console=QUIET)
    train(asked(people, tmp_path / "b", check_images="none"), console=QUIET)
    assert (tmp_path / "a/metrics.jsonl").read_bytes() == (tmp_path / "b/metrics.jsonl").read_bytes()


def test_a_dry_run_writes_two_files_and_leaves_the_folder_free(people: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    report = dry_run(asked(people, run), console=QUIET)
    assert {p.name for p in run.iterdir()} == {"preflight.png", "preflight.json"}
    assert json.loads((run / "preflight.json").read_text()) == report.to_dict()
    assert cv2.imread(str(run / "preflight.png")) is not None
    dry_run(asked(people, run), console=QUIET)


def test_a_dry_run_into_a_finished_run_is_refused_as_the_run_itself_would_be(people: Path, tmp_path: Path) -> None:
    from annotext.formats.files.recipe import write_recipe

    write_recipe(tiny(), tmp_path / "recipe.toml")
    with pytest.raises(InputError, match="holds a run"):
        dry_run(asked(people, tmp_path), console=QUIET)
    dry_run(asked(people, tmp_path, force=True), console=QUIET)
    assert (tmp_path / "recipe.toml").is_file()


def test_a_run_is_not_replaced_by_one_with_a_bad_picture(people: Path, tmp_path: Path) -> None:
    from annotext.formats.files.recipe import write_recipe

    (tmp_path / "run").mkdir()
    write_recipe(tiny(), tmp_path / "run" / "recipe.toml")
    (tmp_path / "run" / "student.onnx").write_bytes(b"hours of work")
    data = read_sets(tiny(), roots(people), "r.toml").sets[0]
    copied = tmp_path / "images"
    copied.mkdir()
    for path in data.images.iterdir():
        (copied / path.name).write_bytes(path.read_bytes())
    broken = copied / data.poses.images[data.poses.image_index[0]].file_name
    broken.write_bytes(broken.read_bytes()[:100])
    recipe = tiny()
    recipe = replace(recipe, data=(replace(recipe.data[0], images=str(copied)), recipe.data[1]))
    with pytest.raises(InputError) as caught:
        train(replace(asked(people, tmp_path / "run", force=True), recipe=recipe), console=QUIET)
    assert [p.path for p in caught.value.problems] == ["r.toml", str(broken)]
    assert (tmp_path / "run" / "student.onnx").read_bytes() == b"hours of work"


@pytest.mark.parametrize("rule", [{}, {"input_wh": (128, 128), "expand": 1.4, "fit": "letterbox"}], ids=["same", "own"])
def test_a_teacher_that_knows_the_truth_is_where_the_labels_are_whatever_its_crop(people: Path, rule: dict) -> None:
    recipe = tiny()
    distillation, network = teaching(recipe, **rule)
    data = read_sets(recipe, roots(people), "r.toml")
    crops, batches = samples(recipe, data, distillation)
    network.batches = first_two(crops, batches)
    found = predict_teacher(distillation, 0, network.batches[0])
    away = found.away[np.isfinite(found.away).all(axis=-1)]
    assert len(away) > 100
    # A parabola through three bins of a Gaussian is exact up to float32.
    assert np.quantile(np.abs(away), 0.95) < 0.05
    whole = agreement(found.away, "all", recipe.loss.sigma)
    assert whole is not None and whole.within > 0.95


def test_a_teacher_that_counts_pixels_from_one_is_found_out_and_the_correction_named(people: Path) -> None:
    recipe = tiny()
    distillation, network = teaching(recipe, shift=(1.0, 1.0))
    data = read_sets(recipe, roots(people), "r.toml")
    crops, batches = samples(recipe, data, distillation)
    network.batches = first_two(crops, batches)
    result, _ = looked_at(people, recipe, distillation, data)
    teacher = result.report.teachers[0]
    assert teacher.offset is not None
    assert np.allclose(teacher.offset.xy, 1.0, atol=0.1)
    finding = next(f for f in result.report.findings if f.code == "teacher-shifted")
    assert "first pixel is 1" in finding.message and "pixel_offset = [-1.0, -1.0]" in finding.suggestion


def test_keypoints_nobody_labels_or_teaches_and_lopsided_labels_are_findings(people: Path) -> None:
    recipe = tiny()
    data = read_sets(recipe, roots(people), "r.toml")
    for described in data.description["data"]:
        described["labelled"].update(dict.fromkeys(UNION21.keypoints, 500))
        described["labelled"].update(pelvis=0, nose=20)
    data.description["data"][1]["labelled"].update(left_knee=100)
    result, _ = looked_at(people, recipe, data=data)
    found = {f.code: f for f in result.report.findings}
    assert found["keypoint-unlabelled"].numbers == {"keypoints": ["pelvis"]}
    assert found["few-labels"].numbers["labels"] == {"nose": 40}
    assert found["lopsided-labels"].numbers == {"data": "mpii", "labels": {"left_knee": 100, "right_knee": 500}}


def test_a_keypoint_a_teacher_teaches_needs_no_labels(people: Path) -> None:
    recipe = tiny()
    data = read_sets(recipe, roots(people), "r.toml")
    for described in data.description["data"]:
        described["labelled"].update(dict.fromkeys(UNION21.keypoints, 500))
        described["labelled"].update(nose=0)
    assert codes(looked_at(people, recipe, data=data)[0]) == ["keypoint-unlabelled"]
    distillation, network = teaching(recipe)
    crops, batches = samples(recipe, data, distillation)
    network.batches = first_two(crops, batches)
    result, _ = looked_at(people, recipe, distillation, data)
    assert "keypoint-unlabelled" not in codes(result)
    assert "nose               0     0  coco" in preflight_text(result.report)


def test_a_teacher_with_left_and_right_exchanged_is_found_out(people: Path) -> None:
    recipe = tiny()
    crossed = tuple(COCO17.keypoints[i] for i in COCO17.flip_index)
    distillation, network = teaching(recipe)
    network.columns = UNION21.indices(crossed)
    data = read_sets(recipe, roots(people), "r.toml")
    crops, batches = samples(recipe, data, distillation)
    network.batches = first_two(crops, batches)
    result, _ = looked_at(people, recipe, distillation, data)
    assert "teacher-mirrored" in codes(result)


Cli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.slow
def test_the_commands_dry_run_prints_a_report_and_json(people: Path, run_cli: Cli, tmp_path: Path) -> None:
    write_recipe(tiny(), tmp_path / "tiny.toml")
    given = ("train", "tiny.toml", "--out", "run", "--dry-run", *(f"--data={n}={r}" for n, r in roots(people).items()))
    done = run_cli(*given, cwd=tmp_path)
    assert done.returncode == 0 and "mmengine" not in done.stderr
    for part in ("labelled", "head_top", "steps of about", "preflight.png", "few"):
        assert part in done.stdout
    printed = run_cli(*given, "--json", "--check-images", "none", cwd=tmp_path)
    assert json.loads(printed.stdout)["data"][0]["checked"] == 0
    assert {p.name for p in (tmp_path / "run").iterdir()} == {"preflight.png", "preflight.json"}
