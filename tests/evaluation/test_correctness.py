"""When a point is right."""

from __future__ import annotations

import numpy as np
import pytest

from annotext.evaluation.correctness import AREA_OF_SIZE, Criterion, tolerance
from annotext.evaluation.oks import oks

SIGMAS = np.array([0.08, 0.026])


def _people(area: list[float], head: list[float], size: list[float]) -> dict[str, np.ndarray]:
    return {"area": np.array(area), "head_size": np.array(head), "size": np.array(size)}


def test_an_error_of_the_tolerance_has_a_similarity_of_one_half() -> None:
    people = _people([900.0, 64.0], [np.nan] * 2, [30.0, 8.0])
    reach = tolerance(Criterion.KS, SIGMAS, **people)
    for column, sigma in enumerate(SIGMAS):
        truth = np.zeros((2, 1, 2))
        predicted = truth + np.stack([reach[:, column], np.zeros(2)], axis=-1)[:, None]
        assert oks(truth, predicted, people["area"], np.array([sigma])) == pytest.approx([0.5, 0.5])


def test_half_a_head_is_right_by_pckh() -> None:
    assert tolerance(Criterion.PCKH, SIGMAS, **_people([9.0], [40.0], [100.0])).tolist() == [[20.0, 20.0]]


def test_the_rule_by_size_is_cocos_for_a_person_of_the_usual_area() -> None:
    people = _people([AREA_OF_SIZE * 50.0**2], [np.nan], [50.0])
    by_size = tolerance(Criterion.KS_OF_SIZE, SIGMAS, **people)
    assert by_size == pytest.approx(tolerance(Criterion.KS, SIGMAS, **people))


def test_what_a_person_lacks_makes_no_tolerance() -> None:
    people = _people([np.nan, 0.0], [0.0, np.nan], [np.nan, 0.0])
    for criterion in Criterion:
        assert np.isnan(tolerance(criterion, SIGMAS, **people)).all()
