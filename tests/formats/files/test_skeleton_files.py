"""Skeletons described in TOML, and the command that shows them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from annotext.core.errors import AnnotextError, InputError
from annotext.core.skeletons import BUILT_IN, COCO17, HALPE26, UNION21
from annotext.formats.files.skeletons import (
    described,
    find_skeleton,
    known_skeletons,
    read_skeleton,
    skeleton_from_dict,
    skeleton_of_names,
    skeleton_to_dict,
)

RunCli = Callable[..., subprocess.CompletedProcess[str]]

_TRIANGLE = """
[skeleton]
name = "triangle"
keypoints = ["head", "left", "right"]
synonyms = { head = "head_top" }
edges = [["head", "left"], ["head_top", "right"]]
flip_pairs = [["left", "right"]]
sigmas = { head = 0.1, left = 0.2, right = 0.2 }
sigma_source = "invented"
"""


def _toml(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "user.toml"
    path.write_text(text)
    return path


def test_a_user_skeleton_is_read_under_canonical_names(tmp_path: Path) -> None:
    skeleton = read_skeleton(_toml(tmp_path, _TRIANGLE))
    assert skeleton.keypoints == ("head_top", "left", "right")
    assert skeleton.edges == (("head_top", "left"), ("head_top", "right"))
    assert skeleton.native_names == ("head", "left", "right")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"head", "left", "right"]', '"head", "left"]'), "names unknown keypoint right"),
        (("right = 0.2", "right = 0"), "keypoint right needs a sigma > 0"),
        (('name = "triangle"', "name = 3"), "skeleton.name: is 3, expected a text"),
        (('[["left", "right"]]', '[["left"]]'), "skeleton.flip_pairs[0]: has 1 entries, expected 2"),
        (("sigma_source", "sigma_sauce"), "skeleton.sigma_sauce: unknown key\n  hint: did you mean sigma_source?"),
        (("[skeleton]", "[skeletons]"), "skeleton: missing"),
        (("[skeleton]", "[skeleton"), "is not valid TOML"),
    ],
)
def test_a_faulty_description_says_what_is_wrong(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_skeleton(_toml(tmp_path, _TRIANGLE.replace(*change)))
    assert message in str(caught.value)


def test_all_problems_of_a_description_come_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_skeleton(_toml(tmp_path, "[skeleton]\nname = 3\nkeypoints = 1"))
    assert len(caught.value.problems) == 4


def test_a_described_data_set_names_a_known_skeleton_and_its_files() -> None:
    assert {"coco17", "mpii16", "halpe26", "crowdpose14"} == {d.path.stem for d in described()}
    for description in described():
        assert description.skeleton.name == description.path.stem
        assert {"title", "homepage", "licence", "files"} <= set(description.dataset)


def test_the_example_user_skeleton_maps_to_the_union() -> None:
    crowdpose = known_skeletons()["crowdpose14"]
    assert len(crowdpose) == 14
    assert UNION21.shared_with(crowdpose)[-2:] == ("upper_neck", "head_top")
    assert not crowdpose.missing_from(UNION21)


def test_the_example_user_skeleton_agrees_with_mmpose() -> None:
    mmpose = pytest.importorskip("mmpose", reason="needs the train extra")
    text = (Path(mmpose.__file__).parent / ".mim/configs/_base_/datasets/crowdpose.py").read_text()
    scope: dict = {}
    exec(text, scope)
    theirs = scope["dataset_info"]
    ours = known_skeletons()["crowdpose14"]
    names = [info["name"] for _, info in sorted(theirs["keypoint_info"].items())]
    assert tuple(ours.canonical(n) for n in names) == ours.keypoints
    links = [tuple(map(ours.canonical, info["link"])) for info in theirs["skeleton_info"].values()]
    assert tuple(links) == ours.edges
    assert [ours.sigmas[ours.canonical(n)] for n in names] == theirs["sigmas"]
    swaps = {n: info["swap"] for n, info in zip(names, theirs["keypoint_info"].values(), strict=True) if info["swap"]}
    assert {a: b for pair in ours.flip_pairs for a, b in (pair, pair[::-1])} == swaps


def test_keypoints_are_found_under_native_and_canonical_names() -> None:
    assert skeleton_of_names(HALPE26.native_names, BUILT_IN) is HALPE26
    assert skeleton_of_names(HALPE26.keypoints, BUILT_IN) is HALPE26


def test_the_same_names_in_another_order_are_no_known_skeleton() -> None:
    assert skeleton_of_names(COCO17.keypoints[::-1], BUILT_IN) is None


@pytest.mark.parametrize("skeleton", known_skeletons().values(), ids=lambda s: s.name)
def test_a_skeleton_survives_as_json(skeleton: object) -> None:
    assert skeleton_from_dict(json.loads(json.dumps(skeleton_to_dict(skeleton)))) == skeleton  # type: ignore[arg-type]


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(AnnotextError, match="one of coco17, mpii16"):
        find_skeleton("coco18")


def test_the_command_lists_every_known_skeleton(run_cli: RunCli) -> None:
    done = run_cli("skeletons", "--json")
    assert [s["name"] for s in json.loads(done.stdout)] == list(known_skeletons())
    assert all(name in run_cli("skeletons").stdout for name in known_skeletons())


def test_the_command_shows_one_skeleton_with_its_sigmas_and_their_source(run_cli: RunCli, tmp_path: Path) -> None:
    done = run_cli("skeletons", _toml(tmp_path, _TRIANGLE))
    assert done.returncode == 0
    assert "triangle: 3 keypoints, 2 edges" in done.stdout
    assert "0.200" in done.stdout and "sigmas: invented" in done.stdout


def test_the_command_compares_skeletons(run_cli: RunCli) -> None:
    report = json.loads(run_cli("skeletons", "coco17", "mpii16", "--json").stdout)
    assert len(report["shared"]) == 12
    assert report["own"][1] == {"name": "mpii16", "keypoints": ["pelvis", "thorax", "upper_neck", "head_top"]}
    assert report["union"]["keypoints"] == list(UNION21.keypoints)
    assert "12 shared, 21 in the union" in run_cli("skeletons", "coco17", "mpii16").stdout


def test_the_command_fails_with_one_line_for_an_unknown_skeleton(run_cli: RunCli) -> None:
    done = run_cli("skeletons", "coco18")
    assert done.returncode == 1
    assert done.stderr.startswith("error: no skeleton 'coco18'\n  hint: one of coco17")
    assert "Traceback" not in done.stderr
