"""Does the loop pay? Review doubtful people, train on what was corrected, judge on people whom nobody reviewed.

    python benchmarks/studies/review_loop.py RUN --train PEOPLE --people PEOPLE --fresh PEOPLE --out DIR [--domain mpii]
                                     [--seeds 2] [--samples 12000] [--share 0.1] [--threads 1]

RUN is a student (of `annotext demo`, say) that never saw a label of the domain's added keypoints; PEOPLE are folders of
`annotext synth` (coco/, mpii/): those it was trained on, those whose file is extended and reviewed, and fresh ones.

The other domain's labels of --people calibrate the student; the domain's file is decided, an oracle reviews `--share`
of the points (withheld candidates too) by the queue and, as many points, at random. The student is then trained on,
with its old data and, as a third of every batch, the reviewed people: without the corrections, with those of the queue,
with the random ones. Judged are the student's own points of the added keypoints, against the truth: on the people of
the same file whom neither reviewed, and on the fresh ones. A run that is finished is not trained again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from annotext.core.frame import columns
from annotext.core.skeletons import COCO17, MPII16
from annotext.evaluation.correctness import Criterion, tolerance
from annotext.evaluation.ranking import Interval, bootstrap
from annotext.formats.annotations.read import read_annotations
from annotext.formats.files.jsonio import read_json, write_json
from annotext.formats.files.predictions import read_predictions
from annotext.formats.files.recipe import DataRecipe, read_recipe, write_recipe
from annotext.formats.overlay.header import header_path
from annotext.review.decisions.files import read_corrections
from annotext.review.decisions.queue import sizes

OTHER = {"coco": "mpii", "mpii": "coco"}
SKELETON = {"coco": "coco17", "mpii": "mpii16"}
SHARED = COCO17.shared_with(MPII16)
# Of every batch: the reviewed people's part, seen often enough to learn from a few hundred of them.
REVIEWED_SHARE = 1 / 3
# A fifth of what the student was trained with: it is to learn more, not anew.
LEARNING_RATE = 2e-3
ROUNDS = 400
console = Console(width=150)


@dataclass(frozen=True)
class Arm:
    """One way to train on. people: whose reviews choose the people. added: whether their corrections are labels."""

    name: str
    people: str
    added: bool


ARMS = (
    Arm("no corrections", "expected-error", False),
    Arm("reviewed by the queue", "expected-error", True),
    Arm("reviewed at random", "random", True),
)


def annotext(*words: object, threads: int = 1) -> None:
    """Run a command, its output to stderr; stops the script where it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [sys.executable, "-m", "annotext.cli.main", *map(str, words)], env=environment, stdout=sys.stderr, check=False
    )
    if done.returncode:
        sys.exit(done.returncode)


class Loop:
    """Everything below one folder."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.run: Path = given.run
        self.train: Path = given.train
        self.people: Path = given.people
        self.fresh: Path = given.fresh
        self.out: Path = given.out
        self.domain: str = given.domain
        self.samples: int = given.samples
        self.share: float = given.share
        self.threads: int = given.threads
        self.out.mkdir(parents=True, exist_ok=True)

    def parquet(self, run: Path, people: Path, domain: str, name: str, *passes: str) -> Path:
        """What a run says about people."""
        parquet = self.out / f"{name}.parquet"
        if not parquet.is_file():
            of = ("--images", people / domain / "images", "--predictor", run)
            annotations = people / domain / "annotations.json"
            annotext("predict", annotations, *of, *passes, "-o", parquet, threads=self.threads)
        return parquet

    def extended(self) -> Path:
        """The domain's file, decided by a calibration on the other domain's labels."""
        extended, calibration = self.out / "extended.json", self.out / "calibration.json"
        if not extended.is_file():
            passes = ("--tta", "flip,shift")
            there = self.parquet(self.run, self.people, OTHER[self.domain], "truth", *passes)
            here = self.parquet(self.run, self.people, self.domain, "said", *passes)
            truth = self.people / OTHER[self.domain] / "annotations.json"
            learned = ("--truth", truth, "--predictions", there, "-o", calibration, "--force")
            annotext("calibrate", self.run, *learned)
            mine = self.people / self.domain / "annotations.json"
            policy = self.run / "recipe.toml"
            annotext("decide", here, mine, "--calibration", calibration, "--policy", policy, "-o", extended)
        return extended

    def reviewed(self, strategy: str, seed: int) -> Path:
        """A folder with the people that an oracle reviewed in the order of a strategy: annotations.json, extended."""
        folder = self.out / f"{strategy}-{seed}"
        if not (folder / "annotations.json").is_file():
            folder.mkdir(exist_ok=True)
            extended, said, fixed = self.extended(), folder / "corrections.jsonl", folder / "whole.json"
            truth = self.people / self.domain / "truth.json"
            how = ("--strategy", strategy, "--seed", seed, "--share", self.share, "--withheld", "--seeds", 1)
            annotext("simulate-review", extended, "--truth", truth, *how, "-o", said, "--force")
            annotext("apply", extended, said, "-o", fixed, "--force")
            _keep(fixed, folder / "annotations.json", {c.person for c in read_corrections([said])})
        return folder

    def trained(self, arm: Arm, seed: int) -> Path:
        """The run of one arm."""
        run = self.out / f"run-{arm.name.replace(' ', '-')}-{seed}"
        if (run / "card.json").is_file():
            return run
        recipe = read_recipe(self.run / "recipe.toml")
        part = (1 - REVIEWED_SHARE) / 2
        old = [replace(d, share=part, root=str(self.train.resolve() / d.name)) for d in recipe.data]
        reviewed = DataRecipe(
            name="reviewed",
            skeleton=SKELETON[self.domain],
            root=str(self.reviewed(arm.people, seed).resolve()),
            annotations="annotations.json",
            images=str((self.people / self.domain / "images").resolve()),
            share=REVIEWED_SHARE,
            min_keypoints=3,
            added="reviewed" if arm.added else "none",
        )
        recipe = replace(
            recipe,
            name=arm.name.replace(" ", "-"),
            seed=seed,
            data=(*old, reviewed),
            student=replace(recipe.student, init=str((self.run / "student.pth").resolve())),
            optim=replace(recipe.optim, lr=LEARNING_RATE),
            schedule=replace(recipe.schedule, samples=self.samples, epochs=0.0),
            runtime=replace(recipe.runtime, threads=self.threads),
        )
        path = self.out / f"{run.name}.toml"
        write_recipe(recipe, path)
        annotext("train", path, "-o", run, "--force", "--check-images", "none", threads=self.threads)
        return run

    def judge(self, run: Path, name: str) -> dict[str, EvaluationInput]:
        """The run's own points of the keypoints that the domain lacks: on its file's people and on fresh ones."""
        said = {
            "same file": self.parquet(run, self.people, self.domain, f"{name}-same"),
            "fresh": self.parquet(run, self.fresh, self.domain, f"{name}-fresh"),
        }
        folders = {"same file": self.people, "fresh": self.fresh}
        return {where: judged(folders[where] / self.domain / "truth.json", said[where]) for where in said}


@dataclass(frozen=True)
class EvaluationInput:
    """N people, T keypoints. error: (N, T) float64 person sizes, NaN where there is no truth. right: (N, T) bool."""

    keypoints: tuple[str, ...]
    ids: NDArray[np.int64]
    image: NDArray[np.int64]
    error: NDArray[np.float64]
    right: NDArray[np.bool_]


def judged(truth: Path, parquet: Path) -> EvaluationInput:
    """Every keypoint of the prediction against the full truth."""
    said = read_predictions(parquet)[0]
    full = read_annotations(truth).poses
    full = full.take(np.isin(full.ids, said.ids))
    said = said.take(full.ids)
    size = sizes(full, SHARED)
    names = said.skeleton.keypoints
    error = np.linalg.norm(said.xy.astype(np.float64) - columns(full, names), axis=-1)
    sigmas = np.array([full.skeleton.sigmas[k] for k in names])
    limit = tolerance(Criterion.KS_OF_SIZE, sigmas, area=full.area, head_size=full.head_size, size=size)
    return EvaluationInput(names, full.ids, full.image_index, error / size[:, None], error <= limit)


def _keep(extended: Path, output: Path, people: set[int]) -> None:
    """An extended file of some of another's people alone: each record as it was, MPII's header beside it."""
    file = read_annotations(extended)
    document, _ = read_json(extended)
    kept = {int(row) for row, i in zip(file.rows, file.poses.ids, strict=True) if int(i) in people}
    records = document if file.kind == "mpii" else document["annotations"]
    records = [record for row, record in enumerate(records) if row in kept]
    write_json(records if file.kind == "mpii" else {**document, "annotations": records}, output, force=True)
    if file.kind == "mpii":
        write_json(read_json(header_path(extended))[0], header_path(output), force=True)


def compared(
    names: Sequence[str], one: EvaluationInput, base: EvaluationInput, rows: NDArray[np.bool_]
) -> dict[str, Interval | float]:
    """Figures of some keypoints on some people, and their change from `base`, in percent of it."""
    there = [one.keypoints.index(k) for k in names]
    known = np.isfinite(one.error[:, there]) & np.isfinite(base.error[:, there]) & rows[:, None]
    image = np.broadcast_to(one.image[:, None], known.shape)[known]
    error, before = one.error[:, there][known], base.error[:, there][known]
    wrong, wrong_before = ~one.right[:, there][known], ~base.right[:, there][known]
    rng = np.random.default_rng(0)

    def change(a: NDArray[np.float64], b: NDArray[np.float64]) -> Interval:
        return bootstrap(lambda i: 100 * float(a[i].mean() / b[i].mean() - 1), image, rng, rounds=ROUNDS)

    return {
        "n": int(known.sum()),
        "error": float(error.mean()),
        "median": float(np.median(error)),
        "wrong %": 100 * float(wrong.mean()),
        "error, change %": change(error, before),
        "wrong, change %": change(wrong.astype(float), wrong_before.astype(float)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    for name in ("train", "people", "fresh", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--domain", choices=tuple(OTHER), default="mpii")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--samples", type=int, default=12_000)
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    loop = Loop(given)
    lacking = read_annotations(loop.extended()).additions
    assert lacking is not None
    before = loop.judge(loop.run, "before")
    kept: list[dict[str, object]] = []
    for seed in range(1, given.seeds + 1):
        seen = {c.person for s in ("expected-error", "random") for c in _said(loop.reviewed(s, seed))}
        table = Table(
            "trained on", "people", "keypoints", "n", "error", "median", "wrong %", "error, change %", "wrong, change %"
        )
        base: dict[str, EvaluationInput] = before
        for arm in (None, *ARMS):
            found = before if arm is None else loop.judge(loop.trained(arm, seed), f"{arm.name}-{seed}")
            if arm is not None and not arm.added:
                base = found
            for where, one in found.items():
                rows = ~np.isin(one.ids, list(seen)) if where == "same file" else np.ones(len(one.ids), dtype=bool)
                for group, names in (("added", lacking.keypoints), ("the file's own", _own(one, lacking.keypoints))):
                    figures = compared(names, one, base[where], rows)
                    name = "not at all" if arm is None else arm.name
                    table.add_row(name, where, group, *map(_text, figures.values()))
                    kept.append({"seed": seed, "arm": name, "people": where, "keypoints": group, **_plain(figures)})
            table.add_section()
        table.title = f"seed {seed}: change is from training on without corrections"
        console.print(table)
        write_json(kept, given.out / "review_loop.json", force=True, indent=True)


def _own(one: EvaluationInput, added: Sequence[str]) -> list[str]:
    return [k for k in one.keypoints if k not in added]


def _said(folder: Path) -> list:
    return read_corrections([folder / "corrections.jsonl"])


def _text(value: Interval | float) -> str:
    if isinstance(value, Interval):
        return f"{value.value:+.1f} [{value.low:+.1f}, {value.high:+.1f}]"
    return str(value) if isinstance(value, int) else f"{value:.4f}" if value < 1 else f"{value:.1f}"


def _plain(figures: dict[str, Interval | float]) -> dict[str, object]:
    return json.loads(
        json.dumps({k: [v.value, v.low, v.high] if isinstance(v, Interval) else v for k, v in figures.items()})
    )


if __name__ == "__main__":
    main()
