"""`annotext extend --unlabelled`: from people nobody labelled, and detections, to whole poses and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
from dots import DotPredictor, coco_document, write_dot_model, write_people

from annotext.cli.reports.extension import extension_text
from annotext.core.errors import InputError
from annotext.core.skeletons import COCO17
from annotext.evaluation.inputs import EvaluationInput
from annotext.formats.annotations.read import AnnotationFile, read_annotations
from annotext.workflows.decide import decide
from annotext.workflows.draw import draw
from annotext.workflows.extend import extend
from annotext.workflows.predict import UnlabelledOptions, predict
from annotext.workflows.strip import strip_file

Cli = Callable[..., CompletedProcess[str]]
NOSE = COCO17.index["nose"]


class Unlabelled:
    """Pictures of dots. Of the 9 people the first is labelled, the second a crowd; those of images 4 and 5 are not in
    the annotation file but in a detection file, which also finds the first again. The others have a box."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.images, self.output = folder, folder / "images", folder / "extended.json"
        self.poses, self.truth = write_people(self.images, images=6)
        self.document = coco_document(self.poses)
        everybody = self.document["annotations"]
        for annotation in everybody[1:]:
            annotation |= {"keypoints": [0] * 51, "num_keypoints": 0}
        everybody[1]["iscrowd"] = 1
        self.found = [i for i, a in enumerate(everybody) if a["image_id"] >= 4]
        self.boxed = [i for i in range(2, len(everybody)) if i not in self.found]
        again = [{"image_id": 0, "category_id": 1, "bbox": everybody[0]["bbox"], "score": 0.99}]
        weak = [{"image_id": 4, "category_id": 1, "bbox": [1, 2, 30, 40], "score": 0.2}]
        self.detected = [
            *again,
            *(
                {"image_id": everybody[i]["image_id"], "category_id": 1, "bbox": everybody[i]["bbox"], "score": score}
                for i, score in zip(self.found, (0.6, 0.9, 0.9), strict=True)
            ),
            *weak,
        ]
        self.document["annotations"] = [a for i, a in enumerate(everybody) if i not in self.found]
        self.annotations, self.detections = folder / "people.json", folder / "found.json"
        self.write()

    def write(self) -> None:
        self.annotations.write_text(json.dumps(self.document))
        self.detections.write_text(json.dumps(self.detected))

    def options(self, min_points: int = 3) -> UnlabelledOptions:
        return UnlabelledOptions(self.detections, min_points=min_points)

    def extend(self, unlabelled: UnlabelledOptions | None = None, **options: Any) -> Any:
        how = self.options() if unlabelled is None else unlabelled
        return extend(self.annotations, self.images, [DotPredictor()], self.output, unlabelled=how, **options)

    def read(self) -> AnnotationFile:
        return read_annotations(self.output)


@pytest.fixture
def place(tmp_path: Path) -> Unlabelled:
    return Unlabelled(tmp_path)


def test_people_with_a_box_and_found_ones_get_points_where_the_predictor_saw_them(place: Unlabelled) -> None:
    place.extend()
    file = place.read()
    assert file.pseudo is not None and file.additions is not None
    people = np.flatnonzero(file.pseudo.people)
    true = place.truth[[*place.boxed, *place.found]]
    assert np.abs(file.pseudo.own.xy[people, NOSE] - true[:, 0]).max() < 0.35
    added = [file.additions.keypoints.index(k) for k in ("upper_neck", "head_top")]
    assert np.abs(file.additions.xy[people][:, added] - true[:, 1:]).max() < 0.35
    assert file.pseudo.new.sum() == len(place.found)


def test_the_report_counts_them_apart_from_people_with_labels(place: Unlabelled) -> None:
    report = place.extend()
    n = len(place.boxed)
    assert report.people["extended"] == 1
    assert report.people["without_keypoints"] == n
    told = report.to_dict()["unlabelled"]
    assert told["people"] == {"in_all": n, "labelled": n, "left_empty": 0, "not_predicted": 0}
    assert told["found"]["labelled"] == len(place.found)
    assert told["detections"]["left_out"] == {
        "other_category": 0,
        "low_score": 1,
        "annotated_image": 1,
        "overlapping": 0,
    }
    assert told["keypoints"]["nose"] == {"added": n + len(place.found), "withheld": 0}
    assert told["keypoints"]["left_hip"] == {"added": 0, "withheld": 0}
    assert "pseudo-labelled" in extension_text(report)


def test_labels_crowds_and_images_with_annotations_are_not_touched(place: Unlabelled) -> None:
    place.extend()
    after = json.loads(place.output.read_text())["annotations"]
    assert after[0]["keypoints"][:51] == place.document["annotations"][0]["keypoints"]
    assert after[1]["keypoints"] == [0] * 63
    assert "own" not in after[1]["annotext"]
    new = [a for a in after if a["annotext"].get("new")]
    assert sorted({a["image_id"] for a in new}) == [4, 5]


def test_new_ids_follow_the_highest_are_unique_and_stay_with_another_threshold(place: Unlabelled) -> None:
    place.extend()
    ids = place.read().poses.ids.tolist()
    first = max(a["id"] for a in place.document["annotations"]) + 1
    new = [first + 1 + i for i in range(len(place.found))]  # the first detection is of an annotated image
    assert ids == [*(a["id"] for a in place.document["annotations"]), *new]
    place.extend(UnlabelledOptions(place.detections, min_detection=0.8, min_points=3), force=True)
    assert place.read().poses.ids.tolist() == [i for i in ids if i != new[0]]


def test_people_with_too_few_sure_points_stay_empty_and_found_ones_out(place: Unlabelled) -> None:
    report = place.extend(place.options(min_points=4))  # the predictor knows three
    file = json.loads(place.output.read_text())
    assert len(file["annotations"]) == len(place.document["annotations"])
    for annotation in file["annotations"][2:]:
        assert annotation["keypoints"] == [0] * 63
        assert annotation["annotext"]["candidate"] == [None] * 4
        assert annotation["annotext"]["reason"] == ["too few sure points of the person"] * 4
    assert report.to_dict()["unlabelled"]["people"]["left_empty"] == len(place.boxed)
    assert place.read().pseudo is None


def test_strip_gives_the_input_back_through_the_commands(place: Unlabelled, run_cli: Cli) -> None:
    pytest.importorskip("onnx")
    card = write_dot_model(place.folder / "model")
    arguments = ["extend", place.annotations, "--images", place.images, "--predictor", card, "-o", place.output]
    unlabelled = ["--unlabelled", "--detections", place.detections, "--min-detection", "0.3", "--min-points", "3"]
    done = run_cli(*arguments, *unlabelled, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["unlabelled"]["found"]["labelled"] == len(place.found)
    stripped = place.folder / "stripped.json"
    assert run_cli("strip", place.output, "-o", stripped).returncode == 0
    assert json.dumps(json.loads(stripped.read_text())) == place.annotations.read_text()


@pytest.mark.parametrize(
    "wrong", [["--detections", "found.json"], ["--min-points", "3"], ["--unlabelled", "--min-detection", "0.3"]]
)
def test_options_that_need_another_are_a_wrong_command_line(run_cli: Cli, wrong: list[str]) -> None:
    done = run_cli("extend", "a.json", "-o", "b.json", *wrong)
    assert done.returncode == 2
    assert "goes with" in done.stderr


def test_decisions_are_made_again_from_predictions(place: Unlabelled) -> None:
    parquet, again = place.folder / "p.parquet", place.folder / "again.json"
    place.extend(predictions=parquet)
    decide(parquet, place.annotations, again, unlabelled=place.options())
    assert again.read_bytes() == place.output.read_bytes()
    predict(
        place.annotations,
        place.images,
        [DotPredictor()],
        parquet,
        unlabelled=UnlabelledOptions(place.detections),
        force=True,
    )
    decide(parquet, place.annotations, again, unlabelled=place.options(), force=True)
    assert again.read_bytes() == place.output.read_bytes()


def test_predictions_of_other_detections_are_refused(place: Unlabelled) -> None:
    parquet = place.folder / "p.parquet"
    place.extend(predictions=parquet)
    place.detected.reverse()  # ids are positions: the same boxes in another order are other people
    place.write()
    with pytest.raises(InputError, match=r"p\.parquet: was not predicted from .*found\.json as it is now"):
        decide(parquet, place.annotations, place.folder / "again.json", unlabelled=place.options())


def test_without_the_option_people_without_labels_stay_as_they_were(place: Unlabelled) -> None:
    extend(place.annotations, place.images, [DotPredictor()], place.output)
    assert place.read().pseudo is None


def test_whole_poses_can_be_evaluated_and_drawn(place: Unlabelled) -> None:
    place.extend()
    judged = EvaluationInput.of_file(place.read())
    given = np.isfinite(judged.xy[:, NOSE]).all(axis=-1)
    assert given.sum() == 1 + len(place.boxed) + len(place.found)
    assert (judged.score[given, NOSE] > 0).all()
    report = draw(place.output, place.images, place.folder / "sheet.png")
    assert report.of == 1 + len(place.boxed) + len(place.found)


def test_mpii_records_without_joints_get_all_and_come_back(place: Unlabelled) -> None:
    box = place.poses.bbox_xywh[2]
    center = (box[:2] + box[2:] / 2 + 1 - [0, 15 * max(box[2:]) / 200]).tolist()
    bare = {"image": "001.png", "center": center, "scale": max(box[2:]) / 200}
    place.annotations.write_text(json.dumps([bare]))
    report = place.extend(UnlabelledOptions(min_points=3))
    file = place.read()
    assert file.pseudo is not None and file.additions is not None
    assert report.to_dict()["unlabelled"]["people"]["labelled"] == 1
    assert not file.poses.labelled[:, :16].any()
    names = file.pseudo.own.keypoints
    found = file.pseudo.own.xy[0, [names.index(k) for k in ("upper_neck", "head_top")]]
    assert np.abs(found - place.truth[2, 1:]).max() < 0.35
    strip_file(place.output, place.folder / "stripped.json")
    assert json.loads((place.folder / "stripped.json").read_text()) == [bare]


def test_an_mpii_file_takes_no_detections(place: Unlabelled) -> None:
    place.annotations.write_text(json.dumps([{"image": "001.png", "center": [50.0, 50.0], "scale": 0.5}]))
    with pytest.raises(InputError, match="is an MPII file"):
        place.extend()


@pytest.mark.real
def test_real_people_without_keypoints_are_labelled_and_stripped_again(real: Path, tmp_path: Path) -> None:
    annotations = real / "coco/annotations/person_keypoints_val2017_official_objects.json"
    card = real / "models" / "simplepose_nano_coco17.json"
    report = extend(
        annotations, real / "coco/images/val2017", [card], tmp_path / "out.json", unlabelled=UnlabelledOptions()
    )
    told = report.to_dict()["unlabelled"]["people"]
    assert told["in_all"] == 38
    assert told["labelled"] > 19
    strip_file(tmp_path / "out.json", tmp_path / "stripped.json")
    before, after = (path.read_text() for path in (annotations, tmp_path / "stripped.json"))
    assert json.dumps(json.loads(after)) == json.dumps(json.loads(before))
