"""Are the pictures whole? Checked before hours of training, which would stop at the first one that is not.

They are read by `predictors.images.read_image`, as in training itself: what passes can be trained on. Header and end
marker alone would miss data that do not decode, and JPEGs decoded at an eighth of their size, which gives the same
verdicts, still cost 60 % of a full decode (640 x 480 photographs).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from annotext.core.errors import InputError, Problem
from annotext.core.poses import Poses
from annotext.predictors.images import read_image, used_images

Thoroughness = Literal["sample", "all", "none"]

# Pictures per set in a sample. A fault of one picture in a hundred is then found 19 times out of 20 (1 - .99^300).
SAMPLE = 300

# Reading files ahead of decoding hides a slow disk; more threads than this only queue for it.
_MOST_THREADS = 16

# Pictures handed to the threads at a time, so that a folder of bad ones does not fill the memory with messages.
_CHUNK = 512


@dataclass(frozen=True)
class Pictures:
    """The pictures of one set of people. name: for messages ("data set coco"). pointer: the recipe's field."""

    name: str
    pointer: str
    poses: Poses
    folder: Path


def check_whole(
    groups: Sequence[Pictures], how: Thoroughness, *, source: str, seed: int, console: Console, sample: int = SAMPLE
) -> list[int]:
    """Read the pictures of every set and return how many were read.

    how: all of them, `sample` per set drawn by `seed`, or none. source: the recipe, as problems name it.
    Raises InputError with all pictures that cannot be used, after one line per set that counts them.
    """
    chosen = [_chosen(group, how, sample, seed) for group in groups]
    problems: list[Problem] = []
    with (
        Progress(
            TextColumn("checking images"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        ) as bar,
        ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as threads,
    ):
        task = bar.add_task("", total=sum(map(len, chosen)))
        for group, indices in zip(groups, chosen, strict=True):
            bad: list[Problem] = []
            for start in range(0, len(indices), _CHUNK):
                part = indices[start : start + _CHUNK]
                for index, reason in zip(part, threads.map(lambda i, g=group: _reason(g, i), part), strict=True):
                    if reason:
                        bad.append(_problem(group, index, reason))
                    bar.advance(task)
            if bad:
                problems += [_count(group, len(bad), len(indices), source, how), *bad]
    if problems:
        # The counts first: of many bad pictures only some are shown.
        raise InputError(sorted(problems, key=lambda p: p.path != source))
    return [len(indices) for indices in chosen]


def _chosen(group: Pictures, how: Thoroughness, sample: int, seed: int) -> list[int]:
    """Indices of the images to read, in the order of the people."""
    used = used_images(group.poses) if how != "none" else []
    if how == "sample" and len(used) > sample:
        drawn = np.random.default_rng(seed).choice(len(used), sample, replace=False)
        return [used[i] for i in np.sort(drawn)]
    return used


def _reason(group: Pictures, index: int) -> str:
    try:
        read_image(group.folder, group.poses.images[index])
    except ValueError as error:
        return str(error)
    return ""


def _problem(group: Pictures, index: int, reason: str) -> Problem:
    poses = group.poses
    person = poses.ids[int(np.argmax(poses.image_index == index))]
    return Problem(str(group.folder / poses.images[index].file_name), f"{group.name}, annotation {person}", reason)


def _count(group: Pictures, bad: int, read: int, source: str, how: Thoroughness) -> Problem:
    several = "images" if read != 1 else "image"
    used = len(set(group.poses.image_index.tolist()))
    left = f" (a sample: {used} are used)" if read < used else ""
    hint = "mend or remove them, with their annotations"
    if how == "sample" and read < used:
        hint += "; --check-images all finds the others too"
    return Problem(source, group.pointer, f"{bad} of {read} {several} cannot be used{left}", hint)
