"""The conditional SimCC loss (paper eq. 6, in RTMPose's form): only what an image's data set labels counts.

N people, K keypoints of the union, B bins of one axis. Two forms, chosen in the recipe:

- ``mmpose``: MMPose's KLDiscretLoss as RTMPose uses it. Targets are Gaussians of peak 1 about the nearest bin, softened
  by softmax(10 x target); KL(target || softmax(beta x logits)) is averaged over the bins, summed over people, keypoints
  and the two axes, and divided by K. It grows with the batch: learning rates found with it belong to its batch size.
- ``kl``: targets are Gaussians that sum to 1, about the keypoint itself; the KL is summed over the bins and averaged
  over the labelled keypoints of the batch and the two axes. Its size says something: 0 is perfect, and it depends
  neither on the batch size nor on how many keypoints a data set labels.

In both, a keypoint without a label takes no part in the computation at all: its logits get a gradient of exactly zero,
also when they are infinite. A keypoint whose Gaussian lies wholly outside the crop counts as not labelled.

A label may weigh less than 1. ``mmpose`` multiplies its KL by the weight; ``kl`` averages with the weights, so that a
label of weight .5 counts half as much as one of 1 beside it, and a batch whose weights sum to less than 1 less than
others. A weight of 0 is no label.

Under several processes each computes its share of the batch such that the mean over processes is the loss of the whole.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from annotext.training.run.distributed import mean_count, world

Form = Literal["kl", "mmpose"]

# MMPose KLDiscretLoss: label_beta.
_LABEL_BETA = 10.0
# A Gaussian is taken to end here (MMPose SimCCLabel: the 3-sigma rule).
_REACH_SIGMAS = 3.0


def gaussian_rows(position: Tensor, bins: int, split_ratio: float, sigma: float, *, form: Form) -> Tensor:
    """(P,) crop pixels -> (P, B) float32 target distributions over one axis; sigma in crop pixels.

    ``kl``: centred on the position, each row sums to 1. ``mmpose``: centred on the nearest bin (numpy's rounding, half
    to even), softened as above; a row whose Gaussian is outside the crop is then flat.
    """
    grid = torch.arange(bins, dtype=torch.float32, device=position.device)
    mu = position * split_ratio
    spread = sigma * split_ratio
    if form == "mmpose":
        rows = torch.exp(-0.5 * ((grid - mu.round()[:, None]) / spread) ** 2)
        return torch.softmax(rows * _LABEL_BETA, dim=1)
    return torch.softmax(-0.5 * ((grid - mu[:, None]) / spread) ** 2, dim=1)


def reaches(points: Tensor, bins: tuple[int, int], split_ratio: float, sigma: tuple[float, float]) -> Tensor:
    """(N, K, 2) crop pixels -> (N, K) bool: some part of the keypoint's Gaussian is inside the crop, on both axes."""
    inside = torch.ones(points.shape[:2], dtype=torch.bool, device=points.device)
    for axis in (0, 1):
        mu = (points[..., axis] * split_ratio).round()
        radius = _REACH_SIGMAS * sigma[axis] * split_ratio
        inside &= (mu - radius < bins[axis]) & (mu + radius + 1 >= 0)  # False for NaN
    return inside


def divergence(logits: Tensor, target: Tensor, beta: float) -> Tensor:
    """(P, B) logits and (P, B) target distributions -> (P,) KL(target || softmax(beta x logits)), nats."""
    log_p = torch.log_softmax(logits * beta, dim=1)
    return (torch.xlogy(target, target) - target * log_p).sum(dim=1)


class ConditionalSimCCLoss(nn.Module):
    """Loss of a batch of SimCC logits against points, counting labelled keypoints only.

    form: see above. beta: what the logits are multiplied with before their softmax. sigma: (x, y) standard deviation
    of the targets in crop pixels. split_ratio: bins per crop pixel.
    """

    def __init__(self, *, form: Form, beta: float, sigma: tuple[float, float], split_ratio: float) -> None:
        super().__init__()
        if form not in ("kl", "mmpose"):
            raise ValueError(f"unknown loss form {form!r}, expected kl or mmpose")
        self.form: Form = form
        self.beta = beta
        self.sigma = (float(sigma[0]), float(sigma[1]))
        self.split_ratio = split_ratio

    def forward(self, x: Tensor, y: Tensor, points: Tensor, labelled: Tensor, weight: Tensor | None = None) -> Tensor:
        """Scalar loss.

        x, y: (N, K, Bx), (N, K, By) float32 logits. points: (N, K, 2) float32 crop pixels, anything where not
        labelled. labelled: (N, K) bool, what this image's data set labels on this person. weight: (N, K) float32 in
        [0, 1], how much each label counts; None: 1.
        """
        counted = labelled & reaches(points, (x.shape[-1], y.shape[-1]), self.split_ratio, self.sigma)
        if weight is not None:
            counted = counted & (weight > 0)
        # Rows are picked, not multiplied by zero: what is not labelled is not computed with.
        where = points[counted]
        share = None if weight is None else weight[counted]
        total = x.new_zeros(())
        for axis, logits in enumerate((x, y)):
            bins = logits.shape[-1]
            target = gaussian_rows(where[:, axis], bins, self.split_ratio, self.sigma[axis], form=self.form)
            per_keypoint = divergence(logits[counted], target, self.beta)
            if share is not None:
                per_keypoint = per_keypoint * share
            total = total + (per_keypoint.sum() / bins if self.form == "mmpose" else per_keypoint.sum())
        if self.form == "mmpose":
            return total * world() / x.shape[1]
        count = counted.sum() if share is None else share.sum()
        return total / (2 * mean_count(count).clamp(min=1 / world()))
