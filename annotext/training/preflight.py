"""Before hours of training: a few real steps on a throw-away copy, teachers against labels, counts, one picture.

Training begins as if none of this had happened: with untouched weights and untouched generators of chance.

N people, K keypoints of the student, k of them taught by one teacher.
"""

from __future__ import annotations

import copy
import os
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from annotext.core import geometry, simcc
from annotext.core.problems import AnnotextError
from annotext.core.skeleton import Skeleton
from annotext.formats.recipe import Recipe
from annotext.training import bridge
from annotext.training.data import MixedBatches, PersonCrops, collate
from annotext.training.distil import Distillation
from annotext.training.folder import PREFLIGHT_PICTURE, PREFLIGHT_REPORT, write_json
from annotext.training.preflight_picture import Peaks, Person, TeacherView, draw_batch
from annotext.training.preflight_report import (
    Agreement,
    Finding,
    Offset,
    Pace,
    PreflightReport,
    SetFacts,
    TeacherFacts,
)
from annotext.training.sets import TrainingData
from annotext.training.student import Student

bridge.install()

from mmengine.config import Config  # noqa: E402
from mmengine.optim import build_optim_wrapper  # noqa: E402

# People in the picture: what a screen shows at a size at which a keypoint can be seen.
_SHOWN = 20

# Fewer labels than this and a keypoint is hardly learned. A judgement, not a measurement.
FEW_LABELS = 100
# Left and right of a joint are labelled about equally often in every data set of people; a factor beyond this is a
# wrong mapping or a broken file. Only looked at where there are `FEW_LABELS` on one side.
LOPSIDED = 2.0
# Teachers are judged on at least this many points.
_ENOUGH_POINTS = 50
# A teacher with a smaller share of its peaks within two sigmas of the labels is more likely misread than weak.
_STRANGE = 0.25
# A shift that is worth a word: image pixels, and how many standard errors.
_SHIFT, _CERTAIN = 0.5, 4.0
# Ways of counting pixels (from 0 or 1, centres or corners) differ by no more than this; beyond, it is the model's own.
_CONVENTION = 1.5
# The loader's speed is noise within this.
_SLACK = 1.1
# Of a GPU's memory: what is left is soon eaten by fragments.
_FULL = 0.9


@dataclass(frozen=True)
class _Effort:
    """batches: looked at. steps: timed."""

    batches: int
    steps: int


# A dry run takes its time; before a real run it is a matter of seconds.
_DRY, _SHORT = _Effort(batches=4, steps=5), _Effort(batches=2, steps=2)


@dataclass(frozen=True)
class Preflight:
    """What was found, and the picture, (H, W, 3) uint8 BGR."""

    report: PreflightReport
    picture: NDArray[np.uint8]

    def write(self, folder: Path) -> None:
        """Both into a run directory. Raises OSError."""
        path = folder / PREFLIGHT_PICTURE
        temporary = path.with_name(path.name + ".tmp")
        temporary.write_bytes(cv2.imencode(".png", self.picture)[1].tobytes())
        os.replace(temporary, path)
        write_json(folder / PREFLIGHT_REPORT, self.report.to_dict())


@dataclass(frozen=True)
class Heard:
    """What one teacher says about a batch, beside its labels.

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


def hear(distillation: Distillation, which: int, batch: Mapping[str, Tensor]) -> Heard:
    """Ask teacher number `which` about a batch and find its peaks. The peaks are read on the teacher's own bins, not on
    the student's, to which training carries the distributions over."""
    pupil = distillation.pupils[which]
    teacher, suffix = pupil.teacher, f"_{pupil.view}" if pupil.view else ""
    with torch.no_grad():
        x, y, *own = (said[:, pupil.rows].float() for said in teacher.network(batch[f"image{suffix}"]))
        axes = [torch.softmax(axis, dim=-1).cpu().numpy() for axis in (x, y)]
    peak, score = simcc.decode(axes[0], axes[1], split_ratio=1 / teacher.step, sigma=teacher.sigma)
    if own:
        score = own[0].cpu().numpy()
    matrix = batch["matrix"].cpu().numpy()
    seen = geometry.crop_to_image(peak + teacher.offset, batch[f"matrix{suffix}"].cpu().numpy())
    seen = seen + np.array(teacher.pixel_offset)
    xy = geometry.image_to_crop(seen, matrix)
    columns = pupil.columns.cpu().numpy()
    h, w = batch["image"].shape[1:3]
    points = batch["points"].cpu().numpy().astype(np.float64)
    known = (batch["labelled"].cpu().numpy() & _inside(points, w, h))[:, columns, None]
    return Heard(
        columns=columns,
        xy=xy,
        inside=_inside(xy, w, h),
        score=score.astype(np.float64),
        away=np.where(known, xy - points[:, columns], np.nan),
        away_image=np.where(known, seen - geometry.crop_to_image(points, matrix)[:, columns], np.nan),
    )


def _inside(xy: NDArray[np.float64], w: int, h: int) -> NDArray[np.bool_]:
    return np.asarray(((xy >= -0.5) & (xy < np.array([w, h]) - 0.5)).all(axis=-1))


def preflight(
    recipe: Recipe,
    folder: Path,
    *,
    data: TrainingData,
    checked: Mapping[str, int],
    student: Student,
    config: Config,
    crops: PersonCrops,
    batches: MixedBatches,
    device: torch.device,
    thorough: bool,
) -> Preflight:
    """Look at everything once.

    folder: the run directory, for the report; nothing is written. checked: name of a data set -> images of it that were
    read. student: with its distillation, if any; it is copied. thorough: as a dry run does. Raises AnnotextError where
    a step cannot be made.
    """
    effort = _DRY if thorough else _SHORT
    with _chance_kept(device):
        loaded, load_s = _loaded(crops, batches, effort.batches)
        loaded = [{key: value.to(device) for key, value in batch.items()} for batch in loaded]
        step_s, memory, capacity = _timed_steps(student, config, loaded, effort.steps, device)
        heard = _hear_all(student.distillation, loaded)
    pace = _pace(recipe, len(batches), step_s, load_s, memory, capacity, device)
    sets = tuple(_set_facts(d, checked.get(d["name"], 0), recipe) for d in data.description["data"])
    teachers = _teacher_facts(student.distillation, heard, data.skeleton, recipe)
    findings = (
        *_label_findings(sets, teachers, data.skeleton),
        *_teacher_findings(student.distillation, heard, teachers, data.skeleton, recipe),
        *_pace_findings(pace, device),
    )
    rows = _shown_rows(recipe.schedule.batch)
    report = PreflightReport(
        folder=str(folder),
        recipe=recipe.name,
        model=recipe.student.model,
        parameters=sum(p.numel() for p in student.parameters()),
        keypoints=data.skeleton.keypoints,
        data=sets,
        validation=tuple({"name": v["name"], "people": v["people"]} for v in data.description.get("validation", ())),
        teachers=teachers,
        pace=pace,
        findings=findings,
        picture=str(folder / PREFLIGHT_PICTURE),
        shown=len(rows),
    )
    return Preflight(report, _picture(recipe, data, student.distillation, loaded[0], [h[0] for h in heard], rows))


@contextmanager
def _chance_kept(device: torch.device) -> Iterator[None]:
    """Leave torch's generators, the only shared ones that training draws from, and OpenCV's threads as they were."""
    threads = cv2.getNumThreads()
    # A loader's process is one thread.
    cv2.setNumThreads(0)
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        cv2.setNumThreads(threads)


def _loaded(crops: PersonCrops, batches: MixedBatches, count: int) -> tuple[list[dict[str, Tensor]], float]:
    """The run's first batches, and the seconds one takes in one process."""
    loaded, seconds = [], []
    for i in range(count):
        began = time.perf_counter()
        loaded.append(collate([crops[draw] for draw in batches.batch(i)]))
        seconds.append(time.perf_counter() - began)
    return loaded, statistics.median_low(seconds)


def _timed_steps(
    student: Student, config: Config, loaded: Sequence[dict[str, Tensor]], steps: int, device: torch.device
) -> tuple[float, int, int]:
    """Median seconds of a step, peak memory in bytes, and the GPU's memory; on a copy of the student."""
    kept = student.distillation
    # Teachers are not trained; some cannot be copied.
    trial: Any = copy.deepcopy(student, {id(kept): kept}).to(device)
    trial.train()
    wrapper: Any = build_optim_wrapper(trial, copy.deepcopy(config.optim_wrapper))
    on_gpu = device.type == "cuda"
    benchmark = torch.backends.cudnn.benchmark
    if on_gpu:
        # As in the run itself.
        torch.backends.cudnn.benchmark = True
        torch.cuda.reset_peak_memory_stats(device)
    seconds: list[float] = []
    warm_up = 2 if on_gpu else 1
    loss = torch.zeros(())
    try:
        for i in range(warm_up + steps):
            began = time.perf_counter()
            loss = trial.train_step(loaded[i % len(loaded)], optim_wrapper=wrapper)["loss"]
            if on_gpu:
                torch.cuda.synchronize(device)
            seconds.append(time.perf_counter() - began)
            if i == 0 and not bool(torch.isfinite(loss)):
                raise AnnotextError("the loss of the first step is not a number: look at the labels and teachers")
    except torch.OutOfMemoryError:
        raise AnnotextError(
            f"the GPU's memory does not hold a step of {len(loaded[0]['image'])} people: make schedule.batch smaller"
        ) from None
    finally:
        torch.backends.cudnn.benchmark = benchmark
    memory = torch.cuda.max_memory_allocated(device) if on_gpu else _peak_memory()
    capacity = torch.cuda.get_device_properties(device).total_memory if on_gpu else 0
    del trial, wrapper
    if on_gpu:
        torch.cuda.empty_cache()
    return statistics.median(seconds[warm_up:]), memory, capacity


def _peak_memory() -> int:
    """The most this process has held, in bytes; 0 where the system does not say."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _pace(
    recipe: Recipe, steps: int, step_s: float, load_s: float, memory: int, capacity: int, device: torch.device
) -> Pace:
    workers = recipe.runtime.workers
    each = step_s + load_s if not workers else max(step_s, load_s / workers)
    if workers and device.type == "cpu":
        # Loading and training share the cores: their work adds up.
        cores = os.cpu_count() or 1
        each = max(each, (step_s * min(torch.get_num_threads(), cores) + load_s) / cores)
    return Pace(
        device=device.type,
        batch=recipe.schedule.batch,
        workers=workers,
        step_s=step_s,
        load_s=load_s,
        each_s=each,
        steps=steps,
        memory=memory,
        capacity=capacity,
    )


def _set_facts(described: Mapping[str, Any], checked: int, recipe: Recipe) -> SetFacts:
    return SetFacts(
        name=described["name"],
        skeleton=described["skeleton"],
        people=described["people"],
        trained_on=described["trained_on"],
        images=described["image_files"],
        checked=checked,
        labels=next(d.labels for d in recipe.data if d.name == described["name"]),
        labelled=described["labelled"],
    )


def _hear_all(distillation: Distillation | None, loaded: Sequence[dict[str, Tensor]]) -> list[list[Heard]]:
    """Per teacher what it says about each batch."""
    if distillation is None:
        return []
    return [[hear(distillation, i, batch) for batch in loaded] for i in range(len(distillation.pupils))]


def _teacher_facts(
    distillation: Distillation | None, heard: Sequence[Sequence[Heard]], skeleton: Skeleton, recipe: Recipe
) -> tuple[TeacherFacts, ...]:
    if distillation is None:
        return ()
    facts = []
    for pupil, said in zip(distillation.pupils, heard, strict=True):
        teacher = pupil.teacher
        taught = tuple(skeleton.keypoints[i] for i in said[0].columns)
        away = np.concatenate([h.away for h in said])
        groups = [k.removeprefix("left_").removeprefix("right_") for k in taught]
        by_group = (
            agreement(away[:, [g == group for g in groups]], group, recipe.loss.sigma)
            for group in dict.fromkeys(groups)
        )
        facts.append(
            TeacherFacts(
                name=teacher.name,
                identity=teacher.identity,
                teaches=taught,
                weight=pupil.weight,
                input_wh=teacher.crop.input_wh,
                expand=teacher.crop.expand,
                fit=teacher.crop.fit,
                clean=teacher.crop.clean,
                pixel_offset=teacher.pixel_offset,
                overall=agreement(away, "all", recipe.loss.sigma),
                groups=tuple(a for a in by_group if a is not None),
                offset=offset(np.concatenate([h.away_image for h in said])),
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


def _label_findings(
    sets: Sequence[SetFacts], teachers: Sequence[TeacherFacts], skeleton: Skeleton
) -> Iterator[Finding]:
    totals = {k: sum(d.labelled[k] for d in sets) for k in skeleton.keypoints}
    taught = {k for t in teachers for k in t.teaches}
    unknown = [k for k in skeleton.keypoints if not totals[k] and k not in taught]
    if unknown:
        yield Finding(
            "keypoint-unlabelled",
            f"nobody labels {', '.join(unknown)} and no teacher teaches it",
            "the student will say something there all the same: leave it out of the skeleton, or add data or a teacher",
            {"keypoints": unknown},
        )
    few = {k: n for k, n in totals.items() if 0 < n < FEW_LABELS and k not in taught}
    if few:
        yield Finding(
            "few-labels",
            f"fewer than {FEW_LABELS} labels: {', '.join(f'{k} {n}' for k, n in few.items())}",
            "what is learned from so few is little more than where the point usually is",
            {"labels": few, "threshold": FEW_LABELS},
        )
    for data in sets:
        for left, right in skeleton.flip_pairs:
            few_side, many = sorted((data.labelled[left], data.labelled[right]))
            if many >= FEW_LABELS and many > LOPSIDED * few_side:
                yield Finding(
                    "lopsided-labels",
                    f"{data.name} labels {left} {data.labelled[left]} times and {right} {data.labelled[right]} times",
                    "left and right should be about equal: look at the file's keypoint names and at the picture",
                    {"data": data.name, "labels": {left: data.labelled[left], right: data.labelled[right]}},
                )


def _teacher_findings(
    distillation: Distillation | None,
    heard: Sequence[Sequence[Heard]],
    teachers: Sequence[TeacherFacts],
    skeleton: Skeleton,
    recipe: Recipe,
) -> Iterator[Finding]:
    if distillation is None:
        return
    for teacher, said in zip(teachers, heard, strict=True):
        overall, shift = teacher.overall, teacher.offset
        if overall is None or shift is None or overall.n < _ENOUGH_POINTS:
            continue
        mirrored = _mirrored(said, skeleton, recipe)
        if mirrored > overall.within:
            yield Finding(
                "teacher-mirrored",
                f"teacher {teacher.name} agrees with the labels on {overall.within:.0%} of the points, with left and "
                f"right exchanged on {mirrored:.0%}",
                "its keypoints, or those of the data, name left and right the wrong way round",
                {"teacher": teacher.name, "within": round(overall.within, 4), "exchanged": round(mirrored, 4)},
            )
        elif overall.within < _STRANGE:
            yield Finding(
                "teacher-disagrees",
                f"teacher {teacher.name} is within 2 sigma of the labels on only {overall.within:.0%} of {overall.n} "
                f"points, {overall.median_px:.1f} crop pixels away in the middle",
                "look at the picture: is the order of its keypoints right, and its box rule?",
                {"teacher": teacher.name, "within": round(overall.within, 4), "n": overall.n},
            )
        moved = [abs(v) > _SHIFT and abs(v) > _CERTAIN * e for v, e in zip(shift.xy, shift.error, strict=True)]
        if any(moved):
            yield _shift_finding(teacher, shift)


def _mirrored(said: Sequence[Heard], skeleton: Skeleton, recipe: Recipe) -> float:
    """The share of peaks within two sigmas of the other side's label; those in the middle as they are."""
    columns = said[0].columns.tolist()
    partner = [int(skeleton.flip_index[c]) for c in columns]
    swap = [columns.index(p) if p in columns else -1 for p in partner]
    if -1 in swap:
        return 0.0
    # label = peak - away: the other side's label is as far as its own peak tells.
    away = np.concatenate([h.xy - (h.xy - h.away)[:, swap] for h in said])
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
    return Finding("teacher-shifted", text, hint, {"teacher": teacher.name, **shift.to_dict(), "cancels": corrected})


def _pace_findings(pace: Pace, device: torch.device) -> Iterator[Finding]:
    supply = pace.load_s / max(pace.workers, 1)
    if device.type == "cuda" and (not pace.workers or supply > _SLACK * pace.step_s):
        wanted = -(-pace.load_s // pace.step_s)
        yield Finding(
            "loader-slow",
            f"the GPU waits for crops: {pace.batch / supply:.0f} people/s are made, a step takes "
            f"{pace.batch / pace.step_s:.0f}",
            f"runtime.workers = {wanted:.0f} would keep up, where the machine has the cores ({os.cpu_count()} here)",
            {"workers": pace.workers, "wanted": int(wanted)},
        )
    if pace.capacity and pace.memory > _FULL * pace.capacity:
        yield Finding(
            "memory-tight",
            f"a step takes {pace.memory / pace.capacity:.0%} of the GPU's memory",
            "make schedule.batch smaller, or runtime.amp = 'bf16'",
            {"memory": pace.memory, "capacity": pace.capacity},
        )


def _shown_rows(batch: int) -> list[int]:
    """People of the batch to draw: spread over it, so that every data set keeps its share."""
    return np.unique(np.linspace(0, batch - 1, min(batch, _SHOWN)).round().astype(int)).tolist()


def _picture(
    recipe: Recipe,
    data: TrainingData,
    distillation: Distillation | None,
    batch: Mapping[str, Tensor],
    heard: Sequence[Heard],
    rows: Sequence[int],
) -> NDArray[np.uint8]:
    arrays = {key: value[list(rows)].cpu().numpy() for key, value in batch.items()}
    pupils = distillation.pupils if distillation else []
    people = []
    for i, row in enumerate(rows):
        peaks = [Peaks(h.columns, np.where(h.inside[row, :, None], h.xy[row], np.nan), h.score[row]) for h in heard]
        views = [
            TeacherView(
                pixels=arrays[f"image_{view}"][i],
                frame=_frame(arrays["image"][i], arrays["matrix"][i], arrays[f"matrix_{view}"][i]),
                teachers=tuple(j for j, pupil in enumerate(pupils) if pupil.view == view),
            )
            for view in sorted({pupil.view for pupil in pupils} - {0})
        ]
        people.append(
            Person(
                image=arrays["image"][i],
                points=arrays["points"][i].astype(np.float64),
                labelled=arrays["labelled"][i],
                data_set=data.sets[int(arrays["data_set"][i])].name,
                peaks=tuple(peaks),
                views=tuple(views),
            )
        )
    w, h = recipe.student.input
    title = f"{recipe.name}: {len(rows)} of the {recipe.schedule.batch} people of the first batch"
    note = f"as the student sees them, augmented, {w} x {h} pixels"
    if pupils:
        note += "; under each: data set, labels, and how far each teacher is from them (median, crop pixels)"
    names = [pupil.teacher.name for pupil in pupils]
    return draw_batch(people, data.skeleton, names, title, note)


def _frame(image: NDArray[np.uint8], matrix: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4, 2) corners of the student's crop in another crop's pixels."""
    h, w = image.shape[:2]
    corners = np.array([[0, 0], [w, 0], [w, h], [0, h]]) - 0.5
    return geometry.apply_affine(geometry.compose_affine(other, geometry.invert_affine(matrix)), corners)
