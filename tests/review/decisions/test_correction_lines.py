"""Corrections files: lines, both pixel frames, strict reading, and appending that survives a crash."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reviewers import added_people, correction, random_corrections

from annotext.core.errors import InputError
from annotext.review.decisions.correction import Correction, Point, Verdict
from annotext.review.decisions.files import (
    append_corrections,
    correction_line,
    load_corrections,
    parse_line,
    read_corrections,
    schema,
)

MOVE = correction(
    1,
    Verdict.MOVE,
    person=17,
    old=Point(30.13, 40.5, 0),
    new=Point(33.0, 41.25, 2),
    note="behind the tree",
    tool="annotext review",
    input_sha256="5a" * 32,
)
VALID = jsonschema.Draft202012Validator(schema())


def line(**changes: Any) -> dict[str, Any]:
    """MOVE as a COCO line; a change to `...` removes the key."""
    record = {**json.loads(correction_line(MOVE, "coco")), **changes}
    return {k: v for k, v in record.items() if v is not ...}


def complaints(data: bytes, tmp_path: Path, **options: Any) -> list[str]:
    path = tmp_path / "made.jsonl"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_corrections([path], **options)
    return [f"{p.pointer}: {p.problem}" for p in caught.value.problems]


def test_a_line_looks_as_it_always_did() -> None:
    """Golden: a change here is a change of the format."""
    assert correction_line(MOVE, "coco") == (
        b'{"id":"00000000000000000000000000000001","annotation":17,"image":"a/one.jpg","keypoint":"pelvis",'
        b'"decision":"move","old":[30.13,40.5,0],"new":[33.0,41.25,2],"reviewer":"ann","note":"behind the tree",'
        b'"time":"2026-01-31T10:00:01Z","tool":"annotext review","input_sha256":"' + b"5a" * 32 + b'"}\n'
    )


def test_an_mpii_line_names_the_record_and_counts_pixels_from_one() -> None:
    record = json.loads(correction_line(MOVE, "mpii"))
    assert record["record"] == 17
    assert "annotation" not in record
    assert record["old"] == [31.13, 41.5, 0]
    assert record["new"] == [34.0, 42.25, 2]


@pytest.mark.parametrize("kind", ["coco", "halpe", "mpii"])
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 200))
def test_a_line_read_back_is_the_decision_and_fits_the_schema(kind: str, seed: int) -> None:
    for decision in random_corrections(*added_people(seed % 5), seed):
        written = correction_line(decision, kind)
        VALID.validate(json.loads(written))
        again = parse_line(written, kind=kind)
        assert correction_line(again, kind) == written
        assert replace(again, old=decision.old, new=decision.new) == decision
        for one, other in ((again.old, decision.old), (again.new, decision.new)):
            assert (one is None) == (other is None)
            if one and other:
                assert (one.x, one.y, one.v) == (pytest.approx(other.x), pytest.approx(other.y), other.v)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"id": "12"}, "id is '12', expected 32 hex digits in lower case"),
        ({"id": 12}, "id: is 12, expected a text"),
        ({"annotation": ...}, "expected one of annotation (COCO, Halpe) and record (MPII)"),
        ({"record": 3}, "expected one of annotation (COCO, Halpe) and record (MPII)"),
        ({"annotation": "17"}, 'annotation: is "17", expected a whole number'),
        ({"image": ...}, "image: is missing"),
        ({"image": ""}, "image is empty"),
        ({"reviewer": None}, "reviewer: is null, expected a text"),
        ({"decision": "fine"}, 'decision: is "fine", expected one of accept, reject, move, hidden, absent, undo, note'),
        (
            {"decision": ["move"]},
            "decision: is a list, expected one of accept, reject, move, hidden, absent, undo, note",
        ),
        ({"old": [1, 2]}, "old: has 2 entries, expected 3"),
        ({"old": [1, 2, 3]}, "old[2]: is 3, expected one of 0, 1, 2"),
        ({"old": [1, 2, 2.0]}, "old[2]: is 2.0, expected one of 0, 1, 2"),
        ({"old": [1, "2", 2]}, 'old[1]: is "2", expected a number'),
        ({"new": None}, "new must say where a moved point is, and is null with every other decision"),
        ({"new": [1, 2, 0]}, "new has v = 0: a moved point is visible (2) or hidden (1)"),
        ({"decision": "accept"}, "new must say where a moved point is, and is null with every other decision"),
        (
            {"decision": "reject", "new": None, "old": None},
            "old is null: without an estimate there is nothing to reject",
        ),
        ({"keypoint": ""}, "keypoint is empty: only a note may be on the whole person"),
        ({"time": "today"}, "time is 'today', expected ISO 8601 such as 2026-01-31T09:30:00Z"),
        ({"input_sha256": "5A"}, "input_sha256 is not a sha256 in lower-case hex"),
        ({"sure": True}, "sure: unknown key"),
    ],
)
def test_a_malformed_line_is_refused_with_its_number(changes: dict[str, Any], problem: str, tmp_path: Path) -> None:
    data = correction_line(correction(9), "coco") + json.dumps(line(**changes)).encode() + b"\n"
    assert complaints(data, tmp_path) == [f"line 2: {problem}"]


@pytest.mark.parametrize("change", [{"new": [1, 2, 0]}, {"new": None}, {"old": [1, 2]}, {"record": 3}, {"sure": 1}])
def test_the_schema_refuses_what_the_reader_refuses(change: dict[str, Any]) -> None:
    assert VALID.is_valid(line())
    assert not VALID.is_valid(line(**change))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b'{"id": ', "is not JSON: Expecting value: line 1 column 8 (char 7)"),
        (b'{"id": NaN}', "is not JSON: NaN is no number"),
        (b'{"id": "a", "id": "a"}', 'is not JSON: the key "id" stands twice'),
        (b"[1]", "is a list, expected an object"),
        (b'{"id": "\xff"}', "is not UTF-8 text"),
    ],
)
def test_a_line_that_is_no_object_is_refused(text: bytes, problem: str, tmp_path: Path) -> None:
    assert complaints(text + b"\n" + correction_line(MOVE, "coco"), tmp_path) == [f"line 1: {problem}"]


def test_half_a_surrogate_pair_is_refused(tmp_path: Path) -> None:
    data = json.dumps(line(note="\ud800")).encode()
    assert complaints(data, tmp_path) == ["line 1: note: holds half of a surrogate pair"]


def test_all_faults_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(json.dumps(line(decision="?", new=[1])) + "\n")
    with pytest.raises(InputError) as caught:
        read_corrections([tmp_path / "one", tmp_path / "two", tmp_path / "three"])
    problems = caught.value.problems
    assert [Path(p.path).name for p in problems] == ["three", "one", "one", "two", "two"]
    assert problems[0].problem == "cannot be read (No such file or directory)"


@pytest.mark.parametrize(("kind", "found"), [("mpii", "annotation"), ("coco", "record"), ("halpe", "record")])
def test_a_line_on_the_other_kind_of_file_is_refused(kind: str, found: str, tmp_path: Path) -> None:
    data = correction_line(MOVE, "coco" if kind == "mpii" else "mpii")
    (complaint,) = complaints(data, tmp_path, kind=kind)
    assert complaint.startswith(f"line 1: names its person by {found}, expected ")


def test_a_line_that_was_cut_off_is_named_as_such_and_costs_nothing_before_it(tmp_path: Path) -> None:
    data = correction_line(correction(9), "coco") + correction_line(MOVE, "coco")[:40]
    assert complaints(data, tmp_path) == [
        "line 2: is cut off: the program that wrote it was stopped in the middle of the line"
    ]
    loaded = load_corrections([tmp_path / "made.jsonl"], skip_bad=True)
    assert loaded.corrections == (correction(9),)
    assert [p.hint for p in loaded.skipped] == ["--skip-bad leaves it out; nothing before it is lost"]


def test_a_last_line_without_its_newline_is_read(tmp_path: Path) -> None:
    (tmp_path / "made.jsonl").write_bytes(correction_line(MOVE, "coco")[:-1])
    assert read_corrections([tmp_path / "made.jsonl"]) == [MOVE]


def test_an_id_that_stands_twice_with_the_same_words_counts_once(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(correction_line(MOVE, "coco"))
    loaded = load_corrections([tmp_path / "one", tmp_path / "two"])
    assert loaded.corrections == (MOVE,)
    assert [f.to_dict()["file"] for f in loaded.files] == ["one"]


def test_an_id_that_stands_twice_with_other_words_is_refused(tmp_path: Path) -> None:
    data = correction_line(MOVE, "coco") + correction_line(replace(MOVE, reviewer="bob"), "coco")
    (complaint,) = complaints(data, tmp_path)
    assert complaint == f"line 2: the id {MOVE.id} stands in {tmp_path / 'made.jsonl'}, line 1 too, with other words"


def test_the_order_of_the_files_does_not_matter(tmp_path: Path) -> None:
    decisions = random_corrections(*added_people(), 1)
    paths = [tmp_path / f"{n}.jsonl" for n in range(3)]
    for n, path in enumerate(paths):
        append_corrections(path, decisions[n::3], "coco")
    assert load_corrections(paths) == load_corrections(paths[::-1]) == load_corrections([*paths, paths[1]])
    assert read_corrections(paths) == decisions


def test_decisions_of_one_second_keep_the_order_of_their_file(tmp_path: Path) -> None:
    decisions = [correction(n, time="2026-01-31T10:00:00Z") for n in (3, 1, 2)]
    append_corrections(tmp_path / "made.jsonl", decisions, "coco")
    assert read_corrections([tmp_path / "made.jsonl"]) == decisions


def test_appending_leaves_out_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "made.jsonl"
    assert append_corrections(path, [correction(1), correction(2), correction(1)], "coco") == 2
    before = path.read_bytes()
    assert append_corrections(path, [correction(2), correction(1)], "coco") == 0
    assert path.read_bytes() == before
    assert append_corrections(path, [correction(2), correction(3)], "coco") == 1
    assert path.read_bytes() == before + correction_line(correction(3), "coco")


@pytest.mark.parametrize("kept", [30, -1])
def test_a_half_line_is_never_joined_with_the_next(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "made.jsonl"
    path.write_bytes(correction_line(correction(1), "coco") + correction_line(correction(2), "coco")[:kept])
    assert append_corrections(path, [correction(3)], "coco") == 1
    whole = [correction(1), correction(3)] if kept > 0 else [correction(n) for n in (1, 2, 3)]
    assert read_corrections([path], skip_bad=True) == whole


def test_two_programs_that_append_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "made.jsonl"
    program = """
import sys
from reviewers import correction
from annotext.review.decisions.files import append_corrections
for n in range(60):
    append_corrections(sys.argv[1], [correction(int(sys.argv[2]) * n + 1)], "coco")
"""
    tests = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{tests}{os.pathsep}{tests.parent}"}
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(path), str(step)], env=environment) for step in (1, 2)
    ]
    assert [p.wait() for p in running] == [0, 0]
    numbers = [int(c.id, 16) for c in read_corrections([path])]
    assert sorted(numbers) == sorted({n + 1 for n in range(60)} | {2 * n + 1 for n in range(60)})


def test_a_file_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        append_corrections(tmp_path / "nowhere" / "made.jsonl", [MOVE], "coco")


def test_a_negative_zero_is_written_as_zero() -> None:
    decisions: Correction = replace(MOVE, new=Point(-0.001, 0.0, 1))
    assert json.loads(correction_line(decisions, "coco"))["new"] == [0.0, 0.0, 1]
    assert b"-0.0" not in correction_line(decisions, "coco")
