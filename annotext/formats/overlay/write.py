"""Extended files: the input as it was, with keypoints added behind the human ones.

N people of the file's poses, A added keypoints. The format is described in docs/formats/extended.md and by
`extended.schema.json`. Nothing of the input is regenerated: its parsed document is copied where it grows, so that
`strip` gives it back, key order included.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from annotext import __version__
from annotext.core.additions import Additions, Source
from annotext.core.errors import AnnotextError, InputError
from annotext.core.skeleton import Skeleton
from annotext.formats.annotations.base import Format, growable
from annotext.formats.annotations.read import AnnotationFile
from annotext.formats.files.jsonio import dump_json
from annotext.formats.files.outputs import check_output, writing
from annotext.formats.files.skeletons import known_skeletons
from annotext.formats.overlay.block import EXTENDED_KEY, AddedPoints, blocks_as_json, nothing_added
from annotext.formats.overlay.header import header_path, with_header
from annotext.formats.overlay.pseudo_labels import OWN, Unlabelled, filled, new_blocks, own_blocks


def schema() -> dict[str, Any]:
    """The JSON Schema of extended files: `#/$defs/coco`, `#/$defs/mpii` and `#/$defs/header`."""
    return orjson.loads(Path(__file__).with_name("extended.schema.json").read_bytes())


def refuse_extended(file: AnnotationFile) -> None:
    """Raises InputError for a file that is extended already."""
    if file.overlay is not None:
        raise InputError.single(
            file.path, "", "is already extended", f"take the additions out first: annotext strip {file.path} -o OUT"
        )


def extend_document(
    file: AnnotationFile,
    additions: Additions,
    header: Mapping[str, Any],
    *,
    unlabelled: Unlabelled | None = None,
    skeletons: Mapping[str, Skeleton] | None = None,
) -> Any:
    """A new document: the file's, with `additions` (rows aligned with `file.poses`). The input is not mutated.

    header: predictors, policy, calibration and what else holds for the whole file; version, skeleton,
        added and input_sha256 are set here. It goes into `info.annotext` (COCO, Halpe); for MPII see `complete_header`.
    unlabelled: whole poses of people nobody labelled.
    skeletons: where the edges of the added keypoints come from; without it all that annotext knows.

    People of the file that `file.poses` lacks (skipped records) get the length and nothing else; a skipped record
    without a list to grow stays as it is. Raises InputError if the file is extended already, AnnotextError if no known
    skeleton has an added keypoint, ValueError if additions and file do not belong together.
    """
    refuse_extended(file)
    base = file.poses.skeleton
    if len(additions) != len(file.poses):
        raise ValueError(f"{len(additions)} additions for {len(file.poses)} people of {file.path}")
    if not additions.keypoints or any(k in base.index for k in additions.keypoints):
        raise ValueError(f"{file.path}: additions must be keypoints that {base.name} lacks, at least one")
    if unlabelled is not None:
        _check_unlabelled(file, unlabelled)
    known = known_skeletons() if skeletons is None else skeletons
    try:
        grown = base.grown(additions.keypoints, known.values())
    except ValueError as error:
        raise AnnotextError(f"{file.path}: {error}; describe its skeleton in a TOML file") from None

    format, document = file.format, file.document
    if not format.header_beside:
        edges = [(grown.index[a], grown.index[b]) for a, b in grown.edges]
        new_edges = [edge for edge in edges if max(edge) >= len(base)]
        document, restore = format.with_added(document, additions.keypoints, new_edges)
        document = with_header(document, complete_header(file, additions, header), restore)
    return format.with_records(document, _extended_records(file, additions, unlabelled))


def _check_unlabelled(file: AnnotationFile, unlabelled: Unlabelled) -> None:
    """Raises ValueError for whole poses that belong to another file, or to somebody who has labels."""
    own = unlabelled.own
    if len(own) != len(file.poses) or own.keypoints != file.poses.skeleton.keypoints:
        raise ValueError(f"{file.path}: {len(own)} whole poses of {len(own.keypoints)} keypoints do not fit it")
    if ((own.source != Source.NONE).any(axis=1) & (file.poses.has_keypoints | file.poses.crowd)).any():
        raise ValueError(f"{file.path}: somebody with labels, or a crowd, would be labelled whole")
    if unlabelled.new is not None and not file.format.takes_new_people:
        raise ValueError(f"{file.path}: an {file.format.title} file takes no new people")


def complete_header(file: AnnotationFile, additions: Additions, header: Mapping[str, Any]) -> dict[str, Any]:
    """The header of an extended file: what every file says, then the caller's predictors, policy and more."""
    own: dict[str, Any] = {
        "version": __version__,
        "skeleton": file.poses.skeleton.name,
        "added": list(additions.keypoints),
    }
    fixed = {**own, "input_sha256": file.sha256}
    for key, value in fixed.items():
        if key in header and key != "version" and header[key] != value:
            raise ValueError(f"header of {file.path}: {key} is {header[key]!r}, the file says {value!r}")
    return {**own, **header, "input_sha256": file.sha256}


def write_extended(
    file: AnnotationFile,
    additions: Additions,
    header: Mapping[str, Any],
    output: str | Path,
    *,
    force: bool,
    unlabelled: Unlabelled | None = None,
    skeletons: Mapping[str, Skeleton] | None = None,
) -> None:
    """Write the extended file; for MPII also its header, `<output>.annotext.json`. Each is written whole or not at all.

    Raises what `extend_document` raises, and InputError for an output that is the input, exists without `force`, or
    cannot be written.
    """
    for path in output_paths(file, output):
        check_output(path, force=force, inputs=[file.path])
    document = extend_document(file, additions, header, unlabelled=unlabelled, skeletons=skeletons)
    beside = complete_header(file, additions, header) if file.format.header_beside else None
    write_document(document, beside, output, force=force, inputs=[file.path])


def write_document(
    document: Any, header: Mapping[str, Any] | None, output: str | Path, *, force: bool, inputs: Iterable[str | Path]
) -> None:
    """Write an extended document, and beside it a header that the document has no place for."""
    inputs = list(inputs)
    with writing(output, force=force, inputs=inputs) as temporary:
        temporary.write_bytes(dump_json(document))
        if header is not None:
            with writing(header_path(output), force=force, inputs=inputs) as beside:
                beside.write_bytes(dump_json(header))


def output_paths(file: AnnotationFile, output: str | Path) -> list[Path]:
    """The files `write_extended` writes."""
    return [Path(output), header_path(output)] if file.format.header_beside else [Path(output)]


def _extended_records(file: AnnotationFile, additions: Additions, unlabelled: Unlabelled | None) -> list[Any]:
    format = file.format
    records, points = list(format.records(file.document)), format.points(file.document)
    offset = format.identity.pixel_origin
    labelled = file.poses.labelled.sum(axis=1).tolist()
    own = own_blocks(unlabelled and unlabelled.own, len(additions), offset)
    gained = zip(file.rows.tolist(), blocks_as_json(additions, offset), own, strict=True)
    for i, (row, added, whole) in enumerate(gained):
        records[row] = _extended(format, records[row], added, points, labelled[i], whole)
    read = set(file.rows.tolist())
    for row in format.person_rows(file.document):
        if row not in read and growable(format, records[row]):
            nothing = nothing_added(len(additions.keypoints))
            records[row] = _extended(format, records[row], nothing, points, None)
    if unlabelled is not None and unlabelled.new is not None:
        new = unlabelled.new
        boxes = new.bbox_xywh.tolist()
        for i, marks, own_points, added in new_blocks(new):
            record = format.new_person(int(new.ids[i]), new.image_ids[i], new.category_id, boxes[i], points)
            extended = _extended(format, record, added, points, 0, own_points)
            records.append({**extended, EXTENDED_KEY: {**marks, **extended[EXTENDED_KEY]}})
    return records


def _extended(
    format: Format,
    record: Mapping[str, Any],
    added: AddedPoints,
    points: int,
    labelled: int | None,
    own: AddedPoints | None = None,
) -> dict[str, Any]:
    """labelled: points a human labelled; None for a skipped record, whose count of points is not touched.

    own: what the record's own points get, of a person without labels.
    """
    first = next(iter(format.columns))
    bare = first not in record
    columns = format.blank(points) if bare else {key: record[key] for key in format.columns}
    before = columns
    block = added.block(with_visibility=not format.tells_hidden)
    if bare:
        block[first] = None
    if own is not None:
        columns, block[OWN] = filled(format, columns, own, bare=bare)
    written = format.written(added.points, added.visibility)
    extended = {**record, **{key: [*columns[key], *written[key]] for key in format.columns}}
    count_key = format.count_key
    if not count_key:
        block["num_keypoints"] = format.labelled(before)
    elif count_key in record:
        block[count_key] = record[count_key]
    if count_key and labelled is not None:
        extended[count_key] = record.get(count_key, labelled) + added.count + (own.count if own else 0)
    extended[EXTENDED_KEY] = block
    return extended
