"""Small files as frozen dataclasses: JSON objects and TOML tables, read strictly and written back.

A field of the dataclass is a key of its object; it may lie elsewhere (`At`). Arrays of numbers are lists where they are
short enough for people to read, else `{"dtype", "shape", "base64"}` (C order, little-endian). Where a file may hold
numbers that are not finite, they are the texts "nan", "inf", "-inf".

All faults of a file are reported at once, each with its pointer and a hint: an unknown key with the one that was
probably meant. What a type cannot say, a dataclass checks in its `__post_init__` by `demand`, and a single value by
`Annotated[type, check]`, where `check(value)` returns the problem, or "" for a value that fits.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import difflib
import functools
import json
import math
import tomllib
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np

from annotext.core.errors import InputError, Problem

T = TypeVar("T")

# One-dimensional arrays of up to so many float64 or int64 are written as lists.
READABLE = 64
_DTYPES = ("float64", "float32", "int64", "bool")
_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_SCALARS: dict[type, str] = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
_MISSING = object()


class Invalid(ValueError):
    """A value that does not fit. place: the field it belongs to, of the dataclass that raises it."""

    def __init__(self, place: str, problem: str, hint: str = "") -> None:
        super().__init__(f"{place}: {problem}")
        self.place, self.problem, self.hint = place, problem, hint


def demand(holds: bool, place: str, problem: str, hint: str = "") -> None:
    """Raise `Invalid` unless it holds."""
    if not holds:
        raise Invalid(place, problem, hint)


@dataclasses.dataclass(frozen=True)
class At:
    """`Annotated[type, At("a.b")]`: the field lies at this path below its object; "": its keys are the object's own."""

    path: str


@dataclasses.dataclass(frozen=True)
class Keys:
    """`Annotated[Mapping[str, type], Keys(names)]`: a mapping that has these keys; others are left alone."""

    names: tuple[str, ...]


def within(low: float, high: float) -> Callable[[float | None], str]:
    """A check that a number, where there is one, is in [low, high]."""
    return lambda value: "" if value is None or low <= value <= high else f"{value:g} is outside {low:g}-{high:g}"


def shown(value: Any, table: str = "an object") -> str:
    """A value of a file as messages show it: a scalar as it is written, `a list`, `an object`."""
    if isinstance(value, Mapping):
        return table
    if isinstance(value, list | tuple):
        return "a list"
    if value is None or isinstance(value, str | bool):
        return f"{json.dumps(value, ensure_ascii=False):.40}"
    return f"{value!s:.40}"


def read_toml(path: str | Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises InputError."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError.single(path, "", f"cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError.single(path, "", f"is not valid TOML: {error}") from None


def body_of(document: Any, format: str, path: str | Path, hint: str = "") -> dict[str, Any]:
    """A JSON document without its key `format`. Raises InputError if it is not an object of this format."""
    if not isinstance(document, dict):
        raise InputError.single(path, "", f"is {shown(document)}, expected an object of the format {format}", hint)
    if document.get("format") != format:
        found = f"is {shown(document['format'])}" if "format" in document else "is missing"
        raise InputError.single(path, "format", f"{found}, expected {format}", hint)
    return {key: value for key, value in document.items() if key != "format"}


def read_as(
    kind: type[T],
    value: Any,
    path: str | Path,
    *,
    place: Callable[[str], str] = str,
    finite: bool = True,
    ignore_unknown: bool = False,
) -> T:
    """`value`, of a parsed file, as `kind`.

    kind: a dataclass, an array (`NDArray[...]`), a tuple, a mapping, an enum, a literal, a scalar, or one of several
    dataclasses that the key `kind` tells apart.
    path: names the file in problems. place: from a pointer within `value` to the one in the file. finite: refuse
    numbers that are not. ignore_unknown: leave keys alone that are no fields. Raises InputError with all problems.
    """
    reader = _Reader(str(path), place, finite, ignore_unknown)
    result = reader.read(kind, value, "")
    if reader.problems:
        raise InputError(reader.problems)
    return result


@functools.cache
def _fields(kind: type) -> dict[str, tuple[str | None, Any, bool]]:
    """Per field: where it lies, its type, and whether it must be there."""
    hints = typing.get_type_hints(kind, include_extras=True)
    found: dict[str, tuple[str | None, Any, bool]] = {}
    for f in dataclasses.fields(kind):
        hint, path = hints[f.name], None
        marks = getattr(hint, "__metadata__", ())
        if marks and isinstance(marks[-1], At):
            hint, path = Annotated[(hint.__origin__, *marks[:-1])] if marks[1:] else hint.__origin__, marks[-1].path
        found[f.name] = path, hint, f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    return found


class _Reader:
    """Reads on after a fault, so that all are found; what it returns is then of no use."""

    def __init__(self, path: str, place: Callable[[str], str], finite: bool, ignore_unknown: bool) -> None:
        self.path, self.place, self.finite, self.ignore_unknown = path, place, finite, ignore_unknown
        self.problems: list[Problem] = []
        self.table = "a table" if path.endswith(".toml") else "an object"

    def fault(self, pointer: str, problem: str, hint: str = "") -> None:
        self.problems.append(Problem(self.path, self.place(pointer), problem, hint))

    def expected(self, what: str, value: Any, pointer: str) -> None:
        self.fault(pointer, f"is {shown(value, self.table)}, expected {what}")

    def choice(self, value: Any, choices: Iterable[Any], pointer: str) -> None:
        names = [str(c) for c in choices]
        self.fault(pointer, f"is {shown(value, self.table)}, expected one of {', '.join(names)}", _meant(value, names))

    def read(self, kind: Any, value: Any, pointer: str) -> Any:
        if kind in _SCALARS:
            return self.scalar(kind, value, pointer)
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin is Annotated and isinstance(arguments[1], Keys):
            return self.mapping(typing.get_args(arguments[0])[1], value, pointer, arguments[1].names)
        if origin is Annotated:
            before = len(self.problems)
            found = self.read(arguments[0], value, pointer)
            problem = arguments[1](found) if len(self.problems) == before else ""
            if problem:
                self.fault(pointer, problem)
            return found
        if origin in (types.UnionType, typing.Union):
            kinds = [a for a in arguments if a is not type(None)]
            if value is None and len(kinds) < len(arguments):
                return None
            return self.read(kinds[0], value, pointer) if len(kinds) == 1 else self.one_of(kinds, value, pointer)
        if dataclasses.is_dataclass(kind):
            return self.dataclass(kind, value, pointer)
        if origin is np.ndarray:
            return self.array(np.dtype(typing.get_args(arguments[1])[0]), value, pointer)
        if origin is Literal:
            if not any(type(value) is type(a) and value == a for a in arguments):
                self.choice(value, arguments, pointer)
            return value
        if origin is tuple:
            return self.tuple(arguments, value, pointer)
        if origin in (dict, Mapping):
            return self.mapping(arguments[1], value, pointer)
        if isinstance(kind, type) and issubclass(kind, Enum):
            found = next((member for member in kind if type(value) is str and member.value == value), None)
            if found is None:
                self.choice(value, [member.value for member in kind], pointer)
            return found
        if kind is not Any:
            raise TypeError(f"{kind} cannot be read")
        return value

    def one_of(self, kinds: list[Any], value: Any, pointer: str) -> Any:
        if not isinstance(value, Mapping):
            return self.expected(self.table, value, pointer)
        by_name = {kind.kind: kind for kind in kinds}
        if "kind" not in value:
            return self.fault(_below(pointer, "kind"), f"is missing, expected one of {', '.join(by_name)}")
        name = value["kind"]
        if not isinstance(name, str) or name not in by_name:
            return self.choice(name, by_name, _below(pointer, "kind"))
        return self.dataclass(by_name[name], {k: v for k, v in value.items() if k != "kind"}, pointer)

    def dataclass(self, kind: Any, value: Any, pointer: str) -> Any:
        if not isinstance(value, Mapping):
            return self.expected(self.table, value, pointer)
        before = len(self.problems)
        fields = _fields(kind)
        for key in () if self.ignore_unknown else value:
            if key not in fields:
                hint = _meant(key, fields) or f"known here: {', '.join(fields)}"
                self.fault(_below(pointer, key), "unknown key", hint)
        built: dict[str, Any] = {}
        for name, (path, hint, required) in fields.items():
            found = value.get(name, _MISSING) if path is None else _at(value, path)
            inside = _below(pointer, name if path is None else path)
            if found is not _MISSING:
                built[name] = self.read(hint, found, inside)
            elif required:
                self.fault(inside, "is missing")
        if len(self.problems) > before:
            return None
        try:
            return kind(**built)
        except Invalid as error:
            self.fault(_below(pointer, error.place), error.problem, error.hint)
        except ValueError as error:
            self.fault(pointer, str(error))

    def mapping(self, kind: Any, value: Any, pointer: str, keys: tuple[str, ...] | None = None) -> Any:
        if not isinstance(value, Mapping):
            return self.expected(self.table, value, pointer)
        if keys is not None:
            for key in keys:
                if key not in value:
                    self.fault(_below(pointer, key), "is missing")
            value = {key: value[key] for key in keys if key in value}
        return {key: self.read(kind, v, _below(pointer, key)) for key, v in value.items()}

    def tuple(self, arguments: tuple[Any, ...], value: Any, pointer: str) -> Any:
        if not isinstance(value, list):
            return self.expected("a list", value, pointer)
        if arguments[-1] is Ellipsis:
            arguments = arguments[:1] * len(value)
        elif len(arguments) != len(value):
            return self.fault(pointer, f"has {len(value)} entries, expected {len(arguments)}")
        return tuple(
            [self.read(k, v, f"{pointer}[{i}]") for i, (k, v) in enumerate(zip(arguments, value, strict=True))]
        )

    def scalar(self, kind: Any, value: Any, pointer: str) -> Any:
        if kind is float:
            if not self.finite and isinstance(value, str) and value in _NOT_FINITE:
                return _NOT_FINITE[value]
            if type(value) is int and abs(value) < 1 << 1023:
                return float(value)
        if type(value) is not kind:
            self.expected(_SCALARS[kind], value, pointer)
        elif isinstance(value, float) and self.finite and not math.isfinite(value):
            self.expected("a finite number", value, pointer)
        return value

    def array(self, dtype: np.dtype[Any], value: Any, pointer: str) -> Any:
        if isinstance(value, list):
            before = len(self.problems)
            scalar = type(dtype.type(0).item())
            for i, v in enumerate(value):
                found = self.scalar(scalar, v, f"{pointer}[{i}]")
                if scalar is int and type(found) is int and not -(2**63) <= found < 2**63:
                    self.expected("a whole number of 64 bits", found, f"{pointer}[{i}]")
            return None if len(self.problems) > before else np.array(value, dtype=dtype)
        if not isinstance(value, dict) or set(value) != {"dtype", "shape", "base64"}:
            return self.expected("numbers: a list, or an object of dtype, shape and base64", value, pointer)
        if value["dtype"] != dtype.name:
            return self.expected(dtype.name, value["dtype"], f"{pointer}.dtype")
        shape = value["shape"]
        if not isinstance(shape, list) or not all(type(side) is int and side >= 0 for side in shape):
            return self.fault(f"{pointer}.shape", "expected a list of whole numbers from 0 up")
        try:
            data = base64.b64decode(value["base64"], validate=True)
        except (binascii.Error, TypeError, ValueError):
            return self.fault(f"{pointer}.base64", "is no base64 text")
        needed = math.prod(shape) * dtype.itemsize
        if len(data) != needed:
            return self.fault(pointer, f"holds {len(data)} bytes, a shape of {shape} needs {needed}")
        # A copy in the machine's own order: what comes out of a buffer cannot be written to.
        try:
            return np.frombuffer(data, dtype=dtype.newbyteorder("<")).astype(dtype).reshape(shape)
        except (ValueError, OverflowError):
            return self.fault(f"{pointer}.shape", "is of more or longer dimensions than an array can have")


def _below(pointer: str, key: str) -> str:
    return f"{pointer}.{key}" if pointer and key else pointer or key


def _at(value: Any, path: str) -> Any:
    for key in path.split(".") if path else ():
        value = value.get(key, _MISSING) if isinstance(value, Mapping) else _MISSING
    return value


def _meant(value: Any, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(value, list(names), n=1) if isinstance(value, str) else ()
    return f"did you mean {close[0]}?" if close else ""


def to_json(value: Any) -> Any:
    """A dataclass, or what its fields may hold, as JSON values; `read_as` gives it back.

    A field that holds its default is left out. Raises TypeError for what has no form here.
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


def _array_to_json(values: np.ndarray) -> Any:
    name = values.dtype.name
    if name not in _DTYPES:
        raise TypeError(f"an array of {name} cannot be written as JSON")
    if values.ndim == 1 and len(values) <= READABLE and name != "float32" and np.isfinite(values).all():
        return values.tolist()
    data = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).tobytes()
    return {"dtype": name, "shape": list(values.shape), "base64": base64.b64encode(data).decode()}


def to_toml(value: Any) -> Any:
    """A dataclass as a TOML table with every value spelled out; `read_as` gives it back."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        values = {name: to_toml(v) for name, v in fields.items() if v is not None}
        # TOML wants a table's own values before its sub-tables.
        return dict(sorted(values.items(), key=lambda item: _is_table(item[1])))
    if isinstance(value, tuple):
        return [to_toml(v) for v in value]
    if isinstance(value, Mapping):
        return {key: to_toml(v) for key, v in value.items()}
    return value


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))
