"""Backgrounds: rooms, streets, parks, pitches. Each scene is a function of a generator and a size in pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
_AA = cv2.LINE_AA
_BANK, _TILE = 6, 400
_GRAIN_MEAN = 32.0


@cache
def _textures() -> tuple[tuple[Picture, ...], tuple[Picture, ...], tuple[Picture, ...]]:
    """Fixed tiles to cut from: fine grain, grey clouds, coloured clouds; (_TILE, _TILE, 3) uint8 each."""
    rng = np.random.default_rng(20170514)
    grain, clouds, colours = [], [], []
    for _ in range(_BANK):
        grain.append(np.clip(rng.normal(_GRAIN_MEAN, 7, (_TILE, _TILE, 3)), 0, 255).astype(np.uint8))
        for into, channels in ((clouds, 1), (colours, 3)):
            total = np.zeros((_TILE, _TILE, channels))
            for octave, weight in ((4, 1.0), (9, 0.7), (22, 0.45), (60, 0.28)):
                coarse = rng.random((octave, octave, channels)).astype(np.float32)
                total += weight * cv2.resize(coarse, (_TILE, _TILE), interpolation=cv2.INTER_CUBIC).reshape(total.shape)
            total = (total - total.min()) / np.ptp(total) * 255
            into.append(np.ascontiguousarray(np.repeat(total, 3 // channels, axis=2)).astype(np.uint8))
    return tuple(grain), tuple(clouds), tuple(colours)


def _cut(rng: np.random.Generator, tiles: tuple[Picture, ...], width: int, height: int) -> Picture:
    tile = tiles[int(rng.integers(len(tiles)))]
    x, y = int(rng.integers(_TILE - width + 1)), int(rng.integers(_TILE - height + 1))
    return tile[y : y + height, x : x + width]


def add_grain(rng: np.random.Generator, image: Picture) -> Picture:
    """The image with sensor noise."""
    height, width = image.shape[:2]
    strength = float(rng.uniform(0.2, 0.8))
    return cv2.addWeighted(image, 1.0, _cut(rng, _textures()[0], width, height), strength, -_GRAIN_MEAN * strength)  # type: ignore[return-value]


def _colour(
    rng: np.random.Generator, low: tuple[int, int, int], high: tuple[int, int, int]
) -> tuple[float, float, float]:
    """A colour between two: mostly one mix of both, a little different per channel, so that greys stay greyish."""
    common, *own = rng.random(4).tolist()
    b, g, r = (a + (z - a) * (0.68 * common + 0.32 * t) for a, z, t in zip(low, high, own, strict=True))
    return (b, g, r)


def _gradient(top: tuple[float, ...], bottom: tuple[float, ...], width: int, height: int) -> Picture:
    column = np.array([top, bottom], dtype=np.float32).reshape(2, 1, 3)
    return cv2.resize(column, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8)  # type: ignore[return-value]


def _texture(rng: np.random.Generator, image: Picture, strength: float, *, coloured: bool = False) -> Picture:
    height, width = image.shape[:2]
    tiles = _textures()[2 if coloured else 1]
    return cv2.addWeighted(image, 1.0, _cut(rng, tiles, width, height), strength, -128.0 * strength)  # type: ignore[return-value]


def _box(image: Picture, x: float, y: float, w: float, h: float, colour: tuple[float, ...]) -> None:
    cv2.rectangle(image, (int(x), int(y)), (int(x + w), int(y + h)), colour, -1)


def _room(rng: np.random.Generator, width: int, height: int) -> Picture:
    wall = _colour(rng, (110, 120, 125), (225, 228, 235))
    floor = _colour(rng, (40, 60, 80), (150, 170, 190))
    horizon = int(height * rng.uniform(0.5, 0.8))
    image = np.empty((height, width, 3), np.uint8)
    image[:horizon] = _gradient(tuple(0.8 * c for c in wall), wall, width, horizon)
    image[horizon:] = _gradient(floor, tuple(0.75 * c for c in floor), width, height - horizon)
    vanish = width * rng.uniform(0.2, 0.8)
    seam = tuple(0.82 * c for c in floor)
    for x in range(-2 * width, 3 * width, int(rng.integers(26, 60))):
        start = int(vanish + (x - vanish) * 0.35)
        cv2.line(image, (start, horizon), (x, height), seam, 1, _AA)
    _box(image, 0, horizon - 4, width, 4, tuple(min(255.0, 1.12 * c) for c in wall))
    for _ in range(int(rng.integers(1, 4))):
        kind = int(rng.integers(4))
        x = float(rng.uniform(-30, width - 20))
        colour = _colour(rng, (30, 40, 50), (210, 210, 215))
        dark = tuple(0.65 * c for c in colour)
        if kind == 0:  # window or picture
            w, h = rng.uniform(34, 90), rng.uniform(34, 80)
            y = rng.uniform(6, max(8, horizon - h - 24))
            _box(image, x - 3, y - 3, w + 6, h + 6, dark)
            _box(image, x, y, w, h, _colour(rng, (120, 120, 100), (250, 240, 225)) if rng.random() < 0.5 else colour)
            if rng.random() < 0.6:
                cv2.line(image, (int(x + w / 2), int(y)), (int(x + w / 2), int(y + h)), dark, 2)
        elif kind == 1:  # door
            w, top = rng.uniform(34, 56), horizon - rng.uniform(0.45, 0.7) * height
            _box(image, x, top, w, horizon - top, dark)
            _box(image, x + 3, top + 3, w - 6, horizon - top - 3, colour)
        elif kind == 2:  # sofa, bed, cupboard
            w, h = rng.uniform(60, 150), rng.uniform(26, 64)
            _box(image, x, horizon - h * 0.6, w, h, dark)
            _box(image, x, horizon - h * 0.1, w, h * 0.5, colour)
        else:  # shelves
            w = rng.uniform(40, 80)
            top = rng.uniform(6, horizon * 0.5)
            _box(image, x, top, w, horizon - top, dark)
            for y in np.arange(top + 4, horizon - 8, 15):
                for book in np.arange(x + 3, x + w - 4, 6):
                    _box(image, book, y + rng.integers(0, 4), 4, 11, _colour(rng, (20, 20, 20), (220, 220, 220)))
    return _texture(rng, image, 0.12)


def _street(rng: np.random.Generator, width: int, height: int) -> Picture:
    horizon = int(height * rng.uniform(0.45, 0.68))
    image = np.empty((height, width, 3), np.uint8)
    image[:horizon] = _gradient(_colour(rng, (190, 150, 120), (250, 220, 200)), (235.0, 230.0, 225.0), width, horizon)
    road = _colour(rng, (80, 80, 80), (150, 150, 150))
    image[horizon:] = _gradient(tuple(1.15 * c for c in road), road, width, height - horizon)
    x = -float(rng.uniform(0, 40))
    while x < width:
        w, h = float(rng.uniform(40, 110)), float(rng.uniform(0.35, 1.1)) * horizon
        wall = _colour(rng, (70, 80, 90), (190, 200, 215))
        _box(image, x, horizon - h, w, h, wall)
        pane = tuple(float(rng.uniform(0.45, 0.75)) * c for c in wall)
        step = float(rng.uniform(12, 20))
        for wy in np.arange(horizon - h + 6, horizon - 16, step):
            for wx in np.arange(x + 5, x + w - 8, step):
                _box(image, wx, wy, step * 0.5, step * 0.55, pane)
        x += w + float(rng.uniform(-4, 8))
    kerb = horizon + int((height - horizon) * rng.uniform(0.15, 0.4))
    _box(image, 0, horizon, width, kerb - horizon, tuple(1.25 * c for c in road))
    _box(image, 0, kerb, width, 2, (190.0, 190.0, 190.0))
    for _ in range(int(rng.integers(0, 3))):  # parked cars
        cx, w = float(rng.uniform(-20, width)), float(rng.uniform(60, 110))
        body = _colour(rng, (20, 20, 20), (220, 220, 230))
        _box(image, cx + w * 0.2, kerb - w * 0.34, w * 0.55, w * 0.2, tuple(0.5 * c for c in body))
        _box(image, cx, kerb - w * 0.2, w, w * 0.18, body)
        for wheel in (0.2, 0.8):
            cv2.circle(image, (int(cx + w * wheel), int(kerb - 1)), int(w * 0.08), (24.0, 24.0, 24.0), -1, _AA)
    if rng.random() < 0.5:
        for mark in range(0, width, 44):
            _box(image, mark, (kerb + height) / 2, 22, 3, (215.0, 215.0, 215.0))
    return _texture(rng, image, 0.15)


def _park(rng: np.random.Generator, width: int, height: int) -> Picture:
    horizon = int(height * rng.uniform(0.35, 0.62))
    image = np.empty((height, width, 3), np.uint8)
    image[:horizon] = _gradient(_colour(rng, (200, 150, 110), (250, 210, 180)), (240.0, 235.0, 225.0), width, horizon)
    grass = _colour(rng, (30, 95, 60), (90, 165, 130))
    image[horizon:] = _gradient(tuple(0.85 * c for c in grass), grass, width, height - horizon)
    image[horizon:] = _texture(rng, image[horizon:], 0.35)
    for _ in range(int(rng.integers(2, 7))):
        x, size = float(rng.uniform(0, width)), float(rng.uniform(16, 46))
        leaf = _colour(rng, (20, 60, 30), (70, 130, 90))
        _box(image, x - size * 0.1, horizon - size * 0.6, size * 0.2, size * 0.75, (40.0, 56.0, 74.0))
        for _ in range(4):
            dx, dy = rng.normal(0, size * 0.35, 2)
            tone = float(rng.uniform(0.8, 1.25))
            cv2.circle(
                image,
                (int(x + dx), int(horizon - size * 1.2 + dy)),
                int(size * rng.uniform(0.4, 0.7)),
                tuple(tone * c for c in leaf),
                -1,
                _AA,
            )
    if rng.random() < 0.5:
        a, b = rng.uniform(0, width, 2)
        path = np.array([[a, horizon], [a + 14, horizon], [b + 120, height], [b - 40, height]])
        cv2.fillConvexPoly(image, path.astype(np.int32), _colour(rng, (120, 140, 150), (170, 190, 205)), _AA)
    return _texture(rng, image, 0.12)


def _blurred(rng: np.random.Generator, width: int, height: int) -> Picture:
    base = np.empty((height, width, 3), np.uint8)
    base[:] = _colour(rng, (60, 60, 60), (190, 190, 190))
    return _texture(rng, base, float(rng.uniform(0.2, 0.6)), coloured=rng.random() < 0.7)


def _pitch(rng: np.random.Generator, width: int, height: int) -> Picture:
    horizon = int(height * rng.uniform(0.18, 0.5))
    image = np.empty((height, width, 3), np.uint8)
    image[:] = (
        _colour(rng, (20, 110, 30), (60, 190, 110))
        if rng.random() < 0.7
        else _colour(rng, (40, 50, 120), (90, 110, 210))
    )
    band = int(rng.integers(16, 40))
    for i, x in enumerate(range(-width, 2 * width, band)):
        if i % 2:
            strip = np.array([[x, horizon], [x + band, horizon], [x + 2.2 * band, height], [x + 0.2 * band, height]])
            cv2.fillConvexPoly(image, strip.astype(np.int32), tuple(0.88 * float(c) for c in image[-1, 0]))
    stand = _colour(rng, (40, 30, 30), (120, 110, 110))
    image[:horizon] = stand
    crowd = rng.integers(0, 256, (max(2, horizon // 5), width // 5, 3)).astype(np.uint8)
    image[:horizon] = cv2.addWeighted(
        image[:horizon], 0.55, cv2.resize(crowd, (width, horizon), interpolation=cv2.INTER_NEAREST), 0.45, 0
    )
    _box(image, 0, horizon - 10, width, 10, _colour(rng, (60, 60, 60), (255, 255, 255)))
    for _ in range(int(rng.integers(1, 4))):
        (xa, xb), (ya, yb) = rng.integers(-40, width + 40, 2), rng.integers(horizon, height, 2)
        cv2.line(image, (int(xa), int(ya)), (int(xb), int(yb)), (240.0, 245.0, 245.0), int(rng.integers(1, 4)), _AA)
    return image


def _gym(rng: np.random.Generator, width: int, height: int) -> Picture:
    horizon = int(height * rng.uniform(0.45, 0.75))
    image = np.empty((height, width, 3), np.uint8)
    wall, floor = _colour(rng, (60, 40, 30), (220, 200, 170)), _colour(rng, (50, 110, 170), (110, 170, 225))
    image[:horizon] = _gradient(wall, tuple(0.7 * c for c in wall), width, horizon)
    image[horizon:] = _gradient(floor, tuple(0.85 * c for c in floor), width, height - horizon)
    bar = tuple(0.6 * c for c in floor)
    x = int(rng.integers(-20, width))
    for y in range(8, horizon, 9):
        cv2.line(image, (x, y), (x + 70, y), bar, 3)
    for y in range(horizon, height, int(rng.integers(7, 14))):
        cv2.line(image, (0, y), (width, y), tuple(0.9 * c for c in floor), 1)
    for _ in range(int(rng.integers(1, 4))):
        mat = _colour(rng, (20, 20, 20), (240, 120, 240))
        x0, y0, w = float(rng.uniform(-20, width)), float(rng.uniform(horizon, height)), float(rng.uniform(50, 140))
        quad = np.array([[x0, y0], [x0 + w, y0], [x0 + w * 1.2, y0 + 22], [x0 - w * 0.1, y0 + 22]])
        cv2.fillConvexPoly(image, quad.astype(np.int32), mat, _AA)
    for _ in range(int(rng.integers(0, 4))):
        centre = (int(rng.integers(width)), int(rng.integers(horizon, height)))
        cv2.ellipse(
            image,
            centre,
            (int(rng.integers(30, 120)), int(rng.integers(8, 30))),
            0,
            0,
            360,
            _colour(rng, (0, 0, 0), (255, 255, 255)),
            2,
            _AA,
        )
    return image


def _snow(rng: np.random.Generator, width: int, height: int) -> Picture:
    image = _gradient(_colour(rng, (200, 120, 60), (250, 190, 130)), (250.0, 240.0, 230.0), width, height)
    for tone in (0.78, 0.9, 1.0):
        y = float(rng.uniform(0.3, 0.75)) * height
        ridge = [[0, height]]
        for x in np.linspace(0, width, 9):
            ridge.append([int(x), int(y + rng.normal(0, height * 0.07))])
        ridge.append([width, height])
        cv2.fillPoly(image, [np.array(ridge, np.int32)], (250.0 * tone, 244.0 * tone, 238.0 * tone), _AA)
    return _texture(rng, image, 0.1)


def _water(rng: np.random.Generator, width: int, height: int) -> Picture:
    horizon = int(height * rng.uniform(0.2, 0.55))
    image = np.empty((height, width, 3), np.uint8)
    image[:horizon] = _gradient(
        _colour(rng, (180, 110, 60), (250, 200, 190)), _colour(rng, (160, 170, 200), (230, 230, 255)), width, horizon
    )
    sea = _colour(rng, (130, 90, 10), (220, 170, 70))
    image[horizon:] = _gradient(tuple(0.8 * c for c in sea), sea, width, height - horizon)
    for _ in range(int(rng.integers(18, 40))):
        x, y = rng.uniform(0, width), rng.uniform(horizon, height)
        half = (y - horizon) * 0.12 + 3
        cv2.line(
            image,
            (int(x - half), int(y)),
            (int(x + half), int(y)),
            tuple(min(255.0, 1.3 * c + 20) for c in sea),
            1,
            _AA,
        )
    if rng.random() < 0.5:
        shore = int(height * rng.uniform(0.7, 0.9))
        image[shore:] = _colour(rng, (120, 180, 210), (170, 215, 240))
    return _texture(rng, image, 0.12)


def _stage(rng: np.random.Generator, width: int, height: int) -> Picture:
    a, b = _colour(rng, (0, 0, 0), (200, 200, 200)), _colour(rng, (40, 40, 40), (255, 255, 255))
    image = _gradient(a, b, width, height)
    for _ in range(int(rng.integers(2, 6))):
        x, w = float(rng.uniform(0, width)), float(rng.uniform(8, 60))
        beam = np.array([[x, 0], [x + w * 0.3, 0], [x + w * 2, height], [x - w, height]])
        overlay = image.copy()
        cv2.fillConvexPoly(overlay, beam.astype(np.int32), _colour(rng, (0, 0, 0), (255, 255, 255)), _AA)
        cv2.addWeighted(image, 0.72, overlay, 0.28, 0, dst=image)
    return image


def paint_crowd(rng: np.random.Generator, image: Picture, owner: Picture, label: int) -> None:
    """A group of tiny people at the horizon, in the picture and, as `label`, in the owner layer."""
    height, width = owner.shape
    size = float(rng.uniform(14, 22))
    left, ground = float(rng.uniform(0, 0.6)) * width, float(rng.uniform(0.5, 0.75)) * height
    for x in np.arange(left, min(left + rng.uniform(60, 130), width), size * 0.36):
        foot = ground + float(rng.normal(0, size * 0.12))
        body = (int(x), int(foot - size * 0.45))
        cv2.ellipse(
            image,
            body,
            (int(size * 0.2), int(size * 0.45)),
            0,
            0,
            360,
            _colour(rng, (20, 20, 20), (230, 230, 230)),
            -1,
            _AA,
        )
        cv2.ellipse(owner, body, (int(size * 0.2), int(size * 0.45)), 0, 0, 360, label, -1)
        head = (int(x), int(foot - size))
        cv2.circle(image, head, max(2, int(size * 0.14)), _colour(rng, (60, 80, 110), (170, 190, 225)), -1, _AA)
        cv2.circle(owner, head, max(2, int(size * 0.14)), label, -1)


SCENES: Mapping[str, Callable[[np.random.Generator, int, int], Picture]] = MappingProxyType(
    {
        "room": _room,
        "street": _street,
        "park": _park,
        "blurred": _blurred,
        "pitch": _pitch,
        "gym": _gym,
        "snow": _snow,
        "water": _water,
        "stage": _stage,
    }
)
