"""Can the loader feed the step? People per second of both, where the loader's time goes, and what `near` gives.

    python benchmarks/loader.py [--models nano,rtmpose-t] [--people DIR] [--workers 0,1,2] [--batch 32] [--repeats 5]
                                [--annotations FILE --images DIR] [--what appetite,parts,near] [--near 8]
                                [--threads N] [--json]

appetite  people/s the training step eats from batches that are ready, the loader's with 0, 1, 2, ... workers, and those
          of both together, as in training; nano at 96x128, RTMPose at 192x256, each with its recipe's augmentation
parts     milliseconds a person's crop takes in this process: reading and decoding, warping, colour and blur, the rest;
          and what decoding at half size would take, which nobody does
near      [schedule] near of --near against 0, the loader alone with 0, 1, 2, ... workers on the same people: people/s,
          their ratio, the part of the decoding that is left, and the most of decoded images that a process kept

--annotations with --images takes parts and near from people of your own, say real ones.
Variants take turns; figures are medians over the repeats. On a busy machine nothing here says anything.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from train_step import Annotext, Plan

from annotext.core import geometry
from annotext.core.skeletons import UNION21
from annotext.formats.annotations.read import read_annotations
from annotext.predictors.images import read_image
from annotext.training.data.augment import Jitter, random_view
from annotext.training.data.kept_images import KEPT_BYTES
from annotext.training.data.samples import (
    Draw,
    MixedBatches,
    PersonCrops,
    TrainingSet,
    batch_counts,
    loader,
    trainable,
)
from annotext.training.run.process import denormals_flushed, keep_freed_memory

INPUTS = {"nano": (96, 128)}
PEOPLE_PER_SET = 300
# Batches per measurement: enough for workers to get into step.
MEASURED_BATCHES = 16


def rate(run: Callable[[], object], people: int) -> float:
    """People per second."""
    started = time.perf_counter()
    run()
    return people / (time.perf_counter() - started)


def in_turns(variants: dict[str, Callable[[], float]], repeats: int) -> dict[str, float]:
    """Median of every variant over `repeats` rounds, forwards and backwards in turn, after one that is not counted."""
    names = list(variants)
    found: dict[str, list[float]] = {name: [] for name in names}
    for i in range(repeats + 1):
        for name in names if i % 2 else names[::-1]:
            value = variants[name]()
            if i:
                found[name].append(value)
    return {name: round(statistics.median(values), 2) for name, values in found.items()}


def appetite(trained: Annotext, workers: Sequence[int], repeats: int) -> dict[str, float]:
    """People/s of the step, of the loader, and of both."""
    step: Any = trained.step()
    draws = trained.draws
    measured = MEASURED_BATCHES * sum(draws.counts)
    variants: dict[str, Callable[[], float]] = {
        "step alone": lambda: rate(lambda: [step() for _ in range(MEASURED_BATCHES)], measured)
    }
    for n in workers:
        feed = loader(trained.crops, MixedBatches(draws.sizes, draws.counts, MEASURED_BATCHES, draws.seed), n)
        variants[f"loader alone, {n} workers"] = lambda feed=feed: rate(lambda: [None for _ in feed], measured)
        variants[f"both, {n} workers"] = lambda feed=feed: rate(lambda: [trained.train_step(b) for b in feed], measured)
    return in_turns(variants, repeats)


def _amp(model: str) -> str:
    """As the shipped recipes have it."""
    return "bf16" if model == "nano" else "none"


def near_against_far(
    sets: Sequence[TrainingSet], like: PersonCrops, batch: int, near: int, workers: Sequence[int], repeats: int
) -> dict[str, Any]:
    """Per number of workers: people/s of both, their ratio, and what decoding is left."""
    sizes = [len(s.poses) for s in sets]
    counts = batch_counts(sizes, batch)
    measured = max(MEASURED_BATCHES, math.ceil(sum(sizes) / batch))
    image_of = [s.poses.image_index for s in sets]
    orders = {n: MixedBatches(sizes, counts, measured, 0, near=n, image_of=image_of) for n in (0, near)}

    def crops(n: int) -> PersonCrops:
        return PersonCrops(
            sets,
            like.rule.input_wh,
            expand=like.rule.expand,
            augment=like.augment,
            seed=0,
            keep_bytes=KEPT_BYTES if n else 0,
        )

    variants: dict[str, Callable[[], float]] = {}
    for count in workers:
        for n, order in orders.items():
            feed = loader(crops(n), order, count)
            variants[f"{n}, {count} workers"] = lambda feed=feed: rate(lambda: [None for _ in feed], measured * batch)
    rates = in_turns(variants, repeats)
    people, images = sum(sizes), sum(len(np.unique(i)) for i in image_of)
    found: dict[str, Any] = {"people": people, "images": images, "people per image": round(people / images, 2)}
    for count in workers:
        far, close = rates[f"0, {count} workers"], rates[f"{near}, {count} workers"]
        decoded, most = decoding(crops(near), list(orders[near]), max(1, count))
        found[f"{count} workers"] = {
            "people/s": close,
            "people/s at 0": far,
            "times": round(close / far, 2),
            "decoded": round(decoded, 2),
            "most kept, MB": round(most / 2**20),
        }
    return found


def decoding(crops: PersonCrops, batches: Sequence[Sequence[Draw]], workers: int) -> tuple[float, int]:
    """Images decoded per person drawn, and the most bytes a worker kept; each takes every so-many-th batch."""
    for worker in range(workers):
        crops.kept.forget()
        for batch in batches[worker::workers]:
            for draw in batch:
                crops._image(draw.data_set, draw.person)
    return crops.kept.decoded / sum(len(b) for b in batches), crops.kept.most_bytes


def parts(sets: Sequence[TrainingSet], like: PersonCrops, repeats: int, people: int = 150) -> dict[str, float]:
    """Milliseconds per person of each part, and of the whole."""
    crops = PersonCrops(sets, like.rule.input_wh, expand=like.rule.expand, augment=like.augment, seed=0)
    rng = np.random.default_rng(0)
    chosen = [(i, int(row)) for i, s in enumerate(sets) for row in rng.permutation(len(s.poses))[: people // len(sets)]]
    names = ("decode", "view and warp", "colour and blur", "whole", "decode at half size")
    rounds = []
    for _ in range(repeats):
        spent = np.zeros(len(names))
        for number, (i, row) in enumerate(chosen):
            poses, folder = sets[i].poses, sets[i].images
            picture = poses.images[poses.image_index[row]]
            chance = np.random.default_rng([0, number])
            marks = [time.perf_counter()]
            image = read_image(folder, picture)
            marks.append(time.perf_counter())
            crop = _warped(crops, poses, row, image, chance)
            marks.append(time.perf_counter())
            Jitter.draw(crops.rule.input_wh, crops.augment, chance).apply(crop)
            marks.append(time.perf_counter())
            _ = crops[Draw(i, row, number)]
            marks.append(time.perf_counter())
            cv2.imread(str(folder / picture.file_name), cv2.IMREAD_REDUCED_COLOR_2)
            marks.append(time.perf_counter())
            spent += np.diff(marks)
        rounds.append(1e3 * spent / len(chosen))
    found: dict[str, float] = dict(zip(names, np.median(rounds, axis=0), strict=True))
    found["rest"] = found["whole"] - found["decode"] - found["view and warp"] - found["colour and blur"]
    return {part: round(float(value), 3) for part, value in found.items()}


def _warped(crops: PersonCrops, poses: Any, row: int, image: NDArray[np.uint8], rng: np.random.Generator) -> Any:
    rule = crops.rule
    view = random_view(
        poses.bbox_xywh[row], poses.xy[row], poses.labelled[row], crops.halves, rule.expand, crops.augment, rng
    )
    geometry.apply_affine(view.matrix(rule, rule), poses.xy[row])
    return view.crop(image, rule, rule)


def sets_of(given: argparse.Namespace, people: Path) -> list[TrainingSet]:
    """The people of parts and near: the user's, or both synthetic sets."""
    sources = [("coco", people / "coco/annotations.json", people / "coco/images")]
    sources.append(("mpii", people / "mpii/annotations.json", people / "mpii/images"))
    if given.annotations is not None:
        sources = [("given", given.annotations, given.images)]
    found = []
    for name, file, images in sources:
        poses = trainable(read_annotations(file).poses, UNION21, 1)
        there = np.array([(images / poses.images[i].file_name).is_file() for i in poses.image_index], dtype=bool)
        found.append(TrainingSet(name, poses.take(there), images, 1.0))
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="nano,rtmpose-t")
    parser.add_argument("--people", type=Path, help="a folder of annotext synth; default: a few people, made anew")
    parser.add_argument("--workers", default="0,1,2")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--near", type=int, default=8, help="4 times the workers keeps an image with one of them")
    parser.add_argument("--what", default="appetite,parts,near")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--annotations", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--threads", type=int, default=0, help="of torch; default: its own choice")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if (given.annotations is None) != (given.images is None):
        parser.error("--annotations and --images belong together")
    return given


def main() -> None:
    given = arguments()
    logging.disable(logging.INFO)
    cv2.setNumThreads(0)  # as in training, where the runner says so
    if given.threads:
        torch.set_num_threads(given.threads)
    keep_freed_memory()
    report: dict[str, Any] = {}
    with denormals_flushed(), tempfile.TemporaryDirectory() as folder:
        people = given.people
        if people is None:
            from annotext.workflows.synth import synthesise

            people = Path(folder) / "people"
            synthesise(people, PEOPLE_PER_SET, 0, sets=("coco", "mpii"))
        sets = sets_of(given, people)
        workers = [int(n) for n in given.workers.split(",")]
        for model in given.models.split(","):
            plan = Plan(model, INPUTS.get(model, (192, 256)), given.batch, _amp(model), "cpu", (), people, 0)
            trained = Annotext(plan, ("coco17", "mpii16"), taught=False)
            crops = trained.crops
            measure: dict[str, tuple[str, Callable[[], dict[str, Any]]]] = {
                "appetite": ("appetite, people/s", lambda trained=trained: appetite(trained, workers, given.repeats)),
                "parts": ("parts, ms per person", lambda crops=crops: parts(sets, crops, given.repeats)),
                "near": (
                    f"near {given.near}",
                    lambda crops=crops: near_against_far(sets, crops, given.batch, given.near, workers, given.repeats),
                ),
            }
            found = [measure[what] for what in given.what.split(",")]
            report[f"{model} {plan.input_wh[0]}x{plan.input_wh[1]}"] = {title: run() for title, run in found}
    if given.json:
        print(json.dumps(report, indent=2))
        return
    for model, found in report.items():
        print(model)
        for what, values in found.items():
            print(f"  {what}")
            for name, value in values.items():
                said = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
                print(f"    {name:<28}{said:>10}")


if __name__ == "__main__":
    main()
