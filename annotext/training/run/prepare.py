"""Everything a run needs before its first step, read and checked; nothing is written yet."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console

from annotext.core.errors import AnnotextError, InputError
from annotext.evaluation.validation import ValidationSet
from annotext.formats.files.recipe import Recipe
from annotext.training.data.augment import CropRule
from annotext.training.data.kept_images import KEPT_BYTES
from annotext.training.data.samples import MixedBatches, PersonCrops, batch_counts
from annotext.training.data.sets import TrainingData
from annotext.training.data.validation_sets import read_people, trained_on
from annotext.training.data.whole_images import Pictures, Thoroughness, check_whole
from annotext.training.model import bridge
from annotext.training.model.config import model_config
from annotext.training.model.student import Student
from annotext.training.preflight.preflight import Preflight, preflight
from annotext.training.run.checkpoints import initialise
from annotext.training.run.distributed import join, world
from annotext.training.run.folder import check_folder, check_same_data
from annotext.training.run.process import keep_freed_memory, set_seed
from annotext.training.run.step import Objective
from annotext.training.teachers.distil import Distillation
from annotext.training.teachers.teacher import load_teachers

bridge.install()

from mmengine.registry import init_default_scope  # noqa: E402

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class RunRequest:
    """A run as it is asked for.

    folder: the run directory. source: the recipe's file, as problems name it. roots: data or validation set name ->
    folder. teachers: teacher name -> its file or folder, in place of the recipe's. unpickle: checkpoints of others that
    may run code while they are read. check_images: which images are read beforehand. resume: go on from the last
    checkpoint of `folder`. force: replace an earlier run there.
    """

    recipe: Recipe
    folder: Path
    source: str
    roots: Mapping[str, Path] = field(default_factory=dict)
    teachers: Mapping[str, Path] = field(default_factory=dict)
    unpickle: Collection[Path] = ()
    check_images: Thoroughness = "sample"
    device: Device = "auto"
    resume: bool = False
    force: bool = False


def choose_device(device: Device) -> torch.device:
    """`auto` is the GPU where there is one. Raises AnnotextError for a GPU that is not there."""
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise AnnotextError("--device cuda: torch finds no GPU on this machine")
    return torch.device("cuda" if device != "cpu" and available else "cpu")


@dataclass(frozen=True)
class Ready:
    """What `prepare` read and built. steps: of the whole run."""

    device: torch.device
    data: TrainingData
    validation: list[ValidationSet]
    steps: int
    objective: Objective
    crops: PersonCrops
    batches: MixedBatches
    preflight: Preflight


def prepare(asked: RunRequest, *, thorough: bool, console: Console) -> Ready:
    """Read and check all of it. thorough: take the time a dry run has. Raises InputError or AnnotextError for
    everything that can be known."""
    recipe, folder, source = asked.recipe, asked.folder, asked.source
    device = join(choose_device(asked.device))
    if recipe.schedule.batch % world():
        problem = f"a batch of {recipe.schedule.batch} cannot be shared by {world()} processes"
        raise InputError.single(source, "schedule.batch", problem, f"take a multiple of {world()}")
    check_folder(folder, recipe, resume=asked.resume, force=asked.force)
    data, validation = read_people(recipe, asked.roots, source)
    for warning in trained_on(data, validation):
        console.print(warning, markup=False)
    pictures = [
        *(Pictures(f"data set {s.name}", f"data[{i}].images", s.poses, s.images) for i, s in enumerate(data.sets)),
        *(
            Pictures(f"validation set {v.name}", f"validation[{i}].images", v.asked, v.images)
            for i, v in enumerate(validation)
        ),
    ]
    read = check_whole(pictures, asked.check_images, source=source, seed=recipe.seed, console=console)
    teachers = load_teachers(
        recipe, source, skeleton=data.skeleton, given=asked.teachers, device=device, unpickle=asked.unpickle
    )
    data.description["teachers"] = [{"name": t.name, **t.identity} for t in teachers]
    if asked.resume:
        check_same_data(folder, data.description)
    if device.type == "cpu":
        keep_freed_memory()
        if recipe.runtime.threads:
            torch.set_num_threads(recipe.runtime.threads)
    # A resumed run has its weights; the file it once began with may be gone.
    begun = recipe if not asked.resume else replace(recipe, student=replace(recipe.student, init=""))
    student = build_student(begun, len(data.skeleton), source, asked.unpickle)
    distillation = None
    if recipe.distil is not None:
        distillation = Distillation(
            teachers,
            recipe.teacher,
            recipe.distil,
            criterion=student.criterion,
            skeleton=data.skeleton,
            student=CropRule(recipe.student.input, recipe.student.expand),
            device=device,
        )
    objective = Objective(student, distillation)
    steps = recipe.schedule.steps(data.people)
    crops, batches = _samples(recipe, data, steps, distillation.rules if distillation else ())
    found = preflight(
        recipe,
        folder,
        data=data,
        checked=dict(zip((s.name for s in data.sets), read[: len(data.sets)], strict=True)),
        objective=objective,
        crops=crops,
        batches=batches,
        device=device,
        thorough=thorough,
    )
    return Ready(device, data, validation, steps, objective, crops, batches, found)


def build_student(recipe: Recipe, keypoints: int, source: str, unpickle: Collection[Path] = ()) -> Student:
    """The student with its starting weights: random by the recipe's seed, then those of student.init."""
    init_default_scope("mmpose")
    set_seed(recipe.seed)
    student = Student(**model_config(recipe, keypoints))
    student.init_weights()
    if recipe.student.init:
        initialise(student, Path(source).parent / recipe.student.init, unpickle=unpickle)
    return student


def _samples(
    recipe: Recipe, data: TrainingData, steps: int, others: Sequence[CropRule] = ()
) -> tuple[PersonCrops, MixedBatches]:
    batch = recipe.schedule.batch
    crops = PersonCrops(
        data.sets,
        recipe.student.input,
        expand=recipe.student.expand,
        augment=recipe.augment,
        final=recipe.final,
        final_from=round((1 - recipe.schedule.final_phase) * steps) * batch,
        seed=recipe.seed,
        others=others,
        keep_bytes=KEPT_BYTES if recipe.schedule.near else 0,
    )
    counts = batch_counts([s.share for s in data.sets], batch)
    image_of = [s.poses.image_index for s in data.sets]
    sizes = [len(images) for images in image_of]
    return crops, MixedBatches(sizes, counts, steps, recipe.seed, near=recipe.schedule.near, image_of=image_of)
