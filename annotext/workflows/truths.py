"""What calibration may learn from: annotation files whose people know more than what they will be asked for.

A truth is a protocol, a file, the predictions made on it, the labelled keypoints that may be looked at, and those
whose truth the file holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from annotext.core.derive import MIDPOINTS
from annotext.core.poses import Poses
from annotext.core.predictions import Predictions
from annotext.core.problems import AnnotextError, InputError, Problem
from annotext.core.skeleton import Skeleton
from annotext.core.skeletons import COCO17, MPII16
from annotext.core.trust import Truth
from annotext.formats.annotations import read_annotations
from annotext.formats.head_sizes import with_head_sizes
from annotext.formats.predictions import read_predictions, read_predictions_header

# Keypoints that the file labels and the target file will lack: another data set, or Halpe, is the truth.
LABELS = "labels"
# Keypoints that both label, hidden in turn as if nobody had labelled them.
HELD_OUT = "held-out joints"

# What COCO and MPII both label: learned from these on one of them, it serves the other.
SHARED = COCO17.shared_with(MPII16)


@dataclass(frozen=True)
class Lesson:
    """One truth. poses and predictions: rows aligned, the same N people; the first prediction is the judged one.

    inputs: labelled keypoints that may be looked at; keypoints: whose truth is known. Neither holds one of the other.
    truth: what a calibration says about it. path: the annotation file. skipped: records left out.
    """

    poses: Poses
    predictions: tuple[Predictions, ...]
    inputs: tuple[str, ...]
    keypoints: tuple[str, ...]
    truth: Truth
    path: Path
    skipped: tuple[Problem, ...] = ()


def read_lessons(
    truths: Sequence[Path],
    held_out: Sequence[Path],
    predictions: Sequence[Path],
    *,
    predictor_sha256: str,
    keypoints: Sequence[str] = (),
    inputs: Sequence[str] = (),
    joints: Sequence[str] = (),
    head_sizes: Path | None = None,
    skip_bad: bool = False,
) -> list[Lesson]:
    """One lesson per file of `truths`, and one per pair of joints of each file of `held_out`.

    predictions: parquet files; each belongs to the annotation file whose sha256 it names, several may belong to one.
    keypoints: only these; default all the file labels beyond the inputs. inputs: default the keypoints COCO and MPII
    share. joints: what is held out in turn, with its mirror partner; default every input. Of all three only what the
    predictor knows is taken.
    Raises InputError or AnnotextError for what does not fit together, all files' problems at once.
    """
    made_on: dict[str, list[Path]] = {}
    for path in predictions:
        made_on.setdefault(read_predictions_header(path).input_sha256, []).append(path)
    lessons: list[Lesson] = []
    problems: list[Problem] = []
    for protocol, path in [*((LABELS, p) for p in truths), *((HELD_OUT, p) for p in held_out)]:
        try:
            lessons += _read(
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
    if not lessons:
        raise AnnotextError("nothing to learn from: give --truth or --held-out, with --predictions made on the file")
    return lessons


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
) -> list[Lesson]:
    file = read_annotations(path, skip_bad=skip_bad)
    if file.additions is not None:
        hint = "what annotext added is no truth; give the file it was made from, or strip it"
        raise InputError.single(path, "", "is an extended file", hint)
    hint = f"annotext predict {path} --images DIR --predictor RUN --passes flip,shift -o PREDICTIONS.parquet"
    if file.sha256 not in made_on:
        raise InputError.single(path, "", "none of the given --predictions were made on this file as it is now", hint)
    said = [p for parquet in made_on[file.sha256] for p in read_predictions(parquet)]
    own = [p for p in said if p.predictor.sha256 == predictor_sha256]
    if not own:
        who = ", ".join(f"{p.predictor.name} ({p.predictor.sha256[:12]})" for p in said)
        problem = f"holds predictions of {who}, not of the predictor to calibrate ({predictor_sha256[:12]})"
        raise InputError.single(made_on[file.sha256][0], "", problem, hint)
    poses = with_head_sizes(file.poses, head_sizes) if head_sizes is not None and file.kind == "mpii" else file.poses
    known = np.isin(poses.ids, own[0].ids) & ~poses.crowd & poses.has_keypoints
    poses = poses.take(known)
    ordered = [own[0].take(poses.ids), *(p for p in said if p.predictor.sha256 != predictor_sha256)]
    skeleton, predicted = poses.skeleton, own[0].skeleton
    both = [k for k in skeleton.keypoints if k in predicted.index]
    looked_at = tuple(k for k in (inputs or SHARED) if k in both)
    _check_names(path, skeleton, predicted, (*keypoints, *inputs, *joints))

    def lesson(chosen: Sequence[str], seen: Sequence[str]) -> Lesson:
        columns = skeleton.indices(chosen)
        people = int(poses.labelled[:, columns].any(axis=1).sum())
        truth = Truth(protocol, path.name, file.sha256, people)
        return Lesson(poses, tuple(ordered), tuple(seen), tuple(chosen), truth, path, file.skipped)

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
            *([lesson(plain, looked_at)] if plain else []),
            *(lesson([k], [i for i in looked_at if i not in MIDPOINTS[k]]) for k in derived),
        ]
    pairs = _pairs(skeleton, [k for k in (joints or looked_at) if k in both], both)
    if not pairs:
        raise InputError.single(path, "", "has no joint that the predictor knows and that could be held out")
    return [lesson(pair, [k for k in looked_at if k not in pair]) for pair in pairs]


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
