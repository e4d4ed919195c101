"""`annotext review queue`: which people to look at next."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Strategy(StrEnum):
    """Of `core.queue`, which the command line must not wait for."""

    EXPECTED_ERROR = "expected-error"
    UNCERTAINTY = "uncertainty"
    DIVERSE = "diverse"
    RANDOM = "random"


def queue(
    extended: Annotated[Path, typer.Argument(help="The extended file.", readable=False)],
    budget: Annotated[int, typer.Option("--budget", "-n", min=0, help="How many people.")],
    strategy: Annotated[
        Strategy, typer.Option("--strategy", help="How people are put in order; see docs/queue.md.")
    ] = Strategy.EXPECTED_ERROR,
    images: Annotated[
        Path | None,
        typer.Option("--images", help="The image folder: people also differ by how they look.", readable=False),
    ] = None,
    corrections: Annotated[
        list[Path] | None,
        typer.Option(
            "--corrections", help="Decisions that are not applied yet: their points do not come again.", readable=False
        ),
    ] = None,
    withheld: Annotated[bool, typer.Option("--withheld", help="Also candidates that the policy kept back.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Of the random order and of the kinds of people.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Also write the queue as a file; see docs/queue.md.", readable=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the queue as JSON.")] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out what is faulty.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an output that exists.")] = False,
) -> None:
    """Say which people to review next: those whose points are expected to hold the most error, unlike ones first."""
    from annotext.cli.output import print_report
    from annotext.cli.progress import people_progress
    from annotext.cli.reports.review import queue_text
    from annotext.review.decisions import queue as core
    from annotext.workflows.review_queue import review_queue

    with people_progress("looking at people") as progress:
        result = review_queue(
            extended,
            budget,
            strategy=core.Strategy(strategy.value),
            images=images,
            corrections=tuple(corrections or ()),
            withheld=withheld,
            seed=seed,
            output=output,
            skip_bad=skip_bad,
            force=force,
            progress=progress,
        )
    print_report(result, as_json=as_json, text=queue_text)
