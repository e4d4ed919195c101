"""Carry what reviewers decided into a corrections file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotext.core.errors import AnnotextError, Finding, InputError, Problem
from annotext.formats.annotations.read import read_annotations
from annotext.formats.files.outputs import check_output
from annotext.review.decisions.apply import apply_corrections
from annotext.review.decisions.correction import Correction, standing
from annotext.review.decisions.files import append_corrections, load_corrections
from annotext.review.decisions.journal import journal_files, journal_folder, journal_kind, read_journals


@dataclass(frozen=True)
class ReviewCollectReport:
    """What was collected.

    decisions: lines the file has now. new: those appended now. points: points on which a decision stands. findings:
    conflicts between reviewers, and what cannot be applied to the extended file as it is. skipped: faulty lines, of
    journals and of the file.
    """

    source: str
    output: str
    decisions: int
    new: int
    points: int
    findings: tuple[Finding, ...]
    skipped: tuple[Problem, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "source": self.source,
            "output": self.output,
            "decisions": self.decisions,
            "new": self.new,
            "points": self.points,
            "findings": [f.to_dict() for f in self.findings],
            "skipped": [p.to_dict() for p in self.skipped],
        }


def collect_reviews(name: str | None, output: Path, *, journal: Path | None = None) -> ReviewCollectReport:
    """Append to `output` every decision it does not have yet, in the order in which they were made.

    name: the dataset; its decisions are those of the database and of the journals beside its extended file. journal:
    instead of a dataset the folder of journals, or the extended file they lie beside; neither FiftyOne nor a database
    is asked then. Lines that are there stay byte for byte.

    Raises AnnotextError: no such dataset, no database; InputError: no journals, an output that is no corrections file,
    or of another kind of file, or cannot be written.
    """
    if (name is None) == (journal is None):
        raise AnnotextError("give either the NAME of a dataset or --journal")
    there = _check_output(output)
    if journal is not None:
        found, skipped, kind, extended = _of_journals(journal)
        source = str(journal)
    else:
        assert name is not None
        found, skipped, kind, extended = _of_dataset(name)
        source = name
    skipped += load_corrections([output], skip_bad=True, kind=kind).skipped if there else ()
    _check_kind(output, there, kind)
    new = append_corrections(output, found, kind)
    written = load_corrections([output], skip_bad=True, kind=kind).corrections
    points, findings = _judged(written, extended)
    return ReviewCollectReport(source, str(output), len(written), new, points, findings, tuple(skipped))


def _check_output(output: Path) -> bool:
    """Whether there is something to append to. Raises InputError where nothing can be written."""
    check_output(output, force=True)
    return output.exists() and output.stat().st_size > 0


def _check_kind(output: Path, there: bool, kind: str) -> None:
    """Raises InputError for a file that holds no corrections, or those of another kind of file."""
    if not there:
        return
    read = load_corrections([output], skip_bad=True, kind=kind)
    if not read.corrections and read.skipped:
        raise InputError(read.skipped)


def _of_dataset(name: str) -> tuple[list[Correction], tuple[Problem, ...], str, Path]:
    from annotext.review.fiftyone.database import connect

    fo = connect()
    from annotext.review.fiftyone.store import decisions, find_dataset, journal_of, review_info

    hint = "`annotext review status` lists them, and --journal EXTENDED collects without one"
    dataset = find_dataset(name, fo, hint=hint)
    info = review_info(dataset)
    return decisions(dataset), read_journals(journal_of(info))[1], info["kind"], Path(info["extended"])


def _of_journals(place: Path) -> tuple[list[Correction], tuple[Problem, ...], str, Path]:
    folder = place if place.is_dir() else journal_folder(place)
    files = journal_files(folder)
    if not files:
        hint = "they lie in the folder EXTENDED.review beside the extended file"
        raise InputError.single(folder, "", "holds no journals of a review", hint)
    found, skipped = read_journals(folder)
    kind = journal_kind(files)
    if kind is None:
        raise InputError(skipped or [Problem(str(folder), "", "holds no decision")])
    return found, skipped, kind, folder.with_name(folder.name.removesuffix(".review"))


def _judged(corrections: tuple[Correction, ...], extended: Path) -> tuple[int, tuple[Finding, ...]]:
    """How many points a decision stands on, and what is the matter with the others.

    As `annotext apply` would see it where the extended file is there, else among the reviewers alone.
    """
    if extended.is_file():
        file = read_annotations(extended, skip_bad=True)
        if file.additions is not None and file.header is not None:
            sha256 = str(file.header.get("input_sha256", ""))
            revision = apply_corrections(file.extended_poses, file.additions, corrections, input_sha256=sha256)
            points = sum(sum(verdicts.values()) for verdicts in revision.counts.values())
            return points, tuple(f for f in revision.findings if f.code != "dropped")
    stands, conflicts = standing(corrections)
    return len(stands), conflicts
