"""What a person wears: colours and choices, drawn per person from the image's generator. Colours are BGR, 0-255."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Colour = tuple[float, float, float]

SKIN_TONES: tuple[Colour, ...] = (
    (190, 210, 240),
    (165, 192, 230),
    (140, 175, 220),
    (115, 152, 205),
    (90, 128, 182),
    (70, 102, 152),
    (52, 78, 120),
    (38, 56, 90),
)
HAIR_TONES: tuple[Colour, ...] = (
    (22, 22, 26),
    (30, 38, 52),
    (34, 52, 84),
    (50, 84, 130),
    (95, 140, 185),
    (120, 178, 214),
    (150, 150, 152),
    (206, 206, 208),
    (36, 62, 148),
)
EVERYDAY_TONES: tuple[Colour, ...] = (
    (36, 34, 34),
    (70, 66, 64),
    (120, 116, 112),
    (178, 174, 170),
    (226, 224, 220),
    (242, 242, 240),
    (96, 60, 38),
    (134, 92, 58),
    (166, 126, 88),
    (62, 44, 28),
    (58, 74, 112),
    (96, 122, 160),
    (150, 178, 208),
    (188, 206, 222),
    (54, 82, 74),
    (76, 110, 92),
    (44, 38, 108),
    (58, 56, 160),
    (120, 130, 200),
    (160, 120, 140),
    (186, 168, 120),
    (80, 150, 190),
    (52, 112, 200),
    (122, 84, 112),
)
SPORT_TONES: tuple[Colour, ...] = (
    (30, 30, 210),
    (34, 120, 240),
    (30, 210, 245),
    (60, 180, 40),
    (200, 140, 20),
    (210, 60, 30),
    (170, 40, 150),
    (246, 246, 246),
    (28, 28, 28),
    (240, 210, 60),
    (120, 240, 190),
    (190, 110, 250),
    (90, 30, 20),
    (40, 40, 120),
)


@dataclass(frozen=True)
class Outfit:
    """One person's looks."""

    skin: Colour
    hair: Colour
    hair_style: Literal["short", "long", "tail", "bald"]
    hat: Literal["none", "cap", "beanie", "headband"]
    beard: bool
    glasses: bool
    shirt: Colour
    accent: Colour
    sleeves: Literal["none", "short", "long"]
    front: Literal["plain", "buttons", "emblem", "jacket", "number"]
    stripes: bool
    tucked: bool
    backpack: bool
    trousers: Colour
    legs: Literal["long", "short", "skirt"]
    shoes: Colour
    sole: Colour


def _pick(rng: np.random.Generator, tones: tuple[Colour, ...], spread: float) -> Colour:
    b, g, r = tones[int(rng.integers(len(tones)))]
    j = rng.normal(0, spread, 3)
    return (_level(b + j[0]), _level(g + j[1]), _level(r + j[2]))


def _level(value: float) -> float:
    return float(min(max(value, 8.0), 250.0))


def shade(colour: Colour, factor: float, plus: float = 0.0) -> Colour:
    """The colour made darker or lighter."""
    b, g, r = colour
    return (_level(b * factor + plus), _level(g * factor + plus), _level(r * factor + plus))


def sample_outfit(rng: np.random.Generator, *, female: bool, child: bool, sport: bool) -> Outfit:
    """Clothes for one person; `sport` picks kits and bright colours."""
    tones, spread = (SPORT_TONES, 10.0) if sport else (EVERYDAY_TONES, 9.0)
    u = rng.random(12)
    hair = HAIR_TONES[int(rng.integers(len(HAIR_TONES)))]
    if female:
        style = "long" if u[0] < 0.5 else "tail" if u[0] < 0.82 else "short"
        if sport and style == "long":
            style = "tail"
    else:
        style = "bald" if u[0] < 0.10 and not child else "short"
    hat = "none"
    if u[1] < (0.14 if sport else 0.16):
        hat = ("cap", "beanie")[int(u[2] < 0.35)] if not sport else ("cap", "headband")[int(u[2] < 0.5)]
    shirt, accent, trousers = (_pick(rng, tones, spread) for _ in range(3))
    sleeves = ("none", "short", "long")[int(np.searchsorted((0.35, 0.85) if sport else (0.12, 0.55), u[3]))]
    fronts = (0.15, 0.15, 0.45, 0.52) if sport else (0.22, 0.45, 0.66, 0.92)
    front = ("plain", "buttons", "emblem", "jacket", "number")[int(np.searchsorted(fronts, u[4]))]
    if front == "jacket":
        sleeves = "long"
    short = 0.72 if sport else 0.24
    legs = "short" if u[5] < short else "skirt" if female and u[5] < short + 0.2 else "long"
    return Outfit(
        skin=_pick(rng, SKIN_TONES, 5.0),
        hair=hair,
        hair_style=style,
        hat=hat,
        beard=not female and not child and u[6] < 0.3,
        glasses=u[7] < 0.14,
        shirt=shirt,
        accent=accent,
        sleeves=sleeves,
        front=front,
        stripes=front in ("plain", "emblem") and u[8] < 0.3,
        tucked=u[9] < 0.35,
        backpack=not sport and u[10] < 0.10,
        trousers=trousers,
        legs=legs,
        shoes=_pick(rng, tones, spread),
        sole=(225.0, 225.0, 225.0) if u[11] < 0.6 else (40.0, 40.0, 44.0),
    )
