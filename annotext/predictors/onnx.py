"""An ONNX model run as its card says, through onnxruntime."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.errors import InputError, Problem
from annotext.core.predictions import PredictorIdentity
from annotext.core.skeleton import Skeleton
from annotext.core.skeletons import BUILT_IN
from annotext.predictors.card import Card
from annotext.predictors.outputs.base import CropPoints, Output


class OnnxPredictor:
    """A `Predictor` from an ONNX file and its card."""

    def __init__(
        self, card: Card, card_path: Path, *, threads: int | None = None, skeletons: Mapping[str, Skeleton] = BUILT_IN
    ) -> None:
        """Loads the model that lies beside `card_path`.

        threads: for one inference, the machine's usable cores by default. Raises InputError when the model is not
        there, is not the one the card was written for (sha256), cannot be loaded, or does not fit its card.
        """
        self._card = card
        self._output: Output = card.output
        try:
            self._skeleton = card.skeleton(skeletons)
        except ValueError as error:
            raise InputError.single(card_path, "", str(error)) from None
        model_path = card_path.parent / card.model
        model = _read_model(model_path, card, card_path)
        self._session = _session(model, model_path, threads)
        self._batch = _check_fit(self._session, card, model_path)
        # pixel x scale - mean, over std, as one multiplication and one addition per channel.
        mean, std = np.array(card.input.mean), np.array(card.input.std)
        self._factor = np.asarray(card.input.scale / std, dtype=np.float32)
        self._shift = np.asarray(-mean / std, dtype=np.float32)

    @property
    def card(self) -> Card:
        """How crops are cut and what comes out."""
        return self._card

    @property
    def identity(self) -> PredictorIdentity:
        """Who says so, for files."""
        return PredictorIdentity(self._card.name, self._card.sha256, self._card.source)

    @property
    def skeleton(self) -> Skeleton:
        """The K keypoints, in output order."""
        return self._skeleton

    def __call__(self, crops: NDArray[np.uint8]) -> CropPoints:
        """(N, height, width, 3) uint8 BGR crops -> their keypoints, as the card's output kind decodes them."""
        return self._output.decode(self.raw(self.tensor(crops)), self._card.input.wh)

    def tensor(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, height, width, 3) uint8 BGR crops -> the model's float32 input in its layout."""
        n, h, w, _ = crops.shape
        order = (2, 1, 0) if self._card.input.color == "RGB" else (0, 1, 2)
        first = self._card.input.layout == "NCHW"
        tensor = np.empty((n, 3, h, w) if first else (n, h, w, 3), dtype=np.float32)
        for channel, source in enumerate(order):
            plane = tensor[:, channel] if first else tensor[..., channel]
            np.multiply(crops[..., source], self._factor[channel], out=plane, casting="unsafe", dtype=np.float32)
            plane += self._shift[channel]
        return tensor

    def raw(self, tensor: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """The card's output tensors for N inputs, float32."""
        names = list(self._output.names)
        size = self._batch or len(tensor)
        chunks: list[list[NDArray[np.float32]]] = []
        for start in range(0, len(tensor), size):
            part = tensor[start : start + size]
            missing = size - len(part)
            if missing:  # a model with a fixed batch: fill up, cut off again
                part = np.pad(part, [(0, missing)] + [(0, 0)] * 3)
            found: Any = self._session.run(names, {self._card.input.name: part})
            chunks.append([np.asarray(f, dtype=np.float32)[: size - missing] for f in found])
        return [np.concatenate([chunk[i] for chunk in chunks]) for i in range(len(names))] if chunks[1:] else chunks[0]


def usable_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _read_model(path: Path, card: Card, card_path: Path) -> bytes:
    try:
        model = path.read_bytes()
    except OSError as error:
        raise InputError.single(card_path, "model", f"cannot read {path}: {error.strerror}") from None
    found = hashlib.sha256(model).hexdigest()
    if found != card.sha256:
        hint = "the model was changed or is another one: get the file the card describes, or a card for this file"
        raise InputError.single(path, "", f"sha256 is {found}, its card {card_path.name} says {card.sha256}", hint)
    return model


def _session(model: bytes, path: Path, threads: int | None) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or usable_cores()
    options.log_severity_level = 3  # errors only: a report goes to stdout, warnings of the runtime help nobody
    # Threads that spin between two operators take the cores from the threads that decode the next images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    providers = [p for p in wanted if p in ort.get_available_providers()]
    try:
        # From bytes: what was hashed is what runs. A model in several files (external data) is refused by this.
        return ort.InferenceSession(model, options, providers=providers)
    except Exception as error:  # onnxruntime's own exceptions share no base class
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        hint = "annotext runs models that are one file; convert external data into the .onnx itself"
        raise InputError.single(path, "", f"onnxruntime cannot load it: {first_line}", hint) from None


def _check_fit(session: Any, card: Card, path: Path) -> int | None:
    """The model's fixed batch size, None if it takes any. Raises InputError where model and card disagree."""
    problems: list[Problem] = []

    def problem(pointer: str, text: str) -> None:
        problems.append(Problem(str(path), pointer, text))

    batch: int | None = None
    inputs = {i.name: i for i in session.get_inputs()}
    size = (card.input.height, card.input.width)
    expected_input = (3, *size) if card.input.layout == "NCHW" else (*size, 3)
    if card.input.name not in inputs:
        problem("input.name", f"the model has no input {card.input.name!r}, it has {', '.join(inputs)}")
    else:
        shape = inputs[card.input.name].shape
        if inputs[card.input.name].type != "tensor(float)":
            problem("input", f"the model takes {inputs[card.input.name].type}, annotext gives tensor(float)")
        if not _fits(shape, (None, *expected_input)):
            problem("input", f"the model takes {shape}, the card says (N, {', '.join(map(str, expected_input))})")
        elif isinstance(shape[0], int):
            batch = shape[0]
    outputs = {o.name: o for o in session.get_outputs()}
    expected = card.output.shapes(len(card.keypoints), card.input.wh)
    for name, shape in zip(card.output.names, expected, strict=True):
        if name not in outputs:
            problem("output", f"the model has no output {name!r}, it has {', '.join(outputs)}")
        elif not _fits(outputs[name].shape, shape):
            wanted = ", ".join("any" if s is None else str(s) for s in shape)
            problem("output", f"{name} has the shape {outputs[name].shape}, the card's keypoints need ({wanted})")
    if problems:
        raise InputError(problems)
    return batch


def _fits(shape: list[Any], expected: tuple[int | None, ...]) -> bool:
    """Whether a model's shape (numbers, or names for what may vary) allows the expected one."""
    return len(shape) == len(expected) and all(
        want is None or not isinstance(have, int) or have == want for have, want in zip(shape, expected, strict=True)
    )
