"""What `annotext evaluate` says about files and predictions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from people import perturbed, random_people
from scipy.io import savemat
from typer.testing import CliRunner

from annotext.cli.main import app
from annotext.cli.reports.evaluation import evaluation_text
from annotext.core.additions import Additions, Source
from annotext.core.errors import AnnotextError, InputError
from annotext.core.poses import Poses
from annotext.core.predictions import Predictions, PredictorIdentity
from annotext.core.skeletons import COCO17, MPII16, UNION21
from annotext.evaluation.inputs import EvaluationInput
from annotext.evaluation.report import evaluate
from annotext.formats.annotations.head_sizes import with_head_sizes
from annotext.formats.annotations.read import read_annotations
from annotext.formats.files.predictions import write_predictions
from annotext.formats.overlay.write import write_extended
from annotext.workflows.evaluate import evaluate_files


def _coco_file(path: Path, poses: Poses, headbox: bool = True) -> Path:
    annotations = []
    for i in range(len(poses)):
        person: dict[str, Any] = {
            "id": int(poses.ids[i]),
            "image_id": int(poses.image_index[i]) + 1,
            "category_id": 1,
            "iscrowd": int(poses.crowd[i]),
            "area": float(poses.area[i]),
            "bbox": poses.bbox_xywh[i].tolist(),
            "num_keypoints": int(poses.labelled[i].sum()),
            "keypoints": np.column_stack([np.nan_to_num(poses.xy[i]), poses.visibility[i]]).reshape(-1).tolist(),
        }
        if poses.crowd[i]:
            person["segmentation"] = {"counts": [0], "size": [1, 1]}
        if headbox:
            person["headbox"] = [0.0, 0.0, 0.0, float(poses.head_size[i] / 0.6)]
        annotations.append(person)
    document = {
        "images": [
            {"id": i + 1, "file_name": image.file_name, "width": 640, "height": 480}
            for i, image in enumerate(poses.images)
        ],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "keypoints": list(poses.skeleton.keypoints), "skeleton": []}],
    }
    path.write_text(json.dumps(document))
    return path


def _mpii_file(path: Path, poses: Poses) -> Path:
    records = []
    for i, name in enumerate(poses.file_names()):
        records.append(
            {
                "image": name,
                "center": [100.0, 100.0],
                "scale": 1.0,
                "joints": np.where(np.isnan(poses.xy[i]), -1.0, poses.xy[i] + 1).tolist(),
                "joints_vis": poses.labelled[i].astype(int).tolist(),
            }
        )
    path.write_text(json.dumps(records))
    return path


def _judged(poses: Poses, xy: np.ndarray, score: np.ndarray | None = None) -> EvaluationInput:
    n, k = poses.visibility.shape
    points = np.ones((n, k)) if score is None else np.repeat(score[:, None], k, axis=1)
    return EvaluationInput("model", poses.skeleton, poses.ids, tuple(poses.file_names()), xy, points)


def _whole(skeleton: Any, n: int = 30, **more: Any) -> Poses:
    return random_people(skeleton, n=n, labelled=1.0, unlabelled_people=0, crowds=0, **more)


def test_a_file_is_perfect_against_itself(tmp_path: Path) -> None:
    truth = _coco_file(tmp_path / "truth.json", _whole(UNION21))
    report = evaluate_files(truth, truth).to_dict()
    assert report["oks"]["sigmas"] == "union21"
    assert [report["oks"][k] for k in ("AP", "AP50", "AP75", "AR", "AR50", "AR75", "mean")] == [1.0] * 7
    assert report["pckh@0.5"]["mean"] == report["pckh@0.1"]["mean"] == 100.0
    assert list(report["keypoints"]) == list(UNION21.keypoints)
    assert report["keypoints"]["nose"] == {"n": 30, "missing": 0, "mean_error_px": 0.0, "pck@0.2": 100.0}


def test_the_json_has_the_promised_keys(tmp_path: Path) -> None:
    truth = _coco_file(tmp_path / "truth.json", _whole(UNION21))
    result = CliRunner().invoke(app, ["evaluate", str(truth), str(truth), "--json"])
    report = json.loads(result.stdout)
    assert result.exit_code == 0
    assert set(report["oks"]) >= {"sigmas", "AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL"}
    assert set(report["pckh@0.5"]) == {"mean", *UNION21.keypoints}
    assert set(report["pckh@0.1"]) == {"mean", *UNION21.keypoints}
    assert set(report["keypoints"]["pelvis"]) >= {"n", "mean_error_px", "pck@0.2"}


def test_people_are_matched_by_id_and_image_not_by_order() -> None:
    truth = _whole(COCO17)
    order = np.random.default_rng(0).permutation(30)
    shuffled = truth.take(order)
    assert evaluate(truth, _judged(shuffled, shuffled.xy)).oks_mean == 1.0


def test_the_same_id_on_another_image_is_another_person() -> None:
    truth = _whole(COCO17)
    names = list(truth.file_names())
    names[3] = "elsewhere.jpg"
    report = evaluate(truth, replace(_judged(truth, truth.xy), file_names=tuple(names)))
    assert report.people["matched"] == 29
    assert report.people["only_in_truth"] == report.people["only_in_predictions"] == 1
    assert any("have no prediction" in note for note in report.notes)


def test_a_missed_person_lowers_recall_and_not_the_mean_oks() -> None:
    truth = _whole(COCO17, n=40)
    kept = truth.take(np.arange(10, 40))
    report = evaluate(truth, _judged(kept, kept.xy))
    assert report.oks_mean == 1.0
    assert report.average_precision["AR"] == pytest.approx(0.75)


def test_nobody_in_common_is_an_error() -> None:
    truth = _whole(COCO17)
    other = replace(truth, ids=truth.ids + 1000)
    with pytest.raises(AnnotextError, match="no person in common"):
        evaluate(truth, _judged(other, other.xy))


def test_only_keypoints_both_have_are_compared() -> None:
    truth, mpii = _whole(UNION21), _whole(MPII16)
    report = evaluate(truth, _judged(mpii, mpii.xy))
    assert list(report.keypoints) == [k for k in UNION21.keypoints if k in MPII16.index]


def test_the_pooled_mean_leaves_out_what_mpii_derives() -> None:
    truth = _whole(MPII16)
    xy = truth.xy.copy()
    xy[:, MPII16.indices(["pelvis", "thorax"])] += 1000
    report = evaluate(truth, _judged(truth, xy)).to_dict()
    assert report["pckh@0.5"]["mean"] == 100.0
    assert report["pckh@0.5"]["pelvis"] == 0.0


def test_a_known_shift_is_the_mean_error() -> None:
    truth = _whole(COCO17)
    figures = evaluate(truth, _judged(truth, truth.xy + np.array([3.0, 4.0]))).keypoints
    assert [f.mean_error_px for f in figures.values()] == pytest.approx([5.0] * 17)


def test_a_point_not_given_is_missing_and_wrong_but_not_in_the_mean_error() -> None:
    truth = _whole(COCO17, n=4)
    xy = truth.xy.copy()
    xy[0, 0] = np.nan
    figures = evaluate(truth, _judged(truth, xy)).keypoints["nose"]
    assert (figures.n, figures.missing, figures.mean_error_px, figures.pck) == (4, 1, 0.0, 75.0)


def test_crowds_are_not_judged() -> None:
    truth = random_people(COCO17, n=60, labelled=1.0, unlabelled_people=0, crowds=0.4)
    xy = truth.xy.copy()
    xy[truth.crowd] += 1e5
    report = evaluate(truth, _judged(truth, xy))
    assert 0 < report.people["crowds"] < 60
    assert report.oks_mean == 1.0
    assert report.keypoints["nose"].n == 60 - report.people["crowds"]


def test_the_report_says_null_where_there_is_nothing_to_say(tmp_path: Path) -> None:
    truth = _mpii_file(tmp_path / "truth.json", _whole(MPII16))
    report = evaluate_files(truth, truth)
    text = json.dumps(report.to_dict(), allow_nan=False)
    assert json.loads(text)["oks"]["AP"] is None
    assert json.loads(text)["pckh@0.5"]["mean"] is None
    assert "nan" not in evaluation_text(report)
    assert any("no OKS" in n for n in report.notes)
    assert any("no PCKh" in n for n in report.notes)


def test_an_mpii_pair_is_matched_by_order_and_image(tmp_path: Path) -> None:
    people = _whole(MPII16, n=20)
    other = people.take(np.arange(15))
    shifted = replace(other, xy=other.xy + np.array([0.0, 2.0]))
    report = evaluate_files(_mpii_file(tmp_path / "a.json", people), _mpii_file(tmp_path / "b.json", shifted))
    assert report.people["matched"] == 15
    assert report.keypoints["head_top"].mean_error_px == pytest.approx(2.0)


def test_a_parquet_of_predictions_is_judged(tmp_path: Path) -> None:
    people = _whole(UNION21)
    truth = _coco_file(tmp_path / "truth.json", people)
    xy, score = perturbed(people)
    predictions = Predictions(
        predictor=PredictorIdentity("nano", "0" * 64, Source.STUDENT),
        skeleton=UNION21,
        ids=people.ids,
        file_names=tuple(people.file_names()),
        xy=xy.astype(np.float32),
        score=np.repeat(score[:, None], 21, axis=1).astype(np.float32),
    )
    path = tmp_path / "p.parquet"
    other = replace(predictions, predictor=PredictorIdentity("big", "1" * 64, Source.TEACHER))
    write_predictions(path, [predictions], input_sha256="2" * 64, force=False)
    report = evaluate_files(truth, path)
    assert report.judged == "nano"
    assert report.to_dict()["oks"] == evaluate(people, EvaluationInput.of_predictions(predictions)).to_dict()["oks"]
    both = tmp_path / "both.parquet"
    write_predictions(both, [predictions, other], input_sha256="2" * 64, force=False)
    with pytest.raises(InputError, match="holds 2 predictors: nano, big"):
        evaluate_files(truth, both)
    assert evaluate_files(truth, both, predictor="big").judged == "big"
    with pytest.raises(InputError, match="has no predictor huge"):
        evaluate_files(truth, both, predictor="huge")


@pytest.fixture
def extended(tmp_path: Path) -> tuple[Path, Path]:
    """A truth of all 21 and a COCO file extended from it: pelvis derived and 1 px off, neck by a student and 2 px off,
    head top withheld and 3 px off, thorax without an estimate."""
    people = _whole(UNION21, n=12)
    truth = _coco_file(tmp_path / "truth.json", people)
    plain = _coco_file(tmp_path / "coco.json", people.to(COCO17))
    added = ("pelvis", "thorax", "upper_neck", "head_top")
    xy = people.xy[:, UNION21.indices(added)].copy()
    xy += np.array([[1.0, 0.0], [np.nan, np.nan], [2.0, 0.0], [3.0, 0.0]])
    row = [Source.DERIVED, Source.NONE, Source.STUDENT, Source.STUDENT]
    additions = Additions(
        keypoints=added,
        xy=xy,
        visibility=np.tile(np.array([2, 0, 2, 0], dtype=np.uint8), (12, 1)),
        source=np.array([row] * 12, dtype=object),
        score=np.tile([1.0, 0.0, 0.8, 0.1], (12, 1)),
    )
    file = read_annotations(plain)
    output = tmp_path / "extended.json"
    header = {
        "version": "0.1.0",
        "skeleton": "coco17",
        "added": list(added),
        "predictors": [{"name": "nano", "sha256": "0" * 64, "source": "student"}],
        "policy": {"min_score": 0.3},
        "input_sha256": file.sha256,
    }
    write_extended(file, additions, header, output, force=False)
    return truth, output


def test_added_points_are_judged_by_source_and_withheld_ones_apart(extended: tuple[Path, Path]) -> None:
    added = evaluate_files(*extended).to_dict()["added"]
    assert {k: list(v) for k, v in added.items()} == {
        "pelvis": ["derived"],
        "thorax": [],
        "upper_neck": ["student"],
        "head_top": ["withheld"],
    }
    errors = [f["mean_error_px"] for sources in added.values() for f in sources.values()]
    assert errors == pytest.approx([1.0, 2.0, 3.0], abs=0.01)  # files hold hundredths of a pixel


def test_a_withheld_point_counts_as_missing(extended: tuple[Path, Path]) -> None:
    figures = evaluate_files(*extended).keypoints
    assert (figures["head_top"].n, figures["head_top"].missing) == (12, 12)
    assert np.isnan(figures["head_top"].mean_error_px)
    assert figures["upper_neck"].missing == 0


def test_only_the_added_points_can_be_compared(extended: tuple[Path, Path]) -> None:
    report = evaluate_files(*extended, only_added=True)
    assert list(report.keypoints) == ["pelvis", "thorax", "upper_neck", "head_top"]


def test_a_file_without_added_points_cannot_be_narrowed_to_them(extended: tuple[Path, Path]) -> None:
    truth, _ = extended
    with pytest.raises(InputError, match="has no added keypoints"):
        evaluate_files(truth, truth, only_added=True)


def test_another_sigma_set_changes_the_oks_and_is_named() -> None:
    truth = _whole(UNION21)
    xy, _ = perturbed(truth)
    names = ("head_top", "upper_neck")
    official = evaluate(truth, _judged(truth, xy), keypoints=names)
    mmpose = evaluate(truth, _judged(truth, xy), keypoints=names, sigmas="mmpose-halpe26")
    assert mmpose.to_dict()["oks"]["sigmas"] == "mmpose-halpe26"
    assert mmpose.oks_mean < official.oks_mean


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigmas": "nobody"}, "unknown sigma set nobody; there are coco17"),
        ({"sigmas": "coco17"}, "sigma set coco17 has no value for pelvis, thorax, upper_neck, head_top"),
        ({"keypoints": ["left_toe"]}, "cannot compare left_toe: truth"),
    ],
)
def test_a_wrong_name_says_what_there_is(options: dict[str, Any], message: str) -> None:
    truth = _whole(UNION21)
    with pytest.raises(AnnotextError, match=message):
        evaluate(truth, _judged(truth, truth.xy), **options)


def test_faulty_records_can_be_left_out_and_are_told(extended: tuple[Path, Path]) -> None:
    truth, output = extended
    for path, row in ((truth, 1), (output, 2)):
        document = json.loads(path.read_text())
        document["annotations"][row]["bbox"] = [1, 1, 0, 0]
        path.write_text(json.dumps(document))
    report = evaluate_files(truth, output, skip_bad=True)
    assert report.people["matched"] == 10
    assert [p["pointer"] for p in report.to_dict()["skipped"]] == ["annotations[1].bbox", "annotations[2].bbox"]
    with pytest.raises(InputError):
        evaluate_files(truth, output)


def test_a_failure_is_one_message_and_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import sys

    from annotext.cli.main import main

    arguments = sys.argv
    sys.argv = ["annotext", "evaluate", str(tmp_path / "none.json"), str(tmp_path / "none.json")]
    try:
        with pytest.raises(SystemExit) as exit_:
            main()
    finally:
        sys.argv = arguments
    assert exit_.value.code == 1
    assert "none.json: cannot be read" in capsys.readouterr().err


def _validation_mat(path: Path, poses: Poses, **changes: Any) -> Path:
    """mpii_gt_val.mat as HRNet ships it: pixels from 1, heads of 10, 20, ... px."""
    n = len(poses)
    boxes = np.zeros((2, 2, n))
    boxes[1, 1] = 10 * (1 + np.arange(n)) / 0.6
    content = {
        "headboxes_src": boxes,
        "pos_gt_src": np.moveaxis(np.nan_to_num(poses.xy + 1), 0, -1),
        "jnt_missing": (~poses.labelled.T).astype(np.uint8),
    }
    savemat(path, {**content, **changes})
    return path


def test_head_sizes_come_from_the_validation_mat(tmp_path: Path) -> None:
    people = replace(random_people(MPII16, n=6), head_size=np.full(6, np.nan))
    sized = with_head_sizes(people, _validation_mat(tmp_path / "gt.mat", people))
    assert sized.head_size == pytest.approx([10, 20, 30, 40, 50, 60])


def test_a_validation_mat_of_other_people_is_refused(tmp_path: Path) -> None:
    people = _whole(MPII16, n=6)
    swapped = people.take([1, 0, 2, 3, 4, 5])
    with pytest.raises(InputError, match=r"another person than record 0 of the truth \(2 of 6 differ\)"):
        with_head_sizes(people, _validation_mat(tmp_path / "gt.mat", swapped))
    with pytest.raises(InputError, match=r"expected \(2, 2, 6\)"):
        with_head_sizes(people, _validation_mat(tmp_path / "gt.mat", people.take(np.arange(4))))


def test_head_sizes_come_from_the_release_mat_by_image_and_joints(tmp_path: Path) -> None:
    people = replace(random_people(MPII16, n=5, images=2, unlabelled_people=0), head_size=np.full(5, np.nan))
    names = people.file_names()
    images = []
    for name in ["other.jpg", *sorted(set(names))]:
        rects = []
        for row in [i for i, n in enumerate(names) if n == name][::-1]:
            points = [
                {"x": float(x + 1), "y": float(y + 1), "id": joint}
                for joint, (x, y) in enumerate(people.xy[row])
                if np.isfinite(x)
            ]
            box = {"x1": 5.0, "y1": 5.0, "x2": 5.0, "y2": 5.0 + 10 * (row + 1) / 0.6}
            rects.append({**box, "annopoints": {"point": np.array(points, dtype=object)}})
        images.append({"image": {"name": name}, "annorect": np.array(rects, dtype=object)})
    savemat(tmp_path / "mpii.mat", {"RELEASE": {"annolist": _structs(images)}})
    assert with_head_sizes(people, tmp_path / "mpii.mat").head_size == pytest.approx([10, 20, 30, 40, 50])


def _structs(items: list[dict[str, Any]]) -> np.ndarray:
    """A MATLAB struct array, nested ones included."""
    array = np.zeros((1, len(items)), dtype=[(key, object) for key in items[0]]) if items else np.zeros((0, 0))
    for i, item in enumerate(items):
        for key, value in item.items():
            if isinstance(value, np.ndarray) and value.dtype == object:
                value = _structs(list(value))
            elif isinstance(value, dict):
                value = _structs([value])
            array[0, i][key] = value
    return array


def test_a_file_that_is_no_mat_says_so(tmp_path: Path) -> None:
    (tmp_path / "x.mat").write_text("hello")
    with pytest.raises(InputError, match="no MATLAB file"):
        with_head_sizes(_whole(MPII16), tmp_path / "x.mat")


@pytest.mark.real
def test_real_mpii_head_boxes_and_labels_agree_with_themselves(real: Path) -> None:
    val = real / "mpii" / "annotations" / "mpii_val_from_h5.json"
    report = evaluate_files(val, real / "mpii" / "annotations" / "test_mpii.json").to_dict()
    assert report["people"]["matched"] == 5
    assert report["pckh@0.1"]["mean"] == 100.0


def test_a_frame_has_a_row_per_keypoint(tmp_path: Path) -> None:
    truth = _coco_file(tmp_path / "truth.json", _whole(COCO17))
    report = evaluate_files(truth, truth)
    frame = report.to_frame().set_index("keypoint")
    assert list(frame.index) == list(report.keypoints)
    assert frame.loc["nose", "n"] == report.keypoints["nose"].n
    assert frame.loc["nose", "pckh@0.5"] == report.pckh[0.5]["nose"] == 100
