"""The part that `extend` and `decide` share: decide about an annotation file's people, write it, say what was done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.markup import escape

from annotext.calibration.files import Calibration
from annotext.core.additions import Decision, Reason, Source
from annotext.core.errors import InputError, Problem
from annotext.core.policy import Decisions, Limits, Policy, decide, gains_keypoints
from annotext.core.poses import Poses
from annotext.core.predictions import CalibratedPoints, Predictions, PredictorIdentity
from annotext.core.skeleton import Skeleton, union
from annotext.core.skeletons import UNION21
from annotext.formats.annotations.read import AnnotationFile
from annotext.formats.files.jsonio import no_collecting
from annotext.formats.overlay.write import write_extended
from annotext.workflows.skipped import skipped_lines
from annotext.workflows.unlabelled import WholeLabelling, unlabelled_lines

# What the header of an extended file says where nothing turned scores into probabilities.
UNCALIBRATED = "uncalibrated"
_SCORE_DECIMALS = 4


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
    unlabelled: of --unlabelled, what became of people without labels (see `LabelledWhole.to_dict`); all other counts
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
            "trust": {k: dict(said) for k, said in self.trust.items()},
            "predictors": [p.to_dict() for p in self.predictors],
            "calibration": self.calibration,
            "policy": self.policy.to_dict(),
            "policy_from": self.policy_from,
            "skipped": [p.to_dict() for p in self.skipped],
            "notes": list(self.notes),
        }

    def summary(self) -> str:
        """What a person wants to read, in rich markup."""
        people = self.people
        lines = [
            f"[bold]{escape(self.output)}[/]: {people['extended']} of {people['in_file']} people on {self.images} "
            f"images extended from {self.skeleton} by {', '.join(self.keypoints)}"
        ]
        lines += [f"  {'keypoint':<14}{'added':>8}  {'from':<32}{'to ask':>8}{'withheld':>10}"]
        for name, counts in self.keypoints.items():
            added, asked, withheld = counts["added"], counts["asked"], counts["withheld"]
            origin = ", ".join(f"{n} {source}" for source, n in added.items())
            why = ", ".join(f"{n} {reason}" for reason, n in {**withheld, **counts["not_added"]}.items())
            lines.append(
                f"  {name:<14}{sum(added.values()):>8}  {origin:<32}{sum(asked.values()):>8}"
                f"{sum(withheld.values()):>10}" + (f"  [dim]{why}[/]" if why else "")
            )
        said_below = ("without_keypoints",) if self.unlabelled is not None else ()
        untouched = [f"{people[k]} {text}" for k, text in _UNTOUCHED.items() if people[k] and k not in said_below]
        if untouched:
            lines.append(f"  not extended: {', '.join(untouched)}")
        if self.unlabelled is not None:
            lines += unlabelled_lines(self.unlabelled)
        lines += [f"  predictor: {escape(p.name)} ({p.source}, sha256 {p.sha256[:12]})" for p in self.predictors]
        lines += self._policy_lines()
        if self.seconds is not None and self.predictors:
            speed = people["predicted"] / max(self.seconds, 1e-9)
            lines.append(f"  predicted in {self.seconds:.1f} s ({speed:.1f} people/s)")
        lines += [f"  [yellow]note[/]: {escape(note)}" for note in self.notes]
        return "\n".join([*lines, *skipped_lines(self.skipped)])

    def _policy_lines(self) -> list[str]:
        policy = self.policy
        lines = [f"  policy ({escape(self.policy_from)}):"]
        for name, said in self.trust.items():
            target = f"    {name}: at most {100 * policy.target_of(name):g} % of the added wrong"
            if said["add_from"] is None:
                lines.append(f"{target}: no score reaches that, to ask from {said['ask_from']:.2f}")
                continue
            wrong = said["expected_wrong"]
            expected = "" if wrong is None else f"; {100 * wrong:.1f} % expected"
            lines.append(f"{target}: added from {said['add_from']:.2f}, to ask from {said['ask_from']:.2f}{expected}")
        rest = [k for k in self.keypoints if k not in self.trust]
        if rest and self.predictors:
            lines.append(f"    scores of {', '.join(rest)} are uncalibrated: withheld below {policy.min_score:g}")
        if not isinstance(self.calibration, str):
            # A file with several parts is one truth to a reader.
            truths = dict.fromkeys(f"{escape(t['file'])} ({t['protocol']})" for t in self.calibration["truth"])
            truth = ", ".join(truths)
            lines.append(f"  calibration: sha256 {self.calibration['sha256'][:12]}, fitted on {truth}")
        return lines


_UNTOUCHED = {
    "without_keypoints": "without labelled keypoints",
    "crowd": "crowds",
    "all_withheld": "whose points were all withheld",
    "not_predicted": "that no predictor saw and from whose labels nothing follows",
}


@no_collecting()
def extend_file(
    file: AnnotationFile,
    said: Sequence[Predictions],
    output: Path,
    policy: Policy,
    *,
    policy_from: str,
    calibration: Calibration | None = None,
    unlabelled: WholeLabelling | None = None,
    skipped: Sequence[Problem] = (),
    notes: Sequence[str] = (),
    force: bool = False,
) -> ExtensionReport:
    """Decide about the people of `file` and write it, extended, to `output`.

    calibration: of one of `said` (see `Calibration.check`). unlabelled: label people without labels whole.
    Raises InputError if nothing is missing or the policy does not fit, and as `write_extended` does.
    """
    keypoints = missing_keypoints(file.poses.skeleton, [p.skeleton for p in said])
    if not keypoints:
        raise InputError.single(file.path, "", f"has all of {file.poses.skeleton.name}: nothing is missing")
    _check_names(policy, policy_from, file.poses.skeleton, said)
    trusted = None if calibration is None else calibration.model.points(file.poses, said)
    decisions = decide(file.poses, said, keypoints, policy, trusted)
    about = _header_of(calibration, decisions)
    header = {
        "predictors": [p.predictor.to_dict() for p in said],
        "policy": {**policy.to_dict(), "limits": {k: _limits_dict(v) for k, v in decisions.limits.items()}},
        "calibration": about,
    }
    additions, whole = decisions.additions, None
    if unlabelled is not None:
        whole = unlabelled.label(file, said, keypoints, policy)
        additions = whole.among(additions)
        header["unlabelled"] = whole.header()
    result = ExtensionReport(
        annotations=str(file.path),
        output=str(output),
        kind=file.kind,
        skeleton=file.poses.skeleton.name,
        people=_people(file.poses, decisions, said),
        images=len(np.unique(file.poses.image_index[gains_keypoints(file.poses)])),
        keypoints=_counts(file.poses, decisions),
        trust=_trust(decisions, policy),
        predictors=tuple(p.predictor for p in said),
        calibration=about,
        policy=policy,
        policy_from=policy_from,
        skipped=tuple(skipped),
        notes=(*notes, *_absent_notes(trusted), *_missed_notes(_trust(decisions, policy))),
        unlabelled=None if whole is None else whole.to_dict(),
    )
    filled = None if whole is None else whole.written(len(file.poses))
    write_extended(file, additions, header, output, unlabelled=filled, force=force)
    return result


def missing_keypoints(own: Skeleton, others: Sequence[Skeleton]) -> tuple[str, ...]:
    """What a file of skeleton `own` gains, in union order: the rest of the 21, then what `others` know beyond them."""
    return union(own, UNION21, *others).missing_from(own)


def timed(report: ExtensionReport, seconds: float | None) -> ExtensionReport:
    """The same, with how long predicting took."""
    return replace(report, seconds=seconds)


def _check_names(policy: Policy, policy_from: str, own: Skeleton, said: Sequence[Predictions]) -> None:
    """Raises InputError for a target error of a keypoint that nobody here knows."""
    known = {k for s in (own, UNION21, *(p.skeleton for p in said)) for k in s.keypoints}
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
    passes = ",".join(n for n in names if n in ("flip", "shift"))
    hint = f"; predict with --tta {passes}" if passes else ""
    return [
        f"the calibration of {', '.join(absent)} weighs {', '.join(names)}, of which nothing is known here: its "
        f"promises may not hold{hint}"
    ]


def _missed_notes(trust: Mapping[str, Mapping[str, float | int | None]]) -> list[str]:
    """Where the scores of this file's own points expect more errors than the target allows."""
    return [
        f"{100 * wrong:.1f} % of the predicted {name} that were added are expected wrong, more than the target of "
        f"{100 * target:g} %: these people differ from those it was calibrated on"
        for name, said in trust.items()
        if (wrong := said["expected_wrong"]) is not None and (target := said["target_error"] or 0) < wrong
    ]


def _limits_dict(limits: Limits) -> dict[str, float | None]:
    add = round(limits.add, _SCORE_DECIMALS) if np.isfinite(limits.add) else None
    return {"add_from": add, "ask_from": round(limits.ask, _SCORE_DECIMALS)}


def _trust(decisions: Decisions, policy: Policy) -> dict[str, dict[str, float | int | None]]:
    said: dict[str, dict[str, float | int | None]] = {}
    additions = decisions.additions
    for name, limits in decisions.limits.items():
        column = additions.keypoints.index(name)
        sure = (additions.decision[:, column] == Decision.ADD) & decisions.calibrated[:, column]
        wrong = round(float(1 - additions.score[sure, column].mean()), 6) if sure.any() else None
        said[name] = {
            "target_error": policy.target_of(name),
            **_limits_dict(limits),
            "expected_wrong": wrong,
            "anchored": int(decisions.anchored[:, column].sum()),
        }
    return said


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


def _people(poses: Poses, decisions: Decisions, said: Sequence[Predictions]) -> dict[str, int]:
    gains = gains_keypoints(poses)
    added = decisions.additions.added.any(axis=1)
    estimated = (decisions.additions.source != Source.NONE).any(axis=1)
    predicted = np.isin(poses.ids, np.concatenate([p.ids for p in said])) if said else np.zeros(len(poses), dtype=bool)
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
