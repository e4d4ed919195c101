"""A FiftyOne dataset of an extended file: all of it or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from annotext.core.errors import AnnotextError
from annotext.review.fiftyone.documents import BOXES, CANDIDATES, HUMAN, PEOPLE, DatasetContent, samples
from annotext.review.fiftyone.store import INFO
from annotext.review.fiftyone.views import dress, save_views


def check_name(name: str, *, overwrite: bool, fo: Any) -> None:
    """Raises AnnotextError for a name FiftyOne does not take, or that a dataset has and may not lose."""
    try:
        fo.core.utils.to_slug(name)
    except ValueError as error:
        raise AnnotextError(f"{name!r} cannot be the name of a dataset: {error}") from None
    if not overwrite and fo.dataset_exists(name):
        raise AnnotextError(
            f"there is a dataset {name!r} already: choose another --name, or rebuild it with --overwrite "
            "(decisions are kept, they do not live in the dataset)"
        )


def build_dataset(
    name: str,
    content: DatasetContent,
    info: dict[str, Any],
    *,
    overwrite: bool,
    audit_seed: int,
    fo: Any,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Any, list[str]]:
    """The persistent dataset `name` of what is shown, and the names of its saved views.

    info: goes into `dataset.info["annotext"]`. It is built under another name and takes its own when it is whole; with
    `overwrite` it then takes the place of the one of that name. Whatever fails, nothing half is left.
    Raises AnnotextError as `check_name`.
    """
    check_name(name, overwrite=overwrite, fo=fo)
    unfinished = f"{name} (unfinished)"
    if fo.dataset_exists(unfinished):  # what a killed build left
        fo.delete_dataset(unfinished)
    dataset = fo.Dataset(unfinished, persistent=False)
    try:
        _declare(dataset, fo, queue=content.queue is not None)
        images = sorted(set(content.poses.image_index.tolist()))
        dataset.add_samples(
            _counted(samples(content, fo), len(images), progress),
            dynamic=False,
            validate=False,
            progress=False,
            num_samples=len(images),
        )
        dataset.info = {INFO: info}
        dress(dataset, content.poses.skeleton, fo)
        views = save_views(
            dataset,
            info["added"],
            audit=int(content.audit.sum()),
            seed=audit_seed,
            disagreement=bool((content.disagreement >= 0).any()),
            queued=None if content.queue is None else len(content.queue),
        )
        if overwrite and fo.dataset_exists(name):
            fo.delete_dataset(name)
        dataset.name = name
        dataset.persistent = True
        dataset.save()
    except BaseException:
        dataset.delete()
        raise
    return dataset, views


def _counted(items: Iterator[Any], total: int, progress: Callable[[int, int], None] | None) -> Iterator[Any]:
    for i, item in enumerate(items):
        yield item
        if progress is not None:
            progress(i + 1, total)


def _declare(dataset: Any, fo: Any, *, queue: bool) -> None:
    """Say all fields at once: FiftyOne would look for new ones in every sample."""
    for name, kind in (
        ("image_index", fo.IntField),
        ("lowest", fo.FloatField),
        ("expected_wrong", fo.FloatField),
        ("disagreement", fo.FloatField),
        ("to_review", fo.IntField),
        ("decided", fo.IntField),
        ("audit", fo.BooleanField),
    ):
        dataset.add_sample_field(name, kind)
    _list(dataset, "findings", fo.StringField, fo)
    for name in (PEOPLE, HUMAN, CANDIDATES):
        dataset.add_sample_field(name, fo.EmbeddedDocumentField, embedded_doc_type=fo.Keypoints)
    dataset.add_sample_field(BOXES, fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)

    of_points = {
        "source": fo.StringField,
        "decision": fo.StringField,
        "radius_px": fo.FloatField,
        "reviewed": fo.StringField,
    }
    of_person = {
        "lowest": fo.FloatField,
        "expected_wrong": fo.FloatField,
        "disagreement": fo.FloatField,
        "area_px": fo.FloatField,
        "left": fo.IntField,
    }
    for field in (PEOPLE, CANDIDATES):
        for name, kind in {**of_points, "below": fo.StringField, "withheld": fo.StringField}.items():
            _list(dataset, f"{field}.keypoints.{name}", kind, fo)
    for name, kind in of_person.items():
        dataset.add_sample_field(f"{PEOPLE}.keypoints.{name}", kind)
    for name, kind in {
        "visible": fo.IntField,
        "bbox_px": fo.FloatField,
        "findings": fo.StringField,
        "audit": fo.StringField,
    }.items():
        _list(dataset, f"{PEOPLE}.keypoints.{name}", kind, fo)
    _list(dataset, f"{CANDIDATES}.keypoints.reason", fo.StringField, fo)
    if queue:
        _list(dataset, f"{PEOPLE}.keypoints.queued", fo.StringField, fo)
        for path in ("queue_rank", f"{PEOPLE}.keypoints.queue_rank", f"{CANDIDATES}.keypoints.queue_rank"):
            dataset.add_sample_field(path, fo.IntField)
    for path in (f"{PEOPLE}.keypoints", f"{HUMAN}.keypoints", f"{CANDIDATES}.keypoints", f"{BOXES}.detections"):
        dataset.add_sample_field(f"{path}.person", fo.IntField)


def _list(dataset: Any, path: str, kind: Any, fo: Any) -> None:
    dataset.add_sample_field(path, fo.ListField, subfield=kind)
