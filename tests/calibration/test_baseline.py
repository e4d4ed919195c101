"""The no-image baseline on files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from annotext.calibration.baseline import pose_only_predictions
from annotext.core.errors import InputError
from annotext.core.poses import Poses
from annotext.core.skeletons import COCO17, MPII16
from annotext.evaluation.inputs import EvaluationInput
from annotext.evaluation.report import evaluate
from annotext.formats.annotations.read import read_annotations


def _real_mpii(real: Path) -> tuple[Poses, Poses]:
    """The people of MPII train, and val."""
    import gzip
    import json

    records = json.loads(gzip.decompress((real / "mpii/annotations/mpii_train_from_csv.json.gz").read_bytes()))
    xy = np.array([r["joints"] for r in records], dtype=float) - 1
    labelled = np.array([r["joints_vis"] for r in records]) > 0
    val = read_annotations(real / "mpii/annotations/mpii_val_from_h5.json").poses
    n = len(records)
    train = Poses(
        skeleton=MPII16,
        xy=np.where(labelled[..., None], xy, np.nan),
        visibility=np.where(labelled, 2, 0).astype(np.uint8),
        bbox_xywh=np.ones((n, 4)),
        area=np.full(n, np.nan),
        image_index=np.zeros(n, dtype=np.int64),
        images=val.images[:1],
        ids=np.arange(n),
        crowd=np.zeros(n, dtype=bool),
        head_size=np.full(n, np.nan),
    )
    return train, val


@pytest.mark.real
@pytest.mark.slow
def test_on_real_mpii_it_beats_midpoint_heuristics_at_neck_and_head_top(real: Path) -> None:
    # Measured: 97.5 / 70.9 within 0.5 head size, 31.2 / 6.4 within 0.1. Midpoint heuristics: 94.8 / 45.7.
    from annotext.calibration.baseline import identity, predict_people
    from annotext.calibration.pose_only import fit

    train, val = _real_mpii(real)
    model = fit(train, MPII16.shared_with(COCO17), ("upper_neck", "head_top"))
    predictions = predict_people(model, train, val, identity(model))
    pckh = evaluate(val, EvaluationInput.of_predictions(predictions)).pckh
    assert pckh[0.5]["upper_neck"] > 97.3
    assert pckh[0.5]["head_top"] > 70.4
    assert pckh[0.1]["upper_neck"] > 30.7


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from annotext.workflows.synth import synthesise

    folder = tmp_path_factory.mktemp("synth") / "sets"
    synthesise(folder, people=150, seed=0, sets=("coco", "mpii"), workers=1)
    return folder


def test_every_person_gets_every_point(sets: Path) -> None:
    predictions = pose_only_predictions(
        sets / "coco/annotations.json", sets / "mpii/annotations.json", ("nose", "left_ear")
    )
    assert len(predictions) == 150
    assert predictions.skeleton.keypoints == ("nose", "left_ear")
    assert np.isfinite(predictions.xy).all()


def test_it_is_much_nearer_than_the_middle_of_the_box(sets: Path) -> None:
    truth = read_annotations(sets / "coco/truth.json").poses
    names = ("upper_neck", "head_top")
    predictions = pose_only_predictions(sets / "mpii/annotations.json", sets / "coco/annotations.json", names)
    figures = evaluate(truth, EvaluationInput.of_predictions(predictions)).keypoints
    middle = (truth.bbox_xywh[:, :2] + truth.bbox_xywh[:, 2:] / 2)[:, None]
    from_middle = np.linalg.norm(truth.xy - middle, axis=-1)
    for name in names:
        assert figures[name].mean_error_px < 0.5 * np.nanmean(from_middle[:, truth.skeleton.index[name]])


def test_what_the_teaching_file_does_not_annotate_is_refused(sets: Path) -> None:
    with pytest.raises(InputError, match="does not annotate head_top"):
        pose_only_predictions(sets / "coco/annotations.json", sets / "mpii/annotations.json", ("head_top",))
