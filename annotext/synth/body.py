"""The articulated 3-D body: proportions, joints and frames of N people, in arithmetic over all of them at once.

Space of a body: origin between the hip joints; unit = the person's standing height; x to the person's left, y down, z
forward. Viewed with yaw 0 the person faces the viewer: x is the picture's right and z points at the viewer. Frames are
(N, 3, 3) matrices whose columns are the part's own left, down and forward.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from annotext.synth.draws import Draws

Array = NDArray[np.float64]

SIDES = ("left", "right")
_SIGN = {"left": 1.0, "right": -1.0}


def rotation(axis: str, angle: ArrayLike) -> Array:
    """(N, 3, 3) right-hand rotations about x, y or z; `angle` (N,) in radians."""
    a = np.asarray(angle, dtype=np.float64)
    c, s = np.cos(a), np.sin(a)
    matrix = np.zeros((*a.shape, 3, 3))
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    k = 3 - i - j
    matrix[..., k, k] = 1.0
    matrix[..., i, i] = matrix[..., j, j] = c
    matrix[..., i, j], matrix[..., j, i] = -s, s
    return matrix


def vector(x: ArrayLike, y: ArrayLike, z: ArrayLike) -> Array:
    """(N, 3) or (3,) from scalars and (N,) arrays."""
    return np.stack(np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (x, y, z))), axis=-1)


def turn(frame: Array, local: Array) -> Array:
    """(N, 3, 3) frames on (N, 3) or (3,) local vectors -> (N, 3)."""
    return np.einsum("nij,nj->ni", frame, np.broadcast_to(local, (len(frame), 3)))


@dataclass(frozen=True)
class Bodies:
    """N posed people.

    points: name -> (N, 3). Joints (``left_elbow``), the face and further points to draw from (``left_hand``,
        ``left_big_toe``, ``waist``, ...). `pelvis` and `thorax` are the anatomical ones of the harder world:
        each person's own point off the midpoints.
    frames: `root` (pelvis), `chest`, `head` -> (N, 3, 3).
    head_length: (N,) neck to head top. width: (N,) stoutness factor about 1.
    female: (N,) bool; child: (N,) bool. stature: (N,) height relative to an adult's.
    """

    points: Mapping[str, Array]
    frames: Mapping[str, Array]
    head_length: Array
    width: Array
    female: NDArray[np.bool_]
    child: NDArray[np.bool_]
    stature: Array


def pose_bodies(angles: Mapping[str, Array], yaw: Array, elevation: Array, draws: Draws) -> Bodies:
    """Forward kinematics. `angles` in radians from `postures.sample_angles`; `yaw` (N,) turns the person about the
    vertical, `elevation` (N,) is the camera's height angle (+ looks down), both in radians."""
    n = len(draws)
    child = draws.uniform() < 0.12
    female = draws.uniform() < 0.5
    younger = np.where(child, 1.0, 0.0)
    head = 0.142 * draws.factor(0.05) * (1 + 0.30 * younger)
    trunk = 0.285 * draws.factor(0.05)
    neck = 0.050 * draws.factor(0.12)
    thigh = 0.245 * draws.factor(0.05) * (1 - 0.10 * younger)
    shin = 0.240 * draws.factor(0.05) * (1 - 0.10 * younger)
    upper_arm = 0.168 * draws.factor(0.05)
    forearm = 0.148 * draws.factor(0.05)
    shoulder = np.where(female, 0.096, 0.106) * draws.factor(0.07)
    hip = np.where(female, 0.058, 0.053) * draws.factor(0.08)
    width = draws.factor(0.14) * (1 + 0.08 * younger)
    stature = np.where(child, 0.68, np.where(female, 0.95, 1.02)) * draws.factor(0.05)

    root = rotation("x", elevation) @ rotation("y", yaw) @ rotation("z", angles["roll"]) @ rotation("x", angles["tilt"])
    chest = root @ rotation("y", angles["twist"]) @ rotation("x", -angles["bend"]) @ rotation("z", angles["lean"])
    # People look where they are going: half the bend is taken back by the neck.
    nod = np.clip(angles["head_pitch"] * -1.0 + angles["bend"] * 0.5, -0.8, 0.9)
    skull = chest @ rotation("y", angles["head_yaw"]) @ rotation("x", nod) @ rotation("z", angles["head_roll"])

    base = np.zeros((n, 3))
    waist = turn(root, vector(0, -0.40 * trunk, 0.006))
    top = waist + turn(chest, vector(0, -0.60 * trunk, 0))
    upper_neck = top + turn(chest, vector(0, -neck * 0.9, 0.016)) + turn(skull, vector(0, -neck * 0.1, 0))
    points: dict[str, Array] = {
        "hips": base,
        "waist": waist,
        "shoulders": top,
        "upper_neck": upper_neck,
        "neck_base": top + turn(chest, vector(0, 0.004, 0.002)),
        # The harder world: a sacrum-like pelvis above and behind, a notch-like thorax above and before the midpoints.
        "pelvis": turn(root, vector(draws.normal(0, 0.004), draws.normal(-0.026, 0.010), draws.normal(-0.012, 0.010))),
        "thorax": top
        + turn(chest, vector(draws.normal(0, 0.004), draws.normal(-0.018, 0.010), draws.normal(0.020, 0.010))),
    }
    for name, (x, y, z) in _HEAD_POINTS.items():
        points[name] = upper_neck + turn(skull, head[:, None] * np.array([x, y, z]))
    for side in SIDES:
        sign = _SIGN[side]
        a = {name: angles[f"{side}.{name}"] for name in _SIDE_ANGLES}
        # A raised arm lifts its shoulder.
        lift = np.clip((a["abduct"] - 1.0) / 1.8, 0, 1) + np.clip((a["flex"] - 1.0) / 1.8, 0, 1)
        at_shoulder = top + turn(chest, vector(sign * shoulder * (1 - 0.10 * lift), 0.030 - 0.036 * lift, 0.004))
        arm = chest @ rotation("z", -sign * a["abduct"]) @ rotation("x", a["flex"]) @ rotation("y", sign * a["spin"])
        at_elbow = at_shoulder + turn(arm, vector(0, upper_arm, 0))
        lower = arm @ rotation("x", a["elbow"])
        at_wrist = at_elbow + turn(lower, vector(0, forearm, 0))
        at_hip = turn(root, vector(sign * hip, 0.018, 0))
        leg = (
            root
            @ rotation("z", -sign * a["hip_abduct"])
            @ rotation("x", a["hip_flex"])
            @ rotation("y", sign * a["hip_spin"])
        )
        at_knee = at_hip + turn(leg, vector(0, thigh, 0))
        calf = leg @ rotation("x", -a["knee"])
        at_ankle = at_knee + turn(calf, vector(0, shin, 0))
        foot = calf @ rotation("x", -a["ankle"])
        points |= {
            f"{side}_shoulder": at_shoulder,
            f"{side}_elbow": at_elbow,
            f"{side}_wrist": at_wrist,
            f"{side}_hand": at_wrist + turn(lower, vector(0, 0.052, 0.004)),
            f"{side}_thumb": at_wrist + turn(lower, vector(-sign * 0.010, 0.034, 0.022)),
            f"{side}_hip": at_hip,
            f"{side}_knee": at_knee,
            f"{side}_ankle": at_ankle,
            f"{side}_heel": at_ankle + turn(foot, vector(0, 0.030, -0.026)),
            f"{side}_ball": at_ankle + turn(foot, vector(sign * 0.004, 0.036, 0.066)),
            f"{side}_toe": at_ankle + turn(foot, vector(sign * 0.006, 0.038, 0.098)),
            f"{side}_big_toe": at_ankle + turn(foot, vector(-sign * 0.008, 0.040, 0.106)),
            f"{side}_small_toe": at_ankle + turn(foot, vector(sign * 0.026, 0.040, 0.084)),
        }
    return Bodies(
        points=points,
        frames={"root": root, "chest": chest, "head": skull},
        head_length=head,
        width=width,
        female=female,
        child=child,
        stature=stature,
    )


_SIDE_ANGLES = ("abduct", "flex", "spin", "elbow", "hip_flex", "hip_abduct", "hip_spin", "knee", "ankle")

# In the head's frame, from the upper neck, in head lengths: left, down, forward. The skull is the ellipsoid of
# `figure`; eyes, ears and nose tip lie on it.
_HEAD_POINTS = {
    "skull": (0.0, -0.55, 0.09),
    "head_top": (0.0, -1.0, 0.03),
    "chin": (0.0, -0.14, 0.30),
    "nose": (0.0, -0.41, 0.57),
    "left_eye": (0.155, -0.535, 0.445),
    "right_eye": (-0.155, -0.535, 0.445),
    "left_ear": (0.345, -0.49, 0.05),
    "right_ear": (-0.345, -0.49, 0.05),
    "crown_back": (0.0, -0.62, -0.22),
    "nape": (0.0, 0.02, -0.16),
    "tail": (0.0, -0.10, -0.42),
}
