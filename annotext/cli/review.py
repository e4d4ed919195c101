"""`annotext review`: look at doubtful points in FiftyOne, decide, and carry the decisions back."""

from __future__ import annotations

import typer

from annotext.cli.review_build import build
from annotext.cli.review_collect import collect
from annotext.cli.review_open import open_
from annotext.cli.review_queue import queue
from annotext.cli.review_status import status

app = typer.Typer(
    name="review",
    help="Look at doubtful points in FiftyOne, decide, and carry the decisions back into the file.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("build")(build)
app.command("open")(open_)
app.command("queue")(queue)
app.command("collect")(collect)
app.command("status")(status)
