"""The main job on people nobody had to label: draw them, train on them, calibrate, extend their files, judge."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from annotext.calibration.baseline import pose_only_predictions
from annotext.core.additions import Decision, Source
from annotext.core.errors import AnnotextError
from annotext.core.poses import Poses
from annotext.core.predictions import Predictions
from annotext.core.skeletons import UNION21
from annotext.evaluation.correctness import Criterion, tolerance
from annotext.evaluation.inputs import EvaluationInput
from annotext.evaluation.pck import distances, torso_size
from annotext.evaluation.report import TORSO_THRESHOLD, EvaluationReport, KeypointFigures, evaluate
from annotext.formats.annotations.read import read_annotations
from annotext.formats.files.jsonio import read_json, write_json
from annotext.formats.files.predictions import read_predictions
from annotext.predictors.tta import AUGMENTATIONS
from annotext.render.page import Picture, Section, to_html, to_markdown
from annotext.render.table import Table, number, percent
from annotext.workflows.calibrate import PICTURE, calibrate
from annotext.workflows.decide import ExtensionReport, decide
from annotext.workflows.draw import draw
from annotext.workflows.evaluate import evaluate_files
from annotext.workflows.predict import predict
from annotext.workflows.review_build import ReviewBuildReport, build_review
from annotext.workflows.strip import strip_file
from annotext.workflows.synth import synthesise
from annotext.workflows.train import train_student

if TYPE_CHECKING:
    from rich.console import Console

# Different seeds draw different people: those the student is judged on are never those it learned from.
TRAIN_SEED, VAL_SEED = 1, 2
TRAIN_PEOPLE = 8000
VAL_PEOPLE = 1000

# Which set's labels teach the geometry of the points that the other set lacks.
TAUGHT_BY = {"coco": "mpii", "mpii": "coco"}

SHEET_PEOPLE = 24

# For the intervals: enough that their ends move by less than a tenth of a point.
RESAMPLES = 2000


@dataclass(frozen=True)
class Lead:
    """How far the student is ahead of the baseline on one keypoint, in points of PCK@0.2 on the same `n` people.

    low, high: 95 % interval, from resampling the people.
    """

    n: int
    points: float
    low: float
    high: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"n": self.n, "pck@0.2": self.points, "low": self.low, "high": self.high}

    def __str__(self) -> str:
        return f"{self.points:+.1f} [{self.low:+.1f}, {self.high:+.1f}]"

    @property
    def verdict(self) -> str:
        """In words."""
        if self.low > 0:
            return "student ahead"
        return "no image ahead" if self.high < 0 else "too close to call"


@dataclass(frozen=True)
class Promise:
    """What was expected of the added points of one keypoint, and what was measured.

    target: the share that may be wrong. expected: the share that the scores say is wrong; None where none was added.
    added: points, by the student. n: those of them that can be judged, wrong: the share of these whose keypoint
    similarity to the truth is below .5 (true areas); None where there is none.
    """

    target: float
    expected: float | None
    added: int
    n: int
    wrong: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "target": self.target,
            "expected": self.expected,
            "added": self.added,
            "n": self.n,
            "wrong": self.wrong,
        }


@dataclass(frozen=True)
class SetResult:
    """What came out for one set.

    student: all 21 of the student's own points against the truth. added: keypoint -> figures of the finished file's
    added points (withheld candidates included); raw: the student's; baseline: of geometry without an image, for those
    the other set labels and nothing derives. leads: of the student over the baseline, for the same keypoints. promises:
    of the calibrated keypoints; empty where there were too few people to calibrate.
    """

    name: str
    extended: ExtensionReport
    student: EvaluationReport
    finished: EvaluationReport
    baseline: EvaluationReport
    leads: Mapping[str, Lead]
    promises: Mapping[str, Promise]
    stripped_equal: bool

    @property
    def compared(self) -> tuple[str, ...]:
        """The added keypoints that only the student or the baseline can give."""
        return tuple(self.baseline.keypoints)

    @property
    def has_predicted(self) -> bool:
        """At least one point of the student's was written into the file."""
        return any(Source.STUDENT in counts["added"] for counts in self.extended.keypoints.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "extended": self.extended.to_dict(),
            "student": self.student.to_dict(),
            "extended_file": self.finished.to_dict(),
            "baseline": self.baseline.to_dict(),
            "student_lead_over_baseline": {k: lead.to_dict() for k, lead in self.leads.items()},
            "promises": {k: promise.to_dict() for k, promise in self.promises.items()},
            "strip_gives_the_input_back": self.stripped_equal,
        }


@dataclass(frozen=True)
class DemoReview:
    """What was built for review, by set. problem: why not all of it was; else empty."""

    built: Mapping[str, ReviewBuildReport]
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"built": {name: report.to_dict() for name, report in self.built.items()}, "problem": self.problem}


@dataclass(frozen=True)
class DemoReport:
    """What the demo made, how good it is, and what was built of it for review; None where nobody wanted that."""

    out: Path
    sets: Mapping[str, SetResult]
    review: DemoReview | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        sets = {name: result.to_dict() for name, result in self.sets.items()}
        return sets if self.review is None else {**sets, "review": self.review.to_dict()}


def run_demo(
    out: Path,
    *,
    people: int = TRAIN_PEOPLE,
    val_people: int = VAL_PEOPLE,
    recipe: str = "demo",
    review: bool = True,
    force: bool = False,
    notify: Callable[[object], None] = lambda event: None,
    console: Console | None = None,
    progress: Callable[[str], AbstractContextManager[Callable[[int, int], None]]] | None = None,
) -> DemoReport:
    """Everything from nothing under `out`: people/, run/, extended/, index.html, report.md and report.json.

    The scores of a set's added points are calibrated on the labels of the other set's people, who have those points;
    the truth is only judged with.

    people, val_people: in each of the two sets. review: also build FiftyOne datasets of both files. notify: told
    what happens: the title of a step (str), each step's report, an AnnotextError that the demo goes on without.
    console: of the training's own progress, stderr by default. progress: opens a bar for a named step, to call with
    (done, all).
    Raises AnnotextError if `out` exists and was not made by this function, or exists and `force` is not given.
    """
    _make_room(out, force=force)
    step = progress or (lambda _: nullcontext(lambda _done, _all: None))

    notify("1/7  Drawing people")
    train_dir, val_dir = out / "people" / "train", out / "people" / "val"
    names = tuple(TAUGHT_BY)
    for folder, n, seed in ((train_dir, people, TRAIN_SEED), (val_dir, val_people, VAL_SEED)):
        folder.parent.mkdir(exist_ok=True)
        with step("drawing people") as advance:
            notify(synthesise(folder, n, seed, sets=names, progress=advance))

    notify("2/7  Training one student on both sets")
    trained = train_student(recipe, out / "run", roots={n: train_dir / n for n in names}, console=console)
    notify(trained)

    notify("3/7  Predicting people the student never saw")
    (out / "extended").mkdir()
    files = {name: val_dir / name / "annotations.json" for name in names}
    parquets = {name: out / "extended" / f"{name}.parquet" for name in names}
    for name in names:
        with step("predicting") as advance:
            images = val_dir / name / "images"
            done = predict(
                files[name], images, [out / "run"], parquets[name], tta=tuple(AUGMENTATIONS), progress=advance
            )
        notify(done)

    notify("4/7  Calibrating on what each set labels and the other lacks")
    calibration, learned = None, None
    try:
        learned = calibrate(out / "run", truths=list(files.values()), predictions=list(parquets.values()))
        notify(learned)
        calibration = out / "run"
    except AnnotextError as error:
        notify(AnnotextError(f"not calibrated: {error}"))

    notify("5/7  Extending both files to 21 keypoints, and judging what was added")
    extended = {}
    for name in names:
        extended[name] = decide(parquets[name], files[name], out / "extended" / f"{name}.json", calibration=calibration)
        notify(extended[name])
    results = {name: _judge(name, out, train_dir, val_dir, extended[name]) for name in names}

    notify("6/7  Drawing the page")
    for name in names:
        file, images = out / "extended" / f"{name}.json", val_dir / name / "images"
        draw(file, images, out / f"{name}.png", people=SHEET_PEOPLE)
        if results[name].has_predicted:
            draw(file, images, out / f"{name}_worst.png", worst=SHEET_PEOPLE)
    if learned is not None and learned.picture:
        shutil.copyfile(out / "run" / PICTURE, out / PICTURE)
    reviewed = None
    if review:
        notify("7/7  Making both files ready for review")
        reviewed = ready_for_review(
            {name: out / "extended" / f"{name}.json" for name in names},
            {name: val_dir / name / "images" for name in names},
            parquets,
        )
        for built in reviewed.built.values():
            notify(built)
    report = DemoReport(out, results, reviewed)
    title = "annotext demo: two files extended to 21 keypoints"
    sections = _sections(report)
    (out / "index.html").write_text(to_html(title, sections), encoding="utf-8")
    (out / "report.md").write_text(to_markdown(title, sections), encoding="utf-8")
    write_json(report.to_dict(), out / "report.json", force=True, indent=True)
    return report


def ready_for_review(
    extended: Mapping[str, Path], images: Mapping[str, Path], predictions: Mapping[str, Path]
) -> DemoReview:
    """Build one dataset per set, in place of an earlier demo's; decisions do not live in datasets.

    A machine without FiftyOne or without a database for it gets the reason and the cure: the rest of the demo stands.
    """
    if find_spec("fiftyone") is None:
        return DemoReview({}, "FiftyOne is not installed: pip install 'annotext[review]'")
    built = {}
    try:
        for name, file in extended.items():
            built[name] = build_review(
                file, images[name], name=f"annotext-demo-{name}", overwrite=True, predictions=[predictions[name]]
            )
    except AnnotextError as error:
        return DemoReview(built, str(error))
    return DemoReview(built)


# Marks a folder as the demo's own, so that --force never deletes anything else.
_MARK = ".annotext-demo"


def _make_room(out: Path, *, force: bool) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if not force:
            raise AnnotextError(f"{out}: exists already\n  hint: choose another folder, or --force to replace it")
        if not (out / _MARK).is_file():
            raise AnnotextError(
                f"{out}: was not made by annotext demo, so --force will not delete it\n  hint: choose another folder"
            )
        shutil.rmtree(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / _MARK).touch()
    except OSError as error:
        raise AnnotextError(f"{out}: cannot be written ({error.strerror})") from None


def _judge(name: str, out: Path, train_dir: Path, val_dir: Path, extended: ExtensionReport) -> SetResult:
    truth_file, annotations = val_dir / name / "truth.json", val_dir / name / "annotations.json"
    truth = read_annotations(truth_file).poses
    file, stripped = out / "extended" / f"{name}.json", out / "extended" / f"{name}_stripped.json"
    teacher = train_dir / TAUGHT_BY[name] / "annotations.json"
    derived = extended.policy.to_dict()["derived"]
    predicted_only = [k for k in extended.keypoints if k not in derived]
    # Both are judged on the same people: those the student looked at, who have labels to reason from.
    (student,) = read_predictions(out / "extended" / f"{name}.parquet")
    geometry = pose_only_predictions(teacher, annotations, predicted_only).take(student.ids)
    strip_file(file, stripped)
    return SetResult(
        name=name,
        extended=extended,
        student=evaluate(truth, EvaluationInput.of_predictions(student), truth_name=truth_file.name),
        finished=evaluate_files(truth_file, file),
        leads={k: _lead(truth, student, geometry, k) for k in predicted_only},
        baseline=evaluate(truth, EvaluationInput.of_predictions(geometry), truth_name=truth_file.name),
        promises=_promises(truth, file, extended),
        stripped_equal=_same_json(annotations, stripped),
    )


def _promises(truth: Poses, file: Path, extended: ExtensionReport) -> dict[str, Promise]:
    """Of the calibrated keypoints: the points added by the student against the truth of the same people."""
    read = read_annotations(file)
    additions = read.additions
    assert additions is not None, "it was extended just now"
    row_of = {int(i): row for row, i in enumerate(truth.ids)}
    rows = np.array([i for i, person in enumerate(read.poses.ids) if int(person) in row_of])
    people = truth.take([row_of[int(i)] for i in read.poses.ids[rows]])
    promises: dict[str, Promise] = {}
    for keypoint, figures in extended.trust.items():
        column = additions.keypoints.index(keypoint)
        mine = (additions.decision[:, column] == Decision.ADD) & (additions.source[:, column] == Source.STUDENT)
        true_xy = people.xy[:, people.skeleton.index[keypoint]]
        error = np.linalg.norm(additions.xy[rows, column] - true_xy, axis=-1)
        sigma = np.array([people.skeleton.sigmas[keypoint]])
        nothing = np.full(len(people), np.nan)
        limit = tolerance(Criterion.KS, sigma, area=people.area, head_size=nothing, size=nothing)[:, 0]
        judged = mine[rows] & np.isfinite(error) & np.isfinite(limit)
        wrong = float((error > limit)[judged].mean()) if judged.any() else None
        target, expected = figures["target_error"], figures["expected_wrong"]
        assert target is not None
        promises[keypoint] = Promise(target, expected, int(mine.sum()), int(judged.sum()), wrong)
    return promises


def _lead(truth: Poses, student: Predictions, geometry: Predictions, keypoint: str) -> Lead:
    """Both hold the same people in the same order; those with the keypoint and a torso in the truth count."""
    row_of = {int(i): row for row, i in enumerate(truth.ids)}
    people = truth.take([row_of[int(i)] for i in student.ids])
    true_xy = people.xy[:, people.skeleton.indices([keypoint])]
    near = TORSO_THRESHOLD * torso_size(people)
    hits = []
    for points in (student, geometry):
        distance = distances(true_xy, points.xy[:, points.skeleton.indices([keypoint])].astype(np.float64))[:, 0]
        hits.append(np.where(np.isfinite(distance) & np.isfinite(near), distance <= near, np.nan))
    ahead = 100 * (hits[0] - hits[1])
    ahead = ahead[np.isfinite(ahead)]
    drawn = np.random.default_rng(0).integers(0, len(ahead), (RESAMPLES, len(ahead)))
    low, high = np.percentile(ahead[drawn].mean(axis=1), [2.5, 97.5])
    return Lead(len(ahead), float(ahead.mean()), float(low), float(high))


def _same_json(one: Path, other: Path) -> bool:
    """Equal as JSON, key order included."""
    a, b = read_json(one)[0], read_json(other)[0]
    return a == b and repr(a) == repr(b)


def _sections(report: DemoReport) -> list[Section]:
    sections = [
        Section(
            "What happened",
            text=[
                "People were drawn under two skeletons (COCO's 17 points, MPII's 16). One student learned the "
                f"{len(UNION21)} points of their union from both files at once, and then gave each file the points it "
                "lacks. Everything below was measured on people it did not learn from, against a truth that the label "
                "files do not contain.",
                "Pelvis and thorax are derived as midpoints wherever a human labelled both parents; only the rest is "
                "predicted, moved by what the person's labels say where that was shown to help, and scored. What the "
                "scores mean was learned on the other set's people, who have these points labelled: a domain shift "
                "remains, and the last columns below show what it costs. Points that are not sure enough are not "
                "added: they wait for a person to look.",
                "Baseline: the same points from the other labels of the same person alone, without an image, fitted on "
                "the set that labels them.",
            ],
        )
    ]
    if (report.out / PICTURE).is_file():
        pictures = [
            Picture(PICTURE, "Left: the share of points that are right, by score. Right: what withholding gains.")
        ]
        text = ["Measured out of sample, on the labels of people the calibration was not fitted on."]
        sections.append(Section("Calibration", text=text, pictures=pictures))
    for name, result in report.sets.items():
        student = result.student
        rows = [
            [k, str(ours.n), *scores(ours, theirs), str(result.leads[k]), result.leads[k].verdict]
            for k in result.compared
            for ours, theirs in [(student.keypoints[k], result.baseline.keypoints[k])]
        ]
        added = [
            [k, source, str(f.n), number(f.pck, 1), number(f.mean_error_px, 1)]
            for k, sources in result.finished.added.items()
            for source, f in sources.items()
        ]
        kept = [[k, str(p.added), *map(percent, (p.target, p.expected, p.wrong))] for k, p in result.promises.items()]
        head = ["added by the student", "points", "may be wrong", "expected wrong", "wrong"]
        promised = [Table(head, kept)] if kept else []
        worst = Picture(f"{name}_worst.png", "The lowest scores first: where a person should look")
        equal = "equals the input, key order included" if result.stripped_equal else "DIFFERS from the input"
        sections.append(
            Section(
                f"The {name.upper()}-like set",
                text=[
                    f"Mean OKS of the student over all {len(student.keypoints)} keypoints: {student.oks_mean:.3f} "
                    f"({student.people['with_oks']} people). The stripped file {equal}.",
                ],
                tables=[
                    Table(
                        ["keypoint", "n", "PCK@0.2", "no image", "error px", "no image", "lead in PCK [95 %]", ""],
                        rows,
                    ),
                    Table(["added to the file", "source", "n", "PCK@0.2", "error px"], added),
                    *promised,
                ],
                pictures=[
                    Picture(f"{name}.png", f"Extended people of the {name.upper()}-like set"),
                    *([worst] if result.has_predicted else []),
                ],
                commands=[
                    f"annotext evaluate people/val/{name}/truth.json extended/{name}.json",
                    f"annotext draw extended/{name}.json --images people/val/{name}/images -o worst.png --worst 24",
                    f"annotext strip extended/{name}.json -o {name}_as_it_was.json",
                ],
            )
        )
    return sections


def scores(ours: KeypointFigures, theirs: KeypointFigures) -> list[str]:
    """PCK@0.2 of both, then the mean error in pixels of both, as text."""
    return [number(ours.pck, 1), number(theirs.pck, 1), number(ours.mean_error_px, 1), number(theirs.mean_error_px, 1)]
