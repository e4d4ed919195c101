"""What the Review panel shows and sends, without a browser."""

from __future__ import annotations

import math
from collections.abc import Iterator
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
from annotext.review.fiftyone.panel import correction, estimates, people_of, to_ask
from annotext.review.fiftyone.service import ReviewService, review_service
from annotext.review.fiftyone.views import AUDIT, WITHHELD, below_view
from annotext.workflows.review_build import build_review

NAMES = ["nose", "neck", "pelvis"]
ADDED = ["neck", "pelvis"]
NAN = math.nan
SIZE = (200, 100)


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


def points_of(label: dict[str, Any], candidate: dict[str, Any] | None = None) -> dict[str, dict[str, Any]]:
    return estimates(label, candidate, SIZE, NAMES, ADDED)


def corrected(earlier: Any = None, **fields: Any) -> Any:
    return correction(decision(**fields), points_of(label()), "a.jpg", SIZE, "ann", "2026-11-21T12:00:00Z", earlier)


def test_points_are_in_pixels_and_say_what_they_are() -> None:
    points = points_of(label())
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
    assert points_of(moved) == points_of(label())


def test_a_label_that_decisions_made_is_no_estimate() -> None:
    made = label(points=[[NAN, NAN], [0.3, 0.3], [NAN, NAN]], as_built=None)
    neck = points_of(label(points=[[0.5, 0.5], [NAN, NAN], [NAN, NAN]]), made)["neck"]
    assert neck == {"kind": "none", "source": "none", "decision": "none", "score": 0.0}


HELD = label(
    points=[[NAN, NAN], [NAN, NAN], [0.5, 0.6]],
    source=["none", "none", "student"],
    confidence=[0, 0, 0.2],
    decision=["none", "none", "withhold"],
)


def test_the_open_points_are_asked_about_the_least_sure_first() -> None:
    open_ = label(below=["neck"], withheld=["pelvis"])
    assert to_ask(points_of(open_, HELD), open_, None, ADDED) == ["pelvis", "neck"]
    assert to_ask(points_of(label(below=[])), label(below=[]), None, ADDED) == []


def test_points_that_were_open_when_the_dataset_was_built_stay_in_the_list_when_they_are_decided() -> None:
    decided = label(below=[], as_built={"below": ["neck"], "withheld": []})
    assert to_ask(points_of(decided), decided, None, ADDED) == ["neck"]


def test_views_about_one_keypoint_or_the_audit_ask_about_nothing_else() -> None:
    both = label(below=["neck"], withheld=["pelvis"], audit=["neck"])
    for view, asked in ((below_view("neck"), ["neck"]), (WITHHELD, ["pelvis"]), (AUDIT, ["neck"])):
        assert to_ask(points_of(both, HELD), both, view, ADDED) == asked


def test_the_queue_follows_the_view_and_starts_an_image_with_its_worst_person() -> None:
    samples = [("s1", [label(1, lowest=0.9), label(2, lowest=0.1)]), ("s2", [label(3, left=0)])]
    assert [(r.sample, r.person) for r in people_of(samples, None, NAMES, ADDED)] == [("s1", 2), ("s1", 1)]
    assert [r.person for r in people_of(samples, None, NAMES, ADDED, everybody=True)] == [2, 1, 3]


def test_an_audited_point_leaves_the_queue_when_it_was_judged() -> None:
    new = [("s", [label(audit=["neck"], left=0)])]
    judged = [("s", [label(audit=["neck"], left=0, reviewed=["", "accept", ""])])]
    assert [r.left for r in people_of(new, AUDIT, NAMES, ADDED)] == [1]
    assert people_of(judged, AUDIT, NAMES, ADDED) == []


def test_the_queue_of_a_keypoint_counts_only_it() -> None:
    samples = [("s", [label(1, below=["neck"], left=3), label(2, below=["pelvis"], left=3)])]
    assert [(r.person, r.left) for r in people_of(samples, below_view("neck"), NAMES, ADDED)] == [(1, 1)]


def test_a_decision_says_what_was_looked_at() -> None:
    made = corrected()
    assert made.old is not None
    assert (made.verdict, made.old.x, made.old.y, made.old.v, made.new) == (Verdict.ACCEPT, 50.0, 50.0, 1, None)


def test_a_moved_point_is_kept_to_a_hundredth_of_a_pixel() -> None:
    new = corrected(verdict="move", new=[12.3456, 7.0, 2]).new
    assert (new.x, new.y, new.v) == (12.35, 7.0, 2)


def test_a_point_that_was_moved_is_called_hidden_where_it_was_put_and_moved_on_as_visible_as_it_was() -> None:
    moved = corrected(verdict="move", new=[12, 7])
    assert (moved.new.x, moved.new.y, moved.new.v) == (12.0, 7.0, 1)  # as the file had it
    hidden = corrected(moved, verdict="hidden", new=[12, 7])
    assert (hidden.verdict, hidden.new.v) == (Verdict.MOVE, 1)
    assert corrected(corrected(verdict="hidden"), verdict="move", new=[3, 4]).new.v == 1
    assert corrected(corrected(verdict="move", new=[1, 2, 2]), verdict="move", new=[3, 4]).new.v == 2


def test_a_point_outside_the_image_is_not_accepted_but_may_be_absent() -> None:
    points = points_of(label(points=[[0.5, 0.5], [-0.1, 0.5], [NAN, NAN]]))
    assert points["neck"]["outside"]
    for verdict in ("accept", "hidden"):
        with pytest.raises(AnnotextError, match="outside the image"):
            correction(decision(verdict=verdict, seen=[-20.0, 50.0]), points, "a.jpg", SIZE, "ann", "")
    absent = correction(decision(verdict="absent", seen=[-20.0, 50.0]), points, "a.jpg", SIZE, "ann", "")
    assert absent.verdict == Verdict.ABSENT


def test_a_point_without_an_estimate_can_be_placed() -> None:
    made = corrected(keypoint="pelvis", verdict="move", new=[10, 20, 2], seen=None)
    assert (made.old, made.new.x) == (None, 10.0)


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


# With FiftyOne: the service of a dataset that was built from a file.


@pytest.fixture
def extended(tmp_path: Path) -> Path:
    return write_extended_people(tmp_path)


@pytest.fixture
def dataset(fo: ModuleType, extended: Path) -> Iterator[Any]:
    build_review(extended, extended.parent / "images", name="in the panel", overwrite=True)
    yield fo.load_dataset("in the panel")
    fo.delete_dataset("in the panel")


@pytest.fixture
def service(dataset: Any) -> ReviewService:
    """Ann's."""
    return ReviewService(dataset, "ann")


@pytest.fixture
def first(service: ReviewService) -> dict[str, Any]:
    """The first person with points left."""
    sample, person, _ = service.queue(service.dataset.view())["rows"][0]
    return service.people([(sample, person)], None)[0]


def again(service: ReviewService, p: dict[str, Any]) -> dict[str, Any]:
    return service.people([(p["sample"], p["person"])], None)[0]


def on(p: dict[str, Any], keypoint: str, verdict: str, **fields: Any) -> dict[str, Any]:
    point = p["points"].get(keypoint, {"kind": "none"})
    seen = None if point["kind"] == "none" else [point["x"], point["y"]]
    whose = {"id": uuid4().hex, "sample": p["sample"], "person": p["person"], "keypoint": keypoint}
    return {**whose, "verdict": verdict, "seen": seen, **fields}


def test_the_panel_shows_what_the_file_says(service: ReviewService, extended: Path) -> None:
    file = read_annotations(extended)
    assert file.additions is not None
    rows = service.queue(service.dataset.view(), everybody=True)["rows"]
    assert rows
    row_of = {int(i): n for n, i in enumerate(file.extended_poses.ids)}
    seen = 0
    for p in service.people([(sample, person) for sample, person, _ in rows][:50], None):
        n = row_of[p["person"]]
        assert p["file"] == file.extended_poses.file_names()[n]
        for column, keypoint in enumerate(file.additions.keypoints):
            point, xy = p["points"][keypoint], file.additions.xy[n, column]
            assert (point["kind"] == "none") == bool(math.isnan(xy[0]))
            if point["kind"] != "none":
                assert (point["x"], point["y"]) == (pytest.approx(xy[0], abs=1e-9), pytest.approx(xy[1], abs=1e-9))
                assert point["v"] == file.additions.visibility[n, column]
                seen += 1
    assert seen > 10


def test_the_panel_asks_about_as_many_points_as_the_dataset_counts(service: ReviewService) -> None:
    rows = service.queue(service.dataset.view())["rows"]
    shown = service.people([(sample, person) for sample, person, _ in rows], None)
    assert [len(p["ask"]) for p in shown] == [left for _, _, left in rows]


def test_a_decision_is_in_the_journal_and_leaves_the_queue(
    service: ReviewService, first: dict[str, Any], extended: Path
) -> None:
    before = service.queue(service.dataset.view())
    answer = service.decide([on(first, k, "reject") for k in first["ask"]])
    kept, problems = read_journals(journal_folder(extended))
    assert [(c.person, c.keypoint, c.verdict, c.reviewer) for c in kept] == [
        (first["person"], k, Verdict.REJECT, "ann") for k in first["ask"]
    ]
    assert (problems, [c.id for c in kept]) == ((), answer["saved"])
    after = service.queue(service.dataset.view())
    assert len(after["rows"]) == len(before["rows"]) - 1
    assert after["progress"]["left"] == before["progress"]["left"] - len(first["ask"])
    assert after["progress"]["mine"] == len(first["ask"])


def test_asking_twice_to_save_a_decision_saves_it_once(
    service: ReviewService, first: dict[str, Any], extended: Path
) -> None:
    decisions = [on(first, first["ask"][0], "accept")]
    once, twice = service.decide(decisions), service.decide(decisions)
    assert twice["progress"]["mine"] == 1
    assert twice["people"] == once["people"]
    assert len(read_journals(journal_folder(extended))[0]) == 1


def test_of_several_decisions_none_is_saved_where_one_makes_no_sense(
    service: ReviewService, first: dict[str, Any], extended: Path
) -> None:
    keypoint = first["ask"][0]
    with pytest.raises(AnnotextError, match="not where it was"):
        service.decide([on(first, keypoint, "accept"), on(first, keypoint, "reject", seen=[1.0, 1.0])])
    assert read_journals(journal_folder(extended))[0] == []


def test_a_move_is_answered_as_mine_and_can_be_taken_back(service: ReviewService, first: dict[str, Any]) -> None:
    keypoint = first["ask"][0]
    (state,) = service.decide([on(first, keypoint, "move", new=[5, 6, 2])])["people"]
    assert state["mine"] == {keypoint: {"verdict": "move", "new": [5.0, 6.0, 2]}}
    assert again(service, first) == {**first, **state}
    (state,) = service.decide([on(first, keypoint, "hidden", new=[5, 6])])["people"]
    assert state["mine"] == {keypoint: {"verdict": "move", "new": [5.0, 6.0, 1]}}
    (state,) = service.decide([on(first, keypoint, "undo")])["people"]
    assert state["mine"] == {}


def test_what_another_reviewer_decided_is_shown_as_theirs_and_where_they_differ(
    service: ReviewService, first: dict[str, Any]
) -> None:
    keypoint = first["ask"][0]
    other = ReviewService(service.dataset, "bob")
    other.decide([on(first, keypoint, "reject"), on(first, "", "note", note="too dark")])
    now = again(service, first)
    assert (now["mine"], now["conflicts"]) == ({}, [])
    assert now["others"] == {keypoint: [{"reviewer": "bob", "verdict": "reject", "new": None}]}
    assert now["notes"] == [{"keypoint": "", "note": "too dark", "reviewer": "bob"}]
    (state,) = service.decide([on(first, keypoint, "absent")])["people"]
    assert state["conflicts"] == [keypoint]
    (state,) = service.decide([on(first, keypoint, "reject")])["people"]
    assert state["conflicts"] == []


def test_a_selection_is_decided_whole_but_for_what_is_decided_already(
    service: ReviewService, first: dict[str, Any]
) -> None:
    people = service.selected([], [first["sample"]])
    assert (first["sample"], first["person"]) in people
    before = service.left_of(people)
    service.decide([on(first, first["ask"][0], "reject")])
    assert len(service.left_of(people)) == len(before) - 1


def test_patches_of_people_are_reviewed_like_their_images(service: ReviewService) -> None:
    whole = {tuple(r) for r in service.queue(service.dataset.view())["rows"]}
    assert {tuple(r) for r in service.queue(service.dataset.to_patches("people"))["rows"]} == whole
    assert whole


def test_nobody_reviews_in_an_app_that_was_started_otherwise(dataset: Any) -> None:
    with pytest.raises(AnnotextError, match="annotext review open in the panel"):
        review_service(dataset)


def test_a_dataset_of_somebody_else_is_refused(fo: ModuleType) -> None:
    theirs = fo.Dataset()
    try:
        with pytest.raises(AnnotextError, match="annotext did not build this dataset"):
            ReviewService(theirs, "ann")
    finally:
        theirs.delete()
