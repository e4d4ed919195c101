"""Pictures of people as three coloured dots, and predictors that find them: everything but the network is real.

The nose is red, the upper neck green, the head top blue; each dot is a soft blob, so that its middle can be found to a
fraction of a pixel. `DotPredictor` looks for them with numpy; `write_dot_model` writes ONNX models that do.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotext.core.poses import Image, Poses
from annotext.core.predictions import PredictorIdentity
from annotext.core.skeleton import Skeleton
from annotext.core.skeletons import COCO17
from annotext.predictors.card import Card, CardBox, CardInput, write_card
from annotext.predictors.outputs import HeatmapOutput, SimccOutput
from annotext.predictors.outputs.base import CropPoints

KEYPOINTS = ("nose", "upper_neck", "head_top")  # red, green, blue

CARD = Card(
    name="dots",
    model="dots.onnx",
    sha256="0" * 64,
    keypoints=KEYPOINTS,
    input=CardInput("input", 96, 128, "NCHW", "RGB", 1 / 255, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    box=CardBox(1.25, "context", (0, 0, 0)),
    output=HeatmapOutput("heatmaps", 4, 1.5, 0.0),
)


class DotPredictor:
    """A `Predictor` that takes the middle of each colour; its score is the colour's brightest value."""

    def __init__(self, card: Card = CARD) -> None:
        self.card = card
        self.skeleton: Skeleton = card.skeleton()
        self.identity = PredictorIdentity(card.name, card.sha256, card.source)
        self.batches: list[int] = []

    def __call__(self, crops: NDArray[np.uint8]) -> CropPoints:
        self.batches.append(len(crops))
        light = crops[..., [KEYPOINTS[::-1].index(k) for k in self.card.keypoints]].astype(np.float64)
        weights = np.where(light > 0.5 * light.max(axis=(1, 2), keepdims=True), light, 0)
        total = np.maximum(weights.sum(axis=(1, 2)), 1e-9)
        y, x = np.mgrid[: crops.shape[1], : crops.shape[2]]
        xy = np.stack([np.einsum("nhwk,hw->nk", weights, axis) / total for axis in (x, y)], axis=-1)
        score = (light.max(axis=(1, 2)) / 255).astype(np.float32)
        return CropPoints(xy, score, {"light": score * 255})


def picture(dots_xy: NDArray[np.float64], width: int = 320, height: int = 240, light: float = 255) -> NDArray[np.uint8]:
    """(height, width, 3) uint8 BGR with the dots of (N, 3, 2) people on black."""
    y, x = np.mgrid[:height, :width]
    pixels = np.zeros((height, width, 3))
    for person in dots_xy:
        for channel, (cx, cy) in zip((2, 1, 0), person, strict=True):
            blob = light * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * 2.5**2))
            pixels[..., channel] = np.maximum(pixels[..., channel], blob)
    return pixels.round().astype(np.uint8)


def write_people(folder: Path, images: int = 5, seed: int = 0, light: float = 255) -> tuple[Poses, NDArray[np.float64]]:
    """PNG pictures of one or two people each, and the COCO people in them (nose and shoulders labelled).

    Returns their poses and the (N, 3, 2) true places of nose, upper neck and head top.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    truth, index, boxes = [], [], []
    for i in range(images):
        here = []
        for person in range(1 + i % 2):
            corner = np.array([20 + 150 * person, 20]) + rng.uniform(0, 30, 2)
            size = rng.uniform(70, 100, 2)
            here.append(corner + rng.uniform(0.2, 0.8, (3, 2)) * size)
            index.append(i)
            boxes.append([*corner, *size])
        truth += here
        assert cv2.imwrite(str(folder / f"{i:03d}.png"), picture(np.array(here), light=light))
    n = len(truth)
    xy = np.full((n, 17, 2), np.nan)
    xy[:, COCO17.index["nose"]] = [t[0] for t in truth]
    xy[:, COCO17.index["left_shoulder"]] = [t[1] + (12, 5) for t in truth]
    xy[:, COCO17.index["right_shoulder"]] = [t[1] + (-12, 7) for t in truth]
    poses = Poses(
        skeleton=COCO17,
        xy=xy,
        visibility=np.where(np.isnan(xy[..., 0]), 0, 2).astype(np.uint8),
        bbox_xywh=np.array(boxes),
        area=np.array(boxes)[:, 2:].prod(axis=1),
        image_index=np.array(index),
        images=tuple(Image(f"{i:03d}.png", 320, 240) for i in range(images)),
        ids=np.arange(100, 100 + n),
        crowd=np.zeros(n, dtype=bool),
        head_size=np.full(n, np.nan),
    )
    return poses, np.array(truth)


def coco_document(poses: Poses) -> dict[str, Any]:
    """The COCO file of people of 17 keypoints."""
    images = [
        {"id": i, "file_name": image.file_name, "width": image.width, "height": image.height}
        for i, image in enumerate(poses.images)
    ]
    annotations = [
        {
            "id": int(poses.ids[i]),
            "image_id": int(poses.image_index[i]),
            "category_id": 1,
            "iscrowd": int(poses.crowd[i]),
            "bbox": poses.bbox_xywh[i].tolist(),
            "area": float(poses.area[i]),
            "keypoints": [
                value
                for (x, y), v in zip(poses.xy[i].tolist(), poses.visibility[i].tolist(), strict=True)
                for value in ((x, y, v) if v else (0, 0, 0))
            ],
            "num_keypoints": int(poses.labelled[i].sum()),
        }
        for i in range(len(poses))
    ]
    category = {"id": 1, "name": "person", "keypoints": list(COCO17.keypoints), "skeleton": [[16, 14]]}
    return {"images": images, "annotations": annotations, "categories": [category]}


def write_dot_model(folder: Path, kind: str = "heatmap", card: Card = CARD, batch: int | str = "N") -> Path:
    """A model that finds the dots, as `heatmap` (mean light of 4 x 4 pixels) or `simcc` (lightest pixel of each
    column and row), and its card. Returns the card's path."""
    from onnx import TensorProto, helper, save_model

    folder.mkdir(parents=True, exist_ok=True)
    w, h = card.input.wh
    first = card.input.layout == "NCHW"
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, 3, h, w] if first else [batch, h, w, 3])
    nodes = [] if first else [helper.make_node("Transpose", ["input"], ["nchw"], perm=[0, 3, 1, 2])]
    pixels = "input" if first else "nchw"
    if kind == "heatmap":
        nodes.append(helper.make_node("AveragePool", [pixels], ["heatmaps"], kernel_shape=[4, 4], strides=[4, 4]))
        shapes = {"heatmaps": [batch, 3, h // 4, w // 4]}
    else:
        nodes.append(helper.make_node("ReduceMax", [pixels], ["simcc_x"], axes=[2], keepdims=0))
        nodes.append(helper.make_node("ReduceMax", [pixels], ["simcc_y"], axes=[3], keepdims=0))
        shapes = {"simcc_x": [batch, 3, w], "simcc_y": [batch, 3, h]}
        card = replace(card, output=SimccOutput(("simcc_x", "simcc_y"), 1.0, 10.0, (2.5, 2.5)))
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    graph = helper.make_graph(nodes, "dots", [given], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    save_model(model, str(folder / card.model))
    digest = hashlib.sha256((folder / card.model).read_bytes()).hexdigest()
    path = folder / "dots.json"
    write_card(replace(card, sha256=digest), path)
    return path
