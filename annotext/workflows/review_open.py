"""Open FiftyOne's App on a dataset under review, for one reviewer."""

from __future__ import annotations

import getpass
import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from annotext.core.errors import AnnotextError
from annotext.review.decisions.journal import make_journal_folder
from annotext.review.fiftyone import session
from annotext.review.fiftyone.database import connect
from annotext.review.fiftyone.service import REVIEWER
from annotext.review.fiftyone.store import JOURNAL, find_dataset, journal_of, refresh, review_info

SETTINGS = {
    "FIFTYONE_SERVER": "1",  # this process is FiftyOne's server: it sees what others write
    "FIFTYONE_PLUGINS_CACHE_ENABLED": "true",  # else every key would load all plugins anew
    "FIFTYONE_EXECUTION_STORE_NOTIFICATION_SERVICE_DISABLED": "true",  # nothing here listens, and it polls
}


def open_review(
    name: str,
    say: Callable[[str], None],
    *,
    port: int = session.DEFAULT_PORT,
    reviewer: str | None = None,
    journal: Path | None = None,
    browser: bool = True,
) -> None:
    """Serve the App for the dataset `name` on this machine's loopback until Ctrl-C.

    say: gets what the user is to read, in rich markup. reviewer: whose decisions they are; the login name where it is
    None. journal: the folder of this session's journals; beside the extended file where it is None. browser: open one
    if there is a screen.

    Raises AnnotextError for an unknown dataset (naming those that annotext built), one that annotext did not build, a
    port that is taken (naming a free one), journals that cannot be kept, and whatever keeps FiftyOne from its database.
    """
    who = session.name_of(login_name() if reviewer is None else reviewer)
    session.check_port(port)
    if journal is not None:
        make_journal_folder(journal.resolve())
        os.environ[JOURNAL] = str(journal.resolve())
    # FiftyOne reads these when it is imported, so they come first.
    os.environ[REVIEWER] = who
    os.environ |= SETTINGS
    say("Starting FiftyOne…")
    fo = connect()
    dataset = find_dataset(name, fo)
    info = review_info(dataset)
    check_journal(info)
    session.fit_grid(fo)
    refresh(dataset)  # what only the journals have is shown, too
    for note in changes(info):
        say(f"[yellow]note:[/yellow] {note}")
    with session.plugins_folder(fo.config.plugins_dir) as folder:
        fo.config.plugins_dir = str(folder)
        url = session.address(dataset, port, session.save_workspace(dataset, fo), fo)
        session.serve(port, url, browser=browser, ready=lambda: say(_welcome(dataset, url, who, info)))
    say(f"Ended. Everything decided is in {journal_of(info)}; `annotext review status {name}` sums it up.")


def check_journal(info: Mapping[str, Any]) -> None:
    """Raises AnnotextError if decisions could not be kept in the dataset's journals from here."""
    folder = journal_of(info)
    place = folder if folder.exists() else folder.parent
    if not (place.is_dir() and os.access(place, os.W_OK)):
        raise AnnotextError(
            f"decisions cannot be kept in {folder}: {place} is not a folder that can be written here. --journal DIR "
            "keeps yours elsewhere; the shared database gets them all the same"
        )


def changes(info: Mapping[str, Any]) -> list[str]:
    """What changed since the dataset was built, as sentences: the extended file, the images."""
    extended, notes = Path(info["extended"]), []
    try:
        with extended.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != info["extended_sha256"]:
            notes.append(
                f"{extended} is not the file this dataset was built from: decisions on points that moved will be "
                "called stale. `annotext review build ... --overwrite` builds it anew; no decision is lost"
            )
    except OSError:
        notes.append(f"{extended}, which this dataset was built from, cannot be read")
    if not Path(info["images"]).is_dir():
        notes.append(f"the images were in {info['images']}, which is not there")
    return notes


def login_name() -> str:
    """Who is logged in; empty where the system does not know."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def _welcome(dataset: Any, url: str, who: str, info: Mapping[str, Any]) -> str:
    left = int(dataset.sum("to_review") or 0)
    return "\n".join(
        [
            f"[bold]{url}[/bold]",
            f"{left:,} added points to review in {dataset.name}; decisions are {who}'s, saved one by one in "
            f"{journal_of(info)}",
            "First: look at the highlighted point in the Review panel and press [bold]A[/bold] if it is right, "
            "[bold]R[/bold] if it is wrong, or drag it to its place; [bold]?[/bold] shows all keys. "
            "[bold]Ctrl-C[/bold] here ends the session.",
        ]
    )
