"""Files of a run: each appears whole or not at all, and one that cannot be written is one message."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from annotext.core.errors import AnnotextError


def cannot_write(path: Path, error: BaseException) -> AnnotextError:
    """What a run says of a file it could not write."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__context__
    why = (cause.strerror if isinstance(cause, OSError) else None) or str(cause or error).splitlines()[0]
    hint = "what was written before is whole; make room, then go on with --resume"
    return AnnotextError(f"{path}: cannot be written ({why})\n  hint: {hint}")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What is written into `path`, or added to it. Raises AnnotextError where it cannot be."""
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` to write; afterwards it is `path`. Raises AnnotextError where it cannot be
    written; what was there before then stays."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with writing(path):
            yield temporary
            os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
