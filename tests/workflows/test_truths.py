"""What calibration learns from: what is asked about, what may be looked at, and what does not fit together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from learned import STUDENT, TAUGHT
from taught import Taught, doubtful, sha256_of, write_said, write_target, write_taught

from annotext.core.poses import Source
from annotext.core.predictions import PredictorIdentity
from annotext.core.problems import AnnotextError
from annotext.core.skeletons import COCO17, MPII16
from annotext.formats.annotations import read_annotations
from annotext.formats.predictions import write_predictions
from annotext.workflows.decide import decide
from annotext.workflows.truths import HELD_OUT, LABELS, SHARED, Lesson, read_lessons

FACE = COCO17.keypoints[:5]


@pytest.fixture(scope="module")
def mpii(tmp_path_factory: pytest.TempPathFactory) -> Taught:
    return write_taught(tmp_path_factory.mktemp("mpii"), n=60)


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Taught:
    return write_target(tmp_path_factory.mktemp("coco"), n=60)


def read(
    *truths: Taught, held_out: tuple[Taught, ...] = (), sha256: str = STUDENT.sha256, **options: Any
) -> list[Lesson]:
    return read_lessons(
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
    (lesson,) = read(coco)
    assert len(SHARED) == 12 and set(SHARED) == set(COCO17.keypoints) & set(MPII16.keypoints)
    assert (lesson.keypoints, lesson.inputs) == (FACE, SHARED)
    assert (lesson.truth.protocol, lesson.truth.file) == (LABELS, "coco.json")
    assert lesson.truth.sha256 == sha256_of(coco.annotations)


def test_a_derivable_keypoint_is_learned_without_its_parents(mpii: Taught) -> None:
    lessons = {lesson.keypoints: lesson.inputs for lesson in read(mpii)}
    assert set(lessons) == {("upper_neck", "head_top"), ("pelvis",), ("thorax",)}
    assert lessons["upper_neck", "head_top"] == SHARED
    assert set(SHARED) - set(lessons[("pelvis",)]) == {"left_hip", "right_hip"}
    assert set(SHARED) - set(lessons[("thorax",)]) == {"left_shoulder", "right_shoulder"}


def test_held_out_joints_are_hidden_pair_by_pair(coco: Taught) -> None:
    lessons = read(held_out=(coco,))
    assert [lesson.keypoints for lesson in lessons] == [
        (f"left_{joint}", f"right_{joint}") for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    ]
    for lesson in lessons:
        assert set(lesson.inputs) == set(SHARED) - set(lesson.keypoints)
        assert lesson.truth.protocol == HELD_OUT


def test_a_joint_is_held_out_with_its_partner_once(coco: Taught) -> None:
    (elbows, nose) = read(held_out=(coco,), joints=("right_elbow", "left_elbow", "nose"))
    assert (elbows.keypoints, nose.keypoints) == (("left_elbow", "right_elbow"), ("nose",))


def test_keypoints_and_inputs_can_be_chosen(mpii: Taught) -> None:
    inputs = ("left_shoulder", "right_shoulder", "left_hip")
    (lesson,) = read(mpii, keypoints=("head_top",), inputs=inputs)
    assert (lesson.keypoints, lesson.inputs) == (("head_top",), inputs)


def test_a_keypoint_of_one_file_may_be_named_beside_those_of_another(mpii: Taught, coco: Taught) -> None:
    lessons = read(mpii, coco, keypoints=("head_top", "nose"))
    assert [(lesson.path, lesson.keypoints) for lesson in lessons] == [
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
    for lesson in read(Taught(mpii.annotations, parquet)):
        assert [p.predictor.name for p in lesson.predictions] == [STUDENT.name, "teacher"]
        assert np.array_equal(lesson.predictions[0].ids, lesson.poses.ids)


def test_two_files_of_predictions_on_one_annotation_file_belong_together(mpii: Taught, tmp_path: Path) -> None:
    said = doubtful(read_annotations(mpii.annotations).poses)
    other = replace(said, predictor=PredictorIdentity("teacher", "ef" * 32, Source.TEACHER))
    teacher = write_said(mpii.annotations, tmp_path / "teacher.parquet", other)
    for order in ([mpii.predictions, teacher], [teacher, mpii.predictions]):
        lessons = read_lessons([mpii.annotations], [], order, predictor_sha256=STUDENT.sha256)
        assert [p.predictor.name for p in lessons[0].predictions] == [STUDENT.name, "teacher"]


def test_people_nobody_predicted_are_left_out(mpii: Taught, tmp_path: Path) -> None:
    said = doubtful(read_annotations(mpii.annotations).poses)
    fewer = write_said(mpii.annotations, tmp_path / "fewer.parquet", said.take(said.ids[5:]))
    lesson = read(Taught(mpii.annotations, fewer))[0]
    assert np.array_equal(lesson.poses.ids, said.ids[5:])
    assert lesson.truth.people == 55


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
    lessons = read(taught)
    assert [lesson.keypoints for lesson in lessons] == [("head_top",), ("thorax",)]
    assert "left_ankle" not in lessons[0].inputs
    held_out = [lesson.keypoints for lesson in read(held_out=(taught,))]
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
