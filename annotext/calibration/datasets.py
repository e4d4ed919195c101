"""What calibration may learn from: annotation files whose people have truth for keypoints that the model shall add.

A calibration set is a protocol, a file, the predictions made on it, the labelled keypoints that may be looked at, and
those whose truth the file holds: as labels, or as people's decisions from review.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from annotext.calibration.fit import MIN_POINTS
from annotext.calibration.learn import MIN_DECISIONS
from annotext.calibration.model import Truth
from annotext.calibration.reviewed import ReviewedPeople, ReviewedPoints
from annotext.core.additions import Additions, Source
from annotext.core.anatomy import SHARED
from annotext.core.derive import MIDPOINTS
from annotext.core.errors import AnnotextError, InputError, Problem
from annotext.core.poses import Poses, Visibility
from annotext.core.predictions import Predictions
from annotext.core.skeleton import Skeleton
from annotext.formats.annotations.head_sizes import with_head_sizes
from annotext.formats.annotations.mpii import MPII
from annotext.formats.annotations.read import AnnotationFile, read_annotations
from annotext.formats.files.predictions import read_predictions, read_predictions_header

# Keypoints that the file labels and the target file will lack: another data set, or Halpe, is the truth.
LABELS = "labels"
# Keypoints that both label, hidden in turn as if nobody had labelled them.
HELD_OUT = "held-out joints"
# Added keypoints that people decided on in review: a corrected extended file is the truth.
REVIEWED = "reviewed"

# Difference of mean scores from which reviewed points are called unlike the others. A judgement, not a measurement.
UNLIKE = 0.1


@dataclass(frozen=True)
class Choice:
    """What of each file is learned from, and how it is read; of names only those that the predictor knows are taken.

    keypoints: only these; default all the file labels beyond the inputs. inputs: default the keypoints COCO and MPII
    share. joints: what is held out in turn, with its mirror partner; default every input. head_sizes: MPII's official
    file, for MPII. skip_bad: leave out faulty records.
    """

    keypoints: Sequence[str] = ()
    inputs: Sequence[str] = ()
    joints: Sequence[str] = ()
    head_sizes: Path | None = None
    skip_bad: bool = False


@dataclass(frozen=True)
class CalibrationSet:
    """One truth. poses and predictions: rows aligned, the same N people; the first prediction is the predictor's own.

    inputs: labelled keypoints that may be looked at; keypoints: whose truth is known. Neither holds one of the other.
    truth: what a calibration records about it. path: the annotation file. skipped: records left out. reviewed: the
    decisions on `keypoints`, where they are the truth; the poses then have their human labels alone. note: what to
    tell about it.
    """

    poses: Poses
    predictions: tuple[Predictions, ...]
    inputs: tuple[str, ...]
    keypoints: tuple[str, ...]
    truth: Truth
    path: Path
    skipped: tuple[Problem, ...] = ()
    reviewed: ReviewedPoints | None = None
    note: str = ""

    @property
    def decisions(self) -> dict[str, int]:
        """Of a review, the number of decisions by keypoint."""
        assert self.reviewed is not None
        return dict(zip(self.reviewed.keypoints, self.reviewed.decided.sum(axis=0).tolist(), strict=True))

    def alone(self, keypoints: Sequence[str], inputs: Sequence[str]) -> CalibrationSet:
        """Of a review, the set about some of its keypoints, with what people placed or confirmed as labels."""
        assert self.reviewed is not None
        reviewed = self.reviewed.only(keypoints)
        xy, visibility = self.poses.xy.copy(), self.poses.visibility.copy()
        columns = self.poses.skeleton.indices(keypoints)
        xy[:, columns] = reviewed.place
        visibility[:, columns] = np.where(np.isfinite(reviewed.place).all(axis=-1), Visibility.VISIBLE, 0)
        poses = replace(self.poses, xy=xy, visibility=visibility.astype(np.uint8))
        return replace(self, poses=poses, keypoints=tuple(keypoints), inputs=tuple(inputs), reviewed=reviewed)

    def beside(self, keypoints: Sequence[str]) -> CalibrationSet | None:
        """Of a review, the set about those of `keypoints` with enough decisions to be used beside labels; else None."""
        enough = [k for k in keypoints if self.decisions.get(k, 0) >= MIN_DECISIONS]
        if not enough or self.reviewed is None:
            return None
        return replace(self, keypoints=tuple(enough), reviewed=self.reviewed.only(enough))

    def people(self) -> ReviewedPeople:
        """Of a review, its people as rows beside those of another calibration set."""
        assert self.reviewed is not None
        return ReviewedPeople(self.poses, self.predictions, self.reviewed, self.truth)


def read_calibration_sets(
    truths: Sequence[Path],
    held_out: Sequence[Path],
    predictions: Sequence[Path],
    *,
    predictor_sha256: str,
    reviewed: Sequence[Path] = (),
    choice: Choice | None = None,
) -> list[CalibrationSet]:
    """One set per file of `truths` (and derivable keypoint), per pair of joints of each file of `held_out`, and per
    file of `reviewed`.

    predictions: parquet files; each belongs to the annotation file whose sha256 it names, several may belong to one. A
    corrected file belongs to the file that was extended.
    Raises InputError or AnnotextError for what does not fit together, all files' problems at once.
    """
    made_on: dict[str, list[Path]] = {}
    for path in predictions:
        made_on.setdefault(read_predictions_header(path).input_sha256, []).append(path)
    found: list[CalibrationSet] = []
    problems: list[Problem] = []
    files = {LABELS: truths, HELD_OUT: held_out, REVIEWED: reviewed}
    for protocol, path in [(protocol, path) for protocol, paths in files.items() for path in paths]:
        try:
            found += _read(protocol, path, made_on, predictor_sha256, choice or Choice())
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    if not found:
        raise AnnotextError(
            "nothing to learn from: give --truth or --held-out, or --reviewed, with --predictions made on the file"
        )
    return found


def _read(
    protocol: str, path: Path, made_on: Mapping[str, list[Path]], predictor_sha256: str, choice: Choice
) -> list[CalibrationSet]:
    file = read_annotations(path, skip_bad=choice.skip_bad)
    own, others = _predictions_on(file, protocol, made_on, predictor_sha256)
    poses, added = file.poses, () if file.additions is None else file.additions.keypoints
    if choice.head_sizes is not None and file.format is MPII:
        poses = with_head_sizes(poses, choice.head_sizes)
    # Of the added points nobody labelled any: decisions on them are put there by `CalibrationSet.alone`.
    poses = poses.to(file.extended_poses.skeleton)
    known = np.isin(poses.ids, own.ids) & ~poses.crowd & poses.has_keypoints
    poses = poses.take(known)
    skeleton, predicted = poses.skeleton, own.skeleton
    both = [k for k in skeleton.keypoints if k in predicted.index]
    looked_at = tuple(k for k in (choice.inputs or SHARED) if k in both and k not in added)
    _check_names(path, skeleton, predicted, (*choice.keypoints, *choice.inputs, *choice.joints))
    predictions = (own.take(poses.ids), *others)

    def wanted(keypoints: Sequence[str]) -> list[str]:
        return [k for k in keypoints if not choice.keypoints or k in choice.keypoints]

    def calibration_set(keypoints: Sequence[str], inputs: Sequence[str], people: int, **more: object) -> CalibrationSet:
        truth = Truth(protocol, path.name, file.sha256, people)
        return CalibrationSet(
            poses, predictions, tuple(inputs), tuple(keypoints), truth, path, file.skipped, **more  # type: ignore[arg-type]
        )  # fmt: skip

    def labelled(keypoints: Sequence[str], inputs: Sequence[str]) -> CalibrationSet:
        people = poses.labelled[:, skeleton.indices(keypoints)].any(axis=1).sum()
        return calibration_set(keypoints, inputs, int(people))

    if protocol == REVIEWED:
        assert file.additions is not None
        mine = file.additions.take(known)
        reviewed = ReviewedPoints.of(mine).only(wanted([k for k in added if k in both]))
        people = int(reviewed.decided.any(axis=1).sum())
        if not people:
            which = f" on {', '.join(choice.keypoints)}" if choice.keypoints else ""
            raise InputError.single(path, "", f"holds no decision of a reviewer{which}", "annotext apply writes them")
        note = _unlike_the_rest(path, mine)
        return [calibration_set(reviewed.keypoints, looked_at, people, reviewed=reviewed, note=note)]
    if protocol == LABELS:
        chosen = wanted([k for k in both if k not in looked_at])
        if not chosen:
            which = f"none of {', '.join(choice.keypoints)}" if choice.keypoints else "no keypoint"
            problem = f"labels {which} that the predictor knows and that is not looked at as an input"
            raise InputError.single(path, "", problem, "--held-out evaluates the labels that are looked at, too")
        return [labelled(keypoints, inputs) for keypoints, inputs in _with_inputs(chosen, looked_at)]
    pairs = _pairs(skeleton, [k for k in (choice.joints or looked_at) if k in both], both)
    if not pairs:
        raise InputError.single(path, "", "has no joint that the predictor knows and that could be held out")
    return [labelled(pair, [k for k in looked_at if k not in pair]) for pair in pairs]


def _predictions_on(
    file: AnnotationFile, protocol: str, made_on: Mapping[str, list[Path]], predictor_sha256: str
) -> tuple[Predictions, list[Predictions]]:
    """The predictor's own predictions on this file, and those of others. Raises InputError where there are none."""
    path, made_for, pointer, which = file.path, file.sha256, "", "this file as it is now"
    hint = f"annotext predict {path} --images DIR --predictor RUN --tta flip,shift -o PREDICTIONS.parquet"
    if protocol == REVIEWED:
        if file.additions is None or file.header is None:
            raise InputError.single(path, "", "is not an extended file: nobody could review what was added to it")
        made_for, pointer = str(file.header.get("input_sha256")), "info.annotext.input_sha256"
        which = "the file this was extended from"
        hint = f"annotext predict of the file it was extended from (annotext strip {path} gives it back)"
    elif file.additions is not None:
        hint = (
            "what annotext added is no truth: give the file it was made from, or strip it. People's decisions go with "
            "--reviewed"
        )
        raise InputError.single(path, "", "is an extended file", hint)
    if made_for not in made_on:
        raise InputError.single(path, pointer, f"none of the given --predictions were made on {which}", hint)
    found = [p for parquet in made_on[made_for] for p in read_predictions(parquet)]
    own = [p for p in found if p.predictor.sha256 == predictor_sha256]
    if not own:
        who = ", ".join(f"{p.predictor.name} ({p.predictor.sha256[:12]})" for p in found)
        problem = f"holds predictions of {who}, not of the predictor to calibrate ({predictor_sha256[:12]})"
        raise InputError.single(made_on[made_for][0], "", problem, hint)
    return own[0], [p for p in found if p.predictor.sha256 != predictor_sha256]


def with_reviews(
    calibration_sets: Sequence[CalibrationSet],
) -> tuple[list[tuple[CalibrationSet, tuple[CalibrationSet, ...]]], list[str]]:
    """Each calibration set with the reviews that are learned from together with it, and what to tell about the reviews.

    Labels of a keypoint and decisions on it are one set. Decisions on a keypoint without labels are a set of their own,
    if there are enough. Held-out joints stay alone: nobody reviews them.
    """
    reviews = [s for s in calibration_sets if s.reviewed is not None]
    others = [s for s in calibration_sets if s.reviewed is None]
    notes = [s.note for s in reviews if s.note]

    def beside(keypoints: Sequence[str], of: Sequence[CalibrationSet]) -> tuple[CalibrationSet, ...]:
        return tuple(r for r in (s.beside(keypoints) for s in of) if r is not None)

    arranged = [(s, beside(s.keypoints, reviews) if s.truth.protocol == LABELS else ()) for s in others]
    labelled = {k for s in others if s.truth.protocol == LABELS for k in s.keypoints}
    for review in reviews:
        few = {k: n for k, n in review.decisions.items() if k in labelled and 0 < n < MIN_DECISIONS}
        if few:
            notes.append(
                f"{review.path}: {_listed(few)}; {MIN_DECISIONS} are needed to be used beside labels, "
                "which alone are used there"
            )
    done: set[str] = set()
    for i, review in enumerate(reviews):
        left = {k: n for k, n in review.decisions.items() if k not in labelled and k not in done and n}
        few = {k: n for k, n in left.items() if n < MIN_POINTS}
        if few:
            notes.append(
                f"{review.path}: {_listed(few)}; {MIN_POINTS} are needed without labels: no calibration "
                "(--truth gives labels)"
            )
        for keypoints, inputs in _with_inputs([k for k in left if k not in few], review.inputs):
            arranged.append((review.alone(keypoints, inputs), beside(keypoints, reviews[i + 1 :])))
            done |= {*keypoints}
    return arranged, notes


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} decision{'s' * (n != 1)} on {k}" for k, n in counts.items())


def _unlike_the_rest(path: Path, additions: Additions) -> str:
    """A sentence where reviewers decided on points that are unlike those they did not see."""
    decided = np.asarray(additions.review != None)  # noqa: E711
    score = additions.score.copy()
    for i, j in np.argwhere(decided).tolist():
        score[i, j] = additions.review[i, j].before.score
    predicted = (additions.source == Source.STUDENT) | (additions.source == Source.TEACHER) | decided
    predicted &= decided.any(axis=0)
    seen, unseen = score[decided & predicted], score[~decided & predicted]
    if not len(seen) or not len(unseen) or abs(seen.mean() - unseen.mean()) <= UNLIKE:
        return ""
    return (
        f"{path}: the points decided on had a mean score of {seen.mean():.2f}, the others of {unseen.mean():.2f}: "
        "what is shown first is unlike the rest, and says little about it. Review people drawn at random, too"
    )


def _with_inputs(keypoints: Sequence[str], inputs: Sequence[str]) -> list[tuple[list[str], list[str]]]:
    """Keypoints that are learned together, with the inputs for them.

    A derivable keypoint is only predicted where a parent is missing: it is learned alone, without its parents.
    """
    plain = [k for k in keypoints if k not in MIDPOINTS]
    derived = [k for k in keypoints if k in MIDPOINTS]
    return [
        *([(plain, list(inputs))] if plain else []),
        *(([k], [i for i in inputs if i not in MIDPOINTS[k]]) for k in derived),
    ]


def _pairs(skeleton: Skeleton, joints: Sequence[str], known: Sequence[str]) -> list[tuple[str, ...]]:
    """Each joint with its mirror partner, where that is known too."""
    partner = {k: pair for pair in skeleton.flip_pairs if set(pair) <= set(known) for k in pair}
    return list(dict.fromkeys(partner.get(k, (k,)) for k in joints))


def _check_names(path: Path, skeleton: Skeleton, predicted: Skeleton, names: Sequence[str]) -> None:
    """Raises InputError for names that neither know: what one file lacks another may have."""
    known = dict.fromkeys((*skeleton.keypoints, *predicted.keypoints))
    unknown = [k for k in dict.fromkeys(names) if k not in known]
    if unknown:
        problem, hint = "neither this file nor the predictor has such a keypoint", f"there are {', '.join(known)}"
        raise InputError(Problem(str(path), k, problem, hint) for k in unknown)
