"""The header of an extended file: what holds for all of its added points. See docs/formats/extended.md.

It stands in the document as `info.annotext`, or beside a file whose format has no place for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeGuard

from annotext.core.errors import InputError
from annotext.formats.annotations.base import Format
from annotext.formats.annotations.records import Faults, is_count
from annotext.formats.files.jsonio import kind_of, read_json
from annotext.formats.overlay.block import EXTENDED_KEY

POINTER = f"info.{EXTENDED_KEY}"


def header_path(path: str | Path) -> Path:
    """Where the header stands that the document has no place for (MPII): `<file>.annotext.json` beside it."""
    path = Path(path)
    return path.with_name(path.name + ".annotext.json")


def header_in(document: Any) -> dict[str, Any] | None:
    """`info.annotext` of an extended document, else None."""
    info = document.get("info") if isinstance(document, dict) else None
    header = info.get(EXTENDED_KEY) if isinstance(info, dict) else None
    return header if isinstance(header, dict) else None


def added_count(document: Any) -> int:
    """How many keypoints the header in a document names; 0 without one."""
    added = (header_in(document) or {}).get("added")
    return len(added) if isinstance(added, list) else 0


def first_block(document: Any, format: Format) -> int | None:
    """Position of the first record with a block."""
    records = format.records(document)
    if not isinstance(records, list):
        return None
    return next((i for i, r in enumerate(records) if isinstance(r, dict) and EXTENDED_KEY in r), None)


def is_extended(document: Any, format: Format) -> bool:
    """Whether annotext wrote this document and has not taken the additions out again."""
    return first_block(document, format) is not None if format.header_beside else header_in(document) is not None


def find_header(document: Any, format: Format, path: Path, faults: Faults) -> dict[str, Any] | None:
    """The header of an extended document, None for a plain one. What is wrong with it goes into `faults`."""
    if format.header_beside:
        return _header_beside(document, format, header_path(path), faults)
    header, block = header_in(document), first_block(document, format)
    info = document.get("info")
    if header is None and isinstance(info, dict) and EXTENDED_KEY in info:
        problem = f"is {kind_of(info[EXTENDED_KEY])}, expected the header of an extended file"
        faults.file(POINTER, problem, "rename this key")
    elif header is None and block is not None:
        problem = f"missing, but {format.section}[{block}] is extended"
        faults.file(POINTER, problem, "restore the header")
    elif header is not None and not _names(header.get("added")):
        faults.file(f"{POINTER}.added", "expected the list of added keypoints")
    return header


def _header_beside(document: Any, format: Format, beside: Path, faults: Faults) -> dict[str, Any] | None:
    if first_block(document, format) is None:
        return None
    header = read_json(beside)[0] if beside.exists() else None
    if header is not None and not isinstance(header, dict):
        raise InputError.single(beside, "", f"is {kind_of(header)}, expected an object")
    if header is None or not _names(header.get("added")):
        problem = "its header is missing" if header is None else "its header lacks the added keypoints"
        hint = f"an extended {format.title} file belongs together with {beside}"
        faults.file("", f"is extended, but {problem}" if header is None else problem, hint)
    return header


def _names(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and bool(value) and all(isinstance(k, str) for k in value)


def with_header(document: Any, header: dict[str, Any], restore: dict[str, int | None]) -> Any:
    """A copy with the header, which also notes how to take it out again."""
    noted = {**header, "restore": {"info": "info" in document, **restore}}
    return {**document, "info": {**document.get("info", {}), EXTENDED_KEY: noted}}


def replaced_header(document: Any, header: dict[str, Any]) -> Any:
    """A copy with another header in place of the one it has."""
    return {**document, "info": {**document["info"], EXTENDED_KEY: header}}


def without_header(document: Any, restore: dict[str, Any]) -> Any:
    """A copy without the header."""
    if restore["info"]:
        return {**document, "info": {k: v for k, v in document["info"].items() if k != EXTENDED_KEY}}
    return {k: v for k, v in document.items() if k != "info"}


def is_restore(restore: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a header says how `strip` takes it out again."""
    return (
        isinstance(restore, dict)
        and isinstance(restore.get("info"), bool)
        and all(
            key in restore and (restore[key] is None or is_count(restore[key])) for key in ("keypoints", "skeleton")
        )
    )
