"""Things in front of people: furniture, poles, balls. They own the pixels they cover."""

from __future__ import annotations

import cv2
import numpy as np

from annotext.synth.paint import OCCLUDER, Canvas

_AA = cv2.LINE_AA


def paint_occluder(rng: np.random.Generator, canvas: Canvas, *, sport: bool) -> None:
    """Paint one thing somewhere in front of everybody."""
    height, width = canvas.owner.shape
    colour = tuple(float(c) for c in rng.uniform((20, 20, 20), (225, 225, 230)))
    dark = tuple(0.7 * c for c in colour)
    kind = int(rng.integers(3))
    if sport:
        if kind == 0:  # a ball
            centre, radius = (int(rng.integers(width)), int(rng.integers(height))), int(rng.integers(6, 16))
            cv2.circle(canvas.colour, centre, radius, colour, -1, _AA)
            cv2.circle(canvas.colour, centre, max(2, radius // 2), dark, 1, _AA)
            cv2.circle(canvas.relief, centre, radius, 110, -1, _AA)
            cv2.circle(canvas.owner, centre, radius, OCCLUDER, -1)
        else:  # a bar, a racket's shaft, a ski pole
            x, y = int(rng.integers(width)), int(rng.integers(height))
            dx, dy = rng.normal(0, 1, 2)
            reach = float(rng.uniform(30, 90)) / max(float(np.hypot(dx, dy)), 0.1)
            end = (int(x + dx * reach), int(y + dy * reach))
            thick = int(rng.integers(2, 7))
            cv2.line(canvas.colour, (x, y), end, colour, thick, _AA)
            cv2.line(canvas.relief, (x, y), end, 128, thick)
            cv2.line(canvas.owner, (x, y), end, OCCLUDER, thick)
        return
    if kind == 0:  # a table, counter, bench or wall in front, at the bottom of the image
        w, h = int(rng.integers(40, 150)), int(rng.integers(16, 56))
        x, y = int(rng.integers(-20, width - 10)), int(height - rng.integers(8, h + 1))
        corners = (x, y), (x + w, y + h)
        cv2.rectangle(canvas.owner, *corners, OCCLUDER, -1)
        cv2.rectangle(canvas.relief, *corners, 128, -1)
        cv2.rectangle(canvas.colour, *corners, dark, -1)
        cv2.rectangle(canvas.colour, (x, y), (x + w, y + 5), colour, -1)
    elif kind == 1:  # a pole or a plant's stem
        x, thick = int(rng.integers(0, width)), int(rng.integers(4, 12))
        corners = (x, int(rng.integers(0, height // 2))), (x + thick, height)
        cv2.rectangle(canvas.owner, *corners, OCCLUDER, -1)
        cv2.rectangle(canvas.relief, *corners, 128, -1)
        cv2.rectangle(canvas.colour, *corners, colour, -1)
        cv2.line(canvas.colour, (x + thick - 1, corners[0][1]), (x + thick - 1, height), dark, 2)
    else:  # a bush, a bag
        x, y = int(rng.integers(width)), int(rng.integers(height // 2, height))
        for _ in range(5):
            dx, dy = rng.normal(0, 9, 2)
            centre, radius = (int(x + dx), int(y + dy)), int(rng.integers(6, 15))
            tone = float(rng.uniform(0.75, 1.15))
            cv2.circle(canvas.colour, centre, radius, tuple(tone * c for c in colour), -1, _AA)
            cv2.circle(canvas.relief, centre, radius, 128, -1)
            cv2.circle(canvas.owner, centre, radius, OCCLUDER, -1)
