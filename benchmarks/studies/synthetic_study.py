"""Does the union pay, and does distillation? The paper's experiments on synthetic people, with seeds and a domain gap.

    python benchmarks/studies/synthetic_study.py --out DIR [--seeds 3] [--samples 10000] [--jobs 1] [--only NAME ...]
                                         [--tables] [--cost]

People are drawn (everyday people under COCO's 17 points, sport under MPII's 16), teachers and students trained through
`annotext train` with recipes written into DIR/recipes, and every student judged on people of both domains whom nobody
trained on, against the full 21-point truth. As in the paper all students start from one backbone, learned on other
everyday people under 17 points; their heads start from nothing. A run that is finished is not trained again, so the
script can be stopped and started; `--tables` only prints. Everything is also written to DIR/results.json. `--cost`
measures what a sample costs each kind of training, side by side, on a machine that must be quiet.

Groups:

own    teachers are bigger than the student and know the same people: the paper's case
more   teachers are bigger, see a larger crop and learned from ten times the people
few    a tenth of the MPII-like people is labelled; the teachers are those of `more`
none   nobody of the MPII-like people is labelled: only boxes and the teachers of `more`
both   like own, more and few, with ONE teacher of all 21 points that learned from both data sets
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from annotext.core.skeletons import COCO17, MPII16, UNION21
from annotext.evaluation.inputs import EvaluationInput
from annotext.evaluation.report import EvaluationReport, evaluate
from annotext.formats.annotations.read import read_annotations
from annotext.formats.files.recipe import (
    DataRecipe,
    DistilRecipe,
    Recipe,
    StudentRecipe,
    TeacherRecipe,
    find_recipe,
    read_recipe,
    write_recipe,
)
from annotext.predictors.load import load_predictor
from annotext.predictors.pipeline import predict

SHARED = tuple(k for k in COCO17.keypoints if k in MPII16.keypoints)
FACE = tuple(k for k in COCO17.keypoints if k not in SHARED)
TORSO_AND_HEAD = tuple(k for k in MPII16.keypoints if k not in SHARED)

# The paper's weights (eq. 8 as printed).
PAPER = DistilRecipe(alpha=0.30)
WEIGHTS = {"coco": 0.45, "mpii": 0.25, "both": 0.70}

# Samples of the two trainings whose difference is a training's cost, and how often they take turns.
COST_SAMPLES, COST_ROUNDS = (320, 2240), 3


@dataclass(frozen=True)
class Experiment:
    """One row. data: what it is trained on. teachers: "", "own" or "more", one per data set, or "own-both" or
    "more-both", one of both. distil: how. longer: times the samples.

    mpii: whose labels of the MPII-like people are used: "all", a "few" (a tenth), or none; "+boxes" or "boxes": the
    others are there without labels. core: trained before the other rows, with all seeds.
    """

    name: str
    group: str
    data: tuple[str, ...] = ("coco", "mpii")
    teachers: str = ""
    distil: DistilRecipe = PAPER
    longer: float = 1.0
    mpii: str = "all"
    core: bool = True


def experiments() -> list[Experiment]:
    def variants(group: str, teachers: str, mpii: str) -> Iterator[Experiment]:
        base = Experiment(group, group, teachers=teachers, mpii=mpii)
        yield replace(base, name=f"{group}: paper's form")
        yield replace(base, name=f"{group}: only unlabelled", distil=replace(PAPER, where="unlabelled"), core=False)
        if group == "own":
            yield replace(base, name=f"{group}: decay", distil=replace(PAPER, decay="cosine"), core=False)
            yield replace(base, name=f"{group}: authors' code form", distil=replace(PAPER, remainder=False), core=False)
            yield replace(base, name=f"{group}: by confidence", distil=replace(PAPER, confidence="peak"))

    return [
        Experiment("COCO only", "plain", data=("coco",)),
        Experiment("MPII only", "plain", data=("mpii",)),
        Experiment("union", "plain"),
        Experiment("union, longer", "plain", longer=1.6, core=False),
        # What one teacher of `more` costs, measured by --cost.
        Experiment("union, 2.1 times as long", "plain", longer=2.1, core=False),
        *variants("own", "own", "all"),
        *variants("more", "more", "all"),
        Experiment("few: union", "few", mpii="few"),
        Experiment("few: union, longer", "few", mpii="few", longer=1.6, core=False),
        Experiment("few: paper's form + boxes", "few", teachers="more", mpii="few+boxes"),
        Experiment(
            "few: only unlabelled + boxes",
            "few",
            teachers="more",
            mpii="few+boxes",
            distil=DistilRecipe(alpha=0.5, where="unlabelled", confidence="peak"),
        ),
        Experiment("none: paper's form", "none", teachers="more", mpii="boxes"),
        Experiment(
            "none: only unlabelled",
            "none",
            teachers="more",
            mpii="boxes",
            distil=DistilRecipe(alpha=0.5, where="unlabelled", confidence="peak"),
        ),
        Experiment("both: own, paper's form", "both", teachers="own-both"),
        Experiment("both: more, paper's form", "both", teachers="more-both"),
        Experiment(
            "both: more, only unlabelled",
            "both",
            teachers="more-both",
            distil=DistilRecipe(alpha=0.5, where="unlabelled", confidence="peak"),
        ),
        Experiment("both: few, paper's form + boxes", "both", teachers="more-both", mpii="few+boxes"),
    ]


class Study:
    """Everything below one folder."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given, self.out = given, given.out
        self.out.mkdir(parents=True, exist_ok=True)

    # --- people -----------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        for name, people, seed in (
            ("people", self.given.people, 1),
            ("test", self.given.test, 2),
            ("many", 10 * self.given.people, 3),
        ):
            if not (self.out / name / "synth.json").is_file():
                command("synth", "--out", self.out / name, "--people", people, "--seed", seed, "--sets", "coco,mpii")
        self._split()

    def _split(self) -> None:
        """few.json: a tenth of the MPII-like people; rest.json: the others, of whom only the boxes are used."""
        folder = self.out / "people" / "mpii"
        records = json.loads((folder / "annotations.json").read_text())
        chosen = np.random.default_rng(0).permutation(len(records))
        few = set(chosen[: len(records) // 10].tolist())
        for name, keep in (("few.json", True), ("rest.json", False)):
            (folder / name).write_text(json.dumps([r for i, r in enumerate(records) if (i in few) == keep]))

    # --- recipes ----------------------------------------------------------------------------------------------------

    def _data(self, people: str, name: str, annotations: str = "annotations.json", share: float = 0.5) -> DataRecipe:
        return DataRecipe(
            name=name,
            skeleton={"coco": "coco17", "mpii": "mpii16"}[name.split("-")[0]],
            root=str(self.out / people / name.split("-")[0]),
            annotations=annotations,
            images="images",
            share=share,
            min_keypoints=3,
        )

    def base(self, name: str, seed: int) -> Recipe:
        demo = read_recipe(find_recipe("demo"))
        return replace(
            demo,
            name=name,
            seed=seed,
            runtime=replace(demo.runtime, threads=self.given.threads, workers=0, checkpoint_every=100_000),
        )

    def teacher(self, kind: str, name: str) -> tuple[str, Recipe]:
        """A teacher of one data set, or of "both": the demo's network; of `more` also ten times the people."""
        base = self.base(f"teacher-{kind}-{name}", 100)
        student = base.student
        if kind == "more":
            student = replace(student, input=(128, 160))
        recipe = replace(
            base,
            student=student,
            data=tuple(
                self._data("many" if kind == "more" else "people", n)
                for n in (("coco", "mpii") if name == "both" else (name,))
            ),
            schedule=replace(base.schedule, samples=self.given.teacher_samples),
        )
        return f"teacher-{kind}-{name}", recipe

    def student(self, row: Experiment, seed: int) -> tuple[str, Recipe]:
        name = "".join(c if c.isalnum() else "-" for c in row.name).strip("-") + f"-{seed}"
        base = self.base(name, seed)
        data = []
        if "coco" in row.data:
            data.append(self._data("people", "coco"))
        if "mpii" in row.data:
            if row.mpii == "all":
                data.append(self._data("people", "mpii"))
            if "few" in row.mpii:
                data.append(self._data("people", "mpii", "few.json", share=0.25 if "boxes" in row.mpii else 0.5))
            if "boxes" in row.mpii:
                whole = row.mpii == "boxes"
                boxes = self._data("people", "mpii-boxes", "annotations.json" if whole else "rest.json")
                data.append(replace(boxes, labels=False, share=0.5 if whole else 0.25))
        teachers = tuple(
            TeacherRecipe(name=t, source=str(self.out / "runs" / f"teacher-{kind}-{t}"), weight=WEIGHTS[t])
            for kind, t in taught_by(row)
        )
        recipe = replace(
            base,
            student=replace(self.small(base), init=str(self.backbone)),
            data=tuple(data),
            teacher=teachers,
            distil=row.distil if teachers else None,
            schedule=replace(base.schedule, samples=round(row.longer * self.given.samples)),
        )
        return name, recipe

    # --- runs -------------------------------------------------------------------------------------------------------

    def train(self, name: str, recipe: Recipe) -> float:
        """Train it unless it is there; seconds the command took (kept in the run's folder)."""
        folder = self.out / "runs" / name
        clock = self.out / "seconds" / f"{name}.txt"
        if not (folder / "card.json").is_file():
            path = self.out / "recipes" / f"{name}.toml"
            for parent in (path.parent, clock.parent):
                parent.mkdir(exist_ok=True)
            write_recipe(recipe, path)
            started = time.perf_counter()
            command("train", path, "--out", folder, "--device", self.given.device, *(["--force"] * folder.exists()))
            clock.write_text(f"{time.perf_counter() - started:.1f}")
        return float(clock.read_text()) if clock.is_file() else float("nan")

    def start(self) -> None:
        """The backbone all students start from."""
        base = self.base("start", 100)
        recipe = replace(
            base,
            student=self.small(base),
            data=(self._data("many", "coco"),),
            schedule=replace(base.schedule, samples=self.given.teacher_samples),
        )
        self.train("start", recipe)
        if not self.backbone.is_file():
            newest = max((self.out / "runs" / "start" / "checkpoints").glob("step_*.pth"))
            weights = torch.load(newest, weights_only=True)["state_dict"]
            torch.save({k: v for k, v in weights.items() if k.startswith("backbone.")}, self.backbone)

    @property
    def backbone(self) -> Path:
        return (self.out / "start.pth").resolve()

    @staticmethod
    def small(base: Recipe) -> StudentRecipe:
        return replace(base.student, channels=(16, 32, 64, 128), blocks=(0, 1, 1, 1))

    def judge(self, name: str) -> dict[str, float]:
        """The student's figures on both domains, everyday (coco) and sport (mpii); kept beside the run."""
        kept = self.out / "judged" / f"{name}.json"
        if kept.is_file():
            return json.loads(kept.read_text())
        predictor = load_predictor(self.out / "runs" / name)
        figures: dict[str, float] = {}
        for domain in ("coco", "mpii"):
            folder = self.out / "test" / domain
            truth = read_annotations(folder / "truth.json").poses
            truth = truth.take(truth.labelled.sum(axis=1) >= 8)
            found = EvaluationInput.of_predictions(predict([predictor], truth, folder / "images")[0])
            report = evaluate(truth, found)
            figures[f"{domain} shared"] = pooled(report, SHARED)
            added = TORSO_AND_HEAD if domain == "coco" else FACE
            if all(k in report.keypoints for k in added):
                figures[f"{domain} added"] = pooled(report, added)
                for k in added:
                    figures[f"{domain} {k}"] = report.keypoints[k].pck
            if len(report.keypoints) == len(UNION21):
                figures[f"{domain} oks21"] = 100 * report.oks_mean
            shared = evaluate(truth, found, keypoints=SHARED)
            figures[f"{domain} oks12"] = 100 * shared.oks_mean
        figures["average"] = (figures["coco shared"] + figures["mpii shared"]) / 2
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(json.dumps(figures, indent=1))
        return figures

    def run(self) -> None:
        rows = [e for e in experiments() if not self.given.only or e.group in self.given.only]
        self.draw()
        self.start()
        with ThreadPoolExecutor(self.given.jobs) as pool:
            teachers = [self.teacher(*who) for who in sorted({who for e in rows for who in taught_by(e)})]
            list(pool.map(lambda job: self.train(*job), teachers))
            # Seed by seed, the core first, so that a study cut short has whole comparisons.
            queue = [(row, seed) for seed in range(1, self.given.seeds + 1) for row in rows]
            queue.sort(key=lambda item: (not item[0].core, item[1]))
            students = [self.student(row, seed) for row, seed in queue]
            list(pool.map(lambda job: (self.train(*job), self.judge(job[0])), students))

    def cost(self) -> None:
        """Seconds per sample of each kind of training over the plain union's: set-up cancels in a difference."""
        names = [
            "union",
            "own: paper's form",
            "more: paper's form",
            "both: own, paper's form",
            "both: more, paper's form",
        ]
        rows = [next(e for e in experiments() if e.name == name) for name in names]
        self.draw()
        self.start()
        for who in sorted({who for e in rows for who in taught_by(e)}):
            self.train(*self.teacher(*who))
        seconds: dict[str, list[float]] = {name: [] for name in names}
        for turn in range(COST_ROUNDS):
            for row in rows if turn % 2 == 0 else rows[::-1]:
                took = []
                for samples in COST_SAMPLES:
                    name, recipe = self.student(row, 1)
                    name, recipe = (
                        f"cost-{name}-{samples}-{turn}",
                        replace(recipe, schedule=replace(recipe.schedule, samples=samples)),
                    )
                    took.append(self.train(name, recipe))
                seconds[row.name].append((took[1] - took[0]) / (COST_SAMPLES[1] - COST_SAMPLES[0]))
        table = Table("student", "ms a sample", "times the union's", title="cost of training: median of the rounds")
        for name, each in seconds.items():
            ratio = np.array(each) / np.array(seconds["union"])
            spread = f"{np.median(ratio):.2f} [{ratio.min():.2f}, {ratio.max():.2f}]"
            table.add_row(name, f"{1000 * np.median(each):.2f}", spread)
        Console(width=120).print(table)

    # --- results ----------------------------------------------------------------------------------------------------

    def results(self) -> dict[str, dict[str, list[float]]]:
        """Experiment -> figure -> one value per finished seed."""
        found: dict[str, dict[str, list[float]]] = {}
        for row in experiments():
            for seed in range(1, self.given.seeds + 1):
                name, _ = self.student(row, seed)
                kept = self.out / "judged" / f"{name}.json"
                if not kept.is_file():
                    continue
                values = json.loads(kept.read_text())
                for figure, value in values.items():
                    found.setdefault(row.name, {}).setdefault(figure, []).append(value)
        return found

    def show(self) -> None:
        results = self.results()
        (self.out / "results.json").write_text(json.dumps(results, indent=1))
        columns = {
            "average": "average",
            "coco shared": "12 on A",
            "mpii shared": "12 on B",
            "coco added": "added on A",
            "coco head_top": "head top",
            "coco upper_neck": "neck",
            "mpii added": "face on B",
            "coco oks21": "OKS A",
            "mpii oks21": "OKS B",
        }
        table = Table("student", "n", *columns.values(), title="PCK@0.2 of the torso and 100 x mean OKS: mean ± sd")
        for name, figures in results.items():
            table.add_row(name, str(len(figures["average"])), *(mean_sd(figures.get(c, [])) for c in columns))
        Console(width=170).print(table)
        lead = Table("student", "against", "average", "12 on A", "12 on B", "added on A", "face on B")
        for name, against in comparisons():
            if name in results and against in results:
                lead.add_row(
                    name,
                    against,
                    *(difference(results[name], results[against], c) for c in [*list(columns)[:4], "mpii added"]),
                )
        lead.title = "difference by seed: mean [lowest, highest]"
        Console(width=170).print(lead)


def taught_by(row: Experiment) -> list[tuple[str, str]]:
    """(kind, data set) of a row's teachers."""
    if not row.teachers:
        return []
    kind, _, both = row.teachers.partition("-")
    return [(kind, name) for name in (("both",) if both else ("coco", "mpii"))]


def comparisons() -> list[tuple[str, str]]:
    pairs = [("union", "COCO only"), ("union", "MPII only"), ("union, longer", "union")]
    for row in experiments():
        if row.teachers in ("own", "more") and row.group in ("own", "more"):
            pairs += [(row.name, "union"), (row.name, "union, longer")]
        elif row.group == "few" and row.teachers:
            pairs += [(row.name, "few: union"), (row.name, "few: union, longer"), (row.name, "union")]
        elif row.group == "none" and row.teachers:
            pairs += [(row.name, "COCO only"), (row.name, "union")]
        elif row.group == "both":
            few = "few: " if row.mpii != "all" else ""
            pairs += [(row.name, f"{few}union"), (row.name, f"{few}union, longer")]
    return pairs


def pooled(report: EvaluationReport, names: Sequence[str]) -> float:
    """Percent of all labelled keypoints of these names within 0.2 torso."""
    counts = [(report.keypoints[k].n, report.keypoints[k].pck) for k in names if k in report.keypoints]
    return float(np.average([pck for _, pck in counts], weights=[n for n, _ in counts]))


def mean_sd(values: Sequence[float]) -> str:
    if not values:
        return ""
    spread = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{np.mean(values):.1f}{spread}"


def difference(one: dict[str, list[float]], other: dict[str, list[float]], figure: str) -> str:
    if figure not in one or figure not in other:
        return ""
    pairs = np.array([a - b for a, b in zip(one[figure], other[figure], strict=False)])
    return f"{pairs.mean():+.1f} [{pairs.min():+.1f}, {pairs.max():+.1f}]"


def command(*arguments: object) -> None:
    """`annotext ...` as a user types it, one thread pool of its own; its output only if it fails."""
    program = [sys.executable, "-m", "annotext", *map(str, arguments)]
    done = subprocess.run(program, capture_output=True, text=True, env=os.environ | {"COLUMNS": "100"})
    if done.returncode:
        raise SystemExit(f"{' '.join(program)}\n{done.stdout}{done.stderr}")
    print(" ".join(map(str, arguments)), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--people", type=int, default=2000, help="per set, to train students on")
    parser.add_argument("--test", type=int, default=800, help="per set, to judge on")
    parser.add_argument("--samples", type=int, default=10000, help="of a student's training")
    parser.add_argument("--teacher-samples", type=int, default=24000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1, help="trainings side by side")
    parser.add_argument("--threads", type=int, default=0, help="of each training, 0: torch's choice")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", nargs="*", help="groups: plain own more few none both")
    parser.add_argument("--tables", action="store_true", help="only print what is there")
    parser.add_argument("--cost", action="store_true", help="only measure what a sample costs; on a quiet machine")
    given = parser.parse_args()
    study = Study(given)
    if given.cost:
        study.cost()
        return
    if not given.tables:
        study.run()
    study.show()


if __name__ == "__main__":
    main()
