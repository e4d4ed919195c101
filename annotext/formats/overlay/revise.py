"""Extended files written again with other additions: what reviewers changed, and nothing else.

N people of the file's poses, A added keypoints. See docs/formats/corrections.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.additions import PER_POINT, Additions
from annotext.core.errors import InputError
from annotext.formats.annotations.base import Format
from annotext.formats.annotations.read import AnnotationFile
from annotext.formats.files.outputs import check_output
from annotext.formats.overlay.block import EXTENDED_KEY, AddedPoints, blocks_as_json
from annotext.formats.overlay.header import replaced_header
from annotext.formats.overlay.split import Overlay
from annotext.formats.overlay.write import output_paths, write_document

_FIXED = ("skeleton", "added", "input_sha256", "restore")
_TOLD = ("source", "score", "candidate", "radius", "decision", "reason", "review")


def revise_document(file: AnnotationFile, additions: Additions, header: Mapping[str, Any]) -> Any:
    """A new document: the extended file's with `additions` (rows aligned with `file.poses`) in place of its own.

    header: what its header is to say besides what it says already; see `revised_header`. Only people whose additions
    differ are written anew, everything else is as it was; `strip_document` gives what the file was extended from. The
    file's document is not mutated. Raises InputError for a file that is not extended, ValueError for additions or a
    header of another file.
    """
    old = overlay_of(file).additions
    if len(additions) != len(old) or additions.keypoints != old.keypoints:
        raise ValueError(f"{file.path}: {len(additions)} additions of {', '.join(additions.keypoints)} do not fit it")
    rows = _differing(old, additions)
    format = file.format
    gained = (additions.added.sum(axis=1) - old.added.sum(axis=1))[rows].tolist()
    records = list(format.records(file.document))
    blocks = blocks_as_json(additions.take(rows), format.identity.pixel_origin)
    for i, added, more in zip(rows.tolist(), blocks, gained, strict=True):
        row = int(file.rows[i])
        records[row] = _revised(format, records[row], added, more)
    document = format.with_records(file.document, records)
    return document if format.header_beside else replaced_header(document, revised_header(file, header))


def revised_header(file: AnnotationFile, header: Mapping[str, Any]) -> dict[str, Any]:
    """The header of the extended file with the keys of `header` in it.

    Raises InputError for a file that is not extended, ValueError for a header that would make it another file's.
    """
    old = overlay_of(file).header
    for key in _FIXED:
        if key in header and header[key] != old.get(key):
            raise ValueError(f"{file.path}: its header cannot say another {key}")
    return {**old, **header}


def write_revised(
    file: AnnotationFile,
    additions: Additions,
    header: Mapping[str, Any],
    output: str | Path,
    *,
    force: bool,
    inputs: Iterable[str | Path] = (),
) -> None:
    """Write what `revise_document` makes; for MPII also its header, `<output>.annotext.json`.

    inputs: other files that must not be replaced. Raises what `revise_document` raises, and InputError for an output
    that is an input, exists without `force`, or cannot be written.
    """
    inputs = [*file.paths, *inputs]
    for path in output_paths(file, output):
        check_output(path, force=force, inputs=inputs)
    document = revise_document(file, additions, header)
    beside = revised_header(file, header) if file.format.header_beside else None
    write_document(document, beside, output, force=force, inputs=inputs)


def overlay_of(file: AnnotationFile) -> Overlay:
    """What was added to a file that reviewers decide on. Raises InputError for a file that is not extended."""
    if file.overlay is None:
        hint = "decisions are on added points: give the file that `annotext extend` or `decide` wrote"
        raise InputError.single(file.path, "", "is not an extended file", hint)
    return file.overlay


def _differing(old: Additions, new: Additions) -> NDArray[np.intp]:
    """Positions of the people about whom the two say something else."""
    differs = np.zeros(len(old), dtype=bool)
    for name in PER_POINT:
        one, other = getattr(old, name), getattr(new, name)
        unequal = np.asarray(one != other, dtype=bool)
        if one.dtype != object:
            unequal &= ~(np.isnan(one) & np.isnan(other))
        differs |= unequal.reshape(len(old), -1).any(axis=1)
    return np.flatnonzero(differs)


def _revised(format: Format, record: Mapping[str, Any], added: AddedPoints, gained: int) -> dict[str, Any]:
    """gained: how many more points have v > 0 than before."""
    revised = dict(record)
    for key, entries in format.written(added.points, added.visibility).items():
        revised[key] = [*record[key][: -len(entries)], *entries]
    if format.count_key in record:
        revised[format.count_key] = record[format.count_key] + gained
    block = _revised_block(record[EXTENDED_KEY], added)
    revised[EXTENDED_KEY] = block if format.tells_hidden else {**block, "visibility": added.visibility}
    return revised


def _revised_block(block: Mapping[str, Any], added: AddedPoints) -> dict[str, Any]:
    """The block with what is told of the points in its place, so that a review taken back leaves no trace."""
    keys = list(block)
    first = keys.index("source")
    before = {key: block[key] for key in keys[:first]}
    behind = {key: block[key] for key in keys[first:] if key not in _TOLD}
    return {**before, **added.block(), **behind}
