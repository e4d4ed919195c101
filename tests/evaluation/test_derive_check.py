"""How far a rule is from the labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from people import random_people

from annotext.core.derive import ANY, RULES, Rule
from annotext.core.poses import Poses
from annotext.core.skeletons import COCO17, MPII16
from annotext.evaluation.derive_check import Figures, clustered_error, measure, unit_of, wilson

PELVIS = next(rule for rule in RULES if rule.keypoint == "pelvis")


def _people(off_by_heads: float = 0.0, n: int = 80) -> Poses:
    """People whose pelvis lies so many head sizes right of the middle of their hips."""
    poses = random_people(MPII16, n=n, labelled=1.0, unlabelled_people=0)
    xy = poses.xy.copy()
    hips = MPII16.indices(("left_hip", "right_hip"))
    xy[:, MPII16.index["pelvis"]] = xy[:, hips].mean(axis=1) + poses.head_size[:, None] * [off_by_heads, 0.0]
    return replace(poses, xy=xy)


def test_labels_that_follow_a_rule_are_at_no_distance() -> None:
    figures = measure(_people(), PELVIS, unit_of(_people())).figures
    assert figures.median[0] == pytest.approx(0, abs=1e-9)
    assert figures.within[0.1][0] == 100


def test_the_distance_is_in_head_sizes() -> None:
    poses = _people(off_by_heads=0.3)
    figures = measure(poses, PELVIS, unit_of(poses)).figures
    assert figures.median[0] == pytest.approx(0.3)
    assert (figures.within[0.1][0], figures.within[0.5][0]) == (0, 100)


def test_a_wrong_rule_has_bad_figures() -> None:
    wrong = Rule("pelvis", {"left_knee": 0.5, "right_knee": 0.5}, ANY, "mpii16", "made up")
    figures = measure(_people(), wrong, unit_of(_people())).figures
    assert figures.within[0.1][2] < 50
    assert figures.error[1] > 0.1


def test_moved_and_grown_people_have_the_same_figures() -> None:
    poses = _people(off_by_heads=0.07)
    grown = replace(poses, xy=3 * poses.xy + 50, head_size=3 * poses.head_size)
    one, other = (measure(p, PELVIS, unit_of(p)).figures for p in (poses, grown))
    assert one.median == pytest.approx(other.median)


def test_people_who_cannot_be_judged_are_counted_by_why() -> None:
    poses = _people().take(~_people().crowd)
    xy, visibility, head = poses.xy.copy(), poses.visibility.copy(), poses.head_size.copy()
    for row, name in ((0, "pelvis"), (1, "left_hip"), (2, "left_hip")):
        xy[row, MPII16.index[name]], visibility[row, MPII16.index[name]] = np.nan, 0
    head[3] = np.nan
    poses = replace(poses, xy=xy, visibility=visibility, head_size=head)
    measured = measure(poses, PELVIS, unit_of(poses))
    assert measured.labelled == len(poses) - 1
    assert (measured.without_parents, measured.without_unit) == (2, 1)
    assert measured.figures.n == len(poses) - 4


def test_crowds_are_never_judged() -> None:
    poses = replace(_people(), crowd=np.ones(80, dtype=bool))
    assert measure(poses, PELVIS, unit_of(poses)).figures.n == 0


def test_the_person_a_rule_is_worst_for_is_named_first() -> None:
    poses = replace(_people(), crowd=np.zeros(80, dtype=bool))
    xy = poses.xy.copy()
    xy[17, MPII16.index["pelvis"]] += 9 * poses.head_size[17]
    assert measure(replace(poses, xy=xy), PELVIS, unit_of(poses)).farthest[0][0] == 17


def test_without_head_sizes_the_unit_is_the_torso_and_the_names_say_so() -> None:
    poses = replace(_people(), head_size=np.full(80, np.nan))
    figures = measure(poses, PELVIS, unit_of(poses)).figures.to_dict()
    assert {"n", "median_torso", "pck_torso@0.05", "pck_torso@0.2"} <= set(figures)
    assert not {"median", "pckh@0.1"} & set(figures)


def test_without_torsos_the_unit_is_the_size_of_the_person() -> None:
    poses = random_people(COCO17)
    xy, visibility = poses.xy.copy(), poses.visibility.copy()
    hip = COCO17.index["left_hip"]
    xy[:, hip], visibility[:, hip] = np.nan, 0
    unit = unit_of(replace(poses, xy=xy, visibility=visibility, head_size=np.full(len(poses), np.nan)))
    assert unit.name == "size"
    assert np.isfinite(unit.length).sum() > 0.8 * len(poses)


def test_wilsons_interval_is_the_published_one() -> None:
    # Newcombe 1998, Table I, method 3: 81 of 263 and 0 of 20.
    assert wilson(81, 263) == pytest.approx((30.80, 25.53, 36.62), abs=0.01)
    assert wilson(0, 20) == pytest.approx((0, 0, 16.11), abs=0.01)


def test_people_of_one_image_count_as_one_draw() -> None:
    values = np.repeat(np.random.default_rng(0).random(100), 4)
    images = np.repeat(np.arange(100), 4)
    alone = values.std(ddof=1) / np.sqrt(len(values))
    assert clustered_error(values, images) == pytest.approx(2 * alone, rel=0.02)
    assert clustered_error(values, np.arange(400)) == pytest.approx(alone, rel=0.01)


def test_the_interval_of_the_median_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        distance = rng.exponential(0.2, 201)
        _, low, high = Figures.of("head", distance, np.arange(201)).median
        held += low <= 0.2 * np.log(2) <= high
    assert 0.92 <= held / 400 <= 0.99


def test_nobody_to_judge_gives_nulls() -> None:
    figures = Figures.of("head", np.zeros(0), np.zeros(0, dtype=np.int64)).to_dict()
    assert figures["n"] == 0
    assert figures["median"] is None
    assert figures["pckh@0.1"] is None
