"""jsonio: exact in, exact out, faults with their place."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotext.core.errors import InputError
from annotext.formats.files.jsonio import dump_json, read_json

_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=20,
)


def _error(tmp_path: Path, data: bytes) -> str:
    path = tmp_path / "x.json"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_json(path)
    return str(caught.value).replace(str(path), "x.json")


@given(document=_json)
def test_what_is_written_reads_back_with_its_key_order_and_number_kinds(
    tmp_path_factory: pytest.TempPathFactory, document: Any
) -> None:
    path = tmp_path_factory.mktemp("json") / "x.json"
    path.write_bytes(dump_json(document))
    assert dump_json(read_json(path)[0]) == orjson.dumps(document)


def test_the_hash_is_of_the_bytes_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b'{ "a": 1.0 }\n')
    assert read_json(path)[1] == hashlib.sha256(b'{ "a": 1.0 }\n').hexdigest()


@pytest.mark.parametrize("number", [2**63, 2**64, -(2**63) - 1, 123456789012345678901234567890])
def test_an_integer_beyond_64_bits_keeps_its_value(tmp_path: Path, number: int) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(f'{{"id":{number},"x":0.1234567890123456789}}'.encode())
    document, _ = read_json(path)
    assert document["id"] == number
    assert f'"id":{number},' in dump_json(document).decode()


def test_every_nan_and_infinity_is_named_with_its_pointer(tmp_path: Path) -> None:
    text = _error(tmp_path, b'{"annotations": [{"bbox": [1, NaN]}, {"area": -Infinity}], "x": Infinity}')
    assert "x.json: annotations[0].bbox[1]: is NaN, not JSON" in text
    assert "x.json: annotations[1].area: is -Infinity" in text
    assert "x.json: x: is Infinity" in text


def test_a_number_beyond_float64_is_named_with_its_pointer(tmp_path: Path) -> None:
    assert "x.json: a[1]: is 1e400, too large for a float" in _error(tmp_path, b'{"a": [1, 1e400]}')


def test_broken_json_names_line_and_column(tmp_path: Path) -> None:
    assert "x.json: line 3 column 1: is not JSON" in _error(tmp_path, b'{"a": [1,\n 2],\n}')


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "x.json: is empty"),
        (b" \n", "x.json: is empty"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b"\x1f\x8b\x08", "gunzip it first"),
        (b'{"a": "\xff"}', "byte 7: is not UTF-8"),
        (b'{"id": 1, "b": {"id": 2, "id": 3}}', 'the key "id" stands twice in one object'),
        (b'{"a" :1, "a" :2}', 'the key "a" stands twice in one object'),
        (b"[" * 100_000, "x.json:"),
        (b"[" * 300 + b"]" * 300, "is nested too deeply"),
    ],
)
def test_an_unreadable_document_says_why(tmp_path: Path, data: bytes, message: str) -> None:
    assert message in _error(tmp_path, data)


def test_a_quoted_colon_is_not_mistaken_for_a_repeated_key(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b'{"a": "say \\":\\" and \\u0022: twice"}')
    assert read_json(path)[0] == {"a": 'say ":" and ": twice'}


def test_a_missing_file_is_a_known_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_json(tmp_path / "none.json")
