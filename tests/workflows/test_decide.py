"""`annotext decide`: the decisions anew from a file of predictions, with and without a calibration."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
from calibrations import ADDED, STUDENT, calibration_model, standing_people, student_predictions
from dots import coco_document

from annotext.calibration.files import settle_calibration, write_calibration
from annotext.cli.reports.extension import extension_text
from annotext.core.additions import Decision
from annotext.core.errors import AnnotextError, InputError
from annotext.formats.annotations.read import read_annotations
from annotext.formats.files.jsonio import dump_json
from annotext.formats.files.policy import PolicyRecipe
from annotext.formats.files.predictions import write_predictions
from annotext.formats.files.recipe import find_recipe, read_recipe, write_recipe
from annotext.workflows.decide import PolicyOptions, decide, settle_policy
from annotext.workflows.strip import strip_file

Cli = Callable[..., CompletedProcess[str]]
MODEL = calibration_model()


class Place:
    """People, what the student said about them, and the run with its calibration."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        poses, truth = standing_people(80, seed=5)
        self.annotations = folder / "people.json"
        self.annotations.write_bytes(dump_json(coco_document(poses)))
        self.parquet = folder / "said.parquet"
        self.sha256 = hashlib.sha256(self.annotations.read_bytes()).hexdigest()
        write_predictions(self.parquet, [student_predictions(poses, truth)], input_sha256=self.sha256, force=False)
        self.run = folder / "run"
        self.run.mkdir()
        self.calibration = write_calibration(MODEL, self.run / "calibration.json", force=False)
        self.output = folder / "out.json"

    def decide(self, *, calibrated: bool = True, target_error: tuple[str, ...] = (), **options: Any) -> Any:
        return decide(
            self.parquet,
            self.annotations,
            self.output,
            calibration=self.run if calibrated else None,
            policy=PolicyOptions(target_error=target_error, **options),
            force=True,
        )

    def additions(self) -> Any:
        return read_annotations(self.output).additions


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_file_says_what_the_trust_model_says(place: Place) -> None:
    place.decide()
    file = read_annotations(place.annotations)
    poses, truth = standing_people(80, seed=5)
    points = MODEL.points(file.poses, [student_predictions(poses, truth)])
    additions = place.additions()
    columns = [additions.keypoints.index(k) for k in ADDED]
    assert np.allclose(additions.score[:, columns], points.score, atol=5.1e-5)
    assert np.allclose(additions.radius[:, columns], points.radius, atol=5.1e-3)
    assert np.allclose(additions.xy[:, columns], points.xy, atol=5.1e-3)


def test_the_header_says_what_decided(place: Place) -> None:
    place.decide(target_error=("0.2", "head_top=0.1"))
    header = read_annotations(place.output).header
    assert header is not None
    assert header["calibration"] == {
        "sha256": place.calibration.sha256,
        "predictor_sha256": STUDENT.sha256,
        "keypoints": list(ADDED),
        "truth": [{"protocol": "labels", "file": "some.json", "sha256": "cd" * 32, "people": 300}],
    }
    assert header["policy"]["target_error"] == 0.2
    assert header["policy"]["keypoints"] == {"head_top": 0.1}
    assert header["policy"]["limits"] == {
        "upper_neck": {"add_from": 0.5, "ask_from": 0.5},
        "head_top": {"add_from": 0.7029, "ask_from": 0.5},
    }


def test_without_a_calibration_scores_are_marked_uncalibrated(place: Place) -> None:
    report = place.decide(calibrated=False)
    header = read_annotations(place.output).header
    assert header is not None and header["calibration"] == report.calibration == "uncalibrated"
    assert not np.isfinite(place.additions().radius).any()
    assert "uncalibrated" in extension_text(report)


def test_the_same_input_gives_the_same_bytes(place: Place) -> None:
    written = []
    for _ in range(2):
        decide(
            place.parquet,
            place.annotations,
            place.output,
            calibration=place.run,
            report=place.folder / "r.json",
            force=True,
        )
        written.append([(place.folder / name).read_bytes() for name in ("out.json", "r.json")])
    assert written[0] == written[1]


@pytest.mark.parametrize("calibrated", [True, False])
def test_strip_gives_the_input_back_and_human_numbers_stay(place: Place, calibrated: bool) -> None:
    place.decide(calibrated=calibrated, target_error=("0.02",))
    before = json.loads(place.annotations.read_text())
    after = json.loads(place.output.read_text())
    for one, other in zip(before["annotations"], after["annotations"], strict=True):
        assert other["keypoints"][:51] == one["keypoints"]
    strip_file(place.output, place.folder / "back.json")
    assert (place.folder / "back.json").read_bytes() == place.annotations.read_bytes()


def test_a_smaller_target_error_asks_more_and_adds_less(place: Place) -> None:
    counts = []
    (place.folder / "p.toml").write_text("[policy]\nask_from = 0.05\n")
    for target in ("0.29", "0.2", "0.1"):
        report = place.decide(target_error=(target,), file=place.folder / "p.toml").to_dict()["keypoints"]["head_top"]
        counts.append((sum(report["added"].values()), sum(report["asked"].values())))
    added, asked = zip(*counts, strict=True)
    assert added[0] > added[1] > added[2]
    assert asked[0] < asked[1] < asked[2]


def test_points_to_ask_about_come_with_candidate_and_reason(place: Place) -> None:
    place.decide(target_error=("0.1",))
    blocks = [a["annotext"] for a in json.loads(place.output.read_text())["annotations"]]
    asked = [b for b in blocks if "ask" in b.get("decision", ())]
    assert asked
    for block in asked:
        column = block["decision"].index("ask")
        assert block["candidate"][column] is not None and block["reason"][column] is not None


def test_the_recipe_of_the_run_says_the_policy_until_an_option_does(place: Place) -> None:
    from dataclasses import replace

    recipe = replace(
        read_recipe(find_recipe("demo")), policy=PolicyRecipe(target_error=0.2, keypoints={"head_top": 0.1})
    )
    write_recipe(recipe, place.run / "recipe.toml")
    (place.folder / "p.toml").write_text("[policy]\ntarget_error = 0.3\n")
    assert place.decide().policy == recipe.policy.policy()
    assert place.decide(target_error=("upper_neck=0.05",)).policy.keypoints == {"head_top": 0.1, "upper_neck": 0.05}
    assert place.decide(target_error=("0.04",)).policy.keypoints == {}
    assert place.decide(file=place.folder / "p.toml").policy.target_error == 0.3
    assert "recipe.toml" in place.decide().policy_from


@pytest.mark.parametrize(
    ("target_error", "said"),
    [
        (("much",), "target error 'much': expected a number such as 0.03"),
        (("2",), "target_error is 2.0, expected a share"),
        (("head_top=0",), "target_error of head_top is 0.0, expected a share"),
        (("head_top=",), "target error 'head_top=': expected a number"),
        (("haed_top=0.1",), "policy.keypoints.haed_top: no such keypoint here"),
    ],
)
def test_a_target_error_that_makes_no_sense_is_a_known_error(
    place: Place, target_error: tuple[str, ...], said: str
) -> None:
    with pytest.raises(AnnotextError) as caught:
        place.decide(target_error=target_error)
    assert said in str(caught.value)
    assert not place.output.exists()


def test_a_calibration_of_another_student_is_refused(place: Place) -> None:
    from dataclasses import replace

    write_calibration(replace(MODEL, predictor_sha256="0" * 64), place.run / "calibration.json", force=True)
    with pytest.raises(InputError, match="is of the predictor 000000000000, these predictions are of made-up"):
        place.decide()
    assert not place.output.exists()


def test_the_calibration_beside_a_predictor_is_taken_if_it_is_its_own(place: Place) -> None:
    found, notes = settle_calibration(None, [place.run], [STUDENT])
    assert found is not None and found.sha256 == place.calibration.sha256 and notes == []
    from dataclasses import replace

    found, notes = settle_calibration(None, [place.run], [replace(STUDENT, sha256="1" * 64)])
    assert found is None
    assert "is of another student and was not used" in notes[0]


def test_nothing_said_means_the_defaults() -> None:
    policy, origin = settle_policy(PolicyOptions(), None)
    assert (policy.target_error, origin) == (0.05, "defaults")


def test_predictions_of_another_file_are_refused(place: Place) -> None:
    place.annotations.write_bytes(place.annotations.read_bytes() + b"\n")
    with pytest.raises(InputError, match="was not predicted from"):
        place.decide()


def test_outputs_and_inputs_are_told_apart(place: Place) -> None:
    before = place.parquet.read_bytes()
    for output in (place.parquet, place.annotations, place.calibration.path):
        with pytest.raises(InputError, match="is the input itself"):
            decide(place.parquet, place.annotations, output, calibration=place.run, force=True)
    assert place.parquet.read_bytes() == before


def test_the_expected_share_of_wrong_points_is_that_of_the_scores(place: Place) -> None:
    report = place.decide(target_error=("0.2",))
    additions = place.additions()
    for name in ADDED:
        column = additions.keypoints.index(name)
        added = additions.decision[:, column] == Decision.ADD
        expected = report.trust[name]["expected_wrong"]
        assert expected == pytest.approx(1 - additions.score[added, column].mean(), abs=1e-4)


def test_the_command_decides_and_prints_json(place: Place, run_cli: Cli) -> None:
    arguments = ["decide", place.parquet, place.annotations, "-o", place.output, "--calibration", place.run]
    done = run_cli(*arguments, "--target-error", "head_top=0.03", "--report", place.folder / "r.json", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((place.folder / "r.json").read_text())
    assert json.loads(done.stdout)["policy"]["keypoints"] == {"head_top": 0.03}
    again = run_cli(*arguments)
    assert (again.returncode, again.stdout) == (1, "")
    assert "exists" in again.stderr


def test_the_command_names_what_is_wrong_without_a_traceback(place: Place, run_cli: Cli) -> None:
    place.calibration.path.write_text("{}")
    done = run_cli("decide", place.parquet, place.annotations, "-o", place.output, "--calibration", place.run)
    assert (done.returncode, done.stdout) == (1, "")
    assert "calibration.json: format: is missing, expected annotext-calibration" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_frame_has_a_row_per_keypoint_with_the_counts_of_the_report(place: Place) -> None:
    report = place.decide()
    frame = report.to_frame().set_index("keypoint")
    assert list(frame.index) == list(report.keypoints)
    for name, counts in report.keypoints.items():
        assert {s: frame.loc[name, f"added_{s}"] for s in counts["added"]} == counts["added"]
        assert frame.loc[name, "withheld"] == sum(counts["withheld"].values())
    for name, trust in report.trust.items():
        assert frame.loc[name, "target_error"] == trust["target_error"]
