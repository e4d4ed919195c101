"""Projects posed bodies into the flat outlines that `paint` fills: N people at once, one table of points per person.

Picture units: pixels per standing height come later (`scene`), so the table is in body heights, x right, y down. Every
outline has a fixed number of points and a fixed place in the table (`OUTLINES`), so that one multiplication turns a
whole person into pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotext.core.skeletons import HALPE26, UNION21
from annotext.synth.body import SIDES, Array, Bodies, turn

Flatten = Callable[[Array], Array]  # (N, P, 3) body space -> (N, P, 2) picture

# Keypoints of a figure: the 21 of the union and the feet, which only Halpe labels.
KEYPOINTS = (*UNION21.keypoints, *HALPE26.missing_from(UNION21))


@dataclass(frozen=True)
class _Limb:
    """A round-ended outline between two points, radii in body heights; `bulge` widens its middle."""

    start: str
    end: str
    start_radius: float
    end_radius: float
    bulge: float = 0.0
    until: float = 1.0  # how far along it reaches: sleeves and shorts cover part of a limb


def _limbs() -> dict[str, _Limb]:
    limbs: dict[str, _Limb] = {"neck": _Limb("neck_base", "upper_neck", 0.034, 0.028)}
    for s in SIDES:
        limbs |= {
            f"{s}_thigh": _Limb(f"{s}_hip", f"{s}_knee", 0.054, 0.033, 0.004),
            f"{s}_shin": _Limb(f"{s}_knee", f"{s}_ankle", 0.032, 0.018, 0.007),
            f"{s}_foot": _Limb(f"{s}_heel", f"{s}_toe", 0.021, 0.014, 0.003),
            f"{s}_upper_arm": _Limb(f"{s}_shoulder", f"{s}_elbow", 0.034, 0.024, 0.002),
            f"{s}_forearm": _Limb(f"{s}_elbow", f"{s}_wrist", 0.024, 0.015, 0.004),
            f"{s}_hand": _Limb(f"{s}_wrist", f"{s}_hand", 0.014, 0.014, 0.004),
            f"{s}_thumb": _Limb(f"{s}_wrist", f"{s}_thumb", 0.010, 0.007),
            # Cloth, wider than what it covers.
            f"{s}_sleeve": _Limb(f"{s}_shoulder", f"{s}_elbow", 0.038, 0.032, 0.0, 0.62),
            f"{s}_short_leg": _Limb(f"{s}_hip", f"{s}_knee", 0.058, 0.046, 0.0, 0.66),
            f"{s}_trouser_leg": _Limb(f"{s}_knee", f"{s}_ankle", 0.034, 0.027, 0.004, 0.97),
            f"{s}_coat_arm": _Limb(f"{s}_elbow", f"{s}_wrist", 0.029, 0.023, 0.002, 0.95),
        }
    limbs["long_hair"] = _Limb("crown_back", "nape", 0.058, 0.052)
    limbs["pony_tail"] = _Limb("crown_back", "tail", 0.030, 0.014, 0.012)
    return limbs


LIMBS = _limbs()
_LIMB_NAMES = tuple(LIMBS)
_HAIR = ("long_hair", "pony_tail")

# The trunk as a stack of ellipses: centre between two points, half width, half depth (body heights), frame.
_LEVELS = ("crotch", "hips", "waist", "ribs", "armpits", "collar")
_LEVEL_HALF_WIDTH = np.array([0.064, 0.093, 0.074, 0.088, 0.098, 0.046])
_LEVEL_HALF_DEPTH = np.array([0.052, 0.066, 0.054, 0.063, 0.056, 0.040])
_FEMALE_HALF_WIDTH = np.array([1.02, 1.05, 0.90, 0.92, 0.92, 0.92])
_RING = 12

# Patches on the trunk: corners (level, angle in degrees); level runs over `_LEVELS` as a number, angle 90 is the front,
# 0 the left side, -90 the back.
_TRUNK_PATCHES: dict[str, tuple[tuple[float, float], ...]] = {
    "front_line": ((4.9, 90), (4.2, 90), (3.2, 90), (2.2, 90), (1.2, 90)),
    "neckline": ((5.0, 40), (4.45, 90), (5.0, 140)),
    "open_front": (
        (4.9, 70),
        (4.0, 74),
        (3.0, 72),
        (2.0, 72),
        (1.1, 70),
        (1.1, 110),
        (2.0, 108),
        (3.0, 108),
        (4.0, 106),
        (4.9, 110),
    ),
    "emblem": ((4.1, 60), (4.1, 122), (3.3, 118), (3.3, 62)),
    "badge": ((4.0, 48), (4.0, 66), (3.5, 64), (3.5, 48)),
    "back_panel": ((4.3, -124), (4.3, -56), (2.9, -58), (2.9, -122)),
    "backpack": ((4.6, -150), (4.7, -90), (4.6, -30), (2.0, -30), (1.8, -90), (2.0, -150)),
    "left_strap": ((4.9, 55), (4.2, 48), (3.4, 40), (3.2, 30)),
    "right_strap": ((4.9, 125), (4.2, 132), (3.4, 140), (3.2, 150)),
    "spine": ((4.6, -90), (3.6, -90), (2.6, -90), (1.8, -90)),
}
STRIPES = ("stripe_1", "stripe_2", "stripe_3", "stripe_4", "stripe_5", "belt", "hem")
_STRIPE_LEVELS = (4.0, 3.4, 2.8, 2.3, 1.7, 1.75, 1.05)
_STRIPE_POINTS = 9

# The skull: an ellipsoid about the point `skull`, radii in head lengths: left, down, forward.
SKULL_RADII = np.array([0.345, 0.455, 0.43])


def _circle(
    longitude: float, latitude: float, radius: float, points: int, squeeze: float = 1.0
) -> list[tuple[float, float]]:
    """Corners (longitude, latitude) in degrees of a small round patch of the skull."""
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return [(longitude + radius * np.cos(t), latitude + squeeze * radius * np.sin(t)) for t in angle]


# Patches on the skull: corners (longitude, latitude) in degrees; longitude 0 is the front, + the left, latitude + up.
_SKULL_PATCHES: dict[str, list[tuple[float, float]]] = {
    "face": [
        (-78, 8),
        (-62, 28),
        (-34, 42),
        (0, 46),
        (34, 42),
        (62, 28),
        (78, 8),
        (80, -22),
        (60, -52),
        (22, -68),
        (-22, -68),
        (-60, -52),
        (-80, -22),
    ],
    "fringe": [(-70, 30), (-40, 46), (0, 52), (40, 46), (70, 30), (50, 24), (18, 30), (-30, 20)],
    "left_eye": _circle(25, 3, 10, 8, 0.62),
    "right_eye": _circle(-25, 3, 10, 8, 0.62),
    "left_pupil": _circle(25, 3, 6.5, 6),
    "right_pupil": _circle(-25, 3, 6.5, 6),
    "left_brow": [(10, 14), (24, 19), (40, 14), (24, 14)],
    "right_brow": [(-10, 14), (-24, 19), (-40, 14), (-24, 14)],
    "mouth": [(-19, -40), (0, -36), (19, -40), (0, -47)],
    "beard": [
        (-72, -12),
        (-52, -24),
        (-24, -30),
        (0, -31),
        (24, -30),
        (52, -24),
        (72, -12),
        (64, -46),
        (24, -68),
        (-24, -68),
        (-64, -46),
    ],
    "left_cheek": _circle(36, -22, 12, 7),
    "right_cheek": _circle(-36, -22, 12, 7),
    "visor": [(-50, 34), (0, 44), (50, 34), (38, 24), (0, 26), (-38, 24)],
    "glasses": [
        (-48, 4),
        (-40, 11),
        (-12, 9),
        (0, 5),
        (12, 9),
        (40, 11),
        (48, 4),
        (38, -6),
        (14, -5),
        (0, 2),
        (-14, -5),
        (-38, -6),
    ],
}
# Circles of latitude round the vertical axis: what lies above (caps) or below (nape) is inside.
_SKULL_CAPS: dict[str, tuple[float, int]] = {"nape_skin": (-56.0, -1), "cap": (26.0, 1), "headband": (34.0, 1)}
_CAP_POINTS = 16
_OUTLINE_POINTS = 20
_ARC = np.linspace(-np.pi / 2, np.pi / 2, 7)
LIMB_POINTS = 2 * len(_ARC) + 2
# The nose stands out from the skull: bridge, wing, tip, wing, in head lengths of the head's frame from the upper neck.
_NOSE = np.array([[0.0, -0.52, 0.49], [0.055, -0.385, 0.50], [0.0, -0.40, 0.60], [-0.055, -0.385, 0.50]])


def _layout() -> dict[str, slice]:
    sizes: dict[str, int] = {}
    for name in _LIMB_NAMES:
        sizes[name] = LIMB_POINTS
    for name in _LIMB_NAMES:
        sizes[f"{name}.lit"] = LIMB_POINTS
    for level in _LEVELS:
        sizes[level] = _RING
    sizes |= {name: len(corners) for name, corners in _TRUNK_PATCHES.items()}
    sizes |= dict.fromkeys(STRIPES, _STRIPE_POINTS)
    sizes |= {"skull": _OUTLINE_POINTS, "hair": _OUTLINE_POINTS, "jaw": _RING}
    sizes |= {name: len(corners) for name, corners in _SKULL_PATCHES.items()}
    sizes |= dict.fromkeys(_SKULL_CAPS, _CAP_POINTS)
    sizes |= {
        "nose_shape": len(_NOSE),
        "left_ear_shape": 8,
        "right_ear_shape": 8,
        "seat": 8,
        "seat_back": 4,
        "seat_legs": 4,
    }
    sizes |= {"keypoints": len(KEYPOINTS)}
    layout, at = {}, 0
    for name, size in sizes.items():
        layout[name] = slice(at, at + size)
        at += size
    return layout


OUTLINES: Mapping[str, slice] = _layout()
TABLE_POINTS = max(s.stop for s in OUTLINES.values())

# What is sorted by depth and painted one after the other.
PARTS = tuple(
    [f"{s}_{part}" for s in SIDES for part in ("thigh", "shin", "foot", "upper_arm", "forearm", "hand")]
    + ["neck", "trunk", "head", "hair_behind"]
)


@dataclass(frozen=True)
class Figures:
    """N projected people.

    table: (N, TABLE_POINTS, 2) float64, body heights; each outline at its `OUTLINES` slice, also the "keypoints".
    order: (N, len(PARTS)) indices into `PARTS`, farthest first.
    toward: name -> (N,) float64 in [-1, 1], how far a direction points at the viewer: `chest`, `face`, `face_left`,
        `chest_left`, `hips_left`, `left_eye`, `right_eye`.
    shown: patch name -> (N,) float64 in [-1, 1], how far the patch faces the viewer, mean over its corners.
    joint_depth: (N, len(KEYPOINTS)) z of each keypoint, + nearer.
    head_box_xyxy: (N, 4) float64, body heights: the head without hair, from neck to top.
    face_corners: (N, F) bool, which of the F corners of the patch "face" bound what is seen of it.
    """

    table: Array
    order: NDArray[np.intp]
    toward: Mapping[str, Array]
    shown: Mapping[str, Array]
    joint_depth: Array
    head_box_xyxy: Array
    face_corners: NDArray[np.bool_]


def _sphere_directions(corners: list[tuple[float, float]]) -> Array:
    lon, lat = np.radians(np.array(corners)).T
    return np.stack([np.sin(lon) * np.cos(lat), -np.sin(lat), np.cos(lon) * np.cos(lat)], axis=-1)


_PATCH_DIRECTIONS = np.concatenate([_sphere_directions(c) for c in _SKULL_PATCHES.values()])
_CAP_DIRECTIONS = np.concatenate(
    [
        _sphere_directions([(lon, lat) for lon in np.linspace(0, 360, _CAP_POINTS, endpoint=False)])
        for lat, _ in _SKULL_CAPS.values()
    ]
)


def _rounded(p1: Array, r1: Array, p2: Array, r2: Array, bulge: Array) -> Array:
    """(..., 2) ends and (...,) radii -> (..., LIMB_POINTS, 2) outlines, convex for a bulge >= 0."""
    along = p2 - p1
    angle = np.arctan2(along[..., 1], along[..., 0])[..., None]
    side = np.stack([-np.sin(angle[..., 0]), np.cos(angle[..., 0])], axis=-1)
    middle, reach = (p1 + p2) / 2, ((r1 + r2) / 2 + bulge)[..., None]
    unit = np.stack([np.cos(angle + _ARC), np.sin(angle + _ARC)], axis=-1)
    end = p2[..., None, :] + r2[..., None, None] * unit
    start = p1[..., None, :] - r1[..., None, None] * unit
    left, right = (middle + reach * side)[..., None, :], (middle - reach * side)[..., None, :]
    return np.concatenate([end, left, start, right], axis=-2)


def project_bodies(bodies: Bodies, distance: Array, light: Array) -> Figures:
    """Outlines of all people. `distance` (N,): camera to body in body heights, drives perspective. `light` (N, 2):
    unit vectors in the picture, pointing to where the light comes from."""
    n = len(bodies.head_length)
    far = distance[:, None]

    def flat(points: Array) -> Array:
        """(N, P, 3) -> (N, P, 2)."""
        return points[..., :2] * (far / (far - points[..., 2]))[..., None]

    table = np.empty((n, TABLE_POINTS, 2))
    names = tuple(bodies.points)
    at = {name: i for i, name in enumerate(names)}
    joints = np.stack([bodies.points[name] for name in names], axis=1)
    spots = flat(joints)
    grow = far / (far - joints[..., 2])

    # Limbs, cloth on limbs and hair.
    limbs = [LIMBS[name] for name in _LIMB_NAMES]
    start, end = [at[limb.start] for limb in limbs], [at[limb.end] for limb in limbs]
    until = np.array([limb.until for limb in limbs])
    stout = np.where(
        [name in _HAIR for name in _LIMB_NAMES], (bodies.head_length / 0.142)[:, None], bodies.width[:, None]
    )
    r1 = np.array([limb.start_radius for limb in limbs]) * stout * grow[:, start]
    r2 = np.array([limb.end_radius for limb in limbs]) * stout * grow[:, end]
    bulge = np.array([limb.bulge for limb in limbs]) * stout
    p1, p2 = spots[:, start], spots[:, start] + (spots[:, end] - spots[:, start]) * until[:, None]
    count = len(limbs) * LIMB_POINTS
    first = OUTLINES[_LIMB_NAMES[0]].start
    table[:, first : first + count] = _rounded(p1, r1, p2, r2, bulge).reshape(n, count, 2)
    shift = light[:, None, :] * 0.28
    lit = _rounded(p1 + shift * r1[..., None], r1 * 0.60, p2 + shift * r2[..., None], r2 * 0.60, bulge * 0.6)
    table[:, first + count : first + 2 * count] = lit.reshape(n, count, 2)

    shown = _project_trunk(table, bodies, flat)
    head_box, skull_shown, face_corners = _project_head(table, bodies, flat)
    _project_seat(table, bodies, flat)

    keypoints = [at[name] for name in KEYPOINTS]
    table[:, OUTLINES["keypoints"]] = spots[:, keypoints]

    depth = np.empty((n, len(PARTS)))
    for i, part in enumerate(PARTS):
        if part in LIMBS:
            a, b = at[LIMBS[part].start], at[LIMBS[part].end]
            depth[:, i] = (joints[:, a, 2] + joints[:, b, 2]) / 2
        elif part == "trunk":
            depth[:, i] = (joints[:, at["hips"], 2] + joints[:, at["shoulders"], 2]) / 2 - 0.02
        elif part == "head":
            depth[:, i] = joints[:, at["skull"], 2]
        else:
            depth[:, i] = joints[:, at["crown_back"], 2] * 1.4 - joints[:, at["skull"], 2] * 0.4
    # A hand is in front of its forearm's end, a neck never in front of its head.
    neck, head = PARTS.index("neck"), PARTS.index("head")
    depth[:, neck] = np.minimum(depth[:, neck], depth[:, head] - 1e-3)
    for s in SIDES:
        hand, forearm = PARTS.index(f"{s}_hand"), PARTS.index(f"{s}_forearm")
        depth[:, hand] = np.maximum(depth[:, hand], depth[:, forearm] - 0.01)
    return Figures(
        table=table,
        order=np.argsort(depth, axis=1, kind="stable"),
        toward={
            "chest": bodies.frames["chest"][:, 2, 2],
            "chest_left": bodies.frames["chest"][:, 2, 0],
            "hips_left": bodies.frames["root"][:, 2, 0],
            "face": bodies.frames["head"][:, 2, 2],
            "face_left": bodies.frames["head"][:, 2, 0],
            "left_eye": skull_shown["left_eye"],
            "right_eye": skull_shown["right_eye"],
        },
        shown=shown
        | skull_shown
        | {"left_ear": bodies.frames["head"][:, 2, 0], "right_ear": -bodies.frames["head"][:, 2, 0]},
        joint_depth=joints[:, keypoints, 2],
        head_box_xyxy=head_box,
        face_corners=face_corners,
    )


def _project_trunk(table: Array, bodies: Bodies, flat: Flatten) -> dict[str, Array]:
    n = len(table)
    points, root, chest = bodies.points, bodies.frames["root"], bodies.frames["chest"]
    between = (root + chest) / 2
    frames = np.stack([root, root, between, chest, chest, chest], axis=1)
    waist, top = points["waist"], points["shoulders"]
    centre = np.stack(
        [
            turn(root, np.array([0.0, 0.040, 0.0])),
            points["hips"],
            waist,
            waist + (top - waist) * 0.50,
            waist + (top - waist) * 0.86,
            top + turn(chest, np.array([0.0, -0.004, 0.0])),
        ],
        axis=1,
    )
    half_width = _LEVEL_HALF_WIDTH * np.where(bodies.female[:, None], _FEMALE_HALF_WIDTH, 1.0) * bodies.width[:, None]
    half_depth = _LEVEL_HALF_DEPTH * bodies.width[:, None]
    across = frames[..., :, 0] * half_width[..., None]
    forward = frames[..., :, 2] * half_depth[..., None]
    angle = np.linspace(0, 2 * np.pi, _RING, endpoint=False)
    rings = (
        centre[:, :, None] + across[:, :, None] * np.cos(angle)[:, None] + forward[:, :, None] * np.sin(angle)[:, None]
    )
    first = OUTLINES[_LEVELS[0]].start
    table[:, first : first + len(_LEVELS) * _RING] = flat(rings.reshape(n, -1, 3))

    # Patches: interpolate the ellipses, then push what faces away to the visible rim.
    corners = np.array([c for patch in _TRUNK_PATCHES.values() for c in patch])
    weights = np.maximum(0.0, 1.0 - np.abs(corners[:, :1] - np.arange(len(_LEVELS))))
    mid = np.einsum("ql,nli->nqi", weights, centre)
    ax = np.einsum("ql,nli->nqi", weights, across)
    az = np.einsum("ql,nli->nqi", weights, forward)
    facing = _facing_angle(ax, az)
    turned = np.radians(corners[:, 1]) - facing
    turned = (turned + np.pi) % (2 * np.pi) - np.pi
    theta = (facing + np.clip(turned, -np.pi / 2, np.pi / 2))[..., None]
    first = OUTLINES[next(iter(_TRUNK_PATCHES))].start
    table[:, first : first + len(corners)] = flat(mid + ax * np.cos(theta) + az * np.sin(theta))

    levels = np.array(_STRIPE_LEVELS)
    weights = np.maximum(0.0, 1.0 - np.abs(levels[:, None] - np.arange(len(_LEVELS))))
    mid = np.einsum("ql,nli->nqi", weights, centre)
    ax = np.einsum("ql,nli->nqi", weights, across)
    az = np.einsum("ql,nli->nqi", weights, forward)
    theta = (_facing_angle(ax, az)[..., None] + np.linspace(-1.45, 1.45, _STRIPE_POINTS))[..., None]
    arcs = mid[:, :, None] + ax[:, :, None] * np.cos(theta) + az[:, :, None] * np.sin(theta)
    first = OUTLINES[STRIPES[0]].start
    table[:, first : first + len(levels) * _STRIPE_POINTS] = flat(arcs.reshape(n, -1, 3))
    return _mean_by_patch(np.cos(turned), {name: len(c) for name, c in _TRUNK_PATCHES.items()})


def _mean_by_patch(facing: Array, sizes: Mapping[str, int]) -> dict[str, Array]:
    starts = np.cumsum([0, *sizes.values()])[:-1]
    means = np.add.reduceat(facing, starts, axis=1) / np.array(list(sizes.values()))
    return {name: means[:, i] for i, name in enumerate(sizes)}


def _facing_angle(across: Array, forward: Array) -> Array:
    """The angle on an ellipse (semi-axes as vectors, (..., 3)) whose normal points most at the viewer."""
    a2 = np.maximum((across**2).sum(-1), 1e-12)
    b2 = np.maximum((forward**2).sum(-1), 1e-12)
    return np.arctan2(forward[..., 2] / np.sqrt(b2), across[..., 2] / np.sqrt(a2))


# How far forward (cosine) the skull's rim still belongs to the face.
_FACE_RIM = 0.15


def _project_head(table: Array, bodies: Bodies, flat: Flatten) -> tuple[Array, dict[str, Array], NDArray[np.bool_]]:
    n = len(table)
    frame, length, centre = bodies.frames["head"], bodies.head_length, bodies.points["skull"]
    # The viewer's direction in the head's frame; a patch corner d is seen where d . w > 0 (normal of an ellipsoid).
    w = frame[:, 2, :] / SKULL_RADII
    w /= np.linalg.norm(w, axis=1, keepdims=True)

    def on_skull(directions: Array) -> Array:
        """(N, P, 3) unit directions -> (N, P, 2)."""
        local = directions * SKULL_RADII * length[:, None, None]
        return flat(centre[:, None] + np.einsum("nij,npj->npi", frame, local))

    directions = np.broadcast_to(
        np.concatenate([_PATCH_DIRECTIONS, _CAP_DIRECTIONS]), (n, len(_PATCH_DIRECTIONS) + len(_CAP_DIRECTIONS), 3)
    )
    facing = np.einsum("npi,ni->np", directions, w)
    shown = _mean_by_patch(facing[:, : len(_PATCH_DIRECTIONS)], {name: len(c) for name, c in _SKULL_PATCHES.items()})
    away = np.minimum(facing, 0.0)
    rim = directions - away[..., None] * w[:, None]
    rim = rim / np.maximum(np.linalg.norm(rim, axis=-1, keepdims=True), 1e-9)
    first = OUTLINES[next(iter(_SKULL_PATCHES))].start
    table[:, first : first + directions.shape[1]] = on_skull(rim)
    # A corner pushed to a rim that is no longer face (seen from behind) bounds nothing.
    size = len(_SKULL_PATCHES["face"])
    face_corners = (facing[:, :size] > 0) | (rim[:, :size, 2] > _FACE_RIM)

    # The skull's outline: the great circle square to w.
    helper = np.where(np.abs(w[:, 1:2]) < 0.9, np.array([0.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0]))
    u = np.cross(w, helper)
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    v = np.cross(w, u)
    t = np.linspace(0, 2 * np.pi, _OUTLINE_POINTS, endpoint=False)[:, None]
    outline = on_skull(u[:, None] * np.cos(t) + v[:, None] * np.sin(t))
    table[:, OUTLINES["skull"]] = outline
    middle = outline.mean(axis=1, keepdims=True)
    up = flat((centre - turn(frame, np.array([0.0, 0.05, 0.03])) * length[:, None])[:, None]) - flat(centre[:, None])
    table[:, OUTLINES["hair"]] = middle + (outline - middle) * 1.06 + up
    ring = np.linspace(0, 2 * np.pi, _RING, endpoint=False)
    chin = flat(bodies.points["chin"][:, None])
    table[:, OUTLINES["jaw"]] = chin + 0.13 * length[:, None, None] * np.stack([np.cos(ring), np.sin(ring)], axis=-1)

    nose = bodies.points["upper_neck"][:, None] + np.einsum("nij,pj->npi", frame, _NOSE) * length[:, None, None]
    table[:, OUTLINES["nose_shape"]] = flat(nose)
    ring = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    ear = np.stack([np.zeros(8), np.cos(ring) * 0.105, np.sin(ring) * 0.065], axis=-1)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        lobes = ear + np.stack([sign * 0.03 + sign * 0.05 * np.maximum(-np.sin(ring), 0), np.zeros(8), np.zeros(8)], -1)
        shape = bodies.points[f"{side}_ear"][:, None] + np.einsum("nij,pj->npi", frame, lobes) * length[:, None, None]
        table[:, OUTLINES[f"{side}_ear_shape"]] = flat(shape)

    around = np.concatenate([outline, table[:, OUTLINES["jaw"]]], axis=1)
    return np.concatenate([around.min(axis=1), around.max(axis=1)], axis=1), shown, face_corners


_SEAT = np.array(
    [[x, y, z] for y in (0.07, 0.13) for x, z in ((-0.15, -0.12), (0.15, -0.12), (0.15, 0.20), (-0.15, 0.20))]
)
_SEAT_BACK = np.array([[-0.15, -0.28, -0.14], [0.15, -0.28, -0.14], [0.15, 0.10, -0.12], [-0.15, 0.10, -0.12]])


def _project_seat(table: Array, bodies: Bodies, flat: Flatten) -> None:
    root = bodies.frames["root"]
    table[:, OUTLINES["seat"]] = flat(np.einsum("nij,pj->npi", root, _SEAT))
    table[:, OUTLINES["seat_legs"]] = flat(np.einsum("nij,pj->npi", root, _SEAT[4:] + np.array([0.0, 0.16, 0.0])))
    table[:, OUTLINES["seat_back"]] = flat(np.einsum("nij,pj->npi", root, _SEAT_BACK))
