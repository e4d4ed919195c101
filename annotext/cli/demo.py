"""`annotext demo`: the main job from nothing to two extended files, in minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to fill.", readable=False)] = Path("demo"),
    people: Annotated[int, typer.Option("--people", min=50, help="People to train on, in each set.")] = 8000,
    val_people: Annotated[int, typer.Option("--val-people", min=20, help="People to judge on, in each set.")] = 1000,
    recipe: Annotated[str, typer.Option("--recipe", help="Name or path of the training recipe.")] = "demo",
    review: Annotated[
        bool, typer.Option("--review/--no-review", help="Also build both files as FiftyOne datasets, for review.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier demo.")] = False,
) -> None:
    """Draw people, train a student on two skeletons, extend both files, judge the added points.

    Needs no data and no download: minutes on two cores.
    """
    from annotext.cli.extras import require_extra

    require_extra("train", "demo")
    from annotext.cli.output import notes, print_report
    from annotext.cli.progress import people_progress
    from annotext.cli.reports.demo import demo_text, step_text
    from annotext.workflows.demo import run_demo

    def notify(event: object) -> None:
        if isinstance(event, str):
            notes.rule(event, align="left")
        else:
            notes.print(step_text(event), highlight=False, soft_wrap=True)

    report = run_demo(
        out,
        people=people,
        val_people=val_people,
        recipe=recipe,
        review=review,
        force=force,
        notify=notify,
        console=notes,
        progress=people_progress,
    )
    print_report(report, as_json=as_json, text=demo_text)
