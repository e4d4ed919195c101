"""Learning from people whose truth is known how far a keypoint's evidence can be trusted.

Everything that is evaluated is evaluated on people the part in question did not see: folds keep the people of an image
together. N people, A keypoints, F features, M points (a person's keypoint with a truth).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotext.calibration.features import Evidence
from annotext.calibration.keypoint import ANY, LEVEL, KeypointCalibration, standardised
from annotext.evaluation.correctness import Criterion
from annotext.evaluation.ranking import group_folds

FOLDS = 5
# Of each keypoint.
MIN_POINTS, MIN_RIGHT = 100, 15
# Of those that share their weights. With fewer wrong points nobody can tell what they look like: then all points have
# the same score, the share that is right, and the same radius.
MIN_WRONG = 15
# Inverse strengths of the ridge, strongest first. The strongest that is as good as the best within one standard error
# is taken: what more freedom wins on these people is lost on others first.
STRENGTHS = (0.003, 0.01, 0.1, 1.0)
# Keypoints whose evidence is weighed alike: an eye is evaluated as a nose is. Each keeps its own intercept, curve,
# radius and thresholds.
GROUPS = (("nose", "left_eye", "right_eye", "left_ear", "right_ear"), ("upper_neck", "head_top"))
RADIUS_KNOTS = 20
# A 90 % quantile of fewer points is hardly known.
MIN_PER_KNOT = 50
THRESHOLDS = 200


@dataclass(frozen=True)
class Outcome:
    """Which of N people's points of A keypoints are right.

    error: (N, A) float64 distance to the truth in sizes, NaN where unknown. tolerance: (N, A) float64 largest error
    that is right, in sizes, NaN where it cannot be told. verdict: (N, A) float64, 1 where a reviewer decided that the
    point is right, 0 wrong, NaN where the error decides. Raises ValueError if the shapes differ.
    """

    error: NDArray[np.float64]
    tolerance: NDArray[np.float64]
    verdict: NDArray[np.float64]

    def __post_init__(self) -> None:
        if not self.error.shape == self.tolerance.shape == self.verdict.shape:
            raise ValueError(
                f"error {self.error.shape}, tolerance {self.tolerance.shape}, verdict {self.verdict.shape} differ"
            )

    @classmethod
    def of_errors(cls, error: NDArray[np.float64], tolerance: NDArray[np.float64]) -> Outcome:
        """Where no reviewer decided anything."""
        return cls(error, tolerance, np.full(error.shape, np.nan))

    @property
    def known(self) -> NDArray[np.bool_]:
        """(N, A) bool: there is a truth, and it can be told what is right."""
        return (np.isfinite(self.error) & np.isfinite(self.tolerance)) | np.isfinite(self.verdict)

    @property
    def right(self) -> NDArray[np.bool_]:
        """(N, A) bool: the point is right; False where that is not known."""
        return self.known & np.where(np.isfinite(self.verdict), self.verdict > 0, self.error <= self.tolerance)


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
    belong to. error: (M,) sizes, NaN where unknown. right: (M,). fold: (M,). weight: (M,), 1 on the mean, which keeps
    the ridge as strong as it was. target: (M,) bool, the people that thresholds are about.
    """

    values: NDArray[np.float64]
    row: NDArray[np.intp]
    column: NDArray[np.intp]
    keypoint: NDArray[np.intp]
    error: NDArray[np.float64]
    right: NDArray[np.bool_]
    fold: NDArray[np.intp]
    weight: NDArray[np.float64]
    target: NDArray[np.bool_]


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
    outcome: Outcome,
    images: NDArray[np.int64],
    *,
    criterion: Criterion,
    pooled: bool = False,
    groups: Sequence[Sequence[str]] = GROUPS,
    rng: np.random.Generator | None = None,
    weight: NDArray[np.float64] | None = None,
    target: NDArray[np.bool_] | None = None,
) -> Fitted:
    """Fit a calibration of every keypoint of `evidence` that has enough truth.

    outcome: of the same points, right by `criterion`; one without an error takes no part in the radius. images: (N,)
    people of one number stay in one fold. pooled: one calibration for all keypoints together, under the name `ANY`.
    groups: keypoints that share their weights; others stand alone. Chance (the folds) comes from `rng` (default: seed
    0). weight: (N,) how much a person's points count, above 0 (default: all alike). target: (N,) bool, the people that
    thresholds are to promise something about: where they have `MIN_POINTS` points of a keypoint only these are counted,
    else all (the default); each point once, whatever its weight. Raises ValueError if the shapes do not fit.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    shape = outcome.error.shape
    if evidence.values.shape[:2] != shape or images.shape != shape[:1]:
        raise ValueError(f"evidence {evidence.values.shape}, error {shape}, images {images.shape}")
    weight = np.ones(shape[0]) if weight is None else weight
    target = np.ones(shape[0], dtype=bool) if target is None else target
    fold = group_folds(images, FOLDS, rng)
    known = outcome.known & np.isfinite(evidence.values).any(axis=-1)
    right = known & outcome.right
    fitted = Fitted({}, {}, *(np.full(shape, np.nan) for _ in range(3)))
    parts = [list(range(shape[1]))] if pooled else _parts(evidence.keypoints, groups)
    for part in parts:
        kept = _with_enough([part] if pooled else [[c] for c in part], known, right, fold, evidence.keypoints, fitted)
        if not kept:
            continue
        row, place = np.nonzero(known[:, kept])
        column = np.array(kept)[place]
        values, features = _varying(evidence.values[row, column], evidence.names)
        points = _Points(
            values,
            row,
            column,
            keypoint=np.zeros_like(place) if pooled else place,
            error=outcome.error[row, column],
            right=right[row, column],
            fold=fold[row],
            weight=weight[row] / weight[row].mean(),
            target=target[row],
        )
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
        if points < MIN_POINTS or good < MIN_RIGHT:
            reason = (
                f"{points} points with a truth, {good} of them right; "
                f"{MIN_POINTS} are needed, {MIN_RIGHT} of them right"
            )
        elif len(np.unique(fold[known[:, columns].any(axis=1)])) < FOLDS:
            reason = f"its {points} points lie in too few images to be judged unseen"
        else:
            kept += columns
            continue
        fitted.skipped.update(dict.fromkeys((keypoints[column] for column in columns), reason))
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
        right, error, weight = points.right[mine], points.error[mine], points.weight[mine]
        score, reach = _out_of_fold(logit[mine], right, error, weight, points.fold[mine])
        fitted.score[place], fitted.radius[place] = score, reach
        curves = Curves.of(logit[mine], right, error, weight)
        counted = points.target[mine]
        if counted.sum() < MIN_POINTS:
            counted = np.ones_like(counted)
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
    folds = [points.fold == one for one in np.unique(points.fold)]
    logits, losses = [], []
    for strength in STRENGTHS:
        logit = np.zeros(len(points.right))
        for mine in folds:
            weights, intercept = _logistic(columns[~mine], points.right[~mine], strength, points.weight[~mine])
            logit[mine] = columns[mine] @ weights + intercept
        loss = np.logaddexp(0, np.where(points.right, -logit, logit))
        logits.append(logit)
        losses.append([float(np.average(loss[mine], weights=points.weight[mine])) for mine in folds])
    best = int(np.argmin(np.mean(losses, axis=1)))
    # Compared fold by fold: what differs between folds differs for both.
    apart = np.array(losses) - np.array(losses[best])
    sure = apart.std(axis=1, ddof=1) / np.sqrt(len(folds))
    chosen = int(np.flatnonzero(apart.mean(axis=1) <= sure)[0])
    return STRENGTHS[chosen], logits[chosen]


def _logistic(
    columns: NDArray[np.float64], right: NDArray[np.bool_], strength: float, weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Weights and intercept of a ridge logistic regression; none where all are right, or all wrong."""
    if right.all() or not right.any():
        return np.zeros(columns.shape[1]), float(np.log(right.sum() + 0.5) - np.log((~right).sum() + 0.5))
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=strength, max_iter=2000).fit(columns, right, sample_weight=weight)
    return model.coef_[0].astype(np.float64), float(model.intercept_[0])


@dataclass(frozen=True)
class Curves:
    """Scores from logits and radii from scores; the arrays are those of `KeypointCalibration` by these names."""

    isotonic_logit: NDArray[np.float64]
    isotonic_score: NDArray[np.float64]
    radius_score: NDArray[np.float64]
    radius: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        logit: NDArray[np.float64],
        right: NDArray[np.bool_],
        error: NDArray[np.float64],
        weight: NDArray[np.float64],
    ) -> Curves:
        """Fit both on (M,) logits, whether the point is right, its error in sizes (NaN where unknown), its weight."""
        x, y = isotonic(logit, right, weight)
        known = np.isfinite(error)
        return cls(x, y, *radius(np.interp(logit[known], x, y), error[known], weight[known]))

    def apply(self, logit: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(M,) scores and (M,) radii in sizes."""
        score = np.interp(logit, self.isotonic_logit, self.isotonic_score)
        return score, np.interp(score, self.radius_score, self.radius)


def _out_of_fold(
    logit: NDArray[np.float64],
    right: NDArray[np.bool_],
    error: NDArray[np.float64],
    weight: NDArray[np.float64],
    fold: NDArray[np.intp],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(M,) scores and radii of each fold by curves fitted on the others."""
    score, reach = np.full((2, len(logit)), np.nan)
    for one in np.unique(fold):
        mine = fold == one
        curves = Curves.of(logit[~mine], right[~mine], error[~mine], weight[~mine])
        score[mine], reach[mine] = curves.apply(logit[mine])
    return score, reach


def isotonic(
    logit: NDArray[np.float64], right: NDArray[np.bool_], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The knots of a rising curve from logit to share right: (B,) logits and (B,) scores, both strictly rising.

    scikit-learn's isotonic regression, each of its flat blocks reduced to its middle (mean logit) and joined by
    straight lines (centered isotonic regression, Oron and Flournoy 2017): that keeps the ranking inside the blocks. No
    block says never or always: scores stay 1 / (M + 2) off 0 and 1.
    """
    from sklearn.isotonic import IsotonicRegression

    edge = 1 / (len(logit) + 2)
    # The fit takes values that differ by rounding for one, their mean: the outermost must not be outside of its range.
    curve = IsotonicRegression(y_min=edge, y_max=1 - edge, out_of_bounds="clip")
    score, block = np.unique(curve.fit(logit, right, sample_weight=weight).predict(logit), return_inverse=True)
    return np.bincount(block, weights=weight * logit) / np.bincount(block, weights=weight), score


def radius(
    score: NDArray[np.float64], error: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The knots of a falling curve from score to the radius that holds `LEVEL` of the time: (R,) scores, (R,) sizes.

    In each of up to `RADIUS_KNOTS` bins of equally many points the split conformal quantile (Vovk et al. 2005; Lei et
    al. 2018), then made falling by isotonic regression.
    """
    from sklearn.isotonic import IsotonicRegression

    bins = int(np.clip(len(score) // MIN_PER_KNOT, 1, RADIUS_KNOTS))
    parts = np.array_split(np.argsort(score, kind="stable"), bins)
    middle = np.array([score[p].mean() for p in parts])
    reach = np.array([_conformal_quantile(error[p], weight[p]) for p in parts])
    # Bins of one score have means that differ by rounding; see `isotonic`.
    falling = IsotonicRegression(increasing=False, out_of_bounds="clip")
    falling.fit(middle, reach, sample_weight=[weight[p].sum() for p in parts])
    knots = np.unique(middle)
    return knots, np.minimum.accumulate(falling.predict(knots)).astype(np.float64)


def _conformal_quantile(error: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    """The smallest error that `LEVEL` of the weight does not exceed, another point of the heaviest weight being beyond
    them all (Tibshirani et al. 2019, with the weights of the fit): of n equal ones the ceil((n + 1) LEVEL)-th."""
    order = np.argsort(error, kind="stable")
    share = np.cumsum(weight[order]) / (weight.sum() + weight.max())
    return float(error[order][min(int(np.searchsorted(share, LEVEL)), len(error) - 1)])


def thresholds(
    score: NDArray[np.float64], right: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """How many points a minimal score keeps and how many of these are wrong, at up to `THRESHOLDS` scores."""
    levels, member = np.unique(-score, return_inverse=True)
    kept = np.cumsum(np.bincount(member))
    wrong = np.cumsum(np.bincount(member, weights=~right)).astype(np.int64)
    wanted = np.ceil(len(score) * np.arange(1, THRESHOLDS + 1) / THRESHOLDS)
    chosen = np.unique(np.searchsorted(kept, wanted))
    return -levels[chosen], kept[chosen].astype(np.int64), wrong[chosen]
