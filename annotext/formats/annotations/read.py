"""The door to annotation files: recognise by content and read. See `coco`, `mpii` and `halpe` for the formats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.additions import Additions, to_frame
from annotext.core.errors import InputError, Problem
from annotext.core.poses import Poses
from annotext.core.skeleton import Skeleton
from annotext.formats.annotations.coco import is_coco, read_coco
from annotext.formats.annotations.halpe import is_halpe, read_halpe
from annotext.formats.annotations.mpii import is_extended, is_mpii, read_mpii
from annotext.formats.annotations.records import Faults, Kind
from annotext.formats.files.jsonio import kind_of, read_json
from annotext.formats.files.skeletons import known_skeletons
from annotext.formats.overlay.pseudo_labels import PseudoLabels

if TYPE_CHECKING:
    from pandas import DataFrame

_FORMATS = "a COCO or Halpe file (an object with images, annotations, categories) or an MPII file (a list of records)"


@dataclass(frozen=True)
class AnnotationFile:
    """An annotation file as it was read, and the N people in it.

    document: the parsed JSON, unchanged; never mutate it.
    sha256: of the file's bytes.
    poses: the people in file order, in the file's own skeleton; of an extended file in the grown one, added points
        with v > 0 included.
    rows: (N,) int64, the position of each person in the document: in `annotations` (COCO, Halpe), in the list (MPII).
        Annotations of other categories and skipped records have no row.
    additions: of an extended file, aligned with poses, candidates included; else None.
    header: `info.annotext` (MPII: of the file beside it) of an extended file; else None.
    skipped: what `skip_bad` dropped. The records stay in the document.
    image_ids: the file's ids of `poses.images`; MPII has none.
    pseudo: of an extended file in which people without labels were labelled whole; else None. Their own keypoints are
        nobody's labels: they are here, and not in `poses`.
    """

    path: Path
    kind: Kind
    document: Any
    sha256: str
    poses: Poses
    rows: NDArray[np.int64]
    additions: Additions | None = None
    header: dict[str, Any] | None = None
    skipped: tuple[Problem, ...] = ()
    image_ids: tuple[int | str, ...] = ()
    pseudo: PseudoLabels | None = None

    def to_frame(self) -> DataFrame:
        """A pandas table, one row per person and keypoint: image, id, keypoint, x, y, v, source, score, radius,
        decision; see `core.additions.to_frame`."""
        return to_frame(self.poses, self.additions)


def header_path(path: str | Path) -> Path:
    """Where the header of an extended MPII file stands: `<file>.annotext.json` beside it."""
    path = Path(path)
    return path.with_name(path.name + ".annotext.json")


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
    faults = Faults(path)
    if is_halpe(document):
        parsed = read_halpe(document, faults, skeletons)
    elif is_coco(document):
        parsed = read_coco(document, faults, skeletons)
    elif is_mpii(document):
        beside = header_path(path)
        header = read_json(beside)[0] if is_extended(document) and beside.exists() else None
        if header is not None and not isinstance(header, dict):
            raise InputError.single(beside, "", f"is {kind_of(header)}, expected an object")
        parsed = read_mpii(document, faults, skeletons, header, beside)
    else:
        raise InputError.single(
            path, "", f"is {kind_of(document)} that is not an annotation file", f"expected {_FORMATS}"
        )
    if faults.fatal or parsed is None or (faults.records and not skip_bad):
        raise InputError((*faults.fatal, *faults.records))
    if faults.records and not len(parsed.poses):
        raise InputError(faults.records)
    return AnnotationFile(
        path=path,
        kind=parsed.kind,
        document=document,
        sha256=sha256,
        poses=parsed.poses,
        rows=parsed.rows,
        additions=parsed.additions,
        header=parsed.header,
        skipped=faults.records,
        image_ids=parsed.image_ids,
        pseudo=parsed.pseudo,
    )
