"""Before hours of training: a few real steps on a throw-away copy, teachers against labels, counts, one picture.

Training begins as if none of this had happened: with untouched weights and untouched generators of chance.

N people, K keypoints of the student.
"""

from __future__ import annotations

import copy
import math
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

from annotext.core import geometry
from annotext.core.errors import AnnotextError, Finding
from annotext.core.skeleton import Skeleton
from annotext.formats.files.recipe import Recipe
from annotext.training.data.samples import MixedBatches, PersonCrops, collate
from annotext.training.data.sets import TrainingData
from annotext.training.preflight.picture import Peaks, Person, TeacherView, draw_batch
from annotext.training.preflight.report import Pace, PreflightReport, SetFacts, TeacherFacts, warning
from annotext.training.preflight.teachers import TeacherPredictions, predict_teachers, teacher_facts, teacher_findings
from annotext.training.run.distributed import from_first, rank, world
from annotext.training.run.folder import PREFLIGHT_PICTURE, PREFLIGHT_REPORT, replacing, write_document
from annotext.training.run.step import Objective, Optimiser, train_step
from annotext.training.teachers.distil import Distillation

# People in the picture: what a screen shows at a size at which a keypoint can be seen.
_SHOWN = 20

# Fewer labels than this and a keypoint is hardly learned. A judgement, not a measurement.
FEW_LABELS = 100
# Left and right of a joint are labelled about equally often in every data set of people; a factor beyond this is a
# wrong mapping or a broken file. Only looked at where there are `FEW_LABELS` on one side.
LOPSIDED = 2.0
# bfloat16 is reported as slow beyond this: a busy machine makes steps differ by much.
_BF16_SLOW = 1.5
# The loader's speed is noise within this.
_SLACK = 1.1
# Of a GPU's memory: what is left is soon eaten by fragments.
_FULL = 0.9


@dataclass(frozen=True)
class _Effort:
    """batches: looked at. steps: timed, fewer when they take longer than `patience` seconds with the warm-up."""

    batches: int
    steps: int
    patience: float


# A dry run takes its time; before a real run it is a matter of seconds.
_DRY, _SHORT = _Effort(batches=4, steps=7, patience=60.0), _Effort(batches=2, steps=3, patience=5.0)
# The first steps ask for memory and choose their kernels.
_WARM_UP = 2


@dataclass(frozen=True)
class Preflight:
    """What was found, and the picture, (H, W, 3) uint8 BGR."""

    report: PreflightReport
    picture: NDArray[np.uint8]

    def write(self, folder: Path) -> None:
        """Both into a run directory. Raises AnnotextError where they cannot be written."""
        with replacing(folder / PREFLIGHT_PICTURE) as temporary:
            temporary.write_bytes(cv2.imencode(".png", self.picture)[1].tobytes())
        write_document(folder / PREFLIGHT_REPORT, self.report.to_dict())


def preflight(
    recipe: Recipe,
    folder: Path,
    *,
    data: TrainingData,
    checked: Mapping[str, int],
    objective: Objective,
    crops: PersonCrops,
    batches: MixedBatches,
    device: torch.device,
    thorough: bool,
) -> Preflight:
    """Check everything once.

    folder: the run directory, for the report; nothing is written. checked: name of a data set -> images of it that were
    read. objective: a copy of it makes the steps. thorough: as a dry run does. Raises AnnotextError where
    a step cannot be made.
    """
    effort, distillation = _DRY if thorough else _SHORT, objective.distillation
    with _chance_kept(device):
        loaded, load_s = _loaded(crops, batches, effort.batches)
        loaded = [{key: value.to(device) for key, value in batch.items()} for batch in loaded]
        shares = [{key: value[rank() :: world()] for key, value in batch.items()} for batch in loaded]
        steps = _timed_steps(objective, recipe, shares, effort, device)
        predictions = predict_teachers(distillation, loaded)
    pace = _pace(recipe, len(batches), steps, load_s / world(), device)
    sets = tuple(_set_facts(d, checked.get(d["name"], 0), recipe) for d in data.description["data"])
    teachers = teacher_facts(distillation, predictions, data.skeleton, recipe)
    findings = (
        *_label_findings(sets, teachers, data.skeleton),
        *teacher_findings(distillation, predictions, teachers, data.skeleton, recipe),
        *_pace_findings(pace, steps, device),
    )
    rows = _shown_rows(recipe.schedule.batch)
    report = PreflightReport(
        folder=str(folder),
        recipe=recipe.name,
        model=recipe.student.model,
        parameters=sum(p.numel() for p in objective.parameters()),
        keypoints=data.skeleton.keypoints,
        data=sets,
        validation=tuple({"name": v["name"], "people": v["people"]} for v in data.description.get("validation", ())),
        teachers=teachers,
        pace=pace,
        findings=findings,
        picture=str(folder / PREFLIGHT_PICTURE),
        shown=len(rows),
    )
    first = [of_teacher[0] for of_teacher in predictions]
    return Preflight(report, _picture(recipe, data, distillation, loaded[0], first, rows))


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


@dataclass(frozen=True)
class _Steps:
    """seconds: median of a step. plain_s: of one without bfloat16, on a CPU whose recipe asks for it, else 0. memory:
    peak, bytes. capacity: of the GPU, bytes, 0 on a CPU."""

    seconds: float
    plain_s: float
    memory: int
    capacity: int


def _timed_steps(
    objective: Objective, recipe: Recipe, loaded: Sequence[dict[str, Tensor]], effort: _Effort, device: torch.device
) -> _Steps:
    """Make real steps on a copy of the student."""
    kept = objective.distillation
    # Teachers are not trained; some cannot be copied.
    trial = copy.deepcopy(objective, {id(kept): kept}).to(device).train()
    optimiser = Optimiser(trial.student, recipe.optim)
    on_gpu = device.type == "cuda"
    benchmark = torch.backends.cudnn.benchmark
    if on_gpu:
        # As in the run itself.
        torch.backends.cudnn.benchmark = True
        torch.cuda.reset_peak_memory_stats(device)
    plain_s = 0.0
    try:
        seconds = _median_step(trial, optimiser, recipe.optim.lr, loaded, effort)
        if trial.student.amp and not on_gpu:
            trial.student.amp = None
            plain_s = _median_step(trial, optimiser, recipe.optim.lr, loaded, effort)
    except torch.OutOfMemoryError:
        raise AnnotextError(
            f"the GPU's memory does not hold a step of {len(loaded[0]['image'])} people: make schedule.batch smaller"
        ) from None
    finally:
        torch.backends.cudnn.benchmark = benchmark
    memory = torch.cuda.max_memory_allocated(device) if on_gpu else _peak_memory()
    capacity = torch.cuda.get_device_properties(device).total_memory if on_gpu else 0
    del trial, optimiser
    if on_gpu:
        torch.cuda.empty_cache()
    return _Steps(seconds, plain_s, memory, capacity)


def _median_step(
    trial: Objective, optimiser: Optimiser, rate: float, loaded: Sequence[dict[str, Tensor]], effort: _Effort
) -> float:
    seconds: list[float] = []
    for i in range(_WARM_UP + effort.steps):
        began = time.perf_counter()
        # Reading the loss waits for the GPU.
        loss = float(train_step(trial, optimiser, loaded[i % len(loaded)], rate)["loss"].detach())
        seconds.append(time.perf_counter() - began)
        if i == 0 and not math.isfinite(loss):
            raise AnnotextError("the loss of the first step is not a number: look at the labels and teachers")
        # Every step may wait for the other processes: all must make the same number.
        if i and from_first(sum(seconds) > effort.patience):
            break
    return statistics.median_low(seconds[_WARM_UP:] or seconds[-1:])


def _peak_memory() -> int:
    """The most this process has held, in bytes; 0 where the system does not say."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _pace(recipe: Recipe, count: int, steps: _Steps, load_s: float, device: torch.device) -> Pace:
    workers = recipe.runtime.workers
    each = steps.seconds + load_s if not workers else max(steps.seconds, load_s / workers)
    if workers and device.type == "cpu":
        # Loading and training share the cores: their work adds up.
        cores = os.cpu_count() or 1
        each = max(each, (steps.seconds * min(torch.get_num_threads(), cores) + load_s) / cores)
    return Pace(
        device=device.type,
        batch=recipe.schedule.batch,
        workers=workers,
        step_s=steps.seconds,
        load_s=load_s,
        each_s=each,
        steps=count,
        memory=steps.memory,
        capacity=steps.capacity,
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
        origins=described.get("origins", {}),
        scored_weight=described.get("scored_weight", {}),
    )


def _label_findings(
    sets: Sequence[SetFacts], teachers: Sequence[TeacherFacts], skeleton: Skeleton
) -> Iterator[Finding]:
    totals = {k: sum(d.labelled[k] for d in sets) for k in skeleton.keypoints}
    with_teacher = {k for t in teachers for k in t.teaches}
    unknown = [k for k in skeleton.keypoints if not totals[k] and k not in with_teacher]
    if unknown:
        yield warning(
            "keypoint-unlabelled",
            f"nobody labels {', '.join(unknown)} and no teacher teaches it",
            "the student will say something there all the same: leave it out of the skeleton, or add data or a teacher",
            {"keypoints": unknown},
        )
    few = {k: n for k, n in totals.items() if 0 < n < FEW_LABELS and k not in with_teacher}
    if few:
        yield warning(
            "few-labels",
            f"fewer than {FEW_LABELS} labels: {', '.join(f'{k} {n}' for k, n in few.items())}",
            "what is learned from so few is little more than where the point usually is",
            {"labels": few, "threshold": FEW_LABELS},
        )
    for data in sets:
        for left, right in skeleton.flip_pairs:
            few_side, many = sorted((data.labelled[left], data.labelled[right]))
            if many >= FEW_LABELS and many > LOPSIDED * few_side:
                yield warning(
                    "lopsided-labels",
                    f"{data.name} labels {left} {data.labelled[left]} times and {right} {data.labelled[right]} times",
                    "left and right should be about equal: look at the file's keypoint names and at the picture",
                    {"data": data.name, "labels": {left: data.labelled[left], right: data.labelled[right]}},
                )


def _pace_findings(pace: Pace, steps: _Steps, device: torch.device) -> Iterator[Finding]:
    if steps.plain_s and steps.seconds > _BF16_SLOW * steps.plain_s:
        yield warning(
            "bf16-slow",
            f"bfloat16 slows this CPU down: {steps.seconds:.2f} s a step, {steps.plain_s:.2f} s without",
            "runtime.amp = 'none' here: not every CPU that knows bfloat16 is quick with it",
            {"bf16_seconds": round(steps.seconds, 4), "float32_seconds": round(steps.plain_s, 4)},
        )
    supply = pace.load_s / max(pace.workers, 1)
    if device.type == "cuda" and (not pace.workers or supply > _SLACK * pace.step_s):
        wanted = -(-pace.load_s // pace.step_s)
        yield warning(
            "loader-slow",
            f"the GPU waits for crops: {pace.batch / supply:.0f} people/s are made, a step takes "
            f"{pace.batch / pace.step_s:.0f}",
            f"runtime.workers = {wanted:.0f} would keep up, where the machine has the cores ({os.cpu_count()} here)",
            {"workers": pace.workers, "wanted": int(wanted)},
        )
    if pace.capacity and pace.memory > _FULL * pace.capacity:
        yield warning(
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
    predictions: Sequence[TeacherPredictions],
    rows: Sequence[int],
) -> NDArray[np.uint8]:
    arrays = {key: value[list(rows)].cpu().numpy() for key, value in batch.items()}
    bindings = distillation.bindings if distillation else []
    people = []
    for i, row in enumerate(rows):
        peaks = [
            Peaks(p.columns, np.where(p.inside[row, :, None], p.xy[row], np.nan), p.score[row]) for p in predictions
        ]
        views = [
            TeacherView(
                pixels=arrays[f"image_{view}"][i],
                frame=_frame(arrays["image"][i], arrays["matrix"][i], arrays[f"matrix_{view}"][i]),
                teachers=tuple(j for j, binding in enumerate(bindings) if binding.view == view),
            )
            for view in sorted({binding.view for binding in bindings} - {0})
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
    if bindings:
        note += "; under each: data set, labels, and how far each teacher is from them (median, crop pixels)"
    names = [binding.teacher.name for binding in bindings]
    return draw_batch(people, data.skeleton, names, title, note)


def _frame(image: NDArray[np.uint8], matrix: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4, 2) corners of the student's crop in another crop's pixels."""
    h, w = image.shape[:2]
    corners = np.array([[0, 0], [w, 0], [w, h], [0, h]]) - 0.5
    return geometry.apply_affine(geometry.compose_affine(other, geometry.invert_affine(matrix)), corners)
