"""The door to annotation files: recognise by content and read. See `coco`, `mpii` and `halpe` for the formats.

An extended file is taken apart first (`formats.overlay`): the adapters read what people labelled and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.additions import Additions, to_frame
from annotext.core.errors import InputError, Problem
from annotext.core.poses import Poses
from annotext.core.skeleton import Skeleton
from annotext.formats.annotations.base import Format, People
from annotext.formats.annotations.coco import COCO
from annotext.formats.annotations.halpe import HALPE
from annotext.formats.annotations.mpii import MPII
from annotext.formats.annotations.records import Faults
from annotext.formats.files.jsonio import kind_of, read_json
from annotext.formats.files.skeletons import known_skeletons
from annotext.formats.overlay.header import POINTER, added_count, find_header, header_path
from annotext.formats.overlay.pseudo_labels import PseudoLabels
from annotext.formats.overlay.split import Overlay, Split, parse_overlay, split

if TYPE_CHECKING:
    from pandas import DataFrame

# All formats. The first that recognises a document reads it: Halpe's look like COCO's.
FORMATS: tuple[Format, ...] = (HALPE, COCO, MPII)

_EXPECTED = "a COCO or Halpe file (an object with images, annotations, categories) or an MPII file (a list of records)"


@dataclass(frozen=True)
class AnnotationFile:
    """An annotation file as it was read, and the N people in it.

    document: the parsed JSON, unchanged; never mutate it.
    sha256: of the file's bytes.
    poses: the people in file order with the keypoints that people labelled, in the skeleton of the file that was
        labelled; of an extended file see also `extended_poses`.
    rows: (N,) int64, the position of each person among the records: in `annotations` (COCO, Halpe), in the list (MPII).
        Annotations of other categories and skipped records have no row.
    image_ids: the file's ids of `poses.images`; MPII has none.
    overlay: of an extended file what annotext added, aligned with poses; else None.
    skipped: what `skip_bad` dropped. The records stay in the document.
    """

    path: Path
    format: Format
    document: Any
    sha256: str
    poses: Poses
    rows: NDArray[np.int64]
    image_ids: tuple[int | str, ...] = ()
    overlay: Overlay | None = None
    skipped: tuple[Problem, ...] = ()

    @property
    def kind(self) -> str:
        """The format's name."""
        return self.format.kind

    @property
    def additions(self) -> Additions | None:
        """Of an extended file the added points, candidates included; else None."""
        return None if self.overlay is None else self.overlay.additions

    @property
    def header(self) -> dict[str, Any] | None:
        """`info.annotext` (MPII: of the file beside it) of an extended file; else None."""
        return None if self.overlay is None else self.overlay.header

    @property
    def pseudo(self) -> PseudoLabels | None:
        """Of an extended file in which people without labels were labelled whole; else None."""
        return None if self.overlay is None else self.overlay.pseudo

    @cached_property
    def extended_poses(self) -> Poses:
        """The people with the added points that have v > 0, in the grown skeleton; of a plain file `poses`."""
        return self.poses if self.overlay is None else self.overlay.extended(self.poses)

    def to_frame(self) -> DataFrame:
        """A pandas table, one row per person and keypoint: image, id, keypoint, x, y, v, source, score, radius,
        decision; see `core.additions.to_frame`."""
        return to_frame(self.extended_poses, self.additions)

    @property
    def paths(self) -> list[Path]:
        """The files it was read from."""
        beside = self.overlay is not None and self.format.header_beside
        return [self.path, *([header_path(self.path)] if beside else [])]


def format_of(document: Any) -> Format | None:
    """The format of a parsed document, plain or extended; None for anything else."""
    added = added_count(document)
    return next((f for f in FORMATS if f.detect(document, added)), None)


def format_named(kind: str) -> Format:
    """The format of this name."""
    return next(f for f in FORMATS if f.kind == kind)


def read_annotations(
    path: str | Path, *, skip_bad: bool = False, skeletons: Mapping[str, Skeleton] | None = None
) -> AnnotationFile:
    """Read a COCO, MPII or Halpe file, plain or extended, strictly.

    skeletons: those a COCO category may name; without it all that annotext knows. Raises InputError with all problems
    at once. With `skip_bad` a faulty record is left out and listed in `skipped`; a fault of the file as a whole, or a
    file of which nobody is left, is still an error.
    """
    path = Path(path)
    skeletons = known_skeletons() if skeletons is None else skeletons
    document, sha256 = read_json(path)
    format = format_of(document)
    if format is None:
        raise InputError.single(
            path, "", f"is {kind_of(document)} that is not an annotation file", f"expected {_EXPECTED}"
        )
    faults = Faults(path)
    header = find_header(document, format, path, faults)
    parts = Split(document)
    if header is not None and not faults.fatal and isinstance(format.records(document), list):
        parts = split(document, format, faults, header, reading=True)
    people = format.read(parts.base, faults, skeletons) if parts is not None and not faults.fatal else None
    overlay = None
    if people is not None and parts is not None and header is not None:
        overlay = _overlay(parts, format, faults, header, people, skeletons)
    if people is not None and (header is None) == (overlay is None):
        people, overlay = _without_faulty(people, overlay, format, document, faults)
    if faults.fatal or people is None or (faults.records and not skip_bad):
        raise InputError((*faults.fatal, *faults.records))
    if faults.records and not len(people.poses):
        raise InputError(faults.records)
    return AnnotationFile(
        path, format, document, sha256, people.poses, people.rows, people.image_ids, overlay, faults.records
    )


def _overlay(
    parts: Split,
    format: Format,
    faults: Faults,
    header: dict[str, Any],
    people: People,
    skeletons: Mapping[str, Skeleton],
) -> Overlay | None:
    """The overlay of the people that were read; None after a fault of the file as a whole."""
    skeleton = people.poses.skeleton
    try:
        grown = skeleton.grown(header["added"], skeletons.values())
    except ValueError as error:
        faults.file("" if format.header_beside else f"{POINTER}.added", str(error))
        return None
    overlay = parse_overlay(parts, format, faults, header, skeleton, grown)
    return overlay.take(np.searchsorted(parts.rows, people.rows))


def _without_faulty(
    people: People, overlay: Overlay | None, format: Format, document: Any, faults: Faults
) -> tuple[People, Overlay | None]:
    """The people whose record has no fault of the overlay either, and counts its points as they are."""
    good = faults.good(format.section, people.rows)
    counted = people.poses.labelled.sum(axis=1) + (0 if overlay is None else overlay.counted())
    format.check_counts(format.records(document), people.rows[good].tolist(), counted[good], faults)
    good = faults.good(format.section, people.rows)
    if good.all():
        return people, overlay
    taken = People(people.poses.take(good), people.rows[good], people.image_ids)
    return taken, None if overlay is None else overlay.take(good)
