"""CVAT's exports as corrections.

The layouts are those of docs.cvat.ai ("XML annotation format", "COCO Keypoints") and of the JSON in cvat-ai/cvat issue
7021: annotations are numbered anew, and what is the user's own stands under `attributes`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from reviewed import write_extended_people

from annotext.core.additions import Source
from annotext.core.errors import AnnotextError, InputError
from annotext.core.poses import Visibility
from annotext.formats.annotations.read import AnnotationFile, read_annotations
from annotext.review.decisions.correction import Correction, Point, Verdict
from annotext.review.decisions.files import read_corrections
from annotext.workflows.apply import apply
from annotext.workflows.corrections import corrections_from, corrections_to
from annotext.workflows.strip import strip_file

HEAD = '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta><task><name>t</name></task>'
DUMPED = "<dumped>2026-03-01 10:20:30.123456+00:00</dumped></meta>"


@pytest.fixture
def extended(tmp_path: Path) -> Path:
    return write_extended_people(tmp_path)


def written(extended: Path, v: int) -> tuple[AnnotationFile, int, int]:
    """A row and a column of the additions that have an estimate with this v, inside the image."""
    file = read_annotations(extended)
    assert file.additions is not None
    for i in range(len(file.poses)):
        for j in range(len(file.additions.keypoints)):
            x, y = file.additions.xy[i, j]
            if 20 < x < 600 and 20 < y < 440 and file.additions.visibility[i, j] == v:
                return file, i, j
    raise AssertionError("no such point")


def collected(tmp_path: Path, export: Path, extended: Path, **options: object) -> list[Correction]:
    out = tmp_path / "corrections.jsonl"
    corrections_from("cvat", export, extended, out, reviewer="ann", **options)  # type: ignore[arg-type]
    return read_corrections([out]) if out.exists() else []


def shape_of(file: AnnotationFile, i: int, j: int) -> str:
    """A pattern that finds the point's shape in the XML, its attributes in groups."""
    assert file.additions is not None
    annotation = rf'<attribute name="annotation">{file.poses.ids[i]}</attribute>'
    return rf'(<points label="{file.additions.keypoints[j]}"[^>]*?)points="([^"]*)"([^>]*>\s*{annotation}.*?</points>)'


def edited(tmp_path: Path, extended: Path, pattern: str, replacement: str) -> Path:
    """What `to-cvat` wrote, brought back with one edit."""
    export = tmp_path / "export.xml"
    corrections_to("cvat", extended, export, force=True)
    text, count = re.subn(pattern, replacement, export.read_text(), count=1, flags=re.DOTALL)
    assert count == 1
    export.write_text(text)
    return export


def test_points_that_come_back_as_they_went_are_no_decisions(tmp_path: Path, extended: Path) -> None:
    export = tmp_path / "up.xml"
    report = corrections_to("cvat", extended, export)
    assert report.points > 20
    assert collected(tmp_path, export, extended) == []


@pytest.mark.parametrize("v", [0, 1, 2])
def test_a_point_that_was_dragged_is_moved_in_the_file_and_nothing_else_changes(
    tmp_path: Path, extended: Path, v: int
) -> None:
    file, i, j = written(extended, v)
    assert file.additions is not None
    export = edited(tmp_path, extended, shape_of(file, i, j), r'\1points="33.25,44.50"\3')
    (decision,) = collected(tmp_path, export, extended)
    assert (decision.person, decision.keypoint) == (file.poses.ids[i], file.additions.keypoints[j])
    new_v = Visibility.HIDDEN if v == 1 else Visibility.VISIBLE
    assert (decision.verdict, decision.new) == (Verdict.MOVE, Point(33.25, 44.5, new_v))
    apply(extended, [tmp_path / "corrections.jsonl"], tmp_path / "out.json")
    after = read_annotations(tmp_path / "out.json").additions
    assert after is not None
    assert after.xy[i, j].tolist() == [33.25, 44.5]
    assert after.source[i, j] == Source.CORRECTED
    changed = [(i2, j2) for i2, j2 in zip(*(after.review != None).nonzero(), strict=True)]  # noqa: E711
    assert changed == [(i, j)]
    strip_file(tmp_path / "out.json", tmp_path / "stripped.json")
    assert json.loads((tmp_path / "stripped.json").read_text()) == json.loads((tmp_path / "people.json").read_text())


@pytest.mark.parametrize(
    ("v", "pattern", "replacement", "verdict"),
    [
        (2, 'name="checked">false', 'name="checked">true', Verdict.ACCEPT),
        (1, 'name="checked">false', 'name="checked">true', Verdict.ACCEPT),
        (0, 'name="candidate">true', 'name="candidate">false', Verdict.ACCEPT),
        (0, 'name="checked">false', 'name="checked">true', Verdict.REJECT),
        (2, 'occluded="0"', 'occluded="1"', Verdict.HIDDEN),
        (1, 'occluded="1"', 'occluded="0"', Verdict.MOVE),
        (2, 'occluded="0"', 'occluded="0" outside="1"', Verdict.REJECT),
    ],
)
def test_what_an_annotator_says_without_moving_a_point_becomes_a_decision(
    tmp_path: Path, extended: Path, v: int, pattern: str, replacement: str, verdict: Verdict
) -> None:
    file, i, j = written(extended, v)
    export = tmp_path / "export.xml"
    corrections_to("cvat", extended, export)
    text = export.read_text()
    found = re.search(shape_of(file, i, j), text, re.DOTALL)
    assert found is not None and pattern in found[0]
    export.write_text(text.replace(found[0], found[0].replace(pattern, replacement)))
    (decision,) = collected(tmp_path, export, extended)
    assert decision.verdict == verdict
    assert decision.person == file.poses.ids[i]
    if verdict == Verdict.MOVE:
        assert decision.new is not None and decision.new.v == 2


def test_a_deleted_point_is_rejected_but_a_person_who_is_not_in_the_export_is_not_judged(
    tmp_path: Path, extended: Path
) -> None:
    file, i, j = written(extended, 2)
    assert file.additions is not None
    export = edited(tmp_path, extended, shape_of(file, i, j), "")
    (decision,) = collected(tmp_path, export, extended)
    assert (decision.verdict, decision.person) == (Verdict.REJECT, file.poses.ids[i])
    (tmp_path / "corrections.jsonl").unlink()
    one = rf'<attribute name="annotation">{file.poses.ids[i]}</attribute>'
    others = [s for s in re.findall(r"<points.*?</points>", export.read_text(), re.DOTALL) if one in s]
    text = export.read_text()
    for shape in others:
        text = text.replace(shape, "")
    export.write_text(text)
    assert collected(tmp_path, export, extended) == []


def test_a_skeleton_carries_the_annotation_as_its_attribute(tmp_path: Path, extended: Path) -> None:
    file, i, j = written(extended, 2)
    assert file.additions is not None
    x, y = file.additions.xy[i, j].tolist()
    points = []
    for k, keypoint in enumerate(file.additions.keypoints):
        px, py = file.additions.xy[i, k].tolist()
        gone = file.additions.visibility[i, k] == 0
        at = "0.00,0.00" if gone else f"{px:.2f},{py:.2f}"
        occluded = int(file.additions.visibility[i, k] == 1)
        if k == j:
            at = f"{x + 5:.2f},{y:.2f}"
        points.append(
            f'<points label="{keypoint}" source="manual" outside="{int(gone)}" occluded="{occluded}" points="{at}"/>'
        )
    export = tmp_path / "export.xml"
    image = file.poses.file_names()[i]
    export.write_text(
        f'{HEAD}{DUMPED}<image id="0" name="{image}" width="640" height="480">'
        f'<skeleton label="person" source="manual" z_order="0">{"".join(points)}'
        f'<attribute name="annotation">{file.poses.ids[i]}</attribute></skeleton></image></annotations>'
    )
    (decision,) = collected(tmp_path, export, extended)
    assert decision.verdict == Verdict.MOVE
    assert decision.new is not None and decision.new.v == 2
    assert (decision.new.x, decision.new.y) == pytest.approx((x + 5, y), abs=0.011)
    assert decision.time == "2026-03-01T10:20:30Z"


def coco_export(extended: Path, attributes: dict[str, object]) -> tuple[dict[str, object], AnnotationFile, int, int]:
    """COCO Keypoints 1.0 of one person, whose point (i, j) is moved by 7 pixels to the right."""
    file, i, j = written(extended, 2)
    assert file.additions is not None
    numbers: list[float] = []
    for k in range(len(file.additions.keypoints)):
        x, y = file.additions.xy[i, k].tolist()
        v = int(file.additions.visibility[i, k])
        numbers += [x + 7 * (k == j), y, v] if v else [0, 0, 0]
    document = {
        "licenses": [{"name": "", "id": 0, "url": ""}],
        "info": {"contributor": "", "date_created": "", "description": "", "url": "", "version": "", "year": ""},
        "categories": [
            {
                "id": 1,
                "name": "person",
                "supercategory": "",
                "keypoints": list(file.additions.keypoints),
                "skeleton": [],
            }
        ],
        "images": [{"id": 1, "width": 640, "height": 480, "file_name": file.poses.file_names()[i]}],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 1,
                "segmentation": [],
                "area": 3624.4991999999997,
                "bbox": [20.51, 37.12, 67.42, 53.76],
                "iscrowd": 0,
                "attributes": {"occluded": False, "annotation": str(file.poses.ids[i]), **attributes},
                "keypoints": numbers,
                "num_keypoints": 3,
            }
        ],
    }
    return document, file, i, j


def test_coco_keypoints_are_matched_by_the_attribute_and_not_by_cvats_own_ids(tmp_path: Path, extended: Path) -> None:
    document, file, i, j = coco_export(extended, {})
    assert file.additions is not None
    (tmp_path / "export.json").write_text(json.dumps(document))
    (decision,) = collected(tmp_path, tmp_path / "export.json", extended)
    assert (decision.person, decision.keypoint) == (file.poses.ids[i], file.additions.keypoints[j])
    assert decision.verdict == Verdict.MOVE


def test_a_person_marked_as_checked_has_every_written_point_accepted(tmp_path: Path, extended: Path) -> None:
    document, file, i, _ = coco_export(extended, {"checked": True})
    assert file.additions is not None
    (tmp_path / "export.json").write_text(json.dumps(document))
    decisions = {c.keypoint: c.verdict for c in collected(tmp_path, tmp_path / "export.json", extended)}
    estimated = [k for k, s in zip(file.additions.keypoints, file.additions.source[i], strict=True) if s != "none"]
    assert set(decisions) == set(estimated)
    assert Verdict.ACCEPT in decisions.values() or Verdict.REJECT in decisions.values()


def test_the_same_export_twice_adds_nothing(tmp_path: Path, extended: Path) -> None:
    file, i, j = written(extended, 2)
    export = edited(tmp_path, extended, shape_of(file, i, j), r'\1points="33.25,44.50"\3')
    once = collected(tmp_path, export, extended)
    assert collected(tmp_path, export, extended) == once


def test_the_last_export_counts_whatever_earlier_ones_said(tmp_path: Path, extended: Path) -> None:
    file, i, j = written(extended, 2)
    assert file.additions is not None
    x, y = file.additions.xy[i, j]
    exports = []
    for k, shift in enumerate((3.0, 6.0, 3.0, 0.0)):
        export = edited(tmp_path, extended, shape_of(file, i, j), rf'\g<1>points="{x + shift:.2f},{y:.2f}"\g<3>')
        exports.append(export.rename(tmp_path / f"{k}.xml"))
    for count, export in enumerate(exports, start=1):
        for _ in range(2):
            decisions = collected(tmp_path, export, extended)
        assert len(decisions) == count
    assert [c.verdict for c in decisions] == [Verdict.MOVE] * 3 + [Verdict.UNDO]
    assert decisions[2].new == decisions[0].new != decisions[1].new
    assert len({c.id for c in decisions}) == 4


def test_points_that_were_taken_along_after_they_were_decided_are_not_undone(tmp_path: Path, extended: Path) -> None:
    file, i, j = written(extended, 2)
    export = edited(tmp_path, extended, shape_of(file, i, j), r'\g<1>points="300.00,200.00"\g<3>')
    decisions = collected(tmp_path, export, extended)
    corrected, again = tmp_path / "corrected.json", tmp_path / "again.xml"
    apply(extended, [tmp_path / "corrections.jsonl"], corrected)
    corrections_to("cvat", corrected, again)
    assert collected(tmp_path, again, corrected) == decisions


def test_a_name_that_is_no_text_is_refused_before_anything_is_written(tmp_path: Path, extended: Path) -> None:
    export, out = tmp_path / "up.xml", tmp_path / "corrections.jsonl"
    corrections_to("cvat", extended, export)
    with pytest.raises(AnnotextError, match=r"'\\udcff' is no UTF-8 text"):
        corrections_from("cvat", export, extended, out, reviewer="\udcff")
    assert not out.exists()


def test_what_cannot_be_matched_is_named_with_its_place_and_nothing_is_written(tmp_path: Path, extended: Path) -> None:
    export = tmp_path / "export.xml"
    shape = '<points label="{}" occluded="{}" points="{}" z_order="0">{}</points>'
    annotation = '<attribute name="annotation">{}</attribute>'
    shapes = [
        shape.format("pelvis", 0, "1,2", ""),
        shape.format("pelvis", 0, "1,2", annotation.format("seven")),
        shape.format("pelvis", 0, "1,2", annotation.format(99999)),
        shape.format("tail", 0, "1,2", annotation.format(101)),
        shape.format("pelvis", 0, "1,nan", annotation.format(102)),
        shape.format("pelvis", "maybe", "1,2", annotation.format(103)),
    ]
    export.write_text(
        f'{HEAD}</meta><image id="0" name="000.jpg" width="640" height="480">{"".join(shapes)}</image></annotations>'
    )
    with pytest.raises(InputError) as error:
        collected(tmp_path, export, extended)
    assert [(p.pointer, p.problem.split(",")[0][:40]) for p in error.value.problems] == [
        ("image[0].points[0]", "has no attribute `annotation`"),
        ("image[0].points[1].annotation", "is 'seven'"),
        ("image[0].points[3].label", "'tail' is no keypoint of the extended fil"[:40]),
        ("image[0].points[4].points", "is '1"),
        ("image[0].points[5].occluded", "is 'maybe'"),
        ("image[0].points[2]", "names annotation 99999"),
    ]
    assert not (tmp_path / "corrections.jsonl").exists()
    assert collected(tmp_path, export, extended, skip_bad=True) == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (
            '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotations>&x;</annotations>',
            "document type declaration",
        ),
        ("<annotations><image>", "is not XML"),
        ("<boxes/>", "expected CVAT's <annotations>"),
        ("<annotations><track id='0'/></annotations>", "export for videos"),
        ('{"images": []}', "without images, annotations, categories"),
        ("PK\x03\x04", "zip archive"),
    ],
)
def test_files_that_are_no_export_are_refused(tmp_path: Path, extended: Path, content: str, problem: str) -> None:
    (tmp_path / "export").write_text(content)
    with pytest.raises(InputError, match=re.escape(problem)):
        collected(tmp_path, tmp_path / "export", extended)
