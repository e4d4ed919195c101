"""Learn how far a predictor's added points can be trusted, and write it: calibration.json, a report, a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from annotext.calibration.datasets import HELD_OUT, CalibrationSet, Choice, read_calibration_sets, with_reviews
from annotext.calibration.files import FILE_NAME, write_calibration
from annotext.calibration.keypoint import ANY
from annotext.calibration.learn import Learned, learn, learn_any, pooled
from annotext.calibration.model import CalibrationModel, CalibrationPart, Truth
from annotext.calibration.pose_only import fit as fit_pose_only
from annotext.core.errors import InputError, Problem
from annotext.core.poses import Poses
from annotext.evaluation.correctness import Criterion
from annotext.evaluation.ranking import (
    NOBODY,
    aurc,
    auroc,
    bootstrap,
    coverage,
    ece,
    found_in_worst,
    reliability_equal_count,
)
from annotext.formats.annotations.read import read_annotations
from annotext.formats.files.jsonio import read_json, write_json
from annotext.formats.files.outputs import check_outputs, writing
from annotext.formats.files.paths import AnyPath, path_of, paths_of
from annotext.predictors.card import read_card
from annotext.predictors.load import find_card
from annotext.render.plots import Scored, calibration_plot

if TYPE_CHECKING:
    import pandas as pd

PICTURE = "calibration.png"
# What a run says about the files it learned from.
DATA = "data.json"
# Share of a queue whose errors are counted: what somebody with little time looks at.
WORST = 0.1
# Redrawings of the images for the intervals.
ROUNDS = 300


@dataclass(frozen=True)
class KeypointReport:
    """The figures of one keypoint on people whom the models that made them did not see.

    protocol, file: the truth, as it was named. n: points with a truth. right: share of the finished points that
        `criterion` calls right.
    figures: AUROC, AURC, worst10 (share of all errors in the worst tenth), by the predictor's own score on its own
        points ("raw_...") and by the calibrated one on the finished points; ece, coverage of the 90 % radius, its
        median in sizes. Each (value, low, high), 95 % by redrawing images. Empty where there is no calibration.
    skipped: why there is no calibration, else empty. anchor: `AnchorEvaluation.to_dict`.
    """

    keypoint: str
    protocol: str
    file: str
    n: int
    right: float
    criterion: str
    figures: Mapping[str, tuple[float, float, float]]
    skipped: str
    anchor: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "keypoint": self.keypoint,
            "protocol": self.protocol,
            "file": self.file,
            "n": self.n,
            "right": _plain(self.right),
            "criterion": self.criterion,
            "figures": {k: [_plain(x) for x in v] for k, v in self.figures.items()},
            "skipped": self.skipped,
            "anchor": dict(self.anchor),
        }


@dataclass(frozen=True)
class CalibrationReport:
    """What one run of `calibrate` did. picture: written beside the calibration. skipped: records left out. notes: what
    a person should know about the calibration sets."""

    predictor: str
    predictor_sha256: str
    output: str
    picture: str
    criterion: str
    keypoints: tuple[KeypointReport, ...]
    any_points: int
    truths: tuple[Truth, ...]
    skipped: tuple[Problem, ...]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, stable order, no times."""
        return {
            "predictor": self.predictor,
            "predictor_sha256": self.predictor_sha256,
            "output": self.output,
            "picture": self.picture,
            "criterion": self.criterion,
            "truths": [t.to_dict() for t in self.truths],
            "keypoints": [k.to_dict() for k in self.keypoints],
            "any_points": self.any_points,
            "skipped": [p.to_dict() for p in self.skipped],
            "notes": list(self.notes),
        }

    def to_frame(self) -> pd.DataFrame:
        """One row per keypoint and truth: keypoint, protocol, file, n, right (share), skipped, anchored; then each
        figure with its 95 % interval: auroc, auroc_low, auroc_high, ... (see `KeypointReport`), NaN where
        there is none."""
        import pandas as pd

        return pd.DataFrame(
            {
                "keypoint": k.keypoint,
                "protocol": k.protocol,
                "file": k.file,
                "n": k.n,
                "right": k.right,
                "skipped": k.skipped,
                "anchored": k.anchor["on"],
                **{
                    name + end: value
                    for name, figure in k.figures.items()
                    for end, value in zip(("", "_low", "_high"), figure, strict=True)
                },
            }
            for k in self.keypoints
        )


def calibrate(
    predictor: AnyPath,
    *,
    truths: AnyPath | Sequence[AnyPath] = (),
    held_out: AnyPath | Sequence[AnyPath] = (),
    reviewed: AnyPath | Sequence[AnyPath] = (),
    predictions: AnyPath | Sequence[AnyPath] = (),
    keypoints: Sequence[str] = (),
    inputs: Sequence[str] = (),
    joints: Sequence[str] = (),
    criterion: Criterion | str = Criterion.KS_OF_SIZE,
    anchored: bool = True,
    poses: AnyPath | None = None,
    head_sizes: AnyPath | None = None,
    output: AnyPath | None = None,
    report: AnyPath | None = None,
    allow_seen: bool = False,
    skip_bad: bool = False,
    force: bool = False,
    progress: Callable[[str], None] | None = None,
) -> CalibrationReport:
    """Write calibration.json for the predictor at `predictor`, and a picture beside it.

    truths, held_out, reviewed, predictions: as `read_calibration_sets` takes them; keypoints, inputs, joints,
    head_sizes: as `Choice` does. What reviewers decided about a keypoint is learned together with its labels
    (`with_reviews`). criterion: what right means, one for all. anchored: points may be moved by what the labels say.
    poses: a file with many labelled people, from which the expectation by pose alone is learned instead; its images
    that a truth has are left out. output: default in the run, or beside the card. allow_seen: also learn from files
    that the run was trained on. progress: called with what is learned next. All outputs are checked before work starts;
    nothing is written if nothing could be learned. Raises InputError or AnnotextError.
    """
    truths, held_out, reviewed, predictions = map(paths_of, (truths, held_out, reviewed, predictions))
    poses, head_sizes, output, report = map(path_of, (poses, head_sizes, output, report))
    criterion = Criterion(criterion)
    card_path = find_card(Path(predictor))
    card = read_card(card_path)
    output = output or card_path.parent / FILE_NAME
    drawn = output.with_suffix(".png")
    files = [*truths, *held_out, *reviewed, *predictions]
    check_outputs([output, drawn, *([report] if report else [])], [*files, card_path, poses, head_sizes], force)
    calibration_sets = read_calibration_sets(
        truths,
        held_out,
        predictions,
        reviewed=reviewed,
        predictor_sha256=card.sha256,
        choice=Choice(keypoints, inputs, joints, head_sizes, skip_bad),
    )
    others = read_annotations(poses, skip_bad=skip_bad).extended_poses if poses is not None else None
    if not allow_seen:
        _refuse_seen(calibration_sets, card_path.parent / DATA)
    arranged, notes = with_reviews(calibration_sets)
    if not arranged:
        raise InputError(
            Problem(str(s.path), "", "holds too few decisions to learn from", notes[-1]) for s in calibration_sets
        )
    learned: list[tuple[CalibrationSet, Learned]] = []
    parts: list[CalibrationPart] = []
    rows: list[KeypointReport] = []
    for one, reviews in arranged:
        if progress is not None:
            paths = " and ".join(str(p) for p in dict.fromkeys([one.path, *(r.path for r in reviews)]))
            progress(f"learning about {', '.join(one.keypoints)} from {paths}")
        found = _learn(one, criterion, anchored, others)
        member = np.zeros(len(one.poses), dtype=np.intp)
        if reviews:
            found, member = pooled(found, [r.people() for r in reviews])
        for i, of in enumerate((one, *reviews)):
            rows += _rows(found.take(member == i), of)
        learned.append((one, found))
        if one.truth.protocol != HELD_OUT:
            parts.append(found.part(one.truth, [r.truth for r in reviews]))
    _refuse_nothing(learned)
    any_part = _any_part([(s, found) for s, found in learned if s.truth.protocol == HELD_OUT])
    parts += any_part
    write_calibration(CalibrationModel(card.sha256, tuple(parts)), output, force=force, inputs=files)
    scored = _scored(found for _, found in learned)
    if scored:
        with writing(drawn, force=force) as temporary:
            temporary.write_bytes(calibration_plot(scored, f"{card.name}: added points, judged out of sample"))
    else:
        drawn.unlink(missing_ok=True)  # of the calibration that was replaced
    result = CalibrationReport(
        predictor=card.name,
        predictor_sha256=card.sha256,
        output=str(output),
        picture=drawn.name if scored else "",
        criterion=str(criterion),
        keypoints=tuple(rows),
        any_points=sum(part.calibration[ANY].points for part in any_part),
        truths=tuple(dict.fromkeys(s.truth for s in calibration_sets)),
        skipped=tuple(dict.fromkeys(p for s in calibration_sets for p in s.skipped)),
        notes=tuple(notes),
    )
    if report is not None:
        write_json(result.to_dict(), report, force=force, indent=True)
    return result


def _learn(one: CalibrationSet, criterion: Criterion, anchored: bool, others: Poses | None) -> Learned:
    try:
        pose_only = None
        if others is not None:
            elsewhere = ~np.isin(_base_names(others), _base_names(one.poses))
            pose_only = fit_pose_only(others.take(elsewhere), one.inputs, one.keypoints)
        return learn(
            one.poses,
            one.predictions,
            one.inputs,
            one.keypoints,
            criterion=criterion,
            anchored=anchored,
            pose_only=pose_only,
            reviewed=one.reviewed,
        )
    except ValueError as error:
        hint = "give a file of more people, or leave these out (--keypoints, --joints)"
        raise InputError.single(one.path, ", ".join(one.keypoints), f"cannot be learned: {error}", hint) from None


def _base_names(poses: Poses) -> list[str]:
    """Of each person's image: one file says `x.jpg`, another `train2017/x.jpg`."""
    return [PurePosixPath(name.replace("\\", "/")).name for name in poses.file_names()]


def _any_part(held_out: Sequence[tuple[CalibrationSet, Learned]]) -> list[CalibrationPart]:
    """The part for keypoints that have no truth, from all held-out joints together; none where there are too few."""
    calibration = learn_any([found for _, found in held_out]) if held_out else {}
    if not calibration:
        return []
    sets = [s for s, _ in held_out]
    labelled = [(*s.inputs, *s.keypoints) for s in sets]
    shared = tuple(k for k in dict.fromkeys(k for names in labelled for k in names) if all(k in n for n in labelled))
    truth, *also = dict.fromkeys(s.truth for s in sets)
    frames = fit_pose_only(sets[0].poses, shared, ())
    return [CalibrationPart(shared, (), frames, None, calibration, truth, tuple(also))]


def _refuse_nothing(learned: Sequence[tuple[CalibrationSet, Learned]]) -> None:
    """Raises InputError where no keypoint got a calibration or an anchor: such a file would say nothing."""
    if any(found.fitted.calibration or any(found.anchor.on) for _, found in learned):
        return
    hint = "give a file of more people, or a predictor that is not always right there"
    raise InputError(
        Problem(str(one.path), keypoint, f"cannot be learned: {why}", hint)
        for one, found in learned
        for keypoint, why in found.fitted.skipped.items()
    )


def _refuse_seen(calibration_sets: Sequence[CalibrationSet], data: Path) -> None:
    """Raises InputError for files the run was trained on: its errors there say nothing about others."""
    if not data.is_file():
        return
    document, _ = read_json(data)
    seen = {entry.get("sha256") for entry in document.get("data", []) if isinstance(entry, dict)}
    known = dict.fromkeys(s.path for s in calibration_sets if s.truth.sha256 in seen)
    hint = "use people it never saw, or --allow-seen if you know better: scores will then be too high"
    if known:
        raise InputError(Problem(str(path), "", "the student was trained on this file", hint) for path in known)


def _rows(found: Learned, of: CalibrationSet) -> list[KeypointReport]:
    rows: list[KeypointReport] = []
    for column, keypoint in enumerate(found.keypoints):
        if of.reviewed is not None and keypoint not in of.keypoints:
            continue
        known, right = (a[:, column] for a in (found.points.final.known, found.points.final.right))
        rows.append(
            KeypointReport(
                keypoint=keypoint,
                protocol=of.truth.protocol,
                file=str(of.path),
                n=int(known.sum()),
                right=float(right[known].mean()) if known.any() else float("nan"),
                criterion=str(found.criterion),
                figures=_figures(found, column) if keypoint in found.fitted.calibration else {},
                skipped=found.fitted.skipped.get(keypoint, ""),
                anchor=found.anchor_evaluations[column].to_dict(),
            )
        )
    return rows


def _figures(found: Learned, column: int) -> dict[str, tuple[float, float, float]]:
    """By name (value, low, high). The raw score is evaluated on the raw point, the calibrated one on the finished."""
    points = found.points
    score, radius = found.fitted.score[:, column], found.fitted.radius[:, column]
    known = points.final.known[:, column] & np.isfinite(score)
    # Of a point that a reviewer rejected the error may be unknown, and whether the predictor's own was right.
    raw_known, measured = known & points.raw.known[:, column], known & np.isfinite(points.final.error[:, column])
    score, radius, right = score[known], radius[known], points.final.right[known, column]
    raw, raw_right = points.raw_score[raw_known, column], points.raw.right[raw_known, column]
    error, reach = points.final.error[measured, column], found.fitted.radius[measured, column]
    figures = {
        "raw_auroc": lambda i: auroc(raw[i], raw_right[i]),
        "auroc": lambda i: auroc(score[i], right[i]),
        "raw_aurc": lambda i: aurc(raw[i], ~raw_right[i]),
        "aurc": lambda i: aurc(score[i], ~right[i]),
        "raw_worst10": lambda i: found_in_worst(raw[i], ~raw_right[i], WORST),
        "worst10": lambda i: found_in_worst(score[i], ~right[i], WORST),
        "ece": lambda i: ece(reliability_equal_count(score[i], right[i])),
        "coverage": lambda i: coverage(error[i], reach[i]),
        "radius": lambda i: float(np.median(radius[i])),
    }
    if not found.fitted.calibration[found.keypoints[column]].weights.any():
        # One score for all ranks nothing; what folds differ by is no knowledge.
        figures |= dict.fromkeys(("auroc", "aurc", "worst10"), lambda _: float("nan"))
    rng = np.random.default_rng(0)
    intervals: dict[str, tuple[float, float, float]] = {}
    for name, figure in figures.items():
        rows = raw_known if name.startswith("raw_") else measured if name == "coverage" else known
        one = bootstrap(figure, points.image_index[rows], rng, rounds=ROUNDS) if rows.any() else NOBODY
        intervals[name] = (one.value, one.low, one.high)
    return intervals


def _scored(learned: Iterable[Learned]) -> list[Scored]:
    """Rows of the picture: all calibrated points of one calibration set together."""
    rows: list[Scored] = []
    for found in learned:
        points, score = found.points, found.fitted.score
        known = points.final.known & np.isfinite(score)
        if known.any():
            rows.append(
                Scored(", ".join(found.keypoints), points.final.right[known], score[known], points.raw_score[known])
            )
    return rows


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
