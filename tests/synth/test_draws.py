"""Chance per image, arithmetic per chunk."""

from __future__ import annotations

import numpy as np
import pytest

from annotext.synth.draws import NORMALS, Draws, draw_rows


def test_a_person_gets_the_same_numbers_alone_and_in_company():
    one, two = (draw_rows(np.random.default_rng(seed), 2) for seed in (1, 2))
    alone, together = Draws(two), Draws(np.concatenate([one, two]))
    for _ in range(5):
        assert np.array_equal(alone.normal(3, 2), together.normal(3, 2)[2:])
        assert np.array_equal(alone.uniform(-1, 4), together.uniform(-1, 4)[2:])


def test_uniform_draws_stay_between_their_bounds():
    values = Draws(draw_rows(np.random.default_rng(0), 500)).uniform(-1, 4)
    assert values.min() >= -1 and values.max() < 4 and values.std() > 1


def test_choices_follow_their_weights():
    picked = Draws(draw_rows(np.random.default_rng(0), 4000)).choice([1, 0, 3])
    shares = np.bincount(picked, minlength=3) / len(picked)
    assert shares[1] == 0
    assert shares[2] == pytest.approx(0.75, abs=0.03)


def test_running_out_of_numbers_is_said_and_not_repeated():
    draws = Draws(draw_rows(np.random.default_rng(0), 1))
    for _ in range(NORMALS):
        draws.normal()
    with pytest.raises(ValueError, match="more normal draws"):
        draws.normal()
