"""One database for all tests of review, in a folder of its own: set before anything imports FiftyOne.

Every test here asks for `fo` (or for a fixture that does): FiftyOne, connected to an embedded MongoDB of this session.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

# The user's own database, and a team's, are none of the tests' business.
for name in list(os.environ):
    if name.startswith("FIFTYONE_"):
        del os.environ[name]
FOLDER = Path(tempfile.mkdtemp(prefix="annotext-review-"))
os.environ["FIFTYONE_DATABASE_DIR"] = str(FOLDER / "database")
os.environ["FIFTYONE_DEFAULT_DATASET_DIR"] = str(FOLDER / "datasets")
os.environ["FIFTYONE_CONFIG_PATH"] = str(FOLDER / "config.json")
os.environ["FIFTYONE_APP_CONFIG_PATH"] = str(FOLDER / "app_config.json")
os.environ["FIFTYONE_DO_NOT_TRACK"] = "1"

# Their modules import the store, and pymongo with it.
NEEDS_FIFTYONE = sorted(p.name for p in Path(__file__).parent.glob("test_*.py") if p.name != "test_database.py")
collect_ignore = NEEDS_FIFTYONE if find_spec("fiftyone") is None else []


@pytest.fixture(scope="session")
def fo() -> Iterator[ModuleType]:
    """FiftyOne, connected. Processes that are to share its database need only the environment as it is."""
    if find_spec("fiftyone") is None:
        pytest.skip("FiftyOne is not installed (the review extra)")
    from annotext.core.errors import AnnotextError
    from annotext.review.fiftyone.database import connect, find_server

    try:
        find_server()
    except AnnotextError as error:
        pytest.skip(f"no MongoDB server for FiftyOne here: {error}")
    yield connect()
    from fiftyone.core.odm import database

    service = database._db_service
    database._disconnect()
    if service is not None:
        process = service.child
        service.stop()
        process.wait(30)
    shutil.rmtree(FOLDER, ignore_errors=True)
