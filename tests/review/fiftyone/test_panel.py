"""What the Review panel shows and sends, without a browser."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest
from reviewed import write_extended_people

from annotext.core.errors import AnnotextError
from annotext.formats.annotations.read import read_annotations
from annotext.review.decisions.correction import Verdict
from annotext.review.decisions.journal import journal_folder, read_journals
from annotext.review.fiftyone.panel import correction, estimates, pace, queue, to_ask
from annotext.review.fiftyone.views import AUDIT, WITHHELD, below_view

NAMES = ["nose", "neck", "pelvis"]
ADDED = ["neck", "pelvis"]
NAN = math.nan
START = datetime(2026, 11, 21, 12, tzinfo=UTC)


def label(person: int = 1, **fields: Any) -> dict[str, Any]:
    """A labelled nose, an added neck, a pelvis nobody knows; on an image of 200 x 100."""
    known = {
        "person": person,
        "points": [[0.5, 0.5], [0.25, 0.5], [NAN, NAN]],
        "visible": [2, 1, 0],
        "confidence": [1.0, 0.6, 0.0],
        "source": ["human", "student", "none"],
        "decision": ["human", "add", "none"],
        "radius_px": [0, 4.5, 0],
        "reason": ["", "", "no predictor knows it"],
        "reviewed": ["", "", ""],
        "left": 1,
        "lowest": 0.6,
        "below": ["neck"],
        "withheld": [],
        "audit": [],
    }
    return {**known, **fields}


def decision(**fields: Any) -> dict[str, Any]:
    known = {"id": uuid4().hex, "person": 1, "keypoint": "neck", "verdict": "accept", "seen": [50.0, 50.0]}
    return {**known, **fields}


def corrected(**fields: Any) -> Any:
    points = estimates(label(), None, (200, 100), NAMES, ADDED)
    return correction(decision(**fields), points, "a.jpg", (200, 100), "ann", "2026-11-21T12:00:00Z")


def test_points_are_in_pixels_and_say_what_they_are() -> None:
    points = estimates(label(), None, (200, 100), NAMES, ADDED)
    assert points["nose"] == {"kind": "human", "x": 100.0, "y": 50.0, "v": 2}
    assert (points["neck"]["kind"], points["neck"]["x"], points["neck"]["v"], points["neck"]["radius"]) == (
        "added",
        50.0,
        1,
        4.5,
    )
    assert points["pelvis"]["kind"] == "none"


def test_points_are_where_the_file_has_them_whatever_was_decided() -> None:
    built = {k: label()[k] for k in ("points", "visible", "confidence", "source", "decision", "radius_px", "reason")}
    moved = label(points=[[0.5, 0.5], [0.9, 0.9], [NAN, NAN]], source=["human", "corrected", "none"], as_built=built)
    assert estimates(moved, None, (200, 100), NAMES, ADDED) == estimates(label(), None, (200, 100), NAMES, ADDED)


def test_a_label_that_decisions_made_is_no_estimate() -> None:
    made = label(points=[[NAN, NAN], [0.3, 0.3], [NAN, NAN]], as_built=None)
    assert estimates(label(points=[[0.5, 0.5], [NAN, NAN], [NAN, NAN]]), made, (200, 100), NAMES, ADDED)["neck"] == {
        "kind": "none",
        "source": "none",
        "decision": "none",
        "score": 0.0,
    }


def test_a_point_is_asked_about_below_its_limit_only() -> None:
    points = estimates(label(), None, (200, 100), NAMES, ADDED)
    assert to_ask(points, label(), None, {"neck": 0.7}) == ["neck"]
    assert to_ask(points, label(), None, {"neck": 0.6}) == []
    assert to_ask(points, label(), None, {"neck": None}) == []


def test_the_least_sure_point_comes_first() -> None:
    held = label(points=[[NAN, NAN], [NAN, NAN], [0.5, 0.6]], confidence=[0, 0, 0.2], decision=["none", "none", "ask"])
    points = estimates(label(), held, (200, 100), NAMES, ADDED)
    assert to_ask(points, label(), None, {"neck": 0.7}) == ["pelvis", "neck"]


def test_views_about_one_keypoint_or_the_audit_ask_about_nothing_else() -> None:
    held = label(
        points=[[NAN, NAN], [NAN, NAN], [0.5, 0.6]],
        source=["none", "none", "student"],
        confidence=[0, 0, 0.2],
        decision=["none", "none", "withhold"],
    )
    of_audit = label(audit=["neck"])
    points = estimates(of_audit, held, (200, 100), NAMES, ADDED)
    assert to_ask(points, of_audit, below_view("neck"), {"neck": 0.7}) == ["neck"]
    assert to_ask(points, of_audit, WITHHELD, {"neck": 0.7}) == ["pelvis"]
    assert to_ask(points, of_audit, AUDIT, {"neck": 0.1}) == ["neck"]


def test_the_queue_follows_the_view_and_starts_an_image_with_its_worst_person() -> None:
    samples = [("s1", [label(1, lowest=0.9), label(2, lowest=0.1)]), ("s2", [label(3, left=0)])]
    assert [(r.sample, r.person) for r in queue(samples, None, NAMES, ADDED)] == [("s1", 2), ("s1", 1)]
    assert [r.person for r in queue(samples, None, NAMES, ADDED, everybody=True)] == [2, 1, 3]


def test_an_audited_point_leaves_the_queue_when_it_was_judged() -> None:
    new = [("s", [label(audit=["neck"], left=0)])]
    judged = [("s", [label(audit=["neck"], left=0, reviewed=["", "accept", ""])])]
    assert [r.left for r in queue(new, AUDIT, NAMES, ADDED)] == [1]
    assert queue(judged, AUDIT, NAMES, ADDED) == []


def test_the_queue_of_a_keypoint_counts_only_it() -> None:
    samples = [("s", [label(1, below=["neck"], left=3), label(2, below=["pelvis"], left=3)])]
    assert [(r.person, r.left) for r in queue(samples, below_view("neck"), NAMES, ADDED)] == [(1, 1)]


def test_the_pace_leaves_out_breaks() -> None:
    times = [START + timedelta(seconds=10 * i) for i in range(7)]
    later = [t + timedelta(hours=1) for t in times]
    assert pace(times).per_minute == pytest.approx(6)
    assert pace([*later, *times]).per_minute == pytest.approx(6)
    assert pace(times[:2]).per_minute is None


def test_a_decision_says_what_was_looked_at() -> None:
    said = corrected()
    assert said.old is not None
    assert (said.verdict, said.old.x, said.old.y, said.old.v, said.new) == (Verdict.ACCEPT, 50.0, 50.0, 1, None)


def test_a_moved_point_is_kept_to_a_hundredth_of_a_pixel() -> None:
    new = corrected(verdict="move", new=[12.3456, 7.0, 2]).new
    assert (new.x, new.y, new.v) == (12.35, 7.0, 2)


def test_a_point_outside_the_image_is_not_accepted_but_may_be_absent() -> None:
    points = estimates(label(points=[[0.5, 0.5], [-0.1, 0.5], [NAN, NAN]]), None, (200, 100), NAMES, ADDED)
    for verdict in ("accept", "hidden"):
        with pytest.raises(AnnotextError, match="outside the image"):
            correction(decision(verdict=verdict, seen=[-20.0, 50.0]), points, "a.jpg", (200, 100), "ann", "")
    absent = correction(decision(verdict="absent", seen=[-20.0, 50.0]), points, "a.jpg", (200, 100), "ann", "")
    assert absent.verdict == Verdict.ABSENT


def test_a_point_without_an_estimate_can_be_placed() -> None:
    said = corrected(keypoint="pelvis", verdict="move", new=[10, 20, 2], seen=None)
    assert (said.old, said.new.x) == (None, 10.0)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"keypoint": "nose"}, "never changed"),
        ({"seen": [51.0, 50.0]}, "not where it was"),
        ({"verdict": "move", "new": [-3, 5, 2]}, "outside the image"),
        ({"verdict": "move", "new": [199.6, 5, 2]}, "outside the image"),
        ({"verdict": "move"}, "new must say"),
        ({"keypoint": "pelvis", "seen": None}, "nothing to accept"),
        ({"verdict": "perhaps"}, "perhaps"),
        ({"id": "7"}, "32 hex digits"),
    ],
)
def test_a_decision_that_makes_no_sense_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(AnnotextError, match=words):
        corrected(**fields)


# With FiftyOne: a desk at a dataset that was built from a file.


@pytest.fixture
def extended(tmp_path: Path) -> Path:
    return write_extended_people(tmp_path)


@pytest.fixture
def dataset(fo: ModuleType, extended: Path) -> Iterator[Any]:
    from annotext.workflows.review_build import build_review

    build_review(extended, extended.parent / "images", name="at the desk", overwrite=True)
    yield fo.load_dataset("at the desk")
    fo.delete_dataset("at the desk")


def seated(dataset: Any, reviewer: str = "ann") -> Any:
    from annotext.review.fiftyone.service import ReviewService

    return ReviewService(dataset, reviewer)


def first_with_points(desk: Any, dataset: Any) -> dict[str, Any]:
    rows = desk.queue(dataset.view())["rows"]
    return desk.people([(rows[0][0], rows[0][1])], None)[0]


def say(p: dict[str, Any], keypoint: str, verdict: str, **fields: Any) -> dict[str, Any]:
    point = p["points"].get(keypoint, {"kind": "none"})
    seen = None if point["kind"] == "none" else [point["x"], point["y"]]
    whose = {"id": uuid4().hex, "sample": p["sample"], "person": p["person"], "keypoint": keypoint}
    return {**whose, "verdict": verdict, "seen": seen, **fields}


def test_the_panel_shows_what_the_file_says(dataset: Any, extended: Path) -> None:
    file = read_annotations(extended)
    assert file.additions is not None
    desk = seated(dataset)
    rows = desk.queue(dataset.view(), everybody=True)["rows"]
    assert rows
    row_of = {int(i): n for n, i in enumerate(file.poses.ids)}
    seen = 0
    for p in desk.people([(sample, person) for sample, person, _ in rows][:50], None):
        n = row_of[p["person"]]
        assert p["file"] == file.poses.file_names()[n]
        for column, keypoint in enumerate(file.additions.keypoints):
            point, xy = p["points"][keypoint], file.additions.xy[n, column]
            assert (point["kind"] == "none") == bool(math.isnan(xy[0]))
            if point["kind"] != "none":
                assert (point["x"], point["y"]) == (pytest.approx(xy[0], abs=1e-9), pytest.approx(xy[1], abs=1e-9))
                assert point["v"] == file.additions.visibility[n, column]
                seen += 1
    assert seen > 10


def test_a_decision_is_in_the_journal_and_leaves_the_queue(dataset: Any, extended: Path) -> None:
    desk = seated(dataset)
    before = desk.queue(dataset.view())
    p = first_with_points(desk, dataset)
    answer = desk.decide([say(p, k, "reject") for k in p["ask"]])
    kept, problems = read_journals(journal_folder(extended))
    assert [(c.person, c.keypoint, c.verdict, c.reviewer) for c in kept] == [
        (p["person"], k, Verdict.REJECT, "ann") for k in p["ask"]
    ]
    assert (problems, [c.id for c in kept]) == ((), answer["saved"])
    after = desk.queue(dataset.view())
    assert len(after["rows"]) == len(before["rows"]) - 1
    assert after["progress"]["left"] == before["progress"]["left"] - len(p["ask"])
    assert after["progress"]["mine"] == len(p["ask"])


def test_asking_twice_to_save_a_decision_saves_it_once(dataset: Any, extended: Path) -> None:
    desk = seated(dataset)
    p = first_with_points(desk, dataset)
    said = [say(p, p["ask"][0], "accept")]
    desk.decide(said)
    assert desk.decide(said)["progress"]["mine"] == 1
    assert len(read_journals(journal_folder(extended))[0]) == 1


def test_of_several_decisions_none_is_saved_where_one_makes_no_sense(dataset: Any, extended: Path) -> None:
    desk = seated(dataset)
    p = first_with_points(desk, dataset)
    with pytest.raises(AnnotextError, match="not where it was"):
        desk.decide([say(p, p["ask"][0], "accept"), say(p, p["ask"][0], "reject", seen=[1.0, 1.0])])
    assert read_journals(journal_folder(extended))[0] == []


def test_a_move_is_shown_as_mine_and_can_be_taken_back(dataset: Any) -> None:
    desk = seated(dataset)
    p = first_with_points(desk, dataset)
    keypoint = p["ask"][0]
    desk.decide([say(p, keypoint, "move", new=[5, 6, 2])])
    mine = first_of(desk, p)["mine"]
    assert mine == {keypoint: {"verdict": "move", "new": [5.0, 6.0, 2]}}
    assert first_of(desk, p)["points"] == p["points"]
    desk.decide([say(p, keypoint, "undo")])
    assert first_of(desk, p)["mine"] == {}


def first_of(desk: Any, p: dict[str, Any]) -> dict[str, Any]:
    return desk.people([(p["sample"], p["person"])], None)[0]


def test_what_another_reviewer_said_is_shown_as_theirs(dataset: Any) -> None:
    desk, other = seated(dataset), seated(dataset, "bob")
    p = first_with_points(desk, dataset)
    other.decide([say(p, p["ask"][0], "reject"), say(p, "", "note", note="too dark")])
    now = first_of(desk, p)
    assert (now["mine"], now["others"]) == ({}, {p["ask"][0]: [{"reviewer": "bob", "verdict": "reject", "new": None}]})
    assert now["notes"] == [{"keypoint": "", "note": "too dark", "reviewer": "bob"}]


def test_a_selection_is_judged_whole_but_for_what_is_decided(dataset: Any) -> None:
    desk = seated(dataset)
    p = first_with_points(desk, dataset)
    people = desk.selected([], [p["sample"]])
    assert (p["sample"], p["person"]) in people
    before = desk.left_of(people)
    desk.decide([say(p, p["ask"][0], "reject")])
    assert len(desk.left_of(people)) == len(before) - 1


def test_patches_of_people_are_reviewed_like_their_images(dataset: Any) -> None:
    desk = seated(dataset)
    whole = {tuple(r) for r in desk.queue(dataset.view())["rows"]}
    assert {tuple(r) for r in desk.queue(dataset.to_patches("people"))["rows"]} == whole
    assert whole


def test_nobody_reviews_in_an_app_that_was_started_otherwise(dataset: Any) -> None:
    from annotext.review.fiftyone.service import review_service

    with pytest.raises(AnnotextError, match="annotext review open at the desk"):
        review_service(dataset)


def test_a_dataset_of_somebody_else_is_refused(fo: ModuleType) -> None:
    theirs = fo.Dataset()
    try:
        with pytest.raises(AnnotextError, match="annotext did not build this dataset"):
            seated(theirs)
    finally:
        theirs.delete()
