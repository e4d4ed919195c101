"""`annotext simulate-review`: what an oracle's review leaves, and what it writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from reviewable import World, write_world

from annotext.core.errors import AnnotextError, InputError
from annotext.formats.annotations.read import read_annotations
from annotext.review.decisions.correction import Verdict
from annotext.review.decisions.files import read_corrections
from annotext.review.decisions.queue import Strategy
from annotext.workflows.apply import apply
from annotext.workflows.simulate_review import simulate_review
from annotext.workflows.strip import strip_file

Cli = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, World]:
    folder = tmp_path_factory.mktemp("worlds")
    return {kind: write_world(folder, kind, n=600) for kind in ("coco", "mpii")}


@pytest.mark.parametrize("kind", ["coco", "mpii"])
def test_every_curve_falls_to_nothing_once_all_is_reviewed(worlds: dict[str, World], kind: str) -> None:
    report = simulate_review(worlds[kind].extended, worlds[kind].truth, strategies=list(Strategy), rounds=5)
    for outcome in report.outcomes:
        for left in (outcome.residual, outcome.wrong):
            assert left[-1] == pytest.approx(0, abs=1e-9)
            assert (np.diff(left) <= 1e-9).all()


@pytest.mark.parametrize("kind", ["coco", "mpii"])
def test_random_review_removes_about_as_much_as_it_looks_at(worlds: dict[str, World], kind: str) -> None:
    for share in (0.1, 0.5):
        report = simulate_review(
            worlds[kind].extended, worlds[kind].truth, strategies=[Strategy.DIVERSE], share=share, seeds=40, rounds=5
        )
        assert report.random[0] == pytest.approx(share, abs=0.04)
        assert report.random[1] < report.random[0] < report.random[2]


# A tenth of the face points of the MPII people is not in the picture, which none of the scores knows.
@pytest.mark.parametrize(("kind", "times"), [("coco", 3), ("mpii", 2)])
def test_expected_error_removes_several_times_what_random_does_and_no_more_than_is_possible(
    worlds: dict[str, World], kind: str, times: float
) -> None:
    report = simulate_review(worlds[kind].extended, worlds[kind].truth, rounds=50)
    outcome = report.outcomes[0]
    assert outcome.times_random.value > times
    assert outcome.times_random.low <= outcome.times_random.value <= outcome.times_random.high
    assert outcome.removed.value <= report.oracle["people"] + 1e-9
    assert report.oracle["people"] <= report.oracle["points"] + 1e-9


def test_wrong_points_are_counted_as_the_criterion_says(worlds: dict[str, World]) -> None:
    world = worlds["coco"]
    report = simulate_review(world.extended, world.truth, rounds=5)
    # Wrong ones were put .6 sizes away, the others .02: nothing is near a tolerance.
    assert report.mass == pytest.approx(0.6 * report.wrong, rel=0.02)
    assert report.unclipped == pytest.approx(report.mass)
    assert report.distance == pytest.approx(report.mass + 0.02 * (report.points - report.wrong), rel=0.05)
    assert sum(f["wrong"] for f in report.keypoints.values()) == report.wrong


def test_points_that_are_not_in_the_picture_are_as_wrong_as_can_be(worlds: dict[str, World]) -> None:
    world = worlds["mpii"]
    truth = read_annotations(world.truth).poses
    additions = read_annotations(world.extended).additions
    assert additions is not None
    hidden = ~truth.labelled[:, truth.skeleton.indices(additions.keypoints)] & (additions.added | additions.asked)
    report = simulate_review(world.extended, world.truth, rounds=5)
    assert report.absent == int(hidden.sum()) > 0
    assert report.mass == pytest.approx(report.absent + 0.6 * (report.wrong - report.absent), rel=0.02)


@pytest.mark.parametrize("kind", ["coco", "mpii"])
def test_the_oracles_corrections_apply_and_take_away_what_was_promised(
    worlds: dict[str, World], kind: str, tmp_path: Path
) -> None:
    world = worlds[kind]
    made, fixed = tmp_path / "made.jsonl", tmp_path / "fixed.json"
    report = simulate_review(world.extended, world.truth, output=made, rounds=5)
    corrections = read_corrections([made])
    assert len(corrections) >= 0.1 * report.points
    assert {c.verdict for c in corrections} <= {Verdict.ACCEPT, Verdict.MOVE, Verdict.ABSENT}
    apply(world.extended, [made], fixed)
    again = simulate_review(fixed, world.truth, rounds=5)
    assert again.points == report.points - len(corrections)
    moved = sum(c.verdict is not Verdict.ACCEPT for c in corrections)
    assert again.wrong == report.wrong - moved
    assert 1 - again.mass / report.mass == pytest.approx(report.outcomes[0].removed.value, abs=0.02)


def test_reviewing_all_leaves_nothing_wrong_and_the_original_can_still_be_had(
    worlds: dict[str, World], tmp_path: Path
) -> None:
    world = worlds["coco"]
    made, fixed, plain = (tmp_path / name for name in ("made.jsonl", "fixed.json", "plain.json"))
    simulate_review(world.extended, world.truth, share=1, withheld=True, output=made, rounds=5)
    apply(world.extended, [made], fixed)
    strip_file(fixed, plain)
    assert json.loads(plain.read_bytes()) == json.loads(world.annotations.read_bytes())
    with pytest.raises(InputError, match="nothing to remove"):
        simulate_review(fixed, world.truth, withheld=True, rounds=5)


def test_the_same_simulation_writes_the_same_bytes(worlds: dict[str, World], tmp_path: Path) -> None:
    world = worlds["mpii"]
    written = []
    for name in ("one", "two"):
        output = tmp_path / f"{name}.jsonl"
        report = simulate_review(world.extended, world.truth, output=output, rounds=5)
        written.append((output.read_bytes(), {**report.to_dict(), "output": ""}))
    assert written[0] == written[1]


def test_a_truth_of_other_people_or_other_keypoints_is_refused(worlds: dict[str, World], tmp_path: Path) -> None:
    strangers = write_world(tmp_path, "mpii", n=20)
    document = json.loads(strangers.truth.read_bytes())
    for annotation in document["annotations"]:
        annotation["id"] += 10**6
    strangers.truth.write_text(json.dumps(document))
    with pytest.raises(InputError, match="none of the people"):
        simulate_review(worlds["mpii"].extended, strangers.truth)
    with pytest.raises(InputError, match="labels none of"):
        simulate_review(worlds["coco"].extended, worlds["coco"].annotations)


def test_people_the_truth_does_not_know_are_left_out_and_told(worlds: dict[str, World], tmp_path: Path) -> None:
    world = worlds["coco"]
    document = json.loads(world.truth.read_bytes())
    document["annotations"] = document["annotations"][:500]
    part = tmp_path / "part.json"
    part.write_text(json.dumps(document))
    report = simulate_review(world.extended, part, rounds=5)
    assert report.people <= 500
    assert any("not in the truth" in note for note in report.notes)


@pytest.mark.parametrize("wrong", [{"share": 0.0}, {"budgets": [0.5, 1.5]}, {"strategies": []}, {"seeds": 0}])
def test_what_makes_no_sense_is_said_before_work_starts(worlds: dict[str, World], wrong: dict) -> None:
    with pytest.raises(AnnotextError):
        simulate_review(worlds["coco"].extended, worlds["coco"].truth, **wrong)


def test_the_command_draws_writes_and_tells(worlds: dict[str, World], tmp_path: Path, run_cli: Cli) -> None:
    world = worlds["coco"]
    plot, output = tmp_path / "curve.png", tmp_path / "made.jsonl"
    arguments = ("simulate-review", world.extended, "--truth", world.truth, "--plot", plot, "-o", output, "--seeds", 3)
    shown = run_cli(*arguments, "--strategy", "expected-error", "--strategy", "uncertainty", "--budgets", "0.1,1")
    assert shown.returncode == 0, shown.stderr
    assert "expected-error" in shown.stdout and "uncertainty" in shown.stdout
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert output.read_bytes().count(b"\n") == len(read_corrections([output]))
    refused = run_cli(*arguments)
    assert refused.returncode == 1 and "exists" in refused.stderr


def test_the_command_names_shares_that_are_no_numbers(worlds: dict[str, World], run_cli: Cli) -> None:
    failed = run_cli("simulate-review", worlds["coco"].extended, "--truth", worlds["coco"].truth, "--budgets", "ten")
    assert failed.returncode == 1
    assert "--budgets ten" in failed.stderr
