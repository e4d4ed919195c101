"""Keypoints added to people: where each came from, its score, what was decided and reviewed.

N people, A added keypoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.poses import Poses

if TYPE_CHECKING:
    from pandas import DataFrame


class Source(StrEnum):
    """Where an added keypoint came from."""

    DERIVED = "derived"  # computed from human labels
    STUDENT = "student"  # predicted by an annotext run
    TEACHER = "teacher"  # predicted by any other model
    CORRECTED = "corrected"  # placed by a person in review
    NONE = "none"  # nothing was added


class Decision(StrEnum):
    """What becomes of an estimate."""

    ADD = "add"  # written as a label
    ASK = "ask"  # a person should look: kept as a candidate, or written and marked, as the policy says
    WITHHOLD = "withhold"  # kept as a candidate
    NONE = "none"  # there is no estimate


class Reason(StrEnum):
    """Why a person did not simply gain a keypoint."""

    ADDED = ""
    LOW_SCORE = "score below the minimum"
    TO_ASK = "score below what is added unseen"
    OUT_OF_REACH = "no score meets the target error"
    NOT_CALIBRATED = "no calibrated score"
    OUTSIDE_IMAGE = "outside the image"
    NO_PREDICTOR = "no predictor knows it"
    NOT_PREDICTED = "person not predicted"
    NO_KEYPOINTS = "person without labelled keypoints"
    FEW_POINTS = "too few sure points of the person"
    CROWD = "crowd"
    REJECTED = "rejected in review"
    ABSENT = "absent, says a reviewer"


@dataclass(frozen=True)
class Estimate:
    """One added point as it was before a review: a cell of each array of `Additions`. xy: image pixels, 0-based."""

    xy: tuple[float, float] | None
    visibility: int
    source: Source
    score: float
    radius: float | None
    decision: Decision
    reason: Reason


@dataclass(frozen=True)
class Review:
    """What became of a point in review.

    verdict: one of `REVIEWED`. reviewers: their names, sorted, at least one. before: what the point was, so that it can
    be again. Raises ValueError for another verdict, or for nobody.
    """

    verdict: str
    reviewers: tuple[str, ...]
    before: Estimate

    def __post_init__(self) -> None:
        if self.verdict not in REVIEWED:
            raise ValueError(f"review: verdict {self.verdict!r}, expected one of {', '.join(REVIEWED)}")
        if not self.reviewers or any(not name for name in self.reviewers):
            raise ValueError("review: a reviewer has a name")
        if self.before.xy is None and self.verdict not in ("move", "absent"):
            raise ValueError(f"review: {self.verdict} of a point without an estimate")


# The verdicts that can stand; see `corrections.Verdict`.
REVIEWED = ("accept", "reject", "move", "hidden", "absent")


# The arrays of `Additions` that have a cell per person and keypoint.
PER_POINT = ("xy", "visibility", "source", "score", "radius", "decision", "reason", "review")


@dataclass(frozen=True)
class Additions:
    """What annotext adds to N people: A keypoints their file's skeleton lacks, in the order they are appended.

    keypoints: A canonical names.
    xy: (N, A, 2) float64, image pixels, 0-based; NaN where there is no estimate. Kept for withheld points.
    visibility: (N, A) uint8; 0 where nothing is added or the policy withheld the point.
    source: (N, A) object array of `Source`; NONE exactly where xy is NaN.
    score: (N, A) float64 in [0, 1], confidence that the point is right; 0 where source is NONE.
    radius: (N, A) float64, image pixels, the error is at most this with 90 % probability; NaN where
        unknown. Left out: unknown everywhere.
    decision: (N, A) object array of `Decision`; NONE exactly where source is NONE. Left out: ADD where visibility > 0,
        else WITHHOLD.
    reason: (N, A) object array of `Reason`; ADDED where the decision is ADD, and where nobody noted a reason (all of
        them where it is left out).
    review: (N, A) object array of `Review`, None where nobody decided (everywhere where it is left out).
    """

    keypoints: tuple[str, ...]
    xy: NDArray[np.float64]
    visibility: NDArray[np.uint8]
    source: NDArray[np.object_]
    score: NDArray[np.float64]
    radius: NDArray[np.float64] = None  # type: ignore[assignment]
    decision: NDArray[np.object_] = None  # type: ignore[assignment]
    reason: NDArray[np.object_] = None  # type: ignore[assignment]
    review: NDArray[np.object_] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        n, a = self.visibility.shape
        if a != len(self.keypoints) or self.xy.shape != (n, a, 2):
            raise ValueError(f"additions: {len(self.keypoints)} keypoints, xy {self.xy.shape}")
        if self.source.shape != (n, a) or self.score.shape != (n, a):
            raise ValueError(f"additions: source {self.source.shape}, score {self.score.shape}, expected {(n, a)}")
        estimated = np.asarray(np.isfinite(self.xy).all(axis=-1))
        if not np.array_equal(estimated, self.source != Source.NONE):
            raise ValueError("additions: xy must be finite exactly where the source is not none")
        if (self.visibility[~estimated] != 0).any():
            raise ValueError("additions: a point without an estimate cannot be visible")
        if not ((self.score >= 0) & (self.score <= 1)).all():
            raise ValueError("additions: score outside [0, 1]")
        self._fill_in(estimated)
        for name in ("radius", "decision", "reason", "review"):
            if getattr(self, name).shape != (n, a):
                raise ValueError(f"additions: {name} {getattr(self, name).shape}, expected {(n, a)}")
        if (self.radius < 0).any() or np.isinf(self.radius).any() or np.isfinite(self.radius[~estimated]).any():
            raise ValueError("additions: a radius is a number of pixels, of a point that there is")
        if not np.array_equal(estimated, self.decision != Decision.NONE):
            raise ValueError("additions: a decision must be none exactly where the source is none")
        added = self.visibility > 0
        if (self.decision[added] == Decision.WITHHOLD).any() or (self.decision[~added] == Decision.ADD).any():
            raise ValueError("additions: what is added has visibility > 0, what is withheld has not")
        if (self.reason[self.decision == Decision.ADD] != Reason.ADDED).any():
            raise ValueError("additions: a point that is added has a reason not to be")
        self._check_review()

    def _check_review(self) -> None:
        for i, j in np.argwhere(self.review != None).tolist():  # noqa: E711
            review, verdict = self.review[i, j], self.review[i, j].verdict
            if (verdict in ("accept", "hidden", "move")) != (self.decision[i, j] == Decision.ADD):
                raise ValueError(f"additions: {verdict} in review, and the decision is {self.decision[i, j]}")
            source = Source.CORRECTED if verdict == "move" else review.before.source
            if self.source[i, j] != source:
                raise ValueError(f"additions: {verdict} in review, and the source is {self.source[i, j]}")

    def _fill_in(self, estimated: NDArray[np.bool_]) -> None:
        """Give the fields that were left out what they then mean."""
        if self.radius is None:
            object.__setattr__(self, "radius", np.full(self.visibility.shape, np.nan))
        if self.decision is None:
            object.__setattr__(self, "decision", default_decision(estimated, self.visibility))
        if self.reason is None:
            object.__setattr__(self, "reason", np.full(self.visibility.shape, Reason.ADDED, dtype=object))
        if self.review is None:
            object.__setattr__(self, "review", np.full(self.visibility.shape, None, dtype=object))

    def __len__(self) -> int:
        return len(self.visibility)

    @property
    def added(self) -> NDArray[np.bool_]:
        """(N, A) bool: written with v > 0."""
        return self.visibility > 0

    @property
    def withheld(self) -> NDArray[np.bool_]:
        """(N, A) bool: estimated, and kept back as a candidate."""
        return (self.source != Source.NONE) & (self.visibility == 0)

    @property
    def asked(self) -> NDArray[np.bool_]:
        """(N, A) bool: a person should look at it, whether it is written or kept back."""
        return np.asarray(self.decision == Decision.ASK)

    def take(self, rows: Sequence[int] | NDArray[np.intp] | NDArray[np.bool_]) -> Additions:
        """The people at `rows` (indices or a mask), in that order."""
        rows = np.asarray(rows)
        if not rows.size:
            rows = np.zeros(0, dtype=np.intp)
        return replace(self, **{f: getattr(self, f)[rows] for f in PER_POINT})

    @classmethod
    def nothing(cls, n: int, keypoints: Sequence[str]) -> Additions:
        """N people to whom nothing is added."""
        a = len(keypoints)
        return cls(
            keypoints=tuple(keypoints),
            xy=np.full((n, a, 2), np.nan),
            visibility=np.zeros((n, a), dtype=np.uint8),
            source=np.full((n, a), Source.NONE, dtype=object),
            score=np.zeros((n, a)),
        )


def default_decision(estimated: NDArray[np.bool_], visibility: NDArray[np.uint8]) -> NDArray[np.object_]:
    """(N, A) `Decision` where nobody is to be asked: from (N, A) there is an estimate, (N, A) visibility."""
    kinds = np.array([Decision.NONE, Decision.WITHHOLD, Decision.ADD], dtype=object)
    return kinds[np.where(visibility > 0, 2, estimated.astype(np.intp))]


def columns(additions: Additions, chosen: Sequence[int]) -> Additions:
    """The A keypoints at `chosen`, in that order."""
    at = np.array(chosen, dtype=np.intp)
    return replace(
        additions,
        keypoints=tuple(additions.keypoints[i] for i in chosen),
        **{name: getattr(additions, name)[:, at] for name in PER_POINT},
    )


def beside(additions: Additions, others: Additions) -> Additions:
    """The keypoints of both for the same people, those of `others` last."""
    arrays = {n: np.concatenate([getattr(additions, n), getattr(others, n)], axis=1) for n in PER_POINT}
    return Additions((*additions.keypoints, *others.keypoints), **arrays)


def put(additions: Additions, rows: NDArray[np.intp], others: Additions) -> Additions:
    """`additions` with the people at `rows` taken from `others`, which has the same keypoints."""
    if others.keypoints != additions.keypoints:
        raise ValueError(f"additions of {', '.join(others.keypoints)} put among {', '.join(additions.keypoints)}")
    arrays = {}
    for name in PER_POINT:
        arrays[name] = getattr(additions, name).copy()
        arrays[name][rows] = getattr(others, name)
    return replace(additions, **arrays)


def to_frame(poses: Poses, additions: Additions | None = None) -> DataFrame:
    """N people as a pandas table, one row per person and keypoint; the added keypoints last.

    image, id, keypoint: file name, annotation id, name. x, y: float64 image pixels, 0-based, NaN where there is neither
    a label nor an estimate; withheld estimates have a place and v 0. v: COCO's visibility. source: "human" where a
    person labelled the point, else a `Source`. score, radius: of added points, see `Additions`; NaN for human labels.
    decision: a `Decision`; "" for human labels. additions: of the same people; those that `poses` has too are not
    taken for human labels.
    """
    import pandas as pd

    if additions is None:
        additions = Additions.nothing(len(poses), ())
    own = [k for k in poses.skeleton.keypoints if k not in additions.keypoints]
    names, columns = [*own, *additions.keypoints], poses.skeleton.indices(own)
    shape = (len(poses), len(own))
    human = np.where(poses.labelled[:, columns], "human", Source.NONE.value).astype(object)
    unknown = np.full(shape, np.nan)

    def beside(labels: NDArray[Any], added: NDArray[Any]) -> NDArray[Any]:
        joined = np.concatenate([labels, added], axis=1)
        return joined.reshape(len(poses) * len(names), *joined.shape[2:])

    xy = beside(poses.xy[:, columns], additions.xy)
    return pd.DataFrame(
        {
            "image": np.repeat(np.array(poses.file_names(), dtype=object), len(names)),
            "id": np.repeat(poses.ids, len(names)),
            "keypoint": pd.Categorical(names * len(poses), categories=names),
            "x": xy[:, 0],
            "y": xy[:, 1],
            "v": beside(poses.visibility[:, columns], additions.visibility),
            "source": beside(human, additions.source.astype(str).astype(object)),
            "score": beside(unknown, np.where(additions.source == Source.NONE, np.nan, additions.score)),
            "radius": beside(unknown, additions.radius),
            "decision": beside(np.full(shape, "", dtype=object), additions.decision.astype(str).astype(object)),
        }
    )
