"""`--unlabelled`: whole poses for people with a box and no keypoints, and for people that a detector found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.additions import Additions, Source, put
from annotext.core.errors import AnnotextError, InputError
from annotext.core.policy import Policy
from annotext.core.predictions import Predictions
from annotext.core.pseudo_labels import MIN_POINTS, PseudoLabelDecisions, decide_pseudo_labels
from annotext.formats.annotations.detections import DEFAULT_MIN_DETECTION, Detections, read_detections
from annotext.formats.annotations.read import AnnotationFile
from annotext.formats.files.paths import AnyPath
from annotext.formats.files.predictions import read_predictions_header
from annotext.formats.overlay.pseudo_labels import Unlabelled

# Calibration lives on a person's labels; without any the predictor's own scores decide.
UNCALIBRATED = "uncalibrated"


@dataclass(frozen=True)
class UnlabelledOptions:
    """What a command line says about people without labels.

    detections: a COCO detection result file with people for images without annotations. min_detection: from which
    score of it. min_points: people with fewer points that are sure enough stay empty.
    """

    detections: AnyPath | None = None
    min_detection: float = DEFAULT_MIN_DETECTION
    min_points: int = MIN_POINTS

    def read(self, file: AnnotationFile, *, skip_bad: bool = False) -> WholeLabelling:
        """With the people that the detections name. Raises InputError as `read_detections` does."""
        if self.min_points < 1:
            raise AnnotextError(f"a person of at least {self.min_points} points: expected 1 or more")
        if self.detections is None:
            return WholeLabelling(self.min_points)
        found = read_detections(self.detections, file, min_score=self.min_detection, skip_bad=skip_bad)
        return WholeLabelling(self.min_points, found)


@dataclass(frozen=True)
class WholeLabelling:
    """How people without labels are to be labelled whole: in the file, and found by a detector."""

    min_points: int
    detections: Detections | None = None

    def check_predictions(self, path: Path) -> None:
        """Raises InputError for a parquet of predictions that knows other detections: its ids would mean others."""
        if self.detections is None:
            return
        if read_predictions_header(path).detections_sha256 != self.detections.sha256:
            hint = "predict again with these --detections"
            raise InputError.single(path, "", f"was not predicted from {self.detections.path} as it is now", hint)

    def label(
        self, file: AnnotationFile, said: Sequence[Predictions], added: Sequence[str], policy: Policy
    ) -> LabelledWhole:
        """What the people of `file` without labels gain, and those of the detections."""
        rows = np.flatnonzero(~file.poses.has_keypoints & ~file.poses.crowd)
        here = decide_pseudo_labels(file.poses.take(rows), said, added, policy, min_points=self.min_points)
        found = None
        if self.detections is not None:
            found = decide_pseudo_labels(self.detections.people, said, added, policy, min_points=self.min_points)
        return LabelledWhole(self, rows, here, found)


@dataclass(frozen=True)
class LabelledWhole:
    """What became of people without labels: those at `rows` of the file, and those that were found."""

    how: WholeLabelling
    rows: NDArray[np.intp]
    here: PseudoLabelDecisions
    found: PseudoLabelDecisions | None

    def among(self, additions: Additions) -> Additions:
        """`additions` of all people of the file, with what these get."""
        return put(additions, self.rows, self.here.added)

    def written(self, n: int) -> Unlabelled:
        """For `write_extended` of a file of n people."""
        own = put(Additions.nothing(n, self.here.own.keypoints), self.rows, self.here.own)
        detections, found = self.how.detections, self.found
        new = detections.gaining(found.own, found.added) if detections is not None and found is not None else None
        return Unlabelled(own, new)

    def header(self) -> dict[str, Any]:
        """What an extended file says about it once."""
        return {"min_points": self.how.min_points, "calibration": UNCALIBRATED, **self._detections()}

    def to_dict(self) -> dict[str, Any]:
        """For reports: people of the file and found ones, and per keypoint points added and withheld."""
        told: dict[str, Any] = {**self.header(), "people": _people(self.here)}
        if self.found is not None:
            told["found"] = _people(self.found)
        groups = [self.here] if self.found is None else [self.here, self.found]
        told["keypoints"] = {
            name: {
                "added": sum(int(part.added[:, column].sum()) for part in parts),
                "withheld": sum(int(part.withheld[:, column].sum()) for part in parts),
            }
            for kind in ("own", "added")
            for parts in [[getattr(group, kind) for group in groups]]
            for column, name in enumerate(parts[0].keypoints)
        }
        return told

    def _detections(self) -> dict[str, Any]:
        return {} if self.how.detections is None else {"detections": self.how.detections.to_dict()}


def unlabelled_lines(told: Mapping[str, Any]) -> list[str]:
    """What a person wants to read of `LabelledWhole.to_dict`."""
    groups = {"without keypoints in the file": told["people"]}
    if "found" in told:
        groups["found by the detector on images without annotations"] = told["found"]
    lines = []
    for name, people in groups.items():
        lines.append(
            f"  {people['in_all']} people {name}: {people['labelled']} labelled whole, {people['left_empty']} left "
            f"empty (fewer than {told['min_points']} sure points)"
            + (f", {people['not_predicted']} not predicted" if people["not_predicted"] else "")
        )
    if "detections" in told:
        left = {text: told["detections"]["left_out"][key] for key, text in _LEFT_OUT.items()}
        if any(left.values()):
            lines.append("  detections left out: " + ", ".join(f"{n} {text}" for text, n in left.items() if n))
    points = told["keypoints"].values()
    added, withheld = sum(p["added"] for p in points), sum(p["withheld"] for p in points)
    lines.append(f"  {added} points for them, {withheld} more withheld; none of them is a human label")
    return lines


_LEFT_OUT = {
    "other_category": "of other categories",
    "low_score": "below the minimum score",
    "annotated_image": "on images with annotations",
    "overlapping": "overlapping a stronger one",
}


def _people(whole: PseudoLabelDecisions) -> dict[str, int]:
    estimated = np.concatenate([whole.own.source, whole.added.source], axis=1) != Source.NONE
    labelled = int(estimated.any(axis=1).sum())
    empty = int(whole.left_empty.sum())
    n = len(whole.left_empty)
    return {"in_all": n, "labelled": labelled, "left_empty": empty, "not_predicted": n - labelled - empty}
