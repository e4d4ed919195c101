"""Skeletons and their union (paper eq. 1-5)."""

from __future__ import annotations

import pickle
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotext.core.skeleton import Skeleton, union
from annotext.core.skeletons import BUILT_IN, COCO17, HALPE26, MPII16, UNION21

_NAMES = [f"k{i}" for i in range(8)]


@st.composite
def skeletons(draw: st.DrawFn) -> Skeleton:
    """Any skeleton over eight names, each with the same sigma wherever it appears."""
    keypoints = tuple(draw(st.lists(st.sampled_from(_NAMES), min_size=1, unique=True)))
    pairs = [(a, b) for a in keypoints for b in keypoints if a < b]
    edges = tuple(draw(st.lists(st.sampled_from(pairs), unique=True, max_size=4))) if pairs else ()
    # k0 mirrors k1 and k2 mirrors k3 everywhere, so that any two skeletons agree.
    flips = tuple(p for p in (("k0", "k1"), ("k2", "k3")) if set(p) <= set(keypoints))
    return Skeleton(
        name="+".join(keypoints),
        keypoints=keypoints,
        edges=edges,
        flip_pairs=flips,
        sigmas={k: 0.01 * (1 + int(k[1:])) for k in keypoints},
        sigma_source="test",
    )


def _content(skeleton: Skeleton) -> tuple[object, ...]:
    """A skeleton without its order and its name."""
    return (
        frozenset(skeleton.keypoints),
        frozenset(frozenset(e) for e in skeleton.edges),
        frozenset(frozenset(p) for p in skeleton.flip_pairs),
        frozenset(skeleton.sigmas.items()),
    )


def test_coco_and_mpii_give_the_papers_21_in_its_order() -> None:
    assert UNION21.keypoints == (*COCO17.keypoints, "pelvis", "thorax", "upper_neck", "head_top")


def test_coco_and_mpii_share_12() -> None:
    assert len(COCO17.shared_with(MPII16)) == 12
    assert COCO17.missing_from(MPII16) == ("nose", "left_eye", "right_eye", "left_ear", "right_ear")


def test_mpii_positions_in_the_union_are_those_of_the_papers_code() -> None:
    # FACTS: MPII index -> union index, as the authors' converter has it.
    expected = [16, 14, 12, 11, 13, 15, 17, 18, 19, 20, 10, 8, 6, 5, 7, 9]
    assert UNION21.indices(MPII16.keypoints).tolist() == expected


@given(skeletons(), skeletons())
def test_union_commutes_up_to_order(a: Skeleton, b: Skeleton) -> None:
    assert _content(union(a, b)) == _content(union(b, a))


@given(skeletons(), skeletons(), skeletons())
def test_union_is_associative_order_included(a: Skeleton, b: Skeleton, c: Skeleton) -> None:
    left, right = union(union(a, b), c), union(a, union(b, c))
    assert left.keypoints == right.keypoints
    assert _content(left) == _content(right)


@given(skeletons())
def test_union_with_itself_changes_nothing(a: Skeleton) -> None:
    again = union(a, a)
    assert again.keypoints == a.keypoints
    assert _content(again) == _content(a)


@given(st.lists(skeletons(), min_size=1, max_size=6))
def test_union_of_any_number_equals_one_after_the_other(all_of_them: list[Skeleton]) -> None:
    assert union(*all_of_them).keypoints == reduce(union, all_of_them).keypoints


@given(skeletons(), skeletons())
def test_a_skeleton_keeps_its_order_at_the_head_of_a_union(a: Skeleton, b: Skeleton) -> None:
    assert union(a, b).keypoints[: len(a)] == a.keypoints


def test_halpe_names_meet_mpiis_through_synonyms() -> None:
    assert [HALPE26.canonical(n) for n in ("head", "neck", "hip", "nose")] == [
        "head_top",
        "upper_neck",
        "pelvis",
        "nose",
    ]
    assert set(HALPE26.shared_with(UNION21)) == set(UNION21.keypoints) - {"thorax"}
    assert len(union(COCO17, MPII16, HALPE26)) == 27


def test_native_names_are_spelled_as_the_files_spell_them() -> None:
    assert HALPE26.native_names[17:20] == ("head", "neck", "hip")


def test_the_first_skeletons_sigma_wins() -> None:
    a = Skeleton("a", ("x",), (), (), {"x": 0.1}, "a")
    b = Skeleton("b", ("x",), (), (), {"x": 0.2}, "b")
    assert union(a, b).sigmas["x"] == 0.1
    assert union(a, b).sigma_source == "a"


def test_skeletons_that_mirror_a_point_differently_have_no_union() -> None:
    sigmas = dict.fromkeys("xyz", 0.1)
    a = Skeleton("a", ("x", "y", "z"), (), (("x", "y"),), sigmas, "")
    b = Skeleton("b", ("x", "y", "z"), (), (("x", "z"),), sigmas, "")
    with pytest.raises(ValueError, match="b mirrors x to z, an earlier skeleton to y"):
        union(a, b)


@pytest.mark.parametrize("skeleton", BUILT_IN.values(), ids=BUILT_IN)
def test_mirroring_twice_gives_every_point_back(skeleton: Skeleton) -> None:
    assert np.array_equal(skeleton.flip_index[skeleton.flip_index], np.arange(len(skeleton)))


@pytest.mark.parametrize("skeleton", BUILT_IN.values(), ids=BUILT_IN)
def test_left_mirrors_right_and_nothing_else(skeleton: Skeleton) -> None:
    for keypoint, partner in zip(skeleton.keypoints, np.array(skeleton.keypoints)[skeleton.flip_index], strict=True):
        swapped = keypoint.replace("left", "#").replace("right", "left").replace("#", "right")
        assert partner == swapped


def test_coco_sigmas_are_pycocotools_own() -> None:
    from pycocotools.cocoeval import Params

    assert COCO17.sigma_array == pytest.approx(Params("keypoints").kpt_oks_sigmas)


def test_a_skeleton_survives_pickling() -> None:
    assert pickle.loads(pickle.dumps(HALPE26)) == HALPE26


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints": ("x", "x")}, "keypoint named twice: x"),
        ({"keypoints": ()}, "no keypoints"),
        ({"edges": (("x", "q"),)}, "names unknown keypoint q"),
        ({"edges": (("x", "x"),)}, "joins a keypoint with itself"),
        ({"flip_pairs": (("x", "y"), ("x", "z"))}, "stands in two flip pairs"),
        ({"sigmas": {"x": 0.1, "y": 0.1}}, "keypoint z needs a sigma > 0"),
        ({"sigmas": {"x": 0.1, "y": 0.1, "z": -1.0}}, "keypoint z needs a sigma > 0"),
        ({"synonyms": {"n": "q"}}, "synonym n stands for unknown keypoint q"),
    ],
)
def test_an_impossible_skeleton_says_why(change: dict, message: str) -> None:
    good = {
        "name": "s",
        "keypoints": ("x", "y", "z"),
        "edges": (),
        "flip_pairs": (),
        "sigmas": dict.fromkeys("xyz", 0.1),
        "sigma_source": "",
    }
    with pytest.raises(ValueError, match=message):
        Skeleton(**{**good, **change})


def test_an_unknown_name_names_the_skeleton() -> None:
    with pytest.raises(KeyError, match="skeleton coco17 has no keypoint pelvis"):
        COCO17.indices(["pelvis"])


def test_a_subset_keeps_what_joins_its_keypoints() -> None:
    arm = HALPE26.subset(("upper_neck", "right_wrist", "right_elbow", "left_elbow"))
    assert arm.name == "halpe26[4]" and arm.synonyms == {"neck": "upper_neck"}
    assert arm.edges == (("right_elbow", "right_wrist"),) and arm.flip_pairs == (("left_elbow", "right_elbow"),)
    assert dict(arm.sigmas) == {k: HALPE26.sigmas[k] for k in arm.keypoints}
    with pytest.raises(KeyError, match="coco17 has no keypoint thorax"):
        COCO17.subset(("nose", "thorax"))


def test_a_grown_skeleton_is_the_known_one_with_these_keypoints_or_made_of_those_that_know_them() -> None:
    assert COCO17.grown(("pelvis", "thorax", "upper_neck", "head_top"), (MPII16, UNION21)) is UNION21
    grown = COCO17.grown(("head_top", "left_heel"), (MPII16, HALPE26))
    assert grown.name == "coco17+2" and grown.keypoints == (*COCO17.keypoints, "head_top", "left_heel")
    assert grown.edges == (*COCO17.edges, ("left_ankle", "left_heel")) and grown.flip_pairs == COCO17.flip_pairs
    assert grown.sigmas["head_top"] == MPII16.sigmas["head_top"]
    with pytest.raises(ValueError, match="no known skeleton has the keypoint tail"):
        COCO17.grown(("tail",), (MPII16, HALPE26))
