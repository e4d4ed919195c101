"""How long deciding about a whole data set takes: `annotext decide` against reading and writing the same JSON alone.

    python benchmarks/decide_speed.py ANNOTATIONS [--keep FOLDER]

ANNOTATIONS is a COCO keypoint file. What a student would have said is made from its labels with noise: 21 keypoints per
person, every feature of `annotext predict --tta flip,shift`, wrong now and then and then less sure. A trust model
(pose-only, anchor, calibration of upper neck and head top) is fitted on 4,000 of its people against the made-up truth.
Everything is the same in every run. Each side runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from annotext.calibration.features import evidence
from annotext.calibration.files import write_calibration
from annotext.calibration.fit import Outcome, fit_calibration
from annotext.calibration.model import CalibrationModel, CalibrationPart, Truth, expect
from annotext.calibration.pose_only import fit
from annotext.calibration.refine import fit_anchor
from annotext.core.additions import Source
from annotext.core.frame import columns
from annotext.core.policy import gains_keypoints
from annotext.core.poses import Poses
from annotext.core.predictions import Predictions, PredictorIdentity
from annotext.core.skeletons import COCO17, MPII16, UNION21
from annotext.evaluation.correctness import Criterion, tolerance
from annotext.formats.annotations.read import read_annotations
from annotext.formats.files.predictions import write_predictions
from annotext.workflows.decide import PolicyOptions, decide

TAUGHT = ("upper_neck", "head_top")
INPUTS = tuple(k for k in COCO17.keypoints if k in MPII16.index)
TEACHING_PEOPLE = 4_000


def made_up_truth(poses: Poses, rng: np.random.Generator) -> NDArray[np.float64]:
    """(N, 21, 2) px: the labels, the box's points where there is none, and a neck and a head above the shoulders."""
    whole = poses.to(UNION21)
    corner, side = poses.bbox_xywh[:, None, :2], poses.bbox_xywh[:, None, 2:]
    xy = np.where(np.isfinite(whole.xy), whole.xy, corner + rng.random(whole.xy.shape) * side)
    at = UNION21.index
    shoulders = (xy[:, at["left_shoulder"]] + xy[:, at["right_shoulder"]]) / 2
    hips = (xy[:, at["left_hip"]] + xy[:, at["right_hip"]]) / 2
    up = shoulders - hips
    xy[:, at["pelvis"]], xy[:, at["thorax"]] = hips, shoulders
    xy[:, at["upper_neck"]] = shoulders + 0.15 * up
    xy[:, at["head_top"]] = shoulders + 0.55 * up
    return xy


def said_with_noise(poses: Poses, truth: NDArray[np.float64], rng: np.random.Generator) -> Predictions:
    """What a student might say: near the truth for most points, far off for some."""
    n, k = truth.shape[:2]
    size = np.sqrt(poses.bbox_xywh[:, 2:].prod(axis=1))[:, None, None]
    far = rng.random((n, k)) < 0.2
    error = np.where(far, 0.4, 0.025)[..., None] * size * rng.normal(size=truth.shape)
    doubt = np.clip(np.where(far, 0.55, 0.2) + 0.15 * rng.normal(size=(n, k)), 0, 1)

    def like(scale: float) -> NDArray[np.float32]:
        return (scale * np.clip(doubt + 0.1 * rng.random((n, k)), 0, 1)).astype(np.float32)

    return Predictions(
        PredictorIdentity("made-up", "ab" * 32, Source.STUDENT),
        UNION21,
        poses.ids,
        tuple(poses.file_names()),
        (truth + error).astype(np.float32),
        (1 - doubt).astype(np.float32),
        {
            "peak": (20 * (1 - doubt)).astype(np.float32),
            "entropy": like(1.0),
            "second": like(0.5),
            "outside": np.zeros((n, k), np.float32),
            "flip": like(0.05),
            "shift": like(0.05),
        },
    )


def taught(poses: Poses, said: Predictions, truth: NDArray[np.float64]) -> CalibrationModel:
    """A trust model of the upper neck and the head top."""
    whole = replace(poses.to(UNION21), xy=truth, visibility=np.full(truth.shape[:2], 2, np.uint8))
    pose_only = fit(whole, INPUTS, TAUGHT)
    expectation, frame = expect(pose_only, poses)
    target = columns(whole, TAUGHT)
    anchor = fit_anchor(poses, said, expectation, frame, target, INPUTS, TAUGHT)
    xy = anchor.apply(poses, said, expectation, frame)
    found = evidence(poses, [said], xy, expectation, frame, INPUTS, TAUGHT)
    size = frame.size[:, None]
    sigmas = np.array([UNION21.sigmas[k] for k in TAUGHT])
    largest = tolerance(Criterion.KS_OF_SIZE, sigmas, area=poses.area, head_size=poses.head_size, size=frame.size)
    error = np.linalg.norm(xy - target, axis=-1)
    fitted = fit_calibration(
        found, Outcome.of_errors(error / size, largest / size), poses.image_index, criterion=Criterion.KS_OF_SIZE
    )
    part = CalibrationPart(
        INPUTS, TAUGHT, pose_only, anchor, fitted.calibration, Truth("made-up", "none", "0" * 64, len(poses))
    )
    return CalibrationModel(said.predictor.sha256, (part,))


def prepare(annotations: Path, folder: Path) -> None:
    """Write the predictions and the calibration."""
    rng = np.random.default_rng(0)
    file = read_annotations(annotations)
    poses = file.poses.take(gains_keypoints(file.poses))
    truth = made_up_truth(poses, rng)
    said = said_with_noise(poses, truth, rng)
    write_predictions(folder / "said.parquet", [said], input_sha256=file.sha256, force=True)
    rows = np.sort(rng.permutation(len(poses))[:TEACHING_PEOPLE])
    model = taught(poses.take(rows), said.take(poses.ids[rows]), truth[rows])
    write_calibration(model, folder / "calibration.json", force=True)


def bare(annotations: Path, folder: Path) -> dict[str, object]:
    """Read and write the JSON, nothing else."""
    document = orjson.loads(annotations.read_bytes())
    (folder / "bare.json").write_bytes(orjson.dumps(document))
    return {}


def decided(annotations: Path, folder: Path) -> dict[str, object]:
    """Decide and write; the target is strict enough that points are asked about and withheld too."""
    report = decide(
        folder / "said.parquet",
        annotations,
        folder / "out.json",
        calibration=folder / "calibration.json",
        policy=PolicyOptions(target_error=("0.01",)),
        force=True,
    )
    return {"people": report.people, "trust": report.trust, "bytes": (folder / "out.json").stat().st_size}


SIDES = {"prepare": prepare, "bare": bare, "decide": decided}


def alone(side: str, annotations: Path, folder: Path) -> dict[str, object]:
    """Run one side in a process of its own; what it returns, its seconds and its peak memory in GB."""
    command = [sys.executable, __file__, str(annotations), "--keep", str(folder), "--side", side]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("--keep", type=Path, help="where the files go and stay; default: a folder that is removed")
    parser.add_argument("--times", type=int, default=3, help="runs of each side; the best counts")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        started = time.perf_counter()
        result = SIDES[given.side](given.annotations, given.keep) or {}
        seconds = time.perf_counter() - started
        gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(json.dumps({**result, "seconds": seconds, "gigabytes": gigabytes}))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        alone("prepare", given.annotations, folder)
        runs = {s: [alone(s, given.annotations, folder) for _ in range(given.times)] for s in ("bare", "decide")}
    best = {side: min(found, key=lambda r: r["seconds"]) for side, found in runs.items()}
    for side, found in best.items():
        print(f"{side:<8}{found['seconds']:8.2f} s   peak {found['gigabytes']:.2f} GB")
    print(f"ratio   {best['decide']['seconds'] / best['bare']['seconds']:8.1f}")
    print(json.dumps({k: best["decide"][k] for k in ("people", "trust", "bytes")}))


if __name__ == "__main__":
    main()
