"""Output kinds: what each makes of its tensors, and that a kind of one's own needs nothing but its class."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from dots import CARD
from numpy.typing import NDArray

from annotext.predictors.onnx import OnnxPredictor
from annotext.predictors.outputs import HeatmapOutput, SimccOutput
from annotext.predictors.outputs.base import CropPoints


def test_the_noise_of_a_heatmap_does_not_widen_its_marginals() -> None:
    rng = np.random.default_rng(0)
    yy, xx = np.mgrid[:64, :48]
    peak = 0.8 * np.exp(-((xx - 20) ** 2 + (yy - 30) ** 2) / (2 * 2.0**2))
    maps = (peak + np.abs(rng.normal(0, 0.01, (1, 1, 64, 48)))).astype(np.float32)
    x, y, score = HeatmapOutput("maps", 4).log_potentials([maps], (192, 256))
    for axis, centre in ((x, 20), (y, 30)):
        p = np.exp(axis[0, 0])
        bins = np.arange(len(p))
        assert (p * bins).sum() == pytest.approx(centre, abs=0.1)
        # A Gaussian cut where it falls to a twentieth of its peak is a tenth narrower.
        assert np.sqrt((p * (bins - centre) ** 2).sum()) == pytest.approx(1.9, abs=0.15)
    assert score[0, 0] == pytest.approx(0.8, abs=0.05)


def test_an_empty_heatmap_has_flat_potentials_and_score_0() -> None:
    x, y, score = HeatmapOutput("maps", 4).log_potentials([np.full((1, 2, 8, 6), -0.1, np.float32)], (24, 32))
    assert np.ptp(x) == 0 and np.ptp(y) == 0 and (score == 0).all()


@pytest.mark.parametrize(
    ("output", "tensors"),
    [
        (HeatmapOutput("h", 4, 1.5), [np.zeros((1, 1, 16, 12), np.float32)]),
        (SimccOutput(("x", "y"), 2.0, 10.0, (2.0, 2.0)), [np.zeros((1, 1, n), np.float32) for n in (96, 128)]),
    ],
)
def test_a_sharp_distribution_has_its_peak_where_the_point_is_decoded(output: Any, tensors: list[Any]) -> None:
    for tensor in tensors:
        tensor[(0, 0, *(5,) * (tensor.ndim - 2))] = 1.0
    point = output.decode(tensors, (48, 64)).xy[0, 0]
    bins = [axis.argmax(axis=-1)[0, 0] for axis in output.log_potentials(tensors, (48, 64))[:2]]
    assert point == pytest.approx([b * output.step + output.offset for b in bins])
    assert [len(s) for s in output.shapes(1, (48, 64))] == [t.ndim for t in tensors]


@dataclass(frozen=True)
class CoordinateOutput:
    """A kind nobody else knows: (N, K, 3) of x and y as shares of the input, and a score."""

    kind: ClassVar[str] = "coordinates"
    name: str
    step: ClassVar[float] = 1.0
    offset: ClassVar[float] = 0.0
    sigma: ClassVar[tuple[float, float]] = (1.0, 1.0)

    @property
    def names(self) -> tuple[str]:
        return (self.name,)

    def shapes(self, keypoints: int, input_wh: tuple[int, int]) -> list[tuple[int | None, ...]]:
        return [(None, keypoints, 3)]

    def decode(self, tensors: Sequence[NDArray[np.float32]], input_wh: tuple[int, int]) -> CropPoints:
        return CropPoints(tensors[0][..., :2] * np.array(input_wh, dtype=np.float64), tensors[0][..., 2])

    def log_potentials(self, tensors: Any, input_wh: tuple[int, int]) -> tuple[NDArray[np.float32], ...]:
        xy = self.decode(tensors, input_wh).xy
        axes = (-0.5 * (np.arange(n) - xy[..., [i]]) ** 2 for i, n in enumerate(input_wh))
        return (*(axis.astype(np.float32) for axis in axes), tensors[0][..., 2])

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, **asdict(self)}


def test_a_kind_that_is_only_a_class_runs_in_a_model(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    w, h = CARD.input.wh
    values = np.array([[[0.25, 0.5, 1.0], [0.5, 0.75, 0.5], [0.1, 0.2, 0.0]]], np.float32)
    nodes = [
        helper.make_node("ReduceMin", ["input"], ["least"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Reshape", ["least", "shape"], ["each"]),
        helper.make_node("Sub", ["each", "each"], ["nothing"]),
        helper.make_node("Add", ["nothing", "values"], ["points"]),
    ]
    constants = [
        onnx.numpy_helper.from_array(values, "values"),
        onnx.numpy_helper.from_array(np.array([-1, 1, 1]), "shape"),
    ]
    given = helper.make_tensor_value_info("input", kind, ["N", 3, h, w])
    out = helper.make_tensor_value_info("points", kind, ["N", 3, 3])
    graph = helper.make_graph(nodes, "points", [given], [out], constants)
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()
    (tmp_path / CARD.model).write_bytes(data)
    output: Any = CoordinateOutput("points")
    card = replace(CARD, sha256=hashlib.sha256(data).hexdigest(), output=output)
    points = OnnxPredictor(card, tmp_path / "card.json", threads=1)(np.zeros((2, h, w, 3), np.uint8))
    assert points.xy[1] == pytest.approx(values[0, :, :2] * (w, h))
    assert points.score[1].tolist() == [1.0, 0.5, 0.0]
