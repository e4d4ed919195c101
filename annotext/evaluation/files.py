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

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from annotext.evaluation.average_precision import FIGURES
from annotext.formats.files.jsonio import read_json
from annotext.formats.files.typed import At, Keys, body_of, demand, read_as, within

FILE = "evaluation.json"
FORMAT = "annotext-evaluation/1"
OKS_FIGURES = ("mean", *FIGURES)
SHARES = ("pckh@0.5", "pckh@0.1", "pck@0.2")

Count = Annotated[int, within(0, math.inf)]
Percent = Annotated[float | None, within(0, 100)]
Values = Mapping[str, float | None]


@dataclass(frozen=True)
class Figures:
    """One set over one choice of keypoints. oks: by `OKS_FIGURES`, 0-1, or None. shares: per name of `SHARES` the
    percent of each keypoint that counts and their "mean", or None."""

    keypoints: tuple[str, ...]
    missing: tuple[str, ...]
    people: Count
    oks: Annotated[Mapping[str, Annotated[float | None, within(0, 1)]], Keys(OKS_FIGURES)] | None
    shares: Annotated[Mapping[str, Mapping[str, Percent] | None], Keys(SHARES), At("")]
    sigmas: Annotated[str, At("oks.sigmas")] = ""

    def __post_init__(self) -> None:
        _known("missing", self.missing, self.keypoints)
        for name, values in self.shares.items():
            if values is not None:
                demand("mean" in values, name, "has no mean")
                _known(name, values, ("mean", *self.keypoints))

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
    people: Count
    metric: str
    value: Percent
    all: Annotated[Figures, At("figures.all")]
    shared: Annotated[Figures | None, At("figures.shared")]

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
    labels: bool = True

    def to_dict(self) -> dict[str, Any]:
        named = {"name": self.name, "skeleton": self.skeleton}
        return named if self.labels else {**named, "labels": False}


@dataclass(frozen=True)
class Evaluation:
    """The whole file."""

    student_sha256: str
    step: Count
    model: str
    data: tuple[TrainedOn, ...]
    teachers: tuple[str, ...]
    sets: tuple[EvaluatedSet, ...]

    def __post_init__(self) -> None:
        demand(bool(self.data), "data", "is empty")
        names = [s.name for s in self.sets]
        twice = sorted({name for name in names if names.count(name) > 1})
        demand(not twice, "sets", f"two sets are called {', '.join(twice)}")

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


def _known(place: str, names: Iterable[str], keypoints: tuple[str, ...]) -> None:
    unknown = [name for name in names if name not in keypoints]
    demand(not unknown, place, f"names {', '.join(unknown)}, which is not among the keypoints")


def read_evaluation(path: str | Path) -> Evaluation:
    """Read and check the file. Raises InputError with all its problems."""
    body = body_of(read_json(path)[0], FORMAT, path)
    return read_as(Evaluation, body, path, ignore_unknown=True)
