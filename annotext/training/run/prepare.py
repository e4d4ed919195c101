"""Everything a run needs before its first step, read and checked; nothing is written yet."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console

from annotext.core.errors import AnnotextError, InputError
from annotext.formats.files.recipe import Recipe
from annotext.training.data.augment import CropRule
from annotext.training.data.kept_images import KEPT_BYTES
from annotext.training.data.samples import MixedBatches, PersonCrops, batch_counts
from annotext.training.data.sets import TrainingData
from annotext.training.data.whole_images import Pictures, Thoroughness, check_whole
from annotext.training.model import bridge
from annotext.training.model.config import runner_config
from annotext.training.model.student import Student
from annotext.training.preflight.preflight import Preflight, preflight
from annotext.training.run.checkpoints import initialise
from annotext.training.run.cpu import keep_freed_memory
from annotext.training.run.distributed import join, world
from annotext.training.run.folder import check_folder, check_same_data
from annotext.training.run.log import mmengine_silent
from annotext.training.run.validation import ValidationSet, read_people, trained_on
from annotext.training.teachers.distil import Distillation
from annotext.training.teachers.teacher import load_teachers

bridge.install()

from mmengine.config import Config  # noqa: E402
from mmengine.registry import MODELS, init_default_scope  # noqa: E402
from mmengine.runner import set_random_seed  # noqa: E402

Device = Literal["auto", "cpu", "cuda"]


def choose_device(device: Device) -> torch.device:
    """`auto` is the GPU where there is one. Raises AnnotextError for a GPU that is not there."""
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise AnnotextError("--device cuda: torch finds no GPU on this machine")
    return torch.device("cuda" if device != "cpu" and available else "cpu")


@dataclass(frozen=True)
class Ready:
    """What `prepare` found."""

    device: torch.device
    data: TrainingData
    validation: list[ValidationSet]
    config: Config
    student: Student
    crops: PersonCrops
    batches: MixedBatches
    looked: Preflight


def prepare(
    recipe: Recipe,
    folder: Path,
    *,
    source: str,
    roots: Mapping[str, Path],
    teachers: Mapping[str, Path],
    unpickle: Collection[Path],
    check_images: Thoroughness,
    device: Device,
    resume: bool,
    force: bool,
    thorough: bool,
    console: Console,
) -> Ready:
    """Read and check all of it; arguments as `run.train` has them. thorough: take the time a dry run has. Raises
    InputError or AnnotextError for everything that can be known."""
    where = join(choose_device(device))
    if recipe.schedule.batch % world():
        problem = f"a batch of {recipe.schedule.batch} cannot be shared by {world()} processes"
        raise InputError.single(source, "schedule.batch", problem, f"take a multiple of {world()}")
    check_folder(folder, recipe, resume=resume, force=force)
    data, validation = read_people(recipe, roots, source)
    for warning in trained_on(data, validation):
        console.print(warning, markup=False)
    pictures = [
        *(Pictures(f"data set {s.name}", f"data[{i}].images", s.poses, s.images) for i, s in enumerate(data.sets)),
        *(
            Pictures(f"validation set {v.name}", f"validation[{i}].images", v.asked, v.images)
            for i, v in enumerate(validation)
        ),
    ]
    read = check_whole(pictures, check_images, source=source, seed=recipe.seed, console=console)
    taught_by = load_teachers(recipe, source, skeleton=data.skeleton, given=teachers, device=where, unpickle=unpickle)
    data.description["teachers"] = [{"name": t.name, **t.identity} for t in taught_by]
    if resume:
        check_same_data(folder, data)
    if where.type == "cpu":
        keep_freed_memory()
        if recipe.runtime.threads:
            torch.set_num_threads(recipe.runtime.threads)
    config = runner_config(recipe, keypoints=len(data.skeleton), people=data.people)
    with mmengine_silent():
        # A resumed run has its weights; the file it once began with may be gone.
        student = build_student(config, recipe if not resume else _uninitialised(recipe), source, unpickle)
    if recipe.distil is not None:
        student.distillation = Distillation(
            taught_by,
            recipe.teacher,
            recipe.distil,
            criterion=student.criterion,
            skeleton=data.skeleton,
            student=CropRule(recipe.student.input, recipe.student.expand),
            device=where,
        )
    others = student.distillation.rules if student.distillation else ()
    crops, batches = _samples(recipe, data, config.train_cfg["max_iters"], others)
    with mmengine_silent():
        looked = preflight(
            recipe,
            folder,
            data=data,
            checked=dict(zip((s.name for s in data.sets), read[: len(data.sets)], strict=True)),
            student=student,
            config=config,
            crops=crops,
            batches=batches,
            device=where,
            thorough=thorough,
        )
    return Ready(where, data, validation, config, student, crops, batches, looked)


def build_student(config: Config, recipe: Recipe, source: str, unpickle: Collection[Path] = ()) -> Student:
    """The student with its starting weights: random by the recipe's seed, then those of student.init."""
    init_default_scope(config.default_scope)
    set_random_seed(recipe.seed)
    student = MODELS.build(config.model)
    student.init_weights()
    if recipe.student.init:
        initialise(student, _starting_weights(recipe, source), unpickle=unpickle)
    return student


def _uninitialised(recipe: Recipe) -> Recipe:
    return replace(recipe, student=replace(recipe.student, init=""))


def _starting_weights(recipe: Recipe, source: str) -> Path:
    return Path(source).parent / recipe.student.init


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
