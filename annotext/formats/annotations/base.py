"""What differs between annotation formats. Each format is one adapter; `read.FORMATS` lists them.

A *record* is what a file has for one person: an annotation (COCO, Halpe) or an entry of the list (MPII). Its *columns*
are the lists that have entries for each point; the points of an overlay (`formats.overlay`) stand in them behind the
record's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from annotext.core.poses import Poses
from annotext.core.skeleton import Skeleton
from annotext.formats.annotations.records import Faults


@dataclass(frozen=True)
class Identity:
    """How a line of a corrections file names its person.

    key: of the person's number. pixel_origin: pixels of the line, and of the file, minus annotext's 0-based pixels.
    people: what the persons are called in messages.
    """

    key: str
    pixel_origin: float
    people: str


ANNOTATION = Identity("annotation", 0.0, "annotations of a COCO or Halpe file")
RECORD = Identity("record", 1.0, "records of an MPII file")


@dataclass(frozen=True)
class Column:
    """A list of a record: entries per point, and what they are called."""

    per_point: int
    entries: str = "numbers"


@dataclass(frozen=True)
class People:
    """What a reader made of a document; see `read.AnnotationFile`."""

    poses: Poses
    rows: NDArray[np.int64]
    image_ids: tuple[int | str, ...] = ()


class Format(Protocol):
    """One annotation format.

    kind: its name, as reports and review datasets store it; title: its name in messages.
    section: the key of the list of records, for pointers; "" where the document itself is the list.
    columns: the lists of a record that have entries for each point.
    count_key: the key of a record that counts its labelled points; "" where there is none.
    tells_hidden: whether the columns tell a hidden point from a visible one.
    header_beside: whether the header of an overlay stands in a file beside, since the document has no place for it.
    takes_new_people: whether people that a detector found can be appended.
    """

    @property
    def kind(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def identity(self) -> Identity: ...
    @property
    def section(self) -> str: ...
    @property
    def columns(self) -> Mapping[str, Column]: ...
    @property
    def count_key(self) -> str: ...
    @property
    def tells_hidden(self) -> bool: ...
    @property
    def header_beside(self) -> bool: ...
    @property
    def takes_new_people(self) -> bool: ...

    def detect(self, document: Any, added: int) -> bool:
        """Whether a document is of this format; added: points that an overlay put behind each record's own."""
        ...

    def read(self, document: Any, faults: Faults, skeletons: Mapping[str, Skeleton]) -> People | None:
        """The people of a document without an overlay, faulty ones left out. Problems go into `faults`.

        None where nobody can be read for them.
        """
        ...

    def records(self, document: Any) -> Any:
        """The list of records; something else in a broken document."""
        ...

    def with_records(self, document: Any, records: list[Any]) -> Any:
        """A copy of the document with other records."""
        ...

    def person_rows(self, document: Any) -> list[int]:
        """Positions of the records that are people, readable or not."""
        ...

    def points(self, document: Any) -> int:
        """Points per record of a document without an overlay."""
        ...

    def category_id(self, document: Any) -> Any:
        """The id of the category of people; None where the format has none."""
        ...

    def with_added(
        self, document: Any, added: Sequence[str], edges: Sequence[tuple[int, int]]
    ) -> tuple[Any, dict[str, int | None]]:
        """A copy of the document whose category names the added keypoints, and what `without_added` needs.

        edges: 0-based positions in the grown skeleton, those with an added end.
        """
        ...

    def without_added(self, document: Any, added: Sequence[str], edges: int | None) -> Any:
        """A copy as it was before `with_added`; edges: how many the category had, None to leave them.

        Raises ValueError where the category does not end with the added keypoints.
        """
        ...

    def blank(self, points: int) -> dict[str, list[Any]]:
        """The columns of a record in which nothing is labelled."""
        ...

    def keeps_blank(self) -> bool:
        """Whether columns equal to `blank` are kept beside points that replace them."""
        ...

    def written(self, points: Sequence[list[float] | None], visibility: Sequence[int]) -> dict[str, list[Any]]:
        """The columns' entries of points in the file's pixels, None where there is none."""
        ...

    def read_written(
        self, records: Sequence[Mapping[str, Any]], rows: Sequence[int], faults: Faults, count: int, first: int
    ) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """(N, count, 2) in the file's pixels and (N, count) visibility of entries that `written` made.

        first: position of the first of these points in the columns, for pointers.
        """
        ...

    def labelled(self, columns: Mapping[str, Sequence[Any]]) -> int:
        """How many points of the columns are labelled."""
        ...

    def check_counts(
        self, records: Sequence[Any], rows: Sequence[int], counted: NDArray[np.int64], faults: Faults
    ) -> None:
        """Hold what the records at `rows` say of their labelled points against (len(rows),) `counted`."""
        ...

    def new_person(
        self, person: int, image_id: int | str, category_id: Any, bbox_xywh: list[float], points: int
    ) -> dict[str, Any]:
        """A record without labels; only where `takes_new_people`."""
        ...


def growable(format: Format, record: Any) -> bool:
    """Whether a record has all of its columns, or none: others are too broken to be touched."""
    if not isinstance(record, dict):
        return False
    there = [key for key in format.columns if key in record]
    return not there or (len(there) == len(format.columns) and all(isinstance(record[key], list) for key in there))
