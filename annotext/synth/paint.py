"""Paints one projected figure: flat colours, a relief that becomes soft shading, and who owns each pixel.

A `Canvas` has three layers of the same size. `colour` holds flat cloth, skin and hair. `relief` holds light and shade,
128 = neither; blurred and multiplied in at the end it rounds the limbs. `owner` says which person's which part is on
top, exactly, without anti-aliasing; visibility and silhouettes are read from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotext.synth.figure import OUTLINES, PARTS, STRIPES
from annotext.synth.outfits import Colour, Outfit, shade

# Coordinates go to OpenCV in 1/8 pixels.
SHIFT = 3
# Owner of a pixel: person * PERSON_STRIDE + index into PARTS + 1; 0 is background.
PERSON_STRIDE = 24
OCCLUDER = 255
CROWD = 250
MOST_PEOPLE = 10

_EDGE, _LIT = 92, 150
_AA = cv2.LINE_AA

Points = NDArray[Any]  # OpenCV fixed point, int32


@dataclass(frozen=True)
class Canvas:
    """colour: (H, W, 3) uint8 BGR; relief, owner: (H, W) uint8."""

    colour: NDArray[np.uint8]
    relief: NDArray[np.uint8]
    owner: NDArray[np.uint8]

    @classmethod
    def on(cls, background: NDArray[np.uint8]) -> Canvas:
        """A canvas with a background, nobody on it."""
        height, width = background.shape[:2]
        return cls(background, np.full((height, width), 128, np.uint8), np.zeros((height, width), np.uint8))


def fixed(xy: NDArray[np.float64]) -> Points:
    """Pixels -> OpenCV's fixed point."""
    return np.rint(xy * (1 << SHIFT)).astype(np.int32)


def fill(image: NDArray[np.uint8], points: Points, colour: Colour | float) -> None:
    """An anti-aliased convex polygon."""
    cv2.fillConvexPoly(image, points, colour, _AA, SHIFT)  # type: ignore[arg-type]


def paint_figure(
    canvas: Canvas,
    table: NDArray[np.float64],
    order: NDArray[np.intp],
    shown: dict[str, float],
    outfit: Outfit,
    person: int,
    *,
    face_corners: NDArray[np.bool_],
    sits: bool,
    seat: Colour,
    light: NDArray[np.float64],
) -> None:
    """Paint one person, farthest part first.

    table: (TABLE_POINTS, 2) float64 image pixels. order: indices into PARTS. shown, face_corners: see `Figures`.
    person: 0-based index in this image, below MOST_PEOPLE. light: (2,) unit vector toward the light.
    """
    brush = _Brush(canvas, fixed(table), shown, face_corners, outfit, person, light)
    if sits:
        brush.seat(seat)
    for index in order:
        brush.part(int(index))


class _Brush:
    """The strokes of one person; holds what every stroke needs."""

    def __init__(
        self,
        canvas: Canvas,
        points: Points,
        shown: dict[str, float],
        face_corners: NDArray[np.bool_],
        outfit: Outfit,
        person: int,
        light: NDArray[np.float64],
    ) -> None:
        self.colour, self.relief, self.owner = canvas.colour, canvas.relief, canvas.owner
        self.points, self.shown, self.outfit, self.light = points, shown, outfit, light
        self.face_corners = face_corners
        self.base = person * PERSON_STRIDE + 1
        skull = points[OUTLINES["skull"]]
        self.head_px = float(np.ptp(skull, axis=0).max()) / (1 << SHIFT)
        self.line = max(1, round(self.head_px * 0.09))
        self.colours = _limb_colours(outfit)

    def at(self, outline: str) -> Points:
        return self.points[OUTLINES[outline]]

    def seat(self, colour: Colour) -> None:
        for top, foot in zip(self.at("seat")[4:], self.at("seat_legs"), strict=True):
            cv2.polylines(self.colour, [np.stack([top, foot])], False, shade(colour, 0.6), self.line + 1, _AA, SHIFT)
        fill(self.colour, cv2.convexHull(self.at("seat_back")), shade(colour, 0.85))
        fill(self.colour, cv2.convexHull(self.at("seat")), colour)

    def part(self, index: int) -> None:
        name = PARTS[index]
        owner = self.base + index
        if name == "trunk":
            self.trunk(owner)
        elif name == "head":
            self.head(owner)
        elif name == "hair_behind":
            self.hair_behind(self.base + PARTS.index("head"))
        else:
            self.limb(name, owner)

    def limb(self, name: str, owner: int) -> None:
        outline = self.at(name)
        fill(self.colour, outline, self.colours[name])
        cv2.fillConvexPoly(self.owner, outline, owner, 8, SHIFT)
        cloth = _CLOTH_OVER.get(name)
        relief = name
        if cloth and cloth in self.colours:
            fill(self.colour, self.at(cloth), self.colours[cloth])
            cv2.fillConvexPoly(self.owner, self.at(cloth), owner, 8, SHIFT)
            fill(self.relief, outline, _EDGE)
            relief = cloth
        fill(self.relief, self.at(relief), _EDGE)
        fill(self.relief, self.at(f"{name}.lit"), _LIT)
        if name.endswith("hand"):
            thumb = self.at(name.replace("hand", "thumb"))
            fill(self.colour, thumb, self.colours[name])
            cv2.fillConvexPoly(self.owner, thumb, owner, 8, SHIFT)
        elif name.endswith("foot"):
            # The sole: a line along the lower rim, heel to toe.
            cv2.polylines(self.colour, [outline[8:9], outline[7:8]], False, self.outfit.sole, 1, _AA, SHIFT)

    def trunk(self, owner: int) -> None:
        outfit, at = self.outfit, self.at
        upper = cv2.convexHull(
            np.concatenate(
                [
                    at("waist"),
                    at("ribs"),
                    at("armpits"),
                    at("collar"),
                    at("left_sleeve")[8:15:3],
                    at("right_sleeve")[8:15:3],
                ]
            )
        )
        middle = cv2.convexHull(np.concatenate([at("waist"), at("hips")]))
        lower = cv2.convexHull(np.concatenate([at("hips"), at("crotch")]))
        fill(self.colour, lower, outfit.trousers)
        fill(self.colour, middle, outfit.trousers if outfit.tucked else outfit.shirt)
        if not outfit.tucked:
            hem = cv2.convexHull(np.concatenate([at("hips"), at("hem")]))
            fill(self.colour, hem, outfit.shirt)
        fill(self.colour, upper, outfit.shirt)
        for hull in (lower, middle, upper):
            cv2.fillConvexPoly(self.owner, hull, owner, 8, SHIFT)
            fill(self.relief, hull, _EDGE)
        for hull, size in ((middle, 0.66), (lower, 0.6), (upper, 0.74)):
            centre = hull.mean(axis=0)
            shift = self.light * (np.ptp(hull[:, 0], axis=0).min() * 0.05)
            fill(self.relief, np.rint(centre + (hull - centre) * size + shift).astype(np.int32), _LIT - 6)
        self.trunk_details()
        if outfit.legs == "skirt":
            skirt = cv2.convexHull(np.concatenate([at("hips"), at("left_short_leg")[:8], at("right_short_leg")[:8]]))
            fill(self.colour, skirt, outfit.trousers)
            fill(self.relief, skirt, _EDGE + 14)
            centre = skirt.mean(axis=0)
            fill(self.relief, np.rint(centre + (skirt - centre) * 0.7).astype(np.int32), _LIT - 8)
            cv2.fillConvexPoly(self.owner, skirt, owner, 8, SHIFT)

    def trunk_details(self) -> None:
        outfit, at, shown, line = self.outfit, self.at, self.shown, self.line
        if outfit.stripes:
            for stripe in STRIPES[:5]:
                cv2.polylines(self.colour, [at(stripe)], False, outfit.accent, max(1, line + 1), _AA, SHIFT)
        if outfit.tucked:
            cv2.polylines(self.colour, [at("belt")], False, shade(outfit.trousers, 0.5), line, _AA, SHIFT)
        if shown["neckline"] > 0.1:
            fill(self.colour, at("neckline"), shade(outfit.skin, 0.95))
        if outfit.front == "jacket" and shown["open_front"] > 0.05:
            cv2.fillPoly(self.colour, [at("open_front")], outfit.accent, _AA, SHIFT)
        if shown["front_line"] > 0.12:
            if outfit.front == "buttons":
                cv2.polylines(
                    self.colour, [at("front_line")], False, shade(outfit.shirt, 0.62), max(1, line // 2), _AA, SHIFT
                )
            elif outfit.front == "emblem":
                fill(self.colour, at("emblem"), outfit.accent)
            elif outfit.front == "number":
                fill(self.colour, at("badge"), outfit.accent)
                cv2.polylines(self.relief, [at("front_line")[1:]], False, 116, max(1, line // 2), _AA, SHIFT)
        if shown["spine"] > 0.2:
            if outfit.backpack:
                fill(self.colour, cv2.convexHull(at("backpack")), outfit.accent)
                fill(self.relief, cv2.convexHull(at("backpack")), 118)
            elif outfit.front == "number":
                fill(self.colour, at("back_panel"), outfit.accent)
            else:
                cv2.polylines(self.relief, [at("spine")], False, 104, line, _AA, SHIFT)
        elif outfit.backpack:
            for strap in ("left_strap", "right_strap"):
                if shown[strap] > 0.15:
                    cv2.polylines(self.colour, [at(strap)], False, outfit.accent, line + 1, _AA, SHIFT)

    def hair_behind(self, owner: int) -> None:
        style = self.outfit.hair_style
        name = {"long": "long_hair", "tail": "pony_tail"}.get(style)
        if name is None:
            return
        fill(self.colour, self.at(name), shade(self.outfit.hair, 0.9))
        cv2.fillConvexPoly(self.owner, self.at(name), owner, 8, SHIFT)
        fill(self.relief, self.at(name), _EDGE + 10)
        fill(self.relief, self.at(f"{name}.lit"), _LIT - 8)

    def head(self, owner: int) -> None:
        outfit, at, shown = self.outfit, self.at, self.shown
        hull = cv2.convexHull(np.concatenate([at("skull"), at("jaw")]))
        bald = outfit.hair_style == "bald"
        if not bald:
            fill(self.colour, at("hair"), outfit.hair)
            cv2.fillConvexPoly(self.owner, at("hair"), owner, 8, SHIFT)
            fill(self.relief, at("hair"), _EDGE + 8)
        fill(self.colour, hull, outfit.skin)
        if not bald:
            fill(self.colour, at("skull"), outfit.hair)
        cv2.fillConvexPoly(self.owner, hull, owner, 8, SHIFT)
        fill(self.relief, hull, _EDGE + 8)
        centre = hull.mean(axis=0)
        lit = centre + (hull - centre) * 0.68 + self.light * self.head_px
        fill(self.relief, np.rint(lit).astype(np.int32), _LIT - 8)
        if not bald and outfit.hair_style == "short":
            fill(self.colour, cv2.convexHull(at("nape_skin")), shade(outfit.skin, 0.94))
        face = at("face")[self.face_corners]
        if len(face) > 2 and shown["face"] > -0.45:
            if shown["face"] > -0.2:
                face = np.concatenate([face, at("jaw")])
            fill(self.colour, cv2.convexHull(face), outfit.skin)
        if not bald and shown["fringe"] > 0.2 and outfit.hair_style != "short":
            cv2.fillPoly(self.colour, [at("fringe")], outfit.hair, _AA, SHIFT)
        self.ears(owner)
        if shown["face"] > -0.4:
            self.face(owner)
        if outfit.hat != "none":
            self.hat(owner)

    def ears(self, owner: int) -> None:
        if self.outfit.hair_style == "long" or self.outfit.hat == "beanie":
            return
        for side in ("left", "right"):
            if self.shown[f"{side}_ear"] > -0.25:
                ear = cv2.convexHull(self.at(f"{side}_ear_shape"))
                fill(self.colour, ear, shade(self.outfit.skin, 0.84))
                cv2.fillConvexPoly(self.owner, ear, owner, 8, SHIFT)

    def face(self, owner: int) -> None:
        outfit, at, shown, px = self.outfit, self.at, self.shown, self.head_px
        dark = shade(outfit.hair, 0.7)
        if outfit.beard and shown["beard"] > 0.0:
            cv2.fillPoly(self.colour, [at("beard")], shade(outfit.hair, 0.85, 8), _AA, SHIFT)
        elif px > 14:
            for cheek in ("left_cheek", "right_cheek"):
                if shown[cheek] > 0.3:
                    b, g, r = outfit.skin
                    fill(self.colour, at(cheek), (b * 0.92, g * 0.92, min(r * 1.04, 250.0)))
        for side in ("left", "right"):
            if shown[f"{side}_eye"] > 0.06:
                if px > 15:
                    fill(self.colour, at(f"{side}_eye"), (236, 236, 236))
                    fill(self.colour, at(f"{side}_pupil"), (34, 26, 24))
                else:
                    fill(self.colour, at(f"{side}_eye"), (38, 30, 28))
                cv2.fillPoly(self.colour, [at(f"{side}_brow")], dark, _AA, SHIFT)
        if outfit.glasses and shown["glasses"] > 0.1:
            cv2.polylines(self.colour, [at("glasses")], True, (24, 24, 24), 1, _AA, SHIFT)
        if shown["mouth"] > 0.1:
            b, g, r = outfit.skin
            fill(self.colour, at("mouth"), (b * 0.55, g * 0.5, min(r * 0.86, 230.0)))
        if shown["face"] > -0.2:
            nose = cv2.convexHull(at("nose_shape"))
            fill(self.colour, nose, shade(outfit.skin, 0.88))
            cv2.fillConvexPoly(self.owner, nose, owner, 8, SHIFT)

    def hat(self, owner: int) -> None:
        outfit, at = self.outfit, self.at
        if outfit.hat == "headband":
            cv2.polylines(self.colour, [at("headband")], True, outfit.accent, self.line, _AA, SHIFT)
            return
        crown = cv2.convexHull(at("cap"))
        # The cap's visible rim bulges over the skull's top.
        hair, skull = at("hair"), at("skull")
        top = at("cap").mean(axis=0)
        above = hair[
            ((hair - skull.mean(axis=0)) @ (top - skull.mean(axis=0))) > 0.25 * np.sum((top - skull.mean(axis=0)) ** 2)
        ]
        if len(above) > 2:
            crown = cv2.convexHull(np.concatenate([at("cap"), above]))
        fill(self.colour, crown, outfit.accent)
        cv2.fillConvexPoly(self.owner, crown, owner, 8, SHIFT)
        if outfit.hat == "cap" and self.shown["visor"] > -0.2:
            fill(self.colour, cv2.convexHull(at("visor")), shade(outfit.accent, 0.7))


_CLOTH_OVER = {
    f"{s}_{part}": f"{s}_{cloth}"
    for s in ("left", "right")
    for part, cloth in (
        ("upper_arm", "sleeve"),
        ("forearm", "coat_arm"),
        ("thigh", "short_leg"),
        ("shin", "trouser_leg"),
    )
}


def _limb_colours(outfit: Outfit) -> dict[str, Colour]:
    """Colours of limbs, and of the pieces of cloth this outfit has."""
    colours: dict[str, Colour] = {"neck": shade(outfit.skin, 0.9)}
    sleeved, trousered = outfit.sleeves == "long", outfit.legs == "long"
    for s in ("left", "right"):
        colours |= {
            f"{s}_thigh": outfit.trousers if trousered else outfit.skin,
            f"{s}_shin": outfit.trousers if trousered else outfit.skin,
            f"{s}_foot": outfit.shoes,
            f"{s}_upper_arm": outfit.shirt if sleeved else outfit.skin,
            f"{s}_forearm": outfit.shirt if sleeved else outfit.skin,
            f"{s}_hand": outfit.skin,
        }
        if outfit.sleeves != "none":
            colours[f"{s}_sleeve"] = outfit.shirt
        if sleeved:
            colours[f"{s}_coat_arm"] = outfit.shirt
        # A skirt's own hull is part of the trunk; raised thighs carry its cloth.
        colours[f"{s}_short_leg"] = outfit.trousers
        if trousered:
            colours[f"{s}_trouser_leg"] = outfit.trousers
    return colours


def finish_relief(canvas: Canvas, blur: int) -> NDArray[np.uint8]:
    """The picture with light and shade: colour x blurred relief / 128. `blur` is an odd kernel size in pixels."""
    soft = cv2.GaussianBlur(canvas.relief, (blur, blur), 0)
    return cv2.multiply(canvas.colour, cv2.merge([soft, soft, soft]), scale=1 / 128)  # type: ignore[return-value]
