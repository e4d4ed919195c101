"""A student in torch as a predictor: the same pipeline measures it that runs its export."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from annotext.core.predictions import PredictorIdentity
from annotext.core.skeleton import Skeleton
from annotext.formats.files.recipe import Recipe
from annotext.predictors.card import Card
from annotext.predictors.outputs.base import CropPoints
from annotext.training.model.export import student_card
from annotext.training.model.student import Student


class StudentPredictor:
    """A student that is still learning as a `Predictor`. It is used in the mode and with the weights it is found in."""

    def __init__(self, student: Student, recipe: Recipe, skeleton: Skeleton) -> None:
        self.student = student
        # It has no file yet, so nothing to take a hash of.
        self._card = student_card(recipe, skeleton, "0" * 64, "student.onnx")
        self._skeleton = skeleton

    @property
    def card(self) -> Card:
        """The card of the run's export."""
        return self._card

    @property
    def identity(self) -> PredictorIdentity:
        """Of this moment's weights: no file's hash."""
        return PredictorIdentity(self._card.name, self._card.sha256, self._card.source)

    @property
    def skeleton(self) -> Skeleton:
        """The K keypoints."""
        return self._skeleton

    @torch.no_grad()
    def __call__(self, crops: NDArray[np.uint8]) -> CropPoints:
        """(N, h, w, 3) uint8 BGR crops -> their keypoints."""
        device = next(self.student.parameters()).device
        image = torch.from_numpy(np.ascontiguousarray(crops[..., ::-1])).to(device)
        logits = self.student.simcc(self.student.normalise(image), amp=False)
        return self._card.output.decode([axis.cpu().numpy() for axis in logits], self._card.input.wh)
