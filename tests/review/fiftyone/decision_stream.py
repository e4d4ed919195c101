"""A reviewer in a process of their own: `python decision_stream.py DATASET REVIEWER EXTENDED START SEED N`.

Prints "ready", waits for the file START, records N decisions on the people of the first image, one by one, and prints
"safe ID" for each when `record` has returned. A dataset that is not there is built.
"""

from __future__ import annotations

import sys
import time
import uuid
from dataclasses import replace
from pathlib import Path

from reviewers import random_corrections

from annotext.formats.annotations.read import read_annotations
from annotext.review.fiftyone.database import connect


def main() -> None:
    name, reviewer, extended, start, seed, n = sys.argv[1:]
    fo = connect()
    from annotext.review.fiftyone.store import record
    from annotext.workflows.review_build import build_review

    if not fo.dataset_exists(name):
        build_review(Path(extended), Path(extended).parent / "images", name=name)
    dataset = fo.load_dataset(name)

    file = read_annotations(extended)
    assert file.additions is not None
    shown = file.extended_poses.has_keypoints & ~file.extended_poses.crowd
    first = shown & (file.extended_poses.image_index == file.extended_poses.image_index[shown].min())
    poses, additions = file.extended_poses.take(first), file.additions.take(first)
    print("ready", flush=True)
    while not Path(start).exists():
        time.sleep(0.001)
    for turn in range(int(n)):
        correction = random_corrections(poses, additions, 1000 * int(seed) + turn, 1)[0]
        correction = replace(correction, id=uuid.uuid4().hex, reviewer=reviewer)
        record(dataset, [correction])
        print("safe", correction.id, flush=True)


main()
