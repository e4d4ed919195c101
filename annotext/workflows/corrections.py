"""Corrections made in CVAT or Label Studio: bring added points there, and carry the decisions back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotext.core.additions import Additions, Source
from annotext.core.errors import InputError, Problem
from annotext.formats.annotations.read import AnnotationFile, read_annotations
from annotext.formats.files.outputs import check_output, writing
from annotext.formats.tools.exported import find_tool
from annotext.review.decisions.files import append_corrections, load_corrections
from annotext.review.decisions.reviewers import check_name
from annotext.review.decisions.tool_export import TOLERANCE, differences


@dataclass(frozen=True)
class FromToolReport:
    """What an export turned into.

    people: in the export, and of the extended file. decisions: verdict -> points. new: lines that were appended.
    unchanged: points nobody decided on. problems: what could not be matched, and is not among the decisions.
    """

    export: str
    output: str
    people: int
    decisions: Mapping[str, int]
    new: int
    unchanged: int
    problems: tuple[Problem, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "export": self.export,
            "output": self.output,
            "people": self.people,
            "decisions": dict(self.decisions),
            "new": self.new,
            "unchanged": self.unchanged,
            "problems": [p.to_dict() for p in self.problems],
        }


@dataclass(frozen=True)
class ToToolReport:
    """Files for another tool. points: added points in them, candidates included."""

    outputs: tuple[str, ...]
    people: int
    points: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"outputs": list(self.outputs), "people": self.people, "points": self.points}


def corrections_from(
    tool: str,
    export: Path,
    extended: Path,
    output: Path,
    *,
    reviewer: str,
    tolerance: float = TOLERANCE,
    skip_bad: bool = False,
) -> FromToolReport:
    """Append to `output` what the annotator's work in another tool amounts to; see `tool_export.differences`.

    tool: a name of `formats.tools.TOOLS`.

    Raises InputError with all that could not be matched, and nothing is written, unless `skip_bad`; and for files that
    cannot be read or written.
    """
    check_name(reviewer)
    check_output(output, force=True, inputs=[export, extended])
    file, additions = _extended(extended)
    kind = file.kind
    earlier = load_corrections([output], kind=kind).corrections if output.exists() else ()
    people, problems = find_tool(tool).read_people(export, file.extended_poses)
    assert file.header is not None
    found = differences(
        people,
        file.extended_poses,
        additions,
        path=export,
        reviewer=reviewer,
        tool=tool,
        input_sha256=str(file.header.get("input_sha256", "")),
        tolerance=tolerance,
        earlier=earlier,
    )
    problems = [*problems, *found.problems]
    if problems and not skip_bad:
        raise InputError(problems)
    new = append_corrections(output, found.corrections, kind) if found.corrections else 0
    counted = Counter(c.verdict.value for c in found.corrections)
    return FromToolReport(
        str(export),
        str(output),
        len(people) - len({p.pointer for p in found.problems} & {p.pointer for p in people}),
        dict(sorted(counted.items())),
        new,
        found.unchanged,
        tuple(problems),
    )


def corrections_to(
    tool: str, extended: Path, output: Path, *, url: str = "/data/local-files/?d=", force: bool = False
) -> ToToolReport:
    """Write the added points for another tool, with what carries their people's ids, and beside it what sets it up.

    CVAT: `output` and `<output>.labels.json`; Label Studio: `output` and `<output>.config.xml`. url: what Label Studio
    needs before an image's file name. Raises InputError, for Label Studio also where image sizes are not in the file.
    """
    file, additions = _extended(extended)
    maker = find_tool(tool)
    beside = output.with_name(output.name + maker.SETUP_SUFFIX)
    for path in (output, beside):
        check_output(path, force=force, inputs=[extended])
    data, setup = maker.task_files(extended, file.extended_poses, additions, url)
    for path, content in ((output, data), (beside, setup)):
        with writing(path, force=force, inputs=[extended]) as temporary:
            temporary.write_bytes(content)
    estimated = additions.source != Source.NONE
    return ToToolReport((str(output), str(beside)), int(estimated.any(axis=1).sum()), int(estimated.sum()))


def _extended(path: Path) -> tuple[AnnotationFile, Additions]:
    file = read_annotations(path)
    if file.additions is None or file.header is None:
        raise InputError.single(path, "", "is not an extended file", "annotext extend makes one")
    return file, file.additions
