"""Teachers compared with labels before a run: where their peaks are, and how often that is where the labels are.

N people, K keypoints of the student, k of them taught by one teacher.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from annotext.core import geometry, simcc
from annotext.core.errors import Finding
from annotext.core.skeleton import Skeleton
from annotext.formats.files.recipe import Recipe
from annotext.training.preflight.report import Agreement, Offset, TeacherFacts, warning
from annotext.training.teachers.distil import Distillation

# Teachers are compared with at least this many labels.
_ENOUGH_POINTS = 50
# A teacher with a smaller share of its peaks within two sigmas of the labels is more likely misread than weak.
_STRANGE = 0.25
# A shift that is reported: image pixels, and how many standard errors.
_SHIFT, _CERTAIN = 0.5, 4.0
# Ways of counting pixels (from 0 or 1, centres or corners) differ by no more than this; beyond, it is the model's own.
_CONVENTION = 1.5


@dataclass(frozen=True)
class TeacherPredictions:
    """One teacher's predictions for a batch, beside its labels.

    columns: (k,) the student's keypoints. xy: (N, k, 2) its peaks, crop pixels of the student. inside: (N, k), they lie
    in the crop. score: (N, k) in [0, 1]. away: (N, k, 2) from label to peak, crop pixels; away_image: image pixels;
    both NaN where there is no label in the crop.
    """

    columns: NDArray[np.intp]
    xy: NDArray[np.float64]
    inside: NDArray[np.bool_]
    score: NDArray[np.float64]
    away: NDArray[np.float64]
    away_image: NDArray[np.float64]


def predict_teacher(distillation: Distillation, which: int, batch: Mapping[str, Tensor]) -> TeacherPredictions:
    """Run teacher number `which` on a batch and find its peaks. The peaks are read on the teacher's own bins, not on
    the student's, to which training carries the distributions over."""
    binding = distillation.bindings[which]
    teacher = binding.teacher
    with torch.no_grad():
        x, y, own = binding.log_potentials(batch)
        axes = [torch.softmax(axis, dim=-1).cpu().numpy() for axis in (x, y)]
    peak, score = simcc.decode(axes[0], axes[1], split_ratio=1 / teacher.step, sigma=teacher.sigma)
    if own is not None:
        score = own.cpu().numpy()
    matrix = batch["matrix"].cpu().numpy()
    seen = geometry.crop_to_image(peak + teacher.offset, binding.matrix(batch).cpu().numpy())
    seen = seen + np.array(teacher.pixel_offset)
    xy = geometry.image_to_crop(seen, matrix)
    columns = binding.columns.cpu().numpy()
    h, w = batch["image"].shape[1:3]
    points = batch["points"].cpu().numpy().astype(np.float64)
    known = (batch["labelled"].cpu().numpy() & _inside(points, w, h))[:, columns, None]
    return TeacherPredictions(
        columns=columns,
        xy=xy,
        inside=_inside(xy, w, h),
        score=score.astype(np.float64),
        away=np.where(known, xy - points[:, columns], np.nan),
        away_image=np.where(known, seen - geometry.crop_to_image(points, matrix)[:, columns], np.nan),
    )


def _inside(xy: NDArray[np.float64], w: int, h: int) -> NDArray[np.bool_]:
    return np.asarray(((xy >= -0.5) & (xy < np.array([w, h]) - 0.5)).all(axis=-1))


def predict_teachers(
    distillation: Distillation | None, loaded: Sequence[dict[str, Tensor]]
) -> list[list[TeacherPredictions]]:
    """Per teacher its predictions for each batch."""
    if distillation is None:
        return []
    return [[predict_teacher(distillation, i, batch) for batch in loaded] for i in range(len(distillation.bindings))]


def teacher_facts(
    distillation: Distillation | None,
    predictions: Sequence[Sequence[TeacherPredictions]],
    skeleton: Skeleton,
    recipe: Recipe,
) -> tuple[TeacherFacts, ...]:
    """What a report tells of every teacher."""
    if distillation is None:
        return ()
    facts = []
    for binding, batches in zip(distillation.bindings, predictions, strict=True):
        teacher = binding.teacher
        keypoints = tuple(skeleton.keypoints[i] for i in batches[0].columns)
        away = np.concatenate([b.away for b in batches])
        groups = [k.removeprefix("left_").removeprefix("right_") for k in keypoints]
        by_group = (
            agreement(away[:, [g == group for g in groups]], group, recipe.loss.sigma)
            for group in dict.fromkeys(groups)
        )
        facts.append(
            TeacherFacts(
                name=teacher.name,
                identity=teacher.identity,
                teaches=keypoints,
                weight=binding.weight,
                input_wh=teacher.crop.input_wh,
                expand=teacher.crop.expand,
                fit=teacher.crop.fit,
                clean=teacher.crop.clean,
                pixel_offset=teacher.pixel_offset,
                overall=agreement(away, "all", recipe.loss.sigma),
                groups=tuple(a for a in by_group if a is not None),
                offset=offset(np.concatenate([b.away_image for b in batches])),
            )
        )
    return tuple(facts)


def agreement(away: NDArray[np.float64], group: str, sigma: tuple[float, float]) -> Agreement | None:
    """How near peaks are to labels. away: (..., 2) crop pixels, NaN where there is no label. None: no label at all."""
    known = away[np.isfinite(away).all(axis=-1)]
    if not len(known):
        return None
    near = (np.abs(known) <= 2 * np.array(sigma)).all(axis=-1)
    return Agreement(group, len(known), float(np.median(np.linalg.norm(known, axis=-1))), float(near.mean()))


def offset(away: NDArray[np.float64]) -> Offset | None:
    """Where peaks lie from labels, as a median: a teacher that is wholly wrong on some points must not decide. away:
    (..., 2) image pixels, NaN where there is no label."""
    known = away[np.isfinite(away).all(axis=-1)]
    if not len(known):
        return None
    middle = np.median(known, axis=0)
    # 1.4826 x the median deviation is a Gaussian's sigma, and 1.2533 sigma / sqrt(n) its median's standard error.
    error = 1.2533 * 1.4826 * np.median(np.abs(known - middle), axis=0) / np.sqrt(len(known))
    return Offset((float(middle[0]), float(middle[1])), (float(error[0]), float(error[1])), len(known))


def teacher_findings(
    distillation: Distillation | None,
    predictions: Sequence[Sequence[TeacherPredictions]],
    teachers: Sequence[TeacherFacts],
    skeleton: Skeleton,
    recipe: Recipe,
) -> Iterator[Finding]:
    """What is odd about a teacher, if there are labels enough to tell."""
    if distillation is None:
        return
    for teacher, batches in zip(teachers, predictions, strict=True):
        overall, shift = teacher.overall, teacher.offset
        if overall is None or shift is None or overall.n < _ENOUGH_POINTS:
            continue
        mirrored = _mirrored(batches, skeleton, recipe)
        if mirrored > overall.within:
            yield warning(
                "teacher-mirrored",
                f"teacher {teacher.name} agrees with the labels on {overall.within:.0%} of the points, with left and "
                f"right exchanged on {mirrored:.0%}",
                "its keypoints, or those of the data, name left and right the wrong way round",
                {"teacher": teacher.name, "within": round(overall.within, 4), "exchanged": round(mirrored, 4)},
            )
        elif overall.within < _STRANGE:
            yield warning(
                "teacher-disagrees",
                f"teacher {teacher.name} is within 2 sigma of the labels on only {overall.within:.0%} of {overall.n} "
                f"points, {overall.median_px:.1f} crop pixels away in the middle",
                "look at the picture: is the order of its keypoints right, and its box rule?",
                {"teacher": teacher.name, "within": round(overall.within, 4), "n": overall.n},
            )
        moved = [abs(v) > _SHIFT and abs(v) > _CERTAIN * e for v, e in zip(shift.xy, shift.error, strict=True)]
        if any(moved):
            yield _shift_finding(teacher, shift)


def _mirrored(batches: Sequence[TeacherPredictions], skeleton: Skeleton, recipe: Recipe) -> float:
    """The share of peaks within two sigmas of the other side's label; those in the middle as they are."""
    columns = batches[0].columns.tolist()
    partner = [int(skeleton.flip_index[c]) for c in columns]
    swap = [columns.index(p) if p in columns else -1 for p in partner]
    if -1 in swap:
        return 0.0
    # The label is peak - away.
    away = np.concatenate([b.xy - (b.xy - b.away)[:, swap] for b in batches])
    found = agreement(away, "exchanged", recipe.loss.sigma)
    return found.within if found else 0.0


def _shift_finding(teacher: TeacherFacts, shift: Offset) -> Finding:
    x, y = shift.xy
    corrected = [round(own - v, 1) for own, v in zip(teacher.pixel_offset, shift.xy, strict=True)]
    # Trained on mirrored crops too, such a model cannot know which way its x is off: only y shows.
    one_based = abs(y - 1) <= 0.4 and min(abs(x - 1), abs(x)) <= 0.4
    text = f"teacher {teacher.name} lies {x:+.2f}, {y:+.2f} image pixels (±{max(shift.error):.2f}) from the labels"
    if one_based:
        text += ": it seems to have learned labels whose first pixel is 1, as MMPose's MPII models do"
    if max(abs(x), abs(y)) <= _CONVENTION:
        hint = f"pixel_offset = {corrected} in its [[teacher]] would bring the two together"
    else:
        hint = (
            "more than a way of counting pixels: a bias of its own, or joints that are placed differently; look at the "
        )
        hint += "picture before pixel_offset moves all of them"
    return warning("teacher-shifted", text, hint, {"teacher": teacher.name, **shift.to_dict(), "cancels": corrected})
