"""From a trained student to `student.onnx` and `card.json`, checked against torch.

N people, K keypoints, (h, w) the input, Bx and By bins.
"""

from __future__ import annotations

import copy
import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from annotext.core.errors import AnnotextError
from annotext.core.skeleton import Skeleton
from annotext.formats.files.recipe import Recipe
from annotext.predictors.card import Card, CardBox, CardInput
from annotext.predictors.outputs.simcc import SimccOutput
from annotext.training.model.student import MEAN, STD, Student
from annotext.training.run.folder import replacing, write_document

INPUT_NAME = "input"
OUTPUT_NAMES = ("simcc_x", "simcc_y")

# Largest difference allowed between the two runtimes' distributions, in probability. Both compute in float32; what
# was seen over all models is below 1e-5, and a wrong layer differs by 1e-2 or more.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Export:
    """What was written and how well it agrees: `difference` is the largest |p_torch - p_onnx| over all bins."""

    model: Path
    card: Path
    sha256: str
    difference: float
    compared: int


class _Graph(nn.Module):
    """(N, 3, h, w) normalised input -> raw logits; a float32 copy of the student in evaluation mode, on the CPU."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.backbone = copy.deepcopy(student.backbone).cpu().float()
        self.head = copy.deepcopy(student.head).cpu().float()
        self.eval()  # not chained above: MMPose's CSPNeXt.eval() returns nothing

    def forward(self, input: Tensor) -> tuple[Tensor, Tensor]:
        return self.head.forward(self.backbone(input))


def normalise(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, h, w, 3) uint8 RGB -> (N, 3, h, w) float32, as the card describes it."""
    values = (crops.astype(np.float32) - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2))


def student_card(recipe: Recipe, skeleton: Skeleton, sha256: str, model: str) -> Card:
    """The card of a run's export. sha256, model: of the ONNX file and its name."""
    w, h = recipe.student.input
    return Card(
        name=recipe.name,
        model=model,
        sha256=sha256,
        keypoints=skeleton.keypoints,
        input=CardInput(INPUT_NAME, w, h, "NCHW", "RGB", 1.0, MEAN, STD),
        box=CardBox(recipe.student.expand, "context", (0, 0, 0)),
        output=SimccOutput(OUTPUT_NAMES, recipe.split_ratio, recipe.loss.beta, recipe.loss.sigma),
        role="student",
        extra={"architecture": recipe.student.model},
    )


def export_student(
    student: Student, recipe: Recipe, skeleton: Skeleton, crops: NDArray[np.uint8], folder: Path
) -> Export:
    """Write folder/student.onnx and folder/card.json; both appear only when ONNX Runtime agrees with torch.

    crops: (N, h, w, 3) uint8 RGB real crops to compare on, beside as many of random noise. Raises AnnotextError when
    the two differ by more than `TOLERANCE`.
    """
    graph = _Graph(student)
    w, h = recipe.student.input
    model, card = folder / "student.onnx", folder / "card.json"
    noise = np.random.default_rng(0).integers(0, 256, (max(len(crops), 2), h, w, 3), dtype=np.uint8)
    compared = np.concatenate([crops, noise])
    with replacing(model) as temporary:
        _write_onnx(graph, (h, w), temporary)
        difference = _difference(graph, temporary, normalise(compared), recipe.loss.beta)
        if not difference <= TOLERANCE:
            raise AnnotextError(
                f"{model}: ONNX Runtime and torch differ by {difference:.1e} in probability (allowed {TOLERANCE:.0e}); "
                "not exported"
            )
        sha256 = hashlib.sha256(temporary.read_bytes()).hexdigest()
    write_document(card, student_card(recipe, skeleton, sha256, model.name).to_dict())
    return Export(model, card, sha256, difference, len(compared))


def _write_onnx(graph: nn.Module, input_hw: tuple[int, int], path: Path) -> None:
    example = torch.zeros(2, 3, *input_hw)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph,
            (example,),
            str(path),
            input_names=[INPUT_NAME],
            output_names=list(OUTPUT_NAMES),
            dynamo=True,
            dynamic_shapes={"input": {0: torch.export.Dim("people", min=1)}},
            external_data=False,
            verbose=False,
        )


def _difference(graph: nn.Module, path: Path, inputs: NDArray[np.float32], beta: float) -> float:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    largest = 0.0
    # One person alone, then the rest together: the batch axis must really be free.
    for part in (inputs[:1], inputs[1:]):
        with torch.no_grad():
            ours = [beta * t for t in graph(torch.from_numpy(part))]
        theirs = [beta * torch.from_numpy(a) for a in session.run(list(OUTPUT_NAMES), {INPUT_NAME: part})]
        for a, b in zip(ours, theirs, strict=True):
            apart = (a.softmax(-1) - b.softmax(-1)).abs().max().item()
            largest = max(largest, apart) if np.isfinite(apart) else float("inf")
    return largest
