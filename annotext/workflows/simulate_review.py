"""What a queue gains: an oracle reviewer who knows the truth answers it, and the errors that are left are counted."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.anatomy import SHARED
from annotext.core.errors import AnnotextError, InputError, Problem
from annotext.core.frame import columns
from annotext.core.poses import Poses
from annotext.evaluation.ranking import Interval
from annotext.formats.annotations.read import read_annotations
from annotext.formats.files.outputs import check_output, check_outputs, writing
from annotext.render.plots import Curve, review_plot
from annotext.review.decisions.correction import Correction, Point, Verdict
from annotext.review.decisions.files import correction_line
from annotext.review.decisions.gain import TrueErrors, best_order, removed
from annotext.review.decisions.queue import ReviewValue, Strategy, sizes
from annotext.workflows.review_queue import OpenReview, open_review, tolerances

# Shares of the added points after which the residual is noted.
BUDGETS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
# The share of the headline: what somebody with little time looks at.
SHARE = 0.1
# Random orders whose mean is what a strategy is compared with.
SEEDS = 20
# Redrawings of the images for the intervals.
ROUNDS = 500
REVIEWER = "oracle"


@dataclass(frozen=True)
class Outcome:
    """How one strategy fared. Shares are in [0, 1]; intervals are 95 %, from redrawing images.

    removed: of the error mass at `share` of the points. wrong_removed: of the wrong points. times_random: `removed`
    over that of random orders. residual, wrong: of error mass and wrong points that are left, at the report's budgets.
    """

    strategy: str
    removed: Interval
    wrong_removed: Interval
    times_random: Interval
    residual: tuple[float, ...]
    wrong: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "strategy": self.strategy,
            "removed": _interval(self.removed),
            "wrong_removed": _interval(self.wrong_removed),
            "times_random": _interval(self.times_random),
            "residual": [_plain(v) for v in self.residual],
            "wrong": [_plain(v) for v in self.wrong],
        }


@dataclass(frozen=True)
class SimulationReport:
    """What came out. Sizes are person sizes.

    points, wrong: counts. mass: the error mass: the sum, over wrong points, of the distance to the truth in sizes, none
    above 1. unclipped: without that bound. distance: summed over all points, right ones too. absent: points that are
    not in the picture, counted as 1. outcomes: of the strategies. oracle: shares of mass removed at `share` if people,
    and if single points, were ordered by their true error. random: (mean, 2.5 %, 97.5 %) of the share removed by random
    orders. keypoints: of the first strategy's reviewed points at `share`. reviewed: by the oracle with `output`.
    """

    extended: str
    truth: str
    output: str
    picture: str
    seed: int
    seeds: int
    share: float
    budgets: tuple[float, ...]
    people: int
    images: int
    points: int
    wrong: int
    absent: int
    mass: float
    unclipped: float
    distance: float
    random: tuple[float, float, float]
    oracle: Mapping[str, float]
    outcomes: tuple[Outcome, ...]
    keypoints: Mapping[str, Mapping[str, float]]
    reviewed: Mapping[str, int]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, stable order, no times."""
        return {
            "extended": self.extended,
            "truth": self.truth,
            "output": self.output,
            "picture": self.picture,
            "seed": self.seed,
            "seeds": self.seeds,
            "share": self.share,
            "budgets": list(self.budgets),
            "people": self.people,
            "images": self.images,
            "points": self.points,
            "wrong": self.wrong,
            "absent": self.absent,
            "error_mass": round(self.mass, 4),
            "error_mass_unclipped": round(self.unclipped, 4),
            "distance_of_all_points": round(self.distance, 4),
            "random": {k: _plain(v) for k, v in zip(("mean", "low", "high"), self.random, strict=True)},
            "oracle": {k: _plain(v) for k, v in self.oracle.items()},
            "strategies": [o.to_dict() for o in self.outcomes],
            "keypoints": {k: {n: _plain(v) for n, v in f.items()} for k, f in self.keypoints.items()},
            "reviewed": dict(self.reviewed),
            "notes": list(self.notes),
        }


def simulate_review(
    extended: Path,
    truth: Path,
    *,
    strategies: Sequence[Strategy] = (Strategy.EXPECTED_ERROR,),
    budgets: Sequence[float] = BUDGETS,
    share: float = SHARE,
    withheld: bool = False,
    seeds: int = SEEDS,
    rounds: int = ROUNDS,
    seed: int = 0,
    plot: Path | None = None,
    output: Path | None = None,
    force: bool = False,
) -> SimulationReport:
    """Let an oracle answer each strategy's queue over the file's added and asked points, which nobody decided on yet.

    truth: annotations of the same people (ids) that label the added keypoints; 0 visibility there means that the point
    is not in the picture. share: of the points, for the headline and for what `output` holds: the oracle's corrections
    of the first strategy's queue, up to the person that completes the share. withheld: candidates that were kept back
    are looked at, and count, too. seeds: of random orders. plot: a PNG.
    Raises InputError or AnnotextError for what does not fit, all outputs checked first.
    """
    if not strategies or len({*strategies}) != len(strategies):
        raise AnnotextError("name at least one strategy, and each once")
    if not 0 < share <= 1 or not budgets or not all(0 < b <= 1 for b in budgets):
        raise AnnotextError("budgets are shares of the points: above 0, at most 1")
    if seeds < 1 or rounds < 1:
        raise AnnotextError("at least one random order and one redrawing are needed")
    check_outputs([p for p in (plot, output) if p is not None], [extended, truth], force)
    review = open_review(extended, withheld=withheld)
    true, state, found, notes = _judge(review, truth)
    people = np.flatnonzero(found.points.any(axis=1))
    if not found.wrong.any():
        raise InputError.single(truth, "", "says that no added point is wrong: there is nothing to remove")
    known = (np.where(found.points, a, 0.0) for a in (review.values.wrong, review.values.error))
    review = replace(review, values=ReviewValue(found.points, *known))
    orders = {s: review.order(s, seed) for s in strategies}
    randoms = [review.order(Strategy.RANDOM, seed + 1 + i) for i in range(seeds)]
    counts = _Counts.of(found, review.poses.image_index)
    grid = np.array(sorted(set(budgets)))
    outcomes = tuple(_outcome(s, order, randoms, counts, grid, share, rounds) for s, order in orders.items())
    random = np.array([removed(o, counts.points, counts.mass, np.array([share]))[0] for o in randoms])
    best = best_order(counts.points, counts.mass, people)
    first = orders[strategies[0]]
    rows = _reviewed(first, counts.points, share)
    corrections = [c for row in rows for c in _oracle(review, true, state, found, int(row))]
    if output is not None:
        with writing(output, force=force, inputs=[extended, truth]) as temporary:
            temporary.write_bytes(b"".join(correction_line(c, review.file.kind) for c in corrections))
    if plot is not None:
        check_output(plot, force=force)
        with writing(plot, force=force) as temporary:
            temporary.write_bytes(_drawn(orders, randoms, best, counts, found, share, extended.name))
    return SimulationReport(
        extended=str(extended),
        truth=str(truth),
        output=str(output) if output is not None else "",
        picture=str(plot) if plot is not None else "",
        seed=seed,
        seeds=seeds,
        share=share,
        budgets=tuple(float(b) for b in grid),
        people=len(people),
        images=len(np.unique(review.poses.image_index[people])),
        points=int(found.points.sum()),
        wrong=int(found.wrong.sum()),
        absent=int((found.points & ~np.isfinite(true).all(axis=-1)).sum()),
        mass=float(found.mass.sum()),
        unclipped=float(found.distance[found.wrong].sum()),
        distance=float(found.distance.sum()),
        random=(float(random.mean()), float(np.quantile(random, 0.025)), float(np.quantile(random, 0.975))),
        oracle={
            "people": float(removed(best, counts.points, counts.mass, np.array([share]))[0]),
            "points": _best_points(found, share),
        },
        outcomes=outcomes,
        keypoints=_by_keypoint(review.additions.keypoints, found, rows),
        reviewed={"people": len(rows), **{v.value: sum(c.verdict is v for c in corrections) for v in _VERDICTS}},
        notes=(*review.notes, *notes),
    )


_VERDICTS = (Verdict.ACCEPT, Verdict.MOVE, Verdict.ABSENT)


@dataclass(frozen=True)
class _Counts:
    """Per person: points, wrong points, error mass, image; all (N,)."""

    points: NDArray[np.float64]
    wrong: NDArray[np.float64]
    mass: NDArray[np.float64]
    image: NDArray[np.intp]

    @classmethod
    def of(cls, found: TrueErrors, image_index: NDArray[np.int64]) -> _Counts:
        points, wrong = (a.sum(axis=1).astype(np.float64) for a in (found.points, found.wrong))
        return cls(points, wrong, found.mass.sum(axis=1), np.unique(image_index, return_inverse=True)[1])


def _judge(review: OpenReview, truth: Path) -> tuple[NDArray[np.float64], NDArray[np.uint8], TrueErrors, list[str]]:
    """(N, A, 2) px where the points truly are, NaN where not in the picture; (N, A) visibility; errors; what to tell.

    Raises InputError if the truth has none of the keypoints or none of the people.
    """
    poses, additions = review.poses, review.additions
    full = read_annotations(truth).extended_poses
    lacking = [k for k in additions.keypoints if k not in full.skeleton.index]
    row_of = {int(i): r for r, i in enumerate(full.ids)}
    rows = np.array([row_of.get(int(i), -1) for i in poses.ids], dtype=np.intp)
    problems: list[Problem] = []
    if len(lacking) == len(additions.keypoints):
        problems.append(Problem(str(truth), "", f"labels none of {', '.join(lacking)}", "give a file with full truth"))
    if not (rows >= 0).any():
        problems.append(Problem(str(truth), "", "has none of the people of the extended file: ids must be the same"))
    if problems:
        raise InputError(problems)
    whole = full.take(np.maximum(rows, 0))
    true, state = columns(whole, additions.keypoints), np.zeros(additions.visibility.shape, dtype=np.uint8)
    known = [c for c, k in enumerate(additions.keypoints) if k not in lacking]
    state[:, known] = whole.visibility[:, whole.skeleton.indices(additions.keypoints[c] for c in known)]
    true[rows < 0], state[rows < 0] = np.nan, 0
    judged = review.values.points & (rows >= 0)[:, None]
    judged &= np.array([k not in lacking for k in additions.keypoints])
    size = _true_sizes(whole, review.size, rows)
    notes = [f"the truth does not label {', '.join(lacking)}: left out"] if lacking else []
    missing = int((review.values.points.any(axis=1) & (rows < 0)).sum())
    if missing:
        notes.append(f"{missing} people with added points are not in the truth: left out")
    found = TrueErrors.of(judged, additions.xy, true, size, tolerances(review.file, size))
    return true, state, found, notes


def _true_sizes(whole: Poses, otherwise: NDArray[np.float64], rows: NDArray[np.intp]) -> NDArray[np.float64]:
    shared = tuple(k for k in SHARED if k in whole.skeleton.index)
    return np.where(rows >= 0, sizes(whole, shared), otherwise)


def _outcome(
    strategy: Strategy,
    order: NDArray[np.intp],
    randoms: Sequence[NDArray[np.intp]],
    counts: _Counts,
    grid: NDArray[np.float64],
    share: float,
    rounds: int,
) -> Outcome:
    at = np.array([share])
    images = int(counts.image.max()) + 1
    rng = np.random.default_rng(0)

    def figures(weight: NDArray[np.float64]) -> tuple[float, float, float]:
        points, mass, wrong = counts.points * weight, counts.mass * weight, counts.wrong * weight
        mine = float(removed(order, points, mass, at)[0])
        chance = float(np.mean([removed(o, points, mass, at)[0] for o in randoms]))
        return mine, float(removed(order, points, wrong, at)[0]), mine / chance if chance else float("nan")

    value = figures(np.ones(len(counts.points)))
    drawn = np.array(
        [
            figures(rng.multinomial(images, np.full(images, 1 / images)).astype(np.float64)[counts.image])
            for _ in range(rounds)
        ]
    )
    low, high = np.nanquantile(drawn, [0.025, 0.975], axis=0)
    mass, wrong, times = (Interval(v, float(a), float(b)) for v, a, b in zip(value, low, high, strict=True))
    return Outcome(
        strategy.value,
        mass,
        wrong,
        times,
        tuple((1 - removed(order, counts.points, counts.mass, grid)).tolist()),
        tuple((1 - removed(order, counts.points, counts.wrong, grid)).tolist()),
    )


def _best_points(found: TrueErrors, share: float) -> float:
    """Share of the mass on the worst `share` of single points."""
    mass = np.sort(found.mass[found.points])[::-1]
    gone = np.concatenate([[0.0], np.cumsum(mass)])
    return float(np.interp(share * len(mass), np.arange(len(mass) + 1), gone) / mass.sum())


def _reviewed(order: NDArray[np.intp], points: NDArray[np.float64], share: float) -> NDArray[np.intp]:
    """The first people of the order who together have at least `share` of the points."""
    seen = np.cumsum(points[order])
    return order[: int(np.searchsorted(seen, share * seen[-1] - 1e-9)) + 1]


def _oracle(
    review: OpenReview, true: NDArray[np.float64], state: NDArray[np.uint8], found: TrueErrors, row: int
) -> list[Correction]:
    """The decisions on a person's points of somebody who knows the truth."""
    additions, poses = review.additions, review.poses
    person, image = int(poses.ids[row]), poses.images[poses.image_index[row]].file_name
    input_sha256 = str((review.file.header or {}).get("input_sha256", ""))
    corrections: list[Correction] = []
    for column in np.flatnonzero(found.points[row]).tolist():
        keypoint = additions.keypoints[column]
        old = Point(*additions.xy[row, column].tolist(), v=int(additions.visibility[row, column]))
        verdict, new = Verdict.ACCEPT, None
        if found.wrong[row, column]:
            verdict = Verdict.ABSENT
            if np.isfinite(true[row, column]).all():
                verdict, new = Verdict.MOVE, Point(*true[row, column].tolist(), v=int(state[row, column]))
        # Made from what it is about: the same simulation writes the same file.
        name = hashlib.sha256(f"{review.file.sha256} {person} {keypoint}".encode()).hexdigest()[:32]
        made = Correction(name, person, image, keypoint, verdict, old, new, REVIEWER)
        corrections.append(replace(made, tool="oracle", input_sha256=input_sha256))
    return corrections


def _by_keypoint(keypoints: Sequence[str], found: TrueErrors, rows: NDArray[np.intp]) -> dict[str, dict[str, float]]:
    """Keypoint -> counts, and the shares of them on the reviewed `rows`."""
    by: dict[str, dict[str, float]] = {}
    for name, points, wrong, mass in zip(keypoints, found.points.T, found.wrong.T, found.mass.T, strict=True):
        n, total = int(points.sum()), float(mass.sum())
        if n:
            removed_share = float(mass[rows].sum()) / total if total else float("nan")
            reviewed = float(points[rows].sum()) / n
            by[name] = {
                "points": n,
                "wrong": int(wrong.sum()),
                "mass": total,
                "reviewed": reviewed,
                "removed": removed_share,
            }
    return by


def _drawn(
    orders: Mapping[Strategy, NDArray[np.intp]],
    randoms: Sequence[NDArray[np.intp]],
    best: NDArray[np.intp],
    counts: _Counts,
    found: TrueErrors,
    share: float,
    title: str,
) -> bytes:
    grid = np.linspace(0, 1, 201)
    panels: dict[str, list[Curve]] = {}
    for name, what in (("error mass", counts.mass), ("wrong points", counts.wrong)):
        left = np.array([1 - removed(o, counts.points, what, grid) for o in randoms])
        low, high = np.quantile(left, [0.025, 0.975], axis=0)
        panels[name] = [
            *(Curve(s.value, 1 - removed(o, counts.points, what, grid)) for s, o in orders.items()),
            Curve("random", left.mean(axis=0), low, high),
            Curve("best possible", 1 - removed(best, counts.points, what, grid)),
        ]
    n, wrong = int(found.points.sum()), int(found.wrong.sum())
    return review_plot(grid, panels, share, f"{title}: {n} added points, {wrong} wrong")


def _interval(i: Interval) -> dict[str, float | None]:
    return {"value": _plain(i.value), "low": _plain(i.low), "high": _plain(i.high)}


def _plain(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
