"""Extended files written again with other additions: what reviewers changed, and nothing else.

N people of the file's poses, A added keypoints. See docs/formats/corrections.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.additions import PER_POINT, Additions
from annotext.core.errors import InputError
from annotext.formats.annotations import mpii
from annotext.formats.annotations.read import AnnotationFile, header_path
from annotext.formats.annotations.records import EXTENDED_KEY
from annotext.formats.files.jsonio import dump_json
from annotext.formats.files.outputs import check_output, writing
from annotext.formats.overlay.block import AddedPoints, blocks_as_json
from annotext.formats.overlay.write import MPII_MISSING, output_paths

_FIXED = ("skeleton", "added", "input_sha256", "restore")
_TOLD = ("source", "score", "candidate", "radius", "decision", "reason", "review")


def revise_document(file: AnnotationFile, additions: Additions, header: Mapping[str, Any]) -> Any:
    """A new document: the extended file's with `additions` (rows aligned with `file.poses`) in place of its own.

    header: what its header is to say besides what it says already; see `revised_header`. Only people whose additions
    differ are written anew, everything else is as it was; `strip_document` gives what the file was extended from. The
    file's document is not mutated. Raises InputError for a file that is not extended, ValueError for additions or a
    header of another file.
    """
    old = _additions_of(file)
    if len(additions) != len(old) or additions.keypoints != old.keypoints:
        raise ValueError(f"{file.path}: {len(additions)} additions of {', '.join(additions.keypoints)} do not fit it")
    rows = _differing(old, additions)
    offset = mpii.ONE_BASED if file.kind == "mpii" else 0.0
    blocks = blocks_as_json(additions.take(rows), offset)
    document = list(file.document) if file.kind == "mpii" else dict(file.document)
    records: list[Any] = document if isinstance(document, list) else list(document["annotations"])
    revise = _revised_record if file.kind == "mpii" else _revised_annotation
    for i, added in zip(rows.tolist(), blocks, strict=True):
        row = int(file.rows[i])
        records[row] = revise(records[row], added)
    if isinstance(document, dict):
        document["annotations"] = records
        document["info"] = {**document["info"], EXTENDED_KEY: revised_header(file, header)}
    return document


def revised_header(file: AnnotationFile, header: Mapping[str, Any]) -> dict[str, Any]:
    """The header of the extended file with the keys of `header` in it.

    Raises InputError for a file that is not extended, ValueError for a header that would make it another file's.
    """
    _additions_of(file)
    assert file.header is not None
    for key in _FIXED:
        if key in header and header[key] != file.header.get(key):
            raise ValueError(f"{file.path}: its header cannot say another {key}")
    return {**file.header, **header}


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
    inputs = [file.path, *inputs] + ([header_path(file.path)] if file.kind == "mpii" else [])
    for path in output_paths(file, output):
        check_output(path, force=force, inputs=inputs)
    document = revise_document(file, additions, header)
    with writing(output, force=force, inputs=inputs) as temporary:
        temporary.write_bytes(dump_json(document))
        if file.kind == "mpii":
            with writing(header_path(output), force=force, inputs=inputs) as beside:
                beside.write_bytes(dump_json(revised_header(file, header)))


def _additions_of(file: AnnotationFile) -> Additions:
    if file.additions is None or file.header is None:
        hint = "decisions are on added points: give the file that `annotext extend` or `decide` wrote"
        raise InputError.single(file.path, "", "is not an extended file", hint)
    return file.additions


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


def _revised_annotation(annotation: Mapping[str, Any], added: AddedPoints) -> dict[str, Any]:
    count = len(added.visibility)
    revised = dict(annotation)
    keypoints: Sequence[Any] = annotation["keypoints"]
    own, old = keypoints[: -3 * count], keypoints[-3 * count :]
    revised["keypoints"] = [*own]
    for xy, v in zip(added.points, added.visibility, strict=True):
        revised["keypoints"] += [0, 0, 0] if xy is None else [*xy, v]
    if "num_keypoints" in annotation:
        gained = sum(v > 0 for v in added.visibility) - sum(v > 0 for v in old[2::3])
        revised["num_keypoints"] = annotation["num_keypoints"] + gained
    revised[EXTENDED_KEY] = _revised_block(annotation[EXTENDED_KEY], added)
    return revised


def _revised_record(record: Mapping[str, Any], added: AddedPoints) -> dict[str, Any]:
    count = len(added.visibility)
    revised = dict(record)
    points = [MPII_MISSING if xy is None else xy for xy in added.points]
    revised["joints"] = [*record["joints"][:-count], *points]
    revised["joints_vis"] = [*record["joints_vis"][:-count], *(int(v > 0) for v in added.visibility)]
    block = _revised_block(record[EXTENDED_KEY], added)
    revised[EXTENDED_KEY] = {**block, "visibility": added.visibility}
    return revised


def _revised_block(block: Mapping[str, Any], added: AddedPoints) -> dict[str, Any]:
    """The block with what is told of the points in its place, so that a review taken back leaves no trace."""
    keys = list(block)
    first = keys.index("source")
    before = {key: block[key] for key in keys[:first]}
    behind = {key: block[key] for key in keys[first:] if key not in _TOLD}
    return {**before, **added.block(), **behind}
