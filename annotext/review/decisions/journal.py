"""The journals of a review: one append-only file a reviewer, beside the extended file. No database is needed."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import orjson

from annotext.core.errors import InputError, Problem
from annotext.review.decisions.correction import Correction
from annotext.review.decisions.files import kind_of_line, load_corrections, parse_line
from annotext.review.decisions.reviewers import check_name

SUFFIX = ".jsonl"
# File systems take 255 bytes; the rest is for the suffix and for what tools put behind a name.
LONGEST_NAME = 200


def journal_folder(extended: str | Path) -> Path:
    """Where the decisions about an extended file are kept: `<EXTENDED>.review`."""
    extended = Path(extended)
    return extended.with_name(extended.name + ".review")


def make_journal_folder(folder: Path) -> None:
    """Make it, if need be, so that it survives a crash. The extended file's own folder must be there.

    Raises InputError if it cannot be made.
    """
    if folder.is_dir():
        return
    try:
        folder.mkdir(exist_ok=True)
        if sys.platform != "win32":
            # A new name is on the disk when the folder above is.
            above = os.open(folder.parent, os.O_RDONLY)
            try:
                os.fsync(above)
            finally:
                os.close(above)
    except OSError as error:
        problem = f"decisions cannot be kept there ({error.strerror or error})"
        raise InputError.single(folder, "", problem, "nothing was recorded") from None


def journal_name(reviewer: str) -> str:
    """The file name of a reviewer's journal. Two reviewers never share one, on no file system.

    Lower-case letters, digits, `.`, `-` and `_` stay; a capital becomes `+` and its small letter, for file systems that
    do not tell the two apart; every other byte of the UTF-8 text becomes `%` and two digits. A name too long for a file
    is cut, with its hash behind `~`. Raises AnnotextError for a name that is none; see `check_name`.
    """
    check_name(reviewer)
    written = "".join(_written(c) for c in reviewer)
    if written.startswith("."):
        written = "%2e" + written[1:]
    if len(written) > LONGEST_NAME:
        digest = hashlib.sha256(reviewer.encode()).hexdigest()
        written = f"{written[: LONGEST_NAME - len(digest) - 1]}~{digest}"
    return written + SUFFIX


def _written(character: str) -> str:
    if "A" <= character <= "Z":
        return "+" + character.lower()
    if character in ".-_" or "a" <= character <= "z" or "0" <= character <= "9":
        return character
    return quote(character, safe="").lower() if character != "~" else "%7e"


def journal_files(folder: str | Path) -> list[Path]:
    """The journals in a folder, in the order of their names; none where there is no folder.

    Raises InputError for a folder that cannot be read.
    """
    folder = Path(folder)
    try:
        return sorted(p for p in folder.iterdir() if p.suffix == SUFFIX and p.is_file())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError.single(folder, "", f"cannot be read ({error.strerror or error})") from None


def read_journals(folder: str | Path) -> tuple[list[Correction], tuple[Problem, ...]]:
    """All decisions of a folder's journals, each id once, by (time, id); and the lines that are none.

    A line that was cut off, by a crash or a full disk, is a problem and not a decision: it was never acknowledged.
    """
    read = load_corrections(journal_files(folder), skip_bad=True)
    return in_order(read.corrections), read.skipped


def in_order(corrections: Iterable[Correction]) -> list[Correction]:
    """By time, then by id: the same set of decisions always comes in the same order. Each id once."""
    once = {c.id: c for c in corrections}
    return sorted(once.values(), key=lambda c: (c.instant, c.id))


def journal_kind(files: Iterable[Path]) -> str | None:
    """What kind of file the journals are about, by their first line that is a decision; None where there is none."""
    for file in files:
        for line in file.read_bytes().splitlines():
            try:
                parse_line(line)
            except InputError:
                continue
            return kind_of_line(orjson.loads(line))
    return None
