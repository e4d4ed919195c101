"""What an annotation tool's export says about people: the form in which every tool's reader returns it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from annotext.core.additions import Additions
from annotext.core.errors import Problem
from annotext.core.poses import Poses
from annotext.formats.tools import TOOLS


class State(StrEnum):
    """What an annotator left of a point."""

    VISIBLE = "visible"
    HIDDEN = "hidden"
    GONE = "gone"  # deleted, or marked as not there


@dataclass(frozen=True)
class ExportedPoint:
    """A keypoint of a person in an export.

    x, y: image pixels, 0-based; without meaning where the state is GONE. candidate: the export says that the point is
    still what annotext was not sure of. checked: it says that somebody looked at the point. pointer: where it stands.
    """

    keypoint: str
    state: State
    x: float
    y: float
    candidate: bool
    checked: bool
    pointer: str


@dataclass(frozen=True)
class ExportedPerson:
    """A person in an export: the annotation id that travelled with them (MPII: the record's index), and the points.

    image: its file name as the export has it, folders may be missing. whole: keypoints that are not among `points` were
    taken away; False where the export cannot say so. time: ISO 8601 UTC, empty where unknown.
    """

    annotation: int
    image: str
    points: tuple[ExportedPoint, ...]
    pointer: str
    whole: bool = True
    checked: bool = False
    time: str = ""


def keypoint_names(poses: Poses) -> Mapping[str, str]:
    """How an export may spell a keypoint -> its canonical name: that name, or the data set's own."""
    return {**{k: k for k in poses.skeleton.keypoints}, **poses.skeleton.synonyms}


class Tool(Protocol):
    """What the module of a tool has."""

    # The file that sets the tool up stands beside the output, with this at the end of its name.
    SETUP_SUFFIX: str

    def read_people(self, path: str | Path, poses: Poses) -> tuple[list[ExportedPerson], list[Problem]]:
        """The people of an export, and what could not be read. poses: of the extended file, added points included.

        Raises InputError for a file that is no export of the tool.
        """
        ...

    def task_files(self, path: Path, poses: Poses, additions: Additions, url: str) -> tuple[bytes, bytes]:
        """The added points for the tool, and what sets it up. path: of the extended file, for problems.

        url: what stands before an image's file name. Raises InputError where the file lacks what the tool needs.
        """
        ...


def find_tool(name: str) -> Tool:
    """The tool of this name in `TOOLS`. Raises KeyError."""
    return cast(Tool, import_module(f"annotext.formats.tools.{TOOLS[name].module}"))
