"""Write what reviewers decided into an extended file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from annotext.core.additions import Additions
from annotext.core.errors import Finding, InputError, Problem
from annotext.formats.annotations.read import read_annotations
from annotext.formats.files.jsonio import no_collecting, write_json
from annotext.formats.files.outputs import check_output
from annotext.formats.files.paths import AnyPath, path_of, paths_of
from annotext.formats.overlay.revise import overlay_of, write_revised
from annotext.formats.overlay.write import output_paths
from annotext.review.decisions.apply import apply_corrections
from annotext.review.decisions.correction import Verdict
from annotext.review.decisions.files import CorrectionsFile, load_corrections


@dataclass(frozen=True)
class ApplyReport:
    """What was applied.

    corrections: the files. decisions: how many different ones they hold, notes and undone ones included. people: who
    have a decided point; points: how many these are. counts: keypoint -> verdict -> points. reviewers: name -> points
    that carry it. findings: what was not applied, and conflicts. skipped: what `--skip-bad` left out.
    """

    input: str
    output: str
    corrections: tuple[CorrectionsFile, ...]
    decisions: int
    notes: int
    people: int
    points: int
    counts: Mapping[str, Mapping[str, int]]
    reviewers: Mapping[str, int]
    findings: tuple[Finding, ...]
    skipped: tuple[Problem, ...] = ()

    @property
    def found(self) -> dict[str, int]:
        """Finding's code -> how many."""
        return dict(sorted(Counter(f.code for f in self.findings).items()))

    def to_dict(self) -> dict[str, Any]:
        return {
            "input": self.input,
            "output": self.output,
            "corrections": [f.to_dict() for f in self.corrections],
            "decisions": self.decisions,
            "notes": self.notes,
            "people": self.people,
            "points": self.points,
            "counts": {keypoint: dict(verdicts) for keypoint, verdicts in self.counts.items()},
            "reviewers": dict(self.reviewers),
            "found": self.found,
            "findings": [f.to_dict() for f in self.findings],
            "skipped": [p.to_dict() for p in self.skipped],
        }


@no_collecting()
def apply(
    extended: AnyPath,
    corrections: AnyPath | Sequence[AnyPath],
    output: AnyPath,
    *,
    report: AnyPath | None = None,
    take_back: bool = False,
    skip_bad: bool = False,
    force: bool = False,
) -> ApplyReport:
    """Write `output`: the extended file with all decisions of the corrections files.

    What was decided in the file before is taken back first: the result is the same whether the decisions are applied at
    once or in steps, to the file as it was extended or to a corrected one. report: where to write the report as JSON.
    take_back: points decided in the file that no correction is about any more become what they were. skip_bad: leave
    out faulty records and lines, and list them.

    All outputs are checked before work starts. Raises InputError for what is malformed, for earlier decisions that
    would be lost without `take_back`, and where all decisions are on another data set; what else cannot be applied, and
    what reviewers disagree on, is a finding.
    """
    extended, output, corrections, report = Path(extended), Path(output), paths_of(corrections), path_of(report)
    file = read_annotations(extended, skip_bad=skip_bad)
    overlay = overlay_of(file)
    read = [*file.paths, *corrections]
    written = [*output_paths(file, output), *([report] if report else [])]
    for path in written:
        check_output(path, force=force, inputs=[*read, *(p for p in written if p is not path)])
    loaded = load_corrections(corrections, skip_bad=skip_bad, kind=file.kind)
    revision = apply_corrections(
        file.extended_poses,
        overlay.additions,
        loaded.corrections,
        input_sha256=str(overlay.header.get("input_sha256", "")),
    )
    _refuse_losses(file.path, overlay.header, revision.findings, len(loaded.corrections), take_back=take_back)
    header = {"corrections": [f.to_dict() for f in loaded.files]}
    write_revised(file, revision.additions, header, output, force=force, inputs=read)
    reviewed = np.asarray(revision.additions.review != None)  # noqa: E711
    result = ApplyReport(
        input=str(extended),
        output=str(output),
        corrections=loaded.files,
        decisions=len(loaded.corrections),
        notes=sum(c.verdict == Verdict.NOTE for c in loaded.corrections),
        people=int(reviewed.any(axis=1).sum()),
        points=int(reviewed.sum()),
        counts=revision.counts,
        reviewers=_by_reviewer(revision.additions),
        findings=revision.findings,
        skipped=(*file.skipped, *loaded.skipped),
    )
    if report is not None:
        write_json(result.to_dict(), report, force=force, inputs=read, indent=True)
    return result


def _refuse_losses(
    extended: Path, header: Mapping[str, Any], findings: Sequence[Finding], decisions: int, *, take_back: bool
) -> None:
    """Raises InputError where writing would undo somebody's work, or do nothing at all for want of the right file."""
    points = sum(len(f.numbers["points"]) for f in findings if f.code == "dropped")
    if points and not take_back:
        earlier = [str(f["file"]) for f in header.get("corrections", []) if isinstance(f, Mapping) and "file" in f]
        named = f" (it was corrected by {', '.join(earlier)})" if earlier else ""
        problem = f"holds decisions on {points} points of which no correction given speaks: they would be undone"
        hint = f"give the earlier corrections files, too{named}; --take-back if they are to be undone"
        raise InputError.single(extended, "", problem, hint)
    if decisions and sum(len(f.numbers["ids"]) for f in findings if f.code == "other-data") == decisions:
        problem = f"all {decisions} decisions are on another data set: their input_sha256 is not this file's"
        raise InputError.single(extended, "", problem, "give the file they were made on")


def _by_reviewer(additions: Additions) -> dict[str, int]:
    names = Counter(name for review in additions.review.ravel() if review is not None for name in review.reviewers)
    return dict(sorted(names.items()))
