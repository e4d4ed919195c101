"""CVAT's exports of keypoints, and a file that brings added points there.

Read: "CVAT for images 1.1" (XML; skeletons, or points one by one) and "COCO Keypoints 1.0" (JSON). CVAT numbers
annotations anew: the extended file's id travels as the attribute `annotation`.
Sources: docs.cvat.ai, "XML annotation format" (images), "COCO Keypoints"; cvat-ai/cvat issue 7021 shows the JSON.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np

from annotext.core.additions import Additions
from annotext.core.errors import InputError, Problem
from annotext.core.poses import Poses, Visibility
from annotext.formats.annotations.records import is_id, is_number
from annotext.formats.files.jsonio import dump_json, kind_of, read_json
from annotext.formats.tools.exported import ExportedPerson, ExportedPoint, State, keypoint_names

ANNOTATION, CHECKED, CANDIDATE = "annotation", "checked", "candidate"
# What names the file of labels that stands beside the task's.
SETUP_SUFFIX = ".labels.json"
_TRUE, _FALSE = ("true", "1"), ("false", "0")
_TO_BRING = f"the attribute `{ANNOTATION}` carries the extended file's id; see docs/corrections_elsewhere.md"
_DUMPED = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(\.\d+)?(\+00:00|Z)")


class _Refused(Exception):
    pass


def read_people(path: str | Path, poses: Poses) -> tuple[list[ExportedPerson], list[Problem]]:
    """People with their points in an export, and what in it cannot be read.

    poses: of the extended file, for its keypoints' names. Raises InputError for a file that is none of the two exports.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(64).lstrip(b"\xef\xbb\xbf").lstrip()
    except OSError as error:
        raise InputError.single(path, "", f"cannot be read ({error.strerror})") from None
    if start.startswith(b"PK"):
        raise InputError.single(path, "", "is a zip archive", "unpack it, and give the .xml or .json file in it")
    reader = _Reader(path, keypoint_names(poses))
    people = reader.xml(parse_xml(path)) if start.startswith(b"<") else reader.coco(read_json(path)[0])
    return people, reader.problems


def parse_xml(path: Path) -> ElementTree.Element:
    """The root of an XML file without a document type: entities could read files or fill the memory.

    Raises InputError for a file that is no XML, or has one.
    """
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise _Refused

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(path.read_bytes(), True)
    except _Refused:
        raise InputError.single(path, "", "has a document type declaration", "CVAT writes none: not read") from None
    except (expat.ExpatError, ValueError) as error:
        raise InputError.single(path, "", f"is not XML: {error}") from None
    return builder.close()


class _Reader:
    def __init__(self, path: Path, names: Mapping[str, str]) -> None:
        self.path, self.names = path, names
        self.problems: list[Problem] = []

    def fault(self, pointer: str, problem: str, hint: str = "") -> None:
        self.problems.append(Problem(str(self.path), pointer, problem, hint))

    # --- CVAT for images 1.1 ---

    def xml(self, root: ElementTree.Element) -> list[ExportedPerson]:
        if root.tag != "annotations":
            raise InputError.single(self.path, "", f"is <{root.tag}>, expected CVAT's <annotations>")
        if root.find("track") is not None:
            raise InputError.single(self.path, "track", "is an export for videos", "export as CVAT for images 1.1")
        dumped = _DUMPED.fullmatch((root.findtext("meta/dumped") or "").strip())
        time = f"{dumped[1]}T{dumped[2]}Z" if dumped else ""
        people: list[ExportedPerson] = []
        for i, image in enumerate(root.findall("image")):
            pointer = f"image[{i}]"
            name = image.get("name")
            if not name:
                self.fault(f"{pointer}.name", "is missing")
                continue
            for j, skeleton in enumerate(image.findall("skeleton")):
                where = f"{pointer}.skeleton[{j}]"
                attributes = _attributes(skeleton)
                annotation = self._id(attributes.get(ANNOTATION), where)
                points = [self._xml_point(p, f"{where}.points[{k}]") for k, p in enumerate(skeleton.findall("points"))]
                if annotation is not None:
                    kept = tuple(p for p in points if p is not None)
                    # What cannot be read is not gone.
                    whole = len(kept) == len(points)
                    checked = attributes.get(CHECKED, "").lower() in _TRUE
                    people.append(ExportedPerson(annotation, name, kept, where, whole, checked, time))
            people += self._loose(image, pointer, name, time)
        return people

    def _loose(self, image: ElementTree.Element, pointer: str, name: str, time: str) -> Iterable[ExportedPerson]:
        """People of points that stand one by one."""
        of: dict[int, list[ExportedPoint]] = {}
        broken: set[int] = set()
        for k, element in enumerate(image.findall("points")):
            where = f"{pointer}.points[{k}]"
            if self._name(element.get("label")) is None:
                self.fault(f"{where}.label", f"{element.get('label')!r} is no keypoint of the extended file")
                continue
            annotation = self._id(_attributes(element).get(ANNOTATION), where)
            if annotation is None:
                continue
            point = self._xml_point(element, where)
            if point is None:
                broken.add(annotation)
            else:
                of.setdefault(annotation, []).append(point)
        for annotation, points in of.items():
            yield ExportedPerson(
                annotation, name, tuple(points), points[0].pointer, annotation not in broken, False, time
            )

    def _xml_point(self, element: ElementTree.Element, pointer: str) -> ExportedPoint | None:
        keypoint = self._name(element.get("label"))
        if keypoint is None:
            self.fault(f"{pointer}.label", f"{element.get('label')!r} is no keypoint of the extended file")
            return None
        outside, occluded = (self._flag(element.get(k, "0"), f"{pointer}.{k}") for k in ("outside", "occluded"))
        try:
            numbers = [float(n) for n in re.split("[,;]", element.get("points", ""))]
        except ValueError:
            numbers = []
        if len(numbers) != 2 or not all(map(math.isfinite, numbers)):
            self.fault(f"{pointer}.points", f"is {element.get('points')!r:.40}, expected one point x,y")
            return None
        if outside is None or occluded is None:
            return None
        state = State.GONE if outside else State.HIDDEN if occluded else State.VISIBLE
        attributes = {k: v.lower() in _TRUE for k, v in _attributes(element).items() if k in (CHECKED, CANDIDATE)}
        x, y = numbers
        candidate, checked = attributes.get(CANDIDATE, False), attributes.get(CHECKED, False)
        return ExportedPoint(keypoint, state, x, y, candidate, checked, pointer)

    def _flag(self, text: str, pointer: str) -> bool | None:
        if text.lower() in (*_TRUE, *_FALSE):
            return text.lower() in _TRUE
        self.fault(pointer, f"is {text!r:.40}, expected 0 or 1")
        return None

    def _name(self, label: str | None) -> str | None:
        return None if label is None else self.names.get(label)

    def _id(self, value: Any, pointer: str) -> int | None:
        if is_id(value):
            return value
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if value is None or value == "":
            self.fault(pointer, f"has no attribute `{ANNOTATION}`", _TO_BRING)
        elif isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value.strip()):
            return int(value)
        else:
            self.fault(f"{pointer}.{ANNOTATION}", f"is {value!r:.40}, expected a whole number", _TO_BRING)
        return None

    # --- COCO Keypoints 1.0 ---

    def coco(self, document: Any) -> list[ExportedPerson]:
        lists = ("images", "annotations", "categories")
        if not isinstance(document, dict) or any(not isinstance(document.get(k), list) for k in lists):
            raise InputError.single(
                self.path, "", f"is {kind_of(document)} without {', '.join(lists)}", "export as COCO Keypoints 1.0"
            )
        images = {i.get("id"): i.get("file_name") for i in document["images"] if isinstance(i, dict)}
        names = {c.get("id"): c.get("keypoints") for c in document["categories"] if isinstance(c, dict)}
        people = []
        for row, record in enumerate(document["annotations"]):
            where = f"annotations[{row}]"
            if not isinstance(record, dict):
                self.fault(where, f"is {kind_of(record)}, expected an object")
                continue
            labels = names.get(record.get("category_id"))
            if not labels:
                continue  # boxes and masks of other labels
            attributes = record.get("attributes")
            attributes = attributes if isinstance(attributes, dict) else {}
            annotation = self._id(attributes.get(ANNOTATION), f"{where}.attributes")
            points = self._coco_points(record.get("keypoints"), labels, where)
            image = images.get(record.get("image_id"))
            if not isinstance(image, str):
                self.fault(f"{where}.image_id", "names no image of this file")
            elif annotation is not None and points is not None:
                checked = str(attributes.get(CHECKED, "")).lower() in _TRUE
                people.append(ExportedPerson(annotation, image, points, where, True, checked))
        return people

    def _coco_points(self, numbers: Any, labels: Any, where: str) -> tuple[ExportedPoint, ...] | None:
        if (
            not isinstance(numbers, list)
            or len(numbers) != 3 * len(labels)
            or not all(is_number(n) and math.isfinite(n) for n in numbers)
        ):
            self.fault(f"{where}.keypoints", f"expected {3 * len(labels)} numbers, as the category has {len(labels)}")
            return None
        states = {0: State.GONE, 1: State.HIDDEN, 2: State.VISIBLE}
        points = []
        for k, label in enumerate(labels):
            x, y, v = numbers[3 * k : 3 * k + 3]
            keypoint = self._name(label) if isinstance(label, str) else None
            if v not in states:
                self.fault(f"{where}.keypoints[{3 * k + 2}]", f"is {v!r}, expected 0, 1 or 2")
                return None
            if keypoint is None:
                continue  # a skeleton of one's own may have points that annotext does not know
            points.append(ExportedPoint(keypoint, states[v], x, y, False, False, f"{where}.keypoints[{3 * k}]"))
        return tuple(points)


def _attributes(element: ElementTree.Element) -> dict[str, str]:
    return {a.get("name", ""): (a.text or "").strip() for a in element.findall("attribute")}


def task_files(path: Path, poses: Poses, additions: Additions, url: str) -> tuple[bytes, bytes]:
    """See `exported.Tool`."""
    return cvat_xml(poses, additions), cvat_labels(additions.keypoints)


def cvat_xml(poses: Poses, additions: Additions) -> bytes:
    """Added points as "CVAT for images 1.1": one `points` shape each, labelled with its keypoint.

    A candidate has the attribute `candidate`; a hidden point is occluded. Coordinates are image pixels, 0-based.
    """
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    rows_of: dict[int, list[int]] = {}
    for row, image in enumerate(poses.image_index.tolist()):
        rows_of.setdefault(image, []).append(row)
    for index, image in enumerate(poses.images):
        size = {"width": str(image.width or 0), "height": str(image.height or 0)}
        element = ElementTree.SubElement(root, "image", {"id": str(index), "name": image.file_name, **size})
        for row in rows_of.get(index, []):
            for column in np.flatnonzero(np.isfinite(additions.xy[row]).all(axis=1)).tolist():
                x, y = additions.xy[row, column].tolist()
                v = int(additions.visibility[row, column])
                shape = {
                    "label": additions.keypoints[column],
                    "source": "file",
                    "occluded": str(int(v == Visibility.HIDDEN)),
                    "points": f"{x:.2f},{y:.2f}",
                    "z_order": "0",
                }
                points = ElementTree.SubElement(element, "points", shape)
                values = {ANNOTATION: str(int(poses.ids[row])), CANDIDATE: "false" if v else "true", CHECKED: "false"}
                for name, value in values.items():
                    ElementTree.SubElement(points, "attribute", {"name": name}).text = value
    ElementTree.indent(root)
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="utf-8") + b"\n"


def cvat_labels(added: Sequence[str]) -> bytes:
    """What CVAT's label constructor takes under "Raw": a label of points for each added keypoint."""

    def attribute(name: str, kind: str, default: str) -> dict[str, Any]:
        values = [default] if kind == "checkbox" else []
        given = {"name": name, "input_type": kind, "mutable": False, "values": values}
        return {**given, "default_value": default}

    attributes = [
        attribute(ANNOTATION, "text", ""),
        attribute(CANDIDATE, "checkbox", "false"),
        attribute(CHECKED, "checkbox", "false"),
    ]
    return dump_json([{"name": k, "type": "points", "attributes": attributes} for k in added]) + b"\n"
