"""RUN/evaluation.json: how the student of a finished run does on each validation set; read strictly.

    {"format": "annotext-evaluation/1", "student_sha256": ..., "step": n, "model": "rtmpose-t",
     "data": [{"name", "skeleton"}], "teachers": [name, ...],
     "sets": [{"name", "skeleton", "annotations", "sha256", "people", "metric", "value",
               "figures": {"all": F, "shared": F or null}}]}
    F = {"keypoints": [...], "missing": [...], "people": n, "oks": {"sigmas", "mean", "AP", ...} or null,
         "pckh@0.5": {"mean", keypoint: ...} or null, "pckh@0.1": likewise, "pck@0.2": likewise}

``all`` counts every keypoint of the set's skeleton, and one the student does not have (``missing``) is wrong;
``shared`` counts those that all skeletons of the recipe have in common. OKS and AP are 0-1, PCK and PCKh 0-100, null
where there is nothing to say. Keys not named here are left alone: a later annotext may write more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotext.core.errors import InputError, Problem
from annotext.evaluation.average_precision import FIGURES
from annotext.formats.files.jsonio import kind_of, read_json

FILE = "evaluation.json"
FORMAT = "annotext-evaluation/1"
OKS_FIGURES = ("mean", *FIGURES)
SHARES = ("pckh@0.5", "pckh@0.1", "pck@0.2")

Values = Mapping[str, float | None]


@dataclass(frozen=True)
class Figures:
    """One set over one choice of keypoints. oks: by `OKS_FIGURES`, 0-1, or None. shares: per name of `SHARES` the
    percent of each keypoint that counts and their "mean", or None."""

    keypoints: tuple[str, ...]
    missing: tuple[str, ...]
    people: int
    sigmas: str
    oks: Values | None
    shares: Mapping[str, Values | None]

    def to_dict(self) -> dict[str, Any]:
        return {
            "keypoints": list(self.keypoints),
            "missing": list(self.missing),
            "people": self.people,
            "oks": None if self.oks is None else {"sigmas": self.sigmas, **self.oks},
            **self.shares,
        }


@dataclass(frozen=True)
class EvaluatedSet:
    """One validation set. annotations: its file. value: the metric in its own unit, None where it has none. all: over
    every keypoint of the set; shared: over those of all skeletons of the recipe, None where it knows one only."""

    name: str
    skeleton: str
    annotations: str
    sha256: str
    people: int
    metric: str
    value: float | None
    all: Figures
    shared: Figures | None

    def to_dict(self) -> dict[str, Any]:
        names = ("name", "skeleton", "annotations", "sha256", "people", "metric", "value")
        shared = None if self.shared is None else self.shared.to_dict()
        return {
            **{name: getattr(self, name) for name in names},
            "figures": {"all": self.all.to_dict(), "shared": shared},
        }


@dataclass(frozen=True)
class TrainedOn:
    """One data set of the recipe; labels: false: teachers alone taught its people."""

    name: str
    skeleton: str
    labels: bool

    def to_dict(self) -> dict[str, Any]:
        named = {"name": self.name, "skeleton": self.skeleton}
        return named if self.labels else {**named, "labels": False}


@dataclass(frozen=True)
class Evaluation:
    """The whole file."""

    student_sha256: str
    step: int
    model: str
    data: tuple[TrainedOn, ...]
    teachers: tuple[str, ...]
    sets: tuple[EvaluatedSet, ...]

    def to_dict(self) -> dict[str, Any]:
        """The document of the file."""
        return {
            "format": FORMAT,
            "student_sha256": self.student_sha256,
            "step": self.step,
            "model": self.model,
            "data": [d.to_dict() for d in self.data],
            "teachers": list(self.teachers),
            "sets": [s.to_dict() for s in self.sets],
        }


def read_evaluation(path: str | Path) -> Evaluation:
    """Read and check the file. Raises InputError with all its problems."""
    document, _ = read_json(path)
    reader = _Reader(str(path))
    found = reader.evaluation(document)
    if reader.problems:
        raise InputError(reader.problems)
    return found


class _Reader:
    """Reads on after a fault, with a value that fits, so that all faults are found at once."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.problems: list[Problem] = []

    def report(self, pointer: str, problem: str, hint: str = "") -> None:
        self.problems.append(Problem(self.path, pointer, problem, hint))

    def evaluation(self, document: Any) -> Evaluation:
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            found = document.get("format") if isinstance(document, dict) else kind_of(document)
            raise InputError.single(self.path, "format", f"is {found!r}, expected {FORMAT!r}")
        data = [
            TrainedOn(self.text(d, "name", p), self.text(d, "skeleton", p), self.flag(d, "labels", p))
            for d, p in self.objects(document, "data", "")
        ]
        sets = [self.evaluated(s, p) for s, p in self.objects(document, "sets", "")]
        if not data:
            self.report("data", "is empty")
        names = [s.name for s in sets]
        for name in sorted({n for n in names if names.count(n) > 1}):
            self.report("sets", f"two sets are called {name}")
        return Evaluation(
            student_sha256=self.text(document, "student_sha256", ""),
            step=self.count(document, "step", ""),
            model=self.text(document, "model", ""),
            data=tuple(data),
            teachers=self.texts(document, "teachers", ""),
            sets=tuple(sets),
        )

    def evaluated(self, document: dict[str, Any], pointer: str) -> EvaluatedSet:
        figures = self.object(document, "figures", pointer)
        at = f"{pointer}.figures"
        shared = figures.get("shared")
        return EvaluatedSet(
            name=self.text(document, "name", pointer),
            skeleton=self.text(document, "skeleton", pointer),
            annotations=self.text(document, "annotations", pointer),
            sha256=self.text(document, "sha256", pointer),
            people=self.count(document, "people", pointer),
            metric=self.text(document, "metric", pointer),
            value=self.number(document.get("value"), f"{pointer}.value", 100.0),
            all=self.figures(self.object(figures, "all", at), f"{at}.all"),
            shared=None if shared is None else self.figures(self.object(figures, "shared", at), f"{at}.shared"),
        )

    def figures(self, document: dict[str, Any], pointer: str) -> Figures:
        keypoints = self.texts(document, "keypoints", pointer)
        missing = self.texts(document, "missing", pointer)
        strangers = [k for k in missing if k not in keypoints]
        if strangers:
            self.report(f"{pointer}.missing", f"names {', '.join(strangers)}, which is not among the keypoints")
        oks = None if document.get("oks") is None else self.object(document, "oks", pointer)
        return Figures(
            keypoints=keypoints,
            missing=missing,
            people=self.count(document, "people", pointer),
            sigmas="" if not oks else self.text(oks, "sigmas", f"{pointer}.oks"),
            oks=None if oks is None else self.values(oks, OKS_FIGURES, f"{pointer}.oks", 1.0),
            shares={
                name: None
                if document.get(name) is None
                else self.share(self.object(document, name, pointer), keypoints, f"{pointer}.{name}")
                for name in SHARES
            },
        )

    def share(self, document: dict[str, Any], keypoints: Sequence[str], pointer: str) -> Values:
        strangers = [k for k in document if k != "mean" and k not in keypoints]
        if strangers:
            self.report(pointer, f"names {', '.join(strangers)}, which is not among the keypoints")
        return self.values(document, ("mean", *(k for k in keypoints if k in document)), pointer, 100.0)

    def values(self, document: dict[str, Any], names: Sequence[str], pointer: str, most: float) -> Values:
        absent = [n for n in names if n not in document]
        if absent:
            self.report(pointer, f"has no {', '.join(absent)}")
        return {n: self.number(document.get(n), f"{pointer}.{n}", most) for n in names}

    def number(self, value: Any, pointer: str, most: float) -> float | None:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.report(pointer, f"expected a number or null, got {kind_of(value)}")
            return None
        if not 0 <= value <= most:
            self.report(pointer, f"{value} is outside 0-{most:g}")
            return None
        return float(value)

    def object(self, document: dict[str, Any], key: str, pointer: str) -> dict[str, Any]:
        value = document.get(key)
        if isinstance(value, dict):
            return value
        self.expected("an object", document, key, pointer)
        return {}

    def objects(self, document: dict[str, Any], key: str, pointer: str) -> list[tuple[dict[str, Any], str]]:
        value = document.get(key)
        at = self.place(pointer, key)
        if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
            self.expected("a list of objects", document, key, pointer)
            return []
        return [(v, f"{at}[{i}]") for i, v in enumerate(value)]

    def text(self, document: dict[str, Any], key: str, pointer: str) -> str:
        value = document.get(key)
        if isinstance(value, str) and value:
            return value
        self.expected("a text", document, key, pointer)
        return ""

    def texts(self, document: dict[str, Any], key: str, pointer: str) -> tuple[str, ...]:
        value = document.get(key)
        if isinstance(value, list) and all(isinstance(v, str) for v in value):
            return tuple(value)
        self.expected("a list of texts", document, key, pointer)
        return ()

    def count(self, document: dict[str, Any], key: str, pointer: str) -> int:
        value = document.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        self.expected("a whole number, 0 or more", document, key, pointer)
        return 0

    def flag(self, document: dict[str, Any], key: str, pointer: str) -> bool:
        value = document.get(key, True)
        if isinstance(value, bool):
            return value
        self.expected("true or false", document, key, pointer)
        return True

    def expected(self, what: str, document: dict[str, Any], key: str, pointer: str) -> None:
        found = f"got {kind_of(document[key])}" if key in document else "it is missing"
        self.report(self.place(pointer, key), f"expected {what}, {found}")

    def place(self, pointer: str, key: str) -> str:
        return f"{pointer}.{key}" if pointer else key
