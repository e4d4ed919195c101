"""How doubtful a person's added points are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from people import random_people

from annotext.core.additions import Additions, Decision, Estimate, Reason, Review, Source
from annotext.core.poses import Poses
from annotext.core.predictions import Predictions, PredictorIdentity
from annotext.core.skeletons import COCO17, UNION21
from annotext.review.decisions.doubt import (
    CROP_OF_BOX,
    add_limits,
    disagreement,
    expected_wrong,
    lowest_score,
    open_points,
    person_size,
)

ADDED = ("upper_neck", "head_top")
LIMITS = np.array([0.8, np.nan])


def additions(*points: tuple[Decision, float, Source]) -> Additions:
    """One person with a point for each of `ADDED`."""
    decision = np.array([[p[0] for p in points]], dtype=object)
    source = np.array([[p[2] for p in points]], dtype=object)
    there = source != Source.NONE
    return Additions(
        ADDED,
        xy=np.where(there[..., None], np.full((1, 2, 2), 5.0), np.nan),
        visibility=np.where(decision == Decision.ADD, 2, 0).astype(np.uint8),
        source=source,
        score=np.array([[p[1] for p in points]]),
        decision=decision,
        reason=np.where(decision == Decision.ADD, Reason.ADDED, Reason.TO_ASK).astype(object),
    )


SURE, DOUBTFUL = (Decision.ADD, 0.9, Source.STUDENT), (Decision.ADD, 0.6, Source.STUDENT)
ASKED, WITHHELD = (Decision.ASK, 0.7, Source.STUDENT), (Decision.WITHHOLD, 0.2, Source.STUDENT)
DERIVED, NOTHING = (Decision.ADD, 0.5, Source.DERIVED), (Decision.NONE, 0.0, Source.NONE)


@pytest.mark.parametrize(
    ("points", "lowest", "wrong"),
    [
        ((SURE, DOUBTFUL), 0.6, 0.5),
        ((SURE, ASKED), 0.7, 0.4),
        ((SURE, WITHHELD), 0.9, 0.1),
        ((NOTHING, WITHHELD), np.nan, 0.0),
    ],
)
def test_doubt_is_about_points_written_or_asked_about(points: tuple, lowest: float, wrong: float) -> None:
    assert lowest_score(additions(*points)) == pytest.approx([lowest], nan_ok=True)
    assert expected_wrong(additions(*points)) == pytest.approx([wrong])


def test_below_the_limit_is_what_is_asked_about_or_predicted_and_scored_below() -> None:
    def below(one: tuple, other: tuple = NOTHING) -> list[bool]:
        return open_points(additions(one, other), LIMITS, withheld=False)[0].tolist()

    assert below(DOUBTFUL) == [True, False]
    assert below(SURE) == [False, False]
    assert below(ASKED) == [True, False]
    assert below(WITHHELD) == [False, False]
    assert below(DERIVED) == [False, False]
    assert below(SURE, DOUBTFUL) == [False, False]  # no limit


def test_withheld_points_are_to_be_reviewed_too() -> None:
    assert open_points(additions(SURE, WITHHELD), LIMITS).tolist() == [[False, True]]
    assert open_points(additions(ASKED, NOTHING), LIMITS).tolist() == [[True, False]]


def test_without_limits_every_predicted_point_that_is_written_or_asked_about_is_open() -> None:
    assert open_points(additions(SURE, ASKED), withheld=False).tolist() == [[True, True]]
    assert open_points(additions(DERIVED, WITHHELD), withheld=False).tolist() == [[False, False]]
    assert open_points(additions(DERIVED, WITHHELD)).tolist() == [[False, True]]


def test_a_derived_point_that_a_file_asks_about_is_open_only_where_derived_ones_count() -> None:
    odd = additions((Decision.ASK, 0.5, Source.DERIVED), DERIVED)
    assert open_points(odd, LIMITS).tolist() == [[False, False]]
    assert open_points(odd, LIMITS, derived=True).tolist() == [[True, False]]


def test_a_decided_point_is_no_longer_doubtful() -> None:
    doubtful = additions(DOUBTFUL, ASKED)
    before = Estimate((5.0, 5.0), 2, Source.STUDENT, 0.6, None, Decision.ADD, Reason.ADDED)
    review = np.array([[Review("accept", ("me",), before), None]], dtype=object)
    decided = replace(doubtful, review=review)
    assert expected_wrong(decided) == pytest.approx([0.3])
    assert lowest_score(decided) == pytest.approx([0.7])
    assert open_points(decided, LIMITS).tolist() == [[False, True]]


def test_limits_are_those_of_the_header() -> None:
    header = {"policy": {"limits": {"upper_neck": {"add_from": 0.8, "ask_from": 0.5}, "head_top": {"add_from": None}}}}
    np.testing.assert_array_equal(add_limits(ADDED, header), LIMITS)
    np.testing.assert_array_equal(add_limits(ADDED, {"policy": {"min_score": 0.3}}), [np.nan, np.nan])


def predictions(poses: Poses, xy: np.ndarray, name: str = "one", **features: np.ndarray) -> Predictions:
    identity = PredictorIdentity(name, "ab" * 32, Source.STUDENT)
    score = np.full(xy.shape[:2], 0.5, np.float32)
    files = tuple(poses.file_names())
    return Predictions(identity, UNION21, poses.ids, files, xy.astype(np.float32), score, features)


@pytest.fixture
def people() -> tuple[Poses, Additions]:
    poses = random_people(COCO17, 20, unlabelled_people=0, crowds=0).to(UNION21)
    shape = (20, 2)
    return poses, Additions(
        ADDED,
        np.full((*shape, 2), 5.0),
        np.full(shape, 2, np.uint8),
        np.full(shape, Source.STUDENT, dtype=object),
        np.full(shape, 0.5),
    )


def test_two_predictors_disagree_by_their_distance_in_sizes(people: tuple[Poses, Additions]) -> None:
    poses, added = people
    one = np.zeros((20, 21, 2))
    other = one.copy()
    other[:, UNION21.index["head_top"]] = (30, 40)
    found = disagreement(poses, added, [predictions(poses, one), predictions(poses, other, "other")])
    np.testing.assert_allclose(found, 50 / person_size(poses), rtol=1e-6)


def test_one_predictor_disagrees_with_itself_by_what_augmentation_moved(
    people: tuple[Poses, Additions],
) -> None:
    poses, added = people
    flip, shift = np.full((20, 21), 0.1, np.float32), np.full((20, 21), 0.05, np.float32)
    shift[:, UNION21.index["head_top"]] = 0.2
    one = predictions(poses, np.zeros((20, 21, 2)), flip=flip, shift=shift)
    crop = CROP_OF_BOX * poses.bbox_xywh[:, 2:].max(axis=1)
    np.testing.assert_allclose(disagreement(poses, added, [one]), 0.2 * crop / person_size(poses), rtol=1e-6)


def test_derived_points_and_unknown_people_have_no_disagreement(people: tuple[Poses, Additions]) -> None:
    poses, added = people
    other = np.zeros((20, 21, 2))
    other[:, UNION21.index["head_top"]] = (30, 40)
    both = [predictions(poses, np.zeros((20, 21, 2))), predictions(poses, other, "other")]
    derived = replace(added, source=np.full((20, 2), Source.DERIVED, dtype=object))
    assert np.isnan(disagreement(poses, derived, both)).all()
    assert np.isnan(disagreement(poses, added, [])).all()
    known = [p.take(poses.ids[:5]) for p in both]
    np.testing.assert_array_equal(np.isnan(disagreement(poses, added, known)), np.arange(20) >= 5)
