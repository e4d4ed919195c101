"""What `evaluate` evaluates: keypoints of people, whichever file they come from.

N people, K keypoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotext.core.errors import InputError, Problem
from annotext.core.predictions import Predictions
from annotext.core.skeleton import Skeleton
from annotext.formats.annotations.read import AnnotationFile, read_annotations

# The source of a point that the policy withheld: it is evaluated apart, and counts as not given.
WITHHELD = "withheld"
_PARQUET_MAGIC = b"PAR1"


@dataclass(frozen=True)
class EvaluationInput:
    """N people's keypoints to be held against a truth.

    name: of the file, or of the predictor.
    ids: (N,) int64 and file_names: N image names, by which people are found in the truth.
    xy: (N, K, 2) float64 image pixels, 0-based; NaN where no point is given.
    score: (N, K) float64 in [0, 1]; 1 for a point set by a human.
    added: names of the keypoints annotext added to a file; empty for anything else.
    candidate: (N, A, 2) float64, all estimates of the added points, withheld ones too; source: (N, A) what each is
        (a value of `Source`, or `WITHHELD`; "none" where there is no estimate).
    skipped: records of the file that were left out.
    """

    name: str
    skeleton: Skeleton
    ids: NDArray[np.int64]
    file_names: tuple[str, ...]
    xy: NDArray[np.float64]
    score: NDArray[np.float64]
    added: tuple[str, ...] = ()
    candidate: NDArray[np.float64] | None = None
    source: NDArray[np.object_] | None = None
    skipped: tuple[Problem, ...] = ()

    @classmethod
    def of_predictions(cls, predictions: Predictions) -> EvaluationInput:
        """All points of one predictor."""
        return cls(
            name=predictions.predictor.name,
            skeleton=predictions.skeleton,
            ids=predictions.ids,
            file_names=predictions.file_names,
            xy=predictions.xy.astype(np.float64),
            score=predictions.score.astype(np.float64),
        )

    @classmethod
    def of_file(cls, file: AnnotationFile) -> EvaluationInput:
        """The points of an annotation file, extended or not."""
        poses, additions = file.extended_poses, file.additions
        given = cls(
            name=file.path.name,
            skeleton=poses.skeleton,
            ids=poses.ids,
            file_names=tuple(poses.file_names()),
            xy=poses.xy,
            score=poses.labelled.astype(np.float64),
            skipped=file.skipped,
        )
        if additions is None:
            return given
        score = given.score.copy()
        score[:, poses.skeleton.indices(additions.keypoints)] = np.where(additions.added, additions.score, 0.0)
        source = np.where(additions.withheld, WITHHELD, additions.source.astype(str)).astype(object)
        if file.pseudo is not None:
            own, people = file.pseudo.own, file.pseudo.people
            at, xy = poses.skeleton.indices(own.keypoints), given.xy.copy()
            xy[np.ix_(people, at)] = np.where(own.added[..., None], own.xy, np.nan)[people]
            score[np.ix_(people, at)] = np.where(own.added, own.score, 0.0)[people]
            given = replace(given, xy=xy)
        return replace(given, score=score, added=additions.keypoints, candidate=additions.xy, source=source)


def read_evaluation_input(path: str | Path, *, predictor: str | None = None, skip_bad: bool = False) -> EvaluationInput:
    """An annotation file, or one predictor's points of a parquet of predictions.

    predictor: its name, needed where the parquet holds several. skip_bad: leave out faulty records of an annotation
    file; they are in `skipped`. Raises InputError.
    """
    path = Path(path)
    if not _is_parquet(path):
        if predictor is not None:
            raise InputError.single(path, "", "is no file of predictions, so it has no predictor to choose")
        return EvaluationInput.of_file(read_annotations(path, skip_bad=skip_bad))
    from annotext.formats.files.predictions import read_predictions

    return EvaluationInput.of_predictions(_choose(read_predictions(path), predictor, path))


def _is_parquet(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC
    except OSError as error:
        raise InputError.single(path, "", f"cannot be read ({error.strerror})") from None


def _choose(found: Sequence[Predictions], wanted: str | None, path: Path) -> Predictions:
    names = [p.predictor.name for p in found]
    if wanted is None and len(found) == 1:
        return found[0]
    if wanted is None:
        raise InputError.single(
            path, "", f"holds {len(found)} predictors: {', '.join(names)}", "choose one with --predictor NAME"
        )
    if wanted not in names:
        raise InputError.single(path, "", f"has no predictor {wanted}", f"it has {', '.join(names)}")
    return found[names.index(wanted)]
