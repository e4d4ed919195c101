"""Label Studio's JSON export of key points, and tasks that bring added points there.

Coordinates are percent of the image's width and height. A region keeps its id from prediction to annotation: it is
`<annotation>.<keypoint>`, the annotation being the extended file's. What holds for one point, or for all of a task,
stands in `choices`: `hidden`, `candidate` with a region's id; `checked`, of the whole task.
Sources: labelstud.io/guide/task_format, /guide/predictions, /tags/keypointlabels.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from annotext.core.additions import Additions
from annotext.core.errors import InputError, Problem
from annotext.core.poses import Poses, Visibility
from annotext.formats.annotations.records import is_number
from annotext.formats.files.jsonio import dump_json, kind_of, read_json
from annotext.formats.tools.exported import ExportedPerson, ExportedPoint, State, keypoint_names

# What names the labelling interface that stands beside the tasks.
SETUP_SUFFIX = ".config.xml"
IMAGE, FILE = "image", "annotext_image"
HIDDEN, CANDIDATE, CHECKED = "hidden", "candidate", "checked"
_REGION = re.compile(r"(-?\d{1,18})\.(\w+)")
_TO_BRING = "regions of `annotext corrections to-label-studio` have ids such as 17.head_top"


def read_people(path: str | Path, poses: Poses) -> tuple[list[ExportedPerson], list[Problem]]:
    """People with their points in a JSON export, and what in it cannot be read.

    Only the last annotation of a task that was not cancelled counts; tasks without one say nothing. Arguments and
    errors as of `cvat.read_people`.
    """
    path = Path(path)
    document, _ = read_json(path)
    if not isinstance(document, list) or not all(isinstance(t, dict) and "data" in t for t in document):
        raise InputError.single(
            path, "", f"is {kind_of(document)} that is no list of tasks", "export as JSON (not JSON-MIN, not COCO)"
        )
    reader = _Reader(path, keypoint_names(poses))
    people = [person for i, task in enumerate(document) for person in reader.task(task, f"[{i}]")]
    return people, reader.problems


class _Reader:
    def __init__(self, path: Path, names: Mapping[str, str]) -> None:
        self.path, self.names = path, names
        self.problems: list[Problem] = []

    def fault(self, pointer: str, problem: str, hint: str = "") -> None:
        self.problems.append(Problem(str(self.path), pointer, problem, hint))

    def task(self, task: Mapping[str, Any], pointer: str) -> list[ExportedPerson]:
        annotations = task.get("annotations") or []
        data = task["data"] if isinstance(task["data"], dict) else {}
        image = data.get(FILE) or data.get(IMAGE)
        if not isinstance(image, str):
            self.fault(f"{pointer}.data.{IMAGE}", f"is {kind_of(image)}, expected a text")
            return []
        done = [
            (f"{pointer}.annotations[{k}]", a)
            for k, a in enumerate(annotations)
            if isinstance(a, dict) and isinstance(a.get("result"), list) and not a.get("was_cancelled")
        ]
        if len({str(a.get("completed_by")) for _, a in done}) > 1:
            what = "has annotations of several people"
            self.fault(f"{pointer}.annotations", what, "export one annotator's at a time, each with a --reviewer")
            return []
        if not done:
            return []
        where, annotation = done[-1]
        choices: dict[str | None, set[str]] = {}
        for region in annotation["result"]:
            if isinstance(region, dict) and region.get("type") == "choices":
                chosen = (region.get("value") or {}).get("choices") or []
                # Of the whole image the id is one of its own, and nothing else has it.
                choices.setdefault(region.get("id"), set()).update(map(str, chosen))
        checked = any(CHECKED in chosen for chosen in choices.values())
        of: dict[int, list[ExportedPoint]] = {}
        broken: set[int] = set()
        for k, region in enumerate(annotation["result"]):
            if not isinstance(region, dict) or region.get("type") != "keypointlabels":
                continue
            here = f"{where}.result[{k}]"
            person = _REGION.fullmatch(str(region.get("id")))
            if person is None:
                self.fault(f"{here}.id", f"{region.get('id')!r:.40} names no point of the extended file", _TO_BRING)
                continue
            point = self._point(region, person[2], here, choices.get(region["id"], set()))
            if point is None:
                broken.add(int(person[1]))
            else:
                of.setdefault(int(person[1]), []).append(point)
        time = _utc(annotation.get("updated_at") or annotation.get("created_at"))
        return [
            ExportedPerson(i, image, tuple(points), points[0].pointer, i not in broken, checked, time)
            for i, points in of.items()
        ]

    def _point(self, region: Mapping[str, Any], named: str, pointer: str, choices: set[str]) -> ExportedPoint | None:
        value = region.get("value")
        value = value if isinstance(value, dict) else {}
        labels = value.get("keypointlabels")
        label = labels[0] if isinstance(labels, list) and len(labels) == 1 else None
        keypoint = self.names.get(str(label))
        if keypoint is None or keypoint != self.names.get(named):
            self.fault(f"{pointer}.value.keypointlabels", f"is {labels!r:.60}, and the region's id says {named}")
            return None
        numbers = [value.get("x"), value.get("y"), region.get("original_width"), region.get("original_height")]
        if not all(is_number(n) and math.isfinite(n) for n in numbers) or min(numbers[2:]) <= 0:
            self.fault(pointer, "lacks x and y (percent) or original_width and original_height (pixels)")
            return None
        if region.get("image_rotation"):
            self.fault(f"{pointer}.image_rotation", "is not 0", "points of turned images are not read")
            return None
        x, y, width, height = (float(n) for n in numbers)
        state = State.HIDDEN if HIDDEN in choices else State.VISIBLE
        return ExportedPoint(keypoint, state, x / 100 * width, y / 100 * height, CANDIDATE in choices, False, pointer)


def _utc(time: Any) -> str:
    try:
        instant = datetime.fromisoformat(str(time))
    except ValueError:
        return ""
    if instant.tzinfo is None:
        return ""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def task_files(path: Path, poses: Poses, additions: Additions, url: str) -> tuple[bytes, bytes]:
    """See `exported.Tool`."""
    tasks = label_studio_tasks(poses, additions, _sizes(path, poses), url)
    return dump_json(tasks), label_studio_config(additions.keypoints).encode()


def _sizes(path: Path, poses: Poses) -> Sequence[tuple[int, int]]:
    found, problems = [], []
    for i, image in enumerate(poses.images):
        if image.width and image.height:
            found.append((image.width, image.height))
        else:
            what = f"{image.file_name} has no width and height, and Label Studio's points are percent of them"
            problems.append(Problem(str(path), f"images[{i}]", what))
    if problems:
        raise InputError(problems)
    return found


def label_studio_tasks(poses: Poses, additions: Additions, sizes: Sequence[tuple[int, int]], url: str) -> list[Any]:
    """Tasks with the added points as predictions, for import.

    sizes: (width, height) pixels of `poses.images`. url: what stands before an image's file name.
    """
    rows_of: dict[int, list[int]] = {}
    for row, image in enumerate(poses.image_index.tolist()):
        rows_of.setdefault(image, []).append(row)
    tasks = []
    for index, image in enumerate(poses.images):
        result: list[Any] = []
        for row in rows_of.get(index, []):
            for column in np.flatnonzero(np.isfinite(additions.xy[row]).all(axis=1)).tolist():
                result += _region(poses, additions, row, column, sizes[index])
        if result:
            data = {IMAGE: url + image.file_name, FILE: image.file_name}
            tasks.append({"data": data, "predictions": [{"model_version": "annotext", "result": result}]})
    return tasks


def _region(poses: Poses, additions: Additions, row: int, column: int, size: tuple[int, int]) -> list[Any]:
    keypoint = additions.keypoints[column]
    x, y = (100 * additions.xy[row, column] / size).tolist()
    v = int(additions.visibility[row, column])
    common = {
        "id": f"{int(poses.ids[row])}.{keypoint}",
        "to_name": "image",
        "original_width": size[0],
        "original_height": size[1],
        "image_rotation": 0,
    }
    place = {"x": x, "y": y, "width": 0.5}
    value = {**place, "keypointlabels": [keypoint]}
    regions = [{**common, "from_name": "keypoint", "type": "keypointlabels", "value": value}]
    state = HIDDEN if v == Visibility.HIDDEN else CANDIDATE if v == Visibility.NOT_LABELLED else None
    if state is not None:
        chosen = {**place, "choices": [state]}
        regions.append({**common, "from_name": "state", "type": "choices", "value": chosen})
    return regions


def label_studio_config(added: Sequence[str]) -> str:
    """The labelling interface that these tasks need."""
    labels = "\n".join(f"    <Label value={quoteattr(k)}/>" for k in added)
    return f"""<View>
  <Image name="image" value="${IMAGE}" zoom="true" zoomControl="true"/>
  <KeyPointLabels name="keypoint" toName="image" strokeWidth="4">
{labels}
  </KeyPointLabels>
  <Choices name="state" toName="image" perRegion="true" choice="multiple">
    <Choice value="{HIDDEN}"/>
    <Choice value="{CANDIDATE}"/>
  </Choices>
  <Choices name="done" toName="image" choice="multiple">
    <Choice value="{CHECKED}"/>
  </Choices>
</View>
"""
