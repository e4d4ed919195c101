"""Random people for the tests: deterministic, of all sizes, some hidden, some unlabelled, some crowds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annotext.core.additions import Source
from annotext.core.poses import Image, Poses
from annotext.core.predictions import Predictions, PredictorIdentity
from annotext.core.skeleton import Skeleton
from annotext.core.skeletons import MPII16

STUDENT = PredictorIdentity("run", "a" * 64, Source.STUDENT)

# Where the keypoints of a standing person are, in tenths or so of the height; x to the person's left, y down.
STANDING = {
    "nose": (0, -6.5), "left_eye": (0.3, -6.8), "right_eye": (-0.3, -6.8), "left_ear": (0.6, -6.6),
    "right_ear": (-0.6, -6.6), "pelvis": (0, 0), "thorax": (0, -5), "upper_neck": (0, -5.8), "head_top": (0, -7.5),
    "left_hip": (0.9, 0), "right_hip": (-0.9, 0), "left_shoulder": (1.6, -5), "right_shoulder": (-1.6, -5),
    "left_knee": (1.1, 4), "right_knee": (-1.1, 4), "left_ankle": (1.2, 8), "right_ankle": (-1.2, 8),
    "left_elbow": (2.2, -2.5), "right_elbow": (-2.2, -2.5), "left_wrist": (2.4, 0), "right_wrist": (-2.4, 0),
}  # fmt: skip


def random_people(
    skeleton: Skeleton,
    n: int = 60,
    images: int = 12,
    seed: int = 0,
    labelled: float = 0.8,
    unlabelled_people: float = 0.1,
    crowds: float = 0.1,
    ids: NDArray[np.int64] | None = None,
) -> Poses:
    """N people of 10 to 400 px with keypoints anywhere in their box."""
    rng = np.random.default_rng(seed)
    k = len(skeleton)
    size = np.exp(rng.uniform(np.log(10), np.log(400), n))
    wh = size[:, None] * rng.uniform(0.5, 1.5, (n, 2))
    corner = rng.uniform(0, 300, (n, 2))
    xy = corner[:, None] + rng.random((n, k, 2)) * wh[:, None]
    visibility = np.where(rng.random((n, k)) < labelled, rng.integers(1, 3, (n, k)), 0).astype(np.uint8)
    visibility[rng.random(n) < unlabelled_people] = 0
    xy[visibility == 0] = np.nan
    return Poses(
        skeleton=skeleton,
        xy=xy,
        visibility=visibility,
        bbox_xywh=np.concatenate([corner, wh], axis=1),
        area=0.6 * wh.prod(axis=1),
        image_index=np.sort(rng.integers(0, images, n)),
        images=tuple(Image(f"{i:03d}.jpg", 640, 480) for i in range(images)),
        ids=np.arange(100, 100 + n) if ids is None else ids,
        crowd=rng.random(n) < crowds,
        head_size=size / 6,
    )


def perturbed(poses: Poses, seed: int = 1, spread: float = 0.05) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N, K, 2) predictions around the truth, worse for some people than for others, and (N,) scores."""
    rng = np.random.default_rng(seed)
    n, k = poses.visibility.shape
    middle = poses.bbox_xywh[:, :2] + poses.bbox_xywh[:, 2:] / 2
    base = np.where(np.isnan(poses.xy), middle[:, None], poses.xy)
    error = spread * np.sqrt(poses.area) * rng.exponential(1.0, n)
    return base + rng.normal(size=(n, k, 2)) * error[:, None, None], rng.random(n)


def predicted(
    poses: Poses, identity: PredictorIdentity = STUDENT, seed: int = 5, score: float | None = None
) -> Predictions:
    """MPII's 16 points for everybody, anywhere inside images of 640 x 480; scores at random, or all `score`."""
    rng = np.random.default_rng(seed)
    n, k = len(poses), len(MPII16)
    xy = (rng.random((n, k, 2)) * (639, 479)).astype(np.float32)
    scores = np.full((n, k), rng.random((n, k)) if score is None else score, dtype=np.float32)
    return Predictions(identity, MPII16, poses.ids, tuple(poses.file_names()), xy, scores)
