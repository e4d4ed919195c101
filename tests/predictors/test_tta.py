"""What the mirrored and the moved crop say about a point."""

from __future__ import annotations

import numpy as np
import pytest
from dots import CARD, DotPredictor
from numpy.typing import NDArray

from annotext.core.predictions import PredictorIdentity
from annotext.core.skeletons import COCO17
from annotext.predictors.outputs.base import CropPoints
from annotext.predictors.tta import SHIFT, AugmentedPredictor

HEIGHT, WIDTH = 128, 96


class OneDot:
    """Finds the brightest pixel; `bias` (x, y) is added whatever the crop shows.

    Its left wrist is always ten pixels to the right of that, its right wrist to the left: a person seen from the front.
    """

    card = CARD

    def __init__(self, bias: tuple[float, float] = (0.0, 0.0)) -> None:
        self.bias = np.array(bias)
        self.skeleton = COCO17
        self.identity = PredictorIdentity(CARD.name, CARD.sha256, CARD.source)
        self.runs = 0

    def __call__(self, crops: NDArray[np.uint8]) -> CropPoints:
        self.runs += 1
        n, _, width, _ = crops.shape
        light = crops.astype(np.float64).sum(axis=-1).reshape(n, -1)
        y, x = np.divmod(light.argmax(axis=1), width)
        middle = np.stack([x, y], axis=-1)[:, None]
        sides = np.zeros((1, 17, 2))
        sides[0, COCO17.index["left_wrist"], 0], sides[0, COCO17.index["right_wrist"], 0] = 10, -10
        score = np.broadcast_to(light.max(axis=1)[:, None] / 765, (n, 17)).astype(np.float32)
        return CropPoints(middle + sides + self.bias, score, {"light": score * 2})


class NotMoving(OneDot):
    """Says the middle of the crop, whatever is there."""

    def __call__(self, crops: NDArray[np.uint8]) -> CropPoints:
        points = super().__call__(crops)
        return CropPoints(np.full_like(points.xy, 50.0), points.score)


def crops_with_a_dot(n: int = 5) -> NDArray[np.uint8]:
    crops = np.zeros((n, HEIGHT, WIDTH, 3), dtype=np.uint8)
    for i in range(n):
        crops[i, 40 + 7 * i, 30 + 5 * i] = 200 + i
    return crops


def test_a_predictor_that_follows_the_picture_exactly_is_nowhere_moved() -> None:
    features = AugmentedPredictor(OneDot())(crops_with_a_dot()).features
    assert (features["flip"] == 0).all()
    assert (features["shift"] == 0).all()


def test_left_and_right_change_places_in_the_mirror() -> None:
    crops = crops_with_a_dot()
    points = AugmentedPredictor(OneDot())(crops)
    left, right = (COCO17.index[name] for name in ("left_wrist", "right_wrist"))
    assert (points.xy[:, left, 0] - points.xy[:, right, 0] == 20).all()  # so far apart each would be, if not swapped
    assert (points.features["flip"][:, [left, right]] == 0).all()


def test_a_bias_to_one_side_shows_twice_in_the_mirror_and_not_in_moved_crops() -> None:
    features = AugmentedPredictor(OneDot(bias=(3.0, 0.0)))(crops_with_a_dot()).features
    assert features["flip"] == pytest.approx(6 / HEIGHT)
    assert (features["shift"] == 0).all()


def test_a_bias_up_or_down_is_the_same_in_the_mirror() -> None:
    features = AugmentedPredictor(OneDot(bias=(0.0, 5.0)))(crops_with_a_dot()).features
    assert (features["flip"] == 0).all()


def test_a_point_that_does_not_follow_the_picture_is_moved_by_the_whole_shift() -> None:
    features = AugmentedPredictor(NotMoving())(crops_with_a_dot()).features
    shift = np.hypot(round(SHIFT * WIDTH), round(SHIFT * HEIGHT)) / HEIGHT
    assert features["shift"] == pytest.approx(shift, rel=1e-6)


def test_points_scores_and_other_features_are_those_of_the_crop_as_it_is() -> None:
    crops = crops_with_a_dot()
    alone, asked_again = OneDot(bias=(3.0, 1.0))(crops), AugmentedPredictor(OneDot(bias=(3.0, 1.0)))(crops)
    assert np.array_equal(alone.xy, asked_again.xy)
    assert np.array_equal(alone.score, asked_again.score)
    assert np.array_equal(alone.features["light"], asked_again.features["light"])


@pytest.mark.parametrize(("augmentations", "runs"), [((), 1), (("flip",), 2), (("shift",), 3), (("shift", "flip"), 4)])
def test_only_the_augmentations_asked_for_are_run(augmentations: tuple[str, ...], runs: int) -> None:
    predictor = OneDot()
    features = AugmentedPredictor(predictor, augmentations)(crops_with_a_dot()).features
    assert set(features) == {"light", *augmentations}
    assert predictor.runs == runs


def test_the_crops_themselves_are_not_changed() -> None:
    crops = crops_with_a_dot()
    before = crops.copy()
    AugmentedPredictor(OneDot())(crops)
    assert np.array_equal(crops, before)


def test_features_are_float32_of_every_point() -> None:
    features = AugmentedPredictor(DotPredictor())(crops_with_a_dot()).features
    assert {(features[f].shape, features[f].dtype.name) for f in ("flip", "shift")} == {((5, 3), "float32")}


def test_an_unknown_augmentation_is_refused() -> None:
    with pytest.raises(ValueError, match="no augmentation mirror, only flip, shift"):
        AugmentedPredictor(OneDot(), ["mirror"])
