"""Extend an annotation file by the keypoints it lacks: predict, decide, write, and say what was done."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from annotext.core.errors import AnnotextError
from annotext.formats.annotations.read import read_annotations
from annotext.formats.files.jsonio import write_json
from annotext.formats.files.paths import AnyPath, path_of
from annotext.formats.files.predictions import read_predictions, write_predictions
from annotext.formats.overlay.write import output_paths, refuse_extended
from annotext.workflows.decide import (
    PolicyOptions,
    calibration_file,
    check_outputs,
    check_same_file,
    settle_calibration,
    settle_policy,
)
from annotext.workflows.extension import ExtensionReport, extend_file, timed
from annotext.workflows.predict import AnyPredictor, load_predictors, predict_people, predictors_of
from annotext.workflows.unlabelled import UnlabelledOptions


def extend(
    annotations: AnyPath,
    images: AnyPath | None,
    predictors: AnyPredictor | Sequence[AnyPredictor],
    output: AnyPath,
    *,
    predictions: AnyPath | None = None,
    calibration: AnyPath | None = None,
    policy: PolicyOptions | None = None,
    unlabelled: UnlabelledOptions | None = None,
    tta: Collection[str] = (),
    report: AnyPath | None = None,
    skip_bad: bool = False,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ExtensionReport:
    """Write `output`: the annotation file with the keypoints that its people lack.

    images: folder that the file's image names are relative to; only needed with predictors.
    predictors: paths (see `load_predictor`) or loaded ones; each missing keypoint comes from the first that knows it.
    predictions: with predictors, where to also write what they said; without, what they said in an earlier run: the
        decisions are then made again, and neither images nor models are needed.
    calibration: calibration.json, or the run that holds it; without it the one beside a predictor, if it is of it.
    policy: what the command line says; the rest comes from the recipe of the first predictor that is a run.
    unlabelled: also label people without labels whole, and people that a detector found.
    tta: test-time augmentations, which give features (see `predict_people`).
    report: where to write the report as JSON. skip_bad: leave out faulty records and images, and list them.
    progress: called with (people done, people in all).

    All outputs are checked before anything is predicted; each is written whole or not at all. Raises InputError or
    AnnotextError for what is wrong.
    """
    annotations, output, predictors = Path(annotations), Path(output), predictors_of(predictors)
    images, predictions, calibration, report = (path_of(p) for p in (images, predictions, calibration, report))
    paths = [p for p in predictors if isinstance(p, Path)]
    run = next((p for p in [*paths, *([calibration] if calibration else [])] if p.is_dir()), None)
    options = policy or PolicyOptions()
    settled, policy_from = settle_policy(options, run)
    file = read_annotations(annotations, skip_bad=skip_bad)
    refuse_extended(file)
    if not predictors and predictions is None:
        raise AnnotextError("extend needs a predictor: give --predictor, or --predictions of an earlier run")
    written = [*output_paths(file, output), *(p for p in (predictions if predictors else None, report) if p)]
    read = [annotations, *paths, *([predictions] if not predictors else []), path_of(options.file)]
    read += [calibration_file(p) for p in (calibration, *paths)]
    if unlabelled is not None:
        read.append(path_of(unlabelled.detections))
    check_outputs(written, read, force)
    whole = None if unlabelled is None else unlabelled.read(file, skip_bad=skip_bad)
    detections = None if whole is None else whole.detections
    skipped = [*file.skipped, *(() if detections is None else detections.skipped)]
    seconds: float | None = None
    if predictors:
        if images is None:
            raise AnnotextError("extend needs the images to predict on: give --images")
        started = time.perf_counter()
        loaded = load_predictors(predictors)
        trust, notes = settle_calibration(calibration, paths, [p.identity for p in loaded])
        on_bad = skipped.append if skip_bad else None
        said = predict_people(
            file,
            images,
            loaded,
            tta=tta,
            unlabelled=whole is not None,
            detections=detections,
            on_bad=on_bad,
            progress=progress,
        )
        seconds = time.perf_counter() - started
    else:
        assert predictions is not None
        if tta:
            raise AnnotextError("test-time augmentation (--tta) needs images: give --predictor too")
        check_same_file(file, predictions)
        if whole is not None:
            whole.check_predictions(predictions)
        said = read_predictions(predictions)
        trust, notes = settle_calibration(calibration, [], [p.predictor for p in said])
    if predictors and predictions is not None:
        more = None if detections is None else detections.sha256
        write_predictions(predictions, said, input_sha256=file.sha256, force=force, detections_sha256=more)
    result = extend_file(
        file,
        said,
        output,
        settled,
        policy_from=policy_from,
        calibration=trust,
        unlabelled=whole,
        skipped=skipped,
        notes=notes,
        force=force,
    )
    if report is not None:
        write_json(result.to_dict(), report, force=force, indent=True)
    return timed(result, seconds)
