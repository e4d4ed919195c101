"""`annotext review queue`: who is next, in files of both kinds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import cv2
import numpy as np
import pytest
from reviewable import World, write_world

from annotext.core.errors import AnnotextError, InputError
from annotext.formats.annotations.read import read_annotations
from annotext.review.decisions.correction import Correction, Point, Verdict
from annotext.review.decisions.files import append_corrections
from annotext.review.decisions.queue import Strategy
from annotext.review.decisions.queue_file import read_queue
from annotext.workflows.apply import apply
from annotext.workflows.review_queue import review_queue

Cli = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, World]:
    folder = tmp_path_factory.mktemp("worlds")
    return {kind: write_world(folder, kind) for kind in ("coco", "mpii")}


def accepted(world: World, people: int, path: Path) -> list[tuple[int, str]]:
    """Write that all added points of the first people of the queue are right; returns which."""
    file = read_annotations(world.extended)
    assert file.additions is not None and file.header is not None
    row = {int(i): r for r, i in enumerate(file.poses.ids)}
    made: list[Correction] = []
    for person in review_queue(world.extended, people).people:
        for point in person["points"]:
            r, c = row[person["id"]], file.additions.keypoints.index(point["keypoint"])
            old = Point(*file.additions.xy[r, c].tolist(), v=int(file.additions.visibility[r, c]))
            made.append(
                Correction(
                    f"{len(made):032x}", person["id"], person["image"], point["keypoint"], Verdict.ACCEPT, old, None,
                    "ann", input_sha256=file.header["input_sha256"],
                )
            )  # fmt: skip
    append_corrections(path, made, file.kind)
    return [(c.person, c.keypoint) for c in made]


@pytest.mark.parametrize("kind", ["coco", "mpii"])
@pytest.mark.parametrize("strategy", list(Strategy))
def test_the_budget_counts_people_and_points_are_told(worlds: dict[str, World], kind: str, strategy: Strategy) -> None:
    report = review_queue(worlds[kind].extended, 7, strategy=strategy)
    assert len(report.people) == report.chosen["people"] == 7
    assert report.chosen["points"] == sum(len(p["points"]) for p in report.people)
    assert report.chosen["expected_error"] <= report.of["expected_error"]
    assert all(p["points"] for p in report.people)


def test_nobody_is_next_with_a_budget_of_none_and_all_are_with_a_large_one(worlds: dict[str, World]) -> None:
    world = worlds["coco"]
    assert review_queue(world.extended, 0).people == ()
    everybody = review_queue(world.extended, 10_000)
    assert everybody.chosen == everybody.of
    assert len({p["id"] for p in everybody.people}) == len(everybody.people) <= 300


def test_a_smaller_budget_takes_the_first_of_a_larger(worlds: dict[str, World]) -> None:
    few, many = (review_queue(worlds["mpii"].extended, n).people for n in (5, 50))
    assert many[:5] == few


def test_a_negative_budget_is_an_error(worlds: dict[str, World]) -> None:
    with pytest.raises(AnnotextError, match="0 or more"):
        review_queue(worlds["coco"].extended, -1)


@pytest.mark.parametrize("kind", ["coco", "mpii"])
def test_the_first_people_are_expected_to_hold_most_of_what_is_wrong(worlds: dict[str, World], kind: str) -> None:
    world = worlds[kind]
    report = review_queue(world.extended, 60)
    # A fifth of the people is hard; nine tenths of the expected error is theirs.
    assert report.chosen["expected_error"] > 0.8 * report.of["expected_error"]


@pytest.mark.parametrize("kind", ["coco", "mpii"])
def test_decided_points_do_not_come_again_applied_or_not(worlds: dict[str, World], kind: str, tmp_path: Path) -> None:
    world = worlds[kind]
    made, fixed = tmp_path / "made.jsonl", tmp_path / "fixed.json"
    decided = accepted(world, 10, made)
    apply(world.extended, [made], fixed)
    for report in (review_queue(world.extended, 500, corrections=[made]), review_queue(fixed, 500)):
        asked = {(p["id"], q["keypoint"]) for p in report.people for q in p["points"]}
        assert not asked & set(decided)
        before = review_queue(world.extended, 500).of["points"]
        assert report.of["points"] == before - len(decided)


def test_decisions_on_another_file_are_refused(worlds: dict[str, World], tmp_path: Path) -> None:
    made = tmp_path / "made.jsonl"
    accepted(worlds["coco"], 1, made)
    other = write_world(tmp_path, "coco", n=20, seed=9)
    with pytest.raises(InputError, match="another file"):
        review_queue(other.extended, 5, corrections=[made])


def test_withheld_candidates_come_only_when_asked_for(worlds: dict[str, World]) -> None:
    world = worlds["mpii"]
    plain, more = (review_queue(world.extended, 500, withheld=w) for w in (False, True))
    decisions = {q["decision"] for p in plain.people for q in p["points"]}
    assert decisions == {"add", "ask"}
    assert more.of["points"] > plain.of["points"]


def test_a_plain_file_has_no_queue_and_the_message_says_why(worlds: dict[str, World]) -> None:
    with pytest.raises(InputError, match="is not an extended file"):
        review_queue(worlds["coco"].annotations, 5)


def test_without_calibrated_scores_ranks_stand_in_and_a_note_says_so(tmp_path: Path) -> None:
    world = write_world(tmp_path, "coco", calibrated=False)
    report = review_queue(world.extended, 30)
    assert report.ranked == ("upper_neck", "head_top")
    assert any("no probabilities" in note for note in report.notes)
    truly = write_world(tmp_path, "coco")
    best = {p["id"] for p in review_queue(truly.extended, 60).people}
    assert len(best & {p["id"] for p in report.people}) > 20


def test_the_queue_file_names_the_people_in_order_and_is_bound_to_the_extended_file(
    worlds: dict[str, World], tmp_path: Path
) -> None:
    output = tmp_path / "queue.json"
    report = review_queue(worlds["mpii"].extended, 12, output=output)
    queue = read_queue(output, extended_sha256=report.extended_sha256)
    assert queue.ids == tuple(p["id"] for p in report.people)
    assert queue.people[3].keypoints == tuple(q["keypoint"] for q in report.people[3]["points"])
    again = tmp_path / "again.json"
    review_queue(worlds["mpii"].extended, 12, output=again)
    assert again.read_bytes() == output.read_bytes()
    with pytest.raises(InputError, match="another extended file"):
        read_queue(output, extended_sha256="0" * 64)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([1], "is a list, expected an object of the format annotext-queue/1"),
        ({"format": "annotext-queue/2"}, "annotext-queue/2"),
        ({"format": "annotext-queue/1", "extended_sha256": "a", "strategy": "b", "seed": 0}, "people: is missing"),
        (
            {
                "format": "annotext-queue/1", "extended_sha256": "a", "strategy": "b", "seed": 0,
                "people": [{"id": 4, "keypoints": []}, {"id": 4, "keypoints": []}],
            },
            "names person 4 twice",
        ),
    ],
)  # fmt: skip
def test_a_faulty_queue_file_is_named_with_its_fault(tmp_path: Path, document: object, message: str) -> None:
    path = tmp_path / "queue.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=message):
        read_queue(path)


def test_looks_tell_people_apart_whom_the_pose_does_not(tmp_path: Path) -> None:
    world = write_world(tmp_path, "coco", n=80)
    rng = np.random.default_rng(0)
    images = tmp_path / "images"
    images.mkdir()
    for image in read_annotations(world.extended).poses.images:
        colour = rng.integers(0, 255, 3)
        cv2.imwrite(str(images / image.file_name), np.full((480, 640, 3), colour, dtype=np.uint8))
    plain = review_queue(world.extended, 20)
    looked = review_queue(world.extended, 20, images=images)
    assert looked.of == plain.of
    assert [p["id"] for p in looked.people] != [p["id"] for p in plain.people]
    assert looked.people == review_queue(world.extended, 20, images=images).people


def test_missing_images_are_named(worlds: dict[str, World], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"0000\.jpg"):
        review_queue(worlds["coco"].extended, 5, images=tmp_path)


def test_the_command_prints_a_table_for_people_and_json_for_programs(worlds: dict[str, World], run_cli: Cli) -> None:
    world = worlds["coco"]
    shown = run_cli("review", "queue", world.extended, "-n", 25)
    assert shown.returncode == 0, shown.stderr
    assert "25 of" in shown.stdout and "and 5 more" in shown.stdout
    printed = run_cli("review", "queue", world.extended, "--budget", 25, "--strategy", "random", "--seed", 3, "--json")
    document = json.loads(printed.stdout)
    assert document["strategy"] == "random"
    assert len(document["people"]) == 25


def test_the_command_refuses_an_output_that_exists(worlds: dict[str, World], tmp_path: Path, run_cli: Cli) -> None:
    output = tmp_path / "queue.json"
    output.write_text("{}")
    refused = run_cli("review", "queue", worlds["coco"].extended, "-n", 5, "-o", output)
    assert refused.returncode == 1
    assert "exists" in refused.stderr and output.read_text() == "{}"


def test_a_frame_has_a_row_per_point_in_the_order_of_review(worlds: dict[str, World]) -> None:
    report = review_queue(worlds["coco"].extended, 5)
    frame = report.to_frame()
    points = [(p["id"], q["keypoint"], q["wrong"]) for p in report.people for q in p["points"]]
    assert list(zip(frame["id"], frame["keypoint"], frame["wrong"], strict=True)) == points
    assert frame["place"].tolist() == sorted(frame["place"]) and frame["place"].max() == 5
