"""TOML tables as dataclasses that check themselves, and back; nothing here knows what a recipe is.

A dataclass's field is a key of its table; a field that is a mapping is a table whose keys are free. `Invalid`, raised
by `demand` in a `__post_init__`, names the field that does not fit; every problem of a document is reported with its
place, an unknown key with a guess at what was meant.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal


class Invalid(ValueError):
    """A value that does not fit, with the field it belongs to."""

    def __init__(self, place: str, problem: str, hint: str = "") -> None:
        super().__init__(f"{place}: {problem}")
        self.place, self.problem, self.hint = place, problem, hint


def demand(holds: bool, place: str, problem: str, hint: str = "") -> None:
    """Raise `Invalid` unless it holds."""
    if not holds:
        raise Invalid(place, problem, hint)


def build(kind: type, values: Any, pointer: str, report: Callable[..., None]) -> Any:
    """An instance of dataclass `kind` from a TOML table, or None after reporting what is wrong with it."""
    if not isinstance(values, Mapping):
        report(pointer, f"expected a table, got {_said(values)}")
        return None
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    before = pointer + "." if pointer else ""
    built: dict[str, Any] = {}
    sound = True
    for key, value in values.items():
        if key not in fields:
            close = difflib.get_close_matches(key, fields, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(fields)}"
            report(before + key, "unknown key", hint)
            sound = False
            continue
        failed: list[bool] = []

        def note(place: str, problem: str, hint: str = "", failed: list[bool] = failed) -> None:
            failed.append(True)
            report(place, problem, hint)

        built[key] = _value(hints[key], value, before + key, note)
        sound = sound and not failed
    for name, f in fields.items():
        if name not in built and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            if name not in values:
                report(before + name, "is missing")
            sound = False
    if not sound:
        return None
    try:
        return kind(**built)
    except Invalid as error:
        report(before + error.place, error.problem, error.hint)
        return None


def _value(hint: Any, value: Any, pointer: str, report: Callable[..., None]) -> Any:
    """`value` as the type `hint`, after reporting a mismatch."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        hint = next(a for a in arguments if a is not type(None))
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return build(hint, value, pointer, report)
    if origin is Literal:
        if value in arguments and isinstance(value, str):
            return value
        close = difflib.get_close_matches(str(value), arguments, n=1)
        report(
            pointer,
            f"{value!r} is none of {', '.join(arguments)}",
            f"did you mean {close[0]}?" if close else "",
        )
        return None
    if origin is Mapping:
        if not isinstance(value, Mapping):
            report(pointer, f"expected a table, got {_said(value)}")
            return None
        return {key: _value(arguments[1], v, f"{pointer}.{key}", report) for key, v in value.items()}
    if origin is tuple:
        if not isinstance(value, list):
            report(pointer, f"expected a list, got {_said(value)}")
            return None
        if arguments[-1] is Ellipsis:
            return tuple(_value(arguments[0], v, f"{pointer}[{i}]", report) for i, v in enumerate(value))
        if len(value) != len(arguments):
            report(pointer, f"expected {len(arguments)} values, got {len(value)}")
            return None
        return tuple(
            _value(a, v, f"{pointer}[{i}]", report) for i, (a, v) in enumerate(zip(arguments, value, strict=True))
        )
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, typing.cast(type, hint)) or (isinstance(value, bool) and hint is not bool):
        report(pointer, f"expected {_NAMES[hint]}, got {_said(value)}")
        return None
    if hint is float and not abs(value) < float("inf"):
        report(pointer, f"{value} is not finite")
    return value


_NAMES = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list):
        return "a list"
    return f"{_NAMES.get(type(value), type(value).__name__)} ({value!r})"


def plain(value: Any) -> Any:
    """A dataclass as a TOML table with every value spelled out; `build` gives it back."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        values = {name: plain(v) for name, v in fields.items() if v is not None}
        # TOML wants a table's own values before its sub-tables.
        return dict(sorted(values.items(), key=lambda item: _is_table(item[1])))
    if isinstance(value, tuple):
        return [plain(v) for v in value]
    if isinstance(value, Mapping):
        return {key: plain(v) for key, v in value.items()}
    return value


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))
