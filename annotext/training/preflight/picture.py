"""One augmented batch as the student will see it, with its labels and every teacher's predictions: it shows whether
boxes, left and right, keypoint order and the teachers' geometry are right.

K keypoints of the student; (w, h) its input; crop pixels are the student's. Colours are BGR, as OpenCV wants them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from annotext.core.skeleton import Skeleton

Color = tuple[int, int, int]

# Sides of a label, after Okabe and Ito's palette, which colour-blind readers can tell apart.
LEFT: Color = (233, 180, 86)
RIGHT: Color = (0, 140, 240)
MIDDLE: Color = (240, 240, 240)
# Of the teachers, in the recipe's order.
TEACHERS: tuple[Color, ...] = ((220, 70, 255), (60, 255, 120), (60, 60, 255), (60, 230, 255), (255, 90, 90))

_INK: Color = (235, 235, 235)
_DIM: Color = (165, 165, 165)
_PAPER: Color = (34, 32, 30)
_DARK: Color = (15, 15, 15)
_FONT = cv2.FONT_HERSHEY_SIMPLEX

_SIDE = 336  # the longer side of a student's crop on the sheet
_INSET = 108  # width of the column that shows what teachers see
_GAP = 10
_CAPTION = 20  # height of a caption's line
_WIDEST = 1900  # of a sheet: a screen's width
# Radius of a teacher's ring for score 0 and for score 1.
_RING = (3.0, 7.0)
# A ring this far from its label, in pixels of the sheet, is tied to it by a line, if the teacher is as sure as this:
# guesses at what cannot be seen would cover the picture with lines.
_TIED, _SURE = 9.0, 0.3


@dataclass(frozen=True)
class Peaks:
    """One teacher's predictions for one person. columns: (k,) the student's keypoints. xy: (k, 2) crop pixels, NaN
    where it lies outside. score: (k,) in [0, 1]."""

    columns: NDArray[np.intp]
    xy: NDArray[np.float64]
    score: NDArray[np.float64]


@dataclass(frozen=True)
class TeacherView:
    """A crop that teachers get beside the student's. pixels: RGB. frame: (4, 2) corners of the student's crop in it.
    teachers: positions of those who see it."""

    pixels: NDArray[np.uint8]
    frame: NDArray[np.float64]
    teachers: tuple[int, ...]


@dataclass(frozen=True)
class Person:
    """One person of the batch. image: (h, w, 3) uint8 RGB, the student's crop. points: (K, 2) crop pixels. labelled:
    (K,). peaks: one per teacher, in order."""

    image: NDArray[np.uint8]
    points: NDArray[np.float64]
    labelled: NDArray[np.bool_]
    data_set: str
    peaks: tuple[Peaks, ...] = ()
    views: tuple[TeacherView, ...] = ()


def draw_batch(
    people: Sequence[Person], skeleton: Skeleton, teachers: Sequence[str], title: str, note: str = ""
) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 BGR: everybody, in rows, under a legend. teachers: their names."""
    tiles = [_tile(person, skeleton, teachers) for person in people]
    h, w = tiles[0].shape[:2]
    columns = max(1, min(len(tiles), (_WIDEST - _GAP) // (w + _GAP)))
    rows = -(-len(tiles) // columns)
    width = max(columns * (w + _GAP) + _GAP, 900)
    views = any(person.views for person in people)
    legend = _legend(width, teachers, title, note, views)
    sheet = np.full((len(legend) + rows * (h + _GAP), width, 3), _PAPER, dtype=np.uint8)
    sheet[: len(legend)] = legend
    for i, tile in enumerate(tiles):
        row, column = divmod(i, columns)
        top, left = len(legend) + row * (h + _GAP), _GAP + column * (w + _GAP)
        sheet[top : top + h, left : left + w] = tile
    return sheet


def _tile(person: Person, skeleton: Skeleton, teachers: Sequence[str]) -> NDArray[np.uint8]:
    h, w = person.image.shape[:2]
    scale = _SIDE / max(h, w)
    picture = _resized(person.image, scale)
    height, width = picture.shape[:2]

    def place(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        return (xy + 0.5) * scale - 0.5

    _draw_edges(picture, place(person.points), person.labelled, skeleton)
    for i, peaks in enumerate(person.peaks):
        _draw_peaks(picture, place(peaks.xy), peaks, place(person.points), person.labelled, _teacher_color(i))
    # Last, so that no ring hides them.
    _draw_labels(picture, place(person.points), person.labelled, skeleton)

    inset = _INSET + 4 if person.views else 0
    tile = np.full((height + _CAPTION * (1 + bool(person.peaks)), width + inset, 3), _PAPER, dtype=np.uint8)
    tile[:height, :width] = picture
    if person.views:
        _draw_views(tile[:height, width + 4 :], person.views)
    labels = int(person.labelled.sum())
    _text(tile, f"{person.data_set}: {labels} labels" if labels else f"{person.data_set}: no labels", 2, height + 15)
    x = 2
    for i, peaks in enumerate(person.peaks):
        both = person.labelled[peaks.columns] & np.isfinite(peaks.xy).all(axis=1)
        away = np.linalg.norm(peaks.xy - person.points[peaks.columns], axis=1)[both]
        text = f"{teachers[i]} {np.median(away):.1f}px" if len(away) else f"{teachers[i]} -"
        x += _text(tile, text, x, height + _CAPTION + 14, _teacher_color(i)) + 10
    return tile


def _resized(rgb: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """RGB -> BGR, enlarged or made smaller."""
    h, w = rgb.shape[:2]
    size = (max(1, round(w * scale)), max(1, round(h * scale)))
    method = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    return cv2.resize(np.ascontiguousarray(rgb[..., ::-1]), size, interpolation=method).astype(np.uint8, copy=False)


def _side_colors(skeleton: Skeleton) -> list[Color]:
    colors = [MIDDLE] * len(skeleton)
    for left, right in skeleton.flip_pairs:
        colors[skeleton.index[left]], colors[skeleton.index[right]] = LEFT, RIGHT
    return colors


def _draw_edges(
    picture: NDArray[np.uint8], xy: NDArray[np.float64], labelled: NDArray[np.bool_], skeleton: Skeleton
) -> None:
    colors = _side_colors(skeleton)
    for a, b in skeleton.edge_index.tolist():
        if labelled[a] and labelled[b]:
            color = colors[a] if colors[a] == colors[b] else MIDDLE
            _line(picture, xy[a], xy[b], color)


def _draw_labels(
    picture: NDArray[np.uint8], xy: NDArray[np.float64], labelled: NDArray[np.bool_], skeleton: Skeleton
) -> None:
    colors = _side_colors(skeleton)
    for k in np.flatnonzero(labelled):
        cv2.circle(picture, _fixed(xy[k]), 4 * 16, _DARK, -1, cv2.LINE_AA, 4)
        cv2.circle(picture, _fixed(xy[k]), 3 * 16, colors[k], -1, cv2.LINE_AA, 4)


def _draw_peaks(
    picture: NDArray[np.uint8],
    xy: NDArray[np.float64],
    peaks: Peaks,
    labels: NDArray[np.float64],
    labelled: NDArray[np.bool_],
    color: Color,
) -> None:
    for at, k, score in zip(xy, peaks.columns, peaks.score, strict=True):
        if not np.isfinite(at).all():
            continue
        radius = round((_RING[0] + (_RING[1] - _RING[0]) * float(score)) * 16)
        if labelled[k] and score >= _SURE and np.linalg.norm(at - labels[k]) > _TIED:
            cv2.line(picture, _fixed(at), _fixed(labels[k]), color, 1, cv2.LINE_AA, 4)
        cv2.circle(picture, _fixed(at), radius, _DARK, 3, cv2.LINE_AA, 4)
        cv2.circle(picture, _fixed(at), radius, color, 1, cv2.LINE_AA, 4)


def _draw_views(column: NDArray[np.uint8], views: Sequence[TeacherView]) -> None:
    """The teachers' crops under each other, bordered in their colours, the student's crop framed in each."""
    room = (len(column) - 4 * (len(views) - 1)) // len(views)
    top = 0
    for view in views:
        h, w = view.pixels.shape[:2]
        scale = min((_INSET - 4) / w, (room - 4) / h)
        small = _resized(view.pixels, scale)
        frame = [_fixed((corner + 0.5) * scale - 0.5) for corner in view.frame]
        for a, b in zip(frame, frame[1:] + frame[:1], strict=True):
            cv2.line(small, a, b, _DARK, 3, cv2.LINE_AA, 4)
            cv2.line(small, a, b, MIDDLE, 1, cv2.LINE_AA, 4)
        height, width = small.shape[:2]
        column[top + 2 : top + 2 + height, 2 : 2 + width] = small
        for ring, teacher in enumerate(view.teachers[:2]):
            corners = (2 - 1 - ring, top + 1 - ring), (2 + width + ring, top + 2 + height + ring)
            cv2.rectangle(column, *corners, _teacher_color(teacher), 1)
        top += height + 8


def _legend(width: int, teachers: Sequence[str], title: str, note: str, views: bool) -> NDArray[np.uint8]:
    entries: list[tuple[Callable[[NDArray[np.uint8], int, int], object], int, str]] = []

    def dot(color: Color) -> Callable[[NDArray[np.uint8], int, int], object]:
        return lambda band, x, y: cv2.circle(band, (x + 6, y), 4, color, -1, cv2.LINE_AA)

    def rings(color: Color, scores: Sequence[float]) -> Callable[[NDArray[np.uint8], int, int], object]:
        def paint(band: NDArray[np.uint8], x: int, y: int) -> None:
            for i, score in enumerate(scores):
                radius = round((_RING[0] + (_RING[1] - _RING[0]) * score) * 16)
                cv2.circle(band, ((x + 8 + 18 * i) * 16, y * 16), radius, color, 2, cv2.LINE_AA, 4)

        return paint

    def frame(band: NDArray[np.uint8], x: int, y: int) -> None:
        cv2.rectangle(band, (x, y - 6), (x + 12, y + 6), MIDDLE, 1)

    entries += [(dot(LEFT), 18, "label, person's left"), (dot(RIGHT), 18, "right"), (dot(MIDDLE), 18, "middle")]
    entries += [(rings(_teacher_color(i), [0.8]), 22, f"teacher {name} says") for i, name in enumerate(teachers)]
    if teachers:
        entries.append((rings(_DIM, [0.0, 0.5, 1.0]), 58, "unsure to sure; a line leads to the label"))
    if views:
        entries.append((frame, 20, "small pictures: what teachers see; white: the student's crop"))
    placed: list[tuple[int, int]] = []
    x, line = _GAP, 0
    for _, lead, text in entries:
        need = lead + cv2.getTextSize(text, _FONT, 0.45, 1)[0][0] + 24
        if x + need > width and x > _GAP:
            x, line = _GAP, line + 1
        placed.append((x, line))
        x += need
    band = np.full((62 + 24 * (line + 1), width, 3), _PAPER, dtype=np.uint8)
    _text(band, title, _GAP, 24, size=0.6)
    _text(band, note, _GAP, 46, _DIM)
    for (x, line), (paint, lead, text) in zip(placed, entries, strict=True):
        y = 70 + 24 * line
        paint(band, x, y)
        _text(band, text, x + lead, y + 5)
    return band


def _teacher_color(i: int) -> Color:
    return TEACHERS[i % len(TEACHERS)]


def _text(picture: NDArray[np.uint8], text: str, x: int, y: int, color: Color = _INK, size: float = 0.45) -> int:
    """Write, and return how wide it is."""
    cv2.putText(picture, text, (x, y), _FONT, size, color, 1, cv2.LINE_AA)
    return cv2.getTextSize(text, _FONT, size, 1)[0][0]


def _line(picture: NDArray[np.uint8], a: NDArray[np.float64], b: NDArray[np.float64], color: Color) -> None:
    cv2.line(picture, _fixed(a), _fixed(b), _DARK, 3, cv2.LINE_AA, 4)
    cv2.line(picture, _fixed(a), _fixed(b), color, 1, cv2.LINE_AA, 4)


def _fixed(point: NDArray[np.float64]) -> tuple[int, int]:
    """A point in sixteenths of a pixel, OpenCV's way of drawing between pixels; kept within what it can draw."""
    x, y = np.round(np.clip(point, -4000, 4000) * 16)
    return int(x), int(y)
