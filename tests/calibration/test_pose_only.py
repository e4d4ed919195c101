"""The baseline without an image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from people import STANDING, random_people

from annotext.calibration.pose_only import fit
from annotext.core.frame import MIN_INPUTS
from annotext.core.poses import Poses
from annotext.core.skeletons import COCO17, MPII16

INPUTS = MPII16.shared_with(COCO17)
TARGETS = ("upper_neck", "head_top", "pelvis")


def _stick_people(n: int, seed: int) -> Poses:
    """Standing, leaning and turned stick figures: a neck above the shoulders, a head along the torso, own offsets."""
    rng = np.random.default_rng(seed)
    people = np.array([STANDING[k] for k in MPII16.keypoints]) + rng.normal(scale=0.15, size=(n, 16, 2))
    people[..., 0] *= rng.uniform(0.3, 1.0, (n, 1))
    angle, size = rng.normal(scale=0.6, size=n), rng.uniform(5, 30, n)
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, y = people[..., 0], people[..., 1]
    xy = np.stack([x * cos - y * sin, x * sin + y * cos], axis=-1) * size[:, None, None] + rng.uniform(
        0, 500, (n, 1, 2)
    )
    poses = random_people(MPII16, n=n, labelled=1.0, unlabelled_people=0, crowds=0)
    return replace(poses, xy=xy, visibility=np.full((n, 16), 2, dtype=np.uint8), head_size=2 * size)


def _error(poses: Poses, truth: Poses, model: object) -> np.ndarray:
    """(T,) mean distance in head sizes."""
    wanted = truth.xy[:, MPII16.indices(TARGETS)]
    distance = np.linalg.norm(model.predict(poses) - wanted, axis=-1)  # type: ignore[attr-defined]
    return (distance / truth.head_size[:, None]).mean(axis=0)


@pytest.fixture(scope="module")
def model() -> object:
    return fit(_stick_people(400, 0), INPUTS, TARGETS)


def _hide(poses: Poses, rng: np.random.Generator, share: float) -> Poses:
    hidden = rng.random(poses.visibility.shape) < share
    return replace(
        poses,
        xy=np.where(hidden[..., None], np.nan, poses.xy),
        visibility=np.where(hidden, 0, poses.visibility).astype(np.uint8),
    )


def test_it_finds_what_geometry_fixes(model: object) -> None:
    truth = _stick_people(200, 1)
    assert np.all(_error(truth, truth, model) < [0.15, 0.25, 0.15])


def test_it_beats_the_mean_place_in_the_box_with_a_third_of_the_inputs_hidden(model: object) -> None:
    truth = _stick_people(300, 2)
    hidden = _hide(truth, np.random.default_rng(0), 0.33)
    usable = hidden.labelled[:, MPII16.indices(INPUTS)].sum(axis=1) >= MIN_INPUTS
    truth, hidden = truth.take(usable), hidden.take(usable)
    low, high = truth.xy.min(axis=1)[:, None], truth.xy.max(axis=1)[:, None]
    wanted = truth.xy[:, MPII16.indices(TARGETS)]
    place = ((wanted - low) / (high - low)).mean(axis=0)
    naive = np.linalg.norm(low + place * (high - low) - wanted, axis=-1) / truth.head_size[:, None]
    assert np.all(_error(hidden, truth, model) < 0.5 * naive.mean(axis=0))


def test_too_few_labels_give_no_answer(model: object) -> None:
    truth = _stick_people(20, 3)
    few = np.zeros((20, 16), dtype=np.uint8)
    few[:, MPII16.indices(INPUTS[: MIN_INPUTS - 1])] = 2
    blind = replace(truth, xy=np.where(few[..., None] > 0, truth.xy, np.nan), visibility=few)
    assert np.isnan(model.predict(blind)).all()  # type: ignore[attr-defined]


def test_what_it_is_to_predict_it_never_looks_at(model: object) -> None:
    truth = _stick_people(20, 4)
    xy, visibility = truth.xy.copy(), truth.visibility.copy()
    own = MPII16.indices(("upper_neck", "head_top", "pelvis", "thorax"))
    xy[:, own], visibility[:, own] = np.nan, 0
    blind = replace(truth, xy=xy, visibility=visibility)
    assert np.array_equal(model.predict(blind), model.predict(truth))  # type: ignore[attr-defined]


def test_people_moved_and_grown_are_predicted_alike(model: object) -> None:
    truth = _stick_people(30, 5)
    moved = replace(truth, xy=2.5 * truth.xy + [100.0, -40.0])
    predicted = model.predict(moved)  # type: ignore[attr-defined]
    expected = model.predict(truth)  # type: ignore[attr-defined]
    assert predicted == pytest.approx(2.5 * expected + [100.0, -40.0], abs=1e-2)


def test_the_same_people_give_the_same_model() -> None:
    one, two = (fit(_stick_people(100, 0), INPUTS, ("upper_neck",)) for _ in range(2))
    assert np.array_equal(one.weights, two.weights)


def test_without_targets_a_model_still_knows_the_frames_of_people() -> None:
    truth = _hide(_stick_people(60, 0), np.random.default_rng(0), 0.2)
    frames_only, whole = fit(_stick_people(60, 1), INPUTS, ()), fit(_stick_people(60, 1), INPUTS, ("head_top",))
    assert np.array_equal(frames_only.frame(truth).size, whole.frame(truth).size, equal_nan=True)
    assert frames_only.predict(truth).shape == (60, 0, 2)


def test_a_target_among_the_inputs_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot predict left_hip from itself"):
        fit(_stick_people(50, 0), INPUTS, ("left_hip",))


def test_a_target_nobody_has_is_refused() -> None:
    people = _stick_people(50, 0)
    xy, visibility = people.xy.copy(), people.visibility.copy()
    xy[:, MPII16.index["head_top"]], visibility[:, MPII16.index["head_top"]] = np.nan, 0
    with pytest.raises(ValueError, match="0 people have head_top labelled"):
        fit(replace(people, xy=xy, visibility=visibility), INPUTS, ("head_top",))


def test_too_few_complete_people_are_refused() -> None:
    with pytest.raises(ValueError, match="5 people have all of"):
        fit(_stick_people(5, 0), INPUTS, ("head_top",))


def _mirrored(poses: Poses) -> Poses:
    flip = poses.skeleton.flip_index
    return replace(poses, xy=poses.xy[:, flip] * [-1.0, 1.0], visibility=poses.visibility[:, flip])


def test_people_in_a_mirror_are_predicted_in_a_mirror(model: object) -> None:
    truth = _hide(_stick_people(40, 6), np.random.default_rng(1), 0.2)
    seen = model.predict(truth)  # type: ignore[attr-defined]
    mirrored = model.predict(_mirrored(truth))  # type: ignore[attr-defined]
    assert np.allclose(mirrored, seen * [-1.0, 1.0], atol=1e-2, equal_nan=True)


def test_left_and_right_targets_trade_places_in_a_mirror() -> None:
    inputs = tuple(k for k in INPUTS if "elbow" not in k)
    fitted = fit(_stick_people(200, 0), inputs, ("left_elbow", "right_elbow"))
    truth = _stick_people(40, 6)
    swapped = fitted.predict(_mirrored(truth))[:, ::-1]
    assert np.allclose(swapped, fitted.predict(truth) * [-1.0, 1.0], atol=1e-2)


def test_a_target_of_one_side_is_not_taught_by_mirror_images_of_the_other() -> None:
    truth = _stick_people(400, 0)
    fitted = fit(truth, INPUTS[:-1], (INPUTS[-1],))  # one input has lost its other side, too
    other = _stick_people(200, 1)
    distance = np.linalg.norm(fitted.predict(other)[:, 0] - other.xy[:, MPII16.index[INPUTS[-1]]], axis=1)
    both = fit(truth, tuple(k for k in INPUTS if "wrist" not in k), ("left_wrist",))
    wrist = np.linalg.norm(both.predict(other)[:, 0] - other.xy[:, MPII16.index["left_wrist"]], axis=1)
    assert np.median(distance / other.head_size) < 0.25
    assert np.median(wrist / other.head_size) < 0.25
