"""Dataclasses with arrays as JSON: every value comes back as it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from annotext.formats.files.typed_json import READABLE, from_json, to_json


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Inner:
    name: str
    weights: NDArray[np.float32]

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a name is empty")


@dataclass(frozen=True)
class Outer:
    number: float
    count: int
    flags: tuple[bool, ...]
    pair: tuple[int, str]
    inner: Inner | None
    by_name: Mapping[str, Inner]
    colour: Colour
    side: Literal["left", "right"]
    numbers: NDArray[np.float64]
    counts: NDArray[np.int64]
    mask: NDArray[np.bool_]


def outer(**changes: Any) -> Outer:
    inner = Inner("one", np.arange(6, dtype=np.float32).reshape(2, 3))
    values: dict[str, Any] = {
        "number": 0.1,
        "count": 3,
        "flags": (True, False),
        "pair": (1, "a"),
        "inner": inner,
        "by_name": {"z": inner, "a": inner},
        "colour": Colour.BLUE,
        "side": "left",
        "numbers": np.array([0.1, 1e-300, -0.0]),
        "counts": np.array([1, 2**60]),
        "mask": np.array([True, False]),
    }
    return Outer(**{**values, **changes})


def there_and_back(value: Any, kind: Any) -> Any:
    faults: list[tuple[str, str]] = []
    back = from_json(kind, orjson.loads(orjson.dumps(to_json(value))), "", lambda *f: faults.append(f))
    assert faults == []
    return back


def faults_of(document: Any) -> list[str]:
    faults: list[str] = []
    from_json(Outer, document, "", lambda pointer, problem: faults.append(f"{pointer}: {problem}"))
    return faults


_dtypes = st.sampled_from([np.float64, np.float32, np.int64, np.bool_])


@given(_dtypes.flatmap(lambda d: arrays.arrays(d, arrays.array_shapes(max_dims=3, max_side=9))))
@settings(max_examples=80, deadline=None)
def test_every_array_comes_back_to_the_bit(values: NDArray[Any]) -> None:
    back = there_and_back(values, NDArray[values.dtype.type])
    assert back.dtype == values.dtype and back.shape == values.shape
    assert back.tobytes() == values.tobytes()
    assert back.flags.writeable


@given(st.floats())
def test_every_number_comes_back(value: float) -> None:
    back = there_and_back(value, float)
    assert back == value or (np.isnan(back) and np.isnan(value))


@pytest.mark.parametrize("change", [{}, {"inner": None}, {"by_name": {}}, {"number": float("inf")}, {"flags": ()}])
def test_a_dataclass_comes_back_with_its_kinds_and_its_order(change: dict[str, Any]) -> None:
    value = outer(**change)
    back = there_and_back(value, Outer)
    assert to_json(back) == to_json(value)
    assert list(back.by_name) == list(value.by_name)
    assert type(back.flags) is tuple and isinstance(back.colour, Colour)


def test_short_arrays_can_be_read_by_people_and_long_ones_are_packed() -> None:
    assert to_json(np.arange(READABLE)) == list(range(READABLE))
    assert set(to_json(np.arange(READABLE + 1))) == {"dtype", "shape", "base64"}


def test_big_endian_numbers_are_written_little_endian() -> None:
    values = np.arange(100, dtype=">f8")
    assert np.array_equal(there_and_back(values, NDArray[np.float64]), values)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("number", "1", "number: is a text, expected a number"),
        ("number", True, "number: is true or false, expected a number"),
        ("count", 1.0, "count: is a number, expected a whole number"),
        ("flags", [1], "flags[0]: is a number, expected true or false"),
        ("pair", [1], "pair: has 1 entries, expected 2"),
        ("inner", {"name": "", "weights": [1.0]}, "inner: a name is empty"),
        ("inner", {"name": "a"}, "inner.weights: missing"),
        ("by_name", [], "by_name: is a list, expected an object"),
        ("colour", "green", "colour: is 'green', expected one of red, blue"),
        ("side", [], "side: is [], expected one of left, right"),
        ("numbers", 3, "numbers: is a number, expected numbers: a list, or an object of dtype, shape and base64"),
        ("counts", [1.5], "counts[0]: is a number, expected a whole number"),
        ("counts", [2**63], "counts[0]: is a number, expected a whole number"),
        ("mask", [0], "mask[0]: is a number, expected true or false"),
        ("numbers", {"dtype": "float64", "shape": [-1], "base64": ""}, "numbers.shape: expected a list of whole"),
        ("numbers", {"dtype": "float64", "shape": [1], "base64": 3}, "numbers.base64: is no base64 text"),
        (
            "numbers",
            {"dtype": "float64", "shape": [1] * 100, "base64": "AAAAAAAAAAA="},
            "numbers.shape: is of more or longer dimensions than an array can have",
        ),
        (
            "numbers",
            {"dtype": "float64", "shape": [2**63, 0], "base64": ""},
            "numbers.shape: is of more or longer dimensions than an array can have",
        ),
        ("other", 3, "other: unknown key"),
    ],
)
def test_a_value_that_does_not_fit_is_named(key: str, value: Any, said: str) -> None:
    document = {**to_json(outer()), key: value}
    found = faults_of(document)
    assert len(found) == 1 and found[0].startswith(said), found


def test_what_has_no_form_is_refused_before_anything_is_written() -> None:
    with pytest.raises(TypeError, match="object cannot be written"):
        to_json(np.array([object()]))
    with pytest.raises(TypeError, match="set cannot be written"):
        to_json({1, 2})
