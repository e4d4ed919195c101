"""`annotext derive-check` on files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from annotext.cli.reports.derive_check import derive_check_text
from annotext.core.errors import AnnotextError, InputError
from annotext.workflows.derive_check import derive_check


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from annotext.workflows.synth import synthesise

    folder = tmp_path_factory.mktemp("synth") / "sets"
    synthesise(folder, people=150, seed=0, sets=("coco", "mpii"), workers=1)
    return folder


def test_every_rule_a_file_can_show_is_measured(sets: Path) -> None:
    report = derive_check(sets / "mpii/annotations.json").to_dict()
    assert set(report) == {"pelvis", "thorax"}
    for figures in report.values():
        assert figures["n"] > 100
        assert figures["pckh@0.1"] > 98
        assert figures["unit"] == "head"


def test_a_rule_that_does_not_hold_shows(tmp_path: Path) -> None:
    from annotext.workflows.synth import synthesise

    synthesise(tmp_path / "hard", people=150, seed=0, sets=("mpii",), workers=1, harder=True)
    figures = derive_check(tmp_path / "hard/mpii/annotations.json").to_dict()["pelvis"]
    assert figures["pckh@0.1"] < 80


def test_a_file_without_head_sizes_is_measured_in_torsos(sets: Path, tmp_path: Path) -> None:
    records = json.loads((sets / "mpii/annotations.json").read_text())
    for record in records:
        record.pop("headbox", None)
    (tmp_path / "plain.json").write_text(json.dumps(records))
    report = derive_check(tmp_path / "plain.json")
    figures = report.to_dict()["thorax"]
    assert figures["unit"] == "torso"
    assert "median_torso" in figures
    assert "median" not in figures
    assert "the file has no head sizes" in derive_check_text(report)


def test_found_rules_stand_under_their_keypoint(sets: Path) -> None:
    entry = derive_check(sets / "mpii/annotations.json", keypoints=["upper_neck"], search=True).to_dict()["upper_neck"]
    assert entry["rule"] is None
    assert entry["n"] == 0
    best = entry["found"][0]
    assert sum(best["weights"].values()) == pytest.approx(1, abs=1e-5)
    assert best["n"] == entry["searched"]["judged_on"] > 40
    assert not {"pelvis", "thorax", "head_top"} & set(entry["searched"]["parents"])


def test_the_regressor_is_judged_on_the_people_of_the_rules_too(sets: Path) -> None:
    mpii, truth = sets / "mpii/annotations.json", sets / "coco/truth.json"
    entry = derive_check(truth, keypoints=["head_top"], train=mpii).to_dict()["head_top"]
    assert len(entry["regressor"]["inputs"]) == 12  # what both files annotate, though the truth has the face too
    assert entry["regressor"]["same_people_as_found"]["n"] == entry["searched"]["judged_on"]
    assert entry["regressor"]["n"] >= entry["searched"]["judged_on"]


def test_what_cannot_be_done_is_noted_and_the_rest_is_done(sets: Path) -> None:
    coco, mpii = sets / "coco/annotations.json", sets / "mpii/annotations.json"
    entry = derive_check(coco, keypoints=["nose"], train=mpii).to_dict()["nose"]
    assert any("there is no nose in mpii16" in note for note in entry["notes"])


def test_a_keypoint_of_both_skeletons_is_derived_from_all_others_that_are_labelled(sets: Path) -> None:
    entry = derive_check(sets / "mpii/annotations.json", keypoints=["left_knee"], search=True).to_dict()["left_knee"]
    tried = set(entry["searched"]["parents"]) | set(entry["searched"]["left_out"])
    assert len(tried) == 13  # sixteen, less itself and what is derived


def test_the_report_file_names_what_it_is_about(sets: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    report = derive_check(sets / "mpii/annotations.json", report=out)
    document = json.loads(out.read_text())
    assert document["file"]["name"] == "annotations.json"
    assert document["keypoints"] == report.to_dict()


def test_the_same_file_gives_the_same_bytes(sets: Path, tmp_path: Path) -> None:
    for name in ("one.json", "two.json"):
        derive_check(sets / "mpii/annotations.json", search=True, report=tmp_path / name)
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def test_an_unknown_keypoint_is_refused(sets: Path) -> None:
    with pytest.raises(InputError, match="has no keypoint tail"):
        derive_check(sets / "mpii/annotations.json", keypoints=["tail"])


def test_an_unknown_parent_is_refused(sets: Path) -> None:
    with pytest.raises(AnnotextError, match="has no keypoint nose to derive from"):
        derive_check(sets / "mpii/annotations.json", keypoints=["head_top"], search=True, parents=["nose", "left_hip"])


def test_a_file_in_which_no_rule_can_be_measured_says_what_to_do(sets: Path) -> None:
    with pytest.raises(InputError, match="none of the keypoints that declared rules give") as raised:
        derive_check(sets / "coco/annotations.json")
    assert "--find" in str(raised.value)


def test_an_extended_file_is_refused_for_its_points_are_no_labels(sets: Path, tmp_path: Path) -> None:
    from annotext.core.additions import Additions
    from annotext.formats.annotations.read import read_annotations
    from annotext.formats.overlay.write import write_extended

    file = read_annotations(sets / "coco/annotations.json")
    out = tmp_path / "extended.json"
    write_extended(
        file, Additions.nothing(len(file.poses), ("pelvis",)), {"predictors": [], "policy": {}}, out, force=False
    )
    with pytest.raises(InputError, match="already extended"):
        derive_check(out, keypoints=["pelvis"])


@pytest.mark.real
def test_on_real_mpii_pelvis_and_thorax_are_midpoints(real: Path) -> None:
    report = derive_check(real / "mpii/annotations/mpii_val_from_h5.json").to_dict()
    assert report["pelvis"]["n"] == 2878
    assert report["thorax"]["n"] == 2932
    assert report["pelvis"]["pckh@0.1"] >= 99.7
    assert report["thorax"]["pckh@0.1"] >= 99.7


@pytest.mark.real
def test_on_real_mpii_the_search_finds_what_is_declared(real: Path) -> None:
    report = derive_check(
        real / "mpii/annotations/mpii_val_from_h5.json", keypoints=["pelvis", "thorax"], search=True
    ).to_dict()
    for entry in report.values():
        assert entry["found"][0]["weights"] == entry["rule"]["weights"]


def test_a_frame_has_a_row_per_rule(sets: Path) -> None:
    report = derive_check(sets / "mpii/annotations.json", keypoints=["pelvis"], search=True)
    frame, entry = report.to_frame(), report.to_dict()["pelvis"]
    assert frame["kind"].tolist() == ["declared"] + ["found"] * len(entry["found"])
    assert frame["median"][0] == entry["median"]
    assert frame["median_low"][0] == entry["interval_95"]["median"][0]
