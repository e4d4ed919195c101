"""Extended files written again after a review: what was decided is there, the rest is as it was, strip still works."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from documents import HEADER, coco_document, mpii_record, some_additions, write
from hypothesis import given, settings
from hypothesis import strategies as st
from reviewers import random_corrections, undone
from whole_people import DOCUMENTS as WHOLE
from whole_people import MARKED, extended

from annotext.core.additions import PER_POINT, Additions
from annotext.core.errors import InputError
from annotext.formats.annotations.mpii import ONE_BASED
from annotext.formats.annotations.read import AnnotationFile, read_annotations
from annotext.formats.files.jsonio import dump_json
from annotext.formats.overlay.header import header_path
from annotext.formats.overlay.revise import revise_document, revised_header, write_revised
from annotext.formats.overlay.strip import strip_document
from annotext.formats.overlay.write import complete_header, extend_document, schema
from annotext.review.decisions.apply import apply_corrections
from annotext.review.decisions.correction import Correction


def _with_more_labelled(document: Any) -> Any:
    """Six people with labels more: only they have added points to decide on."""
    more = copy.deepcopy(document)
    if isinstance(more, list):
        return more + [mpii_record(image=f"{n}.jpg") for n in range(6)]
    first = more["annotations"][0]
    more["annotations"] += [{**copy.deepcopy(first), "id": n} for n in range(20, 26)]
    return more


DOCUMENTS = {kind: _with_more_labelled(document) for kind, document in WHOLE.items()}
EVERY = pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
SAID = {"corrections": [{"file": "ann.jsonl", "sha256": "ab" * 32, "decisions": 3}]}


def extended_file(folder: Path, document: Any, seed: int = 0) -> AnnotationFile:
    """The document, extended with points of every kind and whole people, written and read back."""
    plain = read_annotations(write(folder / "in.json", document))
    path = write(folder / "extended.json", extended(plain, seed)[0])
    if plain.kind == "mpii":
        added = Additions.nothing(0, ("nose", "left_eye", "right_eye", "left_ear", "right_ear"))
        write(header_path(path), complete_header(plain, added, MARKED))
    return read_annotations(path)


def additions_of(file: AnnotationFile) -> Additions:
    assert file.additions is not None
    return file.additions


def read_revised(file: AnnotationFile, document: Any) -> AnnotationFile:
    path = write(file.path.with_name("revised.json"), document)
    if file.kind == "mpii":
        write(header_path(path), revised_header(file, SAID))
    return read_annotations(path)


def reviewed(file: AnnotationFile, seed: int) -> tuple[Additions, list[Correction]]:
    said = random_corrections(file.extended_poses, additions_of(file), seed, n=8)
    return apply_corrections(file.extended_poses, additions_of(file), said).additions, said


def records_of(document: Any) -> list[Any]:
    return document if isinstance(document, list) else document["annotations"]


def own_numbers(record: Any, count: int) -> str:
    """A person's own keypoints as text, digit for digit."""
    if "joints" in record:
        return json.dumps([record["joints"][:-count], record["joints_vis"][:-count]])
    return json.dumps(record["keypoints"][: -3 * count])


@EVERY
@given(seed=st.integers(0, 500))
@settings(max_examples=20, deadline=None)
def test_a_corrected_file_strips_to_the_same_input(
    tmp_path_factory: pytest.TempPathFactory, document: Any, seed: int
) -> None:
    file = extended_file(tmp_path_factory.mktemp("strip"), document, seed % 9)
    before = copy.deepcopy(file.document)
    revised = revise_document(file, reviewed(file, seed)[0], SAID)
    assert dump_json(file.document) == dump_json(before)
    assert dump_json(strip_document(revised)) == dump_json(document)


@EVERY
@given(seed=st.integers(0, 500))
@settings(max_examples=20, deadline=None)
def test_only_what_was_decided_differs(tmp_path_factory: pytest.TempPathFactory, document: Any, seed: int) -> None:
    file = extended_file(tmp_path_factory.mktemp("revise"), document, seed % 9)
    additions, _ = reviewed(file, seed)
    revised = revise_document(file, additions, SAID)
    touched = {int(file.rows[i]) for i in np.flatnonzero((additions.review != None).any(axis=1))}  # noqa: E711
    count = len(additions.keypoints)
    for row, (old, new) in enumerate(zip(records_of(file.document), records_of(revised), strict=True)):
        if row not in touched:
            assert dump_json(old) == dump_json(new)
            continue
        assert own_numbers(old, count) == own_numbers(new, count)
        known = {"keypoints", "num_keypoints", "joints", "joints_vis", "annotext"}
        assert list(old) == list(new)
        assert all(old[key] == new[key] for key in old if key not in known)
        assert all(old["annotext"].get(key) == new["annotext"].get(key) for key in ("own", "new", "num_keypoints"))


@EVERY
@given(seed=st.integers(0, 500))
@settings(max_examples=20, deadline=None)
def test_a_corrected_file_reads_back_what_was_decided(
    tmp_path_factory: pytest.TempPathFactory, document: Any, seed: int
) -> None:
    file = extended_file(tmp_path_factory.mktemp("read"), document, seed % 9)
    additions, said = reviewed(file, seed)
    again = read_revised(file, revise_document(file, additions, SAID))
    for name in PER_POINT:
        one, other = getattr(additions, name), getattr(additions_of(again), name)
        if one.dtype == object and name != "review":
            assert (one == other).all(), name
        elif name != "review":
            np.testing.assert_allclose(one, other, atol=0.0051, err_msg=name)
    assert again.header is not None
    assert again.header["corrections"] == SAID["corrections"]
    # What reviewers said of the estimates still fits them.
    repeated = apply_corrections(again.extended_poses, additions_of(again), said)
    assert dump_json(revise_document(again, repeated.additions, SAID)) == dump_json(again.document)


@EVERY
@given(seed=st.integers(0, 500))
@settings(max_examples=20, deadline=None)
def test_a_review_taken_back_leaves_no_trace_in_people(
    tmp_path_factory: pytest.TempPathFactory, document: Any, seed: int
) -> None:
    file = extended_file(tmp_path_factory.mktemp("undo"), document, seed % 9)
    additions, said = reviewed(file, seed)
    again = read_revised(file, revise_document(file, additions, SAID))
    back = apply_corrections(again.extended_poses, additions_of(again), [*said, *undone(said)]).additions
    restored = revise_document(again, back, {})
    assert dump_json(records_of(restored)) == dump_json(records_of(file.document))


@EVERY
def test_a_corrected_file_fits_the_schema(tmp_path: Path, document: Any) -> None:
    file = extended_file(tmp_path, document)
    revised = revise_document(file, reviewed(file, 1)[0], SAID)
    assert any("review" in r.get("annotext", {}) for r in records_of(revised))
    definitions = schema()["$defs"]
    kind = "mpii" if file.kind == "mpii" else "coco"
    jsonschema.Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": definitions}).validate(revised)
    header = {"$ref": "#/$defs/header", "$defs": definitions}
    jsonschema.Draft202012Validator(header).validate(revised_header(file, SAID))


@pytest.mark.parametrize("kind", ["coco", "mpii"])
def test_what_was_before_is_in_the_pixels_of_the_file(kind: str, tmp_path: Path) -> None:
    file = extended_file(tmp_path, DOCUMENTS[kind], 3)
    offset = ONE_BASED if kind == "mpii" else 0.0
    checked = 0
    for seed in range(20):
        revised = records_of(revise_document(file, reviewed(file, seed)[0], SAID))
        for i, row in enumerate(file.rows.tolist()):
            for j, review in enumerate(revised[row]["annotext"].get("review", [])):
                if review is not None and review["before"]["xy"] is not None:
                    expected = additions_of(file).xy[i, j] + offset
                    np.testing.assert_allclose(review["before"]["xy"], expected, atol=1e-9)
                    checked += 1
    assert checked > 10


def test_num_keypoints_counts_what_the_review_added_and_took(tmp_path: Path) -> None:
    file = extended_file(tmp_path, DOCUMENTS["coco"])
    changed = 0
    for seed in range(20):
        again = read_revised(file, revise_document(file, reviewed(file, seed)[0], SAID))  # the reader counts
        changed += int((again.extended_poses.labelled != file.extended_poses.labelled).sum())
    assert changed > 10


def _reviewed_document(tmp_path: Path) -> tuple[Path, Any, dict[str, Any], int]:
    """A corrected file, its document, one block with a review of a point that was moved, and that point."""
    file = extended_file(tmp_path, DOCUMENTS["coco"])
    for seed in range(20):
        document = revise_document(file, reviewed(file, seed)[0], SAID)
        for annotation in document["annotations"]:
            for j, review in enumerate(annotation.get("annotext", {}).get("review", [])):
                if review is not None and review["decision"] == "move" and review["before"]["xy"] is not None:
                    document = copy.deepcopy(document)
                    block = next(a for a in document["annotations"] if a["id"] == annotation["id"])["annotext"]
                    return tmp_path / "changed.json", document, block, j
    raise AssertionError("no moved point")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"decision": "fine"}, "decision is 'fine', expected one of accept, reject, move, hidden, absent"),
        ({"decision": "reject"}, "is reject, but the point has v = "),
        ({"by": []}, "by must name reviewers"),
        ({"by": [""]}, "by must name reviewers"),
        ({"by": "ann"}, "by must name reviewers"),
        ({"before": None}, "before: must say xy, visibility, source, score, radius, decision, reason"),
        ({"before.visibility": 3}, "before: visibility is 3, expected 0, 1 or 2"),
        ({"before.visibility": 1, "before.xy": None}, "before: xy must be [x, y] of a point with v > 0"),
        ({"before.visibility": 0, "before.xy": None}, "before: point 0 has v = 0, a source and no candidate"),
        ({"before.source": "tea"}, "before: source[0] is 'tea', expected one of"),
        ({"before.score": 2}, "before: score[0] is outside [0, 1]"),
        ({"more": 1}, "must be null or say decision, by and before"),
    ],
)
def test_a_review_that_was_tampered_with_is_refused(change: dict[str, Any], problem: str, tmp_path: Path) -> None:
    path, document, block, j = _reviewed_document(tmp_path)
    review = block["review"][j]
    for key, value in change.items():
        if key.startswith("before."):
            review["before"][key.removeprefix("before.")] = value
        else:
            review[key] = value
    with pytest.raises(InputError) as caught:
        read_annotations(write(path, document))
    (found,) = caught.value.problems
    assert found.pointer.endswith(".annotext")
    assert f"review[{j}]" in found.problem
    assert problem in found.problem


def test_reviews_come_one_per_added_point(tmp_path: Path) -> None:
    path, document, block, _ = _reviewed_document(tmp_path)
    block["review"] = block["review"][:-1]
    with pytest.raises(InputError, match="review must be a list of 4"):
        read_annotations(write(path, document))


def test_a_file_that_is_not_extended_cannot_be_revised(tmp_path: Path) -> None:
    file = read_annotations(write(tmp_path / "in.json", coco_document()))
    with pytest.raises(InputError, match="is not an extended file"):
        revise_document(file, Additions.nothing(1, ("pelvis",)), {})


@pytest.mark.parametrize("key", ["skeleton", "added", "input_sha256", "restore"])
def test_a_header_cannot_be_made_anothers(key: str, tmp_path: Path) -> None:
    file = extended_file(tmp_path, DOCUMENTS["coco"])
    with pytest.raises(ValueError, match=f"cannot say another {key}"):
        revised_header(file, {key: "other"})


def test_additions_of_other_people_are_refused(tmp_path: Path) -> None:
    file = extended_file(tmp_path, DOCUMENTS["coco"])
    with pytest.raises(ValueError, match="do not fit"):
        revise_document(file, additions_of(file).take([0]), SAID)


def test_an_mpii_file_is_written_with_its_header_and_never_over_its_input(tmp_path: Path) -> None:
    file = extended_file(tmp_path, DOCUMENTS["mpii"])
    out = tmp_path / "out.json"
    write_revised(file, additions_of(file), SAID, out, force=False)
    header = read_annotations(out).header
    assert header == {**(file.header or {}), **SAID}
    with pytest.raises(InputError, match="is the input itself"):
        write_revised(replace(file), additions_of(file), SAID, file.path, force=True)


@pytest.mark.parametrize(
    "name",
    [
        "coco/annotations/person_keypoints_val2017_subset.json",
        "halpe/test_halpe.json",
        "mpii/annotations/test_mpii.json",
    ],
)
def test_a_review_of_a_real_file_can_be_taken_back_and_stripped(real: Path, tmp_path: Path, name: str) -> None:
    plain = read_annotations(real / name)
    additions = some_additions(plain, 4)
    path = write(tmp_path / "extended.json", extend_document(plain, additions, HEADER))
    if plain.kind == "mpii":
        write(header_path(path), complete_header(plain, additions, HEADER))
    file = read_annotations(path)
    revised, said = reviewed(file, 4)
    assert (revised.review != None).any()  # noqa: E711
    document = revise_document(file, revised, SAID)
    assert dump_json(strip_document(document)) == dump_json(plain.document)
    again = read_revised(file, document)
    back = apply_corrections(again.extended_poses, additions_of(again), [*said, *undone(said)]).additions
    restored = revise_document(again, back, {})
    assert dump_json(records_of(restored)) == dump_json(records_of(file.document))
