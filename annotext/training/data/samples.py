"""People as training samples: several data sets, one skeleton, one crop per person.

N people of one data set, K keypoints of the union, B people of a batch, (w, h) the model's input.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from annotext.core import geometry
from annotext.core.errors import AnnotextError, Problem
from annotext.core.poses import Poses
from annotext.core.skeleton import Skeleton
from annotext.formats.files.recipe import AugmentRecipe
from annotext.predictors.images import pointer_to, read_image
from annotext.training.data.augment import BodyHalves, CropRule, Jitter, random_view
from annotext.training.data.kept_images import KeptImages

# People of one image take every (near // SPREAD)-th batch of their window. Workers take batches in turn, so that one of
# near // SPREAD workers, or of a divisor, gets all of them; two of them meet in a batch with a chance of 1 in SPREAD.
SPREAD = 4
# They also take every PROCESSES-th place of a batch: so many processes of a run, or a divisor of it, share each batch
# by place (`distributed.Shares`), and one of them draws all of an image's people.
PROCESSES = 8


@dataclass(frozen=True)
class TrainingSet:
    """One data set: its people under the union skeleton, where its images are, its share of every batch.

    labels: false: its keypoints are not shown to the student, only teachers teach on its people. weight: (N, K)
    float32 in [0, 1], how much each label counts, 0 exactly where there is none; None: all fully. Raises ValueError for
    nobody, and for weights that are none.
    """

    name: str
    poses: Poses
    images: Path
    share: float
    labels: bool = True
    weight: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if not len(self.poses):
            raise ValueError(f"data set {self.name} has nobody to train on")
        weight = self.poses.labelled if self.weight is None else self.weight
        if not np.array_equal(weight > 0, self.poses.labelled) or (weight > 1).any():
            raise ValueError(f"data set {self.name}: weights must be above 0, and at most 1, exactly at its labels")


def learnable(poses: Poses, min_keypoints: int) -> NDArray[np.bool_]:
    """(N,) bool: no crowd, at least `min_keypoints` labelled, a real box."""
    enough = poses.labelled.sum(axis=1) >= min_keypoints
    return enough & ~poses.crowd & (poses.bbox_xywh[:, 2:] > 1).all(axis=1)


def trainable(poses: Poses, skeleton: Skeleton, min_keypoints: int) -> Poses:
    """The people one can learn from, under `skeleton`: see `learnable`."""
    mapped = poses.to(skeleton)
    return mapped.take(learnable(mapped, min_keypoints))


class Draw(NamedTuple):
    """What one sample is made of: which person of which data set, and the number that seeds its augmentation."""

    data_set: int
    person: int
    number: int


def batch_counts(shares: Sequence[float], batch: int) -> tuple[int, ...]:
    """How many of `batch` people each data set gives: proportional, at least one each, largest remainders first."""
    if batch < len(shares):
        raise ValueError(f"a batch of {batch} cannot hold {len(shares)} data sets")
    wanted = np.array(shares) / sum(shares) * batch
    counts = np.maximum(np.floor(wanted).astype(int), 1)
    while counts.sum() != batch:
        step = 1 if counts.sum() < batch else -1
        order = np.argsort(-step * (wanted - counts), kind="stable")
        counts[next(i for i in order if counts[i] + step >= 1)] += step
    return tuple(int(c) for c in counts)


def near_order(
    image_of: NDArray[np.intp], lap: int, count: int, near: int, before: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """(N,) the order of a data set's people in its lap number `lap`: those of one image within `near` batches.

    image_of: (N,) the image of each. count: how many of them a batch holds, behind `before` of other data sets. Images
    come in an order of chance; their people are laid, image by image, into the places that one process, or worker of
    it, draws within a window of `near` batches, and those places are taken in an order of chance.
    """
    n = len(image_of)
    batch, place = np.divmod(np.arange(lap * n, (lap + 1) * n), count)
    # Of lexsort's keys the last one counts most.
    places = np.lexsort(
        (rng.random(n), (before + place) % PROCESSES, batch % max(1, near // SPREAD), batch // near),
    )
    order = np.empty(n, dtype=np.intp)
    order[places] = np.argsort(rng.permutation(int(image_of.max()) + 1)[image_of], kind="stable")
    return order


class MixedBatches(Sampler[list[Draw]]):
    """Batches with a fixed number of people of each data set; every data set is shuffled anew once it is through.

    Batch i is a pure function of (seed, i): a resumed run asks for `start` and sees what it would have seen.

    near: people of one image come within about so many batches of each other, see `near_order`; 0: anywhere. image_of:
    of each data set, the (N,) images of its people; only needed for near.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        counts: Sequence[int],
        batches: int,
        seed: int,
        *,
        near: int = 0,
        image_of: Sequence[NDArray[np.intp]] = (),
    ) -> None:
        if near and [len(images) for images in image_of] != list(sizes):
            raise ValueError("to draw people of one image near each other, everybody's image must be known")
        self.sizes, self.counts, self.batches, self.seed = tuple(sizes), tuple(counts), batches, seed
        self.near, self.image_of = near, tuple(image_of)
        self.start = 0
        self._orders: dict[int, tuple[int, NDArray[np.intp]]] = {}

    def __len__(self) -> int:
        return self.batches - self.start

    def _person(self, data_set: int, position: int) -> int:
        size = self.sizes[data_set]
        lap = position // size
        held = self._orders.get(data_set)
        if held is None or held[0] != lap:
            rng = np.random.default_rng([self.seed, data_set, lap])
            if self.near:
                before = sum(self.counts[:data_set])
                order = near_order(self.image_of[data_set], lap, self.counts[data_set], self.near, before, rng)
            else:
                order = rng.permutation(size)
            held = self._orders[data_set] = (lap, order)
        return int(held[1][position % size])

    def batch(self, i: int) -> list[Draw]:
        """The draws of batch i."""
        draws = []
        for data_set, count in enumerate(self.counts):
            for position in range(i * count, (i + 1) * count):
                number = i * sum(self.counts) + len(draws)
                draws.append(Draw(data_set, self._person(data_set, position), number))
        return draws

    def __iter__(self) -> Iterator[list[Draw]]:
        for i in range(self.start, self.batches):
            yield self.batch(i)


class PersonCrops(Dataset[dict[str, NDArray]]):
    """Draw -> one augmented crop as a dict of arrays.

    image: (h, w, 3) uint8 RGB. points: (K, 2) float32 crop pixels, 0 where not labelled. labelled: (K,) bool.
    matrix: (2, 3) float64 image-to-crop affine. data_set: () int64. weight: (K,) float32, how much each label counts;
    only where some data set has weights.

    others: how teachers want their crops. The i-th of them, from 1, gives `image_i` and `matrix_i`: the same person
    under the same augmentation, cut from the image itself.
    final_from: draw number from which the recipe's final phase of augmentation holds, or None.
    keep_bytes: of decoded images kept for their other people, per process; of use where those are drawn soon.
    """

    def __init__(
        self,
        sets: Sequence[TrainingSet],
        input_wh: tuple[int, int],
        *,
        expand: float,
        augment: AugmentRecipe,
        final: AugmentRecipe | None = None,
        final_from: int | None = None,
        seed: int,
        others: Sequence[CropRule] = (),
        keep_bytes: int = 0,
    ) -> None:
        self.sets = tuple(sets)
        self.skeleton = sets[0].poses.skeleton
        if any(s.poses.skeleton != self.skeleton for s in sets):
            raise ValueError("training sets must be mapped to one skeleton first")
        self.rule, self.others, self.seed = CropRule(input_wh, expand), tuple(others), seed
        self.augment, self.final, self.final_from = augment, final, final_from
        self.halves = BodyHalves.of(self.skeleton)
        self.metainfo = {"keypoints": list(self.skeleton.keypoints)}
        self.kept = KeptImages(keep_bytes)
        self._weighted = any(s.weight is not None for s in self.sets)
        self._people_in = [np.bincount(s.poses.image_index) for s in self.sets]

    def __len__(self) -> int:
        return sum(len(s.poses) for s in self.sets)

    def _image(self, data_set: int, row: int) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 BGR, shared with the other people in it."""
        index = int(self.sets[data_set].poses.image_index[row])
        people = int(self._people_in[data_set][index])
        return self.kept.image((data_set, index), people, lambda: self._decoded(self.sets[data_set], index))

    def _decoded(self, source: TrainingSet, index: int) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 BGR. Raises AnnotextError for an image that is cut short, unreadable or of another size."""
        image = source.poses.images[index]
        try:
            return read_image(source.images, image)
        except ValueError as error:
            place = f"data set {source.name}, {pointer_to(source.poses, index)}"
            # One text, not an InputError: a loader's worker can only hand a message to the training process.
            raise AnnotextError(str(Problem(str(source.images / image.file_name), place, str(error)))) from None

    def __getitem__(self, draw: Draw) -> dict[str, NDArray]:
        source = self.sets[draw.data_set]
        poses, row = source.poses, draw.person
        rng = np.random.default_rng([self.seed, draw.number])
        augment = self.augment
        if self.final is not None and self.final_from is not None and draw.number >= self.final_from:
            augment = self.final
        image = self._image(draw.data_set, row)
        xy, labelled = poses.xy[row], poses.labelled[row] & source.labels
        view = random_view(poses.bbox_xywh[row], xy, labelled, self.halves, self.rule.expand, augment, rng)
        matrix = view.matrix(self.rule, self.rule)
        crop = view.crop(image, self.rule, self.rule)
        jitter = Jitter.draw(self.rule.input_wh, augment, rng)
        points = geometry.apply_affine(matrix, xy)
        if view.flip:
            points, labelled = points[self.skeleton.flip_index], labelled[self.skeleton.flip_index]
        sample = {
            "image": _rgb(jitter.apply(crop)),
            "points": np.where(labelled[:, None], points, 0.0).astype(np.float32),
            "labelled": labelled,
            "matrix": matrix,
            "data_set": np.array(draw.data_set),
        }
        if self._weighted:
            weight = labelled.astype(np.float32)
            if source.weight is not None:
                weight *= source.weight[row][self.skeleton.flip_index if view.flip else slice(None)]
            sample["weight"] = weight
        for i, rule in enumerate(self.others, start=1):
            other = view.crop(image, rule, self.rule)
            sample[f"matrix_{i}"] = view.matrix(rule, self.rule)
            if not rule.clean:
                between = geometry.compose_affine(sample[f"matrix_{i}"], geometry.invert_affine(matrix))
                other = jitter.seen_by(between).apply(other)
            sample[f"image_{i}"] = _rgb(other)
        return sample


def _rgb(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(crop[..., ::-1])


def collate(samples: Sequence[dict[str, NDArray]]) -> dict[str, Tensor]:
    """B samples -> one dict of tensors with a leading B."""
    return {key: torch.from_numpy(np.stack([s[key] for s in samples])) for key in samples[0]}


def _quiet_worker(_: int) -> None:
    # One worker is one thread: OpenCV's and torch's own pools would fight with the training step for the cores.
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def loader(crops: PersonCrops, batches: Sampler[list[Draw]], workers: int, *, pin: bool = False) -> DataLoader:
    """A DataLoader over `batches`; with 0 workers the crops are made in the training process."""
    crops.kept.forget()  # or every worker would begin with a copy
    return DataLoader(
        crops,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=pin,
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_quiet_worker if workers else None,
        # Forked, a worker shares the people already read; macOS and newer Pythons would start it anew.
        multiprocessing_context="fork" if workers and sys.platform != "win32" else None,
    )
