"""The decisions on added keypoints that another tool's export amounts to.

See docs/corrections_elsewhere.md. N people of the extended file, A added keypoints.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from annotext.core.additions import Additions
from annotext.core.errors import Problem
from annotext.core.poses import Poses, Visibility
from annotext.formats.tools.exported import ExportedPerson, ExportedPoint, State
from annotext.review.decisions.correction import Correction, Point, Verdict, same_place

# Tools round: CVAT to hundredths of a pixel, Label Studio hardly. Nobody moves a point by less on purpose.
TOLERANCE = 0.5


@dataclass(frozen=True)
class Differences:
    """corrections: in the order of the export. unchanged: points that were not touched, and nobody says were checked.
    problems: what could not be matched.
    """

    corrections: tuple[Correction, ...]
    unchanged: int
    problems: tuple[Problem, ...]


def differences(
    people: Sequence[ExportedPerson],
    poses: Poses,
    additions: Additions,
    *,
    path: object,
    reviewer: str,
    tool: str,
    input_sha256: str,
    tolerance: float = TOLERANCE,
    earlier: Sequence[Correction] = (),
) -> Differences:
    """The decisions that an annotator's work on an extended file amounts to.

    A point further than `tolerance` pixels away is moved. One that is where it was is hidden, if only that changed;
    accepted, if it was withheld and is no candidate any more, or was checked; else nobody decided. A point that is gone
    is rejected: that it is not in the picture at all no export can say. Ids follow from the contents, so that the same
    export gives the same lines. path: of the export, for problems.
    earlier: what is written already. Where this reviewer decided something else in this tool, the export is their last
    decision: what they took back is undone, and what they decide again is a line of its own. In a file in which the
    point is decided nothing is undone: there it is where they left it.
    """
    row_of = {person: i for i, person in enumerate(poses.ids.tolist())}
    files = poses.file_names()
    column_of = {keypoint: j for j, keypoint in enumerate(additions.keypoints)}
    written = {c.id for c in earlier}
    last = {
        (c.person, c.keypoint): c
        for c in sorted(earlier, key=lambda c: c.instant)
        if (c.reviewer, c.tool) == (reviewer, tool) and c.input_sha256 == input_sha256 and c.verdict != Verdict.NOTE
    }
    found: list[Correction] = []
    problems: list[Problem] = []
    first: dict[int, str] = {}
    unchanged = 0
    for person in people:
        row = row_of.get(person.annotation)
        problem = ""
        if row is None:
            problem = f"names annotation {person.annotation}, which the extended file does not have"
        elif not _same_image(person.image, files[row]):
            problem = f"is on {person.image}, annotation {person.annotation} of the extended file on {files[row]}"
        elif person.annotation in first:
            problem = f"is annotation {person.annotation}, as {first[person.annotation]} is already"
        if problem or row is None:
            problems.append(Problem(str(path), person.pointer, problem))
            continue
        first[person.annotation] = person.pointer
        seen: dict[str, ExportedPoint] = {}
        for point in person.points:
            if point.keypoint not in column_of:
                continue  # people's own keypoints never change
            if point.keypoint in seen:
                what = f"is a second {point.keypoint} of annotation {person.annotation}"
                problems.append(Problem(str(path), point.pointer, what))
            else:
                seen[point.keypoint] = point
        for keypoint, j in column_of.items():
            old, point = _old(additions, row, j), seen.get(keypoint)
            verdict, new = _decision(point, old, person, tolerance)
            before = last.get((person.annotation, keypoint))
            if verdict is None:
                reported = point is not None or person.whole
                if (
                    not reported
                    or before is None
                    or before.verdict == Verdict.UNDO
                    or additions.review[row, j] is not None
                ):
                    unchanged += old is not None
                    continue
                verdict = Verdict.UNDO
            content = (input_sha256, tool, reviewer, person.annotation, keypoint, verdict.value, old, new, person.time)
            name = _name(content)
            if before is not None and (verdict == Verdict.UNDO or (name in written and name != before.id)):
                if _same(before, verdict, new):
                    found.append(before)
                    continue
                name = _name((content, before.id))
            found.append(
                Correction(
                    id=name,
                    person=person.annotation,
                    image=files[row],
                    keypoint=keypoint,
                    verdict=verdict,
                    old=old,
                    new=new,
                    reviewer=reviewer,
                    # Without a time it would be before all others.
                    time=person.time or (before.time if before is not None else ""),
                    tool=tool,
                    input_sha256=input_sha256,
                )
            )
    return Differences(tuple(found), unchanged, tuple(problems))


def _name(content: object) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()[:32]


def _same(before: Correction, verdict: Verdict, new: Point | None) -> bool:
    """Whether the earlier decision says just that."""
    if before.new is None or new is None:
        return before.verdict == verdict and before.new is new
    return before.new.v == new.v and same_place((before.new.x, before.new.y), (new.x, new.y))


def _decision(
    seen: ExportedPoint | None, old: Point | None, person: ExportedPerson, tolerance: float
) -> tuple[Verdict | None, Point | None]:
    checked = person.checked or (seen is not None and seen.checked)
    if seen is None or seen.state == State.GONE:
        if old is None or (seen is None and not person.whole):
            return None, None
        # A candidate that is not there is what it was: nobody added it.
        return (Verdict.REJECT if old.v > 0 or checked else None), None
    v = int(Visibility.HIDDEN if seen.state == State.HIDDEN else Visibility.VISIBLE)
    if old is None or math.dist((seen.x, seen.y), (old.x, old.y)) > tolerance:
        return Verdict.MOVE, Point(seen.x, seen.y, v)
    if old.v == Visibility.NOT_LABELLED:
        if seen.candidate:
            return (Verdict.REJECT if checked else None), None
        return (Verdict.HIDDEN if v == Visibility.HIDDEN else Verdict.ACCEPT), None
    if old.v == v:
        return (Verdict.ACCEPT if checked else None), None
    # An accepted point stays as visible as it was: to make it visible is to place it.
    return (Verdict.HIDDEN, None) if v == Visibility.HIDDEN else (Verdict.MOVE, Point(old.x, old.y, v))


def _old(additions: Additions, row: int, column: int) -> Point | None:
    x, y = additions.xy[row, column].tolist()
    return Point(x, y, int(additions.visibility[row, column])) if math.isfinite(x) else None


def _same_image(exported: str, ours: str) -> bool:
    """Tools drop folders, or put their own before the name."""
    exported = exported.replace("\\", "/")
    return exported == ours or exported.endswith("/" + ours) or ours.endswith("/" + exported)
