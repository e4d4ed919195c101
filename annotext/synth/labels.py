"""What annotators write down: noise, annotation conventions and omissions, on top of what is true.

Truth. 21 keypoints without noise. **Default world** (`harder=False`): pelvis and thorax are what MPII's files hold,
the midpoints (in the picture) of the true hips and shoulders, up to a small offset of each person's own (normal, sigma
`OWN_OFFSET` head sizes per axis). **Harder world** (`harder=True`): pelvis and thorax are anatomical points of the 3-D
body, off the midpoints by a common amount and by each person's own (see `body`), and annotators label those.

Labels. A keypoint's noise is normal with `NOISE` of its OKS sigma, relative to the square root of the visible area,
times the annotator's carelessness; `HIDDEN_FACTOR` times that where hidden; never below `LEAST_NOISE` pixels. In the
default world MPII's pelvis and thorax and Halpe's hip are computed from the *labelled* hips and shoulders where both
are labelled, plus the person's own offset; where one is missing they are clicked like any other keypoint.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotext.core.derive import MIDPOINTS
from annotext.core.skeletons import HALPE26, UNION21
from annotext.synth.figure import KEYPOINTS
from annotext.synth.scene import Person

NOISE = 0.42
LEAST_NOISE = 0.25
HIDDEN_FACTOR = 2.0
# MPII val: 99.9 % and 99.7 % within 0.1 head size of the midpoint, median 0.006.
OWN_OFFSET = 0.006

_SIGMAS = np.array([UNION21.sigmas.get(k, HALPE26.sigmas.get(k, 0.089)) for k in KEYPOINTS])
_INDEX = {name: i for i, name in enumerate(KEYPOINTS)}
_FACE = np.array([name in KEYPOINTS[:5] for name in KEYPOINTS])


@dataclass(frozen=True)
class Convention:
    """A data set's annotation convention. Shares in [0, 1].

    hidden_labelled: of the body's hidden keypoints in the image. hidden_face_labelled: of the face's.
    seen_missed: of visible keypoints forgotten. blank: people boxed but left without keypoints.
    """

    hidden_labelled: float
    hidden_face_labelled: float
    seen_missed: float
    blank: float


COCO_CONVENTION = Convention(hidden_labelled=0.55, hidden_face_labelled=0.12, seen_missed=0.015, blank=0.012)
MPII_CONVENTION = Convention(hidden_labelled=0.97, hidden_face_labelled=0.0, seen_missed=0.004, blank=0.0)
HALPE_CONVENTION = Convention(hidden_labelled=0.94, hidden_face_labelled=0.8, seen_missed=0.006, blank=0.0)


def head_size(person: Person) -> float:
    """0.6 x the head box's diagonal, pixels (PCKh's unit)."""
    box = person.head_box_xyxy
    return 0.6 * float(np.hypot(box[2] - box[0], box[3] - box[1]))


def own_offsets(rng: np.random.Generator, person: Person) -> NDArray[np.float64]:
    """(2, 2) pixels: this person's pelvis and thorax off the midpoints in the default world."""
    return rng.normal(0, OWN_OFFSET, (2, 2)) * head_size(person)


def true_keypoints(
    person: Person, offsets: NDArray[np.float64], size_wh: tuple[int, int], *, harder: bool
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """(K, 2) float64 pixels and (K,) uint8: the truth under the convention for pelvis and thorax."""
    xy, visibility = person.xy.copy(), person.visibility.copy()
    if not harder:
        for row, (name, parents) in enumerate(MIDPOINTS.items()):
            one, other = (_INDEX[p] for p in parents)
            middle = (xy[one] + xy[other]) / 2 + offsets[row]
            moved_in = bool(((np.rint(middle) >= 0) & (np.rint(middle) < size_wh)).all())
            xy[_INDEX[name]] = middle
            was = int(visibility[_INDEX[name]])
            visibility[_INDEX[name]] = (was or 1) if moved_in else 0
    return xy, visibility


def label(
    rng: np.random.Generator,
    person: Person,
    truth_xy: NDArray[np.float64],
    truth_visibility: NDArray[np.uint8],
    offsets: NDArray[np.float64],
    convention: Convention,
    size_wh: tuple[int, int],
    *,
    harder: bool,
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """(K, 2) float64 pixels and (K,) uint8: what an annotator leaves. Not labelled: (0, 0) and 0."""
    k = len(KEYPOINTS)
    normal, chance = rng.standard_normal((k, 2)), rng.random(k)
    careful, blank = float(np.exp(rng.normal(0, 0.2))), rng.random() < convention.blank
    hidden = truth_visibility == 1
    sigma = np.maximum(
        NOISE * _SIGMAS * np.sqrt(person.area) * careful * np.where(hidden, HIDDEN_FACTOR, 1.0), LEAST_NOISE
    )
    xy = truth_xy + normal * sigma[:, None]
    kept = np.where(
        hidden,
        chance < np.where(_FACE, convention.hidden_face_labelled, convention.hidden_labelled),
        chance >= convention.seen_missed,
    )
    visibility = np.where(kept & (truth_visibility > 0), truth_visibility, 0).astype(np.uint8)
    if not harder:
        for row, (name, parents) in enumerate(MIDPOINTS.items()):
            one, other = (_INDEX[p] for p in parents)
            if visibility[one] and visibility[other]:
                xy[_INDEX[name]] = (xy[one] + xy[other]) / 2 + offsets[row]
    # Nobody can click outside the image.
    xy = np.clip(xy, 0, np.array(size_wh, dtype=np.float64) - 1)
    if blank:
        visibility[:] = 0
    xy[visibility == 0] = 0
    return xy, visibility
