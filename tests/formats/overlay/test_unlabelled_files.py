"""Extended files with whole poses of people nobody labelled: told from labels when read, gone when stripped."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import orjson
import pytest
from documents import HEADER, coco_annotation, coco_document, some_additions, write
from hypothesis import given, settings
from hypothesis import strategies as st
from whole_people import (
    DOCUMENTS,
    MARKED,
    extended,
    some_points,
    unlabelled_coco,
    unlabelled_mpii,
    whole_poses,
)

from annotext.core.additions import Additions, Source, put
from annotext.core.errors import InputError
from annotext.formats.annotations.read import AnnotationFile, read_annotations
from annotext.formats.files.jsonio import dump_json
from annotext.formats.overlay.header import header_path
from annotext.formats.overlay.pseudo_labels import Unlabelled
from annotext.formats.overlay.strip import strip_document
from annotext.formats.overlay.write import extend_document, schema, write_extended

EVERY = pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)


def read(tmp_path: Path, document: Any) -> AnnotationFile:
    return read_annotations(write(tmp_path / "in.json", document))


@EVERY
@given(seed=st.integers(0, 2**16))
@settings(max_examples=25, deadline=None)
def test_strip_gives_the_input_back_key_order_included(
    tmp_path_factory: pytest.TempPathFactory, document: Any, seed: int
) -> None:
    file = read(tmp_path_factory.mktemp("strip"), document)
    before = copy.deepcopy(document)
    assert dump_json(strip_document(extended(file, seed)[0])) == dump_json(before)
    assert file.document == before


def test_a_person_without_keypoints_gets_all_and_says_so(tmp_path: Path) -> None:
    file = read(tmp_path, coco_document(coco_annotation(2, keypoints=[0] * 51, num_keypoints=0)))
    names = file.poses.skeleton.keypoints
    nothing = Additions.nothing(1, names)
    xy, states = nothing.xy.copy(), nothing.visibility.copy()
    source, score = nothing.source.copy(), nothing.score.copy()
    xy[0, :3], states[0, :2], source[0, :3], score[0, :3] = [[1.234, 5], [7, 8.5], [3, 4]], [2, 1], Source.STUDENT, 0.75
    own = Additions(names, xy, states, source, score)
    additions = Additions.nothing(1, ("pelvis", "thorax"))
    [annotation] = extend_document(file, additions, MARKED, unlabelled=Unlabelled(own))["annotations"]
    assert annotation["keypoints"] == [1.23, 5.0, 2, 7.0, 8.5, 1, *[0] * 51]
    assert annotation["num_keypoints"] == 2
    assert annotation["annotext"] == {
        "source": ["none"] * 2,
        "score": [0.0] * 2,
        "candidate": [None] * 2,
        "own": {
            "source": ["student"] * 3 + ["none"] * 14,
            "score": [0.75] * 3 + [0.0] * 14,
            "candidate": [None, None, [3.0, 4.0], *[None] * 14],
        },
        "num_keypoints": 0,
    }


def test_numbers_that_stood_there_are_kept_unless_all_are_plain_zeros(tmp_path: Path) -> None:
    file = read(tmp_path, unlabelled_coco())
    own = some_points(len(file.poses), file.poses.skeleton.keypoints, np.random.default_rng(1))
    rows = np.flatnonzero(file.poses.has_keypoints | file.poses.crowd)
    own = put(own, rows, Additions.nothing(len(rows), own.keypoints))
    document = extend_document(file, some_additions(file), MARKED, unlabelled=Unlabelled(own))
    people = [a for a in document["annotations"][:8] if "own" in a["annotext"]]
    kept = {a["id"]: "keypoints" in a["annotext"]["own"] for a in people}
    assert kept and all(kept[i] == (i in (3, 4)) for i in kept)


def test_a_person_that_was_found_is_a_new_annotation_at_the_end(tmp_path: Path) -> None:
    file = read(tmp_path, unlabelled_coco())
    document, whole = extended(file)
    assert whole.new is not None
    [new] = document["annotations"][9:]  # the second got no point
    assert list(new) == [*coco_annotation(), "annotext"]
    assert {k: new[k] for k in ("id", "image_id", "category_id", "bbox", "area", "iscrowd")} == {
        "id": 901,
        "image_id": 8,
        "category_id": 1,
        "bbox": [1.5, 2.0, 30.0, 40.25],
        "area": 1207.5,
        "iscrowd": 0,
    }
    assert (new["annotext"]["new"], new["annotext"]["detection"]) == (True, 0.9876)
    assert new["num_keypoints"] == whole.new.own.added[0].sum() + whole.new.added.added[0].sum()
    assert len(new["keypoints"]) == 63


def test_crowds_labels_and_other_categories_are_not_touched(tmp_path: Path) -> None:
    document = unlabelled_coco()
    after = extended(read(tmp_path, document))[0]["annotations"]
    for i in (0, 7):
        assert after[i]["keypoints"][:51] == document["annotations"][i]["keypoints"]
        assert "own" not in after[i]["annotext"]
    assert after[7]["keypoints"] == [0] * 63
    assert after[8] == document["annotations"][8]


@EVERY
def test_points_nobody_labelled_are_read_apart_from_labels(tmp_path: Path, document: Any) -> None:
    file = read(tmp_path, document)
    additions = some_additions(file)
    whole = whole_poses(file, additions.keypoints)
    write_extended(file, additions, MARKED, tmp_path / "out.json", unlabelled=whole, force=False)
    again = read_annotations(tmp_path / "out.json")
    n, k = file.poses.visibility.shape
    assert again.pseudo is not None
    assert np.array_equal(again.poses.visibility[:n, :k], file.poses.visibility)
    assert np.array_equal(again.poses.xy[:n, :k], file.poses.xy, equal_nan=True)
    assert not again.poses.labelled[n:, :k].any()
    own, written = again.pseudo.own.take(np.arange(n)), whole.own
    assert np.array_equal(own.visibility, written.visibility)
    assert (own.source == written.source).all() and (own.decision == written.decision).all()
    assert np.allclose(own.xy, written.xy, atol=5.1e-3, equal_nan=True)
    assert np.allclose(own.score, written.score, atol=5.1e-5)
    assert np.allclose(own.radius, written.radius, equal_nan=True)
    assert again.pseudo.new.tolist() == [False] * n + [True] * (len(again.poses) - n)
    assert np.array_equal(again.pseudo.people[:n], (written.source != Source.NONE).any(axis=1))


def test_a_file_without_whole_poses_has_none_to_tell(tmp_path: Path) -> None:
    file = read(tmp_path, unlabelled_coco())
    write_extended(file, some_additions(file), HEADER, tmp_path / "out.json", force=False)
    assert read_annotations(tmp_path / "out.json").pseudo is None


@pytest.mark.parametrize("kind", ["coco", "halpe", "mpii"])
def test_a_written_file_follows_the_schema(tmp_path: Path, kind: str) -> None:
    file = read(tmp_path, DOCUMENTS[kind])
    additions = some_additions(file)
    whole = whole_poses(file, additions.keypoints)
    write_extended(file, additions, MARKED, tmp_path / "out.json", unlabelled=whole, force=False)
    definitions = schema()
    for path, what in {tmp_path / "out.json": "mpii" if kind == "mpii" else "coco"}.items():
        rules = {"$ref": f"#/$defs/{what}", "$defs": definitions["$defs"]}
        jsonschema.Draft202012Validator(rules).validate(orjson.loads(path.read_bytes()))
    assert header_path(tmp_path / "out.json").exists() == (kind == "mpii")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"own": 5}, "annotations[0].annotext.own: is a number, expected an object"),
        ({"own": {"source": []}}, "annotations[0].annotext.own: source must be a list of 17"),
        ({"new": 1}, "annotations[0].annotext.new: is a number, expected true or nothing"),
    ],
)
def test_a_block_changed_by_hand_is_named(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    file = read(tmp_path, coco_document(coco_annotation(2, keypoints=[0] * 51, num_keypoints=0)))
    document = extend_document(file, some_additions(file), MARKED)
    document["annotations"][0]["annotext"] |= change
    with pytest.raises(InputError) as caught:
        read(tmp_path, document)
    assert problem in str(caught.value)


def test_what_stood_there_changed_by_hand_is_named_by_strip(tmp_path: Path) -> None:
    document = extended(read(tmp_path, unlabelled_mpii()))[0]
    [row, *_] = [i for i, r in enumerate(document) if "joints" in r["annotext"].get("own", {})]
    document[row]["annotext"]["own"]["joints"] = 3
    with pytest.raises(InputError, match=rf"\[{row}\]\.annotext\.own\.joints: makes no sense"):
        strip_document(document)


def test_whole_poses_for_people_with_labels_are_refused(tmp_path: Path) -> None:
    file = read(tmp_path, coco_document())
    own = some_points(1, file.poses.skeleton.keypoints, np.random.default_rng(1))
    assert (own.source != Source.NONE).any()
    with pytest.raises(ValueError, match="somebody with labels"):
        extend_document(file, some_additions(file), MARKED, unlabelled=Unlabelled(own))


def test_the_document_is_json_all_through(tmp_path: Path) -> None:
    document = extended(read(tmp_path, unlabelled_coco()))[0]
    assert json.loads(json.dumps(document, allow_nan=False)) == document
