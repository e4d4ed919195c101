"""Extended files: what is added, what stays, and that strip gives the input back."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import orjson
import pytest
from documents import HEADER, coco_annotation, coco_document, halpe_document, mpii_record, some_additions, write
from hypothesis import given, settings
from hypothesis import strategies as st

from annotext import __version__
from annotext.core.additions import Additions, Decision, Reason, Source
from annotext.core.errors import AnnotextError, InputError
from annotext.core.skeletons import UNION21
from annotext.formats.annotations.read import AnnotationFile, read_annotations
from annotext.formats.files.jsonio import dump_json
from annotext.formats.overlay.header import header_path
from annotext.formats.overlay.strip import strip_document
from annotext.formats.overlay.write import complete_header, extend_document, schema, write_extended

RunCli = Callable[..., subprocess.CompletedProcess[str]]

ADDED = ("pelvis", "thorax", "upper_neck", "head_top")


def _read(tmp_path: Path, document: Any, **options: Any) -> AnnotationFile:
    return read_annotations(write(tmp_path / "in.json", document), **options)


def _one_person(file: AnnotationFile) -> Additions:
    """Derived pelvis, predicted thorax (hidden), a neck to ask about, nothing for the head top."""
    nothing = Additions.nothing(len(file.poses), ADDED)
    xy, visibility, source, score = (a.copy() for a in (nothing.xy, nothing.visibility, nothing.source, nothing.score))
    xy[0, :3] = [[30.126, 40.5], [-0.001, 50.0], [33.333333, 12.0]]
    visibility[0, :2] = [2, 1]
    source[0, :3] = [Source.DERIVED, Source.STUDENT, Source.TEACHER]
    score[0, :3] = [1.0, 0.98766, 0.1]
    radius, decision, reason = nothing.radius.copy(), nothing.decision.copy(), nothing.reason.copy()
    radius[0, 1:3] = [4.5678, 11.0]
    decision[0, :3] = [Decision.ADD, Decision.ADD, Decision.ASK]
    reason[0, 2:] = [Reason.TO_ASK, Reason.NO_PREDICTOR]
    return Additions(ADDED, xy, visibility, source, score, radius, decision, reason)


def _plain(additions: Additions) -> Additions:
    """The same without what an older annotext did not write."""
    return Additions(additions.keypoints, additions.xy, additions.visibility, additions.source, additions.score)


def _validate(document: Any, kind: str) -> None:
    definitions = schema()
    validator = jsonschema.Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": definitions["$defs"]})
    validator.validate(document)


def test_a_coco_annotation_gets_its_points_behind_the_human_ones(tmp_path: Path) -> None:
    file = _read(tmp_path, coco_document())
    annotation = extend_document(file, _one_person(file), HEADER)["annotations"][0]
    assert annotation["keypoints"][:51] == coco_annotation()["keypoints"]
    assert annotation["keypoints"][51:] == [30.13, 40.5, 2, 0.0, 50.0, 1, 0, 0, 0, 0, 0, 0]
    assert annotation["num_keypoints"] == 19
    assert annotation["annotext"] == {
        "source": ["derived", "student", "teacher", "none"],
        "score": [1.0, 0.9877, 0.1, 0.0],
        "candidate": [None, None, [33.33, 12.0], None],
        "radius": [None, 4.57, 11.0, None],
        "decision": ["add", "add", "ask", "none"],
        "reason": [None, None, "score below what is added unseen", "no predictor knows it"],
        "num_keypoints": 17,
    }


def test_what_says_nothing_is_left_out(tmp_path: Path) -> None:
    file = _read(tmp_path, coco_document())
    block = extend_document(file, _plain(_one_person(file)), HEADER)["annotations"][0]["annotext"]
    assert list(block) == ["source", "score", "candidate", "num_keypoints"]


@pytest.mark.parametrize("reason", [Reason.CROWD, Reason.NO_KEYPOINTS])
def test_what_an_annotation_says_itself_is_no_reason_to_note(tmp_path: Path, reason: Reason) -> None:
    file = _read(tmp_path, coco_document())
    nothing = Additions.nothing(1, ADDED)
    additions = replace(nothing, reason=np.full((1, 4), reason, dtype=object))
    block = extend_document(file, additions, HEADER)["annotations"][0]["annotext"]
    assert "reason" not in block


def test_a_file_of_an_older_annotext_reads_as_it_always_did(tmp_path: Path) -> None:
    file = _read(tmp_path, coco_document(coco_annotation(1), coco_annotation(2)))
    older = _plain(some_additions(file))
    header = {k: v for k, v in HEADER.items() if k != "calibration"}
    again = _read(tmp_path, extend_document(file, older, header)).additions
    assert again is not None
    assert not np.isfinite(again.radius).any()
    assert (again.decision[older.added] == Decision.ADD).all()
    assert (again.decision[older.withheld] == Decision.WITHHOLD).all()
    assert (again.reason == Reason.ADDED).all()


def test_the_schema_knows_every_decision_reason_and_source() -> None:
    known = schema()["$defs"]
    assert known["decision"]["enum"] == [str(d) for d in Decision]
    assert known["reason"]["enum"] == [str(r) or None for r in Reason]
    assert known["source"]["enum"] == [str(s) for s in Source]


def test_the_category_grows_with_names_and_edges(tmp_path: Path) -> None:
    file = _read(tmp_path, coco_document())
    category = extend_document(file, _one_person(file), HEADER)["categories"][0]
    assert category["keypoints"] == list(UNION21.keypoints)
    assert category["skeleton"][:2] == [[16, 14], [14, 12]]
    new = {frozenset(UNION21.keypoints[i - 1] for i in edge) for edge in category["skeleton"][2:]}
    assert frozenset(("upper_neck", "head_top")) in new
    assert all(edge & set(ADDED) for edge in new)


def test_the_header_says_once_where_everything_comes_from(tmp_path: Path) -> None:
    file = _read(tmp_path, coco_document())
    header = extend_document(file, _one_person(file), HEADER)["info"]["annotext"]
    assert header == {
        "version": __version__,
        "skeleton": "coco17",
        "added": list(ADDED),
        **HEADER,
        "input_sha256": file.sha256,
        "restore": {"info": True, "keypoints": 17, "skeleton": 2},
    }


def test_an_extended_coco_file_looks_as_it_always_did(tmp_path: Path) -> None:
    """Golden: one small extended file, byte for byte. A change here is a change of the format."""
    file = _read(tmp_path, coco_document())
    header = {**HEADER, "version": "0.0.0"}
    golden = Path(__file__).with_name("golden_extended_coco.json")
    assert dump_json(extend_document(file, _one_person(file), header)) == golden.read_bytes().strip()


def test_crowds_and_people_without_labels_get_the_length_and_nothing_else(tmp_path: Path) -> None:
    crowd = coco_annotation(2, iscrowd=1, keypoints=[0] * 51, num_keypoints=0)
    bare = coco_annotation(3, keypoints=..., num_keypoints=...)
    file = _read(tmp_path, coco_document(coco_annotation(), crowd, bare))
    for annotation in extend_document(file, _one_person(file), HEADER)["annotations"][1:]:
        assert annotation["keypoints"] == [0] * 63
        assert annotation["num_keypoints"] == 0
        assert annotation["annotext"]["source"] == ["none"] * 4


def test_a_skipped_record_gets_the_length_and_nothing_else(tmp_path: Path) -> None:
    bad = coco_annotation(2, bbox=[1, 1, 0, 0])
    document = coco_document(coco_annotation(), bad)
    file = _read(tmp_path, document, skip_bad=True)
    extended = extend_document(file, _one_person(file), HEADER)
    assert extended["annotations"][1]["keypoints"] == [*bad["keypoints"], *[0] * 12]
    assert extended["annotations"][1]["num_keypoints"] == 17
    assert strip_document(extended) == document


@pytest.mark.parametrize("keypoints", [None, "x", [1, 2], [1, "2", 3] * 17])
def test_a_skipped_record_comes_back_however_broken(tmp_path: Path, keypoints: Any) -> None:
    document = coco_document(coco_annotation(), coco_annotation(2, keypoints=keypoints, num_keypoints=None))
    file = _read(tmp_path, document, skip_bad=True)
    assert dump_json(strip_document(extend_document(file, _one_person(file), HEADER))) == dump_json(document)


def test_other_categories_are_not_touched(tmp_path: Path) -> None:
    dog = {"id": 5, "image_id": 7, "category_id": 2, "keypoints": [1, 2, 3]}
    document = coco_document(coco_annotation(), dog)
    document["categories"].append({"id": 2, "name": "dog", "keypoints": ["tail"]})
    file = _read(tmp_path, document)
    extended = extend_document(file, _one_person(file), HEADER)
    assert extended["annotations"][1] == dog
    assert extended["categories"][1] == document["categories"][1]


def test_extending_does_not_change_the_document_that_was_read(tmp_path: Path) -> None:
    document = coco_document()
    file = _read(tmp_path, document)
    before = copy.deepcopy(file.document)
    extend_document(file, _one_person(file), HEADER)
    assert file.document == before


def test_mpii_pixels_go_back_to_1_based(tmp_path: Path) -> None:
    file = _read(tmp_path, [mpii_record()])
    keypoints = UNION21.missing_from(file.poses.skeleton)
    additions = Additions(
        keypoints,
        np.array([[[10.0, 20.0], [30.0, 40.0], [50.0, 60.0], [np.nan] * 2, [np.nan] * 2]]),
        np.array([[2, 1, 0, 0, 0]], dtype=np.uint8),
        np.array([[Source.TEACHER] * 3 + [Source.NONE] * 2], dtype=object),
        np.array([[0.9, 0.8, 0.1, 0.0, 0.0]]),
    )
    record = extend_document(file, additions, HEADER)[0]
    assert record["joints"] == [*mpii_record()["joints"], [11.0, 21.0], [31.0, 41.0], *[[-1.0, -1.0]] * 3]
    assert record["joints_vis"] == [1] * 16 + [1, 1, 0, 0, 0]
    assert record["annotext"]["candidate"] == [None, None, [51.0, 61.0], None, None]
    assert record["annotext"]["visibility"] == [2, 1, 0, 0, 0]


def _base_documents() -> list[Any]:
    return [
        coco_document(coco_annotation(1), coco_annotation(2), coco_annotation(3, keypoints=[0] * 51, num_keypoints=0)),
        halpe_document(),
        [mpii_record(), mpii_record(image="b.jpg", joints_vis=[0] * 16), mpii_record(joints=..., joints_vis=...)],
    ]


@pytest.mark.parametrize("document", _base_documents(), ids=["coco", "halpe", "mpii"])
def test_an_extended_file_reads_back_with_its_additions(tmp_path: Path, document: Any) -> None:
    file = _read(tmp_path, document)
    additions = some_additions(file)
    write_extended(file, additions, HEADER, tmp_path / "out.json", force=False)
    again = read_annotations(tmp_path / "out.json")
    assert again.additions is not None and again.header is not None
    assert again.additions.keypoints == additions.keypoints
    assert (again.additions.visibility == additions.visibility).all()
    assert (again.additions.source == additions.source).all()
    assert np.allclose(again.additions.score, additions.score, atol=5.1e-5)
    assert np.allclose(again.additions.xy, additions.xy, atol=5.1e-3, equal_nan=True)
    assert np.allclose(again.additions.radius, additions.radius, atol=5.1e-3, equal_nan=True)
    assert (again.additions.decision == additions.decision).all()
    plain_to_see = np.isin(additions.reason, (Reason.CROWD, Reason.NO_KEYPOINTS))
    assert (again.additions.reason == additions.reason)[~plain_to_see].all()


@pytest.mark.parametrize("document", _base_documents(), ids=["coco", "halpe", "mpii"])
def test_the_poses_of_an_extended_file_hold_human_and_added_points(tmp_path: Path, document: Any) -> None:
    file = _read(tmp_path, document)
    additions = some_additions(file)
    write_extended(file, additions, HEADER, tmp_path / "out.json", force=False)
    poses = read_annotations(tmp_path / "out.json").extended_poses
    assert poses.skeleton.keypoints == (*file.poses.skeleton.keypoints, *additions.keypoints)
    k = len(file.poses.skeleton)
    assert np.array_equal(poses.xy[:, :k], file.poses.xy, equal_nan=True)
    assert (poses.visibility[:, k:] == additions.visibility).all()
    assert np.allclose(poses.xy[:, k:][additions.added], additions.xy[additions.added], atol=5.1e-3)


@pytest.mark.parametrize(("number", "kind"), [(0, "coco"), (1, "coco"), (2, "mpii")], ids=["coco", "halpe", "mpii"])
def test_a_written_file_follows_the_schema(tmp_path: Path, number: int, kind: str) -> None:
    file = _read(tmp_path, _base_documents()[number])
    write_extended(file, some_additions(file), HEADER, tmp_path / "out.json", force=False)
    _validate(orjson.loads((tmp_path / "out.json").read_bytes()), kind)
    if kind == "mpii":
        _validate(orjson.loads(header_path(tmp_path / "out.json").read_bytes()), "header")


def test_the_schema_refuses_a_file_that_is_not_extended() -> None:
    with pytest.raises(jsonschema.ValidationError):
        _validate(coco_document(), "coco")
    with pytest.raises(jsonschema.ValidationError):
        _validate([mpii_record()], "mpii")


@pytest.mark.parametrize("document", _base_documents(), ids=["coco", "halpe", "mpii"])
def test_an_extended_file_is_not_extended_again(tmp_path: Path, document: Any) -> None:
    file = _read(tmp_path, document)
    write_extended(file, some_additions(file), HEADER, tmp_path / "out.json", force=False)
    again = read_annotations(tmp_path / "out.json")
    with pytest.raises(InputError, match=r"already extended\n  hint: .*annotext strip"):
        extend_document(again, Additions.nothing(len(again.poses), ["left_heel"]), HEADER)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("source", ["guess", "none", "none", "none"], "source[0] is 'guess'"),
        ("source", ["derived"], "source must be a list of 4"),
        ("source", ["none", "student", "teacher", "none"], "point 0 has v > 0, but its source is none"),
        ("score", [2, 0, 0, 0], "score[0] is outside [0, 1]"),
        ("candidate", [[1, 2], None, [1, 2], None], "point 0 has v > 0, and a candidate too"),
        ("candidate", [None, None, None, None], "point 2 has v = 0, a source and no candidate"),
        ("candidate", [None, None, [1], None], "candidate[2] must be null or [x, y]"),
        ("radius", [None, 1.0], "radius must be a list of 4"),
        ("radius", [None, -1, None, None], "radius[1] must be null, or pixels"),
        ("radius", [None, None, None, 3], "radius[3] must be null, or pixels"),
        ("decision", ["add", "add", "hm", "none"], "decision[2] is 'hm', expected one of add, ask"),
        ("decision", ["add", "add", "add", "none"], "decision[2] is 'add', but the point has v = 0, source teacher"),
        ("decision", ["add", "withhold", "ask", "none"], "decision[1] is 'withhold', but the point has v = 1"),
        ("decision", ["add", "add", "ask", "ask"], "decision[3] is 'ask', but the point has v = 0, source none"),
        ("reason", [None, None, "no idea", None], "reason[2] is 'no idea', expected null or one of"),
        ("reason", [None, None, "", None], "reason[2] is '', expected null or one of"),
        ("reason", ["crowd", None, None, None], "reason[0] is 'crowd', but the point is added"),
    ],
)
def test_a_block_changed_by_hand_is_named(tmp_path: Path, key: str, value: Any, message: str) -> None:
    file = _read(tmp_path, coco_document())
    extended = extend_document(file, _one_person(file), HEADER)
    extended["annotations"][0]["annotext"][key] = value
    with pytest.raises(InputError) as caught:
        _read(tmp_path, extended)
    assert f"annotations[0].annotext: {message}" in str(caught.value)


def test_an_extended_mpii_file_without_its_header_says_which_file_is_missing(tmp_path: Path) -> None:
    file = _read(tmp_path, [mpii_record()])
    write_extended(file, some_additions(file), HEADER, tmp_path / "out.json", force=False)
    header_path(tmp_path / "out.json").unlink()
    with pytest.raises(InputError, match=r"its header is missing\n  hint: .*out\.json\.annotext\.json"):
        read_annotations(tmp_path / "out.json")


def test_an_added_keypoint_nobody_knows_is_a_known_error(tmp_path: Path) -> None:
    file = _read(tmp_path, coco_document())
    with pytest.raises(AnnotextError, match="no known skeleton has the keypoint tail"):
        extend_document(file, Additions.nothing(1, ["tail"]), HEADER)


def test_a_header_that_contradicts_the_file_is_refused(tmp_path: Path) -> None:
    file = _read(tmp_path, coco_document())
    with pytest.raises(ValueError, match="skeleton is 'mpii16'"):
        complete_header(file, _one_person(file), {"skeleton": "mpii16"})


def test_the_same_additions_give_the_same_bytes(tmp_path: Path) -> None:
    file = _read(tmp_path, coco_document())
    for name in ("a.json", "b.json"):
        write_extended(file, _one_person(file), HEADER, tmp_path / name, force=False)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_an_mpii_output_is_refused_if_only_its_header_exists(tmp_path: Path) -> None:
    file = _read(tmp_path, [mpii_record()])
    header_path(tmp_path / "out.json").write_text("{}")
    with pytest.raises(InputError, match=r"out\.json\.annotext\.json: exists"):
        write_extended(file, some_additions(file), HEADER, tmp_path / "out.json", force=False)
    assert not (tmp_path / "out.json").exists()


# Documents as other tools write them: unknown keys, odd numbers, keys in any order, keys that are not there.
_scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
)
_unknown = st.dictionaries(
    st.text("abcdef", min_size=4, max_size=6), _scalars | st.lists(_scalars, max_size=3), max_size=3
)
_coordinate = st.integers(-1000, 5000) | st.floats(-1e5, 1e5) | st.just(-0.0) | st.just(1e-300)
_state = st.sampled_from([0, 1, 2, 0.0, 1.0, 2.0])


def _shuffled(draw: st.DrawFn, record: dict[str, Any]) -> dict[str, Any]:
    return dict(draw(st.permutations(list(record.items()))))


@st.composite
def _coco_documents(draw: st.DrawFn) -> dict[str, Any]:
    annotations = []
    for number in range(draw(st.integers(1, 4))):
        triples = draw(st.lists(st.tuples(_coordinate, _coordinate, _state), min_size=17, max_size=17))
        numbers = [n for t in triples for n in t]
        record = coco_annotation(number * 7, keypoints=numbers, num_keypoints=sum(t[2] > 0 for t in triples))
        if draw(st.booleans()):
            del record["num_keypoints"]
            if draw(st.booleans()):
                del record["keypoints"]
        for key in ("area", "iscrowd"):
            if draw(st.booleans()):
                del record[key]
        annotations.append(_shuffled(draw, {**draw(_unknown), **record}))
    document = coco_document(*annotations)
    if draw(st.booleans()):
        del document["info"]
    elif draw(st.booleans()):
        document["info"] = draw(_unknown)
    category = document["categories"][0]
    if draw(st.booleans()):
        del category["skeleton"]
    document["categories"] = [_shuffled(draw, {**draw(_unknown), **category})]
    return _shuffled(draw, {**draw(_unknown), **document})


@st.composite
def _mpii_documents(draw: st.DrawFn) -> list[dict[str, Any]]:
    document = []
    for _ in range(draw(st.integers(1, 4))):
        joints = draw(st.lists(st.lists(_coordinate, min_size=2, max_size=2), min_size=16, max_size=16))
        states = draw(st.lists(st.sampled_from([0, 1, 0.0, 1.0]), min_size=16, max_size=16))
        record = mpii_record(joints=joints, joints_vis=states)
        if draw(st.integers(0, 3)) == 0:
            del record["joints"], record["joints_vis"]
        document.append(_shuffled(draw, {**draw(_unknown), **record}))
    return document


@settings(deadline=None)
@given(document=_coco_documents() | _mpii_documents(), seed=st.integers(0, 2**32 - 1))
def test_strip_gives_the_input_back_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory, document: Any, seed: int
) -> None:
    file = _read(tmp_path_factory.mktemp("strip"), document)
    extended = extend_document(file, some_additions(file, seed), HEADER)
    assert dump_json(extended) != dump_json(document)
    assert dump_json(strip_document(extended)) == dump_json(document)


@settings(deadline=None)
@given(document=_coco_documents(), seed=st.integers(0, 2**32 - 1))
def test_human_numbers_are_never_touched(tmp_path_factory: pytest.TempPathFactory, document: Any, seed: int) -> None:
    file = _read(tmp_path_factory.mktemp("human"), document)
    extended = extend_document(file, some_additions(file, seed), HEADER)
    for before, after in zip(document["annotations"], extended["annotations"], strict=True):
        assert len(after["keypoints"]) == 63
        assert dump_json(after["keypoints"][:51]) == dump_json(before.get("keypoints", [0] * 51))
        assert after["num_keypoints"] == sum(v > 0 for v in after["keypoints"][2::3])


def test_strip_writes_the_input_again(tmp_path: Path, run_cli: RunCli) -> None:
    file = _read(tmp_path, coco_document(info=...))
    write_extended(file, _one_person(file), HEADER, tmp_path / "out.json", force=False)
    done = run_cli("strip", tmp_path / "out.json", "-o", tmp_path / "back.json", "--json")
    assert json.loads(done.stdout) == {
        "input": str(tmp_path / "out.json"),
        "output": str(tmp_path / "back.json"),
        "people": 1,
        "keypoints": 4,
    }
    assert (tmp_path / "back.json").read_bytes() == file.path.read_bytes()


def test_strip_of_mpii_needs_no_header(tmp_path: Path, run_cli: RunCli) -> None:
    file = _read(tmp_path, [mpii_record()])
    write_extended(file, some_additions(file), HEADER, tmp_path / "out.json", force=False)
    header_path(tmp_path / "out.json").unlink()
    assert run_cli("strip", tmp_path / "out.json", "-o", tmp_path / "back.json").returncode == 0
    assert (tmp_path / "back.json").read_bytes() == file.path.read_bytes()


def test_strip_refuses_a_file_that_is_not_extended(tmp_path: Path, run_cli: RunCli) -> None:
    path = write(tmp_path / "in.json", coco_document())
    done = run_cli("strip", path, "-o", tmp_path / "back.json")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {path}: is not an extended file")
    assert not (tmp_path / "back.json").exists()


def test_strip_refuses_to_replace_a_file_or_its_input(tmp_path: Path, run_cli: RunCli) -> None:
    file = _read(tmp_path, coco_document())
    out = tmp_path / "out.json"
    write_extended(file, _one_person(file), HEADER, out, force=False)
    before = out.read_bytes()
    assert "exists" in run_cli("strip", out, "-o", file.path).stderr
    assert "is the input itself" in run_cli("strip", out, "-o", out, "--force").stderr
    assert out.read_bytes() == before
    assert run_cli("strip", out, "-o", file.path, "--force").returncode == 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d["info"]["annotext"].pop("restore"),
        lambda d: d["annotations"][0].update(keypoints=[1]),
        lambda d: d["annotations"][0]["annotext"].pop("source"),
        lambda d: d["annotations"][0]["annotext"].update(source=["none"]),
        lambda d: d.update(categories=[]),
        lambda d: d.update(annotations=None),
        lambda d: d["annotations"][0].pop("annotext"),
        lambda d: d["annotations"][0].update(keypoints=d["annotations"][0]["keypoints"][:51]),
        lambda d: d["categories"][0].update(keypoints=d["categories"][0]["keypoints"][:17]),
        lambda d: d["info"]["annotext"]["restore"].update(keypoints="17"),
        lambda d: d["info"]["annotext"]["restore"].update(skeleton=-3),
    ],
)
def test_strip_of_a_damaged_file_is_a_known_error(tmp_path: Path, damage: Callable[[Any], Any]) -> None:
    file = _read(tmp_path, coco_document())
    extended = copy.deepcopy(extend_document(file, _one_person(file), HEADER))
    damage(extended)
    with pytest.raises(InputError):
        strip_document(extended)


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d[0].pop("annotext"),
        lambda d: d[0].update(joints=d[0]["joints"][:16]),
        lambda d: d[0].update(joints_vis=d[0]["joints_vis"][:16]),
    ],
)
def test_strip_of_a_damaged_mpii_file_is_a_known_error(tmp_path: Path, damage: Callable[[Any], Any]) -> None:
    file = _read(tmp_path, [mpii_record(), mpii_record()])
    extended = copy.deepcopy(extend_document(file, some_additions(file), HEADER))
    damage(extended)
    with pytest.raises(InputError):
        strip_document(extended)


def test_strip_names_every_damaged_record_at_once(tmp_path: Path) -> None:
    file = _read(tmp_path, coco_document(coco_annotation(1), coco_annotation(2)))
    extended = copy.deepcopy(extend_document(file, Additions.nothing(2, ADDED), HEADER))
    extended["annotations"][0]["keypoints"] = None
    extended["annotations"][1].pop("annotext")
    with pytest.raises(InputError) as caught:
        strip_document(extended, "e.json")
    assert [p.pointer for p in caught.value.problems] == ["annotations[0].keypoints", "annotations[1].annotext"]


def test_additions_must_belong_to_the_people_of_the_file(tmp_path: Path) -> None:
    file = _read(tmp_path, coco_document())
    with pytest.raises(ValueError, match="2 additions for 1 people"):
        extend_document(file, Additions.nothing(2, ADDED), HEADER)
    with pytest.raises(ValueError, match="keypoints that coco17 lacks"):
        extend_document(file, Additions.nothing(1, ["nose"]), HEADER)
    empty = replace(file, poses=file.poses.take([]), rows=file.rows[:0])
    assert (
        extend_document(empty, Additions.nothing(0, ADDED), HEADER)["annotations"][0]["annotext"]["source"]
        == ["none"] * 4
    )


@pytest.mark.real
@pytest.mark.parametrize(
    "name",
    [
        "coco/annotations/person_keypoints_val2017_official_objects.json",
        "coco/annotations/person_keypoints_train2017_official_objects.json",
        "coco/annotations/person_keypoints_val2017_subset.json",
        "halpe/test_halpe.json",
        "mpii/annotations/test_mpii.json",
        "mpii/annotations/mpii_val_from_h5.json",
    ],
)
def test_strip_of_a_real_file_equals_it(real: Path, tmp_path: Path, run_cli: RunCli, name: str) -> None:
    file = read_annotations(real / name)
    write_extended(file, some_additions(file), HEADER, tmp_path / "out.json", force=False)
    _validate(orjson.loads((tmp_path / "out.json").read_bytes()), "mpii" if file.kind == "mpii" else "coco")
    assert run_cli("strip", tmp_path / "out.json", "-o", tmp_path / "back.json").returncode == 0
    original = orjson.dumps(orjson.loads((real / name).read_bytes()))
    assert orjson.dumps(orjson.loads((tmp_path / "back.json").read_bytes())) == original


@pytest.mark.real
def test_a_real_extended_file_loads_in_pycocotools_with_21_points(real: Path, tmp_path: Path) -> None:
    from pycocotools.coco import COCO

    file = read_annotations(real / "coco/annotations/person_keypoints_val2017_official_objects.json")
    write_extended(file, some_additions(file), HEADER, tmp_path / "out.json", force=False)
    coco = COCO(str(tmp_path / "out.json"))
    assert coco.loadCats([1])[0]["keypoints"] == list(UNION21.keypoints)
    assert {len(a["keypoints"]) for a in coco.loadAnns(coco.getAnnIds())} == {63}
