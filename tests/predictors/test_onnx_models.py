"""ONNX models run as their cards say: tiny models that find dots, in every layout and kind of output."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("onnx")

from dots import CARD, KEYPOINTS, picture, write_dot_model

from annotext.core.errors import InputError
from annotext.predictors.card import read_card, write_card
from annotext.predictors.load import load_predictor
from annotext.predictors.outputs import HeatmapOutput

DOTS = np.array([[[20.3, 30.6], [50.0, 64.2], [70.8, 100.5]], [[33.1, 90.4], [61.7, 20.2], [12.5, 50.9]]])
CROPS = np.stack([picture(person[None], 96, 128) for person in DOTS])


def load(folder: Path, kind: str = "heatmap", batch: int | str = "N", **changes: Any) -> Any:
    card = replace(CARD, input=replace(CARD.input, **changes))
    return load_predictor(write_dot_model(folder, kind, card, batch), threads=1)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(("kind", "tolerance"), [("heatmap", 0.35), ("simcc", 0.35)])
def test_a_model_finds_the_dots_between_its_cells(kind: str, tolerance: float, layout: str, tmp_path: Path) -> None:
    points = load(tmp_path, kind, layout=layout)(CROPS)
    assert np.abs(points.xy - DOTS).max() < tolerance


def test_the_colour_order_of_the_card_is_obeyed(tmp_path: Path) -> None:
    swapped = load(tmp_path, color="BGR")(CROPS)
    assert np.abs(swapped.xy - DOTS[:, ::-1]).max() < 0.35


def test_the_input_is_scaled_shifted_and_divided_per_channel(tmp_path: Path) -> None:
    predictor = load(tmp_path, scale=0.5, mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0))
    tensor = predictor.tensor(np.full((1, 128, 96, 3), (30, 20, 10), dtype=np.uint8))
    assert tensor[0, :, 0, 0] == pytest.approx([(5 - 1) / 4, (10 - 2) / 5, (15 - 3) / 6])


@pytest.mark.parametrize("kind", ["heatmap", "simcc"])
def test_a_bright_dot_scores_higher_than_a_dim_one(kind: str, tmp_path: Path) -> None:
    predictor = load(tmp_path, kind)
    dim = np.stack([picture(person[None], 96, 128, light=60) for person in DOTS])
    assert (predictor(CROPS).score > predictor(dim).score).all()


@pytest.mark.parametrize("kind", ["heatmap", "simcc"])
def test_a_blurred_dot_has_more_entropy_than_a_sharp_one(kind: str, tmp_path: Path) -> None:
    predictor = load(tmp_path, kind)
    blurred = np.stack([cv2.GaussianBlur(crop, (0, 0), 8) for crop in CROPS])
    assert (predictor(CROPS).features["entropy"] < predictor(blurred).features["entropy"]).all()


@pytest.mark.parametrize("kind", ["heatmap", "simcc"])
def test_a_second_dot_is_noticed(kind: str, tmp_path: Path) -> None:
    predictor = load(tmp_path, kind)
    twice = np.maximum(CROPS[:1], CROPS[1:])
    assert predictor(CROPS).features["second"].max() < 0.2
    assert predictor(twice).features["second"].min() > 0.8


@pytest.mark.parametrize("kind", ["heatmap", "simcc"])
def test_a_model_with_a_fixed_batch_says_the_same(kind: str, tmp_path: Path) -> None:
    three = np.concatenate([CROPS, CROPS[:1]])
    free, fixed = load(tmp_path / "free", kind)(three), load(tmp_path / "fixed", kind, batch=2)(three)
    assert np.array_equal(free.xy, fixed.xy)
    assert np.array_equal(free.score, fixed.score)


def test_an_empty_heatmap_is_a_point_with_score_0_and_full_entropy() -> None:
    points = HeatmapOutput("h", 4).decode([np.zeros((1, 2, 8, 6), dtype=np.float32)], (24, 32))
    assert np.isfinite(points.xy).all()
    assert (points.score == 0).all()
    assert points.features["entropy"] == pytest.approx(1.0)


def test_smoothing_moves_the_peak_from_a_lone_cell_to_the_wide_one() -> None:
    maps = np.zeros((1, 1, 20, 20), dtype=np.float32)
    maps[0, 0, 3, 3] = 1.0
    maps[0, 0, 12:15, 12:15] = 0.9
    sharp = HeatmapOutput("h", 1).decode([maps], (20, 20)).xy[0, 0]
    smooth = HeatmapOutput("h", 1, smooth_sigma=1.0).decode([maps], (20, 20)).xy[0, 0]
    assert sharp == pytest.approx([3, 3], abs=0.01)
    assert smooth == pytest.approx([13, 13], abs=0.01)


def test_a_heatmap_above_1_scores_1_and_keeps_its_peak_as_feature() -> None:
    points = HeatmapOutput("h", 1).decode([np.full((1, 1, 4, 4), 7.0, dtype=np.float32)], (4, 4))
    assert points.score[0, 0] == 1
    assert points.features["peak"][0, 0] == 7


def test_a_changed_model_is_refused(tmp_path: Path) -> None:
    path = write_dot_model(tmp_path)
    with (tmp_path / "dots.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(InputError, match=r"dots.onnx: sha256 is [0-9a-f]{64}, its card dots.json says"):
        load_predictor(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoints": KEYPOINTS[:2]}, r"heatmaps has the shape .*3, 32, 24\], the card's keypoints need \(any, 2"),
        ({"input": replace(CARD.input, name="image")}, "the model has no input 'image', it has input"),
        ({"input": replace(CARD.input, width=64)}, r"the card says \(N, 3, 128, 64\)"),
        ({"output": replace(CARD.output, name="maps")}, "the model has no output 'maps', it has heatmaps"),
    ],
)
def test_a_model_that_does_not_fit_its_card_is_refused(changes: Any, message: str, tmp_path: Path) -> None:
    path = write_dot_model(tmp_path)
    write_card(replace(read_card(path), **changes), path)
    with pytest.raises(InputError, match=message):
        load_predictor(path)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    import hashlib

    (tmp_path / "dots.onnx").write_bytes(b"hello")
    write_card(replace(CARD, sha256=hashlib.sha256(b"hello").hexdigest()), tmp_path / "dots.json")
    with pytest.raises(InputError, match="onnxruntime cannot load it"):
        load_predictor(tmp_path / "dots.json")


def test_a_run_directory_a_card_and_a_model_name_the_same_predictor(tmp_path: Path) -> None:
    card = write_dot_model(tmp_path)
    card.rename(tmp_path / "card.json")
    found = {load_predictor(p).identity for p in (tmp_path, tmp_path / "card.json", tmp_path / "dots.onnx")}
    assert len(found) == 1


@pytest.mark.parametrize(
    ("name", "message"), [("", "holds no card.json"), ("nothing.onnx", "no such predictor"), ("lone.onnx", "no card")]
)
def test_a_path_without_a_predictor_says_what_is_missing(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "lone.onnx").write_bytes(b"x")
    with pytest.raises(InputError, match=message):
        load_predictor(tmp_path / name)
