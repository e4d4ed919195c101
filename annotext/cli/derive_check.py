"""`annotext derive-check`: how well keypoints follow from labelled ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def derive_check(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Annotation file whose labels are the truth.", readable=False)
    ],
    keypoint: Annotated[
        list[str] | None,
        typer.Option("--keypoint", metavar="NAME", help="Check this keypoint. Can be given several times."),
    ] = None,
    find: Annotated[
        bool, typer.Option("--find", help="Also fit and rank weighted means of other labelled keypoints.")
    ] = False,
    train: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Fit rules there, judge them on FILE, and show regression on geometry beside them; implies --find.",
            readable=False,
        ),
    ] = None,
    parents: Annotated[
        str | None,
        typer.Option("--from", metavar="A,B", help="Derive from these keypoints only, or from those of a skeleton."),
    ] = None,
    most_parents: Annotated[
        int, typer.Option("--most-parents", metavar="N", help="Rules of at most this many parents.", min=2, max=8)
    ] = 4,
    head_sizes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.mat", help="MPII's official file, for head sizes without head boxes.", readable=False
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="OUT.json", help="Also write the report as JSON.", readable=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: keypoint -> figures.")] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out faulty records, and list them.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a report that exists.")] = False,
) -> None:
    """Measure how far derived keypoints are from labels, and find rules for others.

    FILE must have the keypoint and what it is derived from labelled on the same people.
    """

    from annotext.cli.output import notes, print_report
    from annotext.cli.reports.derive_check import derive_check_text
    from annotext.cli.reports.skipped import skipped_lines
    from annotext.workflows.derive_check import derive_check as run

    result = run(
        file,
        keypoints=keypoint,
        search=find,
        train=train,
        parents=None if parents is None else [k.strip() for k in parents.split(",") if k.strip()],
        most_parents=most_parents,
        head_sizes=head_sizes,
        report=report,
        skip_bad=skip_bad,
        force=force,
    )
    if as_json:  # its top level is keypoints, so what was left out is reported beside it
        for line in skipped_lines(result.skipped):
            notes.print(line)
    print_report(result, as_json=as_json, text=derive_check_text)
