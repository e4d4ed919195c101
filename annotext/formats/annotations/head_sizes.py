"""Head sizes of MPII people from the official .mat files, for PCKh.

Two files go round. `mpii_gt_val.mat` (HRNet's gt_valid.mat) holds one column per record of the validation JSON, in the
same order: `headboxes_src` (2, 2, N), `pos_gt_src` (16, 2, N), `jnt_missing` (16, N). The release,
`mpii_human_pose_v1_u12_1.mat`, holds every image with its people, and a person is found in it by image and joints.
Both count pixels from 1. N people.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.errors import InputError
from annotext.core.poses import Poses
from annotext.core.skeletons import MPII16
from annotext.formats.annotations.records import box_head_size

# The .mat and the JSON hold the same labels; files converted by others round to whole pixels.
SAME_POINT_PX = 2.0


def with_head_sizes(poses: Poses, path: str | Path) -> Poses:
    """The same people with head sizes from an official .mat; NaN for people who are not in it.

    Raises InputError if the file is not one of the two, or its people are not the people of `poses`.
    """
    path = Path(path)
    content = _load(path)
    if "headboxes_src" in content:
        return replace(poses, head_size=_from_validation(poses, content, path))
    if "RELEASE" in content:
        return replace(poses, head_size=_from_release(poses, content["RELEASE"], path))
    raise InputError.single(
        path, "", "holds neither headboxes_src nor RELEASE", "give mpii_gt_val.mat or mpii_human_pose_v1_u12_1.mat"
    )


def _load(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat

    try:
        return loadmat(path, struct_as_record=False, squeeze_me=False)
    except OSError as error:
        raise InputError.single(path, "", f"cannot be read ({error.strerror or error})") from None
    except Exception as error:  # scipy raises a dozen kinds for a file that is something else or cut short
        raise InputError.single(path, "", f"is no MATLAB file that can be read ({error})") from None


def _from_validation(poses: Poses, content: dict[str, Any], path: Path) -> NDArray[np.float64]:
    boxes = np.asarray(content["headboxes_src"], dtype=np.float64)
    n = len(poses)
    if boxes.shape != (2, 2, n):
        raise InputError.single(
            path, "headboxes_src", f"is {boxes.shape}, expected (2, 2, {n}): one box per person of the truth, in order"
        )
    if "pos_gt_src" in content:
        where = np.moveaxis(np.asarray(content["pos_gt_src"], dtype=np.float64), -1, 0) - 1
        mine = poses.to(MPII16).xy
        if where.shape != mine.shape:
            raise InputError.single(path, "pos_gt_src", f"is {where.shape[1:]} per person, expected (16, 2)")
        far = np.linalg.norm(where - mine, axis=-1) > SAME_POINT_PX
        if far.any():
            person = int(np.flatnonzero(far.any(axis=1))[0])
            raise InputError.single(
                path,
                f"pos_gt_src[..., {person}]",
                f"is another person than record {person} of the truth ({int(far.any(axis=1).sum())} of {n} differ)",
                "the two files must list the same people in the same order",
            )
    return box_head_size(boxes.reshape(4, n).T)


def _from_release(poses: Poses, release: Any, path: Path) -> NDArray[np.float64]:
    size = np.full(len(poses), np.nan)
    mine = poses.to(MPII16).xy
    people: dict[str, list[int]] = {}
    for row, name in enumerate(poses.file_names()):
        people.setdefault(Path(name).name, []).append(row)
    for entry in release[0, 0].annolist.reshape(-1):
        rows = people.get(str(entry.image[0, 0].name[0]))
        if not rows or not entry.annorect.size:
            continue
        for rect in entry.annorect.reshape(-1):
            joints = _release_joints(rect)
            if joints is None or not hasattr(rect, "x1") or not rect.x1.size:
                continue
            with np.errstate(invalid="ignore"):
                distance = np.linalg.norm(mine[rows] - joints, axis=-1)
            same = (distance <= SAME_POINT_PX) | np.isnan(distance)
            for row in np.array(rows)[same.all(axis=1) & np.isfinite(distance).any(axis=1)]:
                corners = [float(getattr(rect, key)[0, 0]) for key in ("x1", "y1", "x2", "y2")]
                size[row] = box_head_size(np.array(corners))
    if len(poses) and not np.isfinite(size).any():
        raise InputError.single(path, "RELEASE", "holds none of the people of the truth")
    return size


def _release_joints(rect: Any) -> NDArray[np.float64] | None:
    """(16, 2) 0-based image pixels of one `annorect`, NaN where not annotated; None without any."""
    if not hasattr(rect, "annopoints") or not rect.annopoints.size or not hasattr(rect.annopoints[0, 0], "point"):
        return None
    joints = np.full((len(MPII16), 2), np.nan)
    for point in rect.annopoints[0, 0].point.reshape(-1):
        joints[int(point.id[0, 0])] = float(point.x[0, 0]) - 1, float(point.y[0, 0]) - 1
    return joints
