"""calibration.json: back to the bit, strict, and of one predictor only."""

from __future__ import annotations

import base64
import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from calibrations import STUDENT, calibration_model, standing_people, student_predictions

from annotext.calibration.files import FORMAT, Calibration, read_calibration, write_calibration
from annotext.calibration.model import Truth
from annotext.core.additions import Source
from annotext.core.errors import InputError
from annotext.core.predictions import PredictorIdentity
from annotext.formats.files.jsonio import dump_json
from annotext.formats.files.typed import to_json

MODEL = calibration_model()
OTHER = PredictorIdentity("another", "0" * 64, Source.STUDENT)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    return write_calibration(MODEL, tmp_path_factory.mktemp("run") / "calibration.json", force=False)


@pytest.fixture
def document(written: Calibration) -> dict[str, Any]:
    return orjson.loads(written.path.read_bytes())


def problems(tmp_path: Path, document: Any) -> list[str]:
    path = tmp_path / "calibration.json"
    path.write_bytes(dump_json(document))
    with pytest.raises(InputError) as caught:
        read_calibration(path)
    return [f"{p.pointer}: {p.problem}" for p in caught.value.problems]


def test_a_model_that_was_read_gives_the_points_of_the_one_written(written: Calibration) -> None:
    poses, truth = standing_people(50, seed=3)
    predictions = student_predictions(poses, truth)
    before, after = (m.points(poses, [predictions]) for m in (MODEL, read_calibration(written.path).model))
    for field in ("xy", "score", "radius", "anchored"):
        assert np.array_equal(getattr(before, field), getattr(after, field), equal_nan=True)
    assert np.isfinite(after.score).any()


def test_what_is_read_is_written_to_the_same_bytes(written: Calibration, tmp_path: Path) -> None:
    read = read_calibration(written.path)
    again = write_calibration(read.model, tmp_path / "again.json", force=False)
    assert again.path.read_bytes() == written.path.read_bytes()
    assert again.sha256 == read.sha256 == written.sha256


def test_a_run_stands_for_the_file_in_it(written: Calibration) -> None:
    assert read_calibration(written.path.parent).sha256 == written.sha256


def test_a_run_without_one_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no calibration\.json\n  hint: annotext calibrate"):
        read_calibration(tmp_path)


def test_a_calibration_of_another_student_is_refused_by_name(written: Calibration) -> None:
    written.check([OTHER, STUDENT])
    with pytest.raises(InputError, match=r"is of the predictor abababababab, .* are of another \(000000000000\)"):
        written.check([OTHER])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(format="annotext-calibration/9"), 'format: is "annotext-calibration/9", expected'),
        (lambda d: d.pop("format"), "format: is missing, expected annotext-calibration/1"),
        (lambda d: d.update(extra=1), "extra: unknown key"),
        (lambda d: d.pop("model"), "model: is missing"),
        (lambda d: d["model"].update(predictor_sha256="zz"), "model.predictor_sha256: is no sha256"),
        (lambda d: d["model"]["parts"][0].pop("anchor"), "model.parts[0].anchor: is missing"),
        (lambda d: d["model"]["parts"][0].update(inputs="nose"), 'model.parts[0].inputs: is "nose", expected a list'),
        (lambda d: d["model"]["parts"][0]["truth"].update(people=1.5), "truth.people: is 1.5, expected a whole"),
        (lambda d: d["model"]["parts"][0]["truth"].update(sha256="a"), "model.parts[0].truth.sha256: is no sha256"),
        (
            lambda d: d["model"]["parts"][0]["anchor"]["on"].__setitem__(0, 1),
            "model.parts[0].anchor.on[0]: is 1, expected true or false",
        ),
        (
            lambda d: d["model"]["parts"][0]["calibration"]["head_top"].update(criterion="oks"),
            'calibration.head_top.criterion: is "oks", expected one of',
        ),
        (
            lambda d: d["model"]["parts"][0]["calibration"]["head_top"].update(weights=[1.0]),
            "model.parts[0].calibration.head_top: calibration of head_top: weights must be",
        ),
        (
            lambda d: d["model"]["parts"][0]["pose_only"]["weights"].update(dtype="float64"),
            'pose_only.weights.dtype: is "float64", expected float32',
        ),
        (
            lambda d: d["model"]["parts"][0]["pose_only"]["weights"].update(base64="!"),
            "pose_only.weights.base64: is no base64 text",
        ),
        (
            lambda d: d["model"]["parts"][0]["pose_only"]["weights"].update(shape=[1, 1, 2]),
            "bytes, a shape of [1, 1, 2] needs 8",
        ),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, document: dict[str, Any], change: Any, message: str) -> None:
    change(document)
    found = problems(tmp_path, document)
    assert len(found) == 1 and message in found[0], found


def test_all_faults_are_named_at_once(tmp_path: Path, document: dict[str, Any]) -> None:
    part = document["model"]["parts"][0]
    part["nonsense"] = 1
    part["truth"]["file"] = None
    part["calibration"]["upper_neck"]["mean"] = [0.0, "x"]
    document["more"] = 1
    assert [p.split(": ")[0] for p in problems(tmp_path, document)] == [
        "more",
        "model.parts[0].nonsense",
        "model.parts[0].calibration.upper_neck.mean[1]",
        "model.parts[0].truth.file",
    ]


def _leaves(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place] + [leaf for key, inner in items for leaf in _leaves(inner, (*place, key))]


@pytest.mark.parametrize("nonsense", [None, [], {}, "x", -1, 1e300, True], ids=repr)
def test_any_value_anywhere_is_read_or_refused_never_a_crash(
    tmp_path: Path, document: dict[str, Any], nonsense: Any
) -> None:
    places = _leaves(document)
    for place in [places[i] for i in np.random.default_rng(0).permutation(len(places))[:60].tolist()]:
        broken: Any = copy.deepcopy(document)
        target = broken
        for key in place[:-1]:
            target = target[key]
        if not place:
            broken = nonsense
        else:
            target[place[-1]] = nonsense
        (tmp_path / "c.json").write_bytes(dump_json(broken))
        try:
            assert read_calibration(tmp_path / "c.json").model.parts is not None
        except InputError as error:
            assert str(tmp_path / "c.json") in str(error)


def test_the_format_is_named_with_its_version(document: dict[str, Any]) -> None:
    assert document["format"] == FORMAT == "annotext-calibration/1"


def test_a_model_with_numbers_that_are_not_finite_is_refused_before_it_is_written(
    tmp_path: Path, written: Calibration
) -> None:
    part = written.model.parts[0]
    broken = replace(part.pose_only, weights=np.full_like(part.pose_only.weights, np.nan))
    model = replace(written.model, parts=(replace(part, pose_only=broken), *written.model.parts[1:]))
    with pytest.raises(InputError, match=r"parts\[0\]\.pose_only\.weights: holds numbers that are not finite"):
        write_calibration(model, tmp_path / "calibration.json", force=False)
    assert not list(tmp_path.iterdir())


def test_a_file_with_numbers_that_are_not_finite_is_refused(tmp_path: Path, document: dict[str, Any]) -> None:
    weights = document["model"]["parts"][0]["pose_only"]["weights"]
    count = len(base64.b64decode(weights["base64"])) // 4
    weights["base64"] = base64.b64encode(np.full(count, np.nan, "<f4").tobytes()).decode()
    assert problems(tmp_path, document) == ["model.parts[0].pose_only.weights: holds numbers that are not finite"]


def test_further_truths_of_a_part_are_kept_and_left_out_where_there_are_none(
    tmp_path: Path, written: Calibration, document: dict[str, Any]
) -> None:
    assert "also" not in document["model"]["parts"][0]
    more = Truth("reviewed", "corrected.json", "0" * 64, 300)
    first, *rest = written.model.parts
    model = replace(written.model, parts=(replace(first, also=(more,)), *rest))
    write_calibration(model, tmp_path / "calibration.json", force=False)
    assert read_calibration(tmp_path).model.truth[:2] == (first.truth, more)
    document["model"]["parts"][0]["also"] = [{**more.to_dict(), "sha256": "none"}]
    assert problems(tmp_path, document) == ["model.parts[0].also[0].sha256: is no sha256"]


def test_a_file_of_the_version_before_gives_the_points_it_gave_then() -> None:
    path = Path(__file__).parent.parent / "fixtures/v0_1/calibration.json"
    model = read_calibration(path).model
    assert [(t.protocol, t.file) for t in model.truth] == [("labels", "some.json"), ("reviewed", "corrected.json")]
    assert to_json(model) == orjson.loads(path.read_bytes())["model"]
    poses, truth = standing_people(3, seed=3)
    points = model.points(poses, [student_predictions(poses, truth)])
    then = [[350.14, 189.317], [356.692, 173.319], [139.534, 127.024], [138.051, 105.881], [268.613, 185.543]]
    assert points.xy.reshape(-1, 2)[:5] == pytest.approx(np.array(then), abs=0.01)
    assert points.score.ravel() == pytest.approx([0.601782, 0.240949, 0.273239, 0.313732, 0.0, 0.291891], abs=1e-4)
    assert points.radius.ravel() == pytest.approx([9.1222, 15.5848, 17.4242, 16.5821, 39.8434, 29.3765], abs=1e-2)
    assert points.anchored.all()
