"""Can the loader feed the step? People per second of both, where the loader's time goes, and what decoding once gives.

    python benchmarks/loader.py [--models nano,rtmpose-t] [--people DIR] [--workers 0,1,2] [--batch 32] [--repeats 5]
                                [--annotations FILE --images DIR] [--threads N] [--json]

appetite  people/s the training step eats from batches that are ready, the loader's with 0, 1, 2, ... workers, and those
          of both together, as in training; nano at 96x128, RTMPose at 192x256, each with its recipe's augmentation
parts     milliseconds a person's crop takes in this process: reading and decoding, warping, colour and blur, the rest;
          and what decoding at half size would take, which nobody does
once      several people share an image. The same people in one pass, this process:
          as it is   everybody in an order of chance; each decodes the image anew
          cached     the last 2 % of the images are kept; more would be flattered by a small set
          grouped    images, not people, come in an order of chance; the people of --window batches are then mixed, so
                     that those of one image seldom meet in a batch, and a window's images are kept
          all kept   no decoding at all: the bound

Everybody is still drawn once per pass when grouped; what changes is that people of one image come within a few batches
of each other. --annotations with --images takes parts and once from people of your own, say real ones.
Variants take turns; figures are medians over the repeats. On a busy machine nothing here says anything.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import tempfile
import time
from collections import OrderedDict
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
from annotext.formats.annotations import read_annotations
from annotext.predictors.images import read_image
from annotext.training.augment import Jitter, random_view
from annotext.training.cpu import denormals_flushed, keep_freed_memory
from annotext.training.data import Draw, MixedBatches, PersonCrops, TrainingSet, loader, trainable

INPUTS = {"nano": (96, 128)}
PEOPLE_PER_SET = 300
CACHED_SHARE = 0.02
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
    step, draws = trained.step(), trained.draws
    measured = MEASURED_BATCHES * sum(draws.counts)
    variants: dict[str, Callable[[], float]] = {
        "step alone": lambda: rate(lambda: [step() for _ in range(MEASURED_BATCHES)], measured)
    }
    for n in workers:
        feed = loader(trained.crops, MixedBatches(draws.sizes, draws.counts, MEASURED_BATCHES, draws.seed), n)
        variants[f"loader alone, {n} workers"] = lambda feed=feed: rate(lambda: [None for _ in feed], measured)
        variants[f"both, {n} workers"] = lambda feed=feed: rate(
            lambda: [trained.student.train_step(b, optim_wrapper=trained.optimiser) for b in feed], measured
        )
    return in_turns(variants, repeats)


def _amp(model: str) -> str:
    """As the shipped recipes have it."""
    return "bf16" if model == "nano" else "none"


class KeptImages(PersonCrops):
    """Crops that keep the last `kept` decoded images."""

    kept = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.images: OrderedDict[tuple[str, int], NDArray[np.uint8]] = OrderedDict()
        self.decoded = 0

    def _image(self, source: TrainingSet, row: int) -> NDArray[np.uint8]:
        key = (source.name, int(source.poses.image_index[row]))
        if key in self.images:
            self.images.move_to_end(key)
            return self.images[key]
        self.decoded += 1
        image = super()._image(source, row)
        if self.kept:
            self.images[key] = image
            if len(self.images) > self.kept:
                self.images.popitem(last=False)
        return image


def grouped_order(image_index: NDArray[np.intp], window: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """(N,) people: images in an order of chance, then people mixed within windows of `window` people."""
    images = rng.permutation(int(image_index.max()) + 1)
    order = np.argsort(np.argsort(images)[image_index], kind="stable")
    return np.concatenate([rng.permutation(order[i : i + window]) for i in range(0, len(order), window)])


def once(sets: Sequence[TrainingSet], like: PersonCrops, batch: int, window: int, repeats: int) -> dict[str, Any]:
    """People/s and images decoded in one pass over all sets, one after the other."""
    rng = np.random.default_rng(0)

    def draws(grouped: bool) -> list[Draw]:
        found: list[Draw] = []
        for i, one in enumerate(sets):
            n = len(one.poses)
            order = grouped_order(one.poses.image_index, window * batch, rng) if grouped else rng.permutation(n)
            found += [Draw(i, int(person), len(found) + j) for j, person in enumerate(order)]
        return found

    decoded: dict[str, int] = {}

    def variant(name: str, kept: int, grouped: bool) -> Callable[[], float]:
        order = draws(grouped)

        def run() -> float:
            crops = KeptImages(sets, like.rule.input_wh, expand=like.rule.expand, augment=like.augment, seed=0)
            crops.kept = kept
            if name == "all kept":
                for draw in order:
                    crops._image(sets[draw.data_set], draw.person)
                crops.decoded = 0
            found = rate(lambda: [crops[draw] for draw in order], len(order))
            decoded[name] = crops.decoded
            return found

        return run

    everything = sum(len(s.poses.images) for s in sets)
    rates = in_turns(
        {
            "as it is": variant("as it is", 0, False),
            "cached": variant("cached", max(1, round(CACHED_SHARE * everything)), False),
            "grouped": variant("grouped", window * batch, True),
            "all kept": variant("all kept", everything, False),
        },
        repeats,
    )
    used = sum(len(np.unique(s.poses.image_index)) for s in sets)
    people = sum(len(s.poses) for s in sets)
    return {"people": people, "images": used, "people per image": round(people / used, 2)} | {
        name: {"people/s": value, "decoded": decoded[name], "times as it is": round(value / rates["as it is"], 3)}
        for name, value in rates.items()
    }


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
    found = dict(zip(names, np.median(rounds, axis=0), strict=True))
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
    """The people of parts and once: the user's, or both synthetic sets."""
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
    parser.add_argument("--window", type=int, default=8, help="batches whose people are mixed when grouped")
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
            report[f"{model} {plan.input_wh[0]}x{plan.input_wh[1]}"] = {
                "appetite, people/s": appetite(trained, workers, given.repeats),
                "parts, ms per person": parts(sets, trained.crops, given.repeats),
                "once": once(sets, trained.crops, given.batch, given.window, given.repeats),
            }
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
