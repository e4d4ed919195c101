"""Records of a JSON list as columns of numbers, and the faults found in them.

N records of one list (`annotations`, `images`, or MPII's own).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from annotext.core.errors import Problem
from annotext.formats.files.jsonio import kind_of

# PCKh's head size is this part of the head box's diagonal (MPII's evaluation, SC_BIAS).
HEAD_SHARE = 0.6

_DRIVE = re.compile(r"[A-Za-z]:")
_INT64 = 2**63


class Faults:
    """Problems of one file. Those of a record can be skipped with the record; the others cannot."""

    def __init__(self, path: object) -> None:
        self.path = str(path)
        self.fatal: list[Problem] = []
        self._records: list[tuple[str, int, Problem]] = []
        self._bad: dict[str, set[int]] = {}

    def file(self, pointer: str, problem: str, hint: str = "") -> None:
        """A fault of the file as a whole."""
        self.fatal.append(Problem(self.path, pointer, problem, hint))

    def record(self, section: str, row: int, key: str, problem: str, hint: str = "") -> None:
        """A fault of record `row` of the list `section` ("" where the file itself is the list), under `key`."""
        pointer = f"{section}[{row}].{key}" if key else f"{section}[{row}]"
        self._records.append((section, row, Problem(self.path, pointer, problem, hint)))
        self._bad.setdefault(section, set()).add(row)

    def is_bad(self, section: str, row: int) -> bool:
        """Whether a fault was found in this record."""
        return row in self._bad.get(section, ())

    def good(self, section: str, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(len(rows),) bool: no fault was found in the record at this row."""
        bad = self._bad.get(section, set())
        return np.array([int(r) not in bad for r in rows], dtype=bool) if bad else np.ones(len(rows), dtype=bool)

    @property
    def records(self) -> tuple[Problem, ...]:
        """The faults of records in the order of the file, images before annotations."""
        order = {"images": 0}
        return tuple(p for _, _, p in sorted(self._records, key=lambda r: (order.get(r[0], 1), r[1])))


def number_rows(values: Sequence[Any], length: int, *, first: int = 0) -> tuple[NDArray[np.float64], dict[int, str]]:
    """(N, length) float64 from N JSON lists, and position -> complaint for those that are no such list.

    A complained row is NaN. Only JSON numbers count: no text, no true or false, nothing beyond float64. first: what
    positions in complaints start from.
    """
    complaints: dict[int, str] = {}
    good: list[int] | range = range(len(values))
    lists: Sequence[Any] = values
    if not all(type(v) is list and len(v) == length for v in values) or not (
        set(map(type, chain.from_iterable(values))) <= {int, float}
    ):
        complaints = {i: c for i, v in enumerate(values) if (c := _complaint(v, length, first))}
        good = [i for i in range(len(values)) if i not in complaints]
        lists = [values[i] for i in good]
    try:
        numbers = np.fromiter(chain.from_iterable(lists), dtype=np.float64, count=len(lists) * length)
    except OverflowError:
        complaints |= {i: c for i, v in enumerate(values) if i not in complaints and (c := _too_large(v, first))}
        good = [i for i in range(len(values)) if i not in complaints]
        numbers = np.array([values[i] for i in good], dtype=np.float64)
    numbers = numbers.reshape(len(good), length)
    if not complaints:
        return numbers, complaints
    result = np.full((len(values), length), np.nan)
    result[good] = numbers
    return result, complaints


def _complaint(value: Any, length: int, first: int) -> str:
    if type(value) is not list:
        return f"is {kind_of(value)}, expected a list of {length} numbers"
    if len(value) != length:
        return f"has {len(value)} numbers, expected {length}"
    for i, number in enumerate(value, start=first):
        if type(number) not in (int, float):
            return f"holds {kind_of(number)} at position {i}, expected a number"
    return ""


def _too_large(value: list[Any], first: int) -> str:
    for i, number in enumerate(value, start=first):
        try:
            float(number)
        except OverflowError:
            return f"holds a number too large for a float at position {i}"
    return ""


def unexpected(record: Mapping[str, Any], key: str, expected: str) -> str:
    """The complaint about a key whose value is not what was expected."""
    return "missing" if key not in record else f"is {record[key]!r:.40}, expected {expected}"


def box_head_size(corners_xyxy: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., 4) opposite corners of head boxes -> (...,) head sizes, in the same unit."""
    x1, y1, x2, y2 = np.moveaxis(corners_xyxy, -1, 0)
    return HEAD_SHARE * np.hypot(x2 - x1, y2 - y1)


def head_sizes(
    records: Sequence[Mapping[str, Any]], section: str, rows: Sequence[int], faults: Faults
) -> NDArray[np.float64]:
    """(N,) pixels, the head size by the optional `headbox` [x1, y1, x2, y2]; NaN without one."""
    with_box = [i for i, r in enumerate(records) if "headbox" in r]
    size = np.full(len(records), np.nan)
    boxes, complaints = number_rows([records[i]["headbox"] for i in with_box], 4)
    for i, complaint in complaints.items():
        faults.record(section, rows[with_box[i]], "headbox", complaint)
    size[with_box] = box_head_size(boxes)
    return size


def is_number(value: Any) -> TypeGuard[int | float]:
    """A JSON number that fits a float64."""
    if type(value) is float:
        return True
    return type(value) is int and abs(value) < 1 << 1023


def is_id(value: Any) -> TypeGuard[int]:
    """A whole number of 64 bits."""
    return type(value) is int and -_INT64 <= value < _INT64


def is_count(value: Any) -> TypeGuard[int]:
    """A whole number from 0 up."""
    return type(value) is int and value >= 0


def unsafe_file_name(name: Any) -> str:
    """Why `name` must not be joined to an image folder; empty if it may."""
    if not isinstance(name, str) or not name:
        return f"is {kind_of(name) if not isinstance(name, str) else 'empty'}, expected an image file name"
    if name.startswith("/") or "\\" in name or "\0" in name or _DRIVE.match(name):
        return f"{name!r} is not a plain relative path"
    if ".." in name.split("/"):
        return f"{name!r} leaves the image folder"
    return ""
