"""Small files as dataclasses: every value comes back as it was, every fault is named with its place and a hint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from annotext.core.errors import InputError
from annotext.formats.files.typed import READABLE, At, Keys, body_of, demand, read_as, read_toml, to_json


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Inner:
    name: str
    weights: NDArray[np.float32]

    def __post_init__(self) -> None:
        demand(bool(self.name), "name", "is empty", "call it one")


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
    return read_as(kind, orjson.loads(orjson.dumps(to_json(value))), "a.json", finite=False)


def faults_of(document: Any) -> list[str]:
    with pytest.raises(InputError) as caught:
        read_as(Outer, document, "a.json")
    return [str(p).removeprefix("a.json: ") for p in caught.value.problems]


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
        ("number", "1", 'number: is "1", expected a number'),
        ("number", True, "number: is true, expected a number"),
        ("count", 1.0, "count: is 1.0, expected a whole number"),
        ("flags", [1], "flags[0]: is 1, expected true or false"),
        ("pair", [1], "pair: has 1 entries, expected 2"),
        ("inner", {"name": "", "weights": [1.0]}, "inner.name: is empty\n  hint: call it one"),
        ("inner", {"name": "a"}, "inner.weights: is missing"),
        ("by_name", [], "by_name: is a list, expected an object"),
        ("colour", "green", 'colour: is "green", expected one of red, blue'),
        ("side", [], "side: is a list, expected one of left, right"),
        ("numbers", 3, "numbers: is 3, expected numbers: a list, or an object of dtype, shape and base64"),
        ("counts", [1.5], "counts[0]: is 1.5, expected a whole number"),
        ("counts", [2**63], "counts[0]: is 9223372036854775808, expected a whole number of 64 bits"),
        ("mask", [0], "mask[0]: is 0, expected true or false"),
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
        ("colur", 3, "colur: unknown key\n  hint: did you mean colour?"),
        ("x", 3, "x: unknown key\n  hint: known here: number, count, flags"),
        ("number", "nan", 'number: is "nan", expected a number'),
        ("side", "lefft", 'side: is "lefft", expected one of left, right\n  hint: did you mean left?'),
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


def test_all_faults_are_named_at_once() -> None:
    document = {**to_json(outer()), "count": "x", "pair": [1, 2], "nonsense": 1}
    del document["number"]
    assert [fault.split(": ")[0] for fault in faults_of(document)] == ["nonsense", "number", "count", "pair[1]"]


@dataclass(frozen=True)
class Circle:
    kind: ClassVar[str] = "circle"
    radius: float


@dataclass(frozen=True)
class Square:
    kind: ClassVar[str] = "square"
    side: float


@dataclass(frozen=True)
class Drawing:
    shape: Circle | Square
    left: Annotated[float, At("place.left")]
    shares: Annotated[Mapping[str, float | None], Keys(("a", "b")), At("")]


def test_dataclasses_are_told_apart_by_their_kind_and_fields_may_lie_elsewhere() -> None:
    document = {"shape": {"kind": "square", "side": 2}, "place": {"left": 3.5}, "a": 1, "b": None, "later": 1}
    found = read_as(Drawing, document, "a.json", ignore_unknown=True)
    assert found == Drawing(Square(2.0), 3.5, {"a": 1.0, "b": None})


def test_what_lies_elsewhere_is_named_where_it_lies() -> None:
    document = {"shape": {"kind": "circel"}, "place": 3, "a": "x"}
    with pytest.raises(InputError) as caught:
        read_as(Drawing, document, "a.json", ignore_unknown=True)
    assert str(caught.value).splitlines() == [
        'a.json: shape.kind: is "circel", expected one of circle, square',
        "  hint: did you mean circle?",
        "a.json: place.left: is missing",
        "a.json: b: is missing",
        'a.json: a: is "x", expected a number',
    ]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "a.json: is a list, expected an object of the format x/1\n  hint: make one"),
        ({}, "a.json: format: is missing, expected x/1\n  hint: make one"),
        ({"format": "x/2"}, 'a.json: format: is "x/2", expected x/1\n  hint: make one'),
    ],
)
def test_a_document_of_another_format_is_refused(document: Any, said: str) -> None:
    with pytest.raises(InputError) as caught:
        body_of(document, "x/1", "a.json", "make one")
    assert str(caught.value) == said


def test_a_toml_file_speaks_of_tables(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("shape = 3\n")
    with pytest.raises(InputError, match="shape: is 3, expected a table"):
        read_as(Drawing, read_toml(str(tmp_path / "a.toml")), tmp_path / "a.toml", ignore_unknown=True)
