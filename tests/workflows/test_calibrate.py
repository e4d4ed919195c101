"""`annotext calibrate`: what is learned, written and said, whom it serves, and what is refused with nothing written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
from calibration_files import (
    FEW_INPUTS,
    PredictedFile,
    mpii_document,
    mpii_people,
    sha256_of,
    write_coco,
    write_mpii,
    write_student,
)
from calibrations import ADDED, STUDENT

from annotext.calibration.datasets import HELD_OUT, LABELS
from annotext.calibration.files import read_calibration
from annotext.calibration.keypoint import ANY
from annotext.cli.reports.calibration import calibration_text
from annotext.core.additions import Decision
from annotext.core.errors import AnnotextError, InputError
from annotext.formats.annotations.read import read_annotations
from annotext.formats.files.jsonio import dump_json
from annotext.formats.files.predictions import read_predictions
from annotext.workflows.calibrate import CalibrationReport, calibrate
from annotext.workflows.decide import PolicyOptions, decide

Cli = Callable[..., CompletedProcess[str]]


@dataclass(frozen=True)
class Place:
    """A student's run, people it may learn from, people who lack what those have, and many labelled others."""

    folder: Path
    run: Path
    mpii: PredictedFile
    coco: PredictedFile
    others: Path

    def calibrate(self, output: Path, **options: Any) -> CalibrationReport:
        """With few inputs and a pose-only model of one fit, which is quick."""
        given = {
            "truths": [self.mpii.annotations],
            "predictions": [self.mpii.predictions],
            "keypoints": ADDED,
            "inputs": FEW_INPUTS,
            "poses": self.others,
            "output": output,
        }
        return calibrate(self.run, **{**given, **options})

    def hold_out(self, output: Path, **options: Any) -> CalibrationReport:
        return self.calibrate(
            output,
            **{"truths": [], "held_out": [self.mpii.annotations], "joints": ["left_hip"], "keypoints": [], **options},
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("people")
    others = folder / "others.json"
    people = mpii_document(mpii_people(seed=7))
    for record in people:
        record["image"] = f"other_{record['image']}"
    others.write_bytes(dump_json(people))
    return Place(folder, write_student(folder / "run"), write_mpii(folder), write_coco(folder), others)


@pytest.fixture(scope="module")
def made(place: Place) -> CalibrationReport:
    """Written into the run, with a report beside it."""
    return place.calibrate(place.run / "calibration.json", report=place.run / "report.json")


def _written(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()}


def test_calibration_picture_and_report_are_written(place: Place, made: CalibrationReport) -> None:
    assert _written(place.run) == {"card.json", "calibration.json", "calibration.png", "report.json"}
    assert (place.run / made.picture).read_bytes().startswith(b"\x89PNG")
    assert json.loads((place.run / "report.json").read_text()) == made.to_dict()


def test_what_is_written_is_about_the_student_and_names_its_truth(place: Place, made: CalibrationReport) -> None:
    model = read_calibration(place.run).model
    assert model.predictor_sha256 == made.predictor_sha256 == STUDENT.sha256
    (part,) = model.parts
    assert (part.inputs, part.keypoints, set(part.calibration)) == (FEW_INPUTS, ADDED, set(ADDED))
    assert part.truth.to_dict() == {
        "protocol": LABELS,
        "file": "mpii.json",
        "sha256": sha256_of(place.mpii.annotations),
        "people": 400,
    }


def test_the_report_judges_each_keypoint_against_the_raw_score(made: CalibrationReport) -> None:
    assert [k.keypoint for k in made.keypoints] == list(ADDED)
    for k in made.keypoints:
        value = {name: v[0] for name, v in k.figures.items()}
        assert k.n == 400
        assert value["auroc"] > value["raw_auroc"] + 0.05
        assert value["aurc"] < 0.5 * value["raw_aurc"]
        assert value["ece"] < 0.04
        assert 0.84 < value["coverage"] < 0.95
        for name in ("auroc", "aurc", "coverage"):
            middle, low, high = k.figures[name]
            assert low < middle < high


def test_a_person_reads_which_file_taught_what_and_what_the_columns_mean(place: Place, made: CalibrationReport) -> None:
    text = calibration_text(made)
    assert f"{place.mpii.annotations} (labels): upper_neck, head_top" in text
    assert "right means: keypoint similarity at least .5" in text
    assert "AUROC: how often a right point scores above a wrong one" in text
    assert "on: error 0." in text
    assert "a domain shift remains" in text


def test_the_same_input_gives_the_same_bytes(place: Place, made: CalibrationReport, tmp_path: Path) -> None:
    again = place.calibrate(tmp_path / "calibration.json")
    for name in ("calibration.json", "calibration.png"):
        assert (tmp_path / name).read_bytes() == (place.run / name).read_bytes()
    assert again.keypoints == made.keypoints


def test_a_file_of_other_people_teaches_the_pose_and_images_of_the_truth_do_not(
    place: Place, made: CalibrationReport, tmp_path: Path
) -> None:
    # The truth itself among the others: all its images are left out, so nothing changes.
    both = tmp_path / "both.json"
    documents = [json.loads(p.read_text()) for p in (place.others, place.mpii.annotations)]
    both.write_bytes(dump_json(documents[0] + documents[1]))
    place.calibrate(tmp_path / "calibration.json", poses=both)
    assert read_calibration(place.run).sha256 == read_calibration(tmp_path).sha256


def test_without_other_people_the_truth_itself_teaches_the_pose(place: Place, tmp_path: Path) -> None:
    report = place.calibrate(tmp_path / "calibration.json", poses=None, keypoints=["head_top"], inputs=FEW_INPUTS[:4])
    assert [(k.keypoint, k.anchor["on"]) for k in report.keypoints] == [("head_top", True)]
    assert read_calibration(tmp_path).sha256 != read_calibration(place.run).sha256


def test_no_anchor_moves_nothing_and_says_so(place: Place, tmp_path: Path) -> None:
    report = place.calibrate(tmp_path / "calibration.json", anchored=False)
    model = read_calibration(tmp_path).model
    assert all(part.anchor is None for part in model.parts)
    assert [k.anchor["on"] for k in report.keypoints] == [False, False]
    assert "head_top stays where the predictor put it: anchoring was not wanted" in calibration_text(report)
    target = read_annotations(place.coco.annotations).poses
    points = model.points(target, read_predictions(place.coco.predictions))
    assert points.keypoints == ADDED and not points.anchored.any()


def test_held_out_joints_serve_keypoints_that_have_no_truth(place: Place, tmp_path: Path) -> None:
    report = place.hold_out(tmp_path / "calibration.json")
    assert report.any_points == sum(k.n for k in report.keypoints) > 600
    assert {k.protocol for k in report.keypoints} == {HELD_OUT}
    (part,) = read_calibration(tmp_path).model.parts
    assert (set(part.inputs), part.keypoints, set(part.calibration)) == (set(FEW_INPUTS), (), {ANY})
    decide(place.coco.predictions, place.coco.annotations, tmp_path / "out.json", calibration=tmp_path)
    file = read_annotations(tmp_path / "out.json")
    assert file.header is not None and file.additions is not None
    assert file.header["calibration"]["truth"][0]["protocol"] == HELD_OUT
    assert {"upper_neck", "head_top"} <= set(file.header["calibration"]["keypoints"])
    column = file.additions.keypoints.index("head_top")
    raw = read_predictions(place.coco.predictions)[0]
    score = file.additions.score[:, column]
    assert np.isfinite(file.additions.radius[:, column]).any()
    assert not np.allclose(score, raw.score[:, raw.skeleton.index["head_top"]], atol=0.01)


def test_every_file_of_held_out_joints_is_named_in_the_calibration(place: Place, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    more = write_mpii(tmp_path / "more", seed=3)
    files = [place.mpii.annotations, more.annotations]
    place.hold_out(
        tmp_path / "calibration.json", held_out=files, predictions=[place.mpii.predictions, more.predictions]
    )
    truth = read_calibration(tmp_path).model.truth
    assert {t.sha256 for t in truth} == {sha256_of(f) for f in files}
    assert {t.protocol for t in truth} == {HELD_OUT}


def test_a_keypoint_with_a_truth_of_its_own_does_not_take_the_pooled_calibration(place: Place, tmp_path: Path) -> None:
    place.hold_out(tmp_path / "calibration.json", truths=[place.mpii.annotations], keypoints=["head_top"])
    model = read_calibration(tmp_path).model
    target = read_annotations(place.coco.annotations).poses
    points = model.points(target, read_predictions(place.coco.predictions))
    assert points.calibration["head_top"].keypoint == "head_top"
    assert points.calibration["upper_neck"].keypoint == ANY


def _error(place: Place, tmp_path: Path, **options: Any) -> str:
    """The message; nothing may have been written."""
    before = _written(tmp_path)
    with pytest.raises(AnnotextError) as caught:
        place.calibrate(**{"output": tmp_path / "calibration.json", "report": tmp_path / "r.json", **options})
    assert _written(tmp_path) == before
    return str(caught.value)


def test_nothing_given_is_an_error(place: Place, tmp_path: Path) -> None:
    assert "nothing to learn from" in _error(place, tmp_path, truths=[], predictions=[])


def test_predictions_of_another_file_are_refused(place: Place, tmp_path: Path) -> None:
    said = _error(place, tmp_path, predictions=[place.coco.predictions])
    assert f"{place.mpii.annotations}: none of the given --predictions were made on this file" in said


def test_a_file_the_student_was_trained_on_is_refused_unless_that_is_wanted(place: Place, tmp_path: Path) -> None:
    # Another file of the same name, which it never saw.
    (tmp_path / "unseen").mkdir()
    unseen = write_mpii(tmp_path / "unseen", seed=3)
    run = write_student(tmp_path / "run")
    data = {"data": [{"name": "train", "sha256": sha256_of(place.mpii.annotations)}]}
    (run / "data.json").write_text(json.dumps(data))
    given = {
        "truths": [place.mpii.annotations, unseen.annotations],
        "predictions": [place.mpii.predictions, unseen.predictions],
        "keypoints": ADDED,
        "inputs": FEW_INPUTS,
        "poses": place.others,
    }
    with pytest.raises(InputError) as caught:
        calibrate(run, **given)
    said = str(caught.value)
    assert f"{place.mpii.annotations}: the student was trained on this file" in said
    assert "--allow-seen" in said and str(unseen.annotations) not in said
    assert _written(run) == {"card.json", "data.json"}
    calibrate(run, allow_seen=True, **given)
    assert len(read_calibration(run).model.parts) == 2


def test_outputs_that_exist_stay_without_force(place: Place, made: CalibrationReport, tmp_path: Path) -> None:
    for name in ("calibration.json", "calibration.png", "r.json"):
        (tmp_path / name).write_text("mine")
        assert f"{tmp_path / name}: exists" in _error(place, tmp_path)
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()
    (tmp_path / "calibration.json").write_text("mine")
    place.calibrate(tmp_path / "calibration.json", force=True)
    assert read_calibration(tmp_path).sha256 == read_calibration(place.run).sha256


def test_an_output_never_takes_the_place_of_an_input(place: Place, tmp_path: Path) -> None:
    for path in (place.mpii.annotations, place.others, place.run / "card.json"):
        before = path.read_bytes()
        assert "is the input itself" in _error(place, tmp_path, report=path, force=True)
        assert path.read_bytes() == before
    same = tmp_path / "calibration.json"
    assert "is named for two outputs" in _error(place, tmp_path, report=same)


def test_too_few_people_are_told_with_file_and_number(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "few"
    folder.mkdir()
    few = write_mpii(folder, n=60)
    given = {"truths": [few.annotations], "predictions": [few.predictions]}
    said = _error(place, tmp_path, **given)
    assert f"{few.annotations}: head_top: cannot be learned: " in said
    assert "60" in said and "100 are needed" in said and "hint: give a file of more people" in said


def test_too_few_to_begin_with_are_told_too(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "few"
    folder.mkdir()
    few = write_mpii(folder, n=16)
    given = {"truths": [few.annotations], "predictions": [few.predictions], "poses": None}
    said = _error(place, tmp_path, **given)
    assert f"{few.annotations}: upper_neck, head_top: cannot be learned: " in said
    assert "20 are needed" in said and "hint: give a file of more people" in said


def test_a_predictor_that_is_none_is_refused(place: Place, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"holds no card\.json"):
        calibrate(tmp_path / "empty", truths=[place.mpii.annotations], predictions=[place.mpii.predictions])


def test_a_calibrated_file_says_so_and_a_strict_target_adds_fewer_points(
    place: Place, made: CalibrationReport, tmp_path: Path
) -> None:
    out, added = tmp_path / "out.json", []
    for target in ("0.03", "0.2"):
        decide(
            place.coco.predictions,
            place.coco.annotations,
            out,
            calibration=place.run,
            policy=PolicyOptions(target_error=(target,)),
            force=True,
        )
        file = read_annotations(out)
        assert file.header is not None and file.additions is not None
        assert file.header["calibration"]["keypoints"] == list(ADDED)
        columns = [file.additions.keypoints.index(k) for k in ADDED]
        added.append(int((file.additions.decision[:, columns] == Decision.ADD).sum()))
    assert added[0] < added[1]


def test_the_command_goes_from_predictions_to_a_calibrated_file(place: Place, run_cli: Cli, tmp_path: Path) -> None:
    run = write_student(tmp_path / "run")
    options = [
        *("--truth", place.mpii.annotations, "--predictions", place.mpii.predictions, "--poses", place.others),
        *("--keypoints", ",".join(ADDED), "--inputs", ", ".join(FEW_INPUTS)),
    ]
    done = run_cli("calibrate", run, *options, "--json")
    assert done.returncode == 0, done.stderr
    assert [k["keypoint"] for k in json.loads(done.stdout)["keypoints"]] == list(ADDED)
    assert f"learning about upper_neck, head_top from {place.mpii.annotations}" in done.stderr
    out = tmp_path / "out.json"
    decided = run_cli(
        "decide", place.coco.predictions, place.coco.annotations, "-o", out, "--calibration", run, "--json"
    )
    assert decided.returncode == 0, decided.stderr
    assert json.loads(decided.stdout)["calibration"]["keypoints"] == list(ADDED)
    again = run_cli("calibrate", run, *options)
    assert (again.returncode, again.stdout) == (1, "")
    assert f"{run / 'calibration.json'}: exists" in again.stderr
    assert "Traceback" not in again.stderr


def test_the_command_tells_known_errors_from_wrong_usage(run_cli: Cli, tmp_path: Path) -> None:
    missing = run_cli("calibrate", tmp_path / "nowhere", "--truth", tmp_path / "no.json")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "there is no such predictor" in missing.stderr
    assert run_cli("calibrate", tmp_path, "--criterion", "luck").returncode == 2


def test_a_frame_has_a_row_per_keypoint_with_intervals(made: CalibrationReport) -> None:
    frame = made.to_frame()
    assert frame["keypoint"].tolist() == [k.keypoint for k in made.keypoints]
    first = frame.loc[0, ["auroc", "auroc_low", "auroc_high"]]
    assert tuple(first) == made.keypoints[0].figures["auroc"]
