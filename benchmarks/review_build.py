"""How long `annotext review build` takes for 5,000 images, against FiftyOne's bare `add_samples` of the same documents.

    python benchmarks/review_build.py [--images 5000] [--people 10000]

People are made up, two to an image on the average, with 17 labels and four added points each, of every kind; all images
are links to one picture. Each side runs in a process of its own, with a database of its own. Printed: seconds and peak
memory of both sides (`add_samples` of samples that are ready, nothing else), the ratio, and how long the database takes
to switch to each saved view (its count and the first screen of samples) and for a filter.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

NAME = "benchmark"
SCREEN = 40  # samples the App's grid asks for at once
WIDTH, HEIGHT = 640, 480


def prepare(folder: Path, images: int, people: int) -> dict[str, object]:
    """Write the extended file and its pictures."""
    from annotext.core.additions import Additions, Decision, Reason, Source, default_decision
    from annotext.core.poses import Image, Poses
    from annotext.core.skeletons import COCO17
    from annotext.formats.annotations.read import read_annotations
    from annotext.formats.overlay.write import write_extended

    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    first = folder / "images" / "000000.jpg"
    assert cv2.imwrite(str(first), rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8))
    names = [f"{i:06d}.jpg" for i in range(images)]
    for name in names[1:]:
        (folder / "images" / name).hardlink_to(first)
    corner = rng.uniform(0, 300, (people, 2))
    size = rng.uniform(60, 180, (people, 2))
    xy = (corner[:, None] + rng.random((people, 17, 2)) * size[:, None]).round(1)
    index = np.sort(np.concatenate([np.arange(images), rng.integers(0, images, people - images)]))
    annotations = [
        {
            "id": i + 1,
            "image_id": int(index[i]),
            "category_id": 1,
            "iscrowd": 0,
            "bbox": [*corner[i].tolist(), *size[i].tolist()],
            "area": float(size[i].prod() * 0.6),
            "num_keypoints": 17,
            "keypoints": np.concatenate([xy[i], np.full((17, 1), 2)], axis=1).ravel().tolist(),
        }
        for i in range(people)
    ]
    document = {
        "images": [{"id": i, "file_name": n, "width": WIDTH, "height": HEIGHT} for i, n in enumerate(names)],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.keypoints), "skeleton": []}],
    }
    (folder / "people.json").write_text(json.dumps(document))
    file = read_annotations(folder / "people.json")
    shape = (people, 4)
    visibility = np.where(rng.random(shape) < 0.8, 2, 0).astype(np.uint8)
    estimated = np.ones(shape, dtype=bool)
    decision = default_decision(estimated, visibility)
    decision[(visibility == 0) & (rng.random(shape) < 0.5)] = Decision.ASK
    additions = Additions(
        keypoints=("pelvis", "thorax", "upper_neck", "head_top"),
        xy=corner[:, None] + rng.random((*shape, 2)) * size[:, None],
        visibility=visibility,
        source=np.full(shape, Source.STUDENT, dtype=object),
        score=rng.random(shape),
        decision=decision,
        reason=np.where(decision == Decision.ADD, Reason.ADDED, Reason.TO_ASK).astype(object),
    )
    assert isinstance(file.poses, Poses) and isinstance(file.poses.images[0], Image)
    limits = {k: {"add_from": 0.7, "ask_from": 0.5} for k in additions.keypoints}
    write_extended(file, additions, {"policy": {"limits": limits}}, folder / "extended.json", force=True)
    return {}


def build(folder: Path) -> dict[str, object]:
    """What a user runs, after FiftyOne is connected."""
    from annotext.review.fiftyone.database import connect
    from annotext.workflows.review_build import build_review

    connect()
    started = time.perf_counter()
    report = build_review(folder / "extended.json", folder / "images", name=NAME)
    return {"seconds": time.perf_counter() - started, "images": report.images, "people": report.people}


def bare(folder: Path) -> dict[str, object]:
    """The samples of the built dataset, added to another."""
    from annotext.review.fiftyone.database import connect

    fo = connect()
    built = fo.load_dataset(NAME)
    copies = [fo.Sample.from_dict({**s.to_dict(), "_id": None}) for s in built]
    empty = built[:0].clone("bare")  # the same fields, declared
    started = time.perf_counter()
    empty.add_samples(copies, dynamic=False, validate=False, progress=False)
    return {"seconds": time.perf_counter() - started}


def views(folder: Path) -> dict[str, object]:
    """Seconds of a view's count and first screen, and of a filter on scores."""
    from annotext.review.fiftyone.database import connect

    fo = connect()
    dataset = fo.load_dataset(NAME)
    taken: dict[str, float] = {}
    for name in dataset.list_saved_views():
        started = time.perf_counter()
        view = dataset.load_saved_view(name)
        view.count()
        list(view[:SCREEN].iter_samples())
        taken[name] = time.perf_counter() - started
    for low in (0.2, 0.5):
        started = time.perf_counter()
        view = dataset.filter_labels("people", fo.ViewField("lowest") < low)
        view.count()
        list(view[:SCREEN].iter_samples())
        taken[f"lowest < {low}"] = time.perf_counter() - started
    return {"seconds": max(taken.values()), "views": {k: round(v, 3) for k, v in taken.items()}}


SIDES = {"build": build, "bare": bare, "views": views}


def alone(side: str, folder: Path, given: argparse.Namespace) -> dict[str, object]:
    """Run one side in a process of its own; what it returns, and its peak memory in GB."""
    command = [sys.executable, __file__, "--side", side, "--keep", str(folder)]
    command += ["--images", str(given.images), "--people", str(given.people)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FIFTYONE_")}
    environment["FIFTYONE_DATABASE_DIR"] = str(folder / "database")
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--keep", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--side", choices=[*SIDES, "prepare"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side == "prepare":
        print(json.dumps(prepare(given.keep, given.images, given.people)))
        return
    if given.side:
        result = SIDES[given.side](given.keep)
        print(json.dumps({**result, "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        alone("prepare", folder, given)
        found = {side: alone(side, folder, given) for side in SIDES}
        time.sleep(2)  # the database leaves its folder
    print(f"{found['build']['images']} images, {found['build']['people']} people")
    for side in ("build", "bare"):
        print(f"{side:<8}{found[side]['seconds']:8.1f} s   peak {found[side]['gigabytes']:.2f} GB")
    print(f"ratio   {float(str(found['build']['seconds'])) / float(str(found['bare']['seconds'])):8.2f}")
    for name, seconds in dict(found["views"]["views"]).items():  # type: ignore[call-overload]
        print(f"{name:<30}{seconds:8.3f} s")


if __name__ == "__main__":
    main()
