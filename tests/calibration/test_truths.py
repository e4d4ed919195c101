"""What calibration learns from: what is asked about, what may be looked at, and what does not fit together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from learned import STUDENT, TAUGHT
from taught import Taught, doubtful, sha256_of, write_said, write_target, write_taught

from annotext.calibration.datasets import HELD_OUT, LABELS, SHARED, CalibrationSet, read_calibration_sets
from annotext.core.additions import Source
from annotext.core.errors import AnnotextError
from annotext.core.predictions import PredictorIdentity
from annotext.core.skeletons import COCO17, MPII16
from annotext.formats.annotations.read import read_annotations
from annotext.formats.files.predictions import write_predictions
from annotext.workflows.decide import decide

FACE = COCO17.keypoints[:5]


@pytest.fixture(scope="module")
def mpii(tmp_path_factory: pytest.TempPathFactory) -> Taught:
    return write_taught(tmp_path_factory.mktemp("mpii"), n=60)


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Taught:
    return write_target(tmp_path_factory.mktemp("coco"), n=60)


def read(
    *truths: Taught, held_out: tuple[Taught, ...] = (), sha256: str = STUDENT.sha256, **options: Any
) -> list[CalibrationSet]:
    return read_calibration_sets(
        [t.annotations for t in truths],
        [t.annotations for t in held_out],
        [t.predictions for t in (*truths, *held_out)],
        predictor_sha256=sha256,
        **options,
    )


def error_of(*truths: Taught, **options: Any) -> str:
    with pytest.raises(AnnotextError) as caught:
        read(*truths, **options)
    return str(caught.value)


def test_a_truths_own_labels_are_asked_about_and_the_shared_twelve_looked_at(coco: Taught) -> None:
    (calibration_set,) = read(coco)
    assert len(SHARED) == 12 and set(SHARED) == set(COCO17.keypoints) & set(MPII16.keypoints)
    assert (calibration_set.keypoints, calibration_set.inputs) == (FACE, SHARED)
    assert (calibration_set.truth.protocol, calibration_set.truth.file) == (LABELS, "coco.json")
    assert calibration_set.truth.sha256 == sha256_of(coco.annotations)


def test_a_derivable_keypoint_is_learned_without_its_parents(mpii: Taught) -> None:
    calibration_sets = {calibration_set.keypoints: calibration_set.inputs for calibration_set in read(mpii)}
    assert set(calibration_sets) == {("upper_neck", "head_top"), ("pelvis",), ("thorax",)}
    assert calibration_sets["upper_neck", "head_top"] == SHARED
    assert set(SHARED) - set(calibration_sets[("pelvis",)]) == {"left_hip", "right_hip"}
    assert set(SHARED) - set(calibration_sets[("thorax",)]) == {"left_shoulder", "right_shoulder"}


def test_held_out_joints_are_hidden_pair_by_pair(coco: Taught) -> None:
    calibration_sets = read(held_out=(coco,))
    assert [calibration_set.keypoints for calibration_set in calibration_sets] == [
        (f"left_{joint}", f"right_{joint}") for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    ]
    for calibration_set in calibration_sets:
        assert set(calibration_set.inputs) == set(SHARED) - set(calibration_set.keypoints)
        assert calibration_set.truth.protocol == HELD_OUT


def test_a_joint_is_held_out_with_its_partner_once(coco: Taught) -> None:
    (elbows, nose) = read(held_out=(coco,), joints=("right_elbow", "left_elbow", "nose"))
    assert (elbows.keypoints, nose.keypoints) == (("left_elbow", "right_elbow"), ("nose",))


def test_keypoints_and_inputs_can_be_chosen(mpii: Taught) -> None:
    inputs = ("left_shoulder", "right_shoulder", "left_hip")
    (calibration_set,) = read(mpii, keypoints=("head_top",), inputs=inputs)
    assert (calibration_set.keypoints, calibration_set.inputs) == (("head_top",), inputs)


def test_a_keypoint_of_one_file_may_be_named_beside_those_of_another(mpii: Taught, coco: Taught) -> None:
    calibration_sets = read(mpii, coco, keypoints=("head_top", "nose"))
    assert [(calibration_set.path, calibration_set.keypoints) for calibration_set in calibration_sets] == [
        (mpii.annotations, ("head_top",)),
        (coco.annotations, ("nose",)),
    ]


def test_the_predictors_own_predictions_come_first_row_by_row(mpii: Taught, tmp_path: Path) -> None:
    poses = read_annotations(mpii.annotations).poses
    mine = doubtful(poses)
    other = replace(mine, predictor=PredictorIdentity("teacher", "ef" * 32, Source.TEACHER))
    shuffled = mine.take(np.random.default_rng(0).permutation(mine.ids))
    parquet = tmp_path / "both.parquet"
    write_predictions(parquet, [other, shuffled], input_sha256=sha256_of(mpii.annotations), force=False)
    for calibration_set in read(Taught(mpii.annotations, parquet)):
        assert [p.predictor.name for p in calibration_set.predictions] == [STUDENT.name, "teacher"]
        assert np.array_equal(calibration_set.predictions[0].ids, calibration_set.poses.ids)


def test_two_files_of_predictions_on_one_annotation_file_belong_together(mpii: Taught, tmp_path: Path) -> None:
    said = doubtful(read_annotations(mpii.annotations).poses)
    other = replace(said, predictor=PredictorIdentity("teacher", "ef" * 32, Source.TEACHER))
    teacher = write_said(mpii.annotations, tmp_path / "teacher.parquet", other)
    for order in ([mpii.predictions, teacher], [teacher, mpii.predictions]):
        calibration_sets = read_calibration_sets([mpii.annotations], [], order, predictor_sha256=STUDENT.sha256)
        assert [p.predictor.name for p in calibration_sets[0].predictions] == [STUDENT.name, "teacher"]


def test_people_nobody_predicted_are_left_out(mpii: Taught, tmp_path: Path) -> None:
    said = doubtful(read_annotations(mpii.annotations).poses)
    fewer = write_said(mpii.annotations, tmp_path / "fewer.parquet", said.take(said.ids[5:]))
    calibration_set = read(Taught(mpii.annotations, fewer))[0]
    assert np.array_equal(calibration_set.poses.ids, said.ids[5:])
    assert calibration_set.truth.people == 55


def test_a_predictor_of_fewer_keypoints_is_asked_about_those(mpii: Taught, tmp_path: Path) -> None:
    said = doubtful(read_annotations(mpii.annotations).poses)
    keypoints = tuple(k for k in MPII16.keypoints if k not in ("upper_neck", "pelvis", "left_ankle"))
    there = said.skeleton.indices(keypoints)
    flips = tuple(p for p in MPII16.flip_pairs if "left_ankle" not in p)
    skeleton = replace(
        MPII16, name="fewer", keypoints=keypoints, flip_pairs=flips,
        edges=tuple(e for e in MPII16.edges if set(e) <= set(keypoints)),
        sigmas={k: MPII16.sigmas[k] for k in keypoints},
    )  # fmt: skip
    few = replace(
        said, skeleton=skeleton, xy=said.xy[:, there], score=said.score[:, there],
        features={k: v[:, there] for k, v in said.features.items()},
    )  # fmt: skip
    taught = Taught(mpii.annotations, write_said(mpii.annotations, tmp_path / "few.parquet", few))
    calibration_sets = read(taught)
    assert [calibration_set.keypoints for calibration_set in calibration_sets] == [("head_top",), ("thorax",)]
    assert "left_ankle" not in calibration_sets[0].inputs
    held_out = [calibration_set.keypoints for calibration_set in read(held_out=(taught,))]
    assert ("right_ankle",) in held_out and ("left_ankle", "right_ankle") not in held_out


def test_nothing_given_says_what_to_give() -> None:
    assert "nothing to learn from: give --truth or --held-out" in error_of()


def test_predictions_of_another_file_are_refused_with_the_command_that_makes_them(mpii: Taught, coco: Taught) -> None:
    said = error_of(Taught(mpii.annotations, coco.predictions))
    assert f"{mpii.annotations}: none of the given --predictions were made on this file as it is now" in said
    assert f"annotext predict {mpii.annotations} --images DIR" in said


def test_predictions_of_another_predictor_are_refused(mpii: Taught) -> None:
    said = error_of(mpii, sha256="0" * 64)
    assert f"{mpii.predictions}: holds predictions of made-up (abababababab), not of the predictor to calibrate" in said
    assert "hint: annotext predict" in said


def test_an_extended_file_is_no_truth(coco: Taught, tmp_path: Path) -> None:
    extended = tmp_path / "extended.json"
    decide(coco.predictions, coco.annotations, extended)
    said = error_of(Taught(extended, coco.predictions))
    assert f"{extended}: is an extended file" in said
    assert "strip it" in said


def test_a_name_that_nobody_knows_is_named_with_those_there_are(mpii: Taught) -> None:
    for option in ("keypoints", "inputs", "joints"):
        said = error_of(mpii, **{option: ("haed_top",)})
        assert f"{mpii.annotations}: haed_top: neither this file nor the predictor has such a keypoint" in said
        assert "head_top" in said


def test_a_file_that_labels_nothing_further_is_refused(coco: Taught) -> None:
    said = error_of(coco, keypoints=TAUGHT)
    assert f"{coco.annotations}: labels none of upper_neck, head_top that the predictor knows" in said


def test_the_problems_of_all_files_are_told_at_once(mpii: Taught, coco: Taught) -> None:
    said = error_of(mpii, coco, sha256="0")
    assert str(mpii.predictions) in said and str(coco.predictions) in said
