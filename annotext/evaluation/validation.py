"""Judges a student on the validation sets of its recipe, while it trains and at its end.

Given to `annotext.training.run.train`, which may not import workflows. The figures are those of `annotext evaluate`,
once over every keypoint of the set and once over those that all skeletons of the recipe share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from annotext.core.poses import Poses
from annotext.core.predictions import Predictions
from annotext.core.skeleton import Skeleton
from annotext.evaluation.average_precision import FIGURES
from annotext.evaluation.inputs import EvaluationInput
from annotext.evaluation.report import PCKH_THRESHOLDS, TORSO_THRESHOLD, evaluate

_SHARES = (*(f"pckh@{t}" for t in PCKH_THRESHOLDS), f"pck@{TORSO_THRESHOLD}")

# Which figure a recipe's metric is.
_METRIC = {"ap": ("oks", "AP"), "oks": ("oks", "mean"), "pckh": ("pckh@0.5", "mean"), "pck": ("pck@0.2", "mean")}


@dataclass(frozen=True)
class ValidationSet:
    """The people of one [[validation]].

    truth: who is judged against, and whoever COCO's evaluation ignores (crowds, people without labels). asked: of these
    whom the student is asked about. shared: the keypoints all skeletons of the recipe have in common; None where it has
    one skeleton only. annotations, sha256: the file, for reports.
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


@dataclass(frozen=True)
class SetEvaluation:
    """How a student does on one set. value: the set's metric in its own unit (AP and OKS 0-1, PCK and PCKh 0-100),
    None without anybody to judge; shared: the same on the shared keypoints. figures: as evaluation.json has them."""

    value: float | None
    shared: float | None
    figures: Mapping[str, Any]


def judge(people: ValidationSet, predictions: Predictions) -> SetEvaluation:
    """How the student whose `predictions` these are does on `people`."""
    found: dict[str, Any] = {
        "all": figures(people.truth, predictions, people.truth.skeleton.keypoints),
        "shared": None if people.shared is None else figures(people.truth, predictions, people.shared),
    }
    return SetEvaluation(
        value=metric_value(found["all"], people.metric),
        shared=metric_value(found["shared"], people.metric),
        figures=found,
    )


def figures(truth: Poses, predictions: Predictions, keypoints: Sequence[str]) -> dict[str, Any]:
    """One way of judging, as evaluation.json has it: over `keypoints` of the truth, those not predicted being wrong.

    For AP a point that is not predicted lies at (0, 0), as in COCO's result files; for PCK and PCKh it is out of reach.
    """
    judged = _under(truth.skeleton, EvaluationInput.of_predictions(predictions))
    report = evaluate(truth, judged, keypoints=keypoints).to_dict()
    counts, oks = report["people"], report["oks"]
    has_oks = counts["with_oks"] > 0
    per_keypoint = {k: f["pck@0.2"] for k, f in report["keypoints"].items()}
    shares = {
        **{f"pckh@{t}": report[f"pckh@{t}"] for t in PCKH_THRESHOLDS},
        f"pck@{TORSO_THRESHOLD}": report[f"pck@{TORSO_THRESHOLD}"] | per_keypoint,
    }
    return {
        "keypoints": list(keypoints),
        "missing": [k for k in keypoints if k not in predictions.skeleton.index],
        "people": counts["matched"] - counts["crowds"] - counts["without_labels"],
        "oks": {name: oks[name] for name in ("sigmas", "mean", *FIGURES)} if has_oks else None,
        **{name: None if shares[name]["mean"] is None else shares[name] for name in _SHARES},
    }


def _under(skeleton: Skeleton, judged: EvaluationInput) -> EvaluationInput:
    """The same points under `skeleton`; what it has and they lack is NaN: not given."""
    n, both = len(judged.ids), skeleton.shared_with(judged.skeleton)
    there, here = skeleton.indices(both), judged.skeleton.indices(both)
    xy, score = np.full((n, len(skeleton), 2), np.nan), np.zeros((n, len(skeleton)))
    xy[:, there], score[:, there] = judged.xy[:, here], judged.score[:, here]
    return replace(judged, skeleton=skeleton, xy=xy, score=score)


def metric_value(found: Mapping[str, Any] | None, metric: str) -> float | None:
    """A recipe's metric among `figures`, in its own unit; None where there is nothing to say."""
    kind, name = _METRIC[metric]
    return found[kind][name] if found and found[kind] else None
