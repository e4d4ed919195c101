"""`annotext draw`: who is on the sheet, and what the colours say."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from dots import DotPredictor, coco_document, write_people
from reviewers import correction

from annotext.cli.reports.files import draw_text
from annotext.core.additions import Source
from annotext.core.errors import AnnotextError, InputError
from annotext.formats.annotations.read import read_annotations
from annotext.render.pictures import ADDED, DERIVED, HUMAN, LOW, TILE, Color, Tile, paint
from annotext.review.decisions.correction import Point
from annotext.review.decisions.files import append_corrections
from annotext.workflows.apply import apply
from annotext.workflows.decide import PolicyOptions
from annotext.workflows.draw import draw
from annotext.workflows.extend import extend


@pytest.fixture
def extended(tmp_path: Path) -> Path:
    """Six bright to dim images of dots, extended; `images` lies beside it."""
    poses, _ = write_people(tmp_path / "images", images=6)
    (tmp_path / "people.json").write_text(json.dumps(coco_document(poses)))
    for i in range(6):  # later images are darker: lower scores
        path = str(tmp_path / "images" / f"{i:03d}.png")
        picture = cv2.imread(path)
        assert picture is not None
        cv2.imwrite(path, (picture * (1 - 0.12 * i)).astype(np.uint8))
    output = tmp_path / "extended.json"
    extend(tmp_path / "people.json", tmp_path / "images", [DotPredictor()], output, policy=PolicyOptions(min_score=0.5))
    return output


def tile(source: Source, visibility: int, score: float) -> Tile:
    return Tile(
        pixels=np.zeros((100, 100, 3), dtype=np.uint8),
        bbox_xywh=np.array([0.0, 0.0, 100.0, 100.0]),
        xy=np.array([[50.0, 50.0], [np.nan, np.nan]]),
        visibility=np.array([visibility, 0], dtype=np.uint8),
        source=(source, Source.NONE),
        score=np.array([score, 0.0]),
        edges=np.zeros((0, 2), dtype=np.intp),
        caption=("", ""),
    )


def shows(picture: np.ndarray, color: Color) -> bool:
    return bool((np.abs(picture[:TILE].astype(int) - color).max(axis=-1) < 40).any())


@pytest.mark.parametrize(
    ("source", "color"),
    [(Source.NONE, HUMAN), (Source.STUDENT, ADDED), (Source.TEACHER, ADDED), (Source.DERIVED, DERIVED)],
)
def test_a_point_has_the_colour_of_its_source(source: Source, color: Color) -> None:
    picture = paint(tile(source, 2, 0.9))
    assert shows(picture, color)
    assert not any(shows(picture, other) for other in {HUMAN, ADDED, DERIVED, LOW} - {color})


def test_a_low_score_is_ringed() -> None:
    assert shows(paint(tile(Source.STUDENT, 2, 0.3)), LOW)
    assert not shows(paint(tile(Source.STUDENT, 2, 0.8)), LOW)


def filled(picture: np.ndarray) -> int:
    """Pixels of the added colour in the point's middle."""
    return int((np.abs(picture[:TILE].astype(int) - ADDED).max(axis=-1) < 40).sum())


def test_a_withheld_point_is_hollow() -> None:
    withheld = tile(Source.STUDENT, 0, 0.8)
    middle = np.argwhere(np.abs(paint(tile(Source.STUDENT, 2, 0.8))[:TILE].astype(int) - ADDED).max(axis=-1) < 40)
    y, x = middle.mean(axis=0).round().astype(int)
    assert not shows(paint(withheld)[y - 1 : y + 2, x - 1 : x + 2], ADDED)
    assert shows(paint(withheld), ADDED)


@pytest.mark.parametrize("size", [(4.0, 6.0), (30.0, 80.0), (3000.0, 2000.0)])
def test_a_tile_has_the_same_size_for_every_person(size: tuple[float, float]) -> None:
    small = tile(Source.NONE, 2, 1.0)
    moved = Tile(**{**small.__dict__, "bbox_xywh": np.array([10.0, 10.0, *size]), "xy": small.xy * 0 + 12})
    assert paint(moved).shape == paint(small).shape


def test_the_lowest_scores_come_first(extended: Path) -> None:
    report = draw(extended, extended.parent / "images", extended.parent / "sheet.png", worst=3)
    scores = [s for s in report.scores if s is not None]
    assert len(scores) == 3
    assert scores == sorted(scores)


def test_a_point_that_a_reviewer_accepted_is_no_longer_among_the_worst(extended: Path) -> None:
    report = draw(extended, extended.parent / "images", extended.parent / "before.png", worst=2)
    worst = report.people[0]
    file = read_annotations(extended)
    assert file.additions is not None
    row = file.poses.ids.tolist().index(worst)
    unsure = [
        correction(
            n,
            person=worst,
            image=file.poses.file_names()[row],
            keypoint=name,
            old=Point(float(file.additions.xy[row, n, 0]), float(file.additions.xy[row, n, 1]), 2),
        )
        for n, name in enumerate(file.additions.keypoints)
        if file.additions.added[row, n]
    ]
    append_corrections(extended.parent / "said.jsonl", unsure, "coco")
    corrected = extended.parent / "corrected.json"
    assert apply(extended, [extended.parent / "said.jsonl"], corrected).points == len(unsure)
    again = draw(corrected, extended.parent / "images", extended.parent / "after.png", worst=2)
    assert worst not in again.people


def test_a_draw_shows_the_people_asked_for_in_file_order(extended: Path) -> None:
    report = draw(extended, extended.parent / "images", extended.parent / "sheet.png", people=4, seed=1)
    assert len(report.people) == 4
    assert list(report.people) == sorted(report.people)


def test_the_same_seed_gives_the_same_bytes(extended: Path) -> None:
    sheets = []
    for _ in range(2):
        draw(extended, extended.parent / "images", extended.parent / "sheet.png", people=4, seed=1, force=True)
        sheets.append((extended.parent / "sheet.png").read_bytes())
    assert sheets[0] == sheets[1]


def test_the_sheet_is_a_png_with_a_tile_for_everybody(extended: Path) -> None:
    draw(extended, extended.parent / "images", extended.parent / "sheet.png")
    sheet = cv2.imread(str(extended.parent / "sheet.png"))
    assert sheet is not None
    assert sheet.shape[1] > 3 * TILE
    assert sheet.shape[0] > 3 * TILE  # 9 people in rows of 4


def test_a_file_that_is_not_extended_is_refused(extended: Path) -> None:
    with pytest.raises(InputError, match="is not an extended file"):
        draw(extended.parent / "people.json", extended.parent / "images", extended.parent / "sheet.png")


def test_missing_images_are_all_named_and_nothing_is_written(extended: Path) -> None:
    for name in ("000.png", "002.png"):
        (extended.parent / "images" / name).unlink()
    with pytest.raises(InputError) as caught:
        draw(extended, extended.parent / "images", extended.parent / "sheet.png")
    assert len(caught.value.problems) == 2
    assert not (extended.parent / "sheet.png").exists()


def test_missing_and_broken_images_are_named_at_once(extended: Path) -> None:
    (extended.parent / "images" / "000.png").unlink()
    (extended.parent / "images" / "002.png").write_bytes(b"no picture")
    with pytest.raises(InputError) as caught:
        draw(extended, extended.parent / "images", extended.parent / "sheet.png")
    assert [Path(p.path).name for p in caught.value.problems] == ["000.png", "002.png"]


def test_bad_images_and_records_can_be_left_out_and_are_told(extended: Path) -> None:
    document = json.loads(extended.read_text())
    document["annotations"][3]["bbox"] = [1, 1, 0, 0]
    extended.write_text(json.dumps(document))
    (extended.parent / "images" / "000.png").unlink()
    report = draw(extended, extended.parent / "images", extended.parent / "sheet.png", skip_bad=True)
    bad = {a["id"] for a in document["annotations"] if a["image_id"] == document["images"][0]["id"]}
    bad.add(document["annotations"][3]["id"])
    assert set(report.people) == {a["id"] for a in document["annotations"]} - bad
    assert ["annotations[3].bbox" in str(p) or "000.png" in str(p) for p in report.skipped] == [True, True]
    assert all(str(p) in draw_text(report) for p in report.skipped)


def test_an_existing_sheet_is_kept(extended: Path) -> None:
    (extended.parent / "sheet.png").write_text("mine")
    with pytest.raises(InputError, match="exists"):
        draw(extended, extended.parent / "images", extended.parent / "sheet.png")
    assert (extended.parent / "sheet.png").read_text() == "mine"


@pytest.mark.parametrize("count", [0, -3, 100_000])
def test_a_sheet_has_a_sensible_number_of_people(count: int, extended: Path) -> None:
    with pytest.raises(AnnotextError, match="shows 1 to"):
        draw(extended, extended.parent / "images", extended.parent / "sheet.png", people=count)
