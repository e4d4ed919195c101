"""Predictions can be narrowed to some people without mixing them up."""

from __future__ import annotations

import numpy as np
import pytest

from annotext.core.additions import Source
from annotext.core.predictions import Predictions, PredictorIdentity
from annotext.core.skeletons import COCO17


def predictions() -> Predictions:
    n = 4
    value = np.arange(n, dtype=np.float32)[:, None] * np.ones(17, dtype=np.float32)
    return Predictions(
        predictor=PredictorIdentity("p", "0" * 64, Source.TEACHER),
        skeleton=COCO17,
        ids=np.array([7, 3, 9, 5]),
        file_names=("a", "b", "c", "d"),
        xy=np.stack([value, value + 10], axis=-1),
        score=value / 10,
        features={"peak": value + 100},
    )


def test_taken_people_keep_all_that_was_predicted() -> None:
    taken = predictions().take(np.array([9, 7]))
    assert taken.ids.tolist() == [9, 7]
    assert taken.file_names == ("c", "a")
    assert taken.xy[:, 0].tolist() == [[2, 12], [0, 10]]
    assert taken.score[:, 0].tolist() == pytest.approx([0.2, 0.0])
    assert taken.features["peak"][:, 0].tolist() == [102, 100]


def test_a_person_without_a_prediction_cannot_be_taken() -> None:
    with pytest.raises(KeyError):
        predictions().take(np.array([7, 8]))
