"""JSON files in and out, exactly: key order, ints and floats stay what they were; faults are named with their place."""

from __future__ import annotations

import gc
import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from annotext.core.errors import InputError, Problem
from annotext.formats.files.outputs import writing

# An integer of 19 digits may not fit 64 bits; orjson would read it as a float. The pattern is slow, so a file is first
# searched for that many digits in a row, whichever they are. A hit inside a text only costs time.
_DIGITS_AS_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_LONG_INTEGER = re.compile(rb"(?<![\d.eE+])\d{19,}(?![\d.eE])")
_KEY_END = re.compile(rb'"\s*:')
_CONSTANTS = ("NaN", "Infinity", "-Infinity")
_KINDS = {
    bool: "true or false",
    dict: "an object",
    list: "a list",
    str: "a text",
    int: "a number",
    float: "a number",
}


def read_json(path: str | Path) -> tuple[Any, str]:
    """The parsed document and the sha256 (hex) of the file's bytes.

    Numbers keep their kind (1 and 1.0 differ) and integers of any length their value. Raises InputError for a file
    that cannot be read, is empty, is not JSON (with line and column), holds NaN, Infinity or a number beyond float64
    (with the pointer of each), or names a key twice in one object.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError.single(path, "", f"cannot be read ({error.strerror})") from None
    if not data.strip():
        raise InputError.single(path, "", "is empty", "expected a JSON document")
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise InputError(_diagnose(path, data, error)) from None
    try:
        written = orjson.dumps(document)
    except TypeError:  # what orjson reads it writes, but for documents of more than some 250 levels
        raise InputError.single(path, "", "is nested too deeply") from None
    _refuse_repeated_keys(path, data, written)
    if b"0" * 19 in data.translate(_DIGITS_AS_ZEROS) and _LONG_INTEGER.search(data):
        document = json.loads(data)
    return document, hashlib.sha256(data).hexdigest()


def dump_json(document: Any) -> bytes:
    """Compact UTF-8 JSON in the document's key order; the same document gives the same bytes."""
    try:
        return orjson.dumps(document)
    except TypeError:
        # Integers beyond 64 bits.
        return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def write_json(
    document: Any, output: str | Path, *, force: bool, inputs: Iterable[str | Path] = (), indent: bool = False
) -> None:
    """Write a JSON file whole or not at all. Raises InputError as `outputs.check_output` does."""
    data = orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n" if indent else dump_json(document)
    with writing(output, force=force, inputs=inputs) as temporary:
        temporary.write_bytes(data)


@contextmanager
def no_collecting() -> Iterator[None]:
    """`with no_collecting():` build large documents without Python searching them for cycles, which they have none of.

    On 146,386 people it takes a fifth off the time that deciding and writing take.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def kind_of(value: Any) -> str:
    """What a JSON value is, for messages: `an object`, `a list`, `a text`, ..."""
    if value is None:
        return "null"
    return _KINDS.get(type(value), type(value).__name__)


class _NotANumber:
    """Stands where the file has a literal that JSON does not know."""

    def __init__(self, literal: str) -> None:
        self.literal = literal


def _diagnose(path: Path, data: bytes, error: orjson.JSONDecodeError) -> list[Problem]:
    name = str(path)
    if data[:2] == b"\x1f\x8b":
        return [Problem(name, "", "is compressed with gzip", "gunzip it first")]
    if data[:3] == b"\xef\xbb\xbf":
        return [Problem(name, "", "starts with a byte order mark", "save it as UTF-8 without BOM")]
    try:
        data.decode()
    except UnicodeDecodeError as fault:
        return [Problem(name, f"byte {fault.start}", "is not UTF-8 text", "save the file as UTF-8")]

    def number(literal: str) -> float | _NotANumber:
        value = float(literal)
        return value if math.isfinite(value) else _NotANumber(literal)

    def integer(literal: str) -> int | _NotANumber:
        return int(literal) if len(literal) < 309 else _NotANumber(f"{literal[:20]}... of {len(literal)} digits")

    try:
        document = json.loads(data, parse_constant=_NotANumber, parse_float=number, parse_int=integer)
    except json.JSONDecodeError as fault:
        return [Problem(name, f"line {fault.lineno} column {fault.colno}", f"is not JSON: {fault.msg}")]
    except RecursionError:
        return [Problem(name, "", "is nested too deeply")]
    found = [
        Problem(
            name,
            pointer,
            f"is {value.literal}, " + ("not JSON" if value.literal in _CONSTANTS else "too large for a float"),
            "every number must be finite",
        )
        for pointer, value in _leaves(document, "")
        if isinstance(value, _NotANumber)
    ]
    return found or [Problem(name, f"line {error.lineno} column {error.colno}", f"is not JSON: {error.msg}")]


def _leaves(value: Any, pointer: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{pointer}.{key}" if pointer else key)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _leaves(inner, f"{pointer}[{i}]")
    else:
        yield pointer, value


def _refuse_repeated_keys(path: Path, data: bytes, written: bytes) -> None:
    """written: `data` parsed and written again."""
    # Parsing keeps the last of repeated keys. Writing what was parsed then has fewer keys than the file, which is
    # quick to count; only a file that differs is parsed again to name them.
    if len(_KEY_END.findall(data)) == written.count(b'":'):
        return
    repeated: dict[str, int] = {}

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(items)
        if len(result) < len(items):
            seen: set[str] = set()
            for key, _ in items:
                if key in seen:
                    repeated[key] = repeated.get(key, 0) + 1
                seen.add(key)
        return result

    json.loads(data, object_pairs_hook=pairs)
    if repeated:
        raise InputError(
            Problem(str(path), "", f'the key "{key}" stands twice in one object ({times}x)', "keep one of them")
            for key, times in repeated.items()
        )
