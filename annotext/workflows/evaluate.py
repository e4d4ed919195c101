"""Hold an annotation file, an extended file or a parquet of predictions against a truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from annotext.core.errors import InputError
from annotext.evaluation.inputs import read_evaluation_input
from annotext.evaluation.report import EvaluationReport, evaluate
from annotext.formats.annotations.head_sizes import with_head_sizes
from annotext.formats.annotations.read import read_annotations


def evaluate_files(
    truth: str | Path,
    predictions: str | Path,
    *,
    sigmas: str | None = None,
    head_sizes: str | Path | None = None,
    keypoints: Sequence[str] | None = None,
    only_added: bool = False,
    predictor: str | None = None,
    skip_bad: bool = False,
) -> EvaluationReport:
    """`evaluate` on files of any format annotext reads; PREDICTIONS may be a parquet of predictions.

    head_sizes: MPII's official .mat, in place of the truth's head boxes. only_added: compare only the keypoints
    annotext added to PREDICTIONS. skip_bad: leave out faulty records of both files, and list
    them. Raises InputError or AnnotextError.
    """
    file = read_annotations(truth, skip_bad=skip_bad)
    poses = file.extended_poses
    if head_sizes is not None:
        poses = with_head_sizes(poses, head_sizes)
    judged = read_evaluation_input(predictions, predictor=predictor, skip_bad=skip_bad)
    if only_added:
        if not judged.added:
            raise InputError.single(predictions, "", "has no added keypoints, it is not an extended file")
        keypoints = [k for k in judged.added if keypoints is None or k in keypoints]
    report = evaluate(poses, judged, truth_name=Path(truth).name, sigmas=sigmas, keypoints=keypoints)
    return replace(report, skipped=(*file.skipped, *judged.skipped))
