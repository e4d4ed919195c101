"""Extend an annotation file by the keypoints it lacks: predict, then decide."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from annotext.calibration.files import calibration_file, settle_calibration
from annotext.core.errors import AnnotextError
from annotext.formats.files.paths import AnyPath, path_of
from annotext.formats.files.predictions import write_predictions
from annotext.workflows.decide import (
    ExtensionReport,
    PolicyOptions,
    carry_out,
    decide,
    prepare,
)
from annotext.workflows.predict import AnyPredictor, UnlabelledOptions, load_predictors, predict_people, predictors_of


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
    predictions: with predictors, where to also write their predictions; without, the predictions of an earlier run: the
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
    if not predictors:
        if predictions is None:
            raise AnnotextError("extend needs a predictor: give --predictor, or --predictions of an earlier run")
        if tta:
            raise AnnotextError("test-time augmentation (--tta) needs images: give --predictor too")
        return decide(
            predictions,
            annotations,
            output,
            calibration=calibration,
            policy=policy,
            unlabelled=unlabelled,
            report=report,
            skip_bad=skip_bad,
            force=force,
        )
    paths = [p for p in predictors if isinstance(p, Path)]
    task = prepare(
        annotations,
        output,
        policy,
        run=next((p for p in [*paths, *([calibration] if calibration else [])] if p.is_dir()), None),
        unlabelled=unlabelled,
        report=report,
        written=[] if predictions is None else [predictions],
        read=[*paths, *(calibration_file(p) for p in (calibration, *paths))],
        skip_bad=skip_bad,
        force=force,
    )
    if images is None:
        raise AnnotextError("extend needs the images to predict on: give --images")
    started = time.perf_counter()
    loaded = load_predictors(predictors)
    found, notes = settle_calibration(calibration, paths, [p.identity for p in loaded])
    skipped = task.skipped
    made = predict_people(
        task.file,
        images,
        loaded,
        tta=tta,
        unlabelled=unlabelled is not None,
        detections=task.detections,
        on_bad=skipped.append if skip_bad else None,
        progress=progress,
    )
    seconds = time.perf_counter() - started
    if predictions is not None:
        sha256, more = task.file.sha256, task.detections_sha256
        write_predictions(predictions, made, input_sha256=sha256, force=force, detections_sha256=more)
    return replace(carry_out(task, made, found, notes=notes, skipped=skipped), seconds=seconds)
