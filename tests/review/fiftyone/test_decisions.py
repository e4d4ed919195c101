"""Decisions: never lost, shown as they will be applied, and the same state whoever wrote last."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pymongo
import pytest
from reviewed import write_extended_people
from reviewers import random_corrections, undone

from annotext.core.errors import AnnotextError, InputError
from annotext.formats.annotations.read import AnnotationFile, read_annotations
from annotext.review.decisions.apply import apply_corrections
from annotext.review.decisions.correction import Correction, Point, Verdict
from annotext.review.decisions.journal import journal_folder, read_journals
from annotext.review.fiftyone.database import connect, find_server
from annotext.review.fiftyone.store import COLLECTION, dataset_key, decisions, record, refresh, sample_collection
from annotext.workflows.review_build import build_review
from annotext.workflows.review_collect import collect_reviews
from annotext.workflows.review_status import review_status

REPOSITORY = Path(__file__).resolve().parents[3]
# What another process records: argv = dataset, reviewer, how many, a file whose appearance starts it.
STREAM = Path(__file__).with_name("decision_stream.py")
# Documents change in nothing else when samples are shown anew.
NOT_SHOWN = ("last_modified_at", "created_at", "_rand", "_id", "_dataset_id", "_sample_id")


@pytest.fixture
def extended(tmp_path: Path) -> Path:
    return write_extended_people(tmp_path)


@pytest.fixture
def dataset(fo: ModuleType, extended: Path) -> Iterator[Any]:
    yield build(extended)
    fo.delete_dataset("reviewed")


def build(extended: Path) -> Any:
    build_review(extended, extended.parent / "images", name="reviewed", overwrite=True)
    return connect().load_dataset("reviewed")


def some_decisions(extended: Path, seed: int = 0, n: int = 60) -> list[Correction]:
    """Of three reviewers, on all people who have keypoints."""
    file = read_annotations(extended)
    assert file.additions is not None
    shown = file.extended_poses.has_keypoints & ~file.extended_poses.crowd
    return random_corrections(file.extended_poses.take(shown), file.additions.take(shown), seed, n)


def record_all(dataset: Any, made: Sequence[Correction], batch: int = 3) -> None:
    """In this order, a reviewer's runs of `batch` at once."""
    waiting: list[Correction] = []
    for c in made:
        if waiting and (len(waiting) == batch or waiting[0].reviewer != c.reviewer):
            assert record(dataset, waiting).shown
            waiting = []
        waiting.append(c)
    assert record(dataset, waiting).shown


def documents(dataset: Any) -> list[dict[str, Any]]:
    """All samples as they are in the database, without what says when."""
    found = sample_collection(dataset).find({}).sort("filepath", 1)
    return [_plain({**{k: v for k, v in d.items() if k not in NOT_SHOWN}, "tags": sorted(d["tags"])}) for d in found]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if k != "_id"}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return repr(value) if isinstance(value, float) else value


def shown_points(dataset: Any, field: str) -> dict[tuple[int, str], tuple[float, ...]]:
    """(person, keypoint) -> pixels, of the added points that a field shows."""
    info = dataset.info["annotext"]
    found: dict[tuple[int, str], tuple[float, ...]] = {}
    for sample in dataset.iter_samples():
        for label in sample[field].keypoints:
            for keypoint in info["added"]:
                x, y = label.points[info["skeleton"].index(keypoint)]
                if np.isfinite(x):
                    found[label["person"], keypoint] = (round(x * 640, 3), round(y * 480, 3))
    return found


def applied(extended: Path, made: Sequence[Correction]) -> tuple[AnnotationFile, Any]:
    file = read_annotations(extended)
    assert file.additions is not None and file.header is not None
    return file, apply_corrections(file.extended_poses, file.additions, made, input_sha256=file.header["input_sha256"])


@pytest.mark.parametrize("seed", range(3))
def test_a_reviewer_sees_every_point_where_apply_will_write_it(dataset: Any, extended: Path, seed: int) -> None:
    made = some_decisions(extended, seed)
    record_all(dataset, made)
    file, revision = applied(extended, made)
    for field, there in (("people", revision.additions.added), ("candidates", revision.additions.withheld)):
        expected = {
            (int(file.extended_poses.ids[i]), revision.additions.keypoints[j]): tuple(
                revision.additions.xy[i, j].round(3).tolist()
            )
            for i, j in np.argwhere(there).tolist()
        }
        assert shown_points(dataset, field) == expected


def test_verdicts_conflicts_and_counts_are_those_of_apply(dataset: Any, extended: Path) -> None:
    made = some_decisions(extended, seed=4, n=120)
    record_all(dataset, made)
    file, revision = applied(extended, made)
    conflicts = {(f.numbers["person"], f.numbers["keypoint"]) for f in revision.findings if f.code == "conflict"}
    assert conflicts
    verdicts = {}
    for sample in dataset.iter_samples():
        assert ("conflict" in sample.tags) == any(
            k["person"] in {p for p, _ in conflicts} for k in sample.people.keypoints
        )
        for label in sample.people.keypoints:
            for keypoint, verdict in zip(dataset.info["annotext"]["skeleton"], label["reviewed"], strict=True):
                verdicts[label["person"], keypoint] = verdict
    for i, j in np.argwhere(revision.additions.review != None).tolist():  # noqa: E711
        key = (int(file.extended_poses.ids[i]), revision.additions.keypoints[j])
        assert verdicts.pop(key) == revision.additions.review[i, j].verdict
    assert {verdicts.pop(key) for key in conflicts} == {"conflict"}
    assert set(verdicts.values()) == {""}
    assert dataset.sum("decided") == (revision.additions.review != None).sum()  # noqa: E711


def test_all_of_it_undone_shows_what_was_built(dataset: Any, extended: Path) -> None:
    before = documents(dataset)
    made = [c for c in some_decisions(extended, seed=1) if c.verdict != Verdict.NOTE and not c.note]
    record_all(dataset, made)
    assert documents(dataset) != before
    record_all(dataset, undone(made))
    assert documents(dataset) == before


def test_the_same_decisions_in_another_order_show_the_same(dataset: Any, extended: Path) -> None:
    made = some_decisions(extended, seed=2)
    record_all(dataset, made, batch=7)
    once, collected = documents(dataset), decisions(dataset)
    shutil.rmtree(journal_folder(extended))
    forget(dataset)
    dataset = build(extended)
    random.Random(0).shuffle(made)
    record_all(dataset, made, batch=1)
    assert documents(dataset) == once
    assert decisions(dataset) == collected


def forget(dataset: Any) -> None:
    """The decisions of a dataset are gone from the database."""
    from fiftyone.core.odm import get_db_conn

    get_db_conn()[COLLECTION].delete_many({"dataset": dataset_key(dataset.info["annotext"])})


def test_a_rebuilt_dataset_shows_all_that_was_decided(dataset: Any, extended: Path) -> None:
    record_all(dataset, some_decisions(extended))
    before, made = documents(dataset), decisions(dataset)
    dataset = build(extended)
    assert documents(dataset) == before
    assert decisions(dataset) == made


@pytest.mark.parametrize("lost", ["database", "journals"])
def test_either_of_the_two_places_has_everything(dataset: Any, extended: Path, lost: str) -> None:
    record_all(dataset, some_decisions(extended))
    before, made = documents(dataset), decisions(dataset)
    if lost == "journals":
        shutil.rmtree(journal_folder(extended))
    else:
        forget(dataset)
    assert decisions(dataset) == made
    refresh(dataset)
    assert documents(dataset) == before


def test_a_decision_that_cannot_be_kept_is_no_decision(dataset: Any, extended: Path) -> None:
    before = documents(dataset)
    journal_folder(extended).write_text("a file where the folder should be")
    with pytest.raises(AnnotextError, match=r"extended\.json\.review"):
        record(dataset, some_decisions(extended)[:1])
    journal_folder(extended).unlink()
    assert documents(dataset) == before
    assert decisions(dataset) == []


def test_points_of_people_and_decisions_on_other_files_are_refused(dataset: Any, extended: Path) -> None:
    made = some_decisions(extended)[0]
    fields = {f: getattr(made, f) for f in ("id", "person", "image", "reviewer")}
    human = Correction(**fields, keypoint="nose", verdict=Verdict.MOVE, old=None, new=Point(1, 1, 2))
    with pytest.raises(AnnotextError, match="own keypoints"):
        record(dataset, [human])
    other = Correction(**fields, keypoint="pelvis", verdict=Verdict.ABSENT, old=None, new=None, input_sha256="0" * 64)
    with pytest.raises(AnnotextError, match="another file"):
        record(dataset, [other])
    assert decisions(dataset) == []


def test_collecting_appends_and_never_rewrites(dataset: Any, extended: Path, tmp_path: Path) -> None:
    made = some_decisions(extended, n=40)
    out = tmp_path / "corrections.jsonl"
    record_all(dataset, made[:25])
    assert collect_reviews("reviewed", out).new == 25
    first = out.read_bytes()
    assert collect_reviews("reviewed", out).new == 0
    assert out.read_bytes() == first
    record_all(dataset, made[25:])
    report = collect_reviews("reviewed", out)
    assert (report.new, report.decisions) == (15, 40)
    assert out.read_bytes().startswith(first)
    lines = [json.loads(line) for line in out.read_bytes()[len(first) :].splitlines()]
    assert [line["id"] for line in lines] == [c.id for c in made[25:]]
    conflicts = [f for f in applied(extended, made)[1].findings if f.code == "conflict"]
    assert [f for f in report.findings if f.code == "conflict"] == conflicts


def test_journals_alone_are_collected_without_fiftyone(dataset: Any, extended: Path, tmp_path: Path) -> None:
    record_all(dataset, some_decisions(extended))
    with_database = collect_reviews("reviewed", tmp_path / "one.jsonl")
    code = (
        "import sys; from pathlib import Path; from annotext.workflows.review_collect import collect_reviews;"
        "collect_reviews(None, Path(sys.argv[2]), journal=Path(sys.argv[1])); assert 'fiftyone' not in sys.modules"
    )
    arguments = [str(extended), str(tmp_path / "two.jsonl")]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, cwd=REPOSITORY)
    assert (tmp_path / "two.jsonl").read_bytes() == (tmp_path / "one.jsonl").read_bytes()
    assert with_database.skipped == ()


def test_collecting_into_a_file_of_something_else_is_refused(dataset: Any, extended: Path, tmp_path: Path) -> None:
    record_all(dataset, some_decisions(extended, n=3))
    people = extended.with_name("people.json")
    before = people.read_bytes()
    with pytest.raises(InputError, match=r"people\.json"):
        collect_reviews("reviewed", people)
    assert people.read_bytes() == before
    with pytest.raises(AnnotextError, match="no dataset 'nobody'"):
        collect_reviews("nobody", tmp_path / "out.jsonl")
    with pytest.raises(InputError, match="no journals"):
        collect_reviews(None, tmp_path / "out.jsonl", journal=people)


def test_status_counts_points_reviewers_and_the_random_audit(dataset: Any, extended: Path) -> None:
    made = some_decisions(extended, seed=4, n=120)
    record_all(dataset, made)
    _, revision = applied(extended, made)
    (status,) = review_status("reviewed").datasets
    assert status.decided == (revision.additions.review != None).sum()  # noqa: E711
    assert status.left == dataset.sum("to_review")
    assert status.conflicts == sum(f.code == "conflict" for f in revision.findings)
    assert [r.name for r in status.reviewers] == ["ann", "bob", "cleo"]
    assert sum(r.decisions for r in status.reviewers) == len(made)
    assert "reviewed" in [d.name for d in review_status().datasets]


def test_the_random_audit_estimates_the_share_of_wrong_points(dataset: Any, extended: Path) -> None:
    file = read_annotations(extended)
    assert file.additions is not None
    audited = [
        (label["person"], keypoint)
        for sample in dataset
        for label in sample.people.keypoints
        for keypoint in label["audit"]
    ]
    verdicts = [Verdict.REJECT, Verdict.ACCEPT, Verdict.HIDDEN, Verdict.MOVE, Verdict.MOVE]
    for n, ((person, keypoint), verdict) in enumerate(zip(audited, verdicts, strict=False)):
        i = file.extended_poses.ids.tolist().index(person)
        j = file.additions.keypoints.index(keypoint)
        x, y = file.additions.xy[i, j].tolist()
        by = 0.1 if n == 3 else 300.0
        new = Point(x + (by if x < 320 else -by), y, 2) if verdict == Verdict.MOVE else None
        old = Point(x, y, int(file.additions.visibility[i, j]))
        image = file.extended_poses.file_names()[i]
        record(dataset, [Correction(f"{n:032x}", person, image, keypoint, verdict, old, new, "ann")])
    (status,) = review_status("reviewed").datasets
    audit = status.audit
    assert audit is not None
    # Rejected, and moved by 300 pixels: wrong. Moved by a tenth of one: right.
    assert (audit.of, audit.judged, audit.wrong, audit.share) == (len(audited), 5, 2, 0.4)
    # Clopper and Pearson's interval for 2 of 5, from their tables.
    assert (audit.low, audit.high) == pytest.approx((0.0527, 0.8534), abs=1e-4)


# --- several processes, and what kills them ---


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")]), **more}


def stream(reviewer: str, extended: Path, start: Path, *, seed: int = 0, n: int = 40, **more: str) -> Any:
    """A process that records n decisions on the people of the first image, one by one; each that is acknowledged it
    prints."""
    arguments = [sys.executable, str(STREAM), "reviewed", reviewer, str(extended), str(start), str(seed), str(n)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment(**more), cwd=REPOSITORY)


def acknowledged(process: Any, n: int) -> list[str]:
    """The next n ids that the process acknowledges as safe."""
    found = []
    while len(found) < n:
        line = process.stdout.readline()
        assert line, "the stream ended early"
        if line.startswith("safe "):
            found.append(line.split()[1])
    return found


@pytest.mark.slow
def test_two_processes_that_decide_on_one_image_at_once_end_in_one_state(
    dataset: Any, extended: Path, tmp_path: Path
) -> None:
    start = tmp_path / "start"
    processes = [stream(who, extended, start, seed=i) for i, who in enumerate(("ann", "bob"))]
    for process in processes:
        assert process.stdout.readline().strip() == "ready"
    start.touch()
    safe = [acknowledged(process, 40) for process in processes]
    assert [process.wait(60) for process in processes] == [0, 0]
    left_by_them = documents(dataset)
    assert {c.id for c in decisions(dataset)} == {i for ids in safe for i in ids}
    refresh(dataset)
    assert documents(dataset) == left_by_them


@pytest.mark.slow
def test_what_a_killed_process_acknowledged_is_collected(dataset: Any, extended: Path, tmp_path: Path) -> None:
    start = tmp_path / "start"
    start.touch()
    process = stream("ann", extended, start, n=100_000)
    safe = acknowledged(process, 60)
    process.send_signal(signal.SIGKILL)
    safe += [
        line.split()[1] for line in process.stdout.read().splitlines() if line.startswith("safe ") and len(line) == 37
    ]
    process.wait(60)
    journalled = {c.id for c in read_journals(journal_folder(extended))[0]}
    assert set(safe) <= journalled
    report = collect_reviews("reviewed", tmp_path / "corrections.jsonl")
    assert {json.loads(line)["id"] for line in (tmp_path / "corrections.jsonl").open()} == journalled
    assert report.decisions == len(journalled)


@pytest.mark.slow
def test_a_database_that_is_killed_loses_nothing_that_was_acknowledged(tmp_path: Path, fo: ModuleType) -> None:
    extended, folder = write_extended_people(tmp_path), tmp_path / "database"
    start = tmp_path / "start"
    start.touch()
    settings = {"FIFTYONE_DATABASE_DIR": str(folder), "FIFTYONE_PRIVATE_DATABASE_PORT": "0"}
    process = stream("ann", extended, start, n=100_000, **settings)  # builds the dataset first: it is not there
    in_database = acknowledged(process, 40)
    server = int((folder / "mongod.lock").read_text())
    os.kill(server, signal.SIGKILL)
    # The reviewer goes on: the journal takes what the database cannot.
    in_journal = acknowledged(process, 2)
    process.kill()
    process.wait(60)
    journalled = {c.id for c in read_journals(journal_folder(extended))[0]}
    assert {*in_database, *in_journal} <= journalled
    until = time.monotonic() + 30
    while Path(f"/proc/{server}").exists() and time.monotonic() < until:
        time.sleep(0.05)
    port = free_port()
    command = [find_server(), "--dbpath", folder, "--port", str(port), "--nounixsocket"]
    again = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with pymongo.MongoClient(f"mongodb://127.0.0.1:{port}") as client:
            kept = {d["id"] for d in client["fiftyone"][COLLECTION].find()}
    finally:
        again.kill()
        again.wait(60)
    assert set(in_database) <= kept <= journalled


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
