"""What people do: joint angles in degrees, as a mixture of postures, each a mean and a spread per angle.

Angles of the trunk: `tilt` (whole body, + backward), `roll` (whole body, sideways), `bend` (trunk forward), `lean`
(trunk sideways), `twist`, `head_yaw`, `head_pitch` (+ down), `head_roll`. Angles of each side: `abduct` (arm away from
the body), `flex` (arm forward), `spin` (upper arm about its axis, - inward), `elbow`, `hip_flex`, `hip_abduct`,
`hip_spin`, `knee`, `ankle`. A posture names both sides at once (``elbow``) or one of them (``a.elbow``, ``b.elbow``);
which of left and right is side a is a coin's throw per person.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from annotext.synth.draws import Draws

TRUNK = ("tilt", "roll", "bend", "lean", "twist", "head_yaw", "head_pitch", "head_roll")
LIMBS = ("abduct", "flex", "spin", "elbow", "hip_flex", "hip_abduct", "hip_spin", "knee", "ankle")

# What a joint allows, in degrees.
_LIMITS = {
    "head_yaw": (-72, 72),
    "head_pitch": (-40, 50),
    "head_roll": (-28, 28),
    "bend": (-25, 100),
    "lean": (-35, 35),
    "twist": (-45, 45),
    "abduct": (3, 172),
    "flex": (-55, 165),
    "spin": (-85, 80),
    "elbow": (2, 145),
    "hip_flex": (-32, 125),
    "hip_abduct": (0, 75),
    "hip_spin": (-30, 45),
    "knee": (0, 140),
    "ankle": (-25, 40),
}

_STILL = {
    "tilt": (0, 3),
    "roll": (0, 2),
    "bend": (4, 6),
    "lean": (0, 4),
    "twist": (0, 7),
    "head_yaw": (0, 26),
    "head_pitch": (6, 11),
    "head_roll": (0, 6),
    "abduct": (11, 5),
    "flex": (3, 10),
    "spin": (-20, 22),
    "elbow": (20, 14),
    "hip_flex": (3, 5),
    "hip_abduct": (4, 3),
    "hip_spin": (6, 8),
    "knee": (6, 6),
    "ankle": (0, 4),
}
_ACTIVE = {
    **_STILL,
    "tilt": (0, 9),
    "roll": (0, 9),
    "bend": (12, 14),
    "lean": (0, 11),
    "twist": (0, 16),
    "head_yaw": (0, 30),
    "head_pitch": (2, 15),
    "head_roll": (0, 10),
    "abduct": (35, 22),
    "flex": (20, 25),
    "spin": (-10, 35),
    "elbow": (55, 35),
    "hip_abduct": (12, 9),
    "hip_spin": (8, 12),
    "ankle": (8, 10),
}

Angles = Mapping[str, tuple[float, float]]


def _posture(base: Angles, angles: Angles) -> Angles:
    return MappingProxyType({**base, **angles})


POSTURES: Mapping[str, Angles] = MappingProxyType(
    {
        "stand": _posture(_STILL, {}),
        "walk": _posture(
            _STILL,
            {
                "a.hip_flex": (26, 8),
                "b.hip_flex": (-14, 6),
                "a.knee": (10, 7),
                "b.knee": (28, 14),
                "a.flex": (-22, 10),
                "b.flex": (24, 10),
                "elbow": (28, 14),
            },
        ),
        "sit": _posture(
            _STILL,
            {
                "bend": (8, 11),
                "hip_flex": (84, 9),
                "hip_abduct": (11, 8),
                "knee": (84, 16),
                "flex": (28, 17),
                "elbow": (58, 26),
                "spin": (-32, 24),
            },
        ),
        "phone": _posture(
            _STILL,
            {
                "a.flex": (34, 12),
                "a.elbow": (108, 14),
                "a.spin": (-32, 18),
                "a.abduct": (14, 6),
                "head_pitch": (18, 11),
            },
        ),
        "wave": _posture(_STILL, {"a.abduct": (118, 26), "a.elbow": (48, 28), "a.spin": (30, 30)}),
        "hands_on_hips": _posture(_STILL, {"abduct": (42, 7), "flex": (-12, 8), "elbow": (88, 10), "spin": (-64, 9)}),
        "carry": _posture(_STILL, {"flex": (18, 9), "elbow": (86, 12), "spin": (-28, 14), "bend": (-2, 5)}),
        "reach": _posture(_STILL, {"a.flex": (78, 24), "a.elbow": (22, 16), "b.flex": (24, 25), "bend": (14, 12)}),
        "bend_over": _posture(
            _STILL, {"bend": (58, 16), "hip_flex": (12, 9), "knee": (18, 13), "flex": (60, 18), "head_pitch": (0, 14)}
        ),
        "crouch": _posture(
            _STILL,
            {
                "bend": (24, 12),
                "hip_flex": (98, 13),
                "knee": (122, 10),
                "hip_abduct": (16, 9),
                "ankle": (20, 7),
                "flex": (42, 18),
                "elbow": (55, 25),
            },
        ),
        "lie": _posture(_STILL, {"roll": (86, 7), "hip_flex": (22, 20), "knee": (30, 24), "flex": (25, 30)}),
        "run": _posture(
            _ACTIVE,
            {
                "tilt": (-7, 6),
                "roll": (0, 4),
                "a.hip_flex": (62, 14),
                "a.knee": (84, 24),
                "b.hip_flex": (-18, 9),
                "b.knee": (42, 26),
                "a.flex": (-38, 13),
                "b.flex": (44, 14),
                "abduct": (18, 8),
                "elbow": (90, 16),
                "hip_abduct": (4, 4),
            },
        ),
        "jump": _posture(
            _ACTIVE, {"hip_flex": (28, 26), "knee": (58, 34), "abduct": (118, 36), "elbow": (38, 26), "ankle": (30, 8)}
        ),
        "kick": _posture(
            _ACTIVE,
            {
                "tilt": (8, 7),
                "a.hip_flex": (72, 20),
                "a.knee": (22, 18),
                "b.knee": (14, 11),
                "b.hip_flex": (-4, 8),
                "abduct": (58, 24),
                "elbow": (40, 22),
            },
        ),
        "throw": _posture(
            _ACTIVE,
            {
                "a.abduct": (108, 22),
                "a.elbow": (84, 28),
                "a.spin": (50, 24),
                "b.flex": (58, 22),
                "b.elbow": (32, 20),
                "twist": (0, 24),
                "b.hip_flex": (32, 15),
                "a.hip_flex": (-10, 9),
                "knee": (24, 16),
            },
        ),
        "lunge": _posture(
            _ACTIVE,
            {
                "a.hip_flex": (84, 12),
                "a.knee": (88, 12),
                "b.hip_flex": (-22, 8),
                "b.knee": (28, 18),
                "abduct": (58, 38),
                "elbow": (36, 28),
            },
        ),
        "star": _posture(
            _ACTIVE, {"hip_abduct": (34, 13), "abduct": (98, 26), "flex": (0, 10), "elbow": (18, 16), "knee": (10, 9)}
        ),
        "squat": _posture(
            _ACTIVE,
            {
                "bend": (24, 12),
                "hip_flex": (88, 16),
                "knee": (108, 16),
                "hip_abduct": (24, 8),
                "abduct": (96, 46),
                "elbow": (48, 36),
                "ankle": (20, 6),
            },
        ),
        "swing": _posture(
            _ACTIVE,
            {
                "bend": (24, 10),
                "twist": (0, 28),
                "flex": (62, 18),
                "abduct": (16, 8),
                "spin": (-42, 14),
                "elbow": (28, 16),
                "hip_flex": (18, 10),
                "knee": (24, 12),
                "hip_abduct": (13, 6),
            },
        ),
        "ski": _posture(
            _ACTIVE,
            {
                "bend": (40, 13),
                "hip_flex": (58, 13),
                "knee": (74, 14),
                "flex": (34, 14),
                "elbow": (78, 20),
                "tilt": (-6, 6),
            },
        ),
        "cycle": _posture(
            _ACTIVE,
            {
                "bend": (44, 12),
                "a.hip_flex": (88, 14),
                "b.hip_flex": (48, 14),
                "a.knee": (98, 16),
                "b.knee": (46, 18),
                "flex": (72, 10),
                "elbow": (24, 12),
                "abduct": (10, 4),
                "hip_abduct": (4, 3),
                "head_pitch": (-18, 10),
            },
        ),
        "handstand": _posture(_ACTIVE, {"roll": (180, 12), "abduct": (160, 8), "elbow": (8, 7), "hip_flex": (8, 18)}),
    }
)


def sample_angles(
    draws: Draws, weights: Mapping[str, float]
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.bool_]]:
    """Angles in radians, each (N,), under `TRUNK` names and ``left.NAME`` / ``right.NAME`` for `LIMBS`; and who sits.

    `weights` gives each posture its share. Raises KeyError for an unknown posture.
    """
    names = tuple(weights)
    index = draws.choice([weights[n] for n in names])
    a_is_left = draws.uniform() < 0.5
    angles: dict[str, NDArray[np.float64]] = {}

    def sample(keys: list[tuple[str, str]], limit: str) -> list[NDArray[np.float64]]:
        low, high = _LIMITS.get(limit, (-360, 360))
        sampled = []
        for specific, general in keys:
            spec = np.array([POSTURES[n].get(specific, POSTURES[n][general]) for n in names], dtype=np.float64)[index]
            sampled.append(np.radians(np.clip(draws.normal(spec[:, 0], spec[:, 1]), low, high)))
        return sampled

    for name in TRUNK:
        (angles[name],) = sample([(name, name)], name)
    for name in LIMBS:
        a, b = sample([(f"a.{name}", name), (f"b.{name}", name)], name)
        angles[f"left.{name}"] = np.where(a_is_left, a, b)
        angles[f"right.{name}"] = np.where(a_is_left, b, a)
    # Rolls and leans go to either side.
    for name in ("roll", "lean"):
        angles[name] = np.where(a_is_left, angles[name], -angles[name])
    sits = np.array([n == "sit" for n in names])[index]
    return angles, sits
