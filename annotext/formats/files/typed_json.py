"""Frozen dataclasses with arrays as JSON, and back to the bit; nothing here knows what they mean.

A field is a key; one that holds its default is left out. Arrays of numbers stand as lists where they are short enough
to be read by people, else as `{"dtype", "shape", "base64"}` (C order, little-endian). A number that is not finite is a
text: "nan", "inf", "-inf".
Every problem is reported with its place.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Literal

import numpy as np

from annotext.formats.files.jsonio import kind_of

# One-dimensional arrays of up to so many float64 or int64 stand as lists.
READABLE = 64
_DTYPES = ("float64", "float32", "int64", "bool")
_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_SCALARS: dict[type, str] = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}

Report = Callable[[str, str], None]


def to_json(value: Any) -> Any:
    """A dataclass, or what its fields may hold, as JSON values; `from_json` gives it back.

    Raises TypeError for what has no form here.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: (getattr(value, f.name), f.default) for f in dataclasses.fields(value)}
        return {
            name: to_json(v)
            for name, (v, default) in fields.items()
            if default is dataclasses.MISSING or type(v) is not type(default) or v != default
        }
    if isinstance(value, np.ndarray):
        return _array_to_json(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: to_json(v) for key, v in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def from_json(kind: Any, value: Any, pointer: str, report: Report) -> Any:
    """`value` as the type `kind`: a dataclass, an array (`NDArray[...]`), a tuple, a mapping, a literal or a plain one.

    report: called with (pointer, problem) for each fault; what is returned is then of no use.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        return from_json(next(a for a in arguments if a is not type(None)), value, pointer, report)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _dataclass(kind, value, pointer, report)
    if origin is np.ndarray:
        return _array(np.dtype(typing.get_args(arguments[1])[0]), value, pointer, report)
    if origin is Literal:
        if value not in arguments:
            report(pointer, f"is {value!r:.40}, expected one of {', '.join(map(str, arguments))}")
        return value
    if isinstance(kind, type) and issubclass(kind, Enum):
        if value not in [member.value for member in kind]:
            report(pointer, f"is {value!r:.40}, expected one of {', '.join(str(m.value) for m in kind)}")
            return None
        return kind(value)
    if origin in (tuple, list):
        return _tuple(arguments, value, pointer, report)
    if origin in (dict, Mapping):
        if not isinstance(value, dict):
            report(pointer, f"is {kind_of(value)}, expected an object")
            return None
        return {key: from_json(arguments[1], v, f"{pointer}.{key}", report) for key, v in value.items()}
    return _scalar(kind, value, pointer, report)


def _dataclass(kind: type, value: Any, pointer: str, report: Report) -> Any:
    if not isinstance(value, dict):
        report(pointer, f"is {kind_of(value)}, expected an object")
        return None
    before = f"{pointer}." if pointer else ""
    faults: list[str] = []

    def note(place: str, problem: str) -> None:
        faults.append(place)
        report(place, problem)

    fields = {f.name: f for f in dataclasses.fields(kind)}
    hints = typing.get_type_hints(kind)
    for key in value:
        if key not in fields:
            note(before + key, "unknown key")
    for name, field in fields.items():
        if name not in value and field.default is dataclasses.MISSING:
            note(before + name, "missing")
    built = {name: from_json(hints[name], value[name], before + name, note) for name in fields if name in value}
    if faults:
        return None
    try:
        return kind(**built)
    except ValueError as error:
        report(pointer, str(error))
        return None


def _tuple(arguments: tuple[Any, ...], value: Any, pointer: str, report: Report) -> Any:
    if not isinstance(value, list):
        report(pointer, f"is {kind_of(value)}, expected a list")
        return None
    if len(arguments) == 1 or arguments[-1] is Ellipsis:
        kinds = [arguments[0]] * len(value)
    elif len(arguments) != len(value):
        report(pointer, f"has {len(value)} entries, expected {len(arguments)}")
        return None
    else:
        kinds = list(arguments)
    return tuple(from_json(k, v, f"{pointer}[{i}]", report) for i, (k, v) in enumerate(zip(kinds, value, strict=True)))


def _scalar(kind: Any, value: Any, pointer: str, report: Report) -> Any:
    if kind is float and isinstance(value, str) and value in _NOT_FINITE:
        return _NOT_FINITE[value]
    if kind is float and type(value) is int and abs(value) < 1 << 1023:
        return float(value)
    if type(value) is not kind:
        report(pointer, f"is {kind_of(value)}, expected {_SCALARS.get(kind, kind)}")
    return value


def _array_to_json(values: np.ndarray) -> Any:
    name = values.dtype.name
    if name not in _DTYPES:
        raise TypeError(f"an array of {name} cannot be written as JSON")
    if values.ndim == 1 and len(values) <= READABLE and name != "float32" and np.isfinite(values).all():
        return values.tolist()
    data = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).tobytes()
    return {"dtype": name, "shape": list(values.shape), "base64": base64.b64encode(data).decode()}


def _array(dtype: np.dtype[Any], value: Any, pointer: str, report: Report) -> Any:
    if isinstance(value, list):
        wrong = [i for i, v in enumerate(value) if not _fits(v, dtype)]
        for i in wrong:
            report(f"{pointer}[{i}]", f"is {kind_of(value[i])}, expected {_SCALARS[type(dtype.type(0).item())]}")
        return None if wrong else np.array(value, dtype=dtype)
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "base64"}:
        report(pointer, f"is {kind_of(value)}, expected numbers: a list, or an object of dtype, shape and base64")
        return None
    if value["dtype"] != dtype.name:
        report(f"{pointer}.dtype", f"is {value['dtype']!r:.40}, expected {dtype.name}")
        return None
    shape = value["shape"]
    if not isinstance(shape, list) or not all(type(side) is int and side >= 0 for side in shape):
        report(f"{pointer}.shape", "expected a list of whole numbers from 0 up")
        return None
    try:
        data = base64.b64decode(value["base64"], validate=True)
    except (binascii.Error, TypeError, ValueError):
        report(f"{pointer}.base64", "is no base64 text")
        return None
    if len(data) != math.prod(shape) * dtype.itemsize:
        report(pointer, f"holds {len(data)} bytes, a shape of {shape} needs {math.prod(shape) * dtype.itemsize}")
        return None
    # A copy in the machine's own order: what comes out of a buffer cannot be written to.
    try:
        return np.frombuffer(data, dtype=dtype.newbyteorder("<")).astype(dtype).reshape(shape)
    except (ValueError, OverflowError):
        report(f"{pointer}.shape", "is of more or longer dimensions than an array can have")
        return None


def _fits(value: Any, dtype: np.dtype[Any]) -> bool:
    if dtype.kind == "b":
        return type(value) is bool
    if dtype.kind == "i":
        return type(value) is int and -(2**63) <= value < 2**63
    return type(value) is float or (type(value) is int and abs(value) < 1 << 1023)
