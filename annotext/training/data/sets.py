"""From a recipe's [[data]] to people under one skeleton, with every problem named by its recipe field. What holds for a
[[validation]] too (`validation_sets`) is here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from annotext.core.errors import InputError, Problem
from annotext.core.poses import Poses
from annotext.core.skeleton import Skeleton, union
from annotext.core.skeletons import UNION21
from annotext.formats.annotations.read import AnnotationFile, read_annotations
from annotext.formats.files.recipe import DataRecipe, Recipe, ValidationRecipe
from annotext.formats.files.skeletons import known_skeletons
from annotext.training.data.added_labels import Labels, Origin, is_calibrated, labels_of
from annotext.training.data.samples import TrainingSet, learnable


@dataclass(frozen=True)
class TrainingData:
    """All data sets of a recipe under their union, and what a run directory writes down about them."""

    skeleton: Skeleton
    sets: tuple[TrainingSet, ...]
    description: dict[str, Any]

    @property
    def people(self) -> int:
        """Trainable people of all sets."""
        return sum(len(s.poses) for s in self.sets)


def recipe_skeleton(recipe: Recipe, source: str) -> Skeleton:
    """The union of the recipe's skeletons (paper eq. 1). Raises InputError for an unknown name; source: the recipe."""
    known = known_skeletons()
    unknown = [
        Problem(
            source, f"data[{i}].skeleton", f"unknown skeleton {d.skeleton!r}", f"one of: {', '.join(sorted(known))}"
        )
        for i, d in enumerate(recipe.data)
        if d.skeleton not in known
    ]
    if unknown:
        raise InputError(unknown)
    distinct = list(dict.fromkeys(d.skeleton for d in recipe.data))
    merged = union(*(known[name] for name in distinct)) if len(distinct) > 1 else known[distinct[0]]
    return UNION21 if merged.keypoints == UNION21.keypoints else merged


def read_sets(recipe: Recipe, roots: Mapping[str, Path], source: str) -> TrainingData:
    """Read and check every data set.

    roots: data set name -> folder that replaces the recipe's root. source: the recipe, as problems name it. Raises
    InputError with the problems of all data sets: paths that are missing, another skeleton than the recipe says,
    nobody to train on, images that are not there.
    """
    names = list(dict.fromkeys(d.name for d in (*recipe.data, *recipe.validation)))
    strangers = [name for name in roots if name not in names]
    if strangers:
        raise InputError.single(
            source, "data", f"no data set is called {', '.join(strangers)}", f"the recipe has: {', '.join(names)}"
        )
    skeleton = recipe_skeleton(recipe, source)
    problems: list[Problem] = []
    sets: list[TrainingSet] = []
    described: list[dict[str, Any]] = []
    for i, data in enumerate(recipe.data):
        root = roots.get(data.name, Path(data.root))
        try:
            training_set, description = _read_set(data, root, skeleton, f"data[{i}]", source)
        except InputError as error:
            problems += error.problems
            continue
        sets.append(training_set)
        described.append(description)
    if problems:
        raise InputError(problems)
    document = {"skeleton": skeleton.name, "keypoints": list(skeleton.keypoints), "data": described}
    return TrainingData(skeleton, tuple(sets), document)


def _read_set(
    data: DataRecipe, root: Path, skeleton: Skeleton, pointer: str, source: str
) -> tuple[TrainingSet, dict[str, Any]]:
    annotations, images = root / data.annotations, root / data.images
    file, everyone = open_set(data, root, pointer, source)
    if data.added != "none":
        _check_added(data, file, skeleton, pointer, source)
    labels = everyone.to(skeleton)
    labels = labels.take(learnable(labels.poses, data.min_keypoints))
    poses = labels.poses
    if not len(poses):
        raise InputError.single(
            source, f"{pointer}.annotations", f"nobody in {annotations} has {data.min_keypoints} labelled keypoints"
        )
    image_files = check_images(poses, images, pointer, source)
    counts = (poses.labelled & data.labels).sum(axis=0)
    description = {
        "name": data.name,
        "skeleton": data.skeleton,
        "annotations": str(annotations),
        "sha256": file.sha256,
        "images": str(images),
        "image_files": image_files,
        "people": len(file.poses),
        "trained_on": len(poses),
        "labelled": {k: int(c) for k, c in zip(skeleton.keypoints, counts, strict=True)},
    }
    if data.added != "none":
        description["added"] = data.added
        description["origins"] = {o.value: labels.count(o) for o in Origin if o is not Origin.NONE}
        sums = np.where(labels.origin == Origin.SCORED, labels.weight, 0).sum(axis=0, dtype=np.float64)
        description["scored_weight"] = {k: round(float(n), 2) for k, n in zip(skeleton.keypoints, sums, strict=True)}
    share = data.share or float(len(poses))
    weight = labels.weight if data.added == "scored" else None
    return TrainingSet(data.name, poses, images, share, data.labels, weight), description


def open_set(
    entry: DataRecipe | ValidationRecipe, root: Path, pointer: str, source: str
) -> tuple[AnnotationFile, Labels]:
    """The annotation file of a recipe's entry, and its labels: of the keypoints of the skeleton the entry names (a
    known one), and of what annotext added as far as the entry wants it.

    A [[validation]] counts human labels, and by what a person placed or confirmed in review where its skeleton names
    keypoints that were added. pointer: the entry in the recipe `source`. Raises InputError for paths that are missing,
    another skeleton, and added keypoints that are taken for labels by name alone.
    """
    annotations, images = root / entry.annotations, root / entry.images
    hint = f"--data {entry.name}=FOLDER says where this data set is"
    missing = [
        Problem(source, f"{pointer}.{name}", f"{path} does not exist", hint)
        for name, path, there in (
            ("annotations", annotations, annotations.is_file()),
            ("images", images, images.is_dir()),
        )
        if not there
    ]
    if missing:
        raise InputError(missing)
    file = read_annotations(annotations)
    expected = known_skeletons()[entry.skeleton]
    held = file.extended_poses.skeleton
    lacking = expected.missing_from(held)
    if lacking:
        raise InputError.single(
            source,
            f"{pointer}.skeleton",
            f"{annotations} holds {held.name}, not {entry.skeleton}: {', '.join(lacking)} missing",
        )
    wanted = entry.added if isinstance(entry, DataRecipe) else "reviewed"
    added = () if file.additions is None else file.additions.keypoints
    named = [k for k in added if k in expected.index]
    if wanted == "none" and named:
        raise InputError.single(
            source,
            f"{pointer}.skeleton",
            f"{annotations} has no labels of {', '.join(named)}: annotext added them",
            'added = "reviewed" or "scored" says which of them are labels all the same',
        )
    labels = labels_of(file, wanted, entry.min_score if isinstance(entry, DataRecipe) else 0.0)
    if isinstance(entry, DataRecipe):
        return file, labels.only((*expected.keypoints, *added))
    return file, labels.to(expected)


def _check_added(data: DataRecipe, file: AnnotationFile, skeleton: Skeleton, pointer: str, source: str) -> None:
    """Raises InputError where `added` cannot mean anything for this file and a student of `skeleton`."""
    place = f"{pointer}.added"
    if file.additions is None:
        raise InputError.single(source, place, f"{file.path} is not an extended file: nothing was added to it")
    added = file.additions.keypoints
    if not any(k in skeleton.index for k in added):
        named = [s for s in known_skeletons().values() if set(added) <= set(s.keypoints)]
        hint = f"skeleton = {named[0].name!r} has them" if named else "name a skeleton that has them"
        problem = f"the student has none of the added {', '.join(added)}"
        raise InputError.single(source, place, problem, hint)
    if data.added == "scored" and not is_calibrated(file):
        raise InputError.single(
            source,
            place,
            f"the scores of {file.path} are uncalibrated: they are no weights",
            "annotext calibrate, then annotext decide with --calibration",
        )


def check_images(poses: Poses, images: Path, pointer: str, source: str) -> int:
    """How many images these people are in. Raises InputError for those that are not in the folder `images`."""
    used = sorted({poses.images[i].file_name for i in poses.image_index})
    absent = [name for name in used if not (images / name).is_file()]
    if absent:
        shown = ", ".join(absent[:3]) + (", ..." if len(absent) > 3 else "")
        raise InputError.single(
            source, f"{pointer}.images", f"{len(absent)} of {len(used)} images are not in {images}: {shown}"
        )
    return len(used)
