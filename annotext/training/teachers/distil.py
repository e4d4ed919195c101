"""Distillation from several teachers, each with its own skeleton and its own crop (paper eq. 7 and 8).

A teacher looks at the same augmented person through its own input size and box rule. Its two axes are then carried over
to the student's bins by the affine between the two crops, which only scales and moves (`augment.CropView`): no image
and no distribution is stretched to fit. What a teacher sees outside the student's crop cannot be learned and is left
out.

The divergence of a keypoint is the one of the labels' loss (`loss.divergence`), in the recipe's form and with the same
normalisation, so that alpha and the weights mean the same in both terms:

- ``kl``: KL(teacher || student) summed over the bins, averaged over the keypoints taught and the two axes;
- ``mmpose``: averaged over the bins, summed over people, keypoints and axes, divided by the student's K.

Both are multiplied by temperature squared (Hinton et al. 2015, section 2.1).

N people, K keypoints of the student, k of them taught by one teacher; Bx and By the student's bins, T the teacher's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from annotext.core.simcc import SCORE_RADIUS_SIGMAS
from annotext.core.skeleton import Skeleton
from annotext.formats.files.recipe import DistilRecipe, TeacherRecipe
from annotext.training.data.augment import CropRule
from annotext.training.model.loss import ConditionalSimCCLoss, divergence
from annotext.training.run.distributed import mean_count, world
from annotext.training.teachers.teacher import Teacher

# A keypoint is taught where at least this share of the teacher's distribution lies inside the student's crop, on each
# axis; the rest is cut off and what is left is made to sum to 1.
INSIDE = 0.5

# A teacher's bin that spans less than this of a student's is too fine to be sampled: a sharp peak would fall between.
_FINE = 0.5

# Probabilities are at least this before their logarithm is taken.
_LEAST = 1e-12


def between(student: Tensor, teacher: Tensor, pixel_offset: tuple[float, float]) -> Tensor:
    """(N, 2, 3) float64 affines from the teacher's to the student's crop pixels.

    student, teacher: (N, 2, 3) image-to-crop affines. pixel_offset: image pixels, added to what the teacher sees.
    """
    student, teacher = student.double(), teacher.double()
    linear = student[:, :, :2] @ torch.linalg.inv(teacher[:, :, :2])
    offset = student.new_tensor(pixel_offset)
    moved = student[:, :, :2] @ offset + student[:, :, 2] - (linear @ teacher[:, :, 2:])[..., 0]
    return torch.cat([linear, moved[..., None]], dim=-1)


def resample(p: Tensor, scale: Tensor, shift: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    """Carry distributions over to other bins: bin i of the teacher lies at bin scale x i + shift of the student.

    p: (N, K, T) float32, rows sum to 1. scale, shift: (N,) float64, scale > 0. Returns (N, K, bins) rows that sum to 1,
    and (N, K) the share of the distribution that lies inside; a row with nothing inside is flat.

    The logarithm is interpolated by a cubic (Catmull and Rom 1974), which is exact for a Gaussian and the identity for
    scale 1 and shift 0. Bins too fine to be sampled by the student's go through `share_out`.
    """
    last = p.shape[-1] - 1
    place = scale[:, None] * torch.arange(last + 1, dtype=scale.dtype, device=p.device) + shift[:, None]
    within = (place >= -0.5) & (place < bins - 0.5)
    inside = (p * within[:, None]).sum(dim=-1)

    at = (torch.arange(bins, dtype=scale.dtype, device=p.device) - shift[:, None]) / scale[:, None]
    known = (at >= -0.5) & (at <= last + 0.5)
    low = at.floor()
    t = (at - low).to(p.dtype)[:, None]
    index = low.clamp(-1, last).long()[:, None]
    log_p = p.clamp(min=_LEAST).log()

    def bin_at(step: int) -> Tensor:
        return log_p.gather(2, (index + step).clamp(0, last).expand(*p.shape[:2], bins))

    before, left, right, after = bin_at(-1), bin_at(0), bin_at(1), bin_at(2)
    cubic = left + 0.5 * t * (
        right - before + t * (2 * before - 5 * left + 4 * right - after + t * (3 * (left - right) + after - before))
    )
    # On log-concave ground, as around a peak, a curve through four points stays between the chord and what either side
    # promises. The cubic does not where a heatmap's noise was cut off: at such a cliff it would raise a second peak.
    chord = left + t * (right - left)
    promised = torch.minimum(left + t * (left - before), right + (1 - t) * (right - after))
    concave = (2 * left >= before + right) & (2 * right >= left + after) & (index >= 1) & (index + 2 <= last)
    cubic = torch.where(concave, torch.maximum(torch.minimum(cubic, promised), chord), cubic)
    out = cubic.exp() * known[:, None]
    total = out.sum(dim=-1, keepdim=True)
    return torch.where(total > 0, out / total.clamp(min=_LEAST), torch.full_like(out, 1 / bins)), inside


def share_out(p: Tensor, scale: Tensor, shift: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    """`resample` for a teacher whose bins are much finer: each of them is shared between the two nearest of the
    student's, in proportion. Mass and mean stay; the variance grows by at most a quarter of a student's bin squared."""
    place = scale[:, None] * torch.arange(p.shape[-1], dtype=scale.dtype, device=p.device) + shift[:, None]
    within = (place >= -0.5) & (place < bins - 0.5)
    inside = (p * within[:, None]).sum(dim=-1)
    # What lies outside goes to the bin at the edge, with no mass.
    place = place.clamp(0, bins - 1)
    low = place.floor().clamp(max=bins - 2)
    upper = (place - low).to(p.dtype)[:, None]
    index = low.long()[:, None].expand_as(p)
    p = p * within[:, None]
    out = p.new_zeros(*p.shape[:2], bins)
    out.scatter_add_(2, index, p * (1 - upper))
    out.scatter_add_(2, index + 1, p * upper)
    total = out.sum(dim=-1, keepdim=True)
    return torch.where(total > 0, out / total.clamp(min=_LEAST), torch.full_like(out, 1 / bins)), inside


@dataclass(frozen=True)
class TeacherTargets:
    """What one teacher predicts for a batch, on the student's keypoints and bins.

    columns: (k,) int64, the student's keypoints. x, y: (N, k, Bx), (N, k, By) probabilities on the student's bins, at
    the teacher's temperature. inside: (N, k) bool, enough of both axes lies in the student's crop. confidence: (N, k)
    float32 in [0, 1]: a heatmap's peak, else the probability within two sigmas of the peak, on both axes, at
    temperature 1.
    """

    name: str
    columns: Tensor
    x: Tensor
    y: Tensor
    inside: Tensor
    confidence: Tensor


@dataclass(frozen=True)
class TeacherBinding:
    """Which of a teacher's outputs go to which keypoints of the student; where its crops are in a batch; whether
    its bins are too fine to be sampled."""

    teacher: Teacher
    rows: Tensor
    columns: Tensor
    view: int
    fine: bool
    weight: float
    temperature: float

    def log_potentials(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor | None]:
        """Run the teacher on its own crops: (N, k, T) log-potentials of x and y on its own bins, and (N, k) a score
        where it has one of its own."""
        x, y, *score = (output[:, self.rows].float() for output in self.teacher.network(batch[self._key("image")]))
        return x, y, score[0] if score else None

    def matrix(self, batch: Mapping[str, Tensor]) -> Tensor:
        """(N, 2, 3) float64, from the image to its crops."""
        return batch[self._key("matrix")]

    def _key(self, what: str) -> str:
        return f"{what}_{self.view}" if self.view else what


class Distillation:
    """All teachers of a run. Not a module: what it holds is in no checkpoint and is never trained.

    progress: how much of the run is done, from 0 to 1; set by the training loop, for `decay`.
    """

    def __init__(
        self,
        teachers: Sequence[Teacher],
        recipes: Sequence[TeacherRecipe],
        distil: DistilRecipe,
        *,
        criterion: ConditionalSimCCLoss,
        skeleton: Skeleton,
        student: CropRule,
        device: torch.device | str = "cpu",
    ) -> None:
        """criterion: the labels' loss, whose form, beta and bins the teachers' terms share. student: its crop."""
        self.distil, self.criterion, self.progress = distil, criterion, 0.0
        self.keypoints = len(skeleton)
        self.rules: list[CropRule] = []
        self.bindings: list[TeacherBinding] = []
        for teacher, recipe in zip(teachers, recipes, strict=True):
            names = [k for k in teacher.teachable(recipe.keypoints) if k in skeleton.index]
            if teacher.crop == student:
                view = 0
            else:
                if teacher.crop not in self.rules:
                    self.rules.append(teacher.crop)
                view = self.rules.index(teacher.crop) + 1
            self.bindings.append(
                TeacherBinding(
                    teacher=teacher,
                    rows=torch.tensor([teacher.keypoints.index(k) for k in names], device=device),
                    columns=torch.tensor([skeleton.index[k] for k in names], device=device),
                    view=view,
                    fine=_bin_span(teacher, student, criterion.split_ratio) <= _FINE,
                    weight=recipe.weight,
                    temperature=recipe.temperature,
                )
            )

    def targets(self, batch: Mapping[str, Tensor], bins: tuple[int, int]) -> list[TeacherTargets]:
        """Every teacher's targets for a batch of `data.PersonCrops`; bins: (Bx, By) of the student."""
        return [self._targets(binding, batch, bins) for binding in self.bindings]

    @torch.no_grad()
    def _targets(self, binding: TeacherBinding, batch: Mapping[str, Tensor], bins: tuple[int, int]) -> TeacherTargets:
        teacher = binding.teacher
        *potentials, score = binding.log_potentials(batch)
        ratio = self.criterion.split_ratio
        # The same crop and the same bins: nothing to carry over, not even a rounding error.
        same = not binding.view and not any(teacher.pixel_offset)
        affine = None if same else between(batch["matrix"], binding.matrix(batch), teacher.pixel_offset)
        carried, inside, confidence = [], [], []
        for axis, potential in enumerate(potentials):
            p = torch.softmax(potential / binding.temperature, dim=-1)
            if score is None:
                sharp = p if binding.temperature == 1 else torch.softmax(potential, dim=-1)
                confidence.append(_mass_near_peak(sharp, SCORE_RADIUS_SIGMAS * teacher.sigma[axis] / teacher.step))
            linear, moved = (1.0, 0.0) if affine is None else (affine[:, axis, axis], affine[:, axis, 2])
            one = torch.ones(len(p), dtype=torch.float64, device=p.device)
            scale, shift = linear * teacher.step * ratio * one, (linear * teacher.offset + moved) * ratio * one
            q, share = (share_out if binding.fine else resample)(p, scale, shift, bins[axis])
            carried.append(q)
            inside.append(share >= INSIDE)
        return TeacherTargets(
            name=teacher.name,
            columns=binding.columns,
            x=carried[0],
            y=carried[1],
            inside=inside[0] & inside[1],
            confidence=confidence[0] * confidence[1] if score is None else score,
        )

    def terms(self, x: Tensor, y: Tensor, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Per teacher its divergence from the student, not yet weighted; x, y: (N, K, Bx), (N, K, By) logits."""
        found = self.targets(batch, (x.shape[-1], y.shape[-1]))
        return {
            targets.name: self._term(binding.temperature, targets, (x, y), batch["labelled"])
            for binding, targets in zip(self.bindings, found, strict=True)
        }

    def _term(
        self, temperature: float, targets: TeacherTargets, logits: tuple[Tensor, Tensor], labelled: Tensor
    ) -> Tensor:
        where = targets.inside
        if self.distil.where == "unlabelled":
            where = where & ~labelled[:, targets.columns]
        mmpose = self.criterion.form == "mmpose"
        total = logits[0].new_zeros(())
        for axis, target in zip(logits, (targets.x, targets.y), strict=True):
            rows = divergence(axis[:, targets.columns][where], target[where], self.criterion.beta / temperature)
            if self.distil.confidence == "peak":
                rows = rows * targets.confidence[where]
            total = total + rows.sum() / (target.shape[-1] if mmpose else 1)
        total = total * temperature**2
        if mmpose:
            return total * world() / self.keypoints
        return total / (2 * mean_count(where.sum()).clamp(min=1 / world()))

    def total(self, task: Tensor, terms: Mapping[str, Tensor]) -> Tensor:
        """Eq. 8: what is minimised, of the labels' loss and every teacher's term."""
        rest = 1 - self.distil.alpha if self.distil.remainder else 1.0
        weighted = sum(binding.weight * terms[binding.teacher.name] for binding in self.bindings)
        return self.distil.alpha * task + rest * self._decayed() * weighted

    def _decayed(self) -> float:
        match self.distil.decay:
            case "linear":
                return 1 - self.progress
            case "cosine":
                return 0.5 * (1 + math.cos(math.pi * self.progress))
            case _:
                return 1.0


def _bin_span(teacher: Teacher, student: CropRule, split_ratio: float) -> float:
    """How many of the student's bins one of the teacher's spans, for tall or for wide people, whichever is more."""
    sides = zip(student.input_wh, teacher.crop.input_wh, strict=True)
    scale = max(own / other for own, other in sides) * teacher.crop.expand / student.expand
    return scale * teacher.step * split_ratio


def _mass_near_peak(p: Tensor, radius: float) -> Tensor:
    """(..., B) -> (...,) the mass within `radius` bins of the maximum; `core.simcc.mass_near_peak` in torch."""
    reach = int(radius)
    total = torch.nn.functional.pad(p.cumsum(dim=-1), (1, 0))
    top = p.argmax(dim=-1, keepdim=True)
    low, high = (top - reach).clamp(min=0), (top + reach + 1).clamp(max=p.shape[-1])
    return (total.gather(-1, high) - total.gather(-1, low))[..., 0].clamp(0, 1)
