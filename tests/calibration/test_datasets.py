"""What calibration learns from: what is asked about, what may be looked at, and what does not fit together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calibration_files import PredictedFile, sha256_of, unsure_predictions, write_coco, write_mpii, write_predicted
from calibrations import ADDED, STUDENT

from annotext.calibration.datasets import HELD_OUT, LABELS, SHARED, CalibrationSet, Choice, read_calibration_sets
from annotext.core.additions import Source
from annotext.core.errors import AnnotextError
from annotext.core.predictions import PredictorIdentity
from annotext.core.skeletons import COCO17, MPII16
from annotext.formats.annotations.read import read_annotations
from annotext.formats.files.predictions import write_predictions
from annotext.workflows.decide import decide

FACE = COCO17.keypoints[:5]


@pytest.fixture(scope="module")
def mpii(tmp_path_factory: pytest.TempPathFactory) -> PredictedFile:
    return write_mpii(tmp_path_factory.mktemp("mpii"), n=60)


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> PredictedFile:
    return write_coco(tmp_path_factory.mktemp("coco"), n=60)


def read(
    *truths: PredictedFile, held_out: tuple[PredictedFile, ...] = (), sha256: str = STUDENT.sha256, **options: Any
) -> list[CalibrationSet]:
    return read_calibration_sets(
        [t.annotations for t in truths],
        [t.annotations for t in held_out],
        [t.predictions for t in (*truths, *held_out)],
        predictor_sha256=sha256,
        choice=Choice(**options),
    )


def error_of(*truths: PredictedFile, **options: Any) -> str:
    with pytest.raises(AnnotextError) as caught:
        read(*truths, **options)
    return str(caught.value)


def test_a_truths_own_labels_are_asked_about_and_the_shared_twelve_looked_at(coco: PredictedFile) -> None:
    (calibration_set,) = read(coco)
    assert len(SHARED) == 12 and set(SHARED) == set(COCO17.keypoints) & set(MPII16.keypoints)
    assert (calibration_set.keypoints, calibration_set.inputs) == (FACE, SHARED)
    assert (calibration_set.truth.protocol, calibration_set.truth.file) == (LABELS, "coco.json")
    assert calibration_set.truth.sha256 == sha256_of(coco.annotations)


def test_a_derivable_keypoint_is_learned_without_its_parents(mpii: PredictedFile) -> None:
    calibration_sets = {s.keypoints: s.inputs for s in read(mpii)}
    assert set(calibration_sets) == {("upper_neck", "head_top"), ("pelvis",), ("thorax",)}
    assert calibration_sets["upper_neck", "head_top"] == SHARED
    assert set(SHARED) - set(calibration_sets[("pelvis",)]) == {"left_hip", "right_hip"}
    assert set(SHARED) - set(calibration_sets[("thorax",)]) == {"left_shoulder", "right_shoulder"}


def test_held_out_joints_are_hidden_pair_by_pair(coco: PredictedFile) -> None:
    calibration_sets = read(held_out=(coco,))
    assert [s.keypoints for s in calibration_sets] == [
        (f"left_{joint}", f"right_{joint}") for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    ]
    for s in calibration_sets:
        assert set(s.inputs) == set(SHARED) - set(s.keypoints)
        assert s.truth.protocol == HELD_OUT


def test_a_joint_is_held_out_with_its_partner_once(coco: PredictedFile) -> None:
    (elbows, nose) = read(held_out=(coco,), joints=("right_elbow", "left_elbow", "nose"))
    assert (elbows.keypoints, nose.keypoints) == (("left_elbow", "right_elbow"), ("nose",))


def test_keypoints_and_inputs_can_be_chosen(mpii: PredictedFile) -> None:
    inputs = ("left_shoulder", "right_shoulder", "left_hip")
    (calibration_set,) = read(mpii, keypoints=("head_top",), inputs=inputs)
    assert (calibration_set.keypoints, calibration_set.inputs) == (("head_top",), inputs)


def test_a_keypoint_of_one_file_may_be_named_beside_those_of_another(mpii: PredictedFile, coco: PredictedFile) -> None:
    calibration_sets = read(mpii, coco, keypoints=("head_top", "nose"))
    assert [(s.path, s.keypoints) for s in calibration_sets] == [
        (mpii.annotations, ("head_top",)),
        (coco.annotations, ("nose",)),
    ]


def test_the_predictors_own_predictions_come_first_row_by_row(mpii: PredictedFile, tmp_path: Path) -> None:
    poses = read_annotations(mpii.annotations).poses
    mine = unsure_predictions(poses)
    other = replace(mine, predictor=PredictorIdentity("teacher", "ef" * 32, Source.TEACHER))
    shuffled = mine.take(np.random.default_rng(0).permutation(mine.ids))
    parquet = tmp_path / "both.parquet"
    write_predictions(parquet, [other, shuffled], input_sha256=sha256_of(mpii.annotations), force=False)
    for s in read(PredictedFile(mpii.annotations, parquet)):
        assert [p.predictor.name for p in s.predictions] == [STUDENT.name, "teacher"]
        assert np.array_equal(s.predictions[0].ids, s.poses.ids)


def test_two_files_of_predictions_on_one_annotation_file_belong_together(mpii: PredictedFile, tmp_path: Path) -> None:
    predicted = unsure_predictions(read_annotations(mpii.annotations).poses)
    other = replace(predicted, predictor=PredictorIdentity("teacher", "ef" * 32, Source.TEACHER))
    teacher = write_predicted(mpii.annotations, tmp_path / "teacher.parquet", other)
    for order in ([mpii.predictions, teacher], [teacher, mpii.predictions]):
        calibration_sets = read_calibration_sets([mpii.annotations], [], order, predictor_sha256=STUDENT.sha256)
        assert [p.predictor.name for p in calibration_sets[0].predictions] == [STUDENT.name, "teacher"]


def test_people_nobody_predicted_are_left_out(mpii: PredictedFile, tmp_path: Path) -> None:
    predicted = unsure_predictions(read_annotations(mpii.annotations).poses)
    fewer = write_predicted(mpii.annotations, tmp_path / "fewer.parquet", predicted.take(predicted.ids[5:]))
    calibration_set = read(PredictedFile(mpii.annotations, fewer))[0]
    assert np.array_equal(calibration_set.poses.ids, predicted.ids[5:])
    assert calibration_set.truth.people == 55


def test_a_predictor_of_fewer_keypoints_is_asked_about_those(mpii: PredictedFile, tmp_path: Path) -> None:
    predicted = unsure_predictions(read_annotations(mpii.annotations).poses)
    keypoints = tuple(k for k in MPII16.keypoints if k not in ("upper_neck", "pelvis", "left_ankle"))
    there = predicted.skeleton.indices(keypoints)
    flips = tuple(p for p in MPII16.flip_pairs if "left_ankle" not in p)
    skeleton = replace(
        MPII16, name="fewer", keypoints=keypoints, flip_pairs=flips,
        edges=tuple(e for e in MPII16.edges if set(e) <= set(keypoints)),
        sigmas={k: MPII16.sigmas[k] for k in keypoints},
    )  # fmt: skip
    few = replace(
        predicted, skeleton=skeleton, xy=predicted.xy[:, there], score=predicted.score[:, there],
        features={k: v[:, there] for k, v in predicted.features.items()},
    )  # fmt: skip
    file = PredictedFile(mpii.annotations, write_predicted(mpii.annotations, tmp_path / "few.parquet", few))
    calibration_sets = read(file)
    assert [s.keypoints for s in calibration_sets] == [("head_top",), ("thorax",)]
    assert "left_ankle" not in calibration_sets[0].inputs
    held_out = [s.keypoints for s in read(held_out=(file,))]
    assert ("right_ankle",) in held_out and ("left_ankle", "right_ankle") not in held_out


def test_nothing_given_says_what_to_give() -> None:
    assert "nothing to learn from: give --truth or --held-out" in error_of()


def test_predictions_of_another_file_are_refused_with_the_command_that_makes_them(
    mpii: PredictedFile, coco: PredictedFile
) -> None:
    message = error_of(PredictedFile(mpii.annotations, coco.predictions))
    assert f"{mpii.annotations}: none of the given --predictions were made on this file as it is now" in message
    assert f"annotext predict {mpii.annotations} --images DIR" in message


def test_predictions_of_another_predictor_are_refused(mpii: PredictedFile) -> None:
    message = error_of(mpii, sha256="0" * 64)
    assert (
        f"{mpii.predictions}: holds predictions of made-up (abababababab), not of the predictor to calibrate" in message
    )
    assert "hint: annotext predict" in message


def test_an_extended_file_is_no_truth(coco: PredictedFile, tmp_path: Path) -> None:
    extended = tmp_path / "extended.json"
    decide(coco.predictions, coco.annotations, extended)
    message = error_of(PredictedFile(extended, coco.predictions))
    assert f"{extended}: is an extended file" in message
    assert "strip it" in message


def test_a_name_that_nobody_knows_is_named_with_those_there_are(mpii: PredictedFile) -> None:
    for option in ("keypoints", "inputs", "joints"):
        message = error_of(mpii, **{option: ("haed_top",)})
        assert f"{mpii.annotations}: haed_top: neither this file nor the predictor has such a keypoint" in message
        assert "head_top" in message


def test_a_file_that_labels_nothing_further_is_refused(coco: PredictedFile) -> None:
    message = error_of(coco, keypoints=ADDED)
    assert f"{coco.annotations}: labels none of upper_neck, head_top that the predictor knows" in message


def test_the_problems_of_all_files_are_told_at_once(mpii: PredictedFile, coco: PredictedFile) -> None:
    message = error_of(mpii, coco, sha256="0")
    assert str(mpii.predictions) in message and str(coco.predictions) in message
