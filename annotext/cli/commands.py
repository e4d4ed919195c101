"""The list of commands. Each lives in a module of its own that imports nothing heavy at the top."""

from __future__ import annotations

import typer

from annotext.cli import (
    apply,
    calibrate,
    corrections,
    decide,
    demo,
    derive_check,
    draw,
    evaluate,
    extend,
    predict,
    review,
    simulate_review,
    skeletons,
    strip,
    synth,
    tables,
    train,
)


def register(app: typer.Typer) -> None:
    """Add every command to the program, in the order `--help` shows them."""
    app.command("extend")(extend.extend)
    app.command("predict")(predict.predict)
    app.command("calibrate")(calibrate.calibrate)
    app.command("decide")(decide.decide)
    app.command("derive-check")(derive_check.derive_check)
    app.add_typer(review.app)
    app.add_typer(corrections.app)
    app.command("simulate-review")(simulate_review.simulate_review)
    app.command("draw")(draw.draw)
    app.command("evaluate")(evaluate.evaluate)
    app.command("strip")(strip.strip)
    app.command("apply")(apply.apply)
    app.command("synth")(synth.synth)
    app.command("train")(train.train)
    app.command("tables")(tables.tables)
    app.command("demo")(demo.demo)
    app.command("skeletons")(skeletons.skeletons)
