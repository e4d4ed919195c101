"""A review session: FiftyOne's App for one reviewer, served to this machine only, with annotext's plugin in it.

The server runs in this process, without FiftyOne's own `Session`: nothing is shared between browsers, and what ends is
one process.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from annotext.core.errors import AnnotextError
from annotext.review.fiftyone.views import WORST

PLUGIN = Path(__file__).parent / "plugin"
BUNDLE = "panel.js"  # as the plugin's manifest calls it: FiftyOne loads one script a plugin
# What a part uses while it is loaded stands before it; `review` hands the panel to FiftyOne.
PARTS = (
    "words",
    "server",
    "geometry",
    "outbox",
    "model",
    "dots",
    "picture",
    "actions",
    "list",
    "bars",
    "overlays",
    "looks",
    "review",
)
_HEAD = (
    '// annotext\'s Review panel, joined of the parts in annotext/review/plugin/panel.\n(function () {\n"use strict";\n'
)
_FOOT = "})();\n"

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 5151  # FiftyOne's own
# How many ports to look at for a free one.
_NEXT = 50
PANEL = "annotext_review"
WORKSPACE = "review"
# The panel needs most of the width; FiftyOne's grid stays to choose images from.
_SIZES = [0.3, 0.7]
# FiftyOne's zoom of the grid, 0 to 10: two or three images stand in a row beside the panel. The dots it draws have the
# same size on every image; on smaller ones they would cover the people.
GRID_ZOOM = 9
# FiftyOne's server migrates and looks around before it answers: longer on a busy machine than hypercorn's minute.
START_SECONDS = 600.0
_BROWSER_LESS = ("DISPLAY", "WAYLAND_DISPLAY")


def check_port(port: int) -> None:
    """Raises AnnotextError if `port` of this machine's loopback is taken; the message names a free one."""
    if is_free(port):
        return
    other = next((p for p in range(port + 1, min(port + 1 + _NEXT, 65536)) if is_free(p)), None)
    hint = "" if other is None else f"; {other} is free: --port {other}"
    raise AnnotextError(f"port {port} is taken, perhaps by another reviewer or another App{hint}")


def is_free(port: int) -> bool:
    """Whether a server could listen at `port` of the loopback."""
    with socket.socket() as tried:
        # As the server does: what another session just left may be taken at once.
        if not sys.platform.startswith("win"):
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def part(name: str) -> Path:
    """Where a part of the panel is."""
    return PLUGIN / "panel" / f"{name}.js"


def panel_script() -> str:
    """The panel: all parts in their order, in the scope of one function, so that FiftyOne's own scripts see nothing of
    them."""
    return "\n".join([_HEAD, *(part(name).read_text(encoding="utf-8") for name in PARTS), _FOOT])


@contextmanager
def plugins_folder(users: str | Path | None) -> Iterator[Path]:
    """A folder with our plugin and links to everything in the user's folder of plugins; gone afterwards.

    The user's folder is not touched. Where links are not allowed (Windows), the user's are left out.
    """
    folder = Path(tempfile.mkdtemp(prefix="annotext-plugins-"))
    try:
        _copy_plugin(folder / "annotext-review")
        users = None if users is None else Path(users)
        if users is not None and users.is_dir():
            for entry in sorted(users.iterdir()):
                place = folder / entry.name
                if entry.is_dir() and not place.exists():
                    try:
                        place.symlink_to(entry.resolve(), target_is_directory=True)
                    except OSError:
                        continue
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # removes links, not what they point to


def _copy_plugin(place: Path) -> None:
    # FiftyOne does not follow links to single files of a plugin.
    place.mkdir()
    for name in ("fiftyone.yml", "__init__.py"):
        shutil.copyfile(PLUGIN / name, place / name)
    (place / BUNDLE).write_text(panel_script(), encoding="utf-8")


def save_workspace(dataset: Any, fo: Any) -> str:
    """Save the workspace of a review, the grid with the panel beside it, unless it is there. Returns its slug.

    A reviewer who changes and saves it keeps what they saved.
    """
    if WORKSPACE not in dataset.list_workspaces():
        grid, panel = fo.Panel(type="Samples", pinned=True), fo.Panel(type=PANEL)
        spaces = fo.Space(
            children=[
                fo.Space(children=[grid], active_child=grid.component_id),
                fo.Space(children=[panel], active_child=panel.component_id),
            ],
            orientation="horizontal",
            sizes=_SIZES,
        )
        dataset.save_workspace(WORKSPACE, spaces, description="The grid, and annotext's review panel beside it.")
    return fo.core.utils.to_slug(WORKSPACE)


def fit_grid(fo: Any) -> None:
    """Let images in the grid be large enough for the dots on them, in this process's Apps."""
    fo.app_config.grid_zoom = GRID_ZOOM


def address(dataset: Any, port: int, workspace: str, fo: Any) -> str:
    """Where a browser finds the review: the dataset, its view of the worst first if it has one, and the panel."""
    query = [f"workspace={workspace}"]
    if WORST in dataset.list_saved_views():
        query.insert(0, f"view={fo.core.utils.to_slug(WORST)}")
    # By its name: FiftyOne shows its front page for the slug of a name with a space.
    return f"http://{LOOPBACK}:{port}/datasets/{quote(dataset.name, safe='')}?{'&'.join(query)}"


def has_browser() -> bool:
    """Whether there is a screen to open a browser on."""
    if sys.platform.startswith(("win", "darwin")):
        return True
    return any(os.environ.get(name) for name in _BROWSER_LESS)


def serve(port: int, url: str, *, browser: bool, ready: Callable[[], None]) -> None:
    """Serve the App on the loopback until SIGINT or SIGTERM; `ready` is called when it answers.

    FiftyOne must be imported and connected, and know its plugins. Raises AnnotextError if the port was taken meanwhile.
    """
    from fiftyone.server.app import app
    from fiftyone.server.events import set_port
    from hypercorn.asyncio import serve as listen
    from hypercorn.config import Config
    from hypercorn.utils import LifespanFailureError, LifespanTimeoutError

    config = Config()
    config.bind = [f"{LOOPBACK}:{port}"]
    config.startup_timeout = START_SECONDS
    config.graceful_timeout = 1.0  # browsers hold a stream of events open for ever
    config.errorlog = logging.getLogger("hypercorn.error")
    config.errorlog.setLevel(logging.WARNING)
    # A browser that was closed is no news.
    logging.getLogger("asyncio").addFilter(lambda r: "socket.send() raised" not in r.getMessage())
    set_port(port)

    async def until_told() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_unless_cancelled)
        for name in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(name, stop.set)
            except NotImplementedError:  # Windows
                signal.signal(name, lambda *_: loop.call_soon_threadsafe(stop.set))
        announcing = asyncio.create_task(_announce(port, url, browser=browser, ready=ready))
        try:
            await listen(app, config, shutdown_trigger=stop.wait)  # type: ignore[arg-type]
        finally:
            announcing.cancel()

    try:
        asyncio.run(until_told())
    except OSError as error:
        raise AnnotextError(f"port {port}: {error.strerror or error}") from None
    except (LifespanFailureError, LifespanTimeoutError) as error:
        raise AnnotextError(f"FiftyOne's App did not start, or did not stop: {error}") from None


def _unless_cancelled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say what went wrong in the loop, but not that an open browser was cut off at the end."""
    if not isinstance(context.get("exception"), asyncio.CancelledError):
        loop.default_exception_handler(context)


async def _announce(port: int, url: str, *, browser: bool, ready: Callable[[], None]) -> None:
    while is_free(port):
        await asyncio.sleep(0.05)
    ready()
    if browser and has_browser():
        await asyncio.to_thread(webbrowser.open, url, new=2)


def name_of(text: str) -> str:
    """A reviewer's name as it is recorded. Raises AnnotextError for an empty one, or one of several lines."""
    name = re.sub(r"[ \t]+", " ", text).strip()
    if not name or not name.isprintable():
        raise AnnotextError("a reviewer needs a name, in one line: --reviewer NAME")
    return name
