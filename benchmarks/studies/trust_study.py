"""Can added points be trusted where nobody labelled them? Learned on one domain, judged on the other, full truth.

    python benchmarks/studies/trust_study.py synthetic RUN --out DIR [--people 4000] [--seed 11]
    python benchmarks/studies/trust_study.py real REAL --out DIR

synthetic: people whom RUN's student never saw are drawn and predicted (with further looks), and what their points are
worth is learned twice: neck and head top from the MPII-like people (sport), the face from the COCO-like (everyday).
Each is judged on the people of its own domain, out of fold, and on those of the other, whose file lacks these points
and whose full truth only this script knows. "wrong" by the calibration's criterion, and by a fifth of the torso as an
earlier study had it. Figures with 95 % intervals, images drawn anew.

real: COCO pictures with a small model of COCO's 17 points; elbows, ankles and eyes are hidden in turn as if nobody had
labelled them. Fitted on the train pictures (what the pose alone says on 8,000 other people of COCO, labels only) and
judged on the val pictures, by a calibration of all these joints together, which is what serves a keypoint without a
truth, and by each pair's own with anchoring. REAL is laid out as tests/conftest.py says.

A predictor's own score is judged on its own points, the calibrated one on what it is for: the finished points. Where
they are to be compared as detectors of the same errors, anchoring is off ("as predicted").
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from synthetic_study import command

from annotext.calibration.datasets import SHARED
from annotext.calibration.files import read_calibration
from annotext.calibration.learn import Learned, learn, learn_any, only
from annotext.calibration.model import CalibrationModel, CalibrationPart, Truth, expect, points_of
from annotext.calibration.pose_only import PoseOnlyModel
from annotext.calibration.pose_only import fit as fit_pose_only
from annotext.core.frame import columns
from annotext.core.poses import Poses
from annotext.core.predictions import Predictions
from annotext.evaluation.correctness import Criterion, tolerance
from annotext.evaluation.pck import torso_size
from annotext.evaluation.ranking import (
    Interval,
    aurc,
    auroc,
    bootstrap,
    coverage,
    ece,
    found_in_worst,
    reliability_equal_count,
)
from annotext.formats.annotations.read import read_annotations
from annotext.formats.files.predictions import read_predictions
from annotext.render.plots import Scored, calibration_plot

HEAD = ("upper_neck", "head_top")
FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
TORSO = 0.2
ROUNDS = 400
REAL_JOINTS = tuple((f"left_{k}", f"right_{k}") for k in ("elbow", "ankle", "eye"))
# People whose labels alone teach what the pose says.
OTHERS = 8000
FIGURES = (
    "raw error",
    "error",
    "change %",
    "wrong %",
    "AUROC peak",
    "AUROC",
    "AURC / peak's",
    "ECE",
    "90 % radius",
    "worst 10 %",
)
console = Console(width=190)


@dataclass(frozen=True)
class EvaluationInput:
    """P points with a truth.

    raw_error, error: sizes, of the predictor's point and the finished one. raw_right, right: by a criterion. score:
    calibrated; raw_score: the predictor's own; peak: its raw peak. radius: sizes. image: (P,).
    """

    raw_error: NDArray[np.float64]
    error: NDArray[np.float64]
    raw_right: NDArray[np.bool_]
    right: NDArray[np.bool_]
    score: NDArray[np.float64]
    raw_score: NDArray[np.float64]
    peak: NDArray[np.float64]
    radius: NDArray[np.float64]
    image: NDArray[np.int64]

    def figures(self) -> dict[str, Interval]:
        """Everything that is asked, with intervals."""
        wrong, raw_wrong = ~self.right, ~self.raw_right
        wanted = {
            "raw error": lambda i: float(self.raw_error[i].mean()),
            "error": lambda i: float(self.error[i].mean()),
            "change %": lambda i: 100 * float(self.error[i].mean() / self.raw_error[i].mean() - 1),
            "wrong %": lambda i: 100 * float(wrong[i].mean()),
            "AUROC peak": lambda i: auroc(self.peak[i], self.raw_right[i]),
            "AUROC": lambda i: auroc(self.score[i], self.right[i]),
            "AURC / peak's": lambda i: _ratio(aurc(self.score[i], wrong[i]), aurc(self.peak[i], raw_wrong[i])),
            "ECE": lambda i: ece(reliability_equal_count(self.score[i], self.right[i])),
            "90 % radius": lambda i: 100 * coverage(self.error[i], self.radius[i]),
            "worst 10 %": lambda i: 100 * found_in_worst(self.score[i], wrong[i], 0.1),
        }
        rng = np.random.default_rng(0)
        return {name: bootstrap(f, self.image, rng, rounds=ROUNDS) for name, f in wanted.items()}


def judged(
    truth: Poses,
    said: Predictions,
    keypoints: Sequence[str],
    xy: NDArray[np.float64],
    score: NDArray[np.float64],
    radius: NDArray[np.float64],
    size: NDArray[np.float64],
    criterion: str,
) -> EvaluationInput:
    """Hold (N, A) finished points, scores and radii (sizes) against a truth of the same N people."""
    true = columns(truth, keypoints)
    there = said.skeleton.indices(keypoints)
    raw = said.xy[:, there].astype(np.float64)
    error, raw_error = (np.linalg.norm(p - true, axis=-1) / size[:, None] for p in (xy, raw))
    if criterion == "torso":
        limit = np.repeat(TORSO * (torso_size(truth) / size)[:, None], len(keypoints), axis=1)
    else:
        sigmas = np.array([truth.skeleton.sigmas[k] for k in keypoints])
        limit = tolerance(Criterion(criterion), sigmas, area=truth.area, head_size=truth.head_size, size=size)
        limit = limit / size[:, None]
    known = np.isfinite(error) & np.isfinite(limit) & np.isfinite(score)
    image = np.broadcast_to(truth.image_index[:, None], known.shape)[known]
    peak = said.features.get("peak", said.score)[:, there].astype(np.float64)
    return EvaluationInput(
        raw_error[known],
        error[known],
        (raw_error <= limit)[known],
        (error <= limit)[known],
        score[known],
        said.score[:, there].astype(np.float64)[known],
        peak[known],
        radius[known],
        image,
    )


def of_learned(
    one: Learned, poses: Poses, said: Predictions, keypoints: Sequence[str], criterion: str
) -> EvaluationInput:
    """The people it was learned from, out of fold."""
    mine = [one.keypoints.index(k) for k in keypoints]
    return judged(
        poses,
        said,
        keypoints,
        one.points.xy[:, mine],
        one.fitted.score[:, mine],
        one.fitted.radius[:, mine],
        one.points.size,
        criterion,
    )


def of_model(
    model: CalibrationModel, people: Poses, truth: Poses, said: Predictions, keypoints: Sequence[str], criterion: str
) -> EvaluationInput:
    """Others, as `extend` would treat them."""
    part = next(p for p in model.parts if keypoints[0] in p.keypoints or not p.keypoints)
    found = points_of(part, people, [said], tuple(keypoints))
    size = size_of(part.pose_only, people)
    radius = found.radius / size[:, None]
    return judged(truth, said, keypoints, found.xy, found.score, radius, size, criterion)


def size_of(pose_only: PoseOnlyModel, people: Poses) -> NDArray[np.float64]:
    """(N,) pixels, NaN where unknown."""
    size = expect(pose_only, people)[1].size
    return np.where(size > 0, size, np.nan)


def row(table: Table, name: str, one: EvaluationInput, kept: dict[str, dict[str, list[float]]]) -> None:
    figures = one.figures()
    kept[name] = {k: [v.value, v.low, v.high] for k, v in figures.items()} | {"n": [float(len(one.right))] * 3}
    digits = {"change %": 1, "wrong %": 1, "90 % radius": 1, "worst 10 %": 1, "AURC / peak's": 2}
    cells = [
        f"{v.value:.{digits.get(k, 3)}f}\n[dim]{v.low:.{digits.get(k, 3)}f}, {v.high:.{digits.get(k, 3)}f}[/]"
        for k, v in figures.items()
    ]
    table.add_row(name, str(len(one.right)), *cells)


def new_table(title: str) -> Table:
    return Table("points", "n", *FIGURES, title=title, show_lines=True)


def synthetic(given: argparse.Namespace) -> None:
    """Both domains, both directions."""
    out: Path = given.out
    people = out / "people"
    if not (people / "synth.json").is_file():
        command("synth", "--out", people, "--people", given.people, "--seed", given.seed, "--sets", "coco,mpii")
    files = {}
    for name in ("coco", "mpii"):
        parquet = people / f"{name}.parquet"
        if not parquet.is_file():
            of = ("--images", people / name / "images", "--predictor", given.run, "--tta", "flip,shift")
            command("predict", people / name / "annotations.json", *of, "-o", parquet)
        files[name] = (people / name / "annotations.json", parquet)
    kept: dict[str, dict[str, list[float]]] = {}
    scored: list[Scored] = []
    for anchored in (True, False):
        for group, taught, asked in ((HEAD, "mpii", "coco"), (FACE, "coco", "mpii")):
            calibration = out / f"{taught}{'' if anchored else '-as-predicted'}.json"
            if not calibration.is_file():
                options = ("--keypoints", ",".join(group), *(() if anchored else ("--no-anchor",)))
                truth = ("--truth", files[taught][0], "--predictions", files[taught][1])
                command("calibrate", given.run, *truth, *options, "-o", calibration, "--force")
            model = read_calibration(calibration).model
            poses, said = aligned(*files[taught])
            one = learn(poses, [said], SHARED, group, criterion=Criterion.KS_OF_SIZE, anchored=anchored)
            others, other_said = aligned(*files[asked])
            full = read_annotations(people / asked / "truth.json").poses
            full = full.take(np.array([{int(i): r for r, i in enumerate(full.ids)}[int(i)] for i in others.ids]))
            how = "finished" if anchored else "as predicted"
            for criterion in ("ks-of-size", "torso"):
                table = new_table(f"{how}: {', '.join(group)}; right by {criterion}")
                head = f"{how}, {criterion}"
                own = of_learned(one, poses, said, group, criterion)
                row(table, f"{head}: own domain ({taught}), out of fold", own, kept)
                blind = only(others, SHARED)
                for names in (group, *((k,) for k in group)):
                    found = of_model(model, blind, full, other_said, names, criterion)
                    title = "all" if names == group else names[0]
                    row(table, f"{head}: {title}, the other domain ({asked})", found, kept)
                    if names == group and criterion == "ks-of-size" and anchored:
                        title = f"{', '.join(group)} on {asked}"
                        scored.append(Scored(title, found.right, found.score, found.raw_score))
                console.print(table)
    (out / "trust.json").write_text(json.dumps(kept, indent=1))
    (out / "trust.png").write_bytes(calibration_plot(scored, "learned on one domain, judged on the other"))


def _ratio(one: float, other: float) -> float:
    return one / other if other else float("nan")


def aligned(annotations: Path, parquet: Path) -> tuple[Poses, Predictions]:
    """People with a prediction, and it, in the same order."""
    said = read_predictions(parquet)[0]
    poses = read_annotations(annotations).poses
    poses = poses.take(np.isin(poses.ids, said.ids) & poses.has_keypoints & ~poses.crowd)
    return poses, said.take(poses.ids)


def real(given: argparse.Namespace) -> None:
    """Held-out joints on real pictures: fitted on train, judged on val."""
    out, coco = given.out, given.real / "coco"
    out.mkdir(parents=True, exist_ok=True)
    card = given.real / "models" / "simplepose_nano_coco17.json"
    sets = {}
    for name in ("train", "val"):
        annotations = coco / "annotations" / f"person_keypoints_{name}2017_subset.json"
        parquet = out / f"{name}.parquet"
        if not parquet.is_file():
            of = ("--images", coco / "images" / f"{name}2017", "--predictor", card, "--tta", "flip,shift")
            command("predict", annotations, *of, "-o", parquet)
        sets[name] = aligned(annotations, parquet)
    (poses, said), (val, val_said) = sets["train"], sets["val"]
    others = _others(coco, out, {*poses.file_names(), *val.file_names()})
    learned: dict[tuple[str, ...], Learned] = {}
    for pair in REAL_JOINTS:
        inputs = tuple(k for k in SHARED if k not in pair)
        expected = fit_pose_only(others, inputs, pair)
        learned[pair] = learn(poses, [said], inputs, pair, criterion=Criterion.KS_OF_SIZE, pose_only=expected)
    truth = Truth("held-out joints", "train", "0" * 64, len(poses))
    inputs = tuple(k for k in SHARED if not any(k in pair for pair in REAL_JOINTS))
    pooled = CalibrationPart(
        inputs, (), fit_pose_only(others, inputs, ()), None, learn_any(list(learned.values())), truth
    )
    kept: dict[str, dict[str, list[float]]] = {}
    scored: list[Scored] = []
    table = new_table("held-out joints, real pictures, val; fitted on train; right by ks-of-size")
    for title, model_of in (("all joints together", lambda _: pooled), ("its own", lambda p: learned[p].part(truth))):
        found: list[EvaluationInput] = []
        for pair in REAL_JOINTS:
            part: CalibrationPart = model_of(pair)
            if part.keypoints and not part.calibration:
                console.print(f"{pair}: {learned[pair].fitted.skipped}")
                continue
            model = CalibrationModel(said.predictor.sha256, (part,))
            blind = only(val, [k for k in SHARED if k not in pair])
            found.append(of_model(model, blind, val, val_said, pair, "ks-of-size"))
            row(table, f"{pair[0][5:]}s, scored by {title}", found[-1], kept)
        if found:
            whole = EvaluationInput(
                *(
                    np.concatenate([getattr(f, field.name) for f in found])
                    for field in dataclasses.fields(EvaluationInput)
                )
            )
            row(table, f"all, scored by {title}", whole, kept)
            scored.append(Scored(f"held-out joints, scored by {title}", whole.right, whole.score, whole.raw_score))
    console.print(table)
    (out / "trust.json").write_text(json.dumps(kept, indent=1))
    (out / "trust.png").write_bytes(calibration_plot(scored, "held-out joints on real pictures, val"))


def _others(coco: Path, out: Path, taken: set[str]) -> Poses:
    """People of COCO's train set on other images, of whom only labels are there."""
    whole = out / "whole.json"
    if not whole.is_file():
        packed = coco / "annotations" / "person_keypoints_train2017_reconstructed.json.gz"
        whole.write_bytes(gzip.decompress(packed.read_bytes()))
    people = read_annotations(whole).poses
    free = np.flatnonzero(~np.isin(people.file_names(), list(taken)) & (people.labelled.sum(axis=1) >= 8))
    return people.take(np.random.default_rng(0).permutation(free)[:OTHERS])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(required=True)
    one = kinds.add_parser("synthetic")
    one.add_argument("run", type=Path)
    one.add_argument("--people", type=int, default=4000)
    one.add_argument("--seed", type=int, default=11)
    one.set_defaults(do=synthetic)
    other = kinds.add_parser("real")
    other.add_argument("real", type=Path)
    other.set_defaults(do=real)
    for kind in (one, other):
        kind.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.do(given)


if __name__ == "__main__":
    main()
