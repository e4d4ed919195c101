"""Object keypoint similarity, as the COCO evaluation computes it, and the sigma sets it can be computed with.

Source: cocodataset/cocoapi PythonAPI/pycocotools/cocoeval.py, COCOeval.computeOks.
N people, K keypoints.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotext.core.skeleton import Skeleton
from annotext.core.skeletons import BUILT_IN, MMPOSE_HALPE26_SIGMAS


@dataclass(frozen=True)
class SigmaSet:
    """Named OKS sigmas: per keypoint the standard deviation relative to sqrt(area), and where they come from."""

    name: str
    sigmas: dict[str, float]
    source: str

    def array(self, keypoints: Iterable[str]) -> NDArray[np.float64]:
        """(K,) float64 in the order of `keypoints`. Raises KeyError naming the set for a keypoint it lacks."""
        try:
            return np.array([self.sigmas[k] for k in keypoints])
        except KeyError as error:
            raise KeyError(f"sigma set {self.name} has no keypoint {error.args[0]}") from None

    @classmethod
    def of(cls, skeleton: Skeleton) -> SigmaSet:
        """The sigmas a skeleton carries, under its name."""
        return cls(skeleton.name, dict(skeleton.sigmas), skeleton.sigma_source)


SIGMA_SETS: dict[str, SigmaSet] = {name: SigmaSet.of(skeleton) for name, skeleton in BUILT_IN.items()} | {
    "mmpose-halpe26": SigmaSet(
        "mmpose-halpe26", MMPOSE_HALPE26_SIGMAS, "MMPose 1.3.2 configs/_base_/datasets/halpe26.py"
    ),
}


def oks(
    truth_xy: NDArray[np.float64],
    predicted_xy: NDArray[np.float64],
    area: NDArray[np.float64],
    sigmas: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(N,) float64 in [0, 1]: how well each person's prediction meets the truth.

    truth_xy: (N, K, 2) image pixels, NaN where not labelled; only labelled points count. predicted_xy: (N, K, 2),
    NaN where nothing is predicted, which counts as infinitely far (never as a match). area: (N,) square pixels of
    the true person. sigmas: (K,).

    NaN for a person without a labelled keypoint or of unknown area. (COCO's evaluation *ignores* people without
    labelled keypoints; the distance to their doubled box it computes for them only decides which surplus detections
    are ignored with them, see evaluation/average_precision.py.)
    """
    labelled = np.isfinite(truth_xy).all(axis=-1)
    squared = ((predicted_xy - truth_xy) ** 2).sum(axis=-1)
    squared = np.where(np.isfinite(squared), squared, np.inf)
    variance = (2 * sigmas) ** 2
    # COCO's own guard against an area of zero.
    exponent = squared / variance / (area[:, None] + np.spacing(1)) / 2
    similarity = np.where(labelled, np.exp(-exponent), 0.0).sum(axis=1)
    count = labelled.sum(axis=1)
    return np.where(count > 0, similarity / np.maximum(count, 1), np.nan)
