"""The run directory: what may be written where, and whether a run can go on with what it finds there."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from annotext.core.errors import AnnotextError, InputError
from annotext.formats.files.recipe import Recipe, read_recipe, recipe_document
from annotext.training.data.sets import TrainingData
from annotext.training.run.checkpoints import last_checkpoint
from annotext.training.run.files import replacing

CHECKPOINTS = "checkpoints"

# Written before the first step. A dry run writes nothing else, and a folder with only these is free for a run.
PREFLIGHT_PICTURE, PREFLIGHT_REPORT = "preflight.png", "preflight.json"

# Everything a run writes; --force removes these and nothing else.
FILES = (
    "recipe.toml",
    "config.py",
    "data.json",
    "metrics.jsonl",
    "validation.jsonl",
    "curves.csv",
    "curves.png",
    "train.log",
    "student.pth",
    "student.onnx",
    "card.json",
    "evaluation.json",
    "calibration.json",
    PREFLIGHT_PICTURE,
    PREFLIGHT_REPORT,
)
FOLDERS = (CHECKPOINTS, "tensorboard")


def recipe_hash(recipe: Recipe) -> str:
    """sha256 of what a run's result depends on: all of the recipe but [runtime], [policy] and where files lie."""
    document = recipe_document(recipe)
    del document["runtime"], document["policy"]
    for data in document["data"]:
        del data["root"]
        if data["added"] == "none":  # as it was before there was anything else: an older run can go on
            del data["added"], data["min_score"]
    for validation in document["validation"]:
        del validation["root"]
    for teacher in document["teacher"]:
        del teacher["source"], teacher["checkpoint"]  # data.json holds the weights' hash
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def check_folder(folder: Path, recipe: Recipe, *, resume: bool, force: bool) -> None:
    """Whether a run of `recipe` may begin, or go on, in `folder`. Raises InputError or AnnotextError."""
    if resume and force:
        raise AnnotextError("--resume goes on with a run, --force replaces it: give one of them")
    if folder.exists() and not folder.is_dir():
        raise InputError.single(folder, "", "is a file, expected a folder for the run")
    kept = folder / "recipe.toml"
    resumable = last_checkpoint(folder / CHECKPOINTS) is not None
    if resume:
        if not kept.is_file() or not resumable:
            hint = "--force starts it anew" if kept.is_file() else "start it without --resume"
            raise InputError.single(folder, "", "has no checkpoint to resume from", hint)
        if recipe_hash(read_recipe(kept)) != recipe_hash(recipe):
            raise InputError.single(
                kept, "", "is another recipe than the one given", "a run resumes with the recipe it began with"
            )
        return
    if folder.is_dir() and any(f.name not in (PREFLIGHT_PICTURE, PREFLIGHT_REPORT) for f in folder.iterdir()):
        if not kept.is_file():
            raise InputError.single(folder, "", "is not empty and holds no run", "choose another folder")
        if not force:
            hint = "--resume goes on with it, --force replaces it" if resumable else "--force replaces it"
            raise InputError.single(folder, "", "holds a run", hint)


def check_same_data(folder: Path, data: TrainingData) -> None:
    """A run goes on only with the annotations and the teachers it began with. Raises InputError."""
    path = folder / "data.json"
    before = json.loads(path.read_text()) if path.is_file() else {}
    for kind, what in (("data", "annotations"), ("validation", "annotations"), ("teachers", "weights")):
        hashes = {d["name"]: d["sha256"] for d in before.get(kind, ())}
        changed = [d["name"] for d in data.description.get(kind, ()) if hashes.get(d["name"]) != d["sha256"]]
        if changed:
            problem = f"the {what} of {', '.join(changed)} are not those the run began with"
            raise InputError.single(path, "", problem, "start a new run")


def clear(folder: Path) -> None:
    """Remove what an earlier run wrote, and nothing else."""
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    for name in FOLDERS:
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)


def write_json(path: Path, document: Any) -> None:
    """Write whole or not at all. Raises AnnotextError where it cannot be."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(document, indent=1) + "\n")
