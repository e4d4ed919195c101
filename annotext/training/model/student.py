"""The student: any backbone and SimCC head of MMPose's kind, one loss, one way in and out.

RTMPose-t/s/m and `nano` are the same class with other parts, so that everything after them (loss, distillation,
checkpoints, export, card) is written once. State-dict names (`backbone.*`, `head.*`) are MMPose's.

N people, K keypoints, (h, w) the input, Bx and By bins.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from annotext.training.model import bridge

bridge.install()

from mmpose.registry import MODELS  # noqa: E402

import annotext.training.model.nano  # noqa: E402, F401  (registers nano's parts)
from annotext.training.model.loss import ConditionalSimCCLoss  # noqa: E402

# ImageNet's mean and standard deviation of RGB values 0-255, as in every RTMPose config.
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)


class Student(nn.Module):
    """A top-down pose network with a SimCC head.

    backbone, head: MMPose registry configs. loss: arguments of `ConditionalSimCCLoss`. amp: None or "bf16": run the
    backbone under bfloat16 autocast; head and loss always compute in float32. channels_last: memory layout of the
    backbone's input and weights.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: dict[str, Any],
        head: dict[str, Any],
        loss: dict[str, Any],
        amp: str | None = None,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = MODELS.build(backbone)
        self.head = MODELS.build(head)
        self.criterion = ConditionalSimCCLoss(**loss)
        self.amp = amp
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)
        self.backbone.to(memory_format=self.layout)

    def normalise(self, image: Tensor) -> Tensor:
        """(N, h, w, 3) uint8 RGB -> (N, 3, h, w) float32 network input."""
        pixels = image.permute(0, 3, 1, 2).to(torch.float32)
        return ((pixels - self.mean) / self.std).contiguous(memory_format=self.layout)

    def simcc(self, inputs: Tensor, *, amp: bool | None = None) -> tuple[Tensor, Tensor]:
        """(N, 3, h, w) float32 network input -> (N, K, Bx), (N, K, By) float32 logits; amp: by default in training."""
        amp = self.training if amp is None else amp
        with torch.autocast(inputs.device.type, dtype=torch.bfloat16, enabled=self.amp == "bf16" and amp):
            features = self.backbone(inputs)
        features = tuple(f.float() for f in features)
        return self.head.forward(features)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(N, h, w, 3) uint8 RGB crops -> (N, K, Bx), (N, K, By) float32 logits."""
        return self.simcc(self.normalise(image))

    def init_weights(self) -> None:
        """Random starting weights, as the parts' own rules have them."""
        with bridge.mmengine_quiet():
            for part in (self.backbone, self.head):
                part.init_weights()
