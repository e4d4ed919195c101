"""Draw people of an extended file: what a human labelled, what was added, and what was kept back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotext.core.additions import Additions, Source, beside
from annotext.core.errors import AnnotextError, InputError, Problem
from annotext.core.poses import Visibility
from annotext.formats.annotations.read import AnnotationFile, read_annotations
from annotext.formats.files.outputs import check_output, writing
from annotext.predictors.images import find_missing, image_path, pointer_to, read_image, used_images
from annotext.render.pictures import Tile, contact_sheet

# People on a sheet unless asked otherwise: a screenful.
PEOPLE = 24
# A sheet of this many is 20,000 pixels tall already; more is a task for a review tool.
MOST_PEOPLE = 480
_PREDICTED = (Source.STUDENT, Source.TEACHER)


@dataclass(frozen=True)
class DrawReport:
    """A contact sheet. people: ids shown, in order. of: how many people of the file have additions.

    skipped: records and images that skip_bad left out.
    """

    output: str
    people: tuple[int, ...]
    of: int
    lowest: tuple[str | None, ...]
    scores: tuple[float | None, ...]
    skipped: tuple[Problem, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        shown = zip(self.people, self.lowest, self.scores, strict=True)
        return {
            "output": self.output,
            "people_with_additions": self.of,
            "people": [{"id": i, "lowest": keypoint, "score": score} for i, keypoint, score in shown],
            "skipped": [p.to_dict() for p in self.skipped],
        }


def draw(
    extended: Path,
    images: Path,
    output: Path,
    *,
    worst: int | None = None,
    people: int = PEOPLE,
    seed: int = 0,
    skip_bad: bool = False,
    force: bool = False,
) -> DrawReport:
    """Write a PNG contact sheet of people of an extended file.

    images: folder that the file's image names are relative to. worst: show this many people, those with the lowest
    score of an added (predicted, not withheld, not reviewed) point first; otherwise `people` people drawn by `seed`, in
    file order.
    skip_bad: leave out faulty records, and people whose image cannot be used, and list them.
    Raises InputError or AnnotextError: a file that is not extended, images that cannot be used, a bad output.
    """
    count = people if worst is None else worst
    if not 1 <= count <= MOST_PEOPLE:
        raise AnnotextError(f"a contact sheet shows 1 to {MOST_PEOPLE} people, not {count}")
    if output.suffix.lower() != ".png":
        raise InputError.single(output, "", "a contact sheet is a PNG", "name it something.png")
    check_output(output, force=force, inputs=[extended])
    file = read_annotations(extended, skip_bad=skip_bad)
    if file.additions is None:
        raise InputError.single(extended, "", "is not an extended file", "annotext extend makes one")
    additions = file.additions if file.pseudo is None else beside(file.pseudo.own, file.additions)
    candidates = np.flatnonzero((additions.source != Source.NONE).any(axis=1))
    if not len(candidates):
        raise InputError.single(extended, "", "nobody in it has an added point: there is nothing to draw")
    if worst is not None:
        rows = _worst(additions, candidates)[:worst]
    else:
        chosen = np.random.default_rng(seed).permutation(candidates)[:people]
        rows = np.sort(chosen)
    pictures, bad = _pictures(file, rows, images)
    if bad and (not skip_bad or not pictures):
        raise InputError(bad)
    rows = rows[np.isin(file.poses.image_index[rows], list(pictures))]
    tiles = [_tile(file, additions, row, pictures[int(file.poses.image_index[row])]) for row in rows]
    how = "lowest scores first" if worst is not None else "drawn by chance"
    sheet = contact_sheet(tiles, f"{extended.name}: {len(rows)} of {len(candidates)} people with additions, {how}")
    encoded, data = cv2.imencode(".png", sheet)
    if not encoded:
        raise AnnotextError(f"{output}: the sheet of {sheet.shape[1]} x {sheet.shape[0]} pixels cannot be a PNG")
    with writing(output, force=force, inputs=[extended]) as temporary:
        temporary.write_bytes(data.tobytes())
    lowest = [_lowest(additions, row) for row in rows]
    return DrawReport(
        output=str(output),
        people=tuple(int(i) for i in file.poses.ids[rows]),
        of=len(candidates),
        lowest=tuple(None if low is None else low[0] for low in lowest),
        scores=tuple(None if low is None else round(low[1], 4) for low in lowest),
        skipped=(*file.skipped, *bad),
    )


def _predicted(additions: Additions) -> NDArray[np.bool_]:
    """(N, A) bool: predicted and written, and nobody has confirmed it in review."""
    predicted = np.isin(additions.source.astype(str), [str(s) for s in _PREDICTED]) & additions.added
    return np.asarray(predicted & (additions.review == None))  # noqa: E711


def _worst(additions: Additions, candidates: NDArray[np.intp]) -> NDArray[np.intp]:
    """Rows with a predicted and written point, the lowest score first; ties in file order."""
    lowest = np.where(_predicted(additions), additions.score, np.inf).min(axis=1)[candidates]
    order = np.argsort(lowest, kind="stable")
    shown = candidates[order][np.isfinite(lowest[order])]
    if not len(shown):
        raise AnnotextError("--worst needs predicted points, and none were written: draw without it")
    return shown


def _lowest(additions: Additions, row: int) -> tuple[str, float] | None:
    """Name and score of a person's lowest predicted and written point."""
    score = np.where(_predicted(additions)[row], additions.score[row], np.inf)
    column = int(score.argmin())
    return (additions.keypoints[column], float(score[column])) if np.isfinite(score[column]) else None


def _pictures(
    file: AnnotationFile, rows: NDArray[np.intp], folder: Path
) -> tuple[dict[int, NDArray[np.uint8]], list[Problem]]:
    """The decoded images of these people, and what is wrong with those that cannot be used."""
    people = file.poses.take(rows)
    missing = find_missing(folder, people)
    problems: list[Problem] = []
    pictures: dict[int, NDArray[np.uint8]] = {}
    for index in used_images(people):
        if index in missing:
            problems.append(missing[index])
            continue
        image = people.images[index]
        try:
            pictures[index] = read_image(folder, image)
        except ValueError as error:
            path = image_path(folder, image.file_name)
            problems.append(Problem(str(path), pointer_to(people, index), str(error)))
    return pictures, problems


def _tile(file: AnnotationFile, additions: Additions, row: int, pixels: NDArray[np.uint8]) -> Tile:
    """One person with all its points: the file's own as they are, the added ones with source and score."""
    poses = file.extended_poses
    k = len(poses.skeleton)
    there = additions.source[row] != Source.NONE
    columns = np.array(poses.skeleton.indices(additions.keypoints), dtype=np.intp)[there]
    xy, visibility = poses.xy[row].copy(), poses.visibility[row].copy()
    source = [Source.NONE] * k
    score = np.ones(k)
    xy[columns], visibility[columns] = additions.xy[row][there], additions.visibility[row][there]
    score[columns] = additions.score[row][there]
    for column, added in zip(columns, additions.source[row][there], strict=True):
        source[column] = added
    withheld = int(additions.withheld[row].sum())
    low = _lowest(additions, row)
    second = f"lowest {low[0]} {low[1]:.2f}" if low else "nothing predicted"
    return Tile(
        pixels=pixels,
        bbox_xywh=poses.bbox_xywh[row],
        xy=xy,
        visibility=visibility,
        source=tuple(source),
        score=score,
        edges=poses.skeleton.edge_index,
        caption=(
            f"{poses.ids[row]}  {int((visibility > Visibility.NOT_LABELLED).sum())} of {k} points",
            second + (f", {withheld} withheld" if withheld else ""),
        ),
    )
