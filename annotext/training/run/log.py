"""RUN/train.log: MMEngine's logger, told what a person wants to read of it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from annotext.training.model import bridge
from annotext.training.run.distributed import is_first
from annotext.training.run.files import cannot_write, writing

bridge.install()

from mmengine.logging import MMLogger  # noqa: E402

_PACKAGE = Path(__file__).parent


def experiment(folder: Path) -> str:
    return f"annotext {folder.resolve()}"


def log_to(path: Path) -> MMLogger:
    """MMEngine's logger, writing to `path` and nowhere else."""
    name = experiment(path.parent)
    log = MMLogger.get_instance(name, logger_name=name)
    log.handlers = []
    if is_first():
        with writing(path):
            handler = _File(path)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        handler.addFilter(_for_people)
        log.addHandler(handler)
    log.setLevel(logging.INFO)
    return log


class _File(logging.FileHandler):
    """A log that cannot be written ends the run like any other of its files; Python's would print a traceback."""

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            raise cannot_write(Path(self.baseFilename), error) from None
        super().handleError(record)


@contextmanager
def mmengine_silent() -> Iterator[None]:
    """While there is no folder to log into: what MMEngine says of every single weight goes nowhere."""
    log = MMLogger.get_instance("annotext before a run", logger_name="annotext before a run")
    log.handlers = []
    try:
        yield
    finally:
        close_log(log)


def _for_people(record: logging.LogRecord) -> bool:
    """Of MMEngine only warnings."""
    return Path(record.pathname).is_relative_to(_PACKAGE) or record.levelno >= logging.WARNING


def close_log(log: MMLogger) -> None:
    for handler in log.handlers:
        with suppress(OSError):  # said when it was written
            handler.close()
    # A second run of this process into the same folder gets a new one.
    MMLogger._instance_dict.pop(log.instance_name, None)
