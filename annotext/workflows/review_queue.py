"""Which people of an extended file a reviewer should look at next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.additions import Additions
from annotext.core.anatomy import SHARED
from annotext.core.errors import AnnotextError, InputError
from annotext.core.poses import Poses
from annotext.evaluation.correctness import Criterion, tolerance
from annotext.formats.annotations.read import AnnotationFile, read_annotations
from annotext.formats.files.outputs import check_output
from annotext.formats.files.skeletons import known_skeletons
from annotext.review.decisions.correction import Correction, standing
from annotext.review.decisions.doubt import add_limits, open_points
from annotext.review.decisions.files import read_corrections
from annotext.review.decisions.queue import (
    ReviewValue,
    Strategy,
    pose_features,
    queue,
    review_values,
    sizes,
)
from annotext.review.decisions.queue_file import QueuedPerson, QueueFile, write_queue

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class OpenReview:
    """An extended file and what of it could still be reviewed.

    file: with additions. values: rows as in `file.poses`. size: (N,) px. limit: (A,) the scores from which points
    are added, NaN where the file names none. ranked: keypoints whose scores are only ranks. decided: points that the
    given corrections decided on. notes: what a person should know.
    """

    file: AnnotationFile
    values: ReviewValue
    size: NDArray[np.float64]
    limit: NDArray[np.float64]
    ranked: tuple[str, ...]
    decided: int
    notes: tuple[str, ...]

    @property
    def poses(self) -> Poses:
        """The people."""
        return self.file.poses

    @property
    def additions(self) -> Additions:
        """Of the same people."""
        assert self.file.additions is not None
        return self.file.additions

    @property
    def inputs(self) -> tuple[str, ...]:
        """Human keypoints by which people are measured."""
        return inputs_of(self.file)

    def order(
        self, strategy: Strategy, seed: int, features: Sequence[NDArray[np.float64]] | None = None
    ) -> NDArray[np.intp]:
        """All people with something to look at, next one first. features: see `queue`; default the pose alone."""
        if features is None:
            features = [pose_features(self.poses, self.inputs)]
        return queue(self.values, strategy, score=self.additions.score, limit=self.limit, features=features, seed=seed)


@dataclass(frozen=True)
class QueueReport:
    """Who is next.

    people: in order; each with id, image, expected_wrong, expected_error (person sizes) and its points, worst first:
    keypoint, decision, score, wrong (probability), error. chosen, of: people, points, expected_wrong, expected_error
    of the queue and of all that could be reviewed. ranked: keypoints whose scores are no probabilities.
    """

    extended: str
    extended_sha256: str
    strategy: str
    seed: int
    budget: int
    output: str
    chosen: Mapping[str, float]
    of: Mapping[str, float]
    decided: int
    ranked: tuple[str, ...]
    people: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, stable order, no times."""
        return {
            "extended": self.extended,
            "extended_sha256": self.extended_sha256,
            "strategy": self.strategy,
            "seed": self.seed,
            "budget": self.budget,
            "output": self.output,
            "chosen": dict(self.chosen),
            "of": dict(self.of),
            "decided": self.decided,
            "ranked": list(self.ranked),
            "people": [dict(p) for p in self.people],
            "notes": list(self.notes),
        }

    def to_frame(self) -> pd.DataFrame:
        """One row per open point, in the order of review: place (from 1), id, image, then keypoint, decision, score,
        wrong (probability) and error (person sizes) of the point."""
        import pandas as pd

        return pd.DataFrame(
            {"place": place, "id": person["id"], "image": person["image"], **point}
            for place, person in enumerate(self.people, start=1)
            for point in person["points"]
        )


def review_queue(
    extended: Path,
    budget: int,
    *,
    strategy: Strategy = Strategy.EXPECTED_ERROR,
    images: Path | None = None,
    corrections: Sequence[Path] = (),
    withheld: bool = False,
    seed: int = 0,
    output: Path | None = None,
    skip_bad: bool = False,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> QueueReport:
    """The next `budget` people; `output`: a queue file (see `formats.queue`).

    images: their folder, to tell people apart by looks as well; for the strategies that do. corrections: what was
    decided on and not yet applied. withheld: candidates that the policy kept back are looked at, too. progress: of
    reading images, called with (people done, all). Raises InputError or AnnotextError.
    """
    if budget < 0:
        raise AnnotextError(f"budget {budget}: expected a number of people, 0 or more")
    if output is not None:
        check_output(output, force=force, inputs=[extended, *corrections])
    review = open_review(extended, corrections=corrections, withheld=withheld, skip_bad=skip_bad)
    features = [pose_features(review.poses, review.inputs)]
    if images is not None and strategy in (Strategy.EXPECTED_ERROR, Strategy.DIVERSE):
        from annotext.predictors.appearance import appearance

        people = review.values.people
        looks = appearance(review.poses.take(people), images, progress=progress)
        everybody = np.zeros((len(review.poses), looks.shape[1]))
        everybody[people] = looks
        features.append(everybody)
    order = review.order(strategy, seed, features)
    rows = order[:budget]
    people = tuple(_person(review, int(row)) for row in rows)
    if output is not None:
        queued = tuple(QueuedPerson(p["id"], tuple(q["keypoint"] for q in p["points"])) for p in people)
        write_queue(QueueFile(review.file.sha256, strategy.value, seed, queued), output, force=force)
    return QueueReport(
        extended=str(extended),
        extended_sha256=review.file.sha256,
        strategy=strategy.value,
        seed=seed,
        budget=budget,
        output=str(output) if output is not None else "",
        chosen=_total(review.values, rows),
        of=_total(review.values, order),
        decided=review.decided,
        ranked=review.ranked,
        people=people,
        notes=review.notes,
    )


def open_review(
    extended: Path, *, corrections: Sequence[Path] = (), withheld: bool = False, skip_bad: bool = False
) -> OpenReview:
    """Read an extended file and see what could still be reviewed; arguments as for `review_queue`.

    Raises InputError for a file that is not extended, and for corrections of another one.
    """
    file = read_annotations(extended, skip_bad=skip_bad)
    if file.additions is None:
        hint = "annotext extend, or predict and decide, write an extended file"
        raise InputError.single(extended, "", "is not an extended file: nothing was added that could be reviewed", hint)
    points = open_points(file.additions, withheld=withheld)
    notes: list[str] = []
    decided, unknown = _decided(file, read_corrections(corrections) if corrections else [])
    if unknown:
        notes.append(f"{unknown} decisions are on people or keypoints that this file has not")
    known_before = int((points & decided).sum())
    points &= ~decided
    size = sizes(file.poses, inputs_of(file))
    ranked = tuple(
        name
        for column, name in enumerate(file.additions.keypoints)
        if (points[:, column] & ~np.isfinite(file.additions.radius[:, column])).any()
    )
    if ranked:
        notes.append(
            f"{', '.join(ranked)}: some scores are no probabilities (not calibrated), their ranks stand in for them; "
            "annotext calibrate learns what they mean"
        )
    if not points.any():
        notes.append("there is no open point: all are decided on, derived or withheld (--withheld takes those too)")
    return OpenReview(
        file,
        review_values(file.additions, points, size, tolerances(file, size)),
        size,
        add_limits(file.additions.keypoints, file.header or {}),
        ranked,
        known_before,
        tuple(notes),
    )


def inputs_of(file: AnnotationFile) -> tuple[str, ...]:
    """Of the keypoints that COCO and MPII share, those that a person labelled in this file."""
    return tuple(k for k in SHARED if k in file.poses.skeleton.index)


def tolerances(file: AnnotationFile, size: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, A) px, the largest error of each added point that is still right, for people of (N,) `size` px."""
    assert file.additions is not None
    known = {k: s for skeleton in known_skeletons().values() for k, s in skeleton.sigmas.items()}
    known.update(file.extended_poses.skeleton.sigmas)
    sigmas = np.array([known.get(k, np.nan) for k in file.additions.keypoints])
    usual = np.nanmedian(sigmas) if np.isfinite(sigmas).any() else 0.08
    sigmas = np.where(np.isfinite(sigmas), sigmas, usual)
    poses = file.poses
    return tolerance(Criterion.KS_OF_SIZE, sigmas, area=poses.area, head_size=poses.head_size, size=size)


def _decided(file: AnnotationFile, corrections: Sequence[Correction]) -> tuple[NDArray[np.bool_], int]:
    """(N, A) bool: points with a standing decision; and how many decisions are on points this file has not."""
    assert file.additions is not None and file.header is not None
    own = file.header.get("input_sha256")
    for correction in corrections:
        if correction.input_sha256 and correction.input_sha256 != own:
            hint = "corrections belong to the annotation file that was extended"
            problem = f"the decision {correction.id} is on another file's people"
            raise InputError.single(file.path, "input_sha256", problem, hint)
    row = {int(i): r for r, i in enumerate(file.poses.ids)}
    column = {k: c for c, k in enumerate(file.additions.keypoints)}
    decided = np.zeros(file.additions.visibility.shape, dtype=bool)
    unknown = 0
    for person, keypoint in standing(corrections)[0]:
        if person in row and keypoint in column:
            decided[row[person], column[keypoint]] = True
        else:
            unknown += 1
    return decided, unknown


def _person(review: OpenReview, row: int) -> dict[str, Any]:
    additions, values = review.additions, review.values
    mine = np.flatnonzero(values.points[row])
    mine = mine[np.argsort(-values.error[row, mine], kind="stable")]
    return {
        "id": int(review.poses.ids[row]),
        "image": review.poses.images[review.poses.image_index[row]].file_name,
        "expected_wrong": round(float(values.wrong[row].sum()), 4),
        "expected_error": round(float(values.error[row].sum()), 4),
        "points": [
            {
                "keypoint": additions.keypoints[c],
                "decision": str(additions.decision[row, c]),
                "score": round(float(additions.score[row, c]), 4),
                "wrong": round(float(values.wrong[row, c]), 4),
                "error": round(float(values.error[row, c]), 4),
            }
            for c in mine
        ],
    }


def _total(values: ReviewValue, rows: NDArray[np.intp]) -> dict[str, float]:
    return {
        "people": len(rows),
        "points": int(values.points[rows].sum()),
        "expected_wrong": round(float(values.wrong[rows].sum()), 4),
        "expected_error": round(float(values.error[rows].sum()), 4),
    }
