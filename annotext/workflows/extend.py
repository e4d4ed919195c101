"""Extend an annotation file by the keypoints it lacks: predict, decide, write, and say what was done."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.markup import escape

from annotext.core.policy import DEFAULT_MIN_SCORE, Decisions, Policy, Reason, decide, gains_keypoints
from annotext.core.poses import Poses, Source
from annotext.core.predictions import Predictions, PredictorIdentity
from annotext.core.problems import AnnotextError, InputError, Problem
from annotext.core.skeleton import Skeleton, union
from annotext.core.skeletons import UNION21
from annotext.formats.annotations import AnnotationFile, read_annotations
from annotext.formats.extended import output_paths, refuse_extended, write_extended
from annotext.formats.jsonio import write_json
from annotext.formats.outputs import check_output
from annotext.formats.predictions import read_predictions, read_predictions_header, write_predictions
from annotext.predictors.load import load_predictor
from annotext.predictors.pipeline import predict
from annotext.predictors.predictor import Predictor
from annotext.workflows.skipped import skipped_lines


@dataclass(frozen=True)
class ExtendReport:
    """What one run of `extend` did.

    people: `in_file`, and what became of them, which adds up to it: extended, without_keypoints, crowd, all_withheld,
    not_predicted; also `predicted`. images: with people to predict.
    keypoints: added name -> {"added": {source: n}, "withheld": {reason: n}, "not_added": {reason: n}}.
    skipped: records and images that --skip-bad dropped.
    seconds: spent predicting; not part of `to_dict`, which is the same for the same input.
    """

    annotations: str
    output: str
    kind: str
    skeleton: str
    people: Mapping[str, int]
    images: int
    keypoints: Mapping[str, Mapping[str, Mapping[str, int]]]
    predictors: tuple[PredictorIdentity, ...]
    policy: Policy
    skipped: tuple[Problem, ...]
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
            "predictors": [_identity_dict(p) for p in self.predictors],
            "policy": self.policy.to_dict(),
            "skipped": [p.to_dict() for p in self.skipped],
        }

    def summary(self) -> str:
        """What a person wants to read, in rich markup."""
        people = self.people
        lines = [
            f"[bold]{escape(self.output)}[/]: {people['extended']} of {people['in_file']} people on {self.images} "
            f"images extended from {self.skeleton} by {', '.join(self.keypoints)}"
        ]
        lines += [f"  {'keypoint':<14}{'added':>8}  {'from':<32}{'withheld':>8}"]
        for name, counts in self.keypoints.items():
            added, withheld = counts["added"], counts["withheld"]
            origin = ", ".join(f"{n} {source}" for source, n in added.items())
            why = ", ".join(f"{n} {reason}" for reason, n in {**withheld, **counts["not_added"]}.items())
            lines.append(
                f"  {name:<14}{sum(added.values()):>8}  {origin:<32}{sum(withheld.values()):>8}"
                + (f"  [dim]{why}[/]" if why else "")
            )
        untouched = [f"{people[key]} {text}" for key, text in _UNTOUCHED.items() if people[key]]
        if untouched:
            lines.append(f"  not extended: {', '.join(untouched)}")
        lines += [f"  predictor: {escape(p.name)} ({p.source}, sha256 {p.sha256[:12]})" for p in self.predictors]
        lines.append(f"  policy: predicted points below a score of {self.policy.min_score:g} are withheld")
        if self.seconds is not None and self.predictors:
            speed = people["predicted"] / max(self.seconds, 1e-9)
            lines.append(f"  predicted in {self.seconds:.1f} s ({speed:.1f} people/s)")
        return "\n".join([*lines, *skipped_lines(self.skipped)])


_UNTOUCHED = {
    "without_keypoints": "without labelled keypoints",
    "crowd": "crowds",
    "all_withheld": "whose points were all withheld",
    "not_predicted": "that no predictor saw and from whose labels nothing follows",
}


def extend(
    annotations: Path,
    images: Path | None,
    predictors: Sequence[Path | Predictor],
    output: Path,
    *,
    predictions: Path | None = None,
    min_score: float = DEFAULT_MIN_SCORE,
    report: Path | None = None,
    skip_bad: bool = False,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ExtendReport:
    """Write `output`: the annotation file with the keypoints that its people lack.

    images: folder that the file's image names are relative to; only needed with predictors.
    predictors: paths (see `load_predictor`) or loaded ones; each missing keypoint comes from the first that knows it.
    predictions: with predictors, where to also write what they said; without, what they said in an earlier run: the
        decisions are then made again, and neither images nor models are needed.
    report: where to write the report as JSON. skip_bad: leave out faulty records and images, and list them.
    progress: called with (people done, people in all).

    All outputs are checked before anything is predicted; each is written whole or not at all. Raises InputError or
    AnnotextError for what is wrong.
    """
    policy = _policy(min_score)
    file = read_annotations(annotations, skip_bad=skip_bad)
    refuse_extended(file)
    if not predictors and predictions is None:
        raise AnnotextError("extend needs a predictor: give --predictor, or --predictions of an earlier run")
    written = [*output_paths(file, output), *(p for p in (predictions if predictors else None, report) if p)]
    read = [annotations, *(p for p in predictors if isinstance(p, Path)), *([predictions] if not predictors else [])]
    _check_outputs(written, read, force)
    skipped = list(file.skipped)
    started = time.perf_counter()
    if predictors:
        if images is None:
            raise AnnotextError("extend needs the images to predict on: give --images")
        loaded = [load_predictor(p) if isinstance(p, Path) else p for p in predictors]
        _check_names([p.identity for p in loaded])
        people = file.poses.take(gains_keypoints(file.poses))
        on_bad = skipped.append if skip_bad else None
        said = predict(loaded, people, images, on_bad=on_bad, progress=progress)
    else:
        assert predictions is not None
        _check_same_file(file, predictions)
        said = read_predictions(predictions)
    seconds = time.perf_counter() - started if predictors else None

    keypoints = missing_keypoints(file.poses.skeleton, [p.skeleton for p in said])
    if not keypoints:
        raise InputError.single(annotations, "", f"has all of {file.poses.skeleton.name}: nothing is missing")
    decisions = decide(file.poses, said, keypoints, policy)
    result = _report(file, output, decisions, said, policy, skipped, seconds)
    header = {"predictors": [_identity_dict(p.predictor) for p in said], "policy": policy.to_dict()}
    if predictors and predictions is not None:
        write_predictions(predictions, said, input_sha256=file.sha256, force=force)
    write_extended(file, decisions.additions, header, output, force=force)
    if report is not None:
        write_json(result.to_dict(), report, force=force, indent=True)
    return result


def missing_keypoints(own: Skeleton, others: Sequence[Skeleton]) -> tuple[str, ...]:
    """What a file of skeleton `own` gains, in union order: the rest of the 21, then what `others` know beyond them."""
    return union(own, UNION21, *others).missing_from(own)


def _policy(min_score: float) -> Policy:
    try:
        return Policy(min_score=min_score)
    except ValueError as error:
        raise AnnotextError(str(error)) from None


def _check_outputs(written: Sequence[Path], read: Sequence[Path | None], force: bool) -> None:
    """Raises InputError for outputs that could not be written, or would replace an input or each other."""
    problems: list[Problem] = []
    for i, path in enumerate(written):
        try:
            check_output(path, force=force, inputs=[p for p in read if p is not None])
        except InputError as error:
            problems += error.problems
        if path.resolve() in [other.resolve() for other in written[:i]]:
            problems.append(Problem(str(path), "", "is named for two outputs", "give each its own name"))
    if problems:
        raise InputError(problems)


def _check_names(identities: Sequence[PredictorIdentity]) -> None:
    twice = [name for name, n in Counter(i.name for i in identities).items() if n > 1]
    if twice:
        raise AnnotextError(f"two predictors are named {', '.join(twice)}: give each card its own name")


def _check_same_file(file: AnnotationFile, predictions: Path) -> None:
    """Raises InputError for predictions that were made on another annotation file: ids alone prove nothing."""
    if read_predictions_header(predictions).input_sha256 != file.sha256:
        hint = "predict again with --predictor: these belong to another file, or this one was edited since"
        raise InputError.single(predictions, "", f"was not predicted from {file.path} as it is now", hint)


def _identity_dict(identity: PredictorIdentity) -> dict[str, str]:
    return {"name": identity.name, "sha256": identity.sha256, "source": str(identity.source)}


def _report(
    file: AnnotationFile,
    output: Path,
    decisions: Decisions,
    said: Sequence[Predictions],
    policy: Policy,
    skipped: Sequence[Problem],
    seconds: float | None,
) -> ExtendReport:
    additions, reason = decisions.additions, decisions.reason
    keypoints: dict[str, dict[str, dict[str, int]]] = {}
    for column, name in enumerate(additions.keypoints):
        added, withheld = additions.added[:, column], additions.withheld[:, column]
        eligible = gains_keypoints(file.poses)
        keypoints[name] = {
            "added": _count(additions.source[added, column], Source),
            "withheld": _count(reason[withheld, column], Reason),
            "not_added": _count(reason[eligible & ~added & ~withheld, column], Reason),
        }
    return ExtendReport(
        annotations=str(file.path),
        output=str(output),
        kind=file.kind,
        skeleton=file.poses.skeleton.name,
        people=_people(file.poses, decisions, said),
        images=len(np.unique(file.poses.image_index[gains_keypoints(file.poses)])),
        keypoints=keypoints,
        predictors=tuple(p.predictor for p in said),
        policy=policy,
        skipped=tuple(skipped),
        seconds=seconds,
    )


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
