"""Contact sheets: people cut from their pictures, their keypoints drawn on, side by side under a legend.

K keypoints. Colours are BGR, as OpenCV wants them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from annotext.core.additions import Source
from annotext.core.poses import Visibility

Color = tuple[int, int, int]

HUMAN: Color = (235, 215, 40)
ADDED: Color = (45, 45, 240)
DERIVED: Color = (0, 150, 255)
CORRECTED: Color = (225, 80, 225)
LOW: Color = (0, 240, 255)
_INK: Color = (235, 235, 235)
_PAPER: Color = (34, 32, 30)
_DARK: Color = (20, 20, 20)

COLOR_OF = {
    Source.NONE: HUMAN,
    Source.DERIVED: DERIVED,
    Source.STUDENT: ADDED,
    Source.TEACHER: ADDED,
    Source.CORRECTED: CORRECTED,
}

# An added point below this score gets a ring and its score in figures. It is where a reader should look first, not a
# statement about right and wrong: scores are not calibrated yet.
LOW_SCORE = 0.5

TILE = 300  # pixels of the picture in a tile
_CAPTION = 40
_GAP = 6
_LEGEND = 40
# Room about the points, as a share of the larger side.
_MARGIN = 0.15
# Points that span less than this share of the box's larger side do not show the person: the box is shown too.
_SPANS = 0.4
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True)
class Tile:
    """One person to draw.

    pixels: (h, w, 3) uint8 BGR, the picture. bbox_xywh: (4,) image pixels. xy: (K, 2) image pixels, NaN where there is
    nothing. visibility: (K,) uint8. source: K sources, NONE for human points. score: (K,), of human points ignored.
    edges: (E, 2) positions. caption: two lines.
    """

    pixels: NDArray[np.uint8]
    bbox_xywh: NDArray[np.float64]
    xy: NDArray[np.float64]
    visibility: NDArray[np.uint8]
    source: tuple[Source, ...]
    score: NDArray[np.float64]
    edges: NDArray[np.intp]
    caption: tuple[str, str]


def contact_sheet(tiles: Sequence[Tile], title: str) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 BGR: all tiles in rows, under a legend with `title`."""
    columns = max(3, min(8, round(np.sqrt(len(tiles) * 1.4))))
    rows = -(-len(tiles) // columns)
    width = columns * (TILE + _GAP) + _GAP
    legend = _legend(width, title)
    sheet = np.full((len(legend) + rows * (TILE + _CAPTION + _GAP), width, 3), _PAPER, dtype=np.uint8)
    sheet[: len(legend)] = legend
    for i, tile in enumerate(tiles):
        row, column = divmod(i, columns)
        top, left = len(legend) + row * (TILE + _CAPTION + _GAP), _GAP + column * (TILE + _GAP)
        sheet[top : top + TILE + _CAPTION, left : left + TILE] = paint(tile)
    return sheet


def paint(tile: Tile) -> NDArray[np.uint8]:
    """(TILE + caption, TILE, 3) uint8 BGR: one person, cut out with its points and enlarged."""
    left, top, side = _window(tile)
    scale = TILE / side
    matrix = np.array([[scale, 0, (0.5 - left) * scale - 0.5], [0, scale, (0.5 - top) * scale - 0.5]])
    shrink = scale < 1
    pixels = tile.pixels
    if shrink:  # warpAffine does not average; make the picture smaller first
        size = [max(1, round(side * scale)) for side in (pixels.shape[1], pixels.shape[0])]
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        matrix = np.array([[1, 0, -left * scale], [0, 1, -top * scale]])
    warped = cv2.warpAffine(pixels, matrix, (TILE, TILE), flags=cv2.INTER_CUBIC, borderValue=_DARK)
    picture = warped.astype(np.uint8, copy=False)
    xy = (tile.xy + 0.5 - (left, top)) * scale - 0.5
    _draw_edges(picture, tile, xy)
    _draw_points(picture, tile, xy)
    out = np.full((TILE + _CAPTION, TILE, 3), _PAPER, dtype=np.uint8)
    out[:TILE] = picture
    for line, (text, size) in enumerate(zip(tile.caption, (0.45, 0.4), strict=True)):
        cv2.putText(out, text, (4, TILE + 16 + 16 * line), _FONT, size, _INK, 1, cv2.LINE_AA)
    return out


def _window(tile: Tile) -> tuple[float, float, float]:
    """Left, top and side of the square to show: the points where they span the person, else the box as well."""
    corner, size = tile.bbox_xywh[:2], tile.bbox_xywh[2:]
    # A prediction that went far astray would shrink the person to a speck: it is left outside.
    reach = 0.5 * size.max()
    shown = np.atleast_1d(np.isfinite(tile.xy).all(axis=1))
    shown[shown] = ((tile.xy[shown] > corner - reach) & (tile.xy[shown] < corner + size + reach)).all(axis=1)
    points = tile.xy[shown]
    if not len(points) or np.ptp(points, axis=0).max() < _SPANS * size.max():
        points = np.vstack([points, corner, corner + size])
    low, high = points.min(axis=0), points.max(axis=0)
    side = max(float((high - low).max()), 8.0) * (1 + 2 * _MARGIN)
    left, top = (low + high) / 2 - side / 2
    return float(left), float(top), side


def _draw_edges(picture: NDArray[np.uint8], tile: Tile, xy: NDArray[np.float64]) -> None:
    for a, b in tile.edges.tolist():
        if tile.visibility[a] == 0 or tile.visibility[b] == 0:
            continue
        sources = {tile.source[a], tile.source[b]} - {Source.NONE}
        # A line is as certain as its less certain end: a prediction, then a derived point, then the human ones.
        predicted = sources & {Source.STUDENT, Source.TEACHER}
        color = COLOR_OF[min(predicted or sources or {Source.NONE})]
        ends = [tuple(int(v) for v in np.round(np.clip(xy[i], -4 * TILE, 4 * TILE) * 16)) for i in (a, b)]
        cv2.line(picture, ends[0], ends[1], _DARK, 3, cv2.LINE_AA, 4)
        cv2.line(picture, ends[0], ends[1], color, 1, cv2.LINE_AA, 4)


def _draw_points(picture: NDArray[np.uint8], tile: Tile, xy: NDArray[np.float64]) -> None:
    written: list[tuple[int, int]] = []
    for i in sorted(range(len(tile.source)), key=lambda i: tile.source[i] != Source.NONE):  # human points first
        if not np.isfinite(xy[i]).all() or np.abs(xy[i]).max() > 4 * TILE:
            continue
        source = tile.source[i]
        center, color = _fixed(xy[i]), COLOR_OF[source]
        withheld = tile.visibility[i] == 0
        hollow = withheld or (source == Source.NONE and tile.visibility[i] == Visibility.HIDDEN)
        radius = 3 if source == Source.NONE else 4
        if hollow:
            cv2.circle(picture, center, radius * 16, _DARK, 3, cv2.LINE_AA, 4)
            cv2.circle(picture, center, radius * 16, color, 1, cv2.LINE_AA, 4)
        else:
            cv2.circle(picture, center, (radius + 1) * 16, _DARK, -1, cv2.LINE_AA, 4)
            cv2.circle(picture, center, radius * 16, color, -1, cv2.LINE_AA, 4)
        if source not in (Source.NONE, Source.DERIVED) and (withheld or tile.score[i] < LOW_SCORE):
            if not withheld:
                cv2.circle(picture, center, 8 * 16, _DARK, 3, cv2.LINE_AA, 4)
                cv2.circle(picture, center, 8 * 16, LOW, 1, cv2.LINE_AA, 4)
            _figure(picture, f"{tile.score[i]:.2f}".lstrip("0"), xy[i], color if withheld else LOW, written)


def _fixed(point: NDArray[np.float64]) -> tuple[int, int]:
    """A point in sixteenths of a pixel, OpenCV's way of drawing between pixels."""
    x, y = np.round(point * 16)
    return int(x), int(y)


def _figure(
    picture: NDArray[np.uint8], text: str, point: NDArray[np.float64], color: Color, written: list[tuple[int, int]]
) -> None:
    """A number beside a point, kept inside the picture and off the numbers already `written`, to which it is added."""
    x, y = round(float(point[0])), round(float(point[1]))
    beside = [(x + 10, y + 4), (x - 34, y + 4), (x - 12, y - 12), (x - 12, y + 20), (x + 10, y + 18), (x - 34, y + 18)]
    places = [(min(max(px, 2), TILE - 26), min(max(py, 12), TILE - 4)) for px, py in beside]
    free = (p for p in places if all(abs(p[0] - q[0]) >= 26 or abs(p[1] - q[1]) >= 12 for q in written))
    place = next(free, places[0])
    written.append(place)
    cv2.putText(picture, text, place, _FONT, 0.38, _DARK, 3, cv2.LINE_AA)
    cv2.putText(picture, text, place, _FONT, 0.38, color, 1, cv2.LINE_AA)


def _legend(width: int, title: str) -> NDArray[np.uint8]:
    entries: tuple[tuple[str, Color, str], ...] = (
        ("dot", HUMAN, "human"),
        ("hollow", HUMAN, "human, hidden"),
        ("dot", DERIVED, "derived"),
        ("dot", ADDED, "predicted"),
        ("dot", CORRECTED, "corrected"),
        ("ring", LOW, f"score below {LOW_SCORE:g}"),
        ("hollow", ADDED, "withheld, with its score"),
    )
    placed: list[tuple[int, int, tuple[str, Color, str]]] = []
    x, line = _GAP + 8, 0
    for entry in entries:
        need = 34 + cv2.getTextSize(entry[2], _FONT, 0.45, 1)[0][0]
        if x + need > width:
            x, line = _GAP + 8, line + 1
        placed.append((x, line, entry))
        x += need
    band = np.full((_LEGEND + 22 * line + 22, width, 3), _PAPER, dtype=np.uint8)
    cv2.putText(band, title, (_GAP, 20), _FONT, 0.5, _INK, 1, cv2.LINE_AA)
    for x, line, (kind, color, text) in placed:
        y = 42 + 22 * line
        if kind == "hollow":
            cv2.circle(band, (x, y), 4, color, 1, cv2.LINE_AA)
        else:
            cv2.circle(band, (x, y), 4, ADDED if kind == "ring" else color, -1, cv2.LINE_AA)
        if kind == "ring":
            cv2.circle(band, (x, y), 8, LOW, 1, cv2.LINE_AA)
        cv2.putText(band, text, (x + 14, y + 5), _FONT, 0.45, _INK, 1, cv2.LINE_AA)
    return band
