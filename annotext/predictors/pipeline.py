"""People in pictures to keypoints: each picture decoded once, crops batched across pictures, several predictors.

N people. Pictures are decoded and cut in threads ahead of the inference, which runs in the calling thread; at most
`LOOK_AHEAD` pictures per thread are open at a time. Order, batches and results do not depend on the threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotext.core.errors import SHOWN_PROBLEMS, InputError, Problem
from annotext.core.geometry import crop_to_image
from annotext.core.policy import OUTSIDE
from annotext.core.poses import Poses
from annotext.core.predictions import Predictions
from annotext.predictors.images import (
    crop_matrices,
    cut_crops,
    find_missing,
    image_path,
    pointer_to,
    read_image,
    used_images,
)
from annotext.predictors.onnx import usable_cores
from annotext.predictors.predictor import Predictor

# People per inference. On two cores 8, 16 and 32 differ by a few per cent; memory grows with it.
BATCH_SIZE = 16
# Pictures in flight per decoding thread: enough that inference never waits, few enough to hold in memory.
LOOK_AHEAD = 4


def predict(
    predictors: Sequence[Predictor],
    poses: Poses,
    images: Path,
    *,
    on_bad: Callable[[Problem], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
) -> list[Predictions]:
    """What each predictor says about each of the N people, from their boxes; labels are not looked at.

    images: folder that the pictures' file names are relative to. on_bad: takes each picture that cannot be used, whose
        people are then missing from the predictions, and each person whose box lies outside the picture; without it,
        or if no picture at all can be used, all of them are raised together as InputError (as far as messages show
        them: when that many pictures are not there at all, the others are not opened).
    progress: called with (people done, people in all).

    Every prediction has the feature `outside`, pixels that a point lies beyond its picture's edge.
    """
    bad: dict[int, list[Problem]] = {}
    used = used_images(poses)
    missing = find_missing(images, poses)
    if len(used) > 1 and len(missing) == len(used):
        first = next(iter(missing.values()))
        hint = "is this the folder that the file's image names are relative to?"
        raise InputError.single(images, "", f"holds none of the {len(used)} images, as {first.path}", hint)

    def report(index: int, problem: Problem) -> None:
        bad.setdefault(index, []).append(problem)
        if on_bad:
            on_bad(problem)

    def all_bad() -> InputError:
        return InputError(problem for index in used for problem in bad.get(index, ()))

    for index, problem in missing.items():
        report(index, problem)
    if len(bad) >= SHOWN_PROBLEMS and not on_bad:
        raise all_bad()
    batches = [_Batches(p, len(poses), batch_size) for p in predictors]
    rows_of = _rows_by_image(poses)
    todo = [(i, poses.bbox_xywh[rows_of[i]]) for i in used if i not in missing]
    done = sum(len(rows_of[i]) for i in missing)
    unusable = set(missing)
    if progress:
        progress(done, len(poses))
    with closing(_load_ahead(predictors, poses, images, todo, workers or min(4, usable_cores()))) as pictures:
        for index, loaded in pictures:
            rows = rows_of[index]
            if isinstance(loaded, Problem):
                report(index, loaded)
                unusable.add(index)
            else:
                size, crops = loaded
                outside = _outside(poses.bbox_xywh[rows], size)
                for row in rows[outside]:
                    report(index, _box_problem(poses, images, int(row), size))
                if on_bad or not bad:  # after the first problem only the others are still looked for
                    for batch, crop in zip(batches, crops, strict=True):
                        batch.add(rows[~outside], crop[~outside], size)
            done += len(rows)
            if progress:
                progress(done, len(poses))
    if bad and (not on_bad or len(unusable) == len(used)):
        raise all_bad()
    return [b.predictions(poses) for b in batches]


def _outside(bbox_xywh: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """(N,) bool: boxes that share no pixel with a picture of this (w, h); readers only know it if the file says it."""
    first, last = bbox_xywh[:, :2], bbox_xywh[:, :2] + bbox_xywh[:, 2:]
    return np.any((first > np.array(size)) | (last < 0), axis=1)


def _box_problem(poses: Poses, images: Path, row: int, size: tuple[int, int]) -> Problem:
    path = image_path(images, poses.images[int(poses.image_index[row])].file_name)
    box = ", ".join(f"{v:g}" for v in poses.bbox_xywh[row])
    problem = f"the person's box [{box}] lies outside the image of {size[0]} x {size[1]}"
    return Problem(str(path), f"annotation {poses.ids[row]}", problem)


Loaded = tuple[tuple[int, int], list[NDArray[np.uint8]]]


def _rows_by_image(poses: Poses) -> dict[int, NDArray[np.intp]]:
    order = np.argsort(poses.image_index, kind="stable")
    index, start = np.unique(poses.image_index[order], return_index=True)
    ends = [*start[1:], len(order)]
    return {int(i): order[s:e] for i, s, e in zip(index, start, ends, strict=False)}


def _load_ahead(
    predictors: Sequence[Predictor],
    poses: Poses,
    images: Path,
    todo: Iterable[tuple[int, NDArray[np.float64]]],
    workers: int,
) -> Generator[tuple[int, Loaded | Problem], None, None]:
    """(image index, its size (w, h) and one (n, h, w, 3) crop array per predictor, or what is wrong), in order."""

    def load(index: int, bbox_xywh: NDArray[np.float64]) -> Loaded | Problem:
        image = poses.images[index]
        try:
            pixels = read_image(images, image)
        except ValueError as error:
            return Problem(str(image_path(images, image.file_name)), pointer_to(poses, index), str(error))
        size = (pixels.shape[1], pixels.shape[0])
        return size, [cut_crops(pixels, p.card, bbox_xywh) for p in predictors]

    waiting: deque[tuple[int, Future[Loaded | Problem]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="annotext-images")
    try:
        for index, bbox_xywh in todo:
            waiting.append((index, pool.submit(load, index, bbox_xywh)))
            if len(waiting) >= workers * LOOK_AHEAD:
                index, future = waiting.popleft()
                yield index, future.result()
        while waiting:
            index, future = waiting.popleft()
            yield index, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class _Batches:
    """Collects one predictor's crops, runs it whenever a batch is full and keeps what it says."""

    def __init__(self, predictor: Predictor, n: int, batch_size: int) -> None:
        k = len(predictor.skeleton)
        self.predictor, self.batch_size = predictor, batch_size
        self.rows: list[int] = []
        self.crops: list[NDArray[np.uint8]] = []
        self.sizes: list[tuple[int, int]] = []
        self.xy = np.full((n, k, 2), np.nan, dtype=np.float64)  # crop pixels
        self.size = np.zeros((n, 2))
        self.score = np.zeros((n, k), dtype=np.float32)
        self.features: dict[str, NDArray[np.float32]] = {}
        self.seen = np.zeros(n, dtype=bool)

    def add(self, rows: NDArray[np.intp], crops: NDArray[np.uint8], size: tuple[int, int]) -> None:
        for row, crop in zip(rows, crops, strict=True):
            self.rows.append(int(row))
            self.crops.append(crop)
            self.sizes.append(size)
            if len(self.rows) == self.batch_size:
                self.flush()

    def flush(self) -> None:
        if not self.rows:
            return
        rows = np.array(self.rows)
        points = self.predictor(np.stack(self.crops))
        self.xy[rows], self.score[rows], self.size[rows], self.seen[rows] = points.xy, points.score, self.sizes, True
        for name, values in points.features.items():
            self.features.setdefault(name, np.zeros_like(self.score))[rows] = values
        self.rows, self.crops, self.sizes = [], [], []

    def predictions(self, poses: Poses) -> Predictions:
        self.flush()
        card, seen = self.predictor.card, self.seen
        matrices = crop_matrices(card, poses.bbox_xywh[seen])
        xy = crop_to_image(self.xy[seen], matrices) + np.array(card.pixel_offset)
        beyond = np.maximum(-xy, xy - (self.size[seen][:, None] - 1)).max(axis=-1)
        file_names = poses.file_names()
        return Predictions(
            predictor=self.predictor.identity,
            skeleton=self.predictor.skeleton,
            ids=poses.ids[seen],
            file_names=tuple(file_names[i] for i in np.flatnonzero(seen)),
            xy=xy.astype(np.float32),
            score=self.score[seen],
            features={name: values[seen] for name, values in self.features.items()}
            | {OUTSIDE: np.maximum(beyond, 0).astype(np.float32)},
        )
