"""Ask predictors about the people of an annotation file, and keep all they say: the slow half of `extend`, alone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.errors import AnnotextError, InputError, Problem
from annotext.core.policy import gains_keypoints
from annotext.core.poses import Poses, joined
from annotext.core.predictions import Predictions
from annotext.core.pseudo_labels import MIN_POINTS
from annotext.formats.annotations.detections import DEFAULT_MIN_DETECTION, Detections, read_detections
from annotext.formats.annotations.read import AnnotationFile, read_annotations
from annotext.formats.files.outputs import check_output
from annotext.formats.files.paths import AnyPath, paths_of
from annotext.formats.files.predictions import write_predictions
from annotext.predictors.load import load_predictor
from annotext.predictors.pipeline import predict as ask
from annotext.predictors.predictor import Predictor
from annotext.predictors.tta import AUGMENTATIONS, AugmentedPredictor

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class UnlabelledOptions:
    """What a command line says about people without labels.

    detections: a COCO detection result file with people for images without annotations. min_detection: from which
    score of it. min_points: people with fewer points that are sure enough stay empty.
    """

    detections: AnyPath | None = None
    min_detection: float = DEFAULT_MIN_DETECTION
    min_points: int = MIN_POINTS

    def read(self, file: AnnotationFile, *, skip_bad: bool = False) -> Detections | None:
        """The people that the detections name. Raises InputError as `read_detections` does."""
        if self.min_points < 1:
            raise AnnotextError(f"a person of at least {self.min_points} points: expected 1 or more")
        if self.detections is None:
            return None
        return read_detections(self.detections, file, min_score=self.min_detection, skip_bad=skip_bad)


# A loaded predictor, or where one is.
AnyPredictor = AnyPath | Predictor


@dataclass(frozen=True)
class PredictReport:
    """What one run of `predict` did.

    people: `in_file`; `asked`, of which a detector `found` some on images without annotations; what the others of the
        file are: `without_keypoints`, `crowd`. images: with people to predict.
    predictors: who was asked, with how many `people` were predicted, `keypoints` and `features`.
    skipped: records and images that --skip-bad dropped.
    seconds: spent predicting; not part of `to_dict`, which is the same for the same input.
    """

    annotations: str
    output: str
    kind: str
    skeleton: str
    people: Mapping[str, int]
    images: int
    tta: tuple[str, ...]
    predictors: tuple[Mapping[str, Any], ...]
    skipped: tuple[Problem, ...]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, stable order, no times."""
        return {
            "annotations": self.annotations,
            "output": self.output,
            "format": self.kind,
            "skeleton": self.skeleton,
            "people": dict(self.people),
            "images": self.images,
            "passes": list(self.tta),
            "predictors": [dict(p) for p in self.predictors],
            "skipped": [p.to_dict() for p in self.skipped],
        }

    def to_frame(self) -> pd.DataFrame:
        """One row per predictor: name, sha256, source, people, keypoints and features (tuples of names)."""
        import pandas as pd

        return pd.DataFrame({k: tuple(v) if isinstance(v, list) else v for k, v in p.items()} for p in self.predictors)


def predict(
    annotations: AnyPath,
    images: AnyPath,
    predictors: AnyPredictor | Sequence[AnyPredictor],
    output: AnyPath,
    *,
    tta: Collection[str] = (),
    unlabelled: UnlabelledOptions | None = None,
    skip_bad: bool = False,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> PredictReport:
    """Write to `output`, a parquet file, what `predictors` say about the file's people: all their keypoints.

    What a person labelled is predicted too: calibration and anchoring live on the difference.

    images: folder that the file's image names are relative to. unlabelled: also people without a labelled keypoint, and
    those of its detections. The rest as for `predict_people`; skip_bad: leave out faulty records and images, and list
    them. Raises InputError or AnnotextError for what is wrong, before anything is
    predicted where it can be known.
    """
    annotations, images, output = paths_of([annotations, images, output])
    predictors = predictors_of(predictors)
    inputs = [annotations, *(p for p in predictors if isinstance(p, Path))]
    if unlabelled is not None and unlabelled.detections is not None:
        inputs.append(Path(unlabelled.detections))
    check_output(output, force=force, inputs=inputs)
    file = read_annotations(annotations, skip_bad=skip_bad)
    detections = None if unlabelled is None else unlabelled.read(file, skip_bad=skip_bad)
    asked = people_to_ask(file.poses, unlabelled=unlabelled is not None)
    found = 0 if detections is None else len(detections.people)
    if not asked.any() and not found:
        hint = "" if unlabelled else "--unlabelled takes people without labelled keypoints too"
        raise InputError.single(annotations, "", "has nobody to predict", hint)
    skipped = [*file.skipped, *(() if detections is None else detections.skipped)]
    started = time.perf_counter()
    made = predict_people(
        file,
        images,
        predictors,
        tta=tta,
        unlabelled=unlabelled is not None,
        detections=detections,
        on_bad=skipped.append if skip_bad else None,
        progress=progress,
    )
    seconds = time.perf_counter() - started
    write_predictions(
        output,
        made,
        input_sha256=file.sha256,
        force=force,
        inputs=inputs,
        detections_sha256=None if detections is None else detections.sha256,
    )
    used = [file.poses.image_index[asked], *([] if detections is None else [detections.people.image_index])]
    return PredictReport(
        annotations=str(annotations),
        output=str(output),
        kind=file.kind,
        skeleton=file.poses.skeleton.name,
        people={
            "in_file": len(file.poses),
            "asked": int(asked.sum()) + found,
            "found": found,
            "without_keypoints": int((~asked & ~file.poses.crowd).sum()),
            "crowd": int(file.poses.crowd.sum()),
        },
        images=len(np.unique(np.concatenate(used))),
        tta=tuple(name for name in AUGMENTATIONS if name in tta),
        predictors=tuple(_predicted_by(p) for p in made),
        skipped=tuple(skipped),
        seconds=seconds,
    )


def predict_people(
    file: AnnotationFile,
    images: Path,
    predictors: Sequence[Path | Predictor],
    *,
    tta: Collection[str] = (),
    unlabelled: bool = False,
    detections: Detections | None = None,
    on_bad: Callable[[Problem], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Predictions]:
    """What each of `predictors` says about the people of `file`, from their boxes; labels are not looked at.

    predictors: paths (see `load_predictor`) or loaded ones. tta: of `AUGMENTATIONS`; each gives a feature.
    unlabelled: also people without a labelled keypoint; crowds never. detections: also these people.
    on_bad, progress: see `pipeline.predict`.
    Raises AnnotextError without predictors, for two of one name or an unknown augmentation, InputError for what cannot
    be read.
    """
    people = file.poses.take(people_to_ask(file.poses, unlabelled=unlabelled))
    if detections is not None:
        people = joined(people, detections.people)
    return ask(load_predictors(predictors, tta), people, images, on_bad=on_bad, progress=progress)


def predictors_of(given: AnyPredictor | Sequence[AnyPredictor]) -> list[Path | Predictor]:
    """The predictors that were given; one alone need not stand in a list."""
    several = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    return [Path(p) if isinstance(p, str) else p for p in several]


def people_to_ask(poses: Poses, *, unlabelled: bool) -> NDArray[np.bool_]:
    """(N,) bool: people that predictors are asked about."""
    return ~poses.crowd if unlabelled else gains_keypoints(poses)


def load_predictors(predictors: Sequence[Path | Predictor], tta: Collection[str] = ()) -> list[Predictor]:
    """All of them ready to run, with these test-time augmentations. Raises what `predict_people` says."""
    if not predictors:
        raise AnnotextError("there is nothing to predict with: give --predictor")
    unknown = [name for name in tta if name not in AUGMENTATIONS]
    if unknown:
        raise AnnotextError(f"there is no augmentation {', '.join(unknown)}, only {', '.join(AUGMENTATIONS)}")
    loaded = [load_predictor(p) if isinstance(p, Path) else p for p in predictors]
    twice = [name for name, n in Counter(p.identity.name for p in loaded).items() if n > 1]
    if twice:
        raise AnnotextError(f"two predictors are named {', '.join(twice)}: give each card its own name")
    return [AugmentedPredictor(p, tta) for p in loaded] if tta else loaded


def _predicted_by(made: Predictions) -> dict[str, Any]:
    return {
        **made.predictor.to_dict(),
        "people": len(made),
        "keypoints": list(made.skeleton.keypoints),
        "features": list(made.features),
    }
