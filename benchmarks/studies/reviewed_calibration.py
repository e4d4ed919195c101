"""Does a calibration hold abroad once some people there were reviewed? The face of sport people, learned on others.

    python benchmarks/studies/reviewed_calibration.py RUN --people PEOPLE --fresh PEOPLE --out DIR [--reviewed 100,300]

RUN is a student (of `annotext demo`, say), PEOPLE are folders of `annotext synth` (coco/, mpii/) whom it never saw. Its
face points are calibrated on --people's COCO-like labels, as `benchmarks/studies/trust_study.py` does, and again with
so many of --people's MPII-like people reviewed by an oracle (every face point): drawn at random, in three orders, and
by the queue. All is judged against the truth of the --fresh MPII-like people, whom nobody reviewed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from review_loop import Loop, annotext
from rich.console import Console
from rich.table import Table
from trust_study import FACE, aligned, of_model

from annotext.calibration.files import read_calibration
from annotext.evaluation.ranking import auroc, bootstrap, coverage, ece, reliability_equal_count
from annotext.formats.annotations.read import read_annotations
from annotext.formats.files.jsonio import write_json

# Random orders: how much depends on who happens to be reviewed.
ORDERS = 3
ROUNDS = 400
PASSES = ("--tta", "flip,shift")
console = Console(width=150)


def learned(loop: Loop, name: str, reviewed: Path | None) -> Path:
    """The calibration of the face, with or without a corrected file."""
    output = loop.out / f"{name}.json"
    if not output.is_file():
        there, here = loop.out / "truth.parquet", loop.out / "said.parquet"
        truth = ("--truth", loop.people / "coco" / "annotations.json", "--predictions", there)
        review = () if reviewed is None else ("--reviewed", reviewed, "--predictions", here)
        annotext("calibrate", loop.run, *truth, *review, "--keypoints", ",".join(FACE), "-o", output, "--force")
    return output


def figures(loop: Loop, calibration: Path) -> dict[str, tuple[float, float, float]]:
    """AUROC, ECE and coverage on the fresh people, with 95 % intervals from redrawing images."""
    parquet = loop.parquet(loop.run, loop.fresh, "mpii", "fresh", *PASSES)
    people, said = aligned(loop.fresh / "mpii" / "annotations.json", parquet)
    full = read_annotations(loop.fresh / "mpii" / "truth.json").poses
    full = full.take(np.array([{int(i): r for r, i in enumerate(full.ids)}[int(i)] for i in people.ids]))
    model = read_calibration(calibration).model
    one = of_model(model, people, full, said, FACE, "ks-of-size")
    rng = np.random.default_rng(0)
    wanted = {
        "AUROC": lambda i: auroc(one.score[i], one.right[i]),
        "ECE": lambda i: ece(reliability_equal_count(one.score[i], one.right[i])),
        "90 % radius covers": lambda i: coverage(one.error[i], one.radius[i]),
        "mean score": lambda i: float(one.score[i].mean()),
        "right": lambda i: float(one.right[i].mean()),
    }
    found = {name: bootstrap(f, one.image, rng, rounds=ROUNDS) for name, f in wanted.items()}
    n = float(len(one.right))
    return {"n": (n, n, n), **{k: (v.value, v.low, v.high) for k, v in found.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    for name in ("people", "fresh", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--reviewed", default="100,300")
    given = parser.parse_args()
    counts = [int(n) for n in given.reviewed.split(",")]
    settings = {"train": given.people, "domain": "mpii", "samples": 0, "share": 0.0, "threads": 1, **vars(given)}
    loop = Loop(argparse.Namespace(**settings))
    extended = loop.extended()
    additions = read_annotations(extended).additions
    assert additions is not None
    people = int((additions.source != "none").any(axis=1).sum())
    kept: dict[str, dict[str, tuple[float, float, float]]] = {}
    orders = [("random", 1), ("expected-error", 0)] + [("random", seed) for seed in range(2, ORDERS + 1)]
    for name, count, strategy, seed in [("nobody", 0, "", 0)] + [(s, n, s, i) for s, i in orders for n in counts]:
        reviewed = None
        if count:
            said, reviewed = (loop.out / f"{strategy}-{seed}-{count}.{kind}" for kind in ("jsonl", "json"))
            if not reviewed.is_file():
                how = ("--strategy", strategy, "--seed", seed, "--share", count / people, "--withheld", "--seeds", 1)
                truth = given.people / "mpii" / "truth.json"
                annotext("simulate-review", extended, "--truth", truth, *how, "-o", said, "--force")
                annotext("apply", extended, said, "-o", reviewed, "--force")
        title = name if not count else f"{count} people, {strategy} ({seed})"
        kept[title] = figures(loop, learned(loop, f"calibration-{strategy or 'none'}-{seed}-{count}", reviewed))
        write_json(kept, given.out / "reviewed_calibration.json", force=True, indent=True)
    table = Table("reviewed", *next(iter(kept.values())))
    for title, found in kept.items():
        table.add_row(title, *(f"{v:.3f} [{a:.3f}, {b:.3f}]" if a != b else f"{v:g}" for v, a, b in found.values()))
    console.print(table)


if __name__ == "__main__":
    main()
