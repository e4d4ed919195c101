"""Where anchoring helps, evaluated out of sample."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from people import STANDING, random_people

from annotext.calibration.refine_evaluation import (
    ANCHORED,
    HEURISTIC,
    HEURISTICS,
    POSE_ONLY,
    STUDENT,
    LearnedAnchor,
    evaluate_anchor,
    heuristic,
    learn_anchor,
)
from annotext.core.additions import Source
from annotext.core.frame import Frame, columns
from annotext.core.poses import Poses
from annotext.core.predictions import Predictions, PredictorIdentity
from annotext.core.skeletons import COCO17, MPII16, UNION21

INPUTS = MPII16.shared_with(COCO17)
KEYPOINTS = ("upper_neck", "head_top")


def _people(n: int, seed: int) -> Poses:
    rng = np.random.default_rng(seed)
    people = np.array([STANDING[k] for k in MPII16.keypoints]) + rng.normal(scale=0.4, size=(n, 16, 2))
    size = rng.uniform(5, 30, n)
    return replace(
        random_people(MPII16, n=n, images=n // 2, labelled=1.0, unlabelled_people=0, crowds=0),
        xy=people * size[:, None, None] + rng.uniform(0, 500, (n, 1, 2)),
        visibility=np.full((n, 16), 2, dtype=np.uint8),
        head_size=1.7 * size,
    )


def _predicted(poses: Poses, seed: int, blur: float, lost: float) -> Predictions:
    """A network that blurs all points, loses some, and has an inkling of which."""
    rng = np.random.default_rng(seed)
    shape = poses.visibility.shape
    gone = rng.random(shape) < lost
    unit = Frame.of(columns(poses, INPUTS), INPUTS).size[:, None, None]
    xy = poses.xy + unit * (blur + 0.4 * gone)[..., None] * rng.normal(size=(*shape, 2))
    entropy = np.clip(0.1 + 0.5 * gone + rng.normal(scale=0.1, size=shape), 0, 1)
    return Predictions(
        PredictorIdentity("network", "0" * 64, Source.STUDENT),
        MPII16,
        poses.ids,
        tuple(poses.file_names()),
        xy.astype(np.float32),
        (1 - entropy).astype(np.float32),
        {"entropy": entropy.astype(np.float32)},
    )


def _learn(blur: float, lost: float) -> LearnedAnchor:
    poses = _people(240, 0)
    return learn_anchor(
        poses, _predicted(poses, 1, blur, lost), INPUTS, KEYPOINTS, rng=np.random.default_rng(2), folds=3
    )


@pytest.fixture(scope="module")
def learned() -> LearnedAnchor:
    return _learn(blur=0.02, lost=0.25)


@pytest.fixture(scope="module")
def sure() -> LearnedAnchor:
    return _learn(blur=0.0001, lost=0.0)


def test_it_is_on_where_it_beats_prediction_expectation_and_heuristic(learned: LearnedAnchor) -> None:
    assert learned.anchor.on == (True, True)
    for evaluation in learned.evaluations:
        assert evaluation.on and not evaluation.reason
        assert evaluation.people == 240
        for other in (STUDENT, POSE_ONLY, HEURISTIC):
            assert evaluation.error[ANCHORED] < evaluation.error[other]
            assert evaluation.difference[other].low < evaluation.difference[other].value
            assert evaluation.difference[other].value < evaluation.difference[other].high < 0


def test_what_it_promises_it_keeps_on_people_it_never_saw(learned: LearnedAnchor) -> None:
    poses = _people(300, 3)
    predictions = _predicted(poses, 4, blur=0.02, lost=0.25)
    frame = learned.pose_only.frame(poses)
    final = learned.anchor.apply(poses, predictions, learned.pose_only.predict(poses), frame)
    error = np.linalg.norm(final - columns(poses, KEYPOINTS), axis=-1) / frame.size[:, None]
    promised = [e.error[ANCHORED] for e in learned.evaluations]
    assert error.mean(axis=0) == pytest.approx(promised, rel=0.25)


def test_nothing_to_gain_keeps_it_off_and_says_why(sure: LearnedAnchor) -> None:
    assert sure.anchor.on == (False, False)
    for evaluation in sure.evaluations:
        assert evaluation.reason.startswith("not closer than the raw prediction beyond the interval: mean error 0.000")
        assert evaluation.reason.endswith("n = 240")


def test_out_of_sample_points_are_the_predictions_where_it_is_off(sure: LearnedAnchor) -> None:
    raw = _predicted(_people(240, 0), 1, 0.0001, 0.0).xy[:, MPII16.indices(KEYPOINTS)]
    assert np.array_equal(sure.xy, raw.astype(np.float64))


def test_out_of_sample_expectations_are_not_those_of_the_model_that_saw_everybody(learned: LearnedAnchor) -> None:
    poses = _people(240, 0)
    truth = columns(poses, KEYPOINTS)
    seen = np.linalg.norm(learned.pose_only.predict(poses) - truth, axis=-1)
    unseen = np.linalg.norm(learned.expectation - truth, axis=-1)
    assert np.all(seen.mean(axis=0) < unseen.mean(axis=0))


def test_the_same_chance_gives_the_same_evaluation(learned: LearnedAnchor) -> None:
    again = _learn(blur=0.02, lost=0.25)
    assert again.evaluations == learned.evaluations
    assert np.array_equal(again.anchor.weights, learned.anchor.weights)


def test_crowds_are_neither_learned_from_nor_evaluated(learned: LearnedAnchor) -> None:
    poses = _people(240, 0)
    crowd = np.zeros(240, dtype=bool)
    crowd[:60] = True
    predictions = _predicted(poses, 1, 0.02, 0.25)
    some = learn_anchor(
        replace(poses, crowd=crowd),
        predictions,
        INPUTS,
        KEYPOINTS,
        rng=np.random.default_rng(2),
        folds=3,
        pose_only=learned.pose_only,
    )
    assert {e.people for e in some.evaluations} == {180}
    assert not np.array_equal(some.anchor.weights, learned.anchor.weights)


def test_fewer_images_than_folds_are_refused() -> None:
    poses = _people(40, 0)
    poses = replace(poses, image_index=poses.image_index % 2)
    with pytest.raises(ValueError, match="2 images, 5 are needed to evaluate out of sample"):
        learn_anchor(poses, _predicted(poses, 1, 0.02, 0.2), INPUTS, KEYPOINTS, rng=np.random.default_rng(0))


def test_an_expectation_of_something_else_is_refused(learned: LearnedAnchor) -> None:
    poses = _people(40, 0)
    with pytest.raises(ValueError, match="of other inputs or keypoints"):
        learn_anchor(
            poses,
            _predicted(poses, 1, 0.02, 0.2),
            INPUTS,
            ("head_top",),
            rng=np.random.default_rng(0),
            pose_only=learned.pose_only,
        )


def test_too_few_people_are_named() -> None:
    poses = _people(40, 0)
    predictions, truth = _predicted(poses, 1, 0.02, 0.2), columns(poses, KEYPOINTS)
    frame = Frame.of(columns(poses, INPUTS), INPUTS)
    (neck, _) = evaluate_anchor(poses, predictions, truth, truth, frame, truth, KEYPOINTS, rng=np.random.default_rng(0))
    assert neck.reason == "40 people have upper_neck and enough inputs labelled, 100 are needed"


def test_right_is_half_a_head_where_heads_are_known_and_a_fifth_of_a_torso_elsewhere(learned: LearnedAnchor) -> None:
    assert {e.measure for e in learned.evaluations} == {"PCKh@0.5"}
    poses = _people(120, 5)
    poses = replace(poses, head_size=np.full(120, np.nan))
    truth = columns(poses, KEYPOINTS)
    torso = np.linalg.norm(
        poses.xy[:, MPII16.indices(("left_shoulder", "right_shoulder"))].mean(axis=1)
        - poses.xy[:, MPII16.indices(("left_hip", "right_hip"))].mean(axis=1),
        axis=-1,
    )
    off = truth + np.where(np.arange(120) < 30, 0.21, 0.19)[:, None, None] * torso[:, None, None] * [[[0.6, 0.8]]]
    frame = Frame.of(columns(poses, INPUTS), INPUTS)
    for evaluation in evaluate_anchor(
        poses, _predicted(poses, 1, 0.02, 0.2), truth, off, frame, truth, KEYPOINTS, rng=np.random.default_rng(0)
    ):
        assert evaluation.measure == "PCK@0.2"
        assert evaluation.right[ANCHORED] == pytest.approx(0.75)


def test_an_evaluation_is_plain_json(learned: LearnedAnchor) -> None:
    document = learned.evaluations[0].to_dict()
    assert document["keypoint"] == "upper_neck"
    assert set(document["mean_error_in_sizes"]) == {STUDENT, POSE_ONLY, HEURISTIC, ANCHORED}
    assert all(isinstance(x, float) for gap in document["anchored_minus"].values() for x in gap)


@pytest.mark.parametrize("keypoint", sorted(HEURISTICS))
def test_a_heuristic_moves_with_the_person_and_never_looks_at_the_keypoint_itself(keypoint: str) -> None:
    assert sum(HEURISTICS[keypoint].values()) == pytest.approx(1)
    assert keypoint not in HEURISTICS[keypoint]


def test_heuristics_stand_where_a_body_has_these_points() -> None:
    upright = {k: np.array([place], dtype=np.float64) for k, place in STANDING.items()}
    poses = _people(2, 0).take([0])
    predicted = _predicted(poses, 1, 0.02, 0.2)
    for name, (x, y) in {"upper_neck": (0, -5.9), "head_top": (0, -8.16), "left_elbow": (2.05, -2.2)}.items():
        assert heuristic(upright, predicted, name) == pytest.approx(np.array([[x, y]]), abs=0.02)
    nothing = {"xy": np.zeros((1, 21, 2), np.float32), "score": np.zeros((1, 21), np.float32), "features": {}}
    union = replace(predicted, skeleton=UNION21, **nothing)
    left, right = (heuristic(upright, union, f"{side}_eye") for side in ("left", "right"))
    assert left is not None and right is not None
    assert left[0, 0] == pytest.approx(-right[0, 0]) and left[0, 0] > 0


def test_a_parent_nobody_labelled_is_taken_from_the_prediction() -> None:
    poses = _people(10, 6)
    predicted = _predicted(poses, 1, 0.02, 0.2)
    placed = heuristic({}, predicted, "pelvis")
    hips = predicted.xy[:, MPII16.indices(("left_hip", "right_hip"))].astype(np.float64)
    assert placed == pytest.approx(hips.mean(axis=1))


def test_a_keypoint_without_a_rule_has_no_heuristic() -> None:
    poses = _people(10, 6)
    assert heuristic({}, _predicted(poses, 1, 0.02, 0.2), "left_shoulder") is None
