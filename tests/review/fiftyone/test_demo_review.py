"""What the demo leaves for a reviewer, from files made without a student."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from annotext.calibration.baseline import pose_only_predictions
from annotext.cli.reports.demo import review_text
from annotext.formats.annotations.read import read_annotations
from annotext.formats.files.predictions import write_predictions
from annotext.workflows.decide import decide
from annotext.workflows.demo import ready_for_review
from annotext.workflows.synth import synthesise

ADDED = {"coco": ["upper_neck", "head_top"], "mpii": ["nose", "left_ear"]}


@pytest.mark.slow
def test_the_demos_two_files_become_datasets_that_one_command_opens(tmp_path: Path, fo: ModuleType) -> None:
    synthesise(tmp_path / "people", 120, 3, sets=tuple(ADDED))
    labels = {name: tmp_path / "people" / name / "annotations.json" for name in ADDED}
    images = {name: tmp_path / "people" / name / "images" for name in ADDED}
    extended, predicted = {}, {}
    for name, other in (("coco", "mpii"), ("mpii", "coco")):
        predicted[name], extended[name] = tmp_path / f"{name}.parquet", tmp_path / f"{name}.json"
        guessed = pose_only_predictions(labels[other], labels[name], ADDED[name])
        write_predictions(predicted[name], [guessed], input_sha256=read_annotations(labels[name]).sha256, force=False)
        decide(predicted[name], labels[name], extended[name], calibration=None)

    # Twice: an earlier demo is replaced.
    for _ in range(2):
        review = ready_for_review(extended, images, predicted)
        assert review.problem == ""
        for name in ADDED:
            dataset = fo.load_dataset(f"annotext-demo-{name}")
            people = read_annotations(extended[name]).poses
            shown = {i for sample in dataset.values("people.keypoints.person") if sample for i in sample}
            assert shown == set(people.ids[people.has_keypoints].tolist())
    most = max(review.built.values(), key=lambda report: report.to_review)
    assert most.to_review > 0
    assert f"review open {most.dataset}" in review_text(review).splitlines()[-1]


def test_what_keeps_the_demo_from_a_review_is_said_and_the_rest_stands(tmp_path: Path, fo: ModuleType) -> None:
    missing = tmp_path / "gone.json"
    review = ready_for_review({"coco": missing}, {"coco": tmp_path}, {"coco": tmp_path / "gone.parquet"})
    assert not review.built
    assert "gone.json" in review_text(review)
