"""`annotext predict`: everything that predictors say about the people of a file, for later decisions."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
from dots import CARD, KEYPOINTS, DotPredictor, coco_document, write_dot_model, write_people

from annotext.cli.reports.extension import predict_text
from annotext.core.errors import AnnotextError, InputError
from annotext.formats.files.predictions import read_predictions, read_predictions_header
from annotext.workflows.extend import extend
from annotext.workflows.predict import PredictReport, UnlabelledOptions, predict

Cli = Callable[..., CompletedProcess[str]]


class People:
    """A folder with pictures of dots and their COCO file; the first is a crowd, the second has no keypoints."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.images, self.output = folder, folder / "images", folder / "said.parquet"
        self.poses, self.truth = write_people(self.images)
        document = coco_document(self.poses)
        for annotation, iscrowd in zip(document["annotations"][:2], (1, 0), strict=True):
            annotation |= {"keypoints": [0] * 51, "num_keypoints": 0, "iscrowd": iscrowd}
        self.annotations = folder / "people.json"
        self.annotations.write_text(json.dumps(document))

    def predict(self, *predictors: Any, **options: Any) -> PredictReport:
        return predict(self.annotations, self.images, predictors or [DotPredictor()], self.output, **options)


@pytest.fixture
def people(tmp_path: Path) -> People:
    return People(tmp_path)


def test_every_labelled_person_gets_all_the_keypoints_of_the_predictor(people: People) -> None:
    report = people.predict()
    [said] = read_predictions(people.output)
    assert said.skeleton.keypoints == KEYPOINTS  # the nose is labelled already
    assert np.array_equal(said.ids, people.poses.ids[2:])
    assert np.abs(said.xy - people.truth[2:]).max() < 0.35
    assert report.people == {"in_file": 7, "asked": 5, "found": 0, "without_keypoints": 1, "crowd": 1}


def test_people_without_keypoints_are_asked_about_on_request_and_crowds_never(people: People) -> None:
    report = people.predict(unlabelled=UnlabelledOptions())
    [said] = read_predictions(people.output)
    assert np.array_equal(said.ids, people.poses.ids[1:])
    assert report.people == {"in_file": 7, "asked": 6, "found": 0, "without_keypoints": 0, "crowd": 1}


def test_augmentations_add_their_features_and_change_nothing_else(people: People) -> None:
    people.predict()
    [plain] = read_predictions(people.output)
    report = people.predict(tta=["shift", "flip"], force=True)
    [said] = read_predictions(people.output)
    assert set(said.features) - set(plain.features) == {"flip", "shift"}
    assert report.tta == ("flip", "shift")
    assert "4 times per person (test-time augmentation: flip, shift)" in predict_text(report)
    for name, values in {"xy": plain.xy, "score": plain.score}.items():
        assert np.array_equal(getattr(said, name), values)
    assert np.array_equal(said.features["light"], plain.features["light"])


def test_what_predict_wrote_extends_as_if_extend_had_predicted(people: People) -> None:
    people.predict()
    one, other = people.folder / "one.json", people.folder / "other.json"
    extend(people.annotations, None, [], one, predictions=people.output)
    extend(people.annotations, people.images, [DotPredictor()], other)
    assert one.read_bytes() == other.read_bytes()


def test_extend_takes_augmentations_only_with_a_predictor(people: People) -> None:
    output = people.folder / "out.json"
    extend(people.annotations, people.images, [DotPredictor()], output, predictions=people.output, tta=["flip"])
    assert "flip" in read_predictions(people.output)[0].features
    with pytest.raises(AnnotextError, match="give --predictor"):
        extend(people.annotations, None, [], output, predictions=people.output, tta=["flip"], force=True)


def test_the_file_says_which_annotations_and_predictors_it_comes_from(people: People) -> None:
    people.predict(DotPredictor(), DotPredictor(replace(CARD, name="more", role="student")))
    header = read_predictions_header(people.output)
    assert [(p["name"], p["source"]) for p in header.predictors] == [("dots", "teacher"), ("more", "student")]
    assert len(header.input_sha256) == 64


def test_the_same_input_gives_the_same_report_and_bytes(people: People) -> None:
    seen = [(people.predict(tta=["flip"], force=True).to_dict(), people.output.read_bytes()) for _ in range(2)]
    assert seen[0] == seen[1]


def test_an_image_that_is_missing_stops_the_run_or_is_listed(people: People) -> None:
    (people.images / "003.png").unlink()
    with pytest.raises(InputError, match=r"003\.png"):
        people.predict()
    assert not people.output.exists()
    report = people.predict(skip_bad=True)
    assert [Path(p.path).name for p in report.skipped] == ["003.png"]
    assert report.predictors[0]["people"] == report.people["asked"] - 2


def test_an_output_in_the_way_is_refused_before_anything_is_predicted(people: People) -> None:
    people.output.write_text("mine")
    predictor = DotPredictor()
    with pytest.raises(InputError, match="exists"):
        people.predict(predictor)
    assert (predictor.batches, people.output.read_text()) == ([], "mine")


def test_a_file_with_nobody_to_ask_about_is_an_error_with_a_hint(people: People) -> None:
    document = json.loads(people.annotations.read_text())
    for annotation in document["annotations"]:
        annotation |= {"keypoints": [0] * 51, "num_keypoints": 0}
    people.annotations.write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"nobody to predict\n.*--unlabelled"):
        people.predict()
    assert people.predict(unlabelled=UnlabelledOptions()).people["asked"] == 6


def test_two_predictors_of_one_name_are_refused(people: People) -> None:
    with pytest.raises(AnnotextError, match="two predictors are named dots"):
        people.predict(DotPredictor(), DotPredictor())


def test_an_unknown_augmentation_is_refused(people: People) -> None:
    with pytest.raises(AnnotextError, match="no augmentation mirror, only flip, shift"):
        people.predict(tta=["mirror"])


def test_the_command_writes_the_parquet_and_prints_json(people: People, run_cli: Cli) -> None:
    pytest.importorskip("onnx")
    card = write_dot_model(people.folder / "model")
    arguments = ("predict", people.annotations, "--images", people.images, "--predictor", card, "-o", people.output)
    done = run_cli(*arguments, "--tta", "flip, shift", "--unlabelled", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["people"]["asked"] == 6
    assert {"flip", "shift", "outside"} <= set(report["predictors"][0]["features"])
    assert run_cli(*arguments).returncode == 1  # the output is there
    assert run_cli(*arguments, "--force").returncode == 0
    wrong = run_cli(*arguments, "--force", "--passes", "mirror")
    assert (wrong.returncode, "mirror" in wrong.stderr) == (2, True)


def test_a_frame_has_a_row_per_predictor(people: People) -> None:
    report = people.predict()
    frame = report.to_frame()
    assert frame["name"].tolist() == [p["name"] for p in report.predictors]
    assert frame["features"][0] == tuple(report.predictors[0]["features"])
