"""The `nano` student: a small U-Net with a *marginal* SimCC head, for laptops and the demo.

A stock RTMPose head has to learn from nothing where on its axes a feature lies and needs hundreds of thousands of
samples before it leaves the mean pose. The marginal head predicts one map of logits per keypoint and sums its
probabilities over rows and over columns (logsumexp of the logits): position comes for free from the convolution, while
loss, distillation, decoding and export stay SimCC with one bin per cell (split_ratio = 1 / stride).

N people, K keypoints, (h, w) the input's size.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from annotext.training.model import bridge

bridge.install()

from mmcv.cnn import ConvModule  # noqa: E402
from mmengine.model import BaseModule  # noqa: E402
from mmpose.models.utils.csp_layer import ChannelAttention  # noqa: E402
from mmpose.registry import MODELS  # noqa: E402

_NORM = {"type": "BN", "momentum": 0.05, "eps": 1e-3}
_ACT = {"type": "ReLU"}


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, *, act: bool = True) -> ConvModule:
    return ConvModule(
        inputs,
        outputs,
        kernel,
        stride=stride,
        padding=kernel // 2,
        norm_cfg=_NORM,
        act_cfg=_ACT if act else None,
    )


class _Residual(nn.Module):
    """Two 3x3 convolutions beside the identity; (N, c, h, w) in and out."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv(channels, channels)
        self.second = _conv(channels, channels, act=False)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(x + self.second(self.first(x)))


@MODELS.register_module()
class NanoUNet(BaseModule):
    """(N, 3, h, w) -> one feature map (N, channels[level], h / stride, w / stride).

    channels: of the levels at stride 2, 4, 8, 16, ...; blocks: residual blocks per level on the way down. stride: the
    level the way up ends at, 2 or 4. h and w are multiples of the deepest stride.
    """

    def __init__(self, channels: Sequence[int], blocks: Sequence[int], stride: int) -> None:
        super().__init__(
            init_cfg=[{"type": "Kaiming", "layer": "Conv2d"}, {"type": "Constant", "layer": "BatchNorm2d", "val": 1}]
        )
        if len(blocks) != len(channels):
            raise ValueError(f"{len(channels)} channels, {len(blocks)} blocks: one each per level")
        self.top = {2: 0, 4: 1}[stride]
        self.stem = _conv(3, channels[0], stride=2)
        self.down = nn.ModuleList(
            nn.Sequential(
                *([_conv(channels[i - 1], c, stride=2)] if i else []),
                *(_Residual(c) for _ in range(blocks[i])),
            )
            for i, c in enumerate(channels)
        )
        self.attention = ChannelAttention(channels[-1])
        levels = range(len(channels) - 2, self.top - 1, -1)
        self.reduce = nn.ModuleList(_conv(channels[i + 1], channels[i], 1) for i in levels)
        self.merge = nn.ModuleList(_conv(channels[i], channels[i]) for i in levels)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")

    def forward(self, x: Tensor) -> tuple[Tensor]:
        x = self.stem(x)
        skips = []
        for level in self.down:
            x = level(x)
            skips.append(x)
        x = self.attention(x)
        for step, (reduce, merge) in enumerate(zip(self.reduce, self.merge, strict=True)):
            x = merge(self.up(reduce(x)) + skips[-2 - step])
        return (x,)


@MODELS.register_module()
class MarginalSimCCHead(BaseModule):
    """(N, c, rows, cols) features -> (N, K, cols) x and (N, K, rows) y logits.

    softmax of the x logits is the column marginal of softmax over the whole map, and likewise y: train with beta = 1.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(init_cfg={"type": "Normal", "layer": "Conv2d", "std": 0.01})
        self.final_layer = nn.Conv2d(in_channels, out_channels, kernel_size=1)

    def forward(self, features: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        logits = self.final_layer(features[-1])
        return torch.logsumexp(logits, dim=2), torch.logsumexp(logits, dim=3)
