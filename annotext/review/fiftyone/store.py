"""No decision is ever lost: journal first, then database, then what is shown.

A decision lives in two places that do not belong to the dataset: the reviewer's journal beside the extended file (see
`journal`; synced to the disk before anything else happens) and `COLLECTION`, an insert-only collection of FiftyOne's
database, where reviewers on several machines meet. What samples show is a cache of the decisions (see `sample_state`).

A decision belongs to an extended file, not to a dataset: `dataset_key` is the sha256 of the annotation file that was
extended, and the extended file's absolute path as the dataset has it. So a dataset that is built again or renamed finds
its decisions again, and so do two datasets of one file; extended files of the same people at two places, made by
different models or merely tried out, keep theirs apart. Who copies or moves an extended file takes the journals along:
they bring the decisions into the database of the new place. A team opens one dataset and meets there. Where the file
itself was made anew and a point is elsewhere now, a decision on the old one is stale (`decisions.apply`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import pymongo
from bson import ObjectId
from pymongo.errors import BulkWriteError, PyMongoError

from annotext.core.errors import AnnotextError
from annotext.core.skeleton import Skeleton
from annotext.formats.files.skeletons import known_skeletons
from annotext.review.decisions.correction import Correction, Verdict
from annotext.review.decisions.files import append_corrections, correction_line, parse_line
from annotext.review.decisions.journal import in_order, journal_name, make_journal_folder, read_journals
from annotext.review.fiftyone.sample_state import (
    AS_BUILT,
    TAGS,
    LabelSchema,
    SampleState,
    StoredSample,
    sample_states,
)

COLLECTION = "annotext_decisions"
# Environment variable: another folder for the journals, for who shares a database but not the extended file's folder.
JOURNAL = "ANNOTEXT_JOURNAL"
# Where `dataset.info` says what it was built of.
INFO = "annotext"
# A database that is there answers in milliseconds; one that is not must not keep a reviewer waiting.
ANSWER_SECONDS = 5.0
# A bulk refresh of 100,000 decisions takes longer.
BULK_SECONDS = 600.0
# Others may decide while a sample is written; it is written again until what it shows is what was decided.
_TRIES = 20
_DUPLICATE = 11000
_FIELDS = ("people", "candidates")
_PERSON = "people.keypoints.person"
# Datasets of this process whose journals hold more than the database.
_behind: set[str] = set()
_indexed: set[tuple[str, str]] = set()


@dataclass(frozen=True)
class Recorded:
    """What `record` did. decisions: how many are safe on the disk. shown: whether the database took them, too, and the
    samples show them; if not, `problem` says why, and they will be shown after the next decision or `refresh`.
    """

    decisions: int
    shown: bool
    problem: str = ""


def review_info(dataset: Any) -> Mapping[str, Any]:
    """`dataset.info[INFO]`. Raises AnnotextError for a dataset that annotext did not build."""
    info = dataset.info.get(INFO)
    if not isinstance(info, dict):
        raise AnnotextError(f"{dataset.name}: annotext did not build this dataset; `annotext review build` makes one")
    return info


def find_dataset(name: str, fo: Any, *, hint: str = "") -> Any:
    """The dataset `name`. hint: what else the user could do, a sentence.

    Raises AnnotextError if there is none, naming those that there are, or annotext did not build it.
    """
    built = reviewed_datasets()
    if name in built:
        return fo.load_dataset(name)
    exists = fo.dataset_exists(name)
    what = f"{name}: annotext did not build this dataset" if exists else f"there is no dataset {name!r}"
    those = f"; there are {', '.join(built)}" if built else ""
    raise AnnotextError(f"{what}{those}. {hint or _BUILD}")


# How to get a dataset that can be reviewed.
_BUILD = "`annotext review build EXTENDED --images DIR --name NAME` makes one"


def image_name(info: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    """The name in the annotation file of the image that a sample's document shows."""
    path = Path(document["filepath"])
    try:
        return str(PurePosixPath(path.relative_to(info["images"])))
    except ValueError:
        return path.name


def image_size(document: Mapping[str, Any]) -> tuple[int, int]:
    """(width, height) in pixels of the image that a sample's document shows."""
    return int(document["metadata"]["width"]), int(document["metadata"]["height"])


def sample_collection(dataset: Any) -> Any:
    """The collection of the dataset's samples in FiftyOne's database."""
    from fiftyone.core.odm import get_db_conn

    return get_db_conn()[dataset._sample_collection_name]


def journal_of(info: Mapping[str, Any]) -> Path:
    """The folder of the journals that this process reads and writes: the dataset's, unless `JOURNAL` says another."""
    return Path(os.environ.get(JOURNAL) or info["journal"])


def dataset_key(info: Mapping[str, Any]) -> str:
    """Under which the database keeps the decisions: see the module."""
    return f"{info['input_sha256']} {info['extended']}"


def record(dataset: Any, corrections: Sequence[Correction]) -> Recorded:
    """Record one reviewer's decisions: journal, database, then the touched samples show them.

    When this returns, the decisions are on the disk. Raises AnnotextError, and nothing is recorded, for a keypoint that
    was not added, for several reviewers at once, and if the journal cannot be written. A database that does not answer
    is no error: see `Recorded`. A correction without `input_sha256` gets the dataset's.
    """
    info = review_info(dataset)
    corrections = [c if c.input_sha256 else replace(c, input_sha256=info["input_sha256"]) for c in corrections]
    if not corrections:
        return Recorded(0, True)
    _check(dataset, info, corrections)
    folder = journal_of(info)
    make_journal_folder(folder)
    append_corrections(folder / journal_name(corrections[0].reviewer), corrections, info["kind"])
    key = dataset_key(info)
    try:
        with pymongo.timeout(ANSWER_SECONDS):
            if key in _behind:
                _insert(info, read_journals(folder)[0])
                _behind.discard(key)
            _insert(info, corrections)
            _show(dataset, {_PERSON: {"$in": sorted({c.person for c in corrections})}})
    except PyMongoError as error:
        _behind.add(key)
        return Recorded(len(corrections), False, f"saved, but the database does not answer ({error!s:.100})")
    return Recorded(len(corrections), True)


def decisions(dataset: Any) -> list[Correction]:
    """All decisions of a dataset, of the database and of the journals beside the extended file, by (time, id).

    Raises AnnotextError if the database does not answer (`read_journals` does without), InputError for a journal that
    cannot be read.
    """
    info = review_info(dataset)
    try:
        with pymongo.timeout(BULK_SECONDS):
            found = _stored(info)
    except PyMongoError as error:
        raise AnnotextError(f"FiftyOne's database does not answer: {error}") from None
    return in_order([*found, *read_journals(journal_of(info))[0]])


def decisions_on(dataset: Any, persons: Sequence[int]) -> list[Correction]:
    """What the database knows of these people, by (time, id). Raises AnnotextError if it does not answer."""
    try:
        with pymongo.timeout(ANSWER_SECONDS):
            return _stored(review_info(dataset), persons)
    except PyMongoError as error:
        raise AnnotextError(f"FiftyOne's database does not answer: {error}") from None


def refresh(dataset: Any, sample_ids: Sequence[str] | None = None) -> None:
    """Let samples show what all decisions on them say: those of `sample_ids`, or all.

    All: decisions that only the journals have go into the database first. Raises AnnotextError if the database does not
    answer.
    """
    info = review_info(dataset)
    try:
        if sample_ids is not None:
            with pymongo.timeout(ANSWER_SECONDS + len(sample_ids)):
                _show(dataset, {"_id": {"$in": [ObjectId(i) for i in sample_ids]}})
            return
        with pymongo.timeout(BULK_SECONDS):
            _insert(info, read_journals(journal_of(info))[0])
            _behind.discard(dataset_key(info))
            persons = _decisions().distinct("person", {"dataset": dataset_key(info)})
            # Those that show a decision which is gone, too.
            marked = [{f"people.keypoints.{AS_BUILT}": {"$exists": True}}, {"tags": {"$in": TAGS}}]
            _show(dataset, {"$or": [{_PERSON: {"$in": persons}}, *marked]})
    except PyMongoError as error:
        raise AnnotextError(f"FiftyOne's database does not answer: {error}") from None


def _check(dataset: Any, info: Mapping[str, Any], corrections: Sequence[Correction]) -> None:
    if len({c.reviewer for c in corrections}) > 1:
        raise AnnotextError("decisions of several reviewers cannot be recorded at once")
    for c in corrections:
        if c.keypoint not in info["added"] and c.verdict != Verdict.NOTE:
            raise AnnotextError(
                f"{dataset.name}: {c.keypoint} of person {c.person} was not added by annotext: people's own keypoints "
                "are never changed"
            )
        if c.input_sha256 != info["input_sha256"]:
            raise AnnotextError(f"{dataset.name}: a decision on person {c.person} of another file")


def _decisions() -> Any:
    """The collection; a write is acknowledged when it is in MongoDB's journal, on a replica set on most members."""
    from fiftyone.core.odm import get_db_conn

    concern = pymongo.WriteConcern(w="majority", j=True)
    collection = get_db_conn().get_collection(COLLECTION, write_concern=concern)
    place = (str(collection.database.client.address), COLLECTION)
    if place not in _indexed:
        collection.create_index([("dataset", 1), ("id", 1)], unique=True)
        collection.create_index([("dataset", 1), ("person", 1)])
        _indexed.add(place)
    return collection


def _insert(info: Mapping[str, Any], corrections: Sequence[Correction]) -> None:
    """Insert those that are not there. The document holds the journal's line, and what is searched by."""
    if not corrections:
        return
    key = dataset_key(info)
    collection = _decisions()
    known = set()
    if len(corrections) > 1:
        known = {d["id"] for d in collection.find({"dataset": key}, {"id": 1, "_id": 0})}
    documents = [
        {
            "dataset": key,
            "id": c.id,
            "person": c.person,
            "line": correction_line(c, info["kind"]).decode().rstrip("\n"),
        }
        for c in corrections
        if c.id not in known
    ]
    if not documents:
        return
    try:
        collection.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        others = [e for e in error.details["writeErrors"] if e["code"] != _DUPLICATE]
        if others or error.details.get("writeConcernErrors"):
            raise


def _stored(info: Mapping[str, Any], persons: Sequence[int] | None = None) -> list[Correction]:
    """What the database knows, of these people or of all."""
    query: dict[str, Any] = {"dataset": dataset_key(info)}
    if persons is not None:
        query["person"] = {"$in": list(persons)}
    found = _decisions().find(query, {"line": 1, "_id": 0})
    return in_order([parse_line(d["line"].encode(), COLLECTION, i + 1) for i, d in enumerate(found)])


def _show(dataset: Any, query: Mapping[str, Any]) -> None:
    """Write what the samples of `query` show. Two processes that decide at once end in the same state.

    Each writes after its decision is in the database, and looks again after it wrote: whoever writes last has seen all.
    """
    import fiftyone

    info = review_info(dataset)
    schema = _schema(info)
    samples = sample_collection(dataset)
    place = (str(samples.database.client.address), samples.name)
    if place not in _indexed:
        samples.create_index(_PERSON)
        _indexed.add(place)
    for _ in range(_TRIES):
        documents = list(samples.find(query, {"filepath": 1, "metadata": 1, "tags": 1, **dict.fromkeys(_FIELDS, 1)}))
        if not documents:
            break
        read = [_sample(info, d) for d in documents]
        persons = sorted({int(x["person"]) for s in read for x in s.people})
        corrections = _stored(info, persons)
        changes = [
            change
            for document, now in zip(documents, sample_states(schema, read, corrections), strict=True)
            for change in _changes(document, now)
        ]
        if changes:
            samples.bulk_write(changes, ordered=False)
        seen = {c.id for c in corrections}
        later = {"dataset": dataset_key(info), "person": {"$in": persons}}
        new = {d["person"] for d in _decisions().find(later, {"id": 1, "person": 1, "_id": 0}) if d["id"] not in seen}
        if not new:
            break
        query = {_PERSON: {"$in": sorted(new)}}
    # Samples this process holds are copies of what was there before.
    fiftyone.Sample._reload_docs(dataset._sample_collection_name)


def _sample(info: Mapping[str, Any], document: Mapping[str, Any]) -> StoredSample:
    people, candidates = ((document.get(field) or {}).get("keypoints", []) for field in _FIELDS)
    return StoredSample(image_name(info, document), *image_size(document), people, candidates)


def _changes(document: Mapping[str, Any], now: SampleState) -> Iterable[pymongo.UpdateOne]:
    """The writes that bring a sample there."""
    fields: dict[str, Any] = {
        "decided": now.decided,
        "to_review": now.to_review,
        "lowest": now.lowest,
        "expected_wrong": now.expected_wrong,
        "last_modified_at": datetime.now(UTC),
    }
    for field, labels in zip(_FIELDS, (now.people, now.candidates), strict=True):
        for label in labels:
            if "_id" not in label:
                label["_id"] = _label_id(document["_id"], field, label["person"])
        if labels or document.get(field):
            fields[field] = {**(document.get(field) or {"_cls": "Keypoints"}), "keypoints": labels}
    yield pymongo.UpdateOne({"_id": document["_id"]}, {"$set": fields})
    tags = set(document.get("tags", []))
    if gone := tags.intersection(TAGS).difference(now.tags):
        yield pymongo.UpdateOne({"_id": document["_id"]}, {"$pullAll": {"tags": sorted(gone)}})
    if added := set(now.tags) - tags:
        yield pymongo.UpdateOne({"_id": document["_id"]}, {"$addToSet": {"tags": {"$each": sorted(added)}}})


def _label_id(sample: ObjectId, field: str, person: int) -> ObjectId:
    """The same in every process and after every refresh: the App knows labels by it."""
    return ObjectId(hashlib.sha256(f"{sample} {field} {person}".encode()).digest()[:12])


def _schema(info: Mapping[str, Any]) -> LabelSchema:
    names, added = tuple(info["skeleton"]), tuple(info["added"])
    return LabelSchema(_skeleton(names, added), added, info.get("limits") or {}, info["input_sha256"])


@lru_cache(maxsize=8)
def _skeleton(names: tuple[str, ...], added: tuple[str, ...]) -> Skeleton:
    """The skeleton of the labels, with the sigmas a reader of the file gives it."""
    known = tuple(known_skeletons().values())
    own = tuple(k for k in names if k not in added)
    for skeleton in known:
        if skeleton.keypoints == own:
            return skeleton.grown(added, known)
    sigmas = {k: s.sigmas[k] for s in reversed(known) for k in s.keypoints}
    return Skeleton("reviewed", names, (), (), {k: sigmas[k] for k in names}, "skeletons annotext knows")


def reviewed_datasets() -> list[str]:
    """The names of all datasets annotext built, sorted. One that is being built is none yet."""
    from fiftyone.core.odm import get_db_conn

    query = {f"info.{INFO}": {"$type": "object"}, "persistent": True}
    return sorted(d["name"] for d in get_db_conn().datasets.find(query, {"name": 1}))
