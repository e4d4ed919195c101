"""One picture: who stands where, painted from back to front, and what of each person can be seen.

Image space: 0-based pixels, the centre of the top left pixel is (0, 0). K = len(KEYPOINTS), the 21 and the feet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotext.synth import background, occluders
from annotext.synth.body import Bodies, pose_bodies
from annotext.synth.domains import Domain
from annotext.synth.draws import Draws, draw_rows
from annotext.synth.figure import KEYPOINTS, OUTLINES, PARTS, Figures, project_bodies
from annotext.synth.outfits import sample_outfit
from annotext.synth.paint import CROWD, MOST_PEOPLE, OCCLUDER, PERSON_STRIDE, Canvas, finish_relief, paint_figure
from annotext.synth.postures import sample_angles

# A person nobody could label is drawn again: fewer visible pixels, fewer visible keypoints (of 21), a smaller figure.
LEAST_AREA = 220.0
LEAST_VISIBLE = 7
LEAST_HEIGHT = 38.0
# Outlines that bound a figure (without seats and details).
_BODY = np.concatenate(
    [
        np.arange(OUTLINES[name].start, OUTLINES[name].stop)
        for name in (
            *(f"{s}_{p}" for s in ("left", "right") for p in ("thigh", "shin", "foot", "upper_arm", "forearm", "hand")),
            "hips",
            "armpits",
            "skull",
            "jaw",
        )
    ]
)


@dataclass(frozen=True)
class Person:
    """What is true of one person in a picture.

    xy: (K, 2) float64 image pixels, also where hidden or outside. visibility: (K,) uint8: 2 seen, 1 in the image but
    covered by something or by the person's own body, 0 outside the image. Pelvis and thorax are the anatomical ones.
    area: visible silhouette, pixels. bbox_xywh: (4,) of the visible silhouette. extent_xyxy: (4,) of the whole figure,
    cut at the image's edges. head_box_xyxy: (4,). polygons: the visible silhouette's outlines, each (P, 2) int.
    """

    xy: NDArray[np.float64]
    visibility: NDArray[np.uint8]
    area: float
    bbox_xywh: NDArray[np.float64]
    extent_xyxy: NDArray[np.float64]
    head_box_xyxy: NDArray[np.float64]
    polygons: tuple[NDArray[Any], ...]


@dataclass(frozen=True)
class Scene:
    """A picture, (H, W, 3) uint8 BGR, and its people, smallest first; `crowd`: (H, W), what is seen of a far group."""

    image: NDArray[np.uint8]
    people: tuple[Person, ...]
    crowd: NDArray[np.bool_] | None = None


def render(domain: Domain, generators: Sequence[np.random.Generator], counts: Sequence[int]) -> list[Scene | None]:
    """One picture per generator with `counts` people each; None where somebody could not be seen well enough.

    What a picture shows depends on its own generator only.
    """
    rows, lights = [], []
    for rng, count in zip(generators, counts, strict=True):
        rows.append(draw_rows(rng, count))
        angle = rng.uniform(np.pi * 0.15, np.pi * 0.85)
        lights.append(np.tile([np.cos(angle), -np.sin(angle)], (count, 1)))
    draws, light = Draws(np.concatenate(rows)), np.concatenate(lights)
    angles, sits = sample_angles(draws, domain.postures)
    anywhere = draws.uniform() < domain.any_yaw
    yaw = np.radians(np.where(anywhere, draws.uniform(-180, 180), draws.normal(0, domain.facing)))
    elevation = np.radians(np.clip(draws.normal(*domain.elevation), -25, 35))
    bodies = pose_bodies(angles, yaw, elevation, draws)
    figures = project_bodies(bodies, draws.uniform(*domain.distance), light)
    scenes: list[Scene | None] = []
    first = 0
    for rng, count in zip(generators, counts, strict=True):
        scenes.append(_Picture(domain, rng, bodies, figures, sits, light, range(first, first + count)).render())
        first += count
    return scenes


class _Picture:
    def __init__(
        self,
        domain: Domain,
        rng: np.random.Generator,
        bodies: Bodies,
        figures: Figures,
        sits: NDArray[np.bool_],
        light: NDArray[np.float64],
        who: range,
    ) -> None:
        if len(who) > MOST_PEOPLE:
            raise ValueError(f"a picture holds at most {MOST_PEOPLE} people, not {len(who)}")
        self.domain, self.rng, self.bodies, self.figures = domain, rng, bodies, figures
        self.sits, self.light, self.who = sits, light, who
        sizes = tuple(domain.image_sizes)
        shares = np.cumsum(list(domain.image_sizes.values()))
        self.width, self.height = sizes[int(np.searchsorted(shares / shares[-1], rng.random(), side="right"))]

    def render(self) -> Scene | None:
        domain, rng = self.domain, self.rng
        names, shares = tuple(domain.scenes), np.cumsum(list(domain.scenes.values()))
        scene = names[int(np.searchsorted(shares / shares[-1], rng.random(), side="right"))]
        canvas = Canvas.on(background.SCENES[scene](rng, self.width, self.height))
        if rng.random() < domain.crowd:
            background.paint_crowd(rng, canvas.colour, canvas.owner, CROWD)
        tables = self._place()
        for person, (index, table) in enumerate(zip(self.who, tables, strict=True)):
            self._paint(canvas, person, index, table)
        for _ in range(int(rng.integers(*domain.occluders))):
            occluders.paint_occluder(rng, canvas, sport=domain.sport)
        people = []
        for person, (index, table) in enumerate(zip(self.who, tables, strict=True)):
            seen = self._look(canvas, person, index, table)
            if seen is None:
                return None
            people.append(seen)
        tallest = max(float(np.ptp(t[_BODY, 1])) for t in tables)
        image = self._finish(finish_relief(canvas, 3 if tallest < 90 else 5 if tallest < 170 else 7))
        crowd = canvas.owner == CROWD
        return Scene(image, tuple(people), crowd if crowd.sum() >= LEAST_AREA else None)

    def _place(self) -> list[NDArray[np.float64]]:
        """Tables in image pixels, farthest person first (the smallest is taken to be the farthest)."""
        domain, rng = self.domain, self.rng
        frame = np.array([self.width, self.height], dtype=np.float64)
        placed = []
        for index in self.who:
            table = self.figures.table[index]
            low, high = table[_BODY].min(axis=0), table[_BODY].max(axis=0)
            extent = high - low
            size = rng.uniform(*domain.size) * frame[1] * float(self.bodies.stature[index]) ** 0.5
            # `size` is the height an upright figure would have; crouching and lying people are smaller.
            scale = size / 1.0
            may_leave = rng.random() < domain.truncated
            if may_leave:
                scale *= rng.uniform(1.0, 1.35)
            scale = min(scale, float((frame / extent).min()) * (1.25 if may_leave else 0.97))
            over = domain.cut * extent * scale if may_leave else np.full(2, 1.0)
            slack = frame - extent * scale
            at = rng.uniform(np.minimum(-over, slack + over), np.maximum(-over, slack + over))
            # People stand on the ground: the larger, the lower.
            if not may_leave and rng.random() < 0.85:
                at[1] = slack[1] * (1 - 0.45 * rng.random() ** 2)
            placed.append((scale, table * scale + (at - low * scale)))
        ranked = sorted(range(len(placed)), key=lambda i: placed[i][0])
        # Painted, and listed in the files, smallest first.
        self.who = [self.who[i] for i in ranked]  # type: ignore[assignment]
        return [placed[i][1] for i in ranked]

    def _paint(self, canvas: Canvas, person: int, index: int, table: NDArray[np.float64]) -> None:
        rng, figures = self.rng, self.figures
        outfit = sample_outfit(
            rng, female=bool(self.bodies.female[index]), child=bool(self.bodies.child[index]), sport=self.domain.sport
        )
        feet = table[_BODY]
        bottom, span = float(feet[:, 1].max()), float(np.ptp(feet[:, 0]))
        centre = (int(feet[:, 0].mean()), int(bottom))
        cv2.ellipse(canvas.relief, centre, (max(4, int(span * 0.55)), max(2, int(span * 0.10))), 0, 0, 360, 96, -1)
        paint_figure(
            canvas,
            table,
            figures.order[index],
            {name: float(values[index]) for name, values in figures.shown.items()},
            outfit,
            person,
            face_corners=figures.face_corners[index],
            sits=bool(self.sits[index]),
            seat=tuple(float(c) for c in rng.uniform((30, 40, 50), (190, 200, 210))),  # type: ignore[arg-type]
            light=self.light[index],
        )

    def _look(self, canvas: Canvas, person: int, index: int, table: NDArray[np.float64]) -> Person | None:
        """What can be seen of a person once everything is painted; None if that is too little."""
        owner = canvas.owner
        first = person * PERSON_STRIDE + 1
        mask = cv2.inRange(owner, first, first + len(PARTS) - 1)  # type: ignore[call-overload]
        area = float(cv2.countNonZero(mask))
        body = table[_BODY]
        low, high = body.min(axis=0), body.max(axis=0)
        if area < LEAST_AREA or max(high - low) < LEAST_HEIGHT:
            return None
        xy = table[OUTLINES["keypoints"]]
        visibility = self._visibility(owner, first, index, xy)
        if int((visibility[:21] == 2).sum()) < LEAST_VISIBLE:
            return None
        x, y, w, h = cv2.boundingRect(mask)
        limit = np.array([self.width - 1, self.height - 1], dtype=np.float64)
        middle, scale = self._head_box(index, table)
        outlines, _ = cv2.findContours(
            mask[y : y + h, x : x + w], cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=(x, y)
        )
        polygons = [cv2.approxPolyDP(o, 0.8, True)[:, 0] for o in outlines if cv2.contourArea(o) >= 6]
        return Person(
            xy=xy,
            visibility=visibility,
            area=area,
            bbox_xywh=np.array([x, y, w, h], dtype=np.float64),
            extent_xyxy=np.concatenate([np.clip(low, 0, limit), np.clip(high, 0, limit)]),
            head_box_xyxy=np.concatenate([middle - scale, middle + scale]),
            polygons=tuple(p for p in polygons if len(p) >= 3),
        )

    def _head_box(self, index: int, table: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        around = np.concatenate([table[OUTLINES["skull"]], table[OUTLINES["jaw"]]])
        low, high = around.min(axis=0), around.max(axis=0)
        return (low + high) / 2, (high - low) / 2

    def _visibility(
        self, owner: NDArray[np.uint8], first: int, index: int, xy: NDArray[np.float64]
    ) -> NDArray[np.uint8]:
        pixel = np.rint(xy).astype(np.int64)
        inside = ((pixel >= 0) & (pixel < (self.width, self.height))).all(axis=1)
        x, y = np.clip(pixel[:, 0], 0, self.width - 1), np.clip(pixel[:, 1], 0, self.height - 1)
        part = owner[y, x].astype(np.int64) - first
        own = (owner[y, x] != OCCLUDER) & (part >= 0) & (part < len(PARTS))
        on_top = own & _MAY_COVER[np.arange(len(KEYPOINTS)), np.clip(part, 0, len(PARTS) - 1)]
        toward = self.figures.toward
        hidden = np.zeros(len(KEYPOINTS), dtype=bool)
        for rule, (direction, sign, least) in _FACING.items():
            hidden[rule] = sign * toward[direction][index] < least
        return np.where(inside, np.where(on_top & ~hidden, 2, 1), 0).astype(np.uint8)

    def _finish(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What the camera adds: focus, white balance, exposure, grain."""
        domain, rng = self.domain, self.rng
        if rng.random() < domain.blur:
            image = cv2.GaussianBlur(image, (3, 3), 0)  # type: ignore[assignment]
        balance = 1.0 + rng.normal(0, domain.tint, 3)
        gain, lift = rng.uniform(0.8, 1.12), rng.uniform(-8, 22)
        ramp = np.clip(np.arange(256)[:, None] * balance * gain + lift, 0, 255).astype(np.uint8)
        image = cv2.LUT(image, ramp.reshape(256, 1, 3))  # type: ignore[assignment]
        if rng.random() < domain.noise:
            image = background.add_grain(rng, image)
        return image


def _may_cover() -> NDArray[np.bool_]:
    """(K, len(PARTS)) bool: the parts on which a keypoint is seen."""
    allowed: dict[str, set[str]] = {name: {"head"} for name in KEYPOINTS[:5]}
    for s in ("left", "right"):
        allowed |= {
            f"{s}_shoulder": {f"{s}_upper_arm", "trunk"},
            f"{s}_elbow": {f"{s}_upper_arm", f"{s}_forearm"},
            f"{s}_wrist": {f"{s}_forearm", f"{s}_hand"},
            f"{s}_hip": {f"{s}_thigh", "trunk"},
            f"{s}_knee": {f"{s}_thigh", f"{s}_shin", "trunk"},
            f"{s}_ankle": {f"{s}_shin", f"{s}_foot"},
        }
        allowed |= {f"{s}_{toe}": {f"{s}_foot"} for toe in ("big_toe", "small_toe", "heel")}
    allowed |= {
        "pelvis": {"trunk", "left_thigh", "right_thigh"},
        "thorax": {"trunk", "neck", "head"},
        "upper_neck": {"neck", "head", "trunk"},
        "head_top": {"head"},
    }
    return np.array([[part in allowed[name] for part in PARTS] for name in KEYPOINTS])


_MAY_COVER = _may_cover()
# Keypoint -> (direction, sign, least): hidden by the body itself where the direction points away from the viewer.
_FACING = {
    KEYPOINTS.index(name): rule
    for name, rule in {
        "nose": ("face", 1.0, -0.10),
        "left_eye": ("left_eye", 1.0, 0.06),
        "right_eye": ("right_eye", 1.0, 0.06),
        "left_ear": ("face_left", 1.0, -0.20),
        "right_ear": ("face_left", -1.0, -0.20),
        "left_shoulder": ("chest_left", 1.0, -0.80),
        "right_shoulder": ("chest_left", -1.0, -0.80),
        "left_hip": ("hips_left", 1.0, -0.80),
        "right_hip": ("hips_left", -1.0, -0.80),
    }.items()
}
