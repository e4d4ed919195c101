"""Make the decisions about an annotation file anew, from what predictors said earlier: no images, no models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from annotext.calibration.files import FILE_NAME, Calibration, read_calibration
from annotext.core.errors import AnnotextError, InputError, Problem
from annotext.core.policy import Policy
from annotext.core.predictions import PredictorIdentity
from annotext.formats.annotations.read import AnnotationFile, read_annotations
from annotext.formats.files.jsonio import no_collecting, write_json
from annotext.formats.files.outputs import check_output
from annotext.formats.files.paths import AnyPath, path_of, paths_of
from annotext.formats.files.policy import find_policy, read_policy
from annotext.formats.files.predictions import read_predictions, read_predictions_header
from annotext.formats.overlay.write import output_paths, refuse_extended
from annotext.workflows.extension import ExtensionReport, extend_file
from annotext.workflows.unlabelled import UnlabelledOptions

RECIPE = "recipe.toml"
UNCALIBRATED_NOTE = (
    "scores are uncalibrated, no share of wrong points is promised: annotext calibrate learns what they mean"
)


@dataclass(frozen=True)
class PolicyOptions:
    """What a command line says about the policy; what it leaves out comes from elsewhere.

    file: a TOML file with a [policy] table. target_error: "0.03", for every keypoint, or "head_top=0.03", for one.
    min_score: see `Policy`.
    """

    file: AnyPath | None = None
    target_error: Sequence[str] = ()
    min_score: float | None = None


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
    options = policy or PolicyOptions()
    run = calibration if calibration is not None and calibration.is_dir() else None
    settled, policy_from = settle_policy(options, run)
    file = read_annotations(annotations, skip_bad=skip_bad)
    refuse_extended(file)
    written = [*output_paths(file, output), *([report] if report else [])]
    read = [annotations, predictions, path_of(options.file), calibration_file(calibration)]
    if unlabelled is not None and unlabelled.detections is not None:
        read.append(path_of(unlabelled.detections))
    check_outputs(written, read, force)
    check_same_file(file, predictions)
    whole = None if unlabelled is None else unlabelled.read(file, skip_bad=skip_bad)
    if whole is not None:
        whole.check_predictions(predictions)
    said = read_predictions(predictions)
    trust, notes = settle_calibration(calibration, [], [p.predictor for p in said])
    result = extend_file(
        file,
        said,
        output,
        settled,
        policy_from=policy_from,
        calibration=trust,
        unlabelled=whole,
        skipped=file.skipped
        if whole is None or whole.detections is None
        else (*file.skipped, *whole.detections.skipped),
        notes=notes,
        force=force,
    )
    if report is not None:
        write_json(result.to_dict(), report, force=force, indent=True)
    return result


def settle_policy(options: PolicyOptions, run: Path | None) -> tuple[Policy, str]:
    """The policy and who set it: the options, else their file, else the recipe of `run`, else the defaults.

    A target error for every keypoint takes the place of all that was said about single ones before it.
    Raises InputError for a file that does not fit, AnnotextError for an option that does not.
    """
    policy, origin = Policy(), "defaults"
    if options.file is not None:
        policy, origin = read_policy(Path(options.file)).policy(), str(options.file)
    elif run is not None and (run / RECIPE).is_file():
        said = find_policy(run / RECIPE)
        if said is not None:
            policy, origin = said.policy(), str(run / RECIPE)
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


def settle_calibration(
    named: Path | None, predictors: Sequence[Path], identities: Sequence[PredictorIdentity]
) -> tuple[Calibration | None, list[str]]:
    """The calibration that was named, else the first beside one of `predictors` that fits, and what to tell about it.

    Raises InputError for one that was named and is of none of `identities`, and for one that cannot be read.
    """
    if named is not None:
        found = read_calibration(named)
        found.check(identities)
        return found, []
    notes: list[str] = []
    for predictor in predictors:
        folder = predictor if predictor.is_dir() else predictor.parent
        if not (folder / FILE_NAME).is_file():
            continue
        found = read_calibration(folder)
        if found.fits(identities):
            return found, []
        notes.append(f"{found.path} is of another student and was not used: calibrate again")
    return None, [*notes, UNCALIBRATED_NOTE]


def calibration_file(named: Path | None) -> Path | None:
    """The file that is read where a calibration, or the run that holds it, was named."""
    return named / FILE_NAME if named is not None and named.is_dir() else named


def check_outputs(written: Sequence[Path], read: Sequence[Path | None], force: bool) -> None:
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


def check_same_file(file: AnnotationFile, predictions: Path) -> None:
    """Raises InputError for predictions that were made on another annotation file: ids alone prove nothing."""
    if read_predictions_header(predictions).input_sha256 != file.sha256:
        hint = "predict again with --predictor: these belong to another file, or this one was edited since"
        raise InputError.single(predictions, "", f"was not predicted from {file.path} as it is now", hint)


def _share(text: str, number: str) -> float:
    try:
        return float(number)
    except ValueError:
        raise ValueError(f"target error {text!r}: expected a number such as 0.03, or KEYPOINT=0.03") from None
