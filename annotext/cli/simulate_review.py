"""`annotext simulate-review`: how much error a queue finds, where the truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from annotext.cli.review_queue import Strategy


def simulate_review(
    extended: Annotated[Path, typer.Argument(help="The extended file.", readable=False)],
    truth: Annotated[
        Path, typer.Option("--truth", help="The same people (ids), with the added keypoints labelled.", readable=False)
    ],
    strategy: Annotated[
        list[Strategy] | None, typer.Option("--strategy", help="Give several to compare. Default: the three that look.")
    ] = None,
    budgets: Annotated[
        str | None, typer.Option("--budgets", help="Shares of the added points, such as 0.01,0.05,0.1,1.")
    ] = None,
    share: Annotated[float, typer.Option("--share", help="Share of the points of the headline, and of --out.")] = 0.1,
    withheld: Annotated[bool, typer.Option("--withheld", help="Also candidates that the policy kept back.")] = False,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many random orders to compare with.")] = 20,
    seed: Annotated[int, typer.Option("--seed", help="Of the orders.")] = 0,
    plot: Annotated[Path | None, typer.Option("--plot", help="Also draw the curves (PNG).", readable=False)] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Write the oracle's corrections on the first strategy's queue.", readable=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace outputs that exist.")] = False,
) -> None:
    """Let an oracle answer review queues, and count what is still wrong after each share of the points."""
    from annotext.cli.output import print_report
    from annotext.cli.reports.review import simulation_text
    from annotext.core.errors import AnnotextError
    from annotext.review.decisions import queue
    from annotext.workflows.simulate_review import BUDGETS
    from annotext.workflows.simulate_review import simulate_review as run

    try:
        shares = tuple(float(b) for b in budgets.split(",")) if budgets is not None else BUDGETS
    except ValueError:
        raise AnnotextError(f"--budgets {budgets}: expected shares such as 0.01,0.05,0.1,1") from None
    chosen = strategy or [s for s in Strategy if s is not Strategy.RANDOM]
    result = run(
        extended,
        truth,
        strategies=[queue.Strategy(s.value) for s in chosen],
        budgets=shares,
        share=share,
        withheld=withheld,
        seeds=seeds,
        seed=seed,
        plot=plot,
        output=output,
        force=force,
    )
    print_report(result, as_json=as_json, text=simulation_text)
