"""How good keypoints are against a truth: OKS with AP and AR, PCKh, and PCK and mean error per keypoint.

What each number means, and what is pooled over whom, is written in docs/evaluate.md.
M people matched between truth and judged, K keypoints that both have.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.additions import Source
from annotext.core.anatomy import POOLED_JOINTS
from annotext.core.errors import AnnotextError, Problem
from annotext.core.poses import Poses
from annotext.evaluation.average_precision import FIGURES, average_precision
from annotext.evaluation.inputs import WITHHELD, EvaluationInput
from annotext.evaluation.oks import SIGMA_SETS, SigmaSet, oks
from annotext.evaluation.pck import distances, share_within, torso_size

if TYPE_CHECKING:
    import pandas as pd

# PCKh as MPII publishes it, and the stricter one of the paper.
PCKH_THRESHOLDS = (0.5, 0.1)
TORSO_THRESHOLD = 0.2
_SOURCES = (*(s.value for s in Source if s is not Source.NONE), WITHHELD)


@dataclass(frozen=True)
class KeypointFigures:
    """One keypoint, over the matched people whose truth has it labelled.

    n: how many. missing: how many of them have no predicted point (wrong for PCK, not in the mean error).
    mean_error_px: image pixels. pck: percent within 0.2 torso, of those whose truth has a torso.
    """

    n: int
    missing: int
    mean_error_px: float
    pck: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "missing": self.missing,
            "mean_error_px": _plain(self.mean_error_px),
            "pck@0.2": _plain(self.pck),
        }


@dataclass(frozen=True)
class EvaluationReport:
    """What `annotext evaluate` found: percent from 0 to 100, OKS and AP from 0 to 1, NaN or None without data.

    pck_mean: PCK@0.2 pooled over all points compared.
    """

    truth: str
    judged: str
    people: dict[str, int]
    sigma_set: SigmaSet
    oks_mean: float
    average_precision: dict[str, float | None]
    pckh: dict[float, dict[str, float]]
    pck_mean: float
    keypoints: dict[str, KeypointFigures]
    added: dict[str, dict[str, KeypointFigures]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    skipped: tuple[Problem, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; null where there is nothing to say."""
        report: dict[str, Any] = {
            "truth": self.truth,
            "predictions": self.judged,
            "people": self.people,
            "oks": {
                "sigmas": self.sigma_set.name,
                **{name: _plain(value) for name, value in self.average_precision.items()},
                "mean": _plain(self.oks_mean),
                "people": self.people["with_oks"],
            },
        }
        for threshold, figures in self.pckh.items():
            report[f"pckh@{threshold}"] = {name: _plain(value) for name, value in figures.items()}
        report[f"pck@{TORSO_THRESHOLD}"] = {"mean": _plain(self.pck_mean)}
        report["keypoints"] = {name: figures.to_dict() for name, figures in self.keypoints.items()}
        if self.added:
            report["added"] = {
                name: {source: figures.to_dict() for source, figures in sources.items()}
                for name, sources in self.added.items()
            }
        report["notes"] = list(self.notes)
        report["skipped"] = [p.to_dict() for p in self.skipped]
        return report

    def to_frame(self) -> pd.DataFrame:
        """One row per keypoint: keypoint, n, missing, mean_error_px, pck (%) and pckh@THRESHOLD (%), NaN where nothing
        was compared."""
        import pandas as pd

        return pd.DataFrame(
            {
                "keypoint": name,
                "n": figures.n,
                "missing": figures.missing,
                "mean_error_px": figures.mean_error_px,
                f"pck@{TORSO_THRESHOLD}": figures.pck,
                **{f"pckh@{threshold}": values[name] for threshold, values in self.pckh.items()},
            }
            for name, figures in self.keypoints.items()
        )


def evaluate(
    truth: Poses,
    judged: EvaluationInput,
    *,
    truth_name: str = "truth",
    sigmas: str | None = None,
    keypoints: Sequence[str] | None = None,
) -> EvaluationReport:
    """Hold `judged` against `truth`; people are matched by id and image file name, keypoints by name.

    sigmas: a name of `SIGMA_SETS`; default the truth's own. keypoints: compare only these; default all that both
    have. Raises AnnotextError for an unknown name, or when nobody or nothing can be compared.
    """
    names = _compared(truth, judged, keypoints)
    sigma_set = _sigma_set(truth, sigmas, names)
    sigma = sigma_set.array(names)
    row, xy, score = _aligned(truth, judged, names)
    people = np.flatnonzero(row >= 0)
    if not len(people):
        raise AnnotextError(
            f"{judged.name} and {truth_name} have no person in common\n"
            "  hint: people are matched by annotation id (MPII: order) and image file name"
        )
    # What truth and judged both have, in `names` order; the torso comes from the whole truth.
    columns = truth.skeleton.indices(names)
    shared = truth.to(truth.skeleton.subset(names))
    usable = people[~truth.crowd[people]]
    true_xy = truth.xy[np.ix_(usable, columns)]
    distance = distances(true_xy, xy[usable])
    torso, head = torso_size(truth)[usable], truth.head_size[usable]

    similarity = oks(true_xy, xy[usable], truth.area[usable], sigma)
    known = np.isfinite(similarity)
    precision: dict[str, float | None] = dict.fromkeys(FIGURES)
    if known.any():
        # Ranked by the mean score of the points given.
        given = np.isfinite(xy).all(axis=-1)
        rank = np.where(given, score, 0.0).sum(axis=1) / np.maximum(given.sum(axis=1), 1)
        precision = average_precision(shared, xy, rank, sigma)
    pooled = [i for i, k in enumerate(names) if k in POOLED_JOINTS]
    pckh: dict[float, dict[str, float]] = {}
    for threshold in PCKH_THRESHOLDS:
        share = share_within(distance, head, threshold)
        pckh[threshold] = {
            "mean": share.pooled_percent(pooled),
            **dict(zip(names, share.percent().tolist(), strict=True)),
        }
    labelled_people = np.isfinite(distance) | np.isinf(distance)
    counts = {
        "truth": len(truth),
        "predictions": len(judged.ids),
        "matched": len(people),
        "only_in_truth": len(truth) - len(people),
        "only_in_predictions": len(judged.ids) - len(people),
        "crowds": int(truth.crowd[people].sum()),
        "without_labels": int((~labelled_people.any(axis=1)).sum()),
        "with_oks": int(known.sum()),
        "with_head_size": int(np.isfinite(head).sum()),
        "with_torso": int(np.isfinite(torso).sum()),
    }
    return EvaluationReport(
        truth=truth_name,
        judged=judged.name,
        people=counts,
        sigma_set=sigma_set,
        oks_mean=float(similarity[known].mean()) if known.any() else math.nan,
        average_precision=precision,
        pckh=pckh,
        pck_mean=share_within(distance, torso, TORSO_THRESHOLD).pooled_percent(range(len(names))),
        keypoints=_per_keypoint(names, distance, torso),
        added=_added_by_source(truth, judged, names, usable, row[usable], torso),
        notes=_notes(counts, len(usable)),
    )


def _compared(truth: Poses, judged: EvaluationInput, keypoints: Sequence[str] | None) -> tuple[str, ...]:
    """The names both have, in the truth's order, narrowed to `keypoints`."""
    both = truth.skeleton.shared_with(judged.skeleton)
    unknown = [k for k in keypoints or () if k not in both]
    if unknown:
        raise AnnotextError(
            f"cannot compare {', '.join(unknown)}: truth ({truth.skeleton.name}) and {judged.name} share "
            f"{', '.join(both) or 'no keypoint'}"
        )
    if keypoints is not None:
        both = tuple(k for k in both if k in keypoints)
    if not both:
        raise AnnotextError(
            f"truth ({truth.skeleton.name}) and {judged.name} ({judged.skeleton.name}) share no keypoint"
        )
    return both


def _sigma_set(truth: Poses, name: str | None, keypoints: Iterable[str]) -> SigmaSet:
    if name is None:
        return SigmaSet.of(truth.skeleton)
    if name not in SIGMA_SETS:
        raise AnnotextError(f"unknown sigma set {name}; there are {', '.join(SIGMA_SETS)}")
    lacking = [k for k in keypoints if k not in SIGMA_SETS[name].sigmas]
    if lacking:
        raise AnnotextError(f"sigma set {name} has no value for {', '.join(lacking)}")
    return SIGMA_SETS[name]


def _aligned(
    truth: Poses, judged: EvaluationInput, names: tuple[str, ...]
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """For each of the truth's N people: the judged row or -1, its (N, K, 2) points, NaN where none, (N, K) scores."""
    rows = {key: i for i, key in enumerate(zip(judged.ids.tolist(), judged.file_names, strict=True))}
    row = np.array(
        [rows.get(key, -1) for key in zip(truth.ids.tolist(), truth.file_names(), strict=True)], dtype=np.intp
    )
    columns = judged.skeleton.indices(names)
    found = row >= 0
    xy = np.full((len(truth), len(names), 2), np.nan)
    score = np.zeros((len(truth), len(names)))
    xy[found] = judged.xy[np.ix_(row[found], columns)]
    score[found] = judged.score[np.ix_(row[found], columns)]
    return row, xy, score


def _per_keypoint(
    names: Sequence[str], distance: NDArray[np.float64], torso: NDArray[np.float64]
) -> dict[str, KeypointFigures]:
    pck = share_within(distance, torso, TORSO_THRESHOLD).percent()
    figures = {}
    for column, name in enumerate(names):
        given = distance[np.isfinite(distance[:, column]), column]
        missing = int(np.isinf(distance[:, column]).sum())
        figures[name] = KeypointFigures(
            n=len(given) + missing,
            missing=missing,
            mean_error_px=float(given.mean()) if len(given) else math.nan,
            pck=float(pck[column]),
        )
    return figures


def _added_by_source(
    truth: Poses,
    judged: EvaluationInput,
    names: Sequence[str],
    people: NDArray[np.intp],
    row: NDArray[np.intp],
    torso: NDArray[np.float64],
) -> dict[str, dict[str, KeypointFigures]]:
    """Per added keypoint and source the points that have an estimate; withheld ones by themselves."""
    if judged.candidate is None or judged.source is None:
        return {}
    found: dict[str, dict[str, KeypointFigures]] = {}
    for column, name in enumerate(judged.added):
        if name not in names:
            continue
        true_xy = truth.xy[people, truth.skeleton.index[name]]
        distance = distances(true_xy, judged.candidate[row, column])
        source = judged.source[row, column]
        found[name] = {}
        for kind in _SOURCES:
            here = source == kind
            if here.any():
                only = np.where(here, distance, np.nan)[:, None]
                found[name][kind] = _per_keypoint([name], only, torso)[name]
    return found


def _notes(counts: dict[str, int], judged_people: int) -> tuple[str, ...]:
    """What a reader must know to read the figures."""
    notes = []
    if counts["only_in_truth"]:
        notes.append(
            f"{counts['only_in_truth']} people of the truth have no prediction: missed in AP and AR, left out elsewhere"
        )
    if counts["only_in_predictions"]:
        notes.append(f"{counts['only_in_predictions']} people are not in the truth: left out")
    if not counts["with_oks"]:
        notes.append("no OKS: the truth has no areas (MPII files have none)")
    elif counts["with_oks"] < judged_people - counts["without_labels"]:
        notes.append(f"OKS over the {counts['with_oks']} people whose area is known")
    if not counts["with_head_size"]:
        notes.append("no PCKh: the truth has no head boxes (--head-sizes takes MPII's official .mat)")
    elif counts["with_head_size"] < judged_people:
        notes.append(f"PCKh over the {counts['with_head_size']} people whose head size is known")
    if counts["with_torso"] < judged_people:
        notes.append(f"PCK@0.2 over the {counts['with_torso']} people whose shoulders and hips are labelled")
    return tuple(notes)


def _plain(value: float | None) -> float | None:
    """For JSON: null for what could not be computed; six decimals, for nobody reads more."""
    return None if value is None or math.isnan(value) else round(value, 6)
