"""Extended files that annotext 0.1 wrote: they read as it read them, and strip to what it was given.

tests/fixtures/v0_1 holds, by format, a plain file, the extended one (with pseudo-labels), the one revised after a
review, and what version 0.1 read from both (`*.read.json`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from annotext.core.additions import PER_POINT, Additions, Review
from annotext.formats.annotations.read import read_annotations
from annotext.formats.files.jsonio import dump_json, read_json
from annotext.formats.overlay.strip import strip_document

FILES = Path(__file__).parents[2] / "fixtures" / "v0_1"
NAMES = [f"{k}.{s}" for k in ("coco", "halpe", "mpii") for s in ("extended", "revised")]
EVERY = pytest.mark.parametrize("name", NAMES)


def _cell(value: Any) -> Any:
    if isinstance(value, Review):
        b = value.before
        xy = None if b.xy is None else list(b.xy)
        before = [xy, b.visibility, str(b.source), b.score, b.radius, str(b.decision), str(b.reason)]
        return [value.verdict, list(value.reviewers), *before]
    if isinstance(value, list):
        return [_cell(v) for v in value]
    if isinstance(value, float):
        return None if np.isnan(value) else value
    return str(value) if isinstance(value, str) else value


def _told(additions: Additions) -> dict[str, Any]:
    arrays = {name: _cell(getattr(additions, name).tolist()) for name in PER_POINT}
    return {"keypoints": list(additions.keypoints), **arrays}


@EVERY
def test_what_was_added_reads_the_same(name: str) -> None:
    file = read_annotations(FILES / f"{name}.json")
    expected = orjson.loads((FILES / f"{name}.read.json").read_bytes())
    assert file.additions is not None and file.pseudo is not None
    assert _told(file.additions) == expected["additions"]
    assert _told(file.pseudo.own) == expected["own"]
    assert file.pseudo.new.tolist() == expected["new"]
    assert file.header == expected["header"]


@EVERY
def test_the_people_read_the_same(name: str) -> None:
    file = read_annotations(FILES / f"{name}.json")
    expected = orjson.loads((FILES / f"{name}.read.json").read_bytes())
    poses = file.extended_poses
    assert (file.rows.tolist(), poses.ids.tolist()) == (expected["rows"], expected["ids"])
    assert list(poses.skeleton.keypoints) == expected["skeleton"]
    assert poses.visibility.tolist() == expected["visibility"]
    assert _cell(poses.xy.tolist()) == expected["xy"]


@EVERY
def test_people_labelled_what_the_plain_file_has(name: str) -> None:
    file = read_annotations(FILES / f"{name}.json")
    plain = read_annotations(FILES / f"{name.partition('.')[0]}.json").poses
    mine = file.poses.take(np.isin(file.poses.ids, plain.ids))
    assert file.poses.skeleton == plain.skeleton and mine.ids.tolist() == plain.ids.tolist()
    assert np.array_equal(mine.xy, plain.xy, equal_nan=True)
    assert np.array_equal(mine.visibility, plain.visibility)
    assert not file.poses.take(~np.isin(file.poses.ids, plain.ids)).has_keypoints.any()


@EVERY
def test_strip_gives_the_plain_file(name: str) -> None:
    document, _ = read_json(FILES / f"{name}.json")
    assert dump_json(strip_document(document)) == (FILES / f"{name.partition('.')[0]}.json").read_bytes()
