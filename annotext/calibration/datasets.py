"""What calibration may learn from: annotation files whose people know more than what they will be asked for.

A truth is a protocol, a file, the predictions made on it, the labelled keypoints that may be looked at, and those
whose truth the file holds: as labels, or as people's decisions from review.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from annotext.calibration.fit import MIN_POINTS
from annotext.calibration.learn import only
from annotext.calibration.model import Truth
from annotext.calibration.pool import MIN_DECISIONS, ReviewedPeople
from annotext.calibration.reviewed import Reviewed
from annotext.core.additions import Additions, Source
from annotext.core.anatomy import SHARED
from annotext.core.derive import MIDPOINTS
from annotext.core.errors import AnnotextError, InputError, Problem
from annotext.core.poses import Poses, Visibility
from annotext.core.predictions import Predictions
from annotext.core.skeleton import Skeleton
from annotext.formats.annotations.head_sizes import with_head_sizes
from annotext.formats.annotations.read import read_annotations
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
class CalibrationSet:
    """One truth. poses and predictions: rows aligned, the same N people; the first prediction is the judged one.

    inputs: labelled keypoints that may be looked at; keypoints: whose truth is known. Neither holds one of the other.
    truth: what a calibration says about it. path: the annotation file. skipped: records left out. reviewed: what
    reviewers said of `keypoints`, where they are the truth; the poses then have their human labels alone. note: what to
    tell about it.
    """

    poses: Poses
    predictions: tuple[Predictions, ...]
    inputs: tuple[str, ...]
    keypoints: tuple[str, ...]
    truth: Truth
    path: Path
    skipped: tuple[Problem, ...] = ()
    reviewed: Reviewed | None = None
    note: str = ""

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

    def people(self) -> ReviewedPeople:
        """Of a review, its people as rows beside those of another calibration set."""
        assert self.reviewed is not None
        return ReviewedPeople(self.poses, self.predictions, self.reviewed, self.truth)


def read_calibration_sets(
    truths: Sequence[Path],
    held_out: Sequence[Path],
    predictions: Sequence[Path],
    *,
    reviewed: Sequence[Path] = (),
    predictor_sha256: str,
    keypoints: Sequence[str] = (),
    inputs: Sequence[str] = (),
    joints: Sequence[str] = (),
    head_sizes: Path | None = None,
    skip_bad: bool = False,
) -> list[CalibrationSet]:
    """One set per file of `truths`, one per pair of joints of each file of `held_out`, one per file of `reviewed`.

    predictions: parquet files; each belongs to the annotation file whose sha256 it names, several may belong to one. A
    corrected file belongs to the file that was extended.
    keypoints: only these; default all the file labels beyond the inputs. inputs: default the keypoints COCO and MPII
    share. joints: what is held out in turn, with its mirror partner; default every input. Of all three only what the
    predictor knows is taken.
    Raises InputError or AnnotextError for what does not fit together, all files' problems at once.
    """
    made_on: dict[str, list[Path]] = {}
    for path in predictions:
        made_on.setdefault(read_predictions_header(path).input_sha256, []).append(path)
    calibration_sets: list[CalibrationSet] = []
    problems: list[Problem] = []
    files = {LABELS: truths, HELD_OUT: held_out, REVIEWED: reviewed}
    for protocol, path in [(protocol, path) for protocol, paths in files.items() for path in paths]:
        try:
            calibration_sets += _read(
                protocol,
                path,
                made_on,
                predictor_sha256,
                keypoints=keypoints,
                inputs=inputs,
                joints=joints,
                head_sizes=head_sizes,
                skip_bad=skip_bad,
            )
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    if not calibration_sets:
        raise AnnotextError(
            "nothing to learn from: give --truth or --held-out, or --reviewed, with --predictions made on the file"
        )
    return calibration_sets


def _read(
    protocol: str,
    path: Path,
    made_on: dict[str, list[Path]],
    predictor_sha256: str,
    *,
    keypoints: Sequence[str],
    inputs: Sequence[str],
    joints: Sequence[str],
    head_sizes: Path | None,
    skip_bad: bool,
) -> list[CalibrationSet]:
    file = read_annotations(path, skip_bad=skip_bad)
    asked = file.sha256
    hint = f"annotext predict {path} --images DIR --predictor RUN --passes flip,shift -o PREDICTIONS.parquet"
    if protocol == REVIEWED:
        if file.additions is None or file.header is None:
            raise InputError.single(path, "", "is not an extended file: nobody could review what was added to it")
        asked = str(file.header.get("input_sha256"))
        hint = f"annotext predict of the file it was extended from (annotext strip {path} gives it back)"
        if asked not in made_on:
            problem = "none of the given --predictions were made on the file this was extended from"
            raise InputError.single(path, "info.annotext.input_sha256", problem, hint)
    elif file.additions is not None:
        raise InputError.single(
            path,
            "",
            "is an extended file",
            "what annotext added is no truth: give the file it was made from, or strip it. People's decisions go with "
            "--reviewed",
        )
    elif asked not in made_on:
        raise InputError.single(path, "", "none of the given --predictions were made on this file as it is now", hint)
    said = [p for parquet in made_on[asked] for p in read_predictions(parquet)]
    own = [p for p in said if p.predictor.sha256 == predictor_sha256]
    if not own:
        who = ", ".join(f"{p.predictor.name} ({p.predictor.sha256[:12]})" for p in said)
        problem = f"holds predictions of {who}, not of the predictor to calibrate ({predictor_sha256[:12]})"
        raise InputError.single(made_on[asked][0], "", problem, hint)
    poses = with_head_sizes(file.poses, head_sizes) if head_sizes is not None and file.kind == "mpii" else file.poses
    added = () if file.additions is None else file.additions.keypoints
    poses = only(poses, [k for k in poses.skeleton.keypoints if k not in added])
    known = np.isin(poses.ids, own[0].ids) & ~poses.crowd & poses.has_keypoints
    poses = poses.take(known)
    ordered = [own[0].take(poses.ids), *(p for p in said if p.predictor.sha256 != predictor_sha256)]
    skeleton, predicted = poses.skeleton, own[0].skeleton
    both = [k for k in skeleton.keypoints if k in predicted.index]
    looked_at = tuple(k for k in (inputs or SHARED) if k in both and k not in added)
    _check_names(path, skeleton, predicted, (*keypoints, *inputs, *joints))

    def calibration_set(chosen: Sequence[str], seen: Sequence[str]) -> CalibrationSet:
        columns = skeleton.indices(chosen)
        people = int(poses.labelled[:, columns].any(axis=1).sum())
        truth = Truth(protocol, path.name, file.sha256, people)
        return CalibrationSet(poses, tuple(ordered), tuple(seen), tuple(chosen), truth, path, file.skipped)

    if protocol == REVIEWED:
        assert file.additions is not None
        mine = file.additions.take(known)
        decisions = Reviewed.of(mine)
        chosen = [k for k in added if k in both and (not keypoints or k in keypoints)]
        decided = decisions.only(chosen).decided
        people = int(decided.any(axis=1).sum())
        if not people:
            which = f" on {', '.join(keypoints)}" if keypoints else ""
            raise InputError.single(path, "", f"holds no decision of a reviewer{which}", "annotext apply writes them")
        return [
            CalibrationSet(
                poses=poses,
                predictions=tuple(ordered),
                inputs=looked_at,
                keypoints=tuple(chosen),
                truth=Truth(protocol, path.name, file.sha256, people),
                path=path,
                skipped=file.skipped,
                reviewed=decisions.only(chosen),
                note=_unlike_the_rest(path, mine),
            )
        ]
    if protocol == LABELS:
        chosen = [k for k in both if k not in looked_at and (not keypoints or k in keypoints)]
        if not chosen:
            which = f"none of {', '.join(keypoints)}" if keypoints else "no keypoint"
            problem = f"labels {which} that the predictor knows and that is not looked at as an input"
            raise InputError.single(path, "", problem, "--held-out judges the labels that are looked at, too")
        # A derivable keypoint is only predicted where a parent is missing: learn it where both are.
        plain = [k for k in chosen if k not in MIDPOINTS]
        derived = [k for k in chosen if k in MIDPOINTS]
        return [
            *([calibration_set(plain, looked_at)] if plain else []),
            *(calibration_set([k], _unrelated(k, looked_at)) for k in derived),
        ]
    pairs = _pairs(skeleton, [k for k in (joints or looked_at) if k in both], both)
    if not pairs:
        raise InputError.single(path, "", "has no joint that the predictor knows and that could be held out")
    return [calibration_set(pair, [k for k in looked_at if k not in pair]) for pair in pairs]


def with_reviews(
    calibration_sets: Sequence[CalibrationSet],
) -> tuple[list[tuple[CalibrationSet, tuple[CalibrationSet, ...]]], list[str]]:
    """Each calibration_set with the reviews that are learned from together with it, and what to tell about the reviews.

    Labels of a keypoint and decisions on it are one set. Decisions on a keypoint without labels are a set of their own,
    if there are enough. Held-out joints stay alone: nobody reviews them.
    """
    reviews = [calibration_set for calibration_set in calibration_sets if calibration_set.reviewed is not None]
    notes = [calibration_set.note for calibration_set in reviews if calibration_set.note]
    others = [calibration_set for calibration_set in calibration_sets if calibration_set.reviewed is None]
    labelled = {
        k for calibration_set in others if calibration_set.truth.protocol == LABELS for k in calibration_set.keypoints
    }
    arranged: list[tuple[CalibrationSet, tuple[CalibrationSet, ...]]] = []
    for calibration_set in others:
        heard = (
            [_heard(r, calibration_set.keypoints) for r in reviews] if calibration_set.truth.protocol == LABELS else []
        )
        arranged.append((calibration_set, tuple(r for r in heard if r is not None)))
    for calibration_set in reviews:
        counts = _decisions(calibration_set)
        few = {k: n for k, n in counts.items() if k in labelled and 0 < n < MIN_DECISIONS}
        if few:
            notes.append(
                f"{calibration_set.path}: {_listed(few)}; {MIN_DECISIONS} are needed to be heard beside labels, "
                "which speak alone there"
            )
    told: set[str] = set()
    for i, calibration_set in enumerate(reviews):
        counts = _decisions(calibration_set)
        left = [k for k in calibration_set.keypoints if k not in labelled and k not in told and counts[k]]
        few = {k: counts[k] for k in left if counts[k] < MIN_POINTS}
        if few:
            notes.append(
                f"{calibration_set.path}: {_listed(few)}; {MIN_POINTS} are needed without labels: no calibration "
                "(--truth gives "
                "labels)"
            )
        enough = [k for k in left if counts[k] >= MIN_POINTS]
        plain = [k for k in enough if k not in MIDPOINTS]
        groups = [(plain, calibration_set.inputs)] if plain else []
        groups += [([k], _unrelated(k, calibration_set.inputs)) for k in enough if k in MIDPOINTS]
        for keypoints, inputs in groups:
            heard = [_heard(r, keypoints) for r in reviews[i + 1 :]]
            arranged.append((calibration_set.alone(keypoints, inputs), tuple(r for r in heard if r is not None)))
            told |= {*keypoints}
    return arranged, notes


def _heard(calibration_set: CalibrationSet, keypoints: Sequence[str]) -> CalibrationSet | None:
    """The review with those of `keypoints` that it has enough decisions on; None where it has none of them."""
    counts = _decisions(calibration_set)
    enough = [k for k in keypoints if counts.get(k, 0) >= MIN_DECISIONS]
    if not enough or calibration_set.reviewed is None:
        return None
    return replace(calibration_set, keypoints=tuple(enough), reviewed=calibration_set.reviewed.only(enough))


def _decisions(calibration_set: CalibrationSet) -> dict[str, int]:
    assert calibration_set.reviewed is not None
    return dict(
        zip(calibration_set.reviewed.keypoints, calibration_set.reviewed.decided.sum(axis=0).tolist(), strict=True)
    )


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


def _unrelated(keypoint: str, inputs: Sequence[str]) -> tuple[str, ...]:
    """The inputs that a derivable keypoint does not follow from: it is only predicted where a parent is missing."""
    return tuple(i for i in inputs if i not in MIDPOINTS[keypoint])


def _pairs(skeleton: Skeleton, joints: Sequence[str], known: Sequence[str]) -> list[tuple[str, ...]]:
    """Each joint with its mirror partner, where that is known too."""
    pairs = [pair for pair in skeleton.flip_pairs if set(pair) <= set(known)]
    partner = {k: pair for pair in pairs for k in pair}
    return list(dict.fromkeys(partner.get(k, (k,)) for k in joints))


def _check_names(path: Path, skeleton: Skeleton, predicted: Skeleton, names: Sequence[str]) -> None:
    """Raises InputError for names that neither know: what one file lacks another may have."""
    unknown = [k for k in dict.fromkeys(names) if k not in skeleton.index and k not in predicted.index]
    if unknown:
        known = dict.fromkeys((*skeleton.keypoints, *predicted.keypoints))
        raise InputError(
            Problem(
                str(path), k, "neither this file nor the predictor has such a keypoint", f"there are {', '.join(known)}"
            )
            for k in unknown
        )
