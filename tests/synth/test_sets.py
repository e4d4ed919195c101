"""Pictures and files: the same bytes from the same seed, and what labels say against what is true."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from annotext.core.errors import InputError
from annotext.core.skeletons import COCO17, HALPE26, MPII16, UNION21
from annotext.formats.annotations.read import read_annotations
from annotext.synth.paint import CROWD, MOST_PEOPLE, PERSON_STRIDE
from annotext.synth.sets import SETS, plan
from annotext.workflows.synth import synthesise

PEOPLE, SEED = 90, 5


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("synth") / "world"
    synthesise(out, PEOPLE, SEED, workers=1)
    return out


@pytest.fixture(scope="module")
def harder(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("synth") / "harder"
    synthesise(out, PEOPLE, SEED, sets=["mpii"], harder=True, workers=1)
    return out


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def _pair(world: Path, name: str):
    """Labels and truth of a set under the union, people aligned, crowds left out."""
    labels, truth = (read_annotations(world / name / f).poses for f in ("annotations.json", "truth.json"))
    keep = ~labels.crowd
    assert keep.sum() == len(truth)
    return labels.to(UNION21), truth, keep


def _k(name: str) -> int:
    return UNION21.index[name]


def test_two_workers_write_the_bytes_of_one(world: Path, tmp_path: Path):
    synthesise(tmp_path / "two", PEOPLE, SEED, workers=2)
    assert _hashes(tmp_path / "two") == _hashes(world)


def test_a_folder_that_cannot_be_made_is_named_as_it_was_given(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError) as caught:
        synthesise(tmp_path / "file" / "out", 1, SEED, workers=1)
    assert caught.value.problems[0].path == str(tmp_path / "file" / "out")


def test_another_seed_draws_other_people(world: Path, tmp_path: Path):
    synthesise(tmp_path / "other", 4, SEED + 1, sets=["coco"], workers=1)
    one, other = (p / "coco" / "images" / "000001.jpg" for p in (world, tmp_path / "other"))
    assert one.read_bytes() != other.read_bytes()


def test_a_smaller_set_begins_as_a_larger_one_does(world: Path, tmp_path: Path):
    synthesise(tmp_path / "small", 20, SEED, sets=["coco"], workers=1)
    counts = plan(SETS["coco"], 20, SEED)
    names = [f"{i + 1:06d}.jpg" for i in range(len(counts) - 1)]  # the last image may hold fewer people
    assert counts[:-1] == plan(SETS["coco"], PEOPLE, SEED)[: len(counts) - 1]
    for name in names:
        assert (tmp_path / "small/coco/images" / name).read_bytes() == (world / "coco/images" / name).read_bytes()


@pytest.mark.parametrize("name", sorted(SETS))
@pytest.mark.parametrize("people", [1, 2, 7, 1000])
def test_plans_hold_exactly_the_people_asked_for(name: str, people: int):
    assert sum(plan(SETS[name], people, 0)) == people


@pytest.mark.parametrize(("name", "skeleton"), [("coco", COCO17), ("mpii", MPII16), ("halpe", HALPE26)])
def test_our_reader_takes_each_set_with_its_skeleton_and_its_people(world: Path, name: str, skeleton):
    poses = read_annotations(world / name / "annotations.json").poses
    assert poses.skeleton.keypoints == skeleton.keypoints
    assert int((~poses.crowd).sum()) == PEOPLE


@pytest.mark.parametrize("name", sorted(SETS))
def test_truth_knows_21_points_of_every_person_and_agrees_on_ids_and_images(world: Path, name: str):
    labels, truth, keep = _pair(world, name)
    assert truth.skeleton.keypoints == UNION21.keypoints
    assert truth.ids.tolist() == labels.ids[keep].tolist()
    names = [n for n, kept in zip(labels.file_names(), keep, strict=True) if kept]
    assert truth.file_names() == names
    assert np.isfinite(truth.head_size).all()


def test_mpii_truth_ids_count_the_records(world: Path):
    truth = json.loads((world / "mpii/truth.json").read_bytes())
    assert [a["id"] for a in truth["annotations"]] == list(range(PEOPLE))


@pytest.mark.parametrize("name", sorted(SETS))
def test_every_image_named_is_there_in_the_size_stated(world: Path, name: str):
    truth = json.loads((world / name / "truth.json").read_bytes())
    on_disk = {p.name for p in (world / name / "images").iterdir()}
    assert {i["file_name"] for i in truth["images"]} == on_disk
    for image in truth["images"][:10]:
        picture = cv2.imread(str(world / name / "images" / image["file_name"]))
        assert picture is not None and picture.shape == (image["height"], image["width"], 3)


@pytest.mark.parametrize("name", sorted(SETS))
def test_labelled_truth_lies_in_the_image_and_little_is_outside(world: Path, name: str):
    truth = read_annotations(world / name / "truth.json").poses
    size = np.array([[truth.images[i].width, truth.images[i].height] for i in truth.image_index])[:, None]
    inside = ((truth.xy > -0.51) & (truth.xy < size - 0.49)).all(axis=2)
    assert inside[truth.labelled].all()
    assert (~truth.labelled).mean() < 0.08


@pytest.mark.parametrize("name", sorted(SETS))
def test_labels_scatter_about_the_truth_by_less_than_half_an_oks_sigma(world: Path, name: str):
    labels, truth, keep = _pair(world, name)
    both = labels.labelled[keep] & (truth.visibility == 2)
    error = (labels.xy[keep] - truth.xy) / (UNION21.sigma_array[:, None] * np.sqrt(truth.area)[:, None, None])
    body = slice(_k("left_shoulder"), _k("right_ankle") + 1)
    spread = error[:, body][both[:, body]].std()
    assert 0.3 < spread < 0.6
    assert abs(error[:, body][both[:, body]].mean()) < 0.05


def test_coco_annotators_leave_many_hidden_points_out_and_few_visible_ones(world: Path):
    labels, truth, keep = _pair(world, "coco")
    labelled = labels.labelled[keep]
    own = UNION21.indices(COCO17.keypoints)
    people = labelled.any(axis=1)
    hidden = labelled[people][:, own][truth.visibility[people][:, own] == 1].mean()
    seen = labelled[people][:, own][truth.visibility[people][:, own] == 2].mean()
    assert 0.15 < hidden < 0.65
    assert seen > 0.95


def test_mpii_annotators_label_hidden_joints_too(world: Path):
    labels, truth, _ = _pair(world, "mpii")
    own = UNION21.indices(MPII16.keypoints)
    assert labels.labelled[:, own][truth.visibility[:, own] == 1].mean() > 0.9


def test_labels_keep_hidden_and_visible_apart(world: Path):
    for name in SETS:
        labels, truth, keep = _pair(world, name)
        both = labels.labelled[keep]
        assert np.array_equal(labels.visibility[keep][both], truth.visibility[both])


def test_coco_has_hidden_points_of_both_causes(world: Path):
    truth = read_annotations(world / "coco/truth.json").poses
    # The far ear is hidden by the head itself; knees by furniture and other people.
    assert (truth.visibility[:, _k("left_ear")] == 1).mean() > 0.2
    assert 0 < (truth.visibility[:, _k("left_knee")] == 1).mean() < 0.4


def test_the_face_of_who_looks_away_is_hidden(world: Path):
    truth = read_annotations(world / "coco/truth.json").poses
    eyes = truth.visibility[:, [_k("left_eye"), _k("right_eye")]]
    nose = truth.visibility[:, _k("nose")]
    away = (nose == 1) & (eyes > 0).all(axis=1)
    assert away.mean() > 0.15
    assert (eyes[away] == 1).mean() > 0.7


def test_mpii_files_count_pixels_from_one(world: Path):
    records = json.loads((world / "mpii/annotations.json").read_bytes())
    poses = read_annotations(world / "mpii/annotations.json").poses
    first = np.array(records[0]["joints"])
    seen = poses.labelled[0]
    assert np.allclose(first[seen] - 1, poses.xy[0][seen])
    assert set(records[0]) == {"joints_vis", "joints", "image", "scale", "center", "is_visible", "headbox"}


def test_mpii_boxes_cover_the_true_keypoints(world: Path):
    labels, truth, _ = _pair(world, "mpii")
    box = labels.bbox_xywh
    margin = 0.05 * box[:, 2]
    low, high = box[:, :2] - margin[:, None], box[:, :2] + box[:, 2:] + margin[:, None]
    for person in range(len(truth)):
        xy = truth.xy[person][truth.labelled[person]]
        assert (xy >= low[person]).all() and (xy <= high[person]).all()


def test_halpe_rows_are_136_points_with_head_neck_and_hip_in_their_slots(world: Path):
    document = json.loads((world / "halpe/annotations.json").read_bytes())
    people = [a for a in document["annotations"] if not a["iscrowd"]]
    assert {len(a["keypoints"]) for a in document["annotations"]} == {408}
    points = np.array([a["keypoints"] for a in people]).reshape(len(people), 136, 3)
    assert (points[:, 17:20, 2] > 0).mean() > 0.9
    assert (points[:, 20:26, 2] > 0).mean() > 0.8
    assert not points[:, 26:].any()


def test_halpe_feet_are_near_their_ankles(world: Path):
    poses = read_annotations(world / "halpe/annotations.json").poses
    for side in ("left", "right"):
        ankle, toe, heel = (poses.xy[:, poses.skeleton.index[f"{side}_{p}"]] for p in ("ankle", "big_toe", "heel"))
        tall = poses.bbox_xywh[:, 3]
        assert np.nanmedian(np.linalg.norm(toe - ankle, axis=1) / tall) < 0.15
        assert np.nanmedian(np.linalg.norm(heel - ankle, axis=1) / tall) < 0.08


def test_mpiis_pelvis_and_thorax_are_midpoints_of_its_labels_by_default(world: Path):
    labels, _, _ = _pair(world, "mpii")
    truth = read_annotations(world / "mpii/truth.json").poses
    for name, (one, other) in {
        "pelvis": ("left_hip", "right_hip"),
        "thorax": ("left_shoulder", "right_shoulder"),
    }.items():
        for poses in (labels, truth):
            middle = (poses.xy[:, _k(one)] + poses.xy[:, _k(other)]) / 2
            off = np.linalg.norm(poses.xy[:, _k(name)] - middle, axis=1) / truth.head_size
            assert np.nanmax(off) < 0.1
            assert 0 < np.nanmedian(off) < 0.02


def test_in_the_harder_world_pelvis_and_thorax_are_each_persons_own(harder: Path):
    truth = read_annotations(harder / "mpii/truth.json").poses
    for name, (one, other) in {
        "pelvis": ("left_hip", "right_hip"),
        "thorax": ("left_shoulder", "right_shoulder"),
    }.items():
        middle = (truth.xy[:, _k(one)] + truth.xy[:, _k(other)]) / 2
        off = np.linalg.norm(truth.xy[:, _k(name)] - middle, axis=1) / truth.head_size
        assert np.nanmedian(off) > 0.12
        assert np.nanstd(off) > 0.04


def test_boxes_and_areas_come_from_what_is_seen(world: Path):
    truth = read_annotations(world / "coco/truth.json").poses
    box = truth.bbox_xywh
    fill = truth.area / (box[:, 2] * box[:, 3])
    assert (fill > 0.05).all() and (fill < 1).all()
    assert 0.2 < np.median(fill) < 0.6
    assert (np.maximum(box[:, 2], box[:, 3]) > 20).all()


def test_polygons_lie_in_their_boxes(world: Path):
    document = json.loads((world / "coco/annotations.json").read_bytes())
    for annotation in document["annotations"]:
        if annotation["iscrowd"]:
            continue
        x, y, w, h = annotation["bbox"]
        for polygon in annotation["segmentation"]:
            corners = np.array(polygon).reshape(-1, 2)
            assert (corners >= (x, y)).all() and (corners <= (x + w, y + h)).all()


def test_counts_of_labelled_keypoints_are_true(world: Path):
    document = json.loads((world / "coco/annotations.json").read_bytes())
    for annotation in document["annotations"]:
        assert annotation["num_keypoints"] == sum(v > 0 for v in annotation["keypoints"][2::3])


def test_most_everyday_people_are_whole_and_some_are_cut(world: Path):
    truth = read_annotations(world / "coco/truth.json").poses
    cut = (~truth.labelled).any(axis=1).mean()
    assert 0.01 < cut < 0.25


def test_pictures_hold_one_to_three_people():
    assert set(Counter(plan(SETS["coco"], 500, 0)[:-1])) == {1, 2, 3}


def test_the_owner_layer_has_room_for_everybody():
    assert (MOST_PEOPLE - 1) * PERSON_STRIDE + PERSON_STRIDE <= CROWD


def test_the_report_counts_what_the_files_hold(world: Path):
    report = json.loads((world / "synth.json").read_bytes())
    assert report["seed"] == SEED and report["layout"] == "annotext-synth/1"
    for name in SETS:
        truth = json.loads((world / name / "truth.json").read_bytes())
        assert report["sets"][name]["people"] == PEOPLE == len(truth["annotations"])
        assert report["sets"][name]["images"] == len(truth["images"])


def test_an_existing_folder_is_kept_without_force(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="exists already"):
        synthesise(tmp_path / "mine", 2, 0, workers=1)


def test_force_never_deletes_what_synth_did_not_make(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="not made by annotext synth"):
        synthesise(tmp_path / "mine", 2, 0, workers=1, force=True)
    assert (tmp_path / "mine" / "thesis.tex").exists()


def test_force_replaces_an_older_world(tmp_path: Path):
    synthesise(tmp_path / "w", 3, 0, sets=["coco", "mpii"], workers=1)
    synthesise(tmp_path / "w", 2, 1, sets=["coco"], workers=1, force=True)
    assert sorted(p.name for p in (tmp_path / "w").iterdir()) == ["coco", "synth.json"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["w"]


def test_leftovers_of_an_interrupted_run_are_cleared_and_other_things_are_not(tmp_path: Path):
    (tmp_path / "w.tmp" / "coco" / "images").mkdir(parents=True)
    synthesise(tmp_path / "w", 2, 0, sets=["coco"], workers=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["w"]
    (tmp_path / "v.tmp").mkdir()
    (tmp_path / "v.tmp" / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="in the way"):
        synthesise(tmp_path / "v", 2, 0, sets=["coco"], workers=1)


def test_a_folder_that_cannot_be_made_is_said_in_one_message(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be made"):
        synthesise(tmp_path / "file" / "w", 2, 0, sets=["coco"], workers=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"people": 0}, "0 people"),
        ({"seed": -1}, "negative"),
        ({"sets": ["cocoa"]}, "unknown set cocoa"),
        ({"sets": []}, "no set"),
        ({"workers": 0}, "0 workers"),
    ],
)
def test_bad_arguments_are_named(tmp_path: Path, arguments: dict, message: str):
    given = {"people": 2, "seed": 0, "workers": 1, **arguments}
    with pytest.raises(InputError, match=message):
        synthesise(tmp_path / "x", **given)


def test_the_command_prints_its_report_as_json(run_cli, tmp_path: Path):
    done = run_cli("synth", "--out", tmp_path / "w", "--people", 2, "--sets", "coco", "--workers", 1, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sets"]["coco"]["people"] == 2


def test_the_command_exits_with_one_line_when_the_folder_is_taken(run_cli, tmp_path: Path):
    (tmp_path / "a.txt").write_text("x")
    done = run_cli("synth", "--out", tmp_path, "--people", 2)
    assert done.returncode == 1
    assert "exists already" in done.stderr and "Traceback" not in done.stderr
