"""Anchoring: points moved by what the same person's labels say."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from people import STANDING, random_people

from annotext.calibration.refine import MIN_PEOPLE, AnchorModel, fit_anchor
from annotext.core.additions import Source
from annotext.core.frame import Frame, columns, mirror
from annotext.core.poses import Poses
from annotext.core.predictions import Predictions, PredictorIdentity
from annotext.core.skeletons import COCO17, MPII16

KEYPOINTS = ("head_top", "left_ankle", "right_ankle")
INPUTS = tuple(k for k in MPII16.shared_with(COCO17) if k not in KEYPOINTS)


@dataclass(frozen=True)
class World:
    """N people with all labels, a network's predictions, and an expectation that is off by a tenth of a size."""

    poses: Poses
    predictions: Predictions
    expectation: NDArray[np.float64]

    @property
    def frame(self) -> Frame:
        return Frame.of(columns(self.poses, INPUTS), INPUTS)

    @property
    def truth(self) -> NDArray[np.float64]:
        return columns(self.poses, KEYPOINTS)

    @property
    def raw(self) -> NDArray[np.float64]:
        return self.predictions.xy[:, MPII16.indices(KEYPOINTS)].astype(np.float64)

    def error(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, A) distances from the truth in sizes."""
        return np.linalg.norm(xy - self.truth, axis=-1) / self.frame.size[:, None]

    def fit(self) -> AnchorModel:
        return fit_anchor(self.poses, self.predictions, self.expectation, self.frame, self.truth, INPUTS, KEYPOINTS)

    def apply(self, model: AnchorModel) -> NDArray[np.float64]:
        return model.apply(self.poses, self.predictions, self.expectation, self.frame)


def world(n: int, seed: int, *, shifted: float = 0.2, wrong: float = 0.1) -> World:
    """Stick people. A network blurs each point by what its entropy tells, loses the `wrong` share of points without
    knowing where, and places all points of the `shifted` share of people beside them."""
    rng = np.random.default_rng(seed)
    people = np.array([STANDING[k] for k in MPII16.keypoints]) + rng.normal(scale=0.25, size=(n, 16, 2))
    size = rng.uniform(5, 30, (n, 1, 1))
    xy = people * size + rng.uniform(0, 500, (n, 1, 2))
    poses = replace(
        random_people(MPII16, n=n, images=n // 2, labelled=1.0, unlabelled_people=0, crowds=0),
        xy=xy,
        visibility=np.full((n, 16), 2, dtype=np.uint8),
        head_size=1.7 * size[:, 0, 0],
    )
    unit = 8 * size
    blur = 0.02 + 0.2 * rng.random((n, 16)) ** 3
    lost = rng.random((n, 16)) < wrong
    seen = xy + unit * (blur + 0.8 * lost)[..., None] * rng.normal(size=(n, 16, 2))
    seen += unit * (rng.random((n, 1, 1)) < shifted) * rng.normal(scale=0.4, size=(n, 1, 2))
    entropy = np.clip(blur * rng.uniform(0.8, 1.2, (n, 16)) + 0.3 * lost * rng.random((n, 16)), 0, 1)
    predictions = Predictions(
        PredictorIdentity("network", "0" * 64, Source.STUDENT),
        MPII16,
        poses.ids,
        tuple(poses.file_names()),
        seen.astype(np.float32),
        (1 - entropy).astype(np.float32),
        {"entropy": entropy.astype(np.float32)},
    )
    column = MPII16.indices(KEYPOINTS)
    expectation = xy[:, column] + 0.1 * unit * rng.normal(size=(n, len(KEYPOINTS), 2))
    return World(poses, predictions, expectation)


@pytest.fixture(scope="module")
def model() -> AnchorModel:
    return world(600, 0).fit()


def _at(there: World, xy: NDArray[np.float64]) -> Predictions:
    return replace(there.predictions, xy=xy.astype(np.float32))


def test_points_are_closer_than_prediction_and_expectation(model: AnchorModel) -> None:
    other = world(500, 1)
    anchored = other.error(other.apply(model)).mean(axis=0)
    assert np.all(anchored < 0.6 * other.error(other.raw).mean(axis=0))
    assert np.all(anchored < 0.9 * other.error(other.expectation).mean(axis=0))


@pytest.mark.parametrize("degrees", [0.0, 37.0, 180.0])
def test_points_move_grow_and_turn_with_the_person(model: AnchorModel, degrees: float) -> None:
    people = world(60, 2)
    angle = np.deg2rad(degrees)
    turn = 1.7 * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])

    def moved(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        return xy @ turn + [40.0, -700.0]

    there = World(
        replace(people.poses, xy=moved(people.poses.xy)),
        _at(people, moved(people.predictions.xy.astype(np.float64))),
        moved(people.expectation),
    )
    assert there.apply(model) == pytest.approx(moved(people.apply(model)), abs=0.01)


def test_points_of_people_in_a_mirror_are_mirrored(model: AnchorModel) -> None:
    people, names = world(60, 3), MPII16.keypoints
    there = World(
        replace(people.poses, xy=mirror(people.poses.xy, names, MPII16)),
        replace(
            _at(people, mirror(people.predictions.xy.astype(np.float64), names, MPII16)),
            features={"entropy": mirror(_twin(people.predictions.features["entropy"]), names, MPII16)[..., 1]},
        ),
        mirror(people.expectation, KEYPOINTS, MPII16),
    )
    assert there.apply(model) == pytest.approx(mirror(people.apply(model), KEYPOINTS, MPII16), abs=0.01)


def _twin(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N, K) -> (N, K, 2), to be mirrored as points are."""
    return np.stack([values, values], axis=-1).astype(np.float64)


def test_a_point_that_everything_agrees_on_stays(model: AnchorModel) -> None:
    people = world(50, 4)
    sure = replace(people, predictions=_at(people, people.poses.xy))
    agreed = replace(sure, expectation=sure.raw)
    # The predicted inputs are labels rounded to float32: that is all the points may move by.
    assert agreed.apply(model) == pytest.approx(agreed.raw, abs=1e-3)


def test_a_sure_point_moves_less_than_an_unsure_one(model: AnchorModel) -> None:
    people = world(200, 5, shifted=0, wrong=0)
    step = []
    for entropy in (0.02, 0.25):
        value = np.full((200, 16), entropy, dtype=np.float32)
        these = replace(people, predictions=replace(people.predictions, features={"entropy": value}))
        step.append(np.linalg.norm(these.apply(model) - these.raw, axis=-1).mean())
    assert step[0] < 0.5 * step[1]


def test_a_person_placed_beside_where_they_are_comes_back(model: AnchorModel) -> None:
    people = world(100, 6, shifted=0, wrong=0)
    beside = people.poses.xy + 0.5 * people.frame.size[:, None, None] * [1.0, 0.3]
    shifted = replace(people, predictions=_at(people, beside))
    assert shifted.error(shifted.raw).mean() == pytest.approx(0.522, abs=0.001)
    assert np.all(shifted.error(shifted.apply(model)).mean(axis=0) < 0.2)


def test_another_persons_points_give_way_to_the_expectation(model: AnchorModel) -> None:
    people = world(100, 7, shifted=0, wrong=0)
    strangers = np.roll(people.poses.xy, 1, axis=0)
    taken = replace(people, predictions=_at(people, strangers))
    far = taken.error(taken.raw) > 1
    assert far.mean() > 0.3
    from_expectation = np.linalg.norm(taken.apply(model) - taken.expectation, axis=-1) / taken.frame.size[:, None]
    assert np.median(from_expectation[far]) < 0.1


def test_where_nothing_is_known_the_prediction_stands(model: AnchorModel) -> None:
    people = world(30, 8)
    hidden = people.poses.visibility.copy()
    hidden[:10] = 0
    expectation = people.expectation.copy()
    expectation[10:20] = np.nan
    poses = replace(people.poses, xy=np.where(hidden[..., None] > 0, people.poses.xy, np.nan), visibility=hidden)
    size = people.frame.size.copy()
    size[20:25] = np.nan
    frame = replace(people.frame, size=size)
    final = model.apply(poses, people.predictions, expectation, frame)
    assert np.array_equal(final[:25], people.raw[:25])
    assert not np.any(np.all(final[25:] == people.raw[25:], axis=-1))


def test_a_keypoint_that_is_off_is_left_alone(model: AnchorModel) -> None:
    people = world(30, 9)
    final = people.apply(replace(model, on=(False, True, True)))
    assert np.array_equal(final[:, 0], people.raw[:, 0])
    assert np.array_equal(final[:, 1:], people.apply(model)[:, 1:])


def test_labels_of_the_keypoint_itself_and_of_what_is_no_input_are_not_looked_at(model: AnchorModel) -> None:
    people = world(30, 10)
    poses = people.poses
    xy, visibility = poses.xy.copy(), poses.visibility.copy()
    others = MPII16.indices(k for k in MPII16.keypoints if k not in INPUTS)
    xy[:, others], visibility[:, others] = np.nan, 0
    blind = replace(people, poses=replace(poses, xy=xy, visibility=visibility))
    assert np.array_equal(blind.apply(model), people.apply(model))


def test_a_gate_that_is_missing_counts_as_average(model: AnchorModel) -> None:
    people = world(300, 11)
    silent = replace(people, predictions=replace(people.predictions, features={}))
    assert np.all(silent.error(silent.apply(model)).mean(axis=0) < silent.error(silent.raw).mean(axis=0))


def test_without_entropy_the_score_is_asked() -> None:
    people = world(300, 12)
    assert "score" in replace(people, predictions=replace(people.predictions, features={})).fit().gates
    assert "score" not in people.fit().gates


def test_left_and_right_share_what_was_learned(model: AnchorModel) -> None:
    left, right = (KEYPOINTS.index(k) for k in ("left_ankle", "right_ankle"))
    assert np.array_equal(model.weights[left], model.weights[right])
    assert not np.array_equal(model.weights[left], model.weights[KEYPOINTS.index("head_top")])


def test_the_same_people_give_the_same_anchor() -> None:
    assert np.array_equal(world(200, 13).fit().weights, world(200, 13).fit().weights)


def test_a_part_of_the_people_gets_what_they_get_among_all(model: AnchorModel) -> None:
    people = world(40, 14)
    rows = np.array([30, 3, 17])
    some = World(people.poses.take(rows), people.predictions.take(people.poses.ids[rows]), people.expectation[rows])
    assert some.apply(model) == pytest.approx(people.apply(model)[rows], abs=1e-9)


def test_more_people_than_are_weighed_at_once_get_what_each_gets_alone(model: AnchorModel) -> None:
    people = world(17_000, 18)
    rows = np.arange(16_300, 16_500)
    some = World(people.poses.take(rows), people.predictions.take(people.poses.ids[rows]), people.expectation[rows])
    assert some.apply(model) == pytest.approx(people.apply(model)[rows], abs=1e-9)


def test_too_few_people_leave_it_off() -> None:
    few = world(MIN_PEOPLE - 1, 15)
    # The two ankles are learned together: that is enough for them.
    assert few.fit().on == (False, True, True)


def test_an_input_cannot_be_corrected_by_itself() -> None:
    people = world(20, 16)
    with pytest.raises(ValueError, match="cannot correct head_top by itself"):
        fit_anchor(
            people.poses,
            people.predictions,
            people.expectation,
            people.frame,
            people.truth,
            (*INPUTS, "head_top"),
            KEYPOINTS,
        )


def test_predictions_of_other_people_are_refused(model: AnchorModel) -> None:
    people = world(20, 17)
    mixed = replace(people, predictions=people.predictions.take(people.poses.ids[::-1]))
    with pytest.raises(ValueError, match="not of the same people in the same order"):
        mixed.apply(model)
