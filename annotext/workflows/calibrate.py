"""Learn what a predictor's added points are worth, and write it down: calibration.json, a report, a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.markup import escape

from annotext.calibration.datasets import HELD_OUT, REVIEWED, CalibrationSet, read_calibration_sets, with_reviews
from annotext.calibration.files import FILE_NAME, write_calibration
from annotext.calibration.keypoint import ANY
from annotext.calibration.learn import Learned, learn, learn_any
from annotext.calibration.model import CalibrationModel, CalibrationPart, Truth
from annotext.calibration.pool import pooled
from annotext.calibration.pose_only import fit as fit_pose_only
from annotext.core.errors import InputError, Problem
from annotext.core.poses import Poses
from annotext.evaluation.correctness import Criterion
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
from annotext.formats.files.jsonio import read_json, write_json
from annotext.formats.files.outputs import writing
from annotext.formats.files.paths import AnyPath, path_of, paths_of
from annotext.predictors.card import read_card
from annotext.predictors.load import find_card
from annotext.render.calibration_plot import Scored, picture
from annotext.workflows.decide import check_outputs
from annotext.workflows.skipped import skipped_lines

PICTURE = "calibration.png"
# What a run says about the files it learned from.
DATA = "data.json"
# Share of a queue whose errors are counted: what somebody with little time looks at.
WORST = 0.1
# Redrawings of the images for the intervals.
ROUNDS = 300


@dataclass(frozen=True)
class KeypointReport:
    """How one keypoint fared on people that what judges them did not see.

    protocol, file: the truth, as it was named. n: points with a truth. right: share of the finished points that
        `criterion` calls right.
    figures: AUROC, AURC, worst10 (share of all errors in the worst tenth), by the predictor's own score on its own
        points ("raw_...") and by the calibrated one on the finished points; ece, coverage of the 90 % radius, its
        median in sizes. Each (value, low, high), 95 % by redrawing images. Empty where there is no calibration.
    skipped: why there is no calibration, else empty. anchor: what was judged about it, `AnchorEvaluation.to_dict`.
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
    a person should know about the truths."""

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

    def summary(self) -> str:
        """What a person wants to read, in rich markup."""
        lines = [
            f"[bold]{escape(self.output)}[/]: what points of {escape(self.predictor)} are worth"
            + (f"; drawn in {escape(self.picture)}" if self.picture else "")
        ]
        taught: dict[tuple[str, str], list[str]] = {}
        for k in self.keypoints:
            taught.setdefault((k.file, k.protocol), []).append(k.keypoint)
        lines += [f"  {escape(file)} ({protocol}): {', '.join(names)}" for (file, protocol), names in taught.items()]
        lines += [
            f"  right means: {_CRITERIA[self.criterion]}; sizes are distances in the person's own size",
            "  judged on people that what judges them did not see; raw: the predictor's own score on its own points",
            "  [dim]AUROC: how often a right point scores above a wrong one. AURC: share wrong among the surest[/]",
            "  [dim]points, over all shares kept; small is good. ECE: how far scores are from the share right.[/]",
            f"  [bold]{'keypoint':<15}{'n':>6}{'right':>8}{'AUROC raw':>11}{'AUROC':>7}{'AURC raw':>10}{'AURC':>8}"
            f"{'ECE':>7}{'90 % radius holds':>19}  anchored[/bold]",
        ]
        for k in self.keypoints:
            line = f"  {k.keypoint:<15}{k.n:>6}{k.right:>8.1%}"
            if k.figures:
                f = {name: value[0] for name, value in k.figures.items()}
                line += f"{_number(f['raw_auroc'], 3):>11}{_number(f['auroc'], 3):>7}"
                line += f"{_number(f['raw_aurc'], 4):>10}{_number(f['aurc'], 4):>8}"
                line += f"{f['ece']:>7.3f}{f['coverage']:>18.1%} "
            else:
                line += f"  no calibration: {k.skipped}"
            by = "  [dim]as people decided[/]" if k.protocol == REVIEWED else ""
            lines.append(f"{line}  {_anchor_text(k.anchor)}{by}")
        for k in self.keypoints:
            if k.figures and np.isnan(k.figures["auroc"][0]):
                wrong = round((1 - k.right) * k.n)
                lines.append(
                    f"  [dim]{k.keypoint}: {wrong} of {k.n} wrong, too few to tell which: all have one score[/]"
                )
            if not k.anchor["on"]:
                lines.append(f"  [dim]{k.keypoint} stays where the predictor saw it: {escape(k.anchor['reason'])}[/]")
        lines += [f"  note: {escape(note)}" for note in self.notes]
        if self.any_points:
            lines.append(f"  keypoints without a truth are scored by {self.any_points} held-out joints together")
        lines.append("  [dim]a domain shift remains: the people to be extended are not those of the truth[/]")
        return "\n".join([*lines, *skipped_lines(self.skipped)])


_CRITERIA = {
    "ks": "keypoint similarity at least .5 with the person's own area",
    "pckh": "at most half a head size away",
    "ks-of-size": "keypoint similarity at least .5 with the usual area for the person's size",
}


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

    truths, held_out, reviewed, predictions, keypoints, inputs, joints, head_sizes: as `read_calibration_sets` takes
    them; what reviewers decided about a keypoint is learned together with its labels (`with_reviews`). criterion: what
    right means, one for all. anchored: points may be moved by what the labels say. poses: a file with many labelled
    people, from which the expectation by pose alone is learned instead; its images that a truth has are left out.
    output: default in the run, or beside the card. allow_seen: also learn from files that the run was trained on.
    progress: told what is learned next. All outputs are checked before work starts; nothing is written if nothing could
    be learned. Raises InputError or AnnotextError.
    """
    truths, held_out, reviewed, predictions = map(paths_of, (truths, held_out, reviewed, predictions))
    poses, head_sizes, output, report = map(path_of, (poses, head_sizes, output, report))
    criterion = Criterion(criterion)
    card_path = find_card(Path(predictor))
    card = read_card(card_path)
    output = output or card_path.parent / FILE_NAME
    drawn = output.with_suffix(".png")
    read = [*truths, *held_out, *reviewed, *predictions, card_path, poses, head_sizes]
    check_outputs([output, drawn, *([report] if report else [])], read, force)
    calibration_sets = read_calibration_sets(
        truths,
        held_out,
        predictions,
        reviewed=reviewed,
        predictor_sha256=card.sha256,
        keypoints=keypoints,
        inputs=inputs,
        joints=joints,
        head_sizes=head_sizes,
        skip_bad=skip_bad,
    )
    more = read_annotations(poses, skip_bad=skip_bad).poses if poses is not None else None
    if not allow_seen:
        _refuse_seen(calibration_sets, card_path.parent / DATA)
    arranged, notes = with_reviews(calibration_sets)
    if not arranged:
        raise InputError(
            Problem(str(calibration_set.path), "", "holds too few decisions to learn from", notes[-1])
            for calibration_set in calibration_sets
        )
    learned: list[Learned] = []
    rows: list[KeypointReport] = []
    for calibration_set, reviews in arranged:
        if progress is not None:
            files = " and ".join(str(p) for p in dict.fromkeys([calibration_set.path, *(r.path for r in reviews)]))
            progress(f"learning about {', '.join(calibration_set.keypoints)} from {files}")
        one = _learn(calibration_set, criterion, anchored, more)
        if reviews:
            one, member = pooled(one, [r.people() for r in reviews])
            rows += [
                row for i, own in enumerate((calibration_set, *reviews)) for row in _rows(one.take(member == i), own)
            ]
        else:
            rows += _rows(one, calibration_set)
        learned.append(one)
    taught = [calibration_set for calibration_set, _ in arranged]
    _refuse_nothing(taught, learned)
    parts = [
        one.part(calibration_set.truth, [r.truth for r in reviews])
        for one, (calibration_set, reviews) in zip(learned, arranged, strict=True)
        if calibration_set.truth.protocol != HELD_OUT
    ]
    parts += (any_part := _any_part(taught, learned))
    model = CalibrationModel(card.sha256, tuple(parts))
    write_calibration(model, output, force=force, inputs=[*truths, *held_out, *reviewed, *predictions])
    scored = _scored(learned)
    if scored:
        with writing(drawn, force=force) as temporary:
            temporary.write_bytes(picture(scored, f"{card.name}: added points, judged out of sample"))
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
        truths=tuple(dict.fromkeys(calibration_set.truth for calibration_set in calibration_sets)),
        skipped=tuple(dict.fromkeys(p for calibration_set in calibration_sets for p in calibration_set.skipped)),
        notes=tuple(notes),
    )
    if report is not None:
        write_json(result.to_dict(), report, force=force, indent=True)
    return result


def _learn(calibration_set: CalibrationSet, criterion: Criterion, anchored: bool, more: Poses | None) -> Learned:
    try:
        pose_only = None
        if more is not None:
            others = ~np.isin(_base_names(more), _base_names(calibration_set.poses))
            pose_only = fit_pose_only(more.take(others), calibration_set.inputs, calibration_set.keypoints)
        return learn(
            calibration_set.poses,
            calibration_set.predictions,
            calibration_set.inputs,
            calibration_set.keypoints,
            criterion=criterion,
            anchored=anchored,
            pose_only=pose_only,
            reviewed=calibration_set.reviewed,
        )
    except ValueError as error:
        hint = "give a file of more people, or leave these out (--keypoints, --joints)"
        raise InputError.single(
            calibration_set.path, ", ".join(calibration_set.keypoints), f"cannot be learned: {error}", hint
        ) from None


def _base_names(poses: Poses) -> list[str]:
    """Of each person's image: one file says `x.jpg`, another `train2017/x.jpg`."""
    return [PurePosixPath(name.replace("\\", "/")).name for name in poses.file_names()]


def _any_part(calibration_sets: Sequence[CalibrationSet], learned: Sequence[Learned]) -> list[CalibrationPart]:
    """What held-out joints together say about keypoints that have no truth; nothing where there are too few."""
    mine = [
        (calibration_set, one)
        for calibration_set, one in zip(calibration_sets, learned, strict=True)
        if calibration_set.truth.protocol == HELD_OUT
    ]
    if not mine:
        return []
    calibration = learn_any([one for _, one in mine])
    if not calibration:
        return []
    first = mine[0][0]
    inputs = tuple(
        dict.fromkeys(k for calibration_set, _ in mine for k in (*calibration_set.inputs, *calibration_set.keypoints))
    )
    shared = tuple(k for k in inputs if all(k in (*o.inputs, *o.keypoints) for o, _ in mine))
    truth, *also = dict.fromkeys(calibration_set.truth for calibration_set, _ in mine)
    return [CalibrationPart(shared, (), fit_pose_only(first.poses, shared, ()), None, calibration, truth, tuple(also))]


def _refuse_nothing(calibration_sets: Sequence[CalibrationSet], learned: Sequence[Learned]) -> None:
    """Raises InputError where no keypoint got a calibration or an anchor: such a file would say nothing."""
    if any(one.fitted.calibration or any(one.anchor.on) for one in learned):
        return
    hint = "give a file of more people, or a predictor that is not always right there"
    raise InputError(
        Problem(str(calibration_set.path), keypoint, f"cannot be learned: {why}", hint)
        for calibration_set, one in zip(calibration_sets, learned, strict=True)
        for keypoint, why in one.fitted.skipped.items()
    )


def _refuse_seen(calibration_sets: Sequence[CalibrationSet], data: Path) -> None:
    """Raises InputError for truths the run was trained on: its errors there say nothing about others."""
    if not data.is_file():
        return
    document, _ = read_json(data)
    seen = {entry.get("sha256") for entry in document.get("data", []) if isinstance(entry, dict)}
    known = dict.fromkeys(
        calibration_set.path for calibration_set in calibration_sets if calibration_set.truth.sha256 in seen
    )
    hint = "use people it never saw, or --allow-seen if you know better: scores will then be too high"
    if known:
        raise InputError(Problem(str(path), "", "the student was trained on this file", hint) for path in known)


def _rows(one: Learned, calibration_set: CalibrationSet) -> list[KeypointReport]:
    rows: list[KeypointReport] = []
    for column, keypoint in enumerate(one.keypoints):
        known = one.known[:, column]
        if calibration_set.reviewed is not None and keypoint not in calibration_set.keypoints:
            continue
        right = one.right[known, column]
        rows.append(
            KeypointReport(
                keypoint=keypoint,
                protocol=calibration_set.truth.protocol,
                file=str(calibration_set.path),
                n=int(known.sum()),
                right=float(right.mean()) if known.any() else float("nan"),
                criterion=str(one.criterion),
                figures=_figures(one, column) if keypoint in one.fitted.calibration else {},
                skipped=one.fitted.skipped.get(keypoint, ""),
                anchor=one.judgements[column].to_dict(),
            )
        )
    return rows


def _figures(one: Learned, column: int) -> dict[str, tuple[float, float, float]]:
    """By name (value, low, high). The raw score is judged on the raw point, the calibrated one on the finished."""
    known = one.known[:, column] & np.isfinite(one.fitted.score[:, column])
    # Of a point that a reviewer rejected nobody may know how far off it is, or what the predictor's own was worth.
    raw_known, measured = known & one.raw_known[:, column], known & np.isfinite(one.error[:, column])
    right, score, radius = one.right[known, column], one.fitted.score[known, column], one.fitted.radius[known, column]
    raw_right, raw = one.raw_right[raw_known, column], one.raw_score[raw_known, column]
    error, reach = one.error[measured, column], one.fitted.radius[measured, column]
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
    if not one.fitted.calibration[one.keypoints[column]].weights.any():
        # One score for all ranks nothing; what folds differ by is no knowledge.
        figures |= dict.fromkeys(("auroc", "aurc", "worst10"), lambda _: float("nan"))
    rng = np.random.default_rng(0)
    rows = {name: raw_known if name.startswith("raw_") else known for name in figures} | {"coverage": measured}
    nobody = Interval(*[float("nan")] * 3)
    found = {
        name: bootstrap(f, one.image_index[rows[name]], rng, rounds=ROUNDS) if rows[name].any() else nobody
        for name, f in figures.items()
    }
    return {name: (i.value, i.low, i.high) for name, i in found.items()}


def _scored(learned: Sequence[Learned]) -> list[Scored]:
    """Rows of the picture: all calibrated points of one truth together."""
    rows: list[Scored] = []
    for one in learned:
        known = one.known & np.isfinite(one.fitted.score)
        if known.any():
            right: NDArray[np.bool_] = one.right[known]
            rows.append(Scored(", ".join(one.keypoints), right, one.fitted.score[known], one.raw_score[known]))
    return rows


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if np.isfinite(value) else "-"


def _anchor_text(judged: Mapping[str, Any]) -> str:
    if not judged["on"]:
        return "off"
    error = judged["mean_error_in_sizes"]
    return f"on: error {error['student']:.4f} -> {error['anchored']:.4f} sizes"


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
