"""Draws docs/images/synth_people.jpg: pictures of the two domains, the lower rows with their true keypoints.

python docs/images/synth_people.py
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from annotext.core.skeletons import UNION21
from annotext.synth.scene import Scene
from annotext.synth.sets import SETS, chunks, draw_chunk

SEED, COLUMNS, WIDTH, HEIGHT = 11, 5, 256, 192


def with_points(scene: Scene) -> np.ndarray:
    """The picture with its truth: edges, green points seen, red points hidden."""
    image = scene.image.copy()
    for person in scene.people:
        at = np.rint(person.xy * 8).astype(int)
        for one, other in UNION21.edge_index:
            if person.visibility[one] and person.visibility[other]:
                cv2.line(image, at[one].tolist(), at[other].tolist(), (240, 240, 240), 1, cv2.LINE_AA, 3)
        for k in range(len(UNION21)):
            if person.visibility[k]:
                colour = (60, 200, 60) if person.visibility[k] == 2 else (50, 50, 220)
                cv2.circle(image, at[k].tolist(), 18, colour, -1, cv2.LINE_AA, 3)
    return image


def tile(image: np.ndarray) -> np.ndarray:
    """The image's middle, cut to the sheet's aspect and scaled."""
    height, width = image.shape[:2]
    scale = max(WIDTH / width, HEIGHT / height)
    shown = cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    x, y = (shown.shape[1] - WIDTH) // 2, (shown.shape[0] - HEIGHT) // 2
    return shown[y : y + HEIGHT, x : x + WIDTH]


def main() -> None:
    """Two rows of everyday people, two of sport; every second row with keypoints."""
    rows = []
    for name in ("coco", "mpii"):
        scenes = [s for s, _ in draw_chunk(chunks(SETS[name], 60, SEED, Path(), harder=False)[0])]
        rows.append(np.hstack([tile(s.image) for s in scenes[:COLUMNS]]))
        rows.append(np.hstack([tile(with_points(s)) for s in scenes[COLUMNS : 2 * COLUMNS]]))
    path = Path(__file__).with_suffix(".jpg")
    cv2.imwrite(str(path), np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 86])
    print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
