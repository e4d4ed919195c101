"""A small extended file with images, to review in tests."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from dots import coco_document
from reviewers import added_people

from annotext.core.skeletons import COCO17
from annotext.formats.annotations import read_annotations
from annotext.formats.extended import write_extended

LIMIT = 0.8


def write_extended_people(folder: Path, n: int = 12, seed: int = 0) -> Path:
    """`extended.json` of N people on black `images` of 640 x 480; what it was extended from is `people.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    grown, additions = added_people(seed, n)
    poses = grown.to(COCO17)
    (folder / "images").mkdir()
    for image in poses.images:
        assert cv2.imwrite(str(folder / "images" / image.file_name), np.zeros((480, 640, 3), np.uint8))
    (folder / "people.json").write_text(json.dumps(coco_document(poses)))
    file = read_annotations(folder / "people.json")
    limits = {k: {"add_from": LIMIT, "ask_from": 0.5} for k in additions.keypoints}
    write_extended(file, additions, {"policy": {"limits": limits}}, folder / "extended.json", force=True)
    return folder / "extended.json"
