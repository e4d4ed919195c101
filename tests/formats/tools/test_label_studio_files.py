"""Label Studio's JSON export as corrections. The layout is that of labelstud.io/guide/task_format and
/tags/keypointlabels: tasks with annotations with results, places in percent of the image."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from reviewed import write_extended_people

from annotext.core.errors import InputError
from annotext.formats.annotations.read import read_annotations
from annotext.review.decisions.correction import Correction, Verdict
from annotext.review.decisions.files import read_corrections
from annotext.workflows.apply import apply
from annotext.workflows.corrections import corrections_from, corrections_to

Edit = Callable[[list[dict[str, Any]]], None]


@pytest.fixture
def extended(tmp_path: Path) -> Path:
    return write_extended_people(tmp_path)


def annotated(tmp_path: Path, extended: Path, edit: Edit | None = None) -> Path:
    """What Label Studio exports after somebody submitted every task as `edit` left its results.

    A new annotation starts as a copy of the prediction, with the ids of its regions.
    """
    corrections_to("label-studio", extended, tmp_path / "tasks.json", force=True)
    export = []
    for number, task in enumerate(json.loads((tmp_path / "tasks.json").read_text()), start=1):
        result = [{**r, "origin": "prediction"} for r in task["predictions"][0]["result"]]
        if edit is not None:
            edit(result)
        annotation = {
            "id": 1000 + number,
            "completed_by": 10,
            "result": result,
            "was_cancelled": False,
            "ground_truth": False,
            "created_at": "2026-03-09T22:16:08.728353Z",
            "updated_at": "2026-03-09T22:16:08.728378Z",
            "lead_time": 4.288,
            "task": number,
        }
        export.append(
            {"id": number, "data": task["data"], "annotations": [annotation], "predictions": [], "project": 83}
        )
    path = tmp_path / "export.json"
    path.write_text(json.dumps(export))
    return path


def collected(tmp_path: Path, export: Path, extended: Path) -> list[Correction]:
    out = tmp_path / "corrections.jsonl"
    corrections_from("label-studio", export, extended, out, reviewer="ann")
    return read_corrections([out]) if out.exists() else []


def first_point(extended: Path, v: int) -> tuple[str, tuple[float, float]]:
    """The id of the region of a point with this v, and its place in pixels."""
    file = read_annotations(extended)
    assert file.additions is not None
    for i in range(len(file.poses)):
        for j, keypoint in enumerate(file.additions.keypoints):
            x, y = file.additions.xy[i, j].tolist()
            if 20 < x < 600 and 20 < y < 440 and file.additions.visibility[i, j] == v:
                return f"{file.poses.ids[i]}.{keypoint}", (x, y)
    raise AssertionError("no such point")


def without(region: str, kind: str | None = None) -> Edit:
    def edit(result: list[dict[str, Any]]) -> None:
        result[:] = [r for r in result if r["id"] != region or (kind is not None and r["type"] != kind)]

    return edit


def test_tasks_that_come_back_as_they_went_are_no_decisions(tmp_path: Path, extended: Path) -> None:
    assert collected(tmp_path, annotated(tmp_path, extended), extended) == []


@pytest.mark.parametrize("v", [0, 1, 2])
def test_a_point_that_was_dragged_is_moved_in_the_file(tmp_path: Path, extended: Path, v: int) -> None:
    region, (x, y) = first_point(extended, v)

    def drag(result: list[dict[str, Any]]) -> None:
        for r in result:
            if r["id"] == region and r["type"] == "keypointlabels":
                r["value"]["x"] += 100 * 8 / 640

    (decision,) = collected(tmp_path, annotated(tmp_path, extended, drag), extended)
    assert f"{decision.person}.{decision.keypoint}" == region
    assert decision.verdict == Verdict.MOVE and decision.new is not None
    assert (decision.new.x, decision.new.y) == pytest.approx((x + 8, y), abs=0.011)
    assert decision.time == "2026-03-09T22:16:08.728Z"
    assert apply(extended, [tmp_path / "corrections.jsonl"], tmp_path / "out.json").findings == ()
    after = read_annotations(tmp_path / "out.json").additions
    assert after is not None
    assert (after.review != None).sum() == 1  # noqa: E711


def test_a_deleted_region_is_rejected(tmp_path: Path, extended: Path) -> None:
    region, _ = first_point(extended, 2)
    (decision,) = collected(tmp_path, annotated(tmp_path, extended, without(region)), extended)
    assert (f"{decision.person}.{decision.keypoint}", decision.verdict) == (region, Verdict.REJECT)


def test_a_candidate_that_is_none_any_more_is_accepted(tmp_path: Path, extended: Path) -> None:
    region, _ = first_point(extended, 0)
    (decision,) = collected(tmp_path, annotated(tmp_path, extended, without(region, "choices")), extended)
    assert (f"{decision.person}.{decision.keypoint}", decision.verdict) == (region, Verdict.ACCEPT)


def test_a_region_called_hidden_is_hidden(tmp_path: Path, extended: Path) -> None:
    region, _ = first_point(extended, 2)

    def hide(result: list[dict[str, Any]]) -> None:
        result += [
            {**r, "type": "choices", "from_name": "state", "value": {"choices": ["hidden"]}}
            for r in result
            if r["id"] == region
        ]

    (decision,) = collected(tmp_path, annotated(tmp_path, extended, hide), extended)
    assert (f"{decision.person}.{decision.keypoint}", decision.verdict) == (region, Verdict.HIDDEN)


def test_a_task_said_to_be_checked_has_every_point_decided(tmp_path: Path, extended: Path) -> None:
    def check(result: list[dict[str, Any]]) -> None:
        chosen = {"choices": ["checked"]}
        result.append({"id": "a1B2c3D4e5", "from_name": "done", "to_name": "image", "type": "choices", "value": chosen})

    decisions = collected(tmp_path, annotated(tmp_path, extended, check), extended)
    file = read_annotations(extended)
    assert file.additions is not None
    assert len(decisions) == (file.additions.source != "none").sum()
    assert {c.verdict for c in decisions if c.old is not None and c.old.v} == {Verdict.ACCEPT}
    assert {c.verdict for c in decisions if c.old is not None and not c.old.v} == {Verdict.REJECT}


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"id": "hqudA4A3U4"}, "result[0].id"),
        ({"id": "999999.pelvis"}, "result[0]"),
        ({"original_width": None}, "result[0]"),
        ({"image_rotation": 90}, "result[0].image_rotation"),
        ({"value": {"x": 1, "y": 1, "keypointlabels": ["nose"]}}, "result[0].value.keypointlabels"),
    ],
)
def test_regions_that_cannot_be_matched_are_named_and_nothing_is_written(
    tmp_path: Path, extended: Path, change: dict[str, Any], pointer: str
) -> None:
    export = annotated(tmp_path, extended)
    document = json.loads(export.read_text())
    document[0]["annotations"][0]["result"][0].update(change)
    export.write_text(json.dumps(document))
    with pytest.raises(InputError) as error:
        collected(tmp_path, export, extended)
    assert f"[0].annotations[0].{pointer}" in [p.pointer for p in error.value.problems]
    assert not (tmp_path / "corrections.jsonl").exists()


def test_tasks_nobody_submitted_and_cancelled_ones_say_nothing(tmp_path: Path, extended: Path) -> None:
    region, _ = first_point(extended, 2)
    export = annotated(tmp_path, extended, without(region))
    document = json.loads(export.read_text())
    for task in document:
        task["annotations"][0]["was_cancelled"] = True
    document[0]["annotations"] = []
    export.write_text(json.dumps(document))
    assert collected(tmp_path, export, extended) == []


def test_two_annotators_in_one_export_are_asked_for_one_by_one(tmp_path: Path, extended: Path) -> None:
    export = annotated(tmp_path, extended)
    document = json.loads(export.read_text())
    document[0]["annotations"].append({**document[0]["annotations"][0], "completed_by": 11})
    export.write_text(json.dumps(document))
    with pytest.raises(InputError, match="several people"):
        collected(tmp_path, export, extended)


def test_the_labelling_interface_names_every_added_keypoint(tmp_path: Path, extended: Path) -> None:
    corrections_to("label-studio", extended, tmp_path / "tasks.json")
    view = ElementTree.parse(tmp_path / "tasks.json.config.xml").getroot()
    file = read_annotations(extended)
    assert file.additions is not None
    assert [x.get("value") for x in view.iter("Label")] == list(file.additions.keypoints)
    used = {
        r["from_name"] for t in json.loads((tmp_path / "tasks.json").read_text()) for r in t["predictions"][0]["result"]
    }
    assert used <= {x.get("name") for x in view.iter() if x.get("toName") == "image"}


@pytest.mark.parametrize("content", ['{"tasks": []}', "[[]]", '[{"image": "a.jpg", "label": []}]'])
def test_other_exports_are_refused(tmp_path: Path, extended: Path, content: str) -> None:
    (tmp_path / "export.json").write_text(content)
    with pytest.raises(InputError, match=re.escape("export as JSON (not JSON-MIN, not COCO)")):
        collected(tmp_path, tmp_path / "export.json", extended)
