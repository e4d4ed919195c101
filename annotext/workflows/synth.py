"""Writes the synthetic sets: pictures, label files as people leave them, and the truth."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import orjson

from annotext import __version__
from annotext.core.errors import InputError
from annotext.formats.files.paths import AnyPath
from annotext.synth.sets import SETS, Chunk, Made, SetKind, chunks, document, make_chunk, truth_document

LAYOUT = "annotext-synth/1"
ALL_SETS = tuple(SETS)


@dataclass(frozen=True)
class SetReport:
    """What one set holds. `labelled`: keypoints with v > 0 in the label file; `blank`: people without any; `crowds`:
    boxes round groups, not counted as people."""

    name: str
    people: int
    images: int
    labelled: int
    blank: int
    crowds: int
    image_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "people": self.people,
            "images": self.images,
            "labelled_keypoints": self.labelled,
            "people_without_keypoints": self.blank,
            "crowds": self.crowds,
            "image_bytes": self.image_bytes,
        }


@dataclass(frozen=True)
class SynthReport:
    """What `synthesise` wrote."""

    out: Path
    seed: int
    harder: bool
    sets: tuple[SetReport, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; also the content of ``synth.json`` (there without the folder's name)."""
        return {
            "layout": LAYOUT,
            "version": __version__,
            "seed": self.seed,
            "harder": self.harder,
            "sets": {s.name: s.to_dict() for s in self.sets},
        }


def synthesise(
    out: AnyPath,
    people: int,
    seed: int = 0,
    *,
    sets: Sequence[str] = ALL_SETS,
    harder: bool = False,
    workers: int | None = None,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> SynthReport:
    """Make `people` people in each of `sets` under `out`; `progress` hears of (people done, people in all).

    The same arguments give the same bytes, whatever `workers` (None: one per core). Nothing is left half-written: the
    folder appears when it is complete. Raises InputError for a bad number or set, or if `out` exists and `force` is not
    given, or is given and the folder was not made by this function.
    """
    out = Path(out)
    _check(out, people, seed, sets, workers, force=force)
    target = out.resolve()
    half_done, replaced = (target.with_name(target.name + end) for end in (".tmp", ".old.tmp"))
    for leftover in (half_done, replaced):
        _clear(leftover)
    jobs: list[Chunk] = []
    for name in sets:
        try:
            (half_done / name / "images").mkdir(parents=True)
        except OSError as error:
            raise InputError.single(out, "", f"cannot be made: {error.strerror}", "choose another --out") from None
        jobs += chunks(SETS[name], people, seed, half_done / name, harder=harder)
    try:
        made: dict[str, list[Made]] = {name: [] for name in sets}
        done = 0
        for job, result in zip(jobs, _make(jobs, workers), strict=True):
            made[job.kind].append(result)
            done += sum(job.counts)
            progress(done, people * len(sets))
        reports = tuple(_write_set(SETS[name], half_done / name, made[name]) for name in sets)
        report = SynthReport(out, seed, harder, reports)
        (half_done / "synth.json").write_bytes(orjson.dumps(report.to_dict(), option=orjson.OPT_INDENT_2) + b"\n")
        if target.exists():
            os.replace(target, replaced)
        os.replace(half_done, target)
        shutil.rmtree(replaced, ignore_errors=True)
    except BaseException:
        shutil.rmtree(half_done, ignore_errors=True)
        raise
    return report


def _check(out: Path, people: int, seed: int, sets: Sequence[str], workers: int | None, *, force: bool) -> None:
    if people < 1:
        raise InputError.single("--people", "", f"{people} people", "give a number of at least 1")
    if seed < 0:
        raise InputError.single("--seed", "", f"{seed} is negative", "give a whole number of at least 0")
    if workers is not None and workers < 1:
        raise InputError.single("--workers", "", f"{workers} workers", "give a number of at least 1")
    unknown = [name for name in sets if name not in SETS]
    if unknown or not sets or len(set(sets)) != len(sets):
        what = f"unknown set {', '.join(unknown)}" if unknown else "no set, or one named twice"
        raise InputError.single("--sets", "", what, f"choose from {','.join(SETS)}")
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not force:
        raise InputError.single(out, "", "exists already", "choose another folder, or --force to replace it")
    if not (out / "synth.json").is_file():
        raise InputError.single(
            out,
            "",
            "was not made by annotext synth (no synth.json), so --force will not delete it",
            "choose another folder",
        )


def _clear(leftover: Path) -> None:
    """Remove what an interrupted run left behind; refuse to remove anything else."""
    if not leftover.exists():
        return
    if not leftover.is_dir() or {p.name for p in leftover.iterdir()} - {*SETS, "synth.json"}:
        raise InputError.single(leftover, "", "is in the way and was not made by annotext synth", "move it")
    shutil.rmtree(leftover)


def _make(jobs: list[Chunk], workers: int | None) -> Iterator[Made]:
    """The results in the order of the jobs."""
    if workers is None:
        workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(workers, len(jobs))
    if workers == 1:
        yield from map(make_chunk, jobs)
        return
    # Fresh processes: forking one whose OpenCV has threads can hang.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(make_chunk, jobs)


def _write_set(kind: SetKind, folder: Path, made: list[Made]) -> SetReport:
    images = [image for part in made for image in part.images]
    records = [record for part in made for record in part.records]
    truth = [record for part in made for record in part.truth]
    (folder / "annotations.json").write_bytes(orjson.dumps(document(kind, images, records)))
    (folder / "truth.json").write_bytes(orjson.dumps(truth_document(kind, images, truth)))
    people = [record for record in records if not record.get("iscrowd")]
    counts = [_labelled(record) for record in people]
    return SetReport(
        name=kind.name,
        people=len(people),
        crowds=len(records) - len(people),
        images=len(images),
        labelled=sum(counts),
        blank=counts.count(0),
        image_bytes=sum(part.image_bytes for part in made),
    )


def _labelled(record: dict[str, Any]) -> int:
    if "joints_vis" in record:
        return sum(record["joints_vis"])
    return sum(1 for v in record["keypoints"][2::3] if v > 0)
