"""`annotext extend`, from an annotation file and pictures to an extended file and its report."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
from dots import CARD, DotPredictor, coco_document, write_dot_model, write_people
from numpy.typing import NDArray

from annotext.cli.reports.extension import extension_text
from annotext.core.additions import Source
from annotext.core.errors import AnnotextError, InputError
from annotext.formats.annotations.read import read_annotations
from annotext.predictors.outputs.base import CropPoints
from annotext.workflows.decide import PolicyOptions
from annotext.workflows.extend import extend
from annotext.workflows.strip import strip_file

Cli = Callable[..., CompletedProcess[str]]


class Place:
    """A folder with pictures of dots and their COCO file."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder, self.images = folder, folder / "images"
        self.poses, self.truth = write_people(self.images, **options)
        self.annotations = folder / "people.json"
        self.output = folder / "extended.json"
        self.write(coco_document(self.poses))

    def write(self, document: Any) -> None:
        self.document = document
        self.annotations.write_text(json.dumps(document))

    def extend(self, *predictors: Any, min_score: float | None = None, **options: Any) -> Any:
        options["policy"] = PolicyOptions(min_score=min_score)
        return extend(self.annotations, self.images, predictors or [DotPredictor()], self.output, **options)

    def files(self) -> set[str]:
        return {p.name for p in self.folder.iterdir()} - {"images", "people.json", "model"}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_added_points_lie_where_the_predictor_saw_them(place: Place) -> None:
    place.extend()
    additions = read_annotations(place.output).additions
    assert additions is not None
    names = list(additions.keypoints)
    found = additions.xy[:, [names.index("upper_neck"), names.index("head_top")]]
    assert np.abs(found - place.truth[:, 1:]).max() < 0.35


def test_human_keypoints_stay_as_they_are(place: Place) -> None:
    place.extend()
    extended = json.loads(place.output.read_text())
    for before, after in zip(place.document["annotations"], extended["annotations"], strict=True):
        assert after["keypoints"][:51] == before["keypoints"]


def test_thorax_is_derived_and_pelvis_left_out_where_nobody_knows_it(place: Place) -> None:
    report = place.extend()
    assert report.keypoints["thorax"]["added"] == {"derived": len(place.poses)}
    assert report.keypoints["pelvis"] == {
        "added": {},
        "asked": {},
        "withheld": {},
        "not_added": {"no predictor knows it": len(place.poses)},
    }


def test_the_header_names_predictors_policy_and_input(place: Place) -> None:
    place.extend(min_score=0.25)
    file, header = read_annotations(place.annotations), read_annotations(place.output).header
    assert header is not None
    assert header["predictors"] == [{"name": "dots", "sha256": "0" * 64, "source": "teacher"}]
    assert header["policy"]["min_score"] == 0.25
    assert header["input_sha256"] == file.sha256


def test_points_of_a_run_come_from_the_student(place: Place) -> None:
    report = place.extend(DotPredictor(replace(CARD, role="student")))
    assert report.keypoints["head_top"]["added"] == {"student": len(place.poses)}


def test_each_missing_point_comes_from_the_predictor_that_knows_it(place: Place) -> None:
    neck = DotPredictor(replace(CARD, name="neck", keypoints=("upper_neck",)))
    head = DotPredictor(replace(CARD, name="head", keypoints=("head_top",), role="student"))
    place.extend(neck, head)
    additions = read_annotations(place.output).additions
    assert additions is not None
    source = dict(zip(additions.keypoints, additions.source[0], strict=True))
    assert source["upper_neck"] == Source.TEACHER
    assert source["head_top"] == Source.STUDENT


def test_weak_points_are_withheld_and_counted(tmp_path: Path) -> None:
    place = Place(tmp_path, light=60)
    report = place.extend(min_score=0.5)
    n = len(place.poses)
    assert report.keypoints["head_top"]["withheld"] == {"score below the minimum": n}
    blocks = [a["annotext"] for a in json.loads(place.output.read_text())["annotations"]]
    assert all(block["candidate"][3] is not None for block in blocks)


def test_crowds_and_people_without_labels_get_the_length_and_nothing_else(place: Place) -> None:
    annotations = place.document["annotations"]
    annotations[0]["iscrowd"] = 1
    annotations[1] |= {"keypoints": [0] * 51, "num_keypoints": 0}
    place.write(place.document)
    report = place.extend()
    for annotation in json.loads(place.output.read_text())["annotations"][:2]:
        assert annotation["keypoints"][51:] == [0] * 12
        assert annotation["annotext"]["source"] == ["none"] * 4
    assert (report.people["crowd"], report.people["without_keypoints"]) == (1, 1)
    assert report.people["predicted"] == len(place.poses) - 2


def test_the_same_input_gives_the_same_bytes(place: Place) -> None:
    written = []
    for _ in range(2):
        place.extend(predictions=place.folder / "p.parquet", report=place.folder / "r.json", force=True)
        written.append([(place.folder / n).read_bytes() for n in ("extended.json", "p.parquet", "r.json")])
    assert written[0] == written[1]


def test_decisions_are_made_again_from_predictions_without_images_or_models(place: Place) -> None:
    parquet, again = place.folder / "p.parquet", place.folder / "again.json"
    place.extend(predictions=parquet)
    extend(place.annotations, None, [], again, predictions=parquet)
    assert again.read_bytes() == place.output.read_bytes()


def test_another_minimum_on_the_same_predictions_withholds_more(place: Place) -> None:
    parquet = place.folder / "p.parquet"
    place.extend(predictions=parquet)
    strict = PolicyOptions(min_score=1.0)
    report = extend(place.annotations, None, [], place.output, predictions=parquet, policy=strict, force=True)
    assert sum(report.keypoints["head_top"]["withheld"].values()) > 0


def test_predictions_of_another_file_are_refused(place: Place) -> None:
    parquet = place.folder / "p.parquet"
    place.extend(predictions=parquet)
    place.document["annotations"][0]["bbox"][0] += 1
    place.write(place.document)
    with pytest.raises(InputError, match="was not predicted from"):
        extend(place.annotations, None, [], place.folder / "again.json", predictions=parquet)


def test_bad_images_stop_the_run_and_leave_nothing(place: Place) -> None:
    (place.images / "001.png").unlink()
    (place.images / "003.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"001\.png"):
        place.extend(predictions=place.folder / "p.parquet", report=place.folder / "r.json")
    assert place.files() == set()


def test_skip_bad_goes_on_and_lists_what_it_left_out(place: Place) -> None:
    (place.images / "000.png").unlink()
    (place.images / "003.png").write_bytes(b"no image")
    report = place.extend(skip_bad=True)
    assert [Path(p.path).name for p in report.skipped] == ["000.png", "003.png"]
    lost = np.isin(place.poses.image_index, [0, 3])
    assert report.keypoints["head_top"]["not_added"] == {"person not predicted": int(lost.sum())}
    assert report.keypoints["head_top"]["added"] == {"teacher": int((~lost).sum())}
    assert "skipped 2" in extension_text(report)


class Breaks(DotPredictor):
    """Works for one batch, then fails as a full disk or a killed runtime would."""

    def __call__(self, crops: NDArray[np.uint8]) -> CropPoints:
        if self.batches:
            raise MemoryError("no more")
        return super().__call__(crops[:1].repeat(len(crops), axis=0))


def test_a_run_that_breaks_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path, images=16)  # 24 people, two batches
    with pytest.raises(MemoryError):
        place.extend(Breaks(), predictions=tmp_path / "p.parquet", report=tmp_path / "r.json")
    assert place.files() == set()


def test_a_run_that_breaks_leaves_the_earlier_output_alone(tmp_path: Path) -> None:
    place = Place(tmp_path, images=16)
    place.extend()
    before = place.output.read_bytes()
    with pytest.raises(MemoryError):
        place.extend(Breaks(), force=True)
    assert place.output.read_bytes() == before


@pytest.mark.parametrize(
    ("option", "name", "message"),
    [
        ("output", "people.json", "is the input itself"),
        ("output", "taken", "exists"),
        ("output", "nowhere/out.json", "does not exist"),
        ("report", "taken", "exists"),
        ("predictions", "taken", "exists"),
        ("report", "extended.json", "is named for two outputs"),
    ],
)
def test_outputs_are_checked_before_anything_is_predicted(option: str, name: str, message: str, place: Place) -> None:
    (place.folder / "taken").write_text("mine")
    predictor = DotPredictor()
    outputs: dict[str, Any] = {"output": place.output, option: place.folder / name}
    with pytest.raises(InputError, match=message):
        extend(place.annotations, place.images, [predictor], **outputs)
    assert predictor.batches == []
    assert (place.folder / "taken").read_text() == "mine"


def test_the_input_is_safe_even_with_force(place: Place) -> None:
    with pytest.raises(InputError, match="is the input itself"):
        extend(place.annotations, place.images, [DotPredictor()], place.annotations, force=True)


def test_an_extended_file_is_not_extended_again(place: Place) -> None:
    place.extend()
    with pytest.raises(InputError, match="is already extended"):
        extend(place.output, place.images, [DotPredictor()], place.folder / "twice.json")


def test_two_predictors_of_one_name_are_refused(place: Place) -> None:
    with pytest.raises(AnnotextError, match="two predictors are named dots"):
        place.extend(DotPredictor(), DotPredictor())


def test_nothing_to_predict_with_is_an_error(place: Place) -> None:
    with pytest.raises(AnnotextError, match="needs a predictor"):
        extend(place.annotations, place.images, [], place.output)


def test_the_report_counts_every_person_and_point(place: Place) -> None:
    report = place.extend().to_dict()
    n = len(place.poses)
    for counts in report["keypoints"].values():
        assert sum(sum(c.values()) for c in counts.values()) == n
    assert report["people"]["in_file"] == n
    assert json.dumps(report, allow_nan=False)


def test_what_became_of_people_adds_up_to_all_of_them(tmp_path: Path) -> None:
    place = Place(tmp_path, images=8, light=110)
    annotations = place.document["annotations"]
    annotations[0]["iscrowd"] = 1
    annotations[1] |= {"keypoints": [0] * 51, "num_keypoints": 0}
    for annotation in annotations[2:4]:  # one shoulder: nothing can be derived, and the light is too low
        annotation["keypoints"][15:18] = [0, 0, 0]
        annotation["num_keypoints"] -= 1
    (place.images / "007.png").unlink()
    place.write(place.document)
    people = dict(place.extend(skip_bad=True, min_score=0.9).people)
    people.pop("predicted")
    assert people["all_withheld"] == 2
    assert people.pop("in_file") == sum(people.values())


def test_the_command_extends_with_an_onnx_model_and_prints_json(place: Place, run_cli: Cli) -> None:
    pytest.importorskip("onnx")
    card = write_dot_model(place.folder / "model", "simcc")
    arguments = ["extend", place.annotations, "--images", place.images, "--predictor", card, "-o", place.output]
    done = run_cli(*arguments, "--report", place.folder / "r.json", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((place.folder / "r.json").read_text())
    assert json.loads(done.stdout)["people"]["extended"] == len(place.poses)


def test_the_command_says_what_is_wrong_in_one_message(place: Place, run_cli: Cli) -> None:
    (place.images / "001.png").write_bytes((place.images / "001.png").read_bytes()[:300])
    pytest.importorskip("onnx")
    card = write_dot_model(place.folder / "model")
    done = run_cli("extend", place.annotations, "--images", place.images, "--predictor", card, "-o", place.output)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "001.png: annotation 101: is a truncated PNG" in done.stderr
    assert "Traceback" not in done.stderr
    assert place.files() == set()


@pytest.mark.real
@pytest.mark.parametrize(
    ("annotations", "images"),
    [
        ("coco/annotations/person_keypoints_val2017_official_objects.json", "coco/images/val2017"),
        ("mpii/annotations/test_mpii.json", "mpii/images"),
    ],
    ids=["coco", "mpii"],
)
def test_a_real_file_is_extended_and_stripped_to_what_it_was(
    annotations: str, images: str, real: Path, tmp_path: Path
) -> None:
    card = real / "models" / "simplepose_nano_coco17.json"
    report = extend(real / annotations, real / images, [card], tmp_path / "extended.json")
    assert report.people["extended"] > 0
    strip_file(tmp_path / "extended.json", tmp_path / "stripped.json")
    before, after = (path.read_text() for path in (real / annotations, tmp_path / "stripped.json"))
    assert json.dumps(json.loads(after)) == json.dumps(json.loads(before))
