"""Evaluates a student on the validation sets of its recipe, while it trains and at its end.

The figures are those of `annotext evaluate`, once over every keypoint of the set and once over those that all skeletons
of the recipe share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from annotext.core.poses import Poses
from annotext.core.predictions import Predictions
from annotext.core.skeleton import Skeleton
from annotext.evaluation.files import OKS_FIGURES, SHARES, EvaluatedSet, Figures
from annotext.evaluation.inputs import EvaluationInput
from annotext.evaluation.report import evaluate


@dataclass(frozen=True)
class Metric:
    """A recipe's metric. label: as people call it. best: its best value (values divided by it are what means over sets
    are made of). form: how its value is printed. kind, name: which of the `Figures` it is."""

    label: str
    best: float
    form: str
    kind: str
    name: str

    def value(self, figures: Figures | None) -> float | None:
        """The metric in its own unit (AP and OKS 0-1, PCK and PCKh 0-100); None where nobody can be evaluated."""
        if figures is None:
            return None
        values = figures.oks if self.kind == "oks" else figures.shares[self.kind]
        return None if values is None else values[self.name]

    def text(self, value: float | None) -> str:
        """`AP 0.431`."""
        return f"{self.label} {'-' if value is None else format(value, self.form)}"


METRICS = {
    "ap": Metric("AP", 1.0, ".3f", "oks", "AP"),
    "oks": Metric("OKS", 1.0, ".3f", "oks", "mean"),
    "pckh": Metric("PCKh@0.5", 100.0, ".1f", "pckh@0.5", "mean"),
    "pck": Metric("PCK@0.2", 100.0, ".1f", "pck@0.2", "mean"),
}


@dataclass(frozen=True)
class ValidationSet:
    """The people of one [[validation]].

    truth: the people with labels, and whoever COCO's evaluation ignores (crowds, people without labels). asked: of
    these, whom the student predicts. shared: the keypoints all skeletons of the recipe have in common; None where it
    has one skeleton only. annotations, sha256: the file, for reports.
    """

    name: str
    skeleton: str
    metric: str
    truth: Poses
    asked: Poses
    images: Path
    shared: tuple[str, ...] | None
    annotations: str
    sha256: str

    def describe(self) -> dict[str, Any]:
        """For data.json."""
        return {
            "name": self.name,
            "skeleton": self.skeleton,
            "annotations": self.annotations,
            "sha256": self.sha256,
            "images": str(self.images),
            "people": len(self.asked),
            "metric": self.metric,
        }


def evaluate_set(people: ValidationSet, predictions: Predictions) -> EvaluatedSet:
    """How the student whose `predictions` these are does on `people`."""
    every = figures(people.truth, predictions, people.truth.skeleton.keypoints)
    return EvaluatedSet(
        name=people.name,
        skeleton=people.skeleton,
        annotations=people.annotations,
        sha256=people.sha256,
        people=len(people.asked),
        metric=people.metric,
        value=METRICS[people.metric].value(every),
        all=every,
        shared=None if people.shared is None else figures(people.truth, predictions, people.shared),
    )


def figures(truth: Poses, predictions: Predictions, keypoints: Sequence[str]) -> Figures:
    """The figures over `keypoints` of the truth, those not predicted being wrong.

    For AP a point that is not predicted lies at (0, 0), as in COCO's result files; for PCK and PCKh it is out of reach.
    """
    given = _under(truth.skeleton, EvaluationInput.of_predictions(predictions))
    report = evaluate(truth, given, keypoints=keypoints).to_dict()
    counts, oks = report["people"], report["oks"]
    has_oks = counts["with_oks"] > 0
    shares = {name: report[name] for name in SHARES}
    shares["pck@0.2"] = shares["pck@0.2"] | {k: f["pck@0.2"] for k, f in report["keypoints"].items()}
    return Figures(
        keypoints=tuple(keypoints),
        missing=tuple(k for k in keypoints if k not in predictions.skeleton.index),
        people=counts["matched"] - counts["crowds"] - counts["without_labels"],
        sigmas=oks["sigmas"] if has_oks else "",
        oks={name: oks[name] for name in OKS_FIGURES} if has_oks else None,
        shares={name: None if share["mean"] is None else share for name, share in shares.items()},
    )


def _under(skeleton: Skeleton, given: EvaluationInput) -> EvaluationInput:
    """The same points under `skeleton`; what it has and they lack is NaN: not given."""
    n, both = len(given.ids), skeleton.shared_with(given.skeleton)
    there, here = skeleton.indices(both), given.skeleton.indices(both)
    xy, score = np.full((n, len(skeleton), 2), np.nan), np.zeros((n, len(skeleton)))
    xy[:, there], score[:, there] = given.xy[:, here], given.score[:, here]
    return replace(given, skeleton=skeleton, xy=xy, score=score)
