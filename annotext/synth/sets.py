"""The three sets: domain, annotation convention and file layout of each; chunks of pictures can be made anywhere.

A set is a fixed sequence of pictures. Picture i of set s is drawn from `SeedSequence(seed, spawn_key=(s, i, attempt))`,
and pictures come in chunks of a fixed size, so neither the number of workers nor the number of people asked for changes
what an earlier picture shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from annotext.core.skeleton import Skeleton
from annotext.core.skeletons import COCO17, HALPE26, MPII16, UNION21
from annotext.synth import labels
from annotext.synth.domains import EVERYDAY, SPORT, Domain
from annotext.synth.figure import KEYPOINTS
from annotext.synth.scene import Person, Scene, render

SetName = Literal["coco", "mpii", "halpe"]
Json = dict[str, Any]

CHUNK = 48
# An image is drawn anew until everybody in it can be seen; one in twenty needs a second go, so this is never reached.
_ATTEMPTS = 200
_PLAN_KEY = 2**32 - 1
_HALPE_POINTS = 136
# COCO's own way to number crowds.
_FIRST_CROWD_ID = 900_100_000_000
# MPII boxes are a little larger than the person.
_MPII_MARGIN = 1.06


@dataclass(frozen=True)
class SetKind:
    """One of the sets. `key` separates its chance from the others'; `first_id` is its first annotation id."""

    name: SetName
    key: int
    domain: Domain
    convention: labels.Convention


SETS: Mapping[str, SetKind] = MappingProxyType(
    {
        "coco": SetKind("coco", 1, EVERYDAY, labels.COCO_CONVENTION),
        "mpii": SetKind("mpii", 2, SPORT, labels.MPII_CONVENTION),
        "halpe": SetKind("halpe", 3, EVERYDAY, labels.HALPE_CONVENTION),
    }
)


@dataclass(frozen=True)
class Chunk:
    """A run of pictures to make: images first..first + len(counts), people from person index `first_person` on."""

    kind: SetName
    seed: int
    harder: bool
    first: int
    first_person: int
    counts: tuple[int, ...]
    folder: Path


@dataclass(frozen=True)
class Made:
    """What a chunk adds to the files: COCO image entries, label records, truth records, bytes written."""

    images: list[Json]
    records: list[Json]
    truth: list[Json]
    image_bytes: int


def plan(kind: SetKind, people: int, seed: int) -> list[int]:
    """People per image, summing to exactly `people`; a longer plan begins as a shorter one (but its end)."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(kind.key, _PLAN_KEY)))
    edges = np.cumsum(kind.domain.people_share)
    counts: list[int] = []
    left = people
    while left > 0:
        count = min(int(np.searchsorted(edges / edges[-1], rng.random(), side="right")) + 1, left)
        counts.append(count)
        left -= count
    return counts


def chunks(kind: SetKind, people: int, seed: int, folder: Path, *, harder: bool) -> list[Chunk]:
    """The work of one set, in order."""
    counts = plan(kind, people, seed)
    starts = np.cumsum([0, *counts])
    return [
        Chunk(kind.name, seed, harder, i, int(starts[i]), tuple(counts[i : i + CHUNK]), folder)
        for i in range(0, len(counts), CHUNK)
    ]


def draw_chunk(chunk: Chunk) -> list[tuple[Scene, np.random.Generator]]:
    """The chunk's pictures, each with its generator where the painting left it."""
    kind = SETS[chunk.kind]
    done: dict[int, tuple[Scene, np.random.Generator]] = {}
    for attempt in range(_ATTEMPTS):
        open_images = [i for i in range(len(chunk.counts)) if i not in done]
        if not open_images:
            break
        generators = [
            np.random.default_rng(np.random.SeedSequence(chunk.seed, spawn_key=(kind.key, chunk.first + i, attempt)))
            for i in open_images
        ]
        scenes = render(kind.domain, generators, [chunk.counts[i] for i in open_images])
        done |= {i: (s, rng) for i, s, rng in zip(open_images, scenes, generators, strict=True) if s is not None}
    else:
        raise RuntimeError(
            f"an image of set {kind.name} (seed {chunk.seed}) could not be drawn in {_ATTEMPTS} attempts"
        )
    return [done[i] for i in range(len(chunk.counts))]


def make_chunk(chunk: Chunk) -> Made:
    """Draw a chunk, write its images to ``folder/images`` and return its records."""
    cv2.setNumThreads(1)
    kind = SETS[chunk.kind]
    made = Made([], [], [], 0)
    person_index, size = chunk.first_person, 0
    for offset, (scene, rng) in enumerate(draw_chunk(chunk)):
        image_id = chunk.first + offset + 1
        name = f"{image_id:06d}.jpg"
        height, width = scene.image.shape[:2]
        ok, data = cv2.imencode(".jpg", scene.image, [cv2.IMWRITE_JPEG_QUALITY, kind.domain.jpeg_quality])
        if not ok:
            raise RuntimeError(f"{name}: JPEG encoding failed")
        (chunk.folder / "images" / name).write_bytes(data.tobytes())
        size += len(data)
        made.images.append({"license": 1, "file_name": name, "height": height, "width": width, "id": image_id})
        for person in scene.people:
            offsets = labels.own_offsets(rng, person)
            xy, v = labels.true_keypoints(person, offsets, (width, height), harder=chunk.harder)
            written_xy, written_v = labels.label(
                rng, person, xy, v, offsets, kind.convention, (width, height), harder=chunk.harder
            )
            # COCO ids are arbitrary large numbers; MPII has none, its truth counts records from 0.
            annotation_id = person_index if kind.name == "mpii" else 1000 + person_index
            made.truth.append(_truth_record(person, xy, v, annotation_id, image_id))
            if kind.name == "mpii":
                made.records.append(_mpii_record(rng, person, written_xy, written_v, name))
            else:
                made.records.append(_coco_record(kind.name, person, written_xy, written_v, annotation_id, image_id))
            person_index += 1
        if scene.crowd is not None and kind.name != "mpii":
            made.records.append(_crowd_record(kind.name, scene.crowd, image_id))
    return Made(made.images, made.records, made.truth, size)


def document(kind: SetKind, images: list[Json], records: list[Json]) -> Any:
    """The annotation file of a set."""
    if kind.name == "mpii":
        return records
    skeleton = {"coco": COCO17, "halpe": HALPE26}[kind.name]
    category = _category(skeleton)
    if kind.name == "halpe":
        # Halpe's own files leave these empty.
        category |= {"keypoints": [], "skeleton": []}
    return _coco_document(f"annotext synth: {kind.name}-like set, {kind.domain.name} domain", category, images, records)


def truth_document(kind: SetKind, images: list[Json], records: list[Json]) -> Json:
    """The truth file of a set: COCO format, 21 keypoints."""
    return _coco_document(f"annotext synth: truth of the {kind.name}-like set", _category(UNION21), images, records)


def _coco_document(description: str, category: Json, images: list[Json], records: list[Json]) -> Json:
    return {
        "info": {"description": description, "version": "1.0"},
        "licenses": [{"url": "", "id": 1, "name": "synthetic, no rights reserved"}],
        "categories": [category],
        "images": images,
        "annotations": records,
    }


def _category(skeleton: Skeleton) -> Json:
    return {
        "supercategory": "person",
        "id": 1,
        "name": "person",
        "keypoints": list(skeleton.native_names),
        "skeleton": (skeleton.edge_index + 1).tolist(),
    }


def _rounded(values: NDArray[np.float64], digits: int) -> list[float]:
    return [round(float(v), digits) for v in values]


def _flat(xy: NDArray[np.float64], v: NDArray[np.uint8], digits: int) -> list[float | int]:
    """x1, y1, v1, ...; whole numbers for `digits` 0 and where not labelled."""
    out: list[float | int] = []
    for (x, y), seen in zip(xy.tolist(), v.tolist(), strict=True):
        if not seen:
            out += [0, 0, 0]
        elif digits == 0:
            out += [round(x), round(y), seen]
        else:
            out += [round(x, digits), round(y, digits), seen]
    return out


_COCO_COLUMNS = [KEYPOINTS.index(k) for k in COCO17.keypoints]
_MPII_COLUMNS = [KEYPOINTS.index(k) for k in MPII16.keypoints]
_HALPE_COLUMNS = [KEYPOINTS.index(k) for k in HALPE26.keypoints]


def _coco_record(
    name: SetName, person: Person, xy: NDArray[np.float64], v: NDArray[np.uint8], annotation_id: int, image_id: int
) -> Json:
    columns = _COCO_COLUMNS if name == "coco" else _HALPE_COLUMNS
    keypoints = _flat(xy[columns], v[columns], 0)
    if name == "halpe":
        keypoints += [0.0] * (3 * _HALPE_POINTS - len(keypoints))
    return {
        "segmentation": [[float(c) for c in polygon.ravel()] for polygon in person.polygons],
        "num_keypoints": int((v[_COCO_COLUMNS] > 0).sum()),
        "area": person.area,
        "iscrowd": 0,
        "keypoints": keypoints,
        "image_id": image_id,
        "bbox": _rounded(person.bbox_xywh, 2),
        "category_id": 1,
        "id": annotation_id,
    }


def _crowd_record(name: SetName, mask: NDArray[np.bool_], image_id: int) -> Json:
    """A group nobody labelled one by one: iscrowd 1, run lengths instead of polygons, no keypoints."""
    columns = mask.ravel(order="F")
    changes = np.flatnonzero(columns[1:] != columns[:-1]) + 1
    counts = np.diff(np.concatenate([[0], changes, [columns.size]])).tolist()
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x, y = int(cols[0]), int(rows[0])
    return {
        "segmentation": {"counts": [0, *counts] if columns[0] else counts, "size": list(mask.shape)},
        "num_keypoints": 0,
        "area": float(mask.sum()),
        "iscrowd": 1,
        "keypoints": [0] * (3 * (len(COCO17) if name == "coco" else _HALPE_POINTS)),
        "image_id": image_id,
        "bbox": [float(x), float(y), float(cols[-1] + 1 - x), float(rows[-1] + 1 - y)],
        "category_id": 1,
        "id": _FIRST_CROWD_ID + image_id,
    }


def _truth_record(
    person: Person, xy: NDArray[np.float64], v: NDArray[np.uint8], annotation_id: int, image_id: int
) -> Json:
    k = len(UNION21)
    return {
        "num_keypoints": int((v[:k] > 0).sum()),
        "area": person.area,
        "iscrowd": 0,
        "keypoints": _flat(xy[:k], v[:k], 3),
        "image_id": image_id,
        "bbox": _rounded(person.bbox_xywh, 2),
        "category_id": 1,
        "id": annotation_id,
        "headbox": _rounded(person.head_box_xyxy, 3),
    }


def _mpii_record(
    rng: np.random.Generator, person: Person, xy: NDArray[np.float64], v: NDArray[np.uint8], image: str
) -> Json:
    """HRNet/MMPose layout, 1-based pixels. Missing joint: vis 0 at (-1, -1)."""
    joints = [
        [round(x + 1, 4), round(y + 1, 4)] if seen else [-1.0, -1.0]
        for (x, y), seen in zip(xy[_MPII_COLUMNS].tolist(), v[_MPII_COLUMNS].tolist(), strict=True)
    ]
    low, high = person.extent_xyxy[:2], person.extent_xyxy[2:]
    side = float((high - low).max()) * _MPII_MARGIN * float(1 + abs(rng.normal(0, 0.03)))
    scale = side / 200
    # Loaders shift the centre down by 15 x scale; the box of side 200 x scale then covers the person.
    center = (low + high) / 2 + 1 - np.array([0.0, 15 * scale])
    return {
        "joints_vis": (v[_MPII_COLUMNS] > 0).astype(int).tolist(),
        "joints": joints,
        "image": image,
        "scale": round(scale, 6),
        "center": _rounded(center, 1),
        "is_visible": (v[_MPII_COLUMNS] == 2).astype(int).tolist(),
        "headbox": _rounded(person.head_box_xyxy + 1, 1),
    }
