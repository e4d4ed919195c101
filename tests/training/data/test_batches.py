"""Which people a batch holds: shares, laps, people of one image near each other; and the images kept for them."""

from __future__ import annotations

import hashlib
from collections import defaultdict

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")

from hypothesis import given, settings
from hypothesis import strategies as st

from annotext.training.data.kept_images import KeptImages
from annotext.training.data.samples import Draw, MixedBatches, batch_counts
from annotext.training.run.distributed import Shares

# Of sizes [50, 40], counts [3, 2], 60 batches, seed 3, before `near` was thought of.
TODAYS_ORDER = "6b62974688ba0d4b66db53a8850af3975cd2f0bd9f183bb789395a7194d0f2c3"


def crowded(people: int, images: int, seed: int = 0) -> NDArray[np.intp]:
    """(people,) the image of each, some images with many people and some with none."""
    rng = np.random.default_rng(seed)
    return rng.choice(images, people, p=rng.dirichlet(np.full(images, 0.7)))


def near_batches(image_of: NDArray[np.intp], count: int, near: int, *, laps: int = 1, seed: int = 5) -> MixedBatches:
    return MixedBatches([len(image_of)], [count], laps * len(image_of) // count, seed, near=near, image_of=[image_of])


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=5), st.integers(5, 300))
def test_a_batch_is_full_and_every_data_set_has_its_share_within_one_person(shares: list[float], batch: int) -> None:
    counts = batch_counts(shares, batch)
    assert sum(counts) == batch and min(counts) >= 1
    wanted = np.array(shares) / sum(shares) * batch
    large = wanted >= len(shares)
    assert (np.abs(np.array(counts) - wanted)[large] <= len(shares)).all()


def test_every_person_comes_once_before_anyone_comes_again() -> None:
    batches = MixedBatches([6, 4], [2, 1], 6, seed=3)
    drawn = [d.person for i in range(3) for d in batches.batch(i) if d.data_set == 0]
    assert sorted(drawn) == list(range(6))


def test_a_batch_is_the_same_whether_or_not_those_before_it_were_drawn() -> None:
    all_of_them = list(MixedBatches([50, 40], [3, 2], 30, seed=3))
    late = MixedBatches([50, 40], [3, 2], 30, seed=3)
    late.start = 21
    assert list(late) == all_of_them[21:]


def test_far_from_each_other_is_the_order_that_was_always_drawn() -> None:
    images = [crowded(50, 10), crowded(40, 10)]
    for batches in (MixedBatches([50, 40], [3, 2], 60, 3), MixedBatches([50, 40], [3, 2], 60, 3, image_of=images)):
        drawn = repr([tuple(draw) for batch in batches for draw in batch])
        assert hashlib.sha256(drawn.encode()).hexdigest() == TODAYS_ORDER


@settings(deadline=None)
@given(st.data())
def test_near_each_other_everybody_still_comes_once_per_lap(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(1, 60), min_size=1, max_size=3))
    counts = data.draw(st.lists(st.integers(1, 9), min_size=len(sizes), max_size=len(sizes)))
    seed, near = data.draw(st.integers(0, 99)), data.draw(st.integers(1, 40))
    images = [crowded(n, max(1, n // 2), seed) for n in sizes]
    drawn: defaultdict[int, list[int]] = defaultdict(list)
    for batch in MixedBatches(sizes, counts, 80, seed, near=near, image_of=images):
        assert [draw.data_set for draw in batch] == np.repeat(np.arange(len(sizes)), counts).tolist()
        for draw in batch:
            drawn[draw.data_set].append(draw.person)
    for data_set, size in enumerate(sizes):
        people = drawn[data_set]
        for lap in range(len(people) // size):
            assert sorted(people[lap * size : (lap + 1) * size]) == list(range(size))


def test_near_each_other_a_batch_does_not_depend_on_those_before_it() -> None:
    def batches() -> MixedBatches:
        images = [crowded(50, 20), crowded(40, 20)]
        return MixedBatches([50, 40], [3, 2], 60, seed=3, near=8, image_of=images)

    assert [batches().batch(i) for i in range(60)] == list(batches())
    late = batches()
    late.start = 41
    assert list(late) == list(batches())[41:]


def test_every_lap_and_every_seed_has_its_own_order() -> None:
    images = crowded(64, 24)
    laps = [
        [draw.person for i in range(8) for draw in near_batches(images, 8, 4, seed=seed, laps=2).batch(8 * lap + i)]
        for seed in (1, 2)
        for lap in (0, 1)
    ]
    assert len({tuple(lap) for lap in laps}) == 4


def test_people_of_one_image_are_drawn_within_one_window_but_for_an_image_on_its_border() -> None:
    images, near = crowded(960, 300), 8
    windows: defaultdict[int, set[int]] = defaultdict(set)
    for i, batch in enumerate(near_batches(images, 16, near)):
        for draw in batch:
            windows[images[draw.person]].add(i // near)
    borders = 60 // near
    assert all(max(w) - min(w) <= 1 for w in windows.values())
    assert sum(len(w) - 1 for w in windows.values()) <= borders


def test_people_of_one_image_meet_in_a_batch_once_in_four_times() -> None:
    images = np.arange(6400) // 2
    in_batch = np.empty(6400, dtype=int)
    for i, batch in enumerate(near_batches(images, 128, 8)):
        in_batch[[draw.person for draw in batch]] = i
    assert 0.2 < (in_batch[::2] == in_batch[1::2]).mean() < 0.3


def loading_processes(batches: MixedBatches, images: NDArray[np.intp], world: int, workers: int) -> float:
    """How many loading processes an image goes through, on average."""
    drawn_by: defaultdict[int, set[tuple[int, int]]] = defaultdict(set)
    for rank in range(world):
        shares: list[list[Draw]] = list(Shares(batches, rank, world))
        for i, share in enumerate(shares):
            for draw in share:
                drawn_by[images[draw.person]].add((rank, i % workers))
    return float(np.mean([len(p) for p in drawn_by.values()]))


@pytest.mark.parametrize(("world", "workers"), [(1, 2), (1, 4), (2, 1), (4, 2)])
def test_one_worker_of_one_process_draws_all_people_of_an_image(world: int, workers: int) -> None:
    images = crowded(12800, 5000)
    alone = loading_processes(near_batches(images, 128, 4 * workers), images, world, workers)
    scattered = loading_processes(near_batches(images, 128, 0), images, world, workers)
    assert alone < 1.1
    assert scattered > 1.4


def test_without_knowing_everybodys_image_nobody_is_drawn_near() -> None:
    with pytest.raises(ValueError, match="everybody's image must be known"):
        MixedBatches([3, 2], [1, 1], 5, seed=0, near=4, image_of=[np.zeros(3, dtype=np.intp)])


class Pictures:
    """Decodes by number and counts; each picture is 100 bytes."""

    def __init__(self, limit: int) -> None:
        self.kept, self.asked = KeptImages(limit), []

    def see(self, key: int, people: int) -> None:
        def decode() -> NDArray[np.uint8]:
            self.asked.append(key)
            return np.full(100, key, dtype=np.uint8)

        assert (self.kept.image(key, people, decode) == key).all()


def test_an_image_is_kept_until_the_last_of_its_people() -> None:
    pictures = Pictures(1000)
    for _ in range(2):
        for _ in range(3):
            pictures.see(1, people=3)
        assert pictures.kept.bytes == 0
    assert pictures.asked == [1, 1]


def test_an_image_of_one_person_is_never_kept() -> None:
    pictures = Pictures(1000)
    pictures.see(1, people=1)
    assert pictures.kept.most_bytes == 0


def test_beyond_the_limit_the_image_nobody_asked_for_longest_goes() -> None:
    pictures = Pictures(250)
    for key in (1, 2, 1, 3):
        pictures.see(key, people=9)
    assert pictures.kept.bytes == 200
    pictures.see(1, people=9)
    pictures.see(2, people=9)
    assert pictures.asked == [1, 2, 3, 2]


def test_an_image_larger_than_the_limit_drives_out_nobody() -> None:
    pictures = Pictures(150)
    pictures.see(1, people=9)
    pictures.kept.image(2, 9, lambda: np.zeros(151, dtype=np.uint8))
    pictures.see(1, people=9)
    assert pictures.asked == [1]


def test_what_is_forgotten_is_decoded_anew() -> None:
    pictures = Pictures(1000)
    pictures.see(1, people=9)
    pictures.kept.forget()
    assert pictures.kept.bytes == 0
    pictures.see(1, people=9)
    assert pictures.asked == [1, 1]
