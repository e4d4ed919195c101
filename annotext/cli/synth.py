"""`annotext synth`: procedural people to practise on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def synth(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder to make; one folder per set inside.", readable=False)
    ],
    people: Annotated[int, typer.Option("--people", "-n", help="People in each set.")] = 1000,
    seed: Annotated[int, typer.Option("--seed", "-s", help="The same seed gives the same bytes.")] = 0,
    sets: Annotated[str, typer.Option("--sets", help="Which sets, with commas.")] = "coco,mpii,halpe",
    harder: Annotated[
        bool, typer.Option("--harder", help="Pelvis and thorax are anatomical points, not MPII's midpoints.")
    ] = False,
    workers: Annotated[int | None, typer.Option("--workers", help="Processes; one per core if not given.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a folder that synth made.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Draw people with all 21 keypoints known, labelled as COCO, MPII and Halpe label them. No download, no licence."""
    from annotext.cli.output import print_report
    from annotext.cli.progress import people_progress
    from annotext.cli.reports.files import synth_text
    from annotext.workflows.synth import synthesise

    names = [name.strip() for name in sets.split(",") if name.strip()]
    with people_progress("drawing people") as progress:
        report = synthesise(
            out, people, seed, sets=names, harder=harder, workers=workers, force=force, progress=progress
        )
    print_report(report, as_json=as_json, text=synth_text)
