"""The way back: take out of an extended document what annotext put in."""

from __future__ import annotations

from typing import Any

from annotext.core.errors import InputError
from annotext.formats.annotations.read import format_of
from annotext.formats.annotations.records import Faults
from annotext.formats.files.jsonio import kind_of
from annotext.formats.overlay.block import EXTENDED_KEY
from annotext.formats.overlay.header import POINTER, header_in, is_extended, is_restore, without_header
from annotext.formats.overlay.pseudo_labels import is_new
from annotext.formats.overlay.split import split


def strip_document(document: Any, path: object = "document") -> Any:
    """The document annotext extended: equal as JSON, key order included. The argument is not mutated.

    Raises InputError (naming `path`) with all problems if the document is not extended, or was changed so that its
    additions cannot be told from what was there before.
    """
    format = format_of(document)
    if format is None or not is_extended(document, format):
        raise InputError.single(path, "", "is not an extended file", "annotext wrote nothing into it")
    faults = Faults(path)
    records = format.records(document)
    if not isinstance(records, list):
        faults.file(format.section, f"is {kind_of(records)}, expected a list")
    header = None if format.header_beside else header_in(document)
    restore = None if header is None else header.get("restore")
    if header is not None and not (is_restore(restore) and isinstance(header.get("added"), list) and header["added"]):
        faults.file(POINTER, "lacks added or restore, or they make no sense", "the header was changed")
    parts = None if faults.fatal else split(document, format, faults, header, reading=False)
    if parts is None or faults.fatal or faults.records:
        raise InputError((*faults.fatal, *faults.records))
    base = parts.base if restore is None else without_header(parts.base, restore)
    kept = zip(records, format.records(base), strict=True)
    return format.with_records(base, [new for old, new in kept if not is_new(old)])


def count_additions(document: Any) -> tuple[int, int]:
    """Of an extended document: records that carry added keypoints, and how many keypoints were added to each."""
    format = format_of(document)
    assert format is not None, "only an extended document has additions"
    blocks = [r[EXTENDED_KEY] for r in format.records(document) if isinstance(r, dict) and EXTENDED_KEY in r]
    header = header_in(document)
    return len(blocks), len(header["added"]) if header else len(blocks[0]["source"])
