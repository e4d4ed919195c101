"""How close prediction comes to the bare model: people/s of `predict` against `session.run` on ready tensors.

    python benchmarks/extend_speed.py PREDICTOR ANNOTATIONS --images DIR [--people N]

Also: decoding alone (one thread), and the model with normalisation and decoding of its output. All in one run, on the
same people; the best of three each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from annotext.core.policy import gains_keypoints
from annotext.formats.annotations.read import read_annotations
from annotext.predictors.images import cut_crops, read_image, used_images
from annotext.predictors.load import load_predictor
from annotext.predictors.onnx import OnnxPredictor
from annotext.predictors.pipeline import BATCH_SIZE, predict


def best(run: Callable[[], object], times: int = 3) -> float:
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("predictor", type=Path)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--people", type=int, default=200)
    given = parser.parse_args()

    poses = read_annotations(given.annotations).poses
    poses = poses.take(np.flatnonzero(gains_keypoints(poses))[: given.people])
    predictor = load_predictor(given.predictor)
    assert isinstance(predictor, OnnxPredictor)
    n, used = len(poses), used_images(poses)
    crops = np.concatenate(
        [
            cut_crops(
                read_image(given.images, poses.images[i]), predictor.card, poses.bbox_xywh[poses.image_index == i]
            )
            for i in used
        ]
    )
    batches = [crops[i : i + BATCH_SIZE] for i in range(0, n, BATCH_SIZE)]
    tensors = [predictor.tensor(b) for b in batches]
    rows = {
        "session.run on ready tensors": best(lambda: [predictor.raw(t) for t in tensors]),
        "crops to points": best(lambda: [predictor(b) for b in batches]),
        "decoding the images, one thread": best(lambda: [read_image(given.images, poses.images[i]) for i in used]),
        "predict: files to points": best(lambda: predict([predictor], poses, given.images)),
    }
    floor = rows["session.run on ready tensors"]
    print(f"{predictor.card.name}: {n} people on {len(used)} images, batches of {BATCH_SIZE}")
    for name, seconds in rows.items():
        print(f"  {name:<34}{seconds:8.3f} s {n / seconds:8.1f} people/s  x{seconds / floor:.2f}")


if __name__ == "__main__":
    main()
