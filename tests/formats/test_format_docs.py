"""The examples in docs/formats are real."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from annotext.formats.files.skeletons import read_skeleton
from annotext.review.decisions.files import correction_line, read_corrections
from annotext.workflows.apply import apply

_DOCS = Path(__file__).resolve().parents[2] / "docs" / "formats"


@pytest.mark.parametrize("part", ["annotation", "header"])
def test_the_example_of_an_extended_file_is_the_golden_one(part: str) -> None:
    text = (_DOCS / "extended.md").read_text()
    found = re.search(rf"<!-- golden: {part} -->\n```json\n(.*?)```", text, re.DOTALL)
    assert found
    golden = json.loads((Path(__file__).parent / "overlay" / "golden_extended_coco.json").read_text())
    expected = golden["annotations"][0] if part == "annotation" else golden["info"]["annotext"]
    assert json.dumps(json.loads(found[1])) == json.dumps(expected)


def test_the_example_of_a_corrections_file_does_what_the_document_says(tmp_path: Path) -> None:
    text = (_DOCS / "corrections.md").read_text()
    lines, block = (re.search(rf"<!-- golden: {p} -->\n```json\n(.*?)```", text, re.DOTALL) for p in ("lines", "block"))
    assert lines
    assert block
    (tmp_path / "corrections.jsonl").write_text(lines[1])
    corrections = read_corrections([tmp_path / "corrections.jsonl"], kind="coco")
    assert b"".join(correction_line(c, "coco") for c in corrections).decode() == lines[1]
    apply(
        (Path(__file__).parent / "overlay" / "golden_extended_coco.json"),
        [tmp_path / "corrections.jsonl"],
        tmp_path / "out.json",
    )
    written = json.loads((tmp_path / "out.json").read_text())["annotations"][0]["annotext"]
    assert json.dumps(json.loads(block[1])) == json.dumps(written)


def test_the_example_of_a_skeleton_can_be_read(tmp_path: Path) -> None:
    found = re.search(r"```toml\n(.*?)```", (_DOCS / "skeletons.md").read_text(), re.DOTALL)
    assert found
    (tmp_path / "stick5.toml").write_text(found[1])
    skeleton = read_skeleton(tmp_path / "stick5.toml")
    assert skeleton.keypoints == ("head_top", "left_wrist", "right_wrist", "left_ankle", "right_ankle")
