"""Annotation tools that added points are taken to, and whose exports come back as corrections.

A tool is a module here that fulfils `exported.Tool`, and its line in `TOOLS`, from which the commands
`annotext corrections to-NAME` and `from-NAME` are made.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ToolCommands:
    """What the command line says of a tool. It is known without importing the tool's module.

    module: its name in this package. writes, output: help of `to-NAME` and of its output file. reads: help of
    `from-NAME`; empty where nothing can be read back. url: whether images are named by a URL.
    """

    module: str
    writes: str
    output: str
    reads: str = ""
    url: bool = False


TOOLS = {
    "cvat": ToolCommands(
        "cvat",
        writes="Write the added points for upload to a CVAT task, and the labels to make the task with.",
        output="CVAT for images 1.1 (.xml).",
        reads='Turn a CVAT export ("CVAT for images 1.1" or "COCO Keypoints 1.0") into corrections.',
    ),
    "label-studio": ToolCommands(
        "label_studio",
        writes="Write the added points as tasks for Label Studio, and the labelling interface they need.",
        output="Tasks to import (.json).",
        reads="Turn Label Studio's JSON export into corrections.",
        url=True,
    ),
}
