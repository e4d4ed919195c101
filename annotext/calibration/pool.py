"""What one truth taught, fitted anew together with what reviewers said about people of another file.

Labels of another data set are many and of other people; decisions from review are few and of the people that the
calibration is for. The expectation and the anchor stay those of the labels: what a reviewer confirmed lies where the
predictor put it, and would teach an anchor to leave things as they are.

N people, A keypoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from annotext.calibration.features import Evidence, evidence
from annotext.calibration.fit import fit_calibration
from annotext.calibration.learn import Learned, only
from annotext.calibration.model import Truth, point_context
from annotext.calibration.reviewed import Reviewed
from annotext.core.poses import Poses
from annotext.core.predictions import Predictions
from annotext.evaluation.correctness import tolerance

# Decisions on a keypoint from which on they are heard. 30 people of the synthetic domain gap halved the error of the
# face's scores there; fewer were not tried.
MIN_DECISIONS = 30
# Decisions weigh together as much as the labels, but none more than so many labels: of 100 people, 3 times brought the
# face's ECE abroad from .162 to .087, 10 times to .067, 30 times to .062, and a radius that held .96 for .9.
MOST = 10.0


@dataclass(frozen=True)
class ReviewedPeople:
    """poses: N people, with the labels that may be looked at. predictions: as `learn` takes them, of the same people.
    reviewed: of A keypoints. truth: where they come from."""

    poses: Poses
    predictions: Sequence[Predictions]
    reviewed: Reviewed
    truth: Truth


def pooled(
    learned: Learned, people: Sequence[ReviewedPeople], *, rng: np.random.Generator | None = None
) -> tuple[Learned, NDArray[np.intp]]:
    """`learned` with the rows of reviewed people behind its own and a calibration fitted on all of them, and (N,) whose
    a row is: 0 its own, i + 1 of `people[i]`.

    Chance (folds) comes from `rng` (default: seed 0). Raises ValueError without anybody.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    parts = [learned, *(_seen(learned, one) for one in people)]
    member = np.repeat(np.arange(len(parts)), [len(part.size) for part in parts])
    arrays = ("raw", "xy", "size", "raw_error", "error", "tolerance", "raw_said", "said", "raw_score")
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in arrays}
    # People of different files share no image.
    first = np.cumsum([0, *(int(part.image_index.max(initial=-1)) + 1 for part in parts)])
    images = np.concatenate([part.image_index + start for part, start in zip(parts, first, strict=False)])
    own, others = int(parts[0].known.sum()), sum(int(part.known.sum()) for part in parts[1:])
    weight = np.where(member == 0, 1.0, np.clip(own / max(others, 1), 1.0, MOST))
    found = _joined([part.evidence for part in parts])
    fitted = fit_calibration(
        found,
        joined["error"],
        joined["tolerance"],
        images,
        criterion=learned.criterion,
        rng=rng,
        said=joined["said"],
        weight=weight,
        home=member > 0,
    )
    raw_evidence = _joined([part.raw_evidence for part in parts])
    whole = replace(learned, fitted=fitted, evidence=found, raw_evidence=raw_evidence, image_index=images, **joined)
    return whole, member


def _seen(learned: Learned, people: ReviewedPeople) -> Learned:
    """The reviewed people's rows, seen by the models of `learned`, which never saw them."""
    poses, keypoints = people.poses, learned.keypoints
    blind = only(poses, learned.inputs)
    seen = point_context(learned.part(people.truth), blind, people.predictions, keypoints)
    size = np.where(seen.frame.size > 0, seen.frame.size, np.nan)
    own = people.predictions[0]
    sigmas = np.array([own.skeleton.sigmas[k] for k in keypoints])
    limit = tolerance(learned.criterion, sigmas, area=poses.area, head_size=poses.head_size, size=size) / size[:, None]
    reviewed = people.reviewed.only(keypoints)
    error, said = reviewed.judge(seen.xy, limit, size)
    raw_error, raw_said = reviewed.judge(seen.raw, limit, size)
    unknown = np.full_like(seen.xy, np.nan)
    nothing = np.full(error.shape, np.nan)
    return replace(
        learned,
        fitted=replace(learned.fitted, logit=nothing, score=nothing, radius=nothing),
        evidence=seen.evidence,
        raw_evidence=evidence(blind, people.predictions, seen.raw, unknown, seen.frame, learned.inputs, keypoints),
        raw=seen.raw,
        xy=seen.xy,
        size=size,
        raw_error=raw_error,
        error=error,
        tolerance=limit,
        raw_said=raw_said,
        said=said,
        raw_score=own.score[:, own.skeleton.indices(keypoints)].astype(np.float64),
        image_index=poses.image_index,
    )


def _joined(parts: Sequence[Evidence]) -> Evidence:
    """One below the other; a feature that only some know is not known of the others."""
    names = tuple(dict.fromkeys(name for part in parts for name in part.names))
    keypoints = parts[0].keypoints
    values = [np.stack([part.of(k, names) for k in keypoints], axis=1) for part in parts]
    return Evidence(keypoints, names, np.concatenate(values))
