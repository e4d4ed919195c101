"""From a recipe's [[validation]] to the people a student is evaluated on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from annotext.core.errors import InputError, Problem
from annotext.core.poses import Poses
from annotext.core.skeleton import Skeleton
from annotext.evaluation.pck import torso_size
from annotext.evaluation.validation import ValidationSet
from annotext.formats.annotations.head_sizes import with_head_sizes
from annotext.formats.files.recipe import Recipe, ValidationRecipe
from annotext.formats.files.skeletons import known_skeletons
from annotext.training.data.sets import TrainingData, check_images, open_set, read_sets, recipe_skeleton


def read_people(recipe: Recipe, roots: Mapping[str, Path], source: str) -> tuple[TrainingData, list[ValidationSet]]:
    """Everybody to train on and to validate on; `read_sets` and `read_validation` with the problems of both at once."""
    problems: list[Problem] = []
    data: TrainingData | None = None
    validation: list[ValidationSet] = []
    try:
        data = read_sets(recipe, roots, source)
    except InputError as error:
        problems += error.problems
    try:
        validation = read_validation(recipe, roots, source)
    except InputError as error:
        problems += [p for p in error.problems if p not in problems]
    if data is None or problems:
        raise InputError(problems)
    if validation:
        data.description["validation"] = [v.describe() for v in validation]
    return data, validation


def trained_on(data: TrainingData, validation: Sequence[ValidationSet]) -> list[str]:
    """A warning for every set whose file is also trained on."""
    names = {d["sha256"]: d["name"] for d in data.description["data"]}
    return [
        f"validation set {v.name} is the file of data set {names[v.sha256]}: its figures say what was remembered"
        for v in validation
        if v.sha256 in names
    ]


def read_validation(recipe: Recipe, roots: Mapping[str, Path], source: str) -> list[ValidationSet]:
    """Read and check every [[validation]]; arguments and errors are those of `read_sets`."""
    student = recipe_skeleton(recipe, source)
    shared = shared_keypoints(recipe, source)
    problems: list[Problem] = []
    sets: list[ValidationSet] = []
    for i, entry in enumerate(recipe.validation):
        root = roots.get(entry.name, Path(entry.root))
        try:
            rng = np.random.default_rng(i)
            sets.append(_read(entry, root, student, shared, rng, f"validation[{i}]", source))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return sets


def shared_keypoints(recipe: Recipe, source: str) -> tuple[str, ...] | None:
    """What all skeletons of [[data]] and [[validation]] have in common (COCO and MPII: 12); None where there is one
    skeleton only, or nothing in common. Raises InputError for a skeleton nobody knows."""
    known = known_skeletons()
    problems = [
        Problem(
            source,
            f"validation[{i}].skeleton",
            f"unknown skeleton {v.skeleton!r}",
            f"one of: {', '.join(sorted(known))}",
        )
        for i, v in enumerate(recipe.validation)
        if v.skeleton not in known
    ]
    if problems:
        raise InputError(problems)
    first, *others = dict.fromkeys(d.skeleton for d in (*recipe.data, *recipe.validation))
    shared = tuple(k for k in known[first].keypoints if all(k in known[o].index for o in others))
    return shared if others and shared else None


def _read(
    entry: ValidationRecipe,
    root: Path,
    student: Skeleton,
    shared: tuple[str, ...] | None,
    rng: np.random.Generator,
    pointer: str,
    source: str,
) -> ValidationSet:
    file, labels = open_set(entry, root, pointer, source)
    everyone = labels.poses
    if not everyone.skeleton.shared_with(student):
        raise InputError.single(
            source, f"{pointer}.skeleton", f"{entry.skeleton} and the student have no keypoint in common"
        )
    if entry.head_sizes:
        head_sizes = root / entry.head_sizes
        if not head_sizes.is_file():
            hint = f"--data {entry.name}=FOLDER says where this data set is"
            raise InputError.single(source, f"{pointer}.head_sizes", f"{head_sizes} does not exist", hint)
        everyone = with_head_sizes(everyone, head_sizes)
    usable = everyone.has_keypoints & ~everyone.crowd & (everyone.bbox_xywh[:, 2:] > 1).all(axis=1)
    candidates = np.flatnonzero(usable)
    if not len(candidates):
        raise InputError.single(
            source, f"{pointer}.annotations", f"nobody in {root / entry.annotations} has a labelled keypoint and a box"
        )
    drawn = usable
    if 0 < entry.people < len(candidates):
        drawn = np.zeros_like(usable)
        drawn[rng.choice(candidates, entry.people, replace=False)] = True
    asked = everyone.take(drawn)
    why = _cannot_measure(entry.metric, asked)
    if why:
        raise InputError.single(source, f"{pointer}.metric", f"{entry.metric} needs {why[0]}", why[1])
    check_images(asked, root / entry.images, pointer, source)
    return ValidationSet(
        name=entry.name,
        skeleton=entry.skeleton,
        metric=entry.metric,
        truth=everyone.take(drawn | ~usable),
        asked=asked,
        images=root / entry.images,
        shared=shared,
        annotations=str(root / entry.annotations),
        sha256=file.sha256,
    )


def _cannot_measure(metric: str, people: Poses) -> tuple[str, str] | None:
    """What these people lack for the metric, and what to do; None where it can be measured."""
    if metric in ("ap", "oks") and not np.isfinite(people.area).any():
        return "areas, and nobody has one", "MPII files have none: take pckh or pck"
    if metric == "pckh" and not (people.head_size > 0).any():
        return "head boxes, and nobody has one", "head_sizes = FILE names MPII's .mat; or take pck"
    if metric == "pck" and not np.isfinite(torso_size(people)).any():
        return "people whose shoulders and hips are all labelled", "there is nobody: take ap, oks or pckh"
    return None
