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

# In the order `--help` shows them. A short help is one line of the list of commands in 80 columns.
_COMMANDS = {
    "extend": (extend.extend, "Add the keypoints a file lacks."),
    "predict": (predict.predict, "Write what predictors say about people."),
    "calibrate": (calibrate.calibrate, "Learn how far added points can be trusted."),
    "decide": (decide.decide, "Decide again what becomes a label, from predictions."),
    "derive-check": (derive_check.derive_check, "Measure how far derived keypoints are from labels."),
    "simulate-review": (simulate_review.simulate_review, "Count what is wrong after simulated reviews."),
    "draw": (draw.draw, "Draw people of an extended file."),
    "evaluate": (evaluate.evaluate, "Measure keypoints against a truth."),
    "strip": (strip.strip, "Take the additions out of an extended file."),
    "apply": (apply.apply, "Write reviewers' decisions into an extended file."),
    "synth": (synth.synth, "Draw people with all 21 keypoints known."),
    "train": (train.train, "Train a student from a recipe and export it."),
    "tables": (tables.tables, "Lay out the paper's Tables 1 to 4 from any runs."),
    "demo": (demo.demo, "Train on drawn people and extend their files."),
    "skeletons": (skeletons.skeletons, "List skeletons, show one, or compare several."),
}
_GROUPS = {
    "review": (review.app, "Look at doubtful points in FiftyOne, and decide."),
    "corrections": (corrections.app, "Take points to CVAT or Label Studio and back."),
}


def register(app: typer.Typer) -> None:
    """Add every command to the program."""
    for name, (run, short) in _COMMANDS.items():
        app.command(name, short_help=short)(run)
    for group, short in _GROUPS.values():
        app.add_typer(group, short_help=short)
