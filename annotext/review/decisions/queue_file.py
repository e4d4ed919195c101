"""Queue files: the people a reviewer should look at next, in order, of one extended file (`annotext-queue/1`).

`{"format", "extended_sha256", "strategy", "seed", "people": [{"id", "keypoints"}]}`; see docs/queue.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from annotext.core.errors import InputError
from annotext.formats.files.jsonio import read_json, write_json
from annotext.formats.files.typed import body_of, read_as, to_json

FORMAT = "annotext-queue/1"


@dataclass(frozen=True)
class QueuedPerson:
    """id: as `Poses.ids` (COCO: annotation id, MPII: record index). keypoints: to be looked at, worst first."""

    id: int
    keypoints: tuple[str, ...]


@dataclass(frozen=True)
class QueueFile:
    """Who is next. extended_sha256: of the extended file it was made for. strategy, seed: how it was ordered."""

    extended_sha256: str
    strategy: str
    seed: int
    people: tuple[QueuedPerson, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """The people in order."""
        return tuple(p.id for p in self.people)


def write_queue(queue: QueueFile, output: str | Path, *, force: bool) -> None:
    """Write it whole or not at all; the same queue gives the same bytes. Raises InputError as `check_output` does."""
    write_json({"format": FORMAT, **to_json(queue)}, output, force=force, indent=True)


def read_queue(path: str | Path, *, extended_sha256: str | None = None) -> QueueFile:
    """Read a queue file strictly. extended_sha256: of the file it is to be used with, where that is known.

    Raises InputError for anything else, for a queue of another file, and for a person that is named twice.
    """
    body = body_of(read_json(path)[0], FORMAT, path, "annotext review queue EXTENDED -o FILE makes one")
    found = read_as(QueueFile, body, path)
    if extended_sha256 is not None and found.extended_sha256 != extended_sha256:
        hint = "make the queue anew: annotext review queue EXTENDED -o FILE"
        raise InputError.single(path, "extended_sha256", "is the queue of another extended file", hint)
    if len({*found.ids}) != len(found.ids):
        twice = next(i for i in found.ids if found.ids.count(i) > 1)
        raise InputError.single(path, "people", f"names person {twice} twice")
    return found
