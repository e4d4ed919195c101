"""Decide what becomes a label, from predictions of any age, and write the extended file: no images, no models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from annotext.calibration.files import Calibration, calibration_file, settle_calibration
from annotext.core.additions import Additions, Decision, Reason, Source, put
from annotext.core.errors import AnnotextError, InputError, Problem
from annotext.core.policy import Decisions, Limits, Policy, gains_keypoints
from annotext.core.policy import decide as decide_points
from annotext.core.poses import Poses
from annotext.core.predictions import CalibratedPoints, Predictions, PredictorIdentity
from annotext.core.pseudo_labels import PseudoLabelDecisions, decide_pseudo_labels
from annotext.core.skeleton import Skeleton, union
from annotext.core.skeletons import UNION21
from annotext.formats.annotations.detections import Detections
from annotext.formats.annotations.read import AnnotationFile, read_annotations
from annotext.formats.files.jsonio import no_collecting, write_json
from annotext.formats.files.outputs import check_outputs
from annotext.formats.files.paths import AnyPath, path_of, paths_of
from annotext.formats.files.policy import find_policy, read_policy
from annotext.formats.files.predictions import read_predictions, read_predictions_header
from annotext.formats.overlay.pseudo_labels import Unlabelled
from annotext.formats.overlay.write import output_paths, refuse_extended, write_extended
from annotext.workflows.predict import UnlabelledOptions

if TYPE_CHECKING:
    import pandas as pd

# What the header of an extended file says where nothing turned scores into probabilities.
UNCALIBRATED = "uncalibrated"
_SCORE_DECIMALS = 4
RECIPE = "recipe.toml"


@dataclass(frozen=True)
class PolicyOptions:
    """What a command line says about the policy; what it leaves out comes from elsewhere.

    file: a TOML file with a [policy] table. target_error: "0.03", for every keypoint, or "head_top=0.03", for one.
    min_score: see `Policy`.
    """

    file: AnyPath | None = None
    target_error: Sequence[str] = ()
    min_score: float | None = None


@dataclass(frozen=True)
class ExtensionReport:
    """What became of the people of an annotation file.

    people: `in_file`, and what became of them, which adds up to it: extended, without_keypoints, crowd, all_withheld,
    not_predicted; also `predicted`. images: with people who gain keypoints.
    keypoints: added name -> {"added": {source: n}, "asked": {reason: n}, "withheld": {reason: n}, "not_added":
    {reason: n}}.
    trust: of the calibrated keypoints: `add_from` and `ask_from`, the scores that decided (add_from None: no score
    meets the target error); `target_error`; `expected_wrong`, the share of the added points that their scores say is
    wrong (None where none was added); `anchored`, points moved towards what the labels say.
    calibration: what the header says about it, or "uncalibrated". policy_from: who set the policy.
    unlabelled: of --unlabelled, what became of people without labels: counts, and points per keypoint; all other counts
        are of people with labels.
    skipped: records and images that --skip-bad dropped. notes: what else a person should know.
    seconds: spent predicting; not part of `to_dict`, which is the same for the same input.
    """

    annotations: str
    output: str
    kind: str
    skeleton: str
    people: Mapping[str, int]
    images: int
    keypoints: Mapping[str, Mapping[str, Mapping[str, int]]]
    trust: Mapping[str, Mapping[str, float | int | None]]
    predictors: tuple[PredictorIdentity, ...]
    calibration: Mapping[str, Any] | str
    policy: Policy
    policy_from: str
    skipped: tuple[Problem, ...]
    notes: tuple[str, ...] = ()
    unlabelled: Mapping[str, Any] | None = None
    seconds: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, stable order, no times."""
        return {
            "annotations": self.annotations,
            "output": self.output,
            "format": self.kind,
            "skeleton": self.skeleton,
            "people": dict(self.people),
            "images": self.images,
            "keypoints": {k: {what: dict(c) for what, c in counts.items()} for k, counts in self.keypoints.items()},
            **({} if self.unlabelled is None else {"unlabelled": dict(self.unlabelled)}),
            "trust": {k: dict(figures) for k, figures in self.trust.items()},
            "predictors": [p.to_dict() for p in self.predictors],
            "calibration": self.calibration,
            "policy": self.policy.to_dict(),
            "policy_from": self.policy_from,
            "skipped": [p.to_dict() for p in self.skipped],
            "notes": list(self.notes),
        }

    def to_frame(self) -> pd.DataFrame:
        """One row per added keypoint: keypoint, added_SOURCE, asked, withheld and not_added (points), then what is
        known of calibrated ones: target_error, add_from, ask_from, expected_wrong (shares), anchored (points)."""
        import pandas as pd

        rows = [
            {
                "keypoint": name,
                **{f"added_{source}": n for source, n in counts["added"].items()},
                **{what: sum(counts[what].values()) for what in ("asked", "withheld", "not_added")},
                **self.trust.get(name, {}),
            }
            for name, counts in self.keypoints.items()
        ]
        frame = pd.DataFrame(rows)
        added = [column for column in frame if str(column).startswith("added_")]
        return frame.fillna(dict.fromkeys(added, 0)).astype(dict.fromkeys(added, int))


@dataclass(frozen=True)
class ExtensionTask:
    """An extension that is checked, and lacks only predictions. detections: those that `unlabelled` names."""

    file: AnnotationFile
    output: Path
    report: Path | None
    policy: Policy
    policy_from: str
    unlabelled: UnlabelledOptions | None
    detections: Detections | None
    force: bool

    @property
    def skipped(self) -> list[Problem]:
        """What was left out of the inputs."""
        return [*self.file.skipped, *(() if self.detections is None else self.detections.skipped)]

    @property
    def detections_sha256(self) -> str | None:
        """Of the detections file, as a parquet of predictions names it."""
        return None if self.detections is None else self.detections.sha256


def prepare(
    annotations: Path,
    output: Path,
    policy: PolicyOptions | None,
    *,
    run: Path | None,
    unlabelled: UnlabelledOptions | None,
    report: Path | None,
    written: Sequence[Path] = (),
    read: Sequence[Path | None] = (),
    skip_bad: bool,
    force: bool,
) -> ExtensionTask:
    """Read and check all of an extension but its predictions. written, read: further outputs and inputs.

    Raises InputError or AnnotextError for what is wrong.
    """
    options = policy or PolicyOptions()
    settled, policy_from = settle_policy(options, run)
    file = read_annotations(annotations, skip_bad=skip_bad)
    refuse_extended(file)
    outputs = [*output_paths(file, output), *written, *([report] if report else [])]
    detections = None if unlabelled is None else path_of(unlabelled.detections)
    check_outputs(outputs, [annotations, path_of(options.file), detections, *read], force)
    found = None if unlabelled is None else unlabelled.read(file, skip_bad=skip_bad)
    return ExtensionTask(file, output, report, settled, policy_from, unlabelled, found, force)


@no_collecting()
def decide(
    predictions: AnyPath,
    annotations: AnyPath,
    output: AnyPath,
    *,
    calibration: AnyPath | None = None,
    policy: PolicyOptions | None = None,
    unlabelled: UnlabelledOptions | None = None,
    report: AnyPath | None = None,
    skip_bad: bool = False,
    force: bool = False,
) -> ExtensionReport:
    """Write `output`: the annotation file, extended by what `predictions` say, as the policy wants it now.

    predictions: what `annotext predict` or `extend --predictions` wrote about this file. calibration: calibration.json,
    or the run that holds it; then the run's recipe also says the policy where nobody else does.
    unlabelled: also label people without labels whole, and people that a detector found, where `predictions` has them.
    report: where to write the report as JSON. skip_bad: leave out faulty records, and list them.

    All outputs are checked before work starts. Raises InputError or AnnotextError for what is wrong.
    """
    predictions, annotations, output = paths_of([predictions, annotations, output])
    calibration, report = path_of(calibration), path_of(report)
    task = prepare(
        annotations,
        output,
        policy,
        run=calibration if calibration is not None and calibration.is_dir() else None,
        unlabelled=unlabelled,
        report=report,
        read=[predictions, calibration_file(calibration)],
        skip_bad=skip_bad,
        force=force,
    )
    _check_predictions(task, predictions)
    read = read_predictions(predictions)
    found, notes = settle_calibration(calibration, [], [p.predictor for p in read])
    return carry_out(task, read, found, notes=notes, skipped=task.skipped)


@no_collecting()
def carry_out(
    task: ExtensionTask,
    predictions: Sequence[Predictions],
    calibration: Calibration | None,
    *,
    notes: Sequence[str],
    skipped: Sequence[Problem],
) -> ExtensionReport:
    """Decide about the people of the task's file and write it, extended, and the report.

    calibration: of one of `predictions` (see `Calibration.check`). skipped: records and images left out.
    Raises InputError if nothing is missing or the policy does not fit, and as `write_extended` does.
    """
    file, policy = task.file, task.policy
    keypoints = missing_keypoints(file.poses.skeleton, [p.skeleton for p in predictions])
    if not keypoints:
        raise InputError.single(file.path, "", f"has all of {file.poses.skeleton.name}: nothing is missing")
    _check_names(policy, task.policy_from, file.poses.skeleton, predictions)
    calibrated = None if calibration is None else calibration.model.points(file.poses, predictions)
    decisions = decide_points(file.poses, predictions, keypoints, policy, calibrated)
    about, trust = _header_of(calibration, decisions), _trust(decisions, policy)
    header: dict[str, Any] = {
        "predictors": [p.predictor.to_dict() for p in predictions],
        "policy": {**policy.to_dict(), "limits": {k: _limits_dict(v) for k, v in decisions.limits.items()}},
        "calibration": about,
    }
    additions, pseudo = decisions.additions, None
    if task.unlabelled is not None:
        pseudo = _Pseudo.decided(task, task.unlabelled, predictions, keypoints)
        additions = put(additions, pseudo.rows, pseudo.here.added)
        header["unlabelled"] = pseudo.header()
    result = ExtensionReport(
        annotations=str(file.path),
        output=str(task.output),
        kind=file.kind,
        skeleton=file.poses.skeleton.name,
        people=_people(file.poses, decisions, predictions),
        images=len(np.unique(file.poses.image_index[gains_keypoints(file.poses)])),
        keypoints=_counts(file.poses, decisions),
        trust=trust,
        predictors=tuple(p.predictor for p in predictions),
        calibration=about,
        policy=policy,
        policy_from=task.policy_from,
        skipped=tuple(skipped),
        notes=(*notes, *_absent_notes(calibrated), *_missed_notes(trust)),
        unlabelled=None if pseudo is None else pseudo.to_dict(),
    )
    filled = None if pseudo is None else pseudo.written(len(file.poses))
    write_extended(file, additions, header, task.output, unlabelled=filled, force=task.force)
    if task.report is not None:
        write_json(result.to_dict(), task.report, force=task.force, indent=True)
    return result


def missing_keypoints(own: Skeleton, others: Sequence[Skeleton]) -> tuple[str, ...]:
    """What a file of skeleton `own` gains, in union order: the rest of the 21, then what `others` know beyond them."""
    return union(own, UNION21, *others).missing_from(own)


def settle_policy(options: PolicyOptions, run: Path | None) -> tuple[Policy, str]:
    """The policy and who set it: the options, else their file, else the recipe of `run`, else the defaults.

    A target error for every keypoint replaces those of single ones given before it.
    Raises InputError for a file that does not fit, AnnotextError for an option that does not.
    """
    policy, origin = Policy(), "defaults"
    if options.file is not None:
        policy, origin = read_policy(Path(options.file)).policy(), str(options.file)
    elif run is not None and (run / RECIPE).is_file():
        found = find_policy(run / RECIPE)
        if found is not None:
            policy, origin = found.policy(), str(run / RECIPE)
    try:
        for text in options.target_error:
            name, _, number = text.rpartition("=")
            error = _share(text, number)
            if name:
                policy = replace(policy, keypoints={**policy.keypoints, name: error})
            else:
                policy = replace(policy, target_error=error, keypoints={})
        if options.min_score is not None:
            policy = replace(policy, min_score=options.min_score)
    except ValueError as error:
        raise AnnotextError(str(error)) from None
    if options.target_error or options.min_score is not None:
        origin = f"{origin} and options"
    return policy, origin


def _check_predictions(task: ExtensionTask, path: Path) -> None:
    """Raises InputError for predictions of another annotation file or of other detections: ids alone prove nothing."""
    header = read_predictions_header(path)
    if header.input_sha256 != task.file.sha256:
        hint = "predict again with --predictor: these belong to another file, or this one was edited since"
        raise InputError.single(path, "", f"was not predicted from {task.file.path} as it is now", hint)
    if task.detections is not None and header.detections_sha256 != task.detections.sha256:
        hint = "predict again with these --detections"
        raise InputError.single(path, "", f"was not predicted from {task.detections.path} as it is now", hint)


def _share(text: str, number: str) -> float:
    try:
        return float(number)
    except ValueError:
        raise ValueError(f"target error {text!r}: expected a number such as 0.03, or KEYPOINT=0.03") from None


def _check_names(policy: Policy, policy_from: str, own: Skeleton, predictions: Sequence[Predictions]) -> None:
    """Raises InputError for a target error of a keypoint that nobody here knows."""
    known = {k for s in (own, UNION21, *(p.skeleton for p in predictions)) for k in s.keypoints}
    unknown = [k for k in policy.keypoints if k not in known]
    if unknown:
        raise InputError(
            Problem(policy_from, f"policy.keypoints.{k}", "no such keypoint here", "annotext skeletons lists the names")
            for k in unknown
        )


def _header_of(calibration: Calibration | None, decisions: Decisions) -> dict[str, Any] | str:
    if calibration is None:
        return UNCALIBRATED
    model = calibration.model
    return {
        "sha256": calibration.sha256,
        "predictor_sha256": model.predictor_sha256,
        "keypoints": list(decisions.limits),
        "truth": [t.to_dict() for t in model.truth],
    }


def _absent_notes(trusted: CalibratedPoints | None) -> list[str]:
    absent = {} if trusted is None else {k: a for k, a in trusted.absent.items() if a}
    names = sorted({name for a in absent.values() for name in a})
    if not names:
        return []
    tta = ",".join(n for n in names if n in ("flip", "shift"))
    hint = f"; predict with --tta {tta}" if tta else ""
    return [
        f"the calibration of {', '.join(absent)} weighs {', '.join(names)}, of which nothing is known here: its "
        f"promises may not hold{hint}"
    ]


def _missed_notes(trust: Mapping[str, Mapping[str, float | int | None]]) -> list[str]:
    """Where the scores of this file's own points expect more errors than the target allows."""
    return [
        f"{100 * wrong:.1f} % of the predicted {name} that were added are expected wrong, more than the target of "
        f"{100 * target:g} %: these people differ from those it was calibrated on"
        for name, figures in trust.items()
        if (wrong := figures["expected_wrong"]) is not None and (target := figures["target_error"] or 0) < wrong
    ]


def _limits_dict(limits: Limits) -> dict[str, float | None]:
    add = round(limits.add, _SCORE_DECIMALS) if np.isfinite(limits.add) else None
    return {"add_from": add, "ask_from": round(limits.ask, _SCORE_DECIMALS)}


def _trust(decisions: Decisions, policy: Policy) -> dict[str, dict[str, float | int | None]]:
    trust: dict[str, dict[str, float | int | None]] = {}
    additions = decisions.additions
    for name, limits in decisions.limits.items():
        column = additions.keypoints.index(name)
        sure = (additions.decision[:, column] == Decision.ADD) & decisions.calibrated[:, column]
        wrong = round(float(1 - additions.score[sure, column].mean()), 6) if sure.any() else None
        trust[name] = {
            "target_error": policy.target_of(name),
            **_limits_dict(limits),
            "expected_wrong": wrong,
            "anchored": int(decisions.anchored[:, column].sum()),
        }
    return trust


def _counts(poses: Poses, decisions: Decisions) -> dict[str, dict[str, dict[str, int]]]:
    additions, eligible = decisions.additions, gains_keypoints(poses)
    keypoints: dict[str, dict[str, dict[str, int]]] = {}
    for column, name in enumerate(additions.keypoints):
        decision, reason = additions.decision[:, column], additions.reason[:, column]
        keypoints[name] = {
            "added": _count(additions.source[decision == Decision.ADD, column], Source),
            "asked": _count(reason[decision == Decision.ASK], Reason),
            "withheld": _count(reason[decision == Decision.WITHHOLD], Reason),
            "not_added": _count(reason[eligible & (decision == Decision.NONE)], Reason),
        }
    return keypoints


def _people(poses: Poses, decisions: Decisions, predictions: Sequence[Predictions]) -> dict[str, int]:
    gains = gains_keypoints(poses)
    added = decisions.additions.added.any(axis=1)
    estimated = (decisions.additions.source != Source.NONE).any(axis=1)
    predicted = (
        np.isin(poses.ids, np.concatenate([p.ids for p in predictions]))
        if predictions
        else np.zeros(len(poses), dtype=bool)
    )
    return {
        "in_file": len(poses),
        "extended": int(added.sum()),
        "predicted": int(predicted.sum()),
        "without_keypoints": int((~poses.has_keypoints & ~poses.crowd).sum()),
        "crowd": int(poses.crowd.sum()),
        "all_withheld": int((estimated & ~added).sum()),
        "not_predicted": int((gains & ~estimated).sum()),
    }


def _count(values: Any, kinds: type[Source] | type[Reason]) -> dict[str, int]:
    """Counts by kind, in the order the kinds are defined, without zeros."""
    found = Counter(values.tolist())
    return {str(kind): found[kind] for kind in kinds if found[kind]}


@dataclass(frozen=True)
class _Pseudo:
    """Pseudo-labels of people without labels: those at `rows` of the file, and those that a detector found."""

    min_points: int
    detections: Detections | None
    rows: NDArray[np.intp]
    here: PseudoLabelDecisions
    found: PseudoLabelDecisions | None

    @classmethod
    def decided(
        cls, task: ExtensionTask, how: UnlabelledOptions, predictions: Sequence[Predictions], added: Sequence[str]
    ) -> _Pseudo:
        """Calibration lives on a person's labels; without any the predictor's own scores decide."""
        poses, detections = task.file.poses, task.detections
        rows = np.flatnonzero(~poses.has_keypoints & ~poses.crowd)

        def label(people: Poses) -> PseudoLabelDecisions:
            return decide_pseudo_labels(people, predictions, added, task.policy, min_points=how.min_points)

        found = None if detections is None else label(detections.people)
        return cls(how.min_points, detections, rows, label(poses.take(rows)), found)

    def written(self, n: int) -> Unlabelled:
        """For `write_extended` of a file of n people."""
        own = put(Additions.nothing(n, self.here.own.keypoints), self.rows, self.here.own)
        detections, found = self.detections, self.found
        new = detections.gaining(found.own, found.added) if detections is not None and found is not None else None
        return Unlabelled(own, new)

    def header(self) -> dict[str, Any]:
        """What an extended file says about it once."""
        detections = {} if self.detections is None else {"detections": self.detections.to_dict()}
        return {"min_points": self.min_points, "calibration": UNCALIBRATED, **detections}

    def to_dict(self) -> dict[str, Any]:
        """For reports: people of the file and found ones, and per keypoint points added and withheld."""
        entry: dict[str, Any] = {**self.header(), "people": _pseudo_people(self.here)}
        if self.found is not None:
            entry["found"] = _pseudo_people(self.found)
        groups = [self.here] if self.found is None else [self.here, self.found]
        entry["keypoints"] = {
            name: {
                "added": sum(int(part.added[:, column].sum()) for part in parts),
                "withheld": sum(int(part.withheld[:, column].sum()) for part in parts),
            }
            for kind in ("own", "added")
            for parts in [[getattr(group, kind) for group in groups]]
            for column, name in enumerate(parts[0].keypoints)
        }
        return entry


def _pseudo_people(whole: PseudoLabelDecisions) -> dict[str, int]:
    estimated = np.concatenate([whole.own.source, whole.added.source], axis=1) != Source.NONE
    labelled = int(estimated.any(axis=1).sum())
    empty = int(whole.left_empty.sum())
    n = len(whole.left_empty)
    return {"in_all": n, "labelled": labelled, "left_empty": empty, "not_predicted": n - labelled - empty}
