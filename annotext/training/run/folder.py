"""The run directory: its files, how they are written (whole, or not at all, and one that cannot be written is one
message), and whether a run may begin or go on there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from annotext.core.errors import AnnotextError, InputError
from annotext.formats.files.recipe import Recipe, read_recipe, recipe_document

CHECKPOINTS = "checkpoints"
METRICS, VALIDATION = "metrics.jsonl", "validation.jsonl"

# Written before the first step. A dry run writes nothing else, and a folder with only these is free for a run.
PREFLIGHT_PICTURE, PREFLIGHT_REPORT = "preflight.png", "preflight.json"

# Everything a run writes; --force removes these and nothing else.
FILES = (
    "recipe.toml",
    "config.py",
    "data.json",
    METRICS,
    VALIDATION,
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


def check_same_data(folder: Path, description: Mapping[str, Any]) -> None:
    """A run goes on only with the annotations and the teachers it began with; description: the new data.json. Raises
    InputError."""
    path = folder / "data.json"
    before = json.loads(path.read_text()) if path.is_file() else {}
    for kind, what in (("data", "annotations"), ("validation", "annotations"), ("teachers", "weights")):
        hashes = {d["name"]: d["sha256"] for d in before.get(kind, ())}
        changed = [d["name"] for d in description.get(kind, ()) if hashes.get(d["name"]) != d["sha256"]]
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


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint in a folder of them, or None."""
    found = sorted(folder.glob("step_*.pth"))
    return found[-1] if found else None


def cannot_write(path: Path, error: BaseException) -> AnnotextError:
    """The message about a file that could not be written."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__context__
    why = (cause.strerror if isinstance(cause, OSError) else None) or str(cause or error).splitlines()[0]
    hint = "what was written before is whole; make room, then go on with --resume"
    return AnnotextError(f"{path}: cannot be written ({why})\n  hint: {hint}")


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Turns an OSError of the block, which writes `path` or adds to it, into an AnnotextError that names it."""
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` to write; afterwards it is `path`. Raises AnnotextError where it cannot be
    written; what was there before then stays."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with write_errors(path):
            yield temporary
            os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def write_document(path: Path, document: Any) -> None:
    """Write a JSON file of the run. Raises AnnotextError where it cannot be written."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(document, indent=1) + "\n")


class StepLines:
    """A .jsonl file with an object per line, each with its "step", in order."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[dict[str, Any]]:
        """All lines; what follows one that a killed run did not finish is left out."""
        lines = []
        for text in self.path.read_text().splitlines() if self.path.is_file() else []:
            try:
                lines.append(json.loads(text))
            except json.JSONDecodeError:
                break
        return lines

    def keep_until(self, step: int) -> list[dict[str, Any]]:
        """Drop what an interrupted run wrote after the step it goes on from, which comes again; returns the rest."""
        kept = [line for line in self.read() if line["step"] <= step] if step else []
        with replacing(self.path) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in kept))
        return kept

    def append(self, line: Mapping[str, Any]) -> None:
        with write_errors(self.path), self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
