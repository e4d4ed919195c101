"""Pseudo-labels: which points they get, and who stays empty."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from people import STUDENT, random_people

from annotext.core.additions import Additions, Decision, Reason, Source, put
from annotext.core.policy import Policy
from annotext.core.poses import Poses, joined
from annotext.core.predictions import Predictions
from annotext.core.pseudo_labels import PseudoLabelDecisions, decide_pseudo_labels
from annotext.core.skeletons import COCO17, UNION21

ADDED = UNION21.missing_from(COCO17)


def unlabelled_people(n: int = 6) -> Poses:
    poses = random_people(COCO17, n, crowds=0)
    return replace(poses, xy=np.full_like(poses.xy, np.nan), visibility=np.zeros_like(poses.visibility))


def predictions_of(poses: Poses, sure: list[int]) -> Predictions:
    """All 21 points within the picture; person i is sure (.9) of the first `sure[i]`, the rest have .1."""
    n = len(poses)
    score = np.where(np.arange(21) < np.array(sure)[:, None], 0.9, 0.1).astype(np.float32)
    xy = np.random.default_rng(0).uniform(10, 400, (n, 21, 2)).astype(np.float32)
    return Predictions(STUDENT, UNION21, poses.ids, tuple(poses.file_names()), xy, score)


def decided(sure: list[int], poses: Poses | None = None, min_points: int = 10) -> PseudoLabelDecisions:
    poses = unlabelled_people(len(sure)) if poses is None else poses
    return decide_pseudo_labels(
        poses, [predictions_of(poses, sure)], ADDED, Policy(min_score=0.3), min_points=min_points
    )


def test_every_keypoint_comes_from_the_predictor_none_from_labels() -> None:
    decisions = decided([21, 21])
    assert decisions.own.keypoints + decisions.added.keypoints == UNION21.keypoints
    for part in (decisions.own, decisions.added):
        assert (part.source == Source.STUDENT).all()
        assert (part.decision == Decision.ADD).all()


def test_a_weak_point_of_a_sure_person_is_kept_as_a_candidate() -> None:
    own = decided([12]).own
    assert own.added.sum() == 12
    assert own.withheld.sum() == 5
    assert np.isfinite(own.xy).all()
    assert set(own.reason[own.withheld]) == {Reason.LOW_SCORE}


def test_a_person_with_too_few_sure_points_stays_empty_candidates_included() -> None:
    decisions = decided([9, 10, 0])
    assert decisions.left_empty.tolist() == [True, False, True]
    for part in (decisions.own, decisions.added):
        assert (part.source[decisions.left_empty] == Source.NONE).all()
        assert np.isnan(part.xy[decisions.left_empty]).all()
        assert (part.reason[decisions.left_empty] == Reason.FEW_POINTS).all()


def test_points_of_the_file_and_added_ones_count_alike() -> None:
    assert decided([18], min_points=18).left_empty.tolist() == [False]
    assert decided([17], min_points=18).left_empty.tolist() == [True]


def test_crowds_gain_nothing() -> None:
    poses = replace(unlabelled_people(2), crowd=np.array([True, False]))
    decisions = decided([21, 21], poses)
    assert decisions.own.added.any(axis=1).tolist() == [False, True]
    assert (decisions.own.reason[0] == Reason.CROWD).all()


def test_a_person_no_predictor_saw_is_not_one_left_empty() -> None:
    poses = unlabelled_people(2)
    predictions = predictions_of(poses, [21, 21])
    decisions = decide_pseudo_labels(poses, [predictions.take(poses.ids[:1])], ADDED, Policy(), min_points=10)
    assert not decisions.left_empty.any()
    assert (decisions.own.reason[1] == Reason.NOT_PREDICTED).all()


def test_people_with_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="have labels"):
        decide_pseudo_labels(random_people(COCO17, 5), [], ADDED, Policy(), min_points=10)


def test_additions_put_in_stand_in_their_rows_and_leave_the_others() -> None:
    own = decided([21, 21]).own
    among = put(Additions.nothing(5, COCO17.keypoints), np.array([1, 3]), own)
    assert among.added.all(axis=1).tolist() == [False, True, False, True, False]
    assert np.array_equal(among.xy[[1, 3]], own.xy)


def test_people_are_joined_only_over_the_same_images() -> None:
    one = unlabelled_people(3)
    other = replace(one, ids=one.ids + 100)
    assert joined(one, other).ids.tolist() == [*one.ids.tolist(), *other.ids.tolist()]
    with pytest.raises(ValueError, match="images differ"):
        joined(one, replace(other, images=(*other.images, other.images[0])))
