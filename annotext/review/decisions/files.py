"""Corrections files: one decision of one reviewer a line, appended and never rewritten.

See docs/formats/corrections.md and `correction.schema.json`. MPII's lines are in MPII's 1-based pixels and name the
record; COCO's and Halpe's are 0-based and name the annotation.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import orjson

from annotext.core.errors import InputError, Problem
from annotext.formats.annotations.read import FORMATS, format_named
from annotext.formats.annotations.records import is_id
from annotext.formats.files.typed import read_as
from annotext.formats.overlay.block import XY_DECIMALS
from annotext.review.decisions.correction import Correction, Point, Verdict

# What the line calls the person, and where its pixels begin.
_PERSON = {f.identity.key: f.identity.pixel_origin for f in FORMATS}
_LEAVE_OUT = "--skip-bad leaves it out"


def _surrogates(text: str) -> str:
    return "holds half of a surrogate pair" if any("\ud800" <= c <= "\udfff" for c in text) else ""


_Text = Annotated[str, _surrogates]
_PersonId = Annotated[int, lambda value: "" if is_id(value) else "is no whole number of 64 bits"]
_Point = tuple[float, float, Literal[0, 1, 2]]
# What a line and a `Correction` call alike.
_SAME = ("id", "image", "keypoint", "reviewer", "note", "time", "tool", "input_sha256")


@dataclass(frozen=True)
class _Line:
    """A line as it is written."""

    id: _Text
    image: _Text
    keypoint: _Text
    decision: Verdict
    old: _Point | None
    new: _Point | None
    reviewer: _Text
    note: _Text = ""
    time: _Text = ""
    tool: _Text = ""
    input_sha256: _Text = ""
    annotation: _PersonId = 0
    record: _PersonId = 0


@dataclass(frozen=True)
class CorrectionsFile:
    """One file that was read. decisions: lines that were read, those included that stand in another file too."""

    path: Path
    sha256: str
    decisions: int

    def to_dict(self) -> dict[str, Any]:
        """As headers of extended files name it: without its folder."""
        return {"file": self.path.name, "sha256": self.sha256, "decisions": self.decisions}


@dataclass(frozen=True)
class Corrections:
    """What corrections files say.

    corrections: each id once, by time. files: those of different content. Neither depends on the order in which the
    files were given, nor on how often.
    skipped: what `skip_bad` dropped.
    """

    corrections: tuple[Correction, ...]
    files: tuple[CorrectionsFile, ...]
    skipped: tuple[Problem, ...] = ()


def schema() -> dict[str, Any]:
    """The JSON Schema of a line."""
    return orjson.loads(Path(__file__).with_name("correction.schema.json").read_bytes())


def correction_line(correction: Correction, kind: str) -> bytes:
    """One line of JSON with its newline; coordinates are rounded to 0.01 pixel."""
    identity = format_named(kind).identity
    offset = identity.pixel_origin
    record = {
        "id": correction.id,
        identity.key: correction.person,
        "image": correction.image,
        "keypoint": correction.keypoint,
        "decision": correction.verdict.value,
        "old": _point_as_json(correction.old, offset),
        "new": _point_as_json(correction.new, offset),
        "reviewer": correction.reviewer,
        "note": correction.note,
        "time": correction.time,
        "tool": correction.tool,
        "input_sha256": correction.input_sha256,
    }
    return orjson.dumps(record) + b"\n"


def _point_as_json(point: Point | None, offset: float) -> list[float] | None:
    if point is None:
        return None
    # + 0.0 turns -0.0 into 0.0.
    return [round(point.x + offset, XY_DECIMALS) + 0.0, round(point.y + offset, XY_DECIMALS) + 0.0, int(point.v)]


def parse_line(line: bytes, path: str | Path = "line", number: int = 1, *, kind: str | None = None) -> Correction:
    """The correction of one line, with or without its newline.

    kind: of the file it must be on. Raises InputError, naming `path` and the line's number, with all that is wrong.
    """
    place = f"line {number}"
    try:
        record = json.loads(line, object_pairs_hook=_once, parse_constant=_not_json)
    except (ValueError, RecursionError) as error:
        what = f"is not JSON: {error}" if not isinstance(error, UnicodeDecodeError) else "is not UTF-8 text"
        hint = f"was the program that wrote it stopped in the middle of the line? {_LEAVE_OUT}"
        raise InputError.single(path, place, what, hint) from None
    people = [p for p in _PERSON if isinstance(record, dict) and p in record]
    problems: list[Problem] = []
    if isinstance(record, dict) and len(people) != 1:
        problems.append(Problem(str(path), place, "expected one of annotation (COCO, Halpe) and record (MPII)"))
    elif kind is not None and people and people[0] != (identity := format_named(kind).identity).key:
        problem = f"names its person by {people[0]}, expected {identity.people}"
        problems.append(Problem(str(path), place, problem, "it is on another file"))
    read = None
    try:
        read = read_as(_Line, record, path, place=lambda pointer: f"{place}: {pointer}" if pointer else place)
    except InputError as error:
        problems += error.problems
    if problems or read is None:
        raise InputError(problems)
    offset = _PERSON[people[0]]
    same = {key: getattr(read, key) for key in _SAME}
    try:
        return Correction(
            person=getattr(read, people[0]),
            verdict=read.decision,
            old=_parse_point(read.old, offset),
            new=_parse_point(read.new, offset),
            **same,
        )
    except ValueError as error:
        raise InputError.single(path, place, str(error)) from None


def kind_of_line(record: Mapping[str, Any]) -> str:
    """The format of the files that a parsed line can be on; of those that name their people alike the plainest."""
    return next(f.kind for f in FORMATS[::-1] if f.identity.key in record)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f'the key "{next(k for k in keys if keys.count(k) > 1)}" stands twice')
    return record


def _not_json(literal: str) -> NoReturn:
    raise ValueError(f"{literal} is no number")


def _parse_point(value: _Point | None, offset: float) -> Point | None:
    return None if value is None else Point(value[0] - offset, value[1] - offset, value[2])


def read_corrections(
    paths: Sequence[str | Path], *, skip_bad: bool = False, kind: str | None = None
) -> list[Correction]:
    """All corrections of the files, each id once, by time; see `load_corrections`."""
    return list(load_corrections(paths, skip_bad=skip_bad, kind=kind).corrections)


def load_corrections(paths: Sequence[str | Path], *, skip_bad: bool = False, kind: str | None = None) -> Corrections:
    """Read corrections files.

    kind: of the file they must be on. Raises InputError with all problems at once: a file that cannot be read, a line
    that is no correction, an id that stands twice with different words. With `skip_bad` faulty lines are left out and
    listed; of two with one id the first stays.
    """
    fatal: list[Problem] = []
    problems: list[Problem] = []
    read: list[tuple[CorrectionsFile, list[tuple[int, Correction]]]] = []
    for path in map(Path, paths):
        try:
            data = path.read_bytes()
        except OSError as error:
            fatal.append(Problem(str(path), "", f"cannot be read ({error.strerror})"))
            continue
        numbered, faults = _parse_file(path, data, kind)
        problems += faults
        read.append((CorrectionsFile(path, hashlib.sha256(data).hexdigest(), len(numbered)), numbered))
    # Of decisions with one time those in the file with the smaller hash are first: whichever way, but always the same.
    read.sort(key=lambda r: (r[0].sha256, str(r[0].path)))
    first: dict[str, tuple[Correction, str]] = {}
    for file, numbered in read:
        for number, correction in numbered:
            known = first.setdefault(correction.id, (correction, f"{file.path}, line {number}"))
            if known[0] != correction:
                problem = f"the id {correction.id} stands in {known[1]} too, with other words"
                problems.append(Problem(str(file.path), f"line {number}", problem, "an id belongs to one decision"))
    if fatal or (problems and not skip_bad):
        raise InputError((*fatal, *problems))
    corrections = sorted((c for c, _ in first.values()), key=lambda c: c.instant)
    files = {file.sha256: file for file, _ in reversed(read)}
    return Corrections(tuple(corrections), tuple(files[key] for key in sorted(files)), tuple(problems))


def _parse_file(path: Path, data: bytes, kind: str | None) -> tuple[list[tuple[int, Correction]], list[Problem]]:
    """The good lines with their numbers, and what is wrong with the others. Empty lines are nothing."""
    lines = data.split(b"\n")
    good: list[tuple[int, Correction]] = []
    problems: list[Problem] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            good.append((number, parse_line(line, path, number, kind=kind)))
        except InputError as error:
            if number == len(lines) and not line.rstrip().endswith(b"}"):
                what = "is cut off: the program that wrote it was stopped in the middle of the line"
                problems.append(Problem(str(path), f"line {number}", what, f"{_LEAVE_OUT}; nothing before it is lost"))
            else:
                problems += error.problems
    return good, problems


def append_corrections(path: str | Path, corrections: Sequence[Correction], kind: str) -> int:
    """Append those whose id is not yet in the file, which is created if need be. Returns how many that were.

    They are on disk when this returns. Several programs may append to one file. What a stopped writer left without an
    end becomes a line of its own, for `read_corrections` to complain about. Raises InputError if the file cannot be
    written; then nothing was appended.
    """
    path = Path(path)
    try:
        created = not path.exists()
        with path.open("ab+", buffering=0) as file, _alone(file.fileno()):
            file.seek(0)
            before = file.read()
            known = _ids(before)
            new = list({c.id: c for c in reversed(corrections) if c.id not in known}.values())[::-1]
            if not new:
                return 0
            lines = b"".join(correction_line(c, kind) for c in new)
            if before and not before.endswith(b"\n"):
                lines = b"\n" + lines
            try:
                _write_all(file.fileno(), lines)
                os.fsync(file.fileno())
            except OSError:
                file.truncate(len(before))
                raise
        if created:
            _sync_folder(path.parent)
    except OSError as error:
        raise InputError.single(path, "", f"cannot be written ({error.strerror or error})") from None
    return len(new)


def _ids(data: bytes) -> set[Any]:
    """The ids of all lines that are JSON objects."""
    found: set[Any] = set()
    for line in data.splitlines():
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(record, dict) and isinstance(record.get("id"), str):
            found.add(record["id"])
    return found


@contextmanager
def _alone(descriptor: int) -> Iterator[None]:
    """Until the block ends no other program that asks may write to the file."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _sync_folder(folder: Path) -> None:
    """So that the name of a new file survives a crash, too."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
