"""Learning from people whose truth is known how far a keypoint's evidence can be trusted.

Everything that is judged is judged on people the part in question did not see: folds keep the people of an image
together. N people, A keypoints, F features, M points (a person's keypoint with a truth).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from annotext.calibration.curves import Curves, out_of_fold, thresholds
from annotext.calibration.features import Evidence
from annotext.calibration.keypoint import ANY, KeypointCalibration, standardised
from annotext.evaluation.correctness import Criterion

FOLDS = 5
# Of each keypoint.
MIN_POINTS, MIN_RIGHT = 100, 15
# Of those that share their weights. With fewer wrong points nobody can tell what they look like: then all points have
# the same score, the share that is right, and the same radius.
MIN_WRONG = 15
# Inverse strengths of the ridge, strongest first. The strongest that is as good as the best within one standard error
# is taken: what more freedom wins on these people is lost on others first.
STRENGTHS = (0.003, 0.01, 0.1, 1.0)
# Keypoints whose evidence is weighed alike: an eye is judged as a nose is. Each keeps its own intercept, curve, radius
# and thresholds.
GROUPS = (("nose", "left_eye", "right_eye", "left_ear", "right_ear"), ("upper_neck", "head_top"))


@dataclass(frozen=True)
class Fitted:
    """Calibrations, and what they say about the people they were fitted on without having seen them.

    calibration: by keypoint. skipped: by keypoint, why it has none.
    logit, score, radius: (N, A) float64, out of fold; radius in sizes; NaN where there is no truth or no calibration.
    """

    calibration: dict[str, KeypointCalibration]
    skipped: dict[str, str]
    logit: NDArray[np.float64]
    score: NDArray[np.float64]
    radius: NDArray[np.float64]


@dataclass(frozen=True)
class _Points:
    """M points whose evidence is weighed alike.

    values: (M, F). row, column: (M,) where they stand in (N, A). keypoint: (M,) which calibration of the group they
    belong to. error: (M,) sizes, NaN where nobody knows it. right: (M,). fold: (M,). weight: (M,), 1 on the
    mean, which keeps the ridge as strong as it was; None: all alike. home: (M,) whom thresholds are about.
    """

    values: NDArray[np.float64]
    row: NDArray[np.intp]
    column: NDArray[np.intp]
    keypoint: NDArray[np.intp]
    error: NDArray[np.float64]
    right: NDArray[np.bool_]
    fold: NDArray[np.intp]
    weight: NDArray[np.float64] | None = None
    home: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class _Design:
    """What the regression sees: F standardised features, which of G features are unknown, which keypoint it is.

    columns: (M, F + G + keypoints). mean, scale: (F,). gaps: (G,) positions among the features.
    """

    columns: NDArray[np.float64]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    gaps: NDArray[np.intp]

    @classmethod
    def of(cls, points: _Points) -> _Design:
        mean, scale = np.nanmean(points.values, axis=0), np.nanstd(points.values, axis=0)
        missing = np.isnan(points.values)
        gaps = np.flatnonzero(missing.any(axis=0))
        keypoint = np.eye(int(points.keypoint.max()) + 1)[points.keypoint]
        plain = standardised(points.values, mean, scale)
        return cls(np.concatenate([plain, missing[:, gaps], keypoint], axis=1), mean, scale, gaps)


def fit_calibration(
    evidence: Evidence,
    error: NDArray[np.float64],
    tolerance: NDArray[np.float64],
    images: NDArray[np.int64],
    *,
    criterion: Criterion,
    pooled: bool = False,
    groups: Sequence[Sequence[str]] = GROUPS,
    rng: np.random.Generator | None = None,
    said: NDArray[np.float64] | None = None,
    weight: NDArray[np.float64] | None = None,
    home: NDArray[np.bool_] | None = None,
) -> Fitted:
    """Fit a calibration of every keypoint of `evidence` that has enough truth.

    error: (N, A) distance to the truth in sizes, NaN where there is none. tolerance: (N, A) largest error that is
    right, in sizes, by `criterion`; NaN where it cannot be told. images: (N,) people of one number stay in one fold.
    pooled: one calibration for all keypoints together, under the name `ANY`. groups: keypoints that share their
    weights; others stand alone. Chance (the folds) comes from `rng` (default: seed 0).
    said: (N, A) 1 where somebody said that the point is right, 0 wrong, NaN where the error decides; None: everywhere.
    Such a point needs no error, and takes no part in the radius without one. weight: (N,) how much a person's points
    count, above 0; None: all alike. home: (N,) bool, the people that thresholds are to promise something about: where
    they have `MIN_POINTS` points of a keypoint only these are counted, else all; each point once, whatever it weighs.
    Raises ValueError if the shapes do not fit.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    shape = error.shape
    if evidence.values.shape[:2] != shape or tolerance.shape != shape or images.shape != shape[:1]:
        raise ValueError(
            f"evidence {evidence.values.shape}, error {shape}, tolerance {tolerance.shape}, images {images.shape}"
        )
    _, image = np.unique(images, return_inverse=True)
    fold = (rng.permutation(int(image.max(initial=-1)) + 1) % FOLDS)[image]
    measured = np.isfinite(error) & np.isfinite(tolerance)
    known = (measured if said is None else measured | np.isfinite(said)) & np.isfinite(evidence.values).any(axis=-1)
    right = known & (error <= tolerance if said is None else np.where(np.isfinite(said), said > 0, error <= tolerance))
    fitted = Fitted({}, {}, *(np.full(shape, np.nan) for _ in range(3)))
    parts = [list(range(shape[1]))] if pooled else _parts(evidence.keypoints, groups)
    for part in parts:
        kept = _with_enough([part] if pooled else [[c] for c in part], known, right, fold, evidence.keypoints, fitted)
        if not kept:
            continue
        row, place = np.nonzero(known[:, kept])
        column = np.array(kept)[place]
        values, features = _varying(evidence.values[row, column], evidence.names)
        keypoint = np.zeros_like(place) if pooled else place
        points = _Points(values, row, column, keypoint, error[row, column], right[row, column], fold[row])
        if weight is not None:
            points = replace(points, weight=weight[row] / weight[row].mean())
        if home is not None:
            points = replace(points, home=home[row])
        names = [ANY] if pooled else [evidence.keypoints[c] for c in kept]
        _fit_part(points, features, names, criterion, fitted)
    return fitted


def _parts(keypoints: Sequence[str], groups: Sequence[Sequence[str]]) -> list[list[int]]:
    """Columns of `keypoints` whose weights are shared."""
    together = [[c for c, k in enumerate(keypoints) if k in group] for group in groups]
    alone = [[c] for c, k in enumerate(keypoints) if not any(k in group for group in groups)]
    return [p for p in together if p] + alone


def _with_enough(
    candidates: list[list[int]],
    known: NDArray[np.bool_],
    right: NDArray[np.bool_],
    fold: NDArray[np.intp],
    keypoints: Sequence[str],
    fitted: Fitted,
) -> list[int]:
    """Of candidates (one or more columns that make one calibration), the columns with enough truth; else why not."""
    kept: list[int] = []
    for columns in candidates:
        points, good = int(known[:, columns].sum()), int(right[:, columns].sum())
        spread = len(np.unique(fold[known[:, columns].any(axis=1)]))
        if points >= MIN_POINTS and good >= MIN_RIGHT and spread == FOLDS:
            kept += columns
            continue
        for column in columns:
            if points >= MIN_POINTS and good >= MIN_RIGHT:
                fitted.skipped[keypoints[column]] = f"its {points} points lie in too few images to be judged unseen"
                continue
            fitted.skipped[keypoints[column]] = (
                f"{points} points with a truth, {good} of them right; "
                f"{MIN_POINTS} are needed, {MIN_RIGHT} of them right"
            )
    return kept


def _fit_part(
    points: _Points, features: tuple[str, ...], names: Sequence[str], criterion: Criterion, fitted: Fitted
) -> None:
    """Fit the calibrations `names`, whose weights are shared, into `fitted`."""
    design = _Design.of(points)
    if int((~points.right).sum()) < MIN_WRONG:
        logit, weights, intercept = np.zeros(len(points.right)), np.zeros(design.columns.shape[1]), 0.0
    else:
        strength, logit = _cross_fitted(design.columns, points)
        weights, intercept = _logistic(design.columns, points.right, strength, points.weight)
    f, g = len(features), len(design.gaps)
    unknown = np.zeros(f)
    unknown[design.gaps] = weights[f : f + g]
    fitted.logit[points.row, points.column] = logit
    for i, name in enumerate(names):
        mine = points.keypoint == i
        place = points.row[mine], points.column[mine]
        right, error = points.right[mine], points.error[mine]
        weight = None if points.weight is None else points.weight[mine]
        score, reach = out_of_fold(logit[mine], right, error, points.fold[mine], weight)
        fitted.score[place], fitted.radius[place] = score, reach
        curves = Curves.of(logit[mine], right, error, weight)
        counted = np.ones(len(right), dtype=bool) if points.home is None else points.home[mine]
        if counted.sum() < MIN_POINTS:
            counted = np.ones(len(right), dtype=bool)
        least, kept, wrong = thresholds(score[counted], right[counted])
        fitted.calibration[name] = KeypointCalibration(
            keypoint=name,
            criterion=criterion,
            points=len(right),
            wrong=int((~right).sum()),
            features=features,
            mean=design.mean,
            scale=design.scale,
            weights=weights[:f],
            unknown=unknown,
            intercept=float(intercept + weights[f + g + i]),
            isotonic_logit=curves.isotonic_logit,
            isotonic_score=curves.isotonic_score,
            radius_score=curves.radius_score,
            radius=curves.radius,
            threshold_score=least,
            threshold_kept=kept,
            threshold_wrong=wrong,
        )


def _varying(values: NDArray[np.float64], names: tuple[str, ...]) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """The features of (M, F) values that are known somewhere and not the same everywhere, and their names."""
    known = np.isfinite(values)
    low = np.where(known, values, np.inf).min(axis=0)
    high = np.where(known, values, -np.inf).max(axis=0)
    varying = high - low > 1e-9
    return values[:, varying], tuple(n for n, v in zip(names, varying, strict=True) if v)


def _cross_fitted(columns: NDArray[np.float64], points: _Points) -> tuple[float, NDArray[np.float64]]:
    """The strength of the ridge, and (M,) logits of each point by a regression that did not see its fold."""
    folds = np.unique(points.fold)
    logits, losses = [], []
    for strength in STRENGTHS:
        logit = np.zeros(len(points.right))
        for one in folds:
            mine = points.fold == one
            others = None if points.weight is None else points.weight[~mine]
            weights, intercept = _logistic(columns[~mine], points.right[~mine], strength, others)
            logit[mine] = columns[mine] @ weights + intercept
        loss = np.logaddexp(0, np.where(points.right, -logit, logit))
        logits.append(logit)
        losses.append([_mean(loss, points.fold == one, points.weight) for one in folds])
    mean = np.mean(losses, axis=1)
    best = int(np.argmin(mean))
    # Compared fold by fold: what differs between folds differs for both.
    apart = np.array(losses) - np.array(losses[best])
    sure = apart.std(axis=1, ddof=1) / np.sqrt(len(folds))
    chosen = int(np.flatnonzero(apart.mean(axis=1) <= sure)[0])
    return STRENGTHS[chosen], logits[chosen]


def _mean(values: NDArray[np.float64], there: NDArray[np.bool_], weight: NDArray[np.float64] | None) -> float:
    """Of the (M,) values that are there, by (M,) weight."""
    return float(np.average(values[there], weights=None if weight is None else weight[there]))


def _logistic(
    columns: NDArray[np.float64],
    right: NDArray[np.bool_],
    strength: float,
    weight: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], float]:
    """Weights and intercept of a ridge logistic regression; none where all are right, or all wrong."""
    if right.all() or not right.any():
        return np.zeros(columns.shape[1]), float(np.log(right.sum() + 0.5) - np.log((~right).sum() + 0.5))
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=strength, max_iter=2000).fit(columns, right, sample_weight=weight)
    return model.coef_[0].astype(np.float64), float(model.intercept_[0])
