"""Build the FiftyOne dataset of an extended file, for review."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from annotext.core.additions import Additions, Decision
from annotext.core.errors import InputError, Problem
from annotext.core.poses import Poses
from annotext.core.predictions import Predictions
from annotext.formats.annotations.read import AnnotationFile, read_annotations
from annotext.formats.files.jsonio import no_collecting
from annotext.formats.files.predictions import read_predictions, read_predictions_header
from annotext.predictors.images import find_missing, image_path, pointer_to, used_images
from annotext.review.decisions.doubt import add_limits, disagreement, open_points, predicted
from annotext.review.decisions.journal import journal_folder
from annotext.review.decisions.plausibility import codes, find_issues
from annotext.review.decisions.queue_file import QueuedPerson, read_queue
from annotext.review.fiftyone.build import build_dataset, check_name
from annotext.review.fiftyone.database import connect
from annotext.review.fiftyone.documents import DatasetContent
from annotext.review.fiftyone.store import refresh

# Points of the random audit unless asked otherwise: 100 tell an error rate of 5 % to within 1.6 and 11.3 % (95 %,
# Wilson) and are judged in a quarter of an hour.
AUDIT = 100
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ReviewBuildReport:
    """A dataset that was built.

    points: keypoint -> added, asked, withheld, below its limit, to review. views: the saved views in order, and how
    many images each shows. findings: how many of each kind. notes: what a person should know.
    """

    dataset: str
    extended: str
    images: int
    people: int
    to_review: int
    points: Mapping[str, Mapping[str, int]]
    findings: Mapping[str, int]
    views: Mapping[str, int]
    audit: int
    seed: int
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "dataset": self.dataset,
            "extended": self.extended,
            "images": self.images,
            "people": self.people,
            "to_review": self.to_review,
            "points": {k: dict(v) for k, v in self.points.items()},
            "findings": dict(self.findings),
            "views": dict(self.views),
            "audit": {"points": self.audit, "seed": self.seed},
            "notes": list(self.notes),
        }


@no_collecting()
def build_review(
    extended: Path,
    images: Path,
    *,
    name: str | None = None,
    overwrite: bool = False,
    predictions: Sequence[Path] = (),
    queue: Path | None = None,
    audit: int = AUDIT,
    seed: int = 0,
    progress: Callable[[str], AbstractContextManager[Progress]] | None = None,
) -> ReviewBuildReport:
    """Build the dataset of an extended file: one sample per image that people stand in.

    images: folder that the file's image names are relative to. name: of the dataset; the file's stem where it is left
    out. overwrite: replace a dataset of that name; decisions do not live in it and are shown again. predictions: of the
    file, by any predictors, for disagreement. queue: a queue file of it (docs/queue.md), whose people get a view
    of their own. audit: how many predicted, written points the random audit has, drawn by `seed` without replacement.

    Raises InputError or AnnotextError, before a database is touched: a file that is not extended, images that are not
    there, cannot be read or have another size than the file says, predictions or a queue of another file; then: no
    database, a name that is taken. A dataset is there whole or not at all.
    """
    file = read_annotations(extended)
    if file.additions is None or file.header is None:
        raise InputError.single(extended, "", "is not an extended file", "annotext extend makes one")
    paths, sizes, notes = _images(file, images)
    found = _predictions(file, predictions)
    queued = None if queue is None else _queued(file, queue)
    additions = file.additions
    poses = _with_pseudo_labels(file)
    limits = add_limits(additions.keypoints, file.header)
    drawn = _draw(additions, audit, seed)
    content = DatasetContent(
        poses=poses,
        additions=additions,
        limits=limits,
        disagreement=disagreement(poses, additions, found),
        issues=find_issues(poses, additions),
        audit=_in_skeleton(poses, additions, drawn),
        images=paths,
        sizes=sizes,
        own=None if file.pseudo is None else file.pseudo.own,
        queue=queued,
    )
    name = extended.stem if name is None else name
    info = _info(file, additions.keypoints, images, content, seed)

    fo = connect()
    check_name(name, overwrite=overwrite, fo=fo)
    with progress("building") if progress is not None else nullcontext() as counted:
        dataset, views = build_dataset(
            name, content, info, overwrite=overwrite, audit_seed=seed, fo=fo, progress=counted
        )
    refresh(dataset)
    return ReviewBuildReport(
        dataset=name,
        extended=str(extended),
        images=len(dataset),
        people=len(poses),
        to_review=int(dataset.sum("to_review")),
        points=_points(additions, limits),
        findings=codes(content.issues),
        views={view: len(dataset.load_saved_view(view)) for view in views},
        audit=int(drawn.sum()),
        seed=seed,
        notes=notes,
    )


def _images(
    file: AnnotationFile, folder: Path
) -> tuple[list[Path | None], list[tuple[int, int] | None], tuple[str, ...]]:
    """Path and (width, height) of each image that people stand in, None elsewhere. Raises InputError with all."""
    poses = file.poses
    missing = find_missing(folder, poses)
    paths: list[Path | None] = [None] * len(poses.images)
    sizes: list[tuple[int, int] | None] = [None] * len(poses.images)
    problems, turned = list(missing.values()), 0
    folder = folder.resolve()
    for index in used_images(poses):
        if index in missing:
            continue
        image = poses.images[index]
        path = image_path(folder, image.file_name)
        try:
            with PillowImage.open(path) as header:  # reads no pixels
                width, height = header.size
                turned += header.getexif().get(_ORIENTATION, 1) != 1
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
            problems.append(Problem(str(path), pointer_to(poses, index), "is not an image that can be read"))
            continue
        if (image.width or width, image.height or height) != (width, height):
            wrong = f"is {width} x {height} pixels, the annotation file says {image.width} x {image.height}"
            problems.append(Problem(str(path), pointer_to(poses, index), wrong))
            continue
        paths[index], sizes[index] = path, (width, height)
    if problems:
        raise InputError(problems)
    if not turned:
        return paths, sizes, ()
    note = f"{turned} images ask to be shown turned (EXIF); FiftyOne turns them, and their points will not fit"
    return paths, sizes, (note,)


# EXIF's tag for how a picture is to be turned.
_ORIENTATION = 0x0112


def _predictions(file: AnnotationFile, paths: Sequence[Path]) -> list[Predictions]:
    """What all predictors predicted. Raises InputError for a file of predictions about another annotation file."""
    assert file.header is not None
    problems, found = [], []
    for path in paths:
        if read_predictions_header(path).input_sha256 != file.header.get("input_sha256"):
            hint = "predictions are of the file that was extended, as it was then"
            problems.append(Problem(str(path), "", f"was not predicted from the input of {file.path}", hint))
        else:
            found += read_predictions(path)
    if problems:
        raise InputError(problems)
    return found


def _queued(file: AnnotationFile, path: Path) -> tuple[QueuedPerson, ...]:
    """The people of a queue file. Raises InputError if it is not of this extended file."""
    assert file.additions is not None
    people = read_queue(path, extended_sha256=file.sha256).people
    known, added = set(file.poses.ids.tolist()), set(file.additions.keypoints)
    problems = []
    for i, person in enumerate(people):
        if person.id not in known:
            problems.append(Problem(str(path), f"people[{i}].id", f"{person.id} is nobody in {file.path}"))
        if others := [k for k in person.keypoints if k not in added]:
            wrong = f"{', '.join(others)} was not added in {file.path}"
            problems.append(Problem(str(path), f"people[{i}].keypoints", wrong))
    if problems:
        raise InputError(problems)
    return people


def _with_pseudo_labels(file: AnnotationFile) -> Poses:
    """The poses, with the pseudo-labels of people without labels."""
    if file.pseudo is None:
        return file.extended_poses
    own, poses = file.pseudo.own, file.extended_poses
    columns = poses.skeleton.indices(own.keypoints)
    xy, visibility = poses.xy.copy(), poses.visibility.copy()
    xy[:, columns] = np.where(own.added[..., None], own.xy, xy[:, columns])
    visibility[:, columns] = np.where(own.added, own.visibility, visibility[:, columns])
    return replace(poses, xy=xy, visibility=visibility)


def _draw(additions: Additions, count: int, seed: int) -> NDArray[np.bool_]:
    """(N, A) bool: `count` of the points that were predicted and added unseen, or all of them."""
    may = predicted(additions) & (additions.decision == Decision.ADD)
    drawn = np.zeros(may.shape, dtype=bool)
    places = np.argwhere(may)
    chosen = np.random.default_rng(seed).permutation(len(places))[:count]
    drawn[tuple(places[chosen].T)] = True
    return drawn


def _in_skeleton(poses: Poses, additions: Additions, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(N, A) of the additions -> (N, K) of the skeleton."""
    wide = np.zeros(poses.visibility.shape, dtype=bool)
    wide[:, poses.skeleton.indices(additions.keypoints)] = chosen
    return wide


def _info(
    file: AnnotationFile, added: Sequence[str], images: Path, content: DatasetContent, seed: int
) -> dict[str, Any]:
    """What `dataset.info["annotext"]` says."""
    assert file.header is not None
    path = file.path.resolve()
    names = content.poses.skeleton.keypoints
    limits = add_limits(added, file.header)
    drawn = [[int(content.poses.ids[row]), names[k]] for row, k in np.argwhere(content.audit).tolist()]
    return {
        "extended": str(path),
        "extended_sha256": file.sha256,
        "input_sha256": file.header.get("input_sha256", ""),
        "kind": file.kind,
        "skeleton": list(names),
        "added": list(added),
        "images": str(images.resolve()),
        "journal": str(journal_folder(path)),
        "limits": {k: None if np.isnan(v) else v for k, v in zip(added, limits.tolist(), strict=True)},
        "audit": {"seed": seed, "points": drawn},
    }


def _points(additions: Additions, limits: NDArray[np.float64]) -> dict[str, dict[str, int]]:
    counted = {
        "added": additions.added & (additions.decision == Decision.ADD),
        "asked": additions.asked,
        "withheld": additions.decision == Decision.WITHHOLD,
        "below_limit": open_points(additions, limits, withheld=False, derived=True),
        "to_review": open_points(additions, limits, derived=True),
    }
    sums = {what: chosen.sum(axis=0).tolist() for what, chosen in counted.items()}
    return {k: {what: sums[what][i] for what in counted} for i, k in enumerate(additions.keypoints)}
