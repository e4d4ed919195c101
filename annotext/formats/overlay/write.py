"""Extended files: the input as it was, with keypoints added behind the human ones, and the way back.

N people of the file's poses, A added keypoints. The format is described in docs/formats/extended.md and by
`extended.schema.json`. Nothing of the input is regenerated: its parsed document is copied where it grows, so that
`strip_document` gives it back, key order included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import orjson

from annotext import __version__
from annotext.core.additions import Additions, Source
from annotext.core.errors import AnnotextError, InputError
from annotext.core.skeleton import Skeleton
from annotext.formats.annotations import halpe, mpii
from annotext.formats.annotations.coco import header_of, keypoint_category
from annotext.formats.annotations.read import AnnotationFile, header_path
from annotext.formats.annotations.records import CHANGED, EXTENDED_KEY, Faults, is_count
from annotext.formats.files.jsonio import dump_json, kind_of
from annotext.formats.files.outputs import check_output, writing
from annotext.formats.files.skeletons import known_skeletons
from annotext.formats.overlay.block import AddedPoints, blocks_as_json, nothing_added
from annotext.formats.overlay.pseudo_labels import (
    DETECTION,
    NEW,
    OWN,
    Unlabelled,
    filled_joints,
    filled_keypoints,
    is_new,
    new_annotations,
    own_blocks,
    restored_joints,
    restored_keypoints,
)

# How the files of HRNet and MMPose write a joint that is not there.
MPII_MISSING = [-1.0, -1.0]


def schema() -> dict[str, Any]:
    """The JSON Schema of extended files: `#/$defs/coco`, `#/$defs/mpii` and `#/$defs/header`."""
    return orjson.loads(Path(__file__).with_name("extended.schema.json").read_bytes())


def refuse_extended(file: AnnotationFile) -> None:
    """Raises InputError for a file that is extended already."""
    if file.additions is not None or file.header is not None:
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

    header: predictors, policy, calibration and what else the caller wants to be said once per file; version, skeleton,
        added and input_sha256 are set here. It goes into `info.annotext` (COCO, Halpe); for MPII see `complete_header`.
    unlabelled: whole poses of people nobody labelled.
    skeletons: where the edges of the added keypoints come from; without it all that annotext knows.

    People of the file that `file.poses` lacks (skipped records) get the length and nothing else; a skipped record
    without a list to grow stays as it is. Raises InputError if the file is extended already, AnnotextError if no known
    skeleton has an added keypoint, ValueError if additions and file do not belong together.
    """
    refuse_extended(file)
    if len(additions) != len(file.poses):
        raise ValueError(f"{len(additions)} additions for {len(file.poses)} people of {file.path}")
    if not additions.keypoints or any(k in file.poses.skeleton.index for k in additions.keypoints):
        raise ValueError(
            f"{file.path}: additions must be keypoints that {file.poses.skeleton.name} lacks, at least one"
        )
    if unlabelled is not None:
        _check_unlabelled(file, unlabelled)
    known = known_skeletons() if skeletons is None else skeletons
    try:
        grown = file.poses.skeleton.grown(additions.keypoints, known.values())
    except ValueError as error:
        raise AnnotextError(f"{file.path}: {error}; describe its skeleton in a TOML file") from None
    if file.kind == "mpii":
        return _extend_mpii(file, additions, unlabelled)
    return _extend_coco(file, additions, complete_header(file, additions, header), grown, unlabelled)


def _check_unlabelled(file: AnnotationFile, unlabelled: Unlabelled) -> None:
    """Raises ValueError for whole poses that belong to another file, or to somebody who has labels."""
    own = unlabelled.own
    if len(own) != len(file.poses) or own.keypoints != file.poses.skeleton.keypoints:
        raise ValueError(f"{file.path}: {len(own)} whole poses of {len(own.keypoints)} keypoints do not fit it")
    if ((own.source != Source.NONE).any(axis=1) & (file.poses.has_keypoints | file.poses.crowd)).any():
        raise ValueError(f"{file.path}: somebody with labels, or a crowd, would be labelled whole")
    if unlabelled.new is not None and file.kind == "mpii":
        raise ValueError(f"{file.path}: an MPII file takes no new people")


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
    with writing(output, force=force, inputs=[file.path]) as temporary:
        temporary.write_bytes(dump_json(document))
        if file.kind == "mpii":
            with writing(header_path(output), force=force, inputs=[file.path]) as beside:
                beside.write_bytes(dump_json(complete_header(file, additions, header)))


def output_paths(file: AnnotationFile, output: str | Path) -> list[Path]:
    """The files `write_extended` writes."""
    return [Path(output), header_path(output)] if file.kind == "mpii" else [Path(output)]


def _extend_coco(
    file: AnnotationFile,
    additions: Additions,
    header: dict[str, Any],
    grown: Skeleton,
    unlabelled: Unlabelled | None,
) -> Any:
    document = dict(file.document)
    position = halpe.person_category(document) if file.kind == "halpe" else keypoint_category(document)
    assert position is not None, "the reader accepted this file"
    category = dict(document["categories"][position])
    base, count = len(file.poses.skeleton), len(additions.keypoints)
    names, edges = category.get("keypoints"), category.get("skeleton")
    # A category that names no keypoints (Halpe) cannot name the added ones either; the header does.
    named = bool(names)
    header["restore"] = {
        "info": "info" in document,
        "keypoints": len(names) if named else None,
        "skeleton": len(edges) if named and isinstance(edges, list) else None,
    }
    if named:
        category["keypoints"] = [*names, *additions.keypoints]
        if isinstance(edges, list):
            new = [[grown.index[a] + 1, grown.index[b] + 1] for a, b in grown.edges]
            category["skeleton"] = [*edges, *(e for e in new if max(e) > base)]
    document["categories"] = [category if i == position else c for i, c in enumerate(document["categories"])]
    document["info"] = {**document.get("info", {}), EXTENDED_KEY: header}

    points = halpe.POINTS if file.kind == "halpe" else base
    labelled = file.poses.labelled.sum(axis=1).tolist()
    annotations = list(document["annotations"])
    own = own_blocks(unlabelled and unlabelled.own, len(additions), 0.0)
    gained = zip(file.rows.tolist(), blocks_as_json(additions, 0.0), own, strict=True)
    for i, (row, added, whole) in enumerate(gained):
        annotations[row] = _extend_annotation(annotations[row], added, points, labelled[i], whole)
    ours = set(file.rows.tolist())
    category_id = category.get("id")
    for row, annotation in enumerate(annotations):
        if row in ours or not isinstance(annotation, dict) or annotation.get("category_id") != category_id:
            continue
        if isinstance(annotation.get("keypoints", []), list):
            annotations[row] = _extend_annotation(annotation, nothing_added(count), points, None)
    if unlabelled is not None and unlabelled.new is not None:
        for annotation, own_points, added in new_annotations(unlabelled.new, points):
            extended = _extend_annotation(annotation, added, points, 0, own_points)
            found = {NEW: True, DETECTION: annotation[EXTENDED_KEY][DETECTION]}
            annotations.append({**extended, EXTENDED_KEY: {**found, **extended[EXTENDED_KEY]}})
    document["annotations"] = annotations
    return document


def _extend_annotation(
    annotation: Mapping[str, Any],
    added: AddedPoints,
    points: int,
    labelled: int | None,
    own: AddedPoints | None = None,
) -> Any:
    """labelled: points a human labelled; None for a skipped record, whose `num_keypoints` is not touched.

    own: what the annotation's own keypoints get, of a person without labels.
    """
    extended = dict(annotation)
    block = added.block()
    if "keypoints" not in annotation:
        block["keypoints"] = None
    extended["keypoints"] = list(annotation.get("keypoints", [0] * (3 * points)))
    if own is not None:
        extended["keypoints"], block[OWN] = filled_keypoints(extended["keypoints"], own)
    for xy, v in zip(added.points, added.visibility, strict=True):
        extended["keypoints"] += [0, 0, 0] if xy is None else [*xy, v]
    if "num_keypoints" in annotation:
        block["num_keypoints"] = annotation["num_keypoints"]
    if labelled is not None:
        new = sum(v > 0 for v in (*added.visibility, *(own.visibility if own else ())))
        extended["num_keypoints"] = annotation.get("num_keypoints", labelled) + new
    extended[EXTENDED_KEY] = block
    return extended


def _extend_mpii(file: AnnotationFile, additions: Additions, unlabelled: Unlabelled | None) -> list[Any]:
    document = list(file.document)
    count = len(additions.keypoints)
    own = own_blocks(unlabelled and unlabelled.own, len(additions), mpii.ONE_BASED)
    for row, added, whole in zip(file.rows.tolist(), blocks_as_json(additions, mpii.ONE_BASED), own, strict=True):
        document[row] = _extend_record(document[row], added, whole)
    ours = set(file.rows.tolist())
    for row, record in enumerate(document):
        if row in ours or not isinstance(record, dict):
            continue
        if _has_joints_to_grow(record):
            document[row] = _extend_record(record, nothing_added(count))
    return document


def _has_joints_to_grow(record: Mapping[str, Any]) -> bool:
    """Whether a record has both lists, or neither: others are too broken to be touched."""
    bare = "joints" not in record and "joints_vis" not in record
    return bare or (isinstance(record.get("joints"), list) and isinstance(record.get("joints_vis"), list))


def _extend_record(record: Mapping[str, Any], added: AddedPoints, own: AddedPoints | None = None) -> Any:
    extended = dict(record)
    block = {**added.block(), "visibility": added.visibility}
    joints, states = record.get("joints"), record.get("joints_vis")
    if joints is None or states is None:
        block["joints"] = None
        joints, states = [MPII_MISSING] * len(mpii.MPII16), [0] * len(mpii.MPII16)
    labelled = sum(v == 1 for v in states)
    if own is not None:
        joints, states, block[OWN] = filled_joints(joints, states, own, MPII_MISSING, bare="joints" in block)
    extended["joints"] = [*joints, *(MPII_MISSING if xy is None else xy for xy in added.points)]
    extended["joints_vis"] = [*states, *(int(v > 0) for v in added.visibility)]
    block["num_keypoints"] = labelled
    extended[EXTENDED_KEY] = block
    return extended


def is_extended(document: Any) -> bool:
    """Whether annotext wrote this document and has not taken the additions out again."""
    return mpii.is_extended(document) if isinstance(document, list) else header_of(document) is not None


def strip_document(document: Any, path: object = "document") -> Any:
    """The document annotext extended: equal as JSON, key order included. The argument is not mutated.

    Raises InputError (naming `path`) with all problems if the document is not extended, or was changed so that its
    additions cannot be told from what was there before.
    """
    if not is_extended(document):
        raise InputError.single(path, "", "is not an extended file", "annotext wrote nothing into it")
    faults = Faults(path)
    stripped = _strip_mpii(document, faults) if isinstance(document, list) else _strip_coco(document, faults)
    if faults.fatal or faults.records:
        raise InputError((*faults.fatal, *faults.records))
    return stripped


def _strip_coco(document: Mapping[str, Any], faults: Faults) -> Any:
    header = header_of(document)
    assert header is not None
    for key in ("annotations", "categories"):
        if not isinstance(document.get(key), list):
            faults.file(key, f"is {kind_of(document.get(key))}, expected a list")
    if faults.fatal:
        return None
    restore, added = header.get("restore"), header.get("added")
    if not _is_restore(restore) or not isinstance(added, list) or not added:
        faults.file("info.annotext", "lacks added or restore, or they make no sense", "the header was changed")
        return None
    count, names, edges = len(added), restore["keypoints"], restore["skeleton"]
    position = halpe.person_category(document) if names is None else keypoint_category(document)
    if position is None:
        faults.file("categories", "the keypoint category is gone")
        return None
    category = dict(document["categories"][position])
    if names is not None:
        if category["keypoints"][names:] != added:
            faults.file(f"categories[{position}].keypoints", f"does not end with the {count} added keypoints")
        category["keypoints"] = category["keypoints"][:names]
        if edges is not None and isinstance(category.get("skeleton"), list):
            category["skeleton"] = category["skeleton"][:edges]
    stripped = dict(document)
    if restore["info"]:
        stripped["info"] = {k: v for k, v in document["info"].items() if k != EXTENDED_KEY}
    else:
        del stripped["info"]
    if names is not None:
        stripped["categories"] = [category if i == position else c for i, c in enumerate(document["categories"])]
    points = halpe.POINTS if names is None else names
    stripped["annotations"] = [
        _strip_annotation(annotation, faults, row, count, points)
        if isinstance(annotation, dict)
        and (annotation.get("category_id") == category.get("id") or EXTENDED_KEY in annotation)
        else annotation
        for row, annotation in enumerate(document["annotations"])
        if not is_new(annotation)
    ]
    return stripped


def _is_restore(restore: Any) -> TypeGuard[dict[str, Any]]:
    return (
        isinstance(restore, dict)
        and isinstance(restore.get("info"), bool)
        and all(
            key in restore and (restore[key] is None or is_count(restore[key])) for key in ("keypoints", "skeleton")
        )
    )


def _strip_annotation(annotation: dict[str, Any], faults: Faults, row: int, count: int, points: int) -> Any:
    """points: how many the annotation had; a faulty one that was skipped may have had any number."""
    if EXTENDED_KEY not in annotation:
        if isinstance(annotation.get("keypoints", []), list):
            faults.record("annotations", row, EXTENDED_KEY, "missing", CHANGED)
        return annotation
    block = _block(annotation, faults, "annotations", row, count)
    if block is None:
        return annotation
    stripped = {k: v for k, v in annotation.items() if k != EXTENDED_KEY}
    if "keypoints" in block:
        stripped.pop("keypoints", None)
    else:
        length = None if _saysnothing_added(block) else 3 * (points + count)
        stripped["keypoints"] = _shortened(annotation, "keypoints", 3 * count, length, faults, "annotations", row)
        if OWN in block:
            stripped["keypoints"] = restored_keypoints(block[OWN], points, faults, row)
    if "num_keypoints" in block:
        stripped["num_keypoints"] = block["num_keypoints"]
    else:
        stripped.pop("num_keypoints", None)
    return stripped


def _strip_mpii(document: Sequence[Any], faults: Faults) -> list[Any]:
    return [
        _strip_record(record, faults, row) if isinstance(record, dict) else record
        for row, record in enumerate(document)
    ]


def _strip_record(record: dict[str, Any], faults: Faults, row: int) -> Any:
    if EXTENDED_KEY not in record:
        if _has_joints_to_grow(record):
            faults.record("", row, EXTENDED_KEY, "missing", CHANGED)
        return record
    block = _block(record, faults, "", row, None)
    if block is None:
        return record
    count = len(block["source"])
    stripped = {k: v for k, v in record.items() if k != EXTENDED_KEY}
    for key in ("joints", "joints_vis"):
        if "joints" in block:
            stripped.pop(key, None)
        else:
            length = None if _saysnothing_added(block) else len(mpii.MPII16) + count
            stripped[key] = _shortened(record, key, count, length, faults, "", row)
            if OWN in block:
                stripped[key] = restored_joints(block[OWN], key, faults, row)
    return stripped


def _saysnothing_added(block: Mapping[str, Any]) -> bool:
    return all(source == "none" for source in block["source"])


def _block(record: Mapping[str, Any], faults: Faults, section: str, row: int, count: int | None) -> Any:
    """The record's block, None after a fault."""
    block = record[EXTENDED_KEY]
    if not isinstance(block, dict) or not isinstance(block.get("source"), list):
        faults.record(section, row, EXTENDED_KEY, f"is {kind_of(block)} without a list of sources", CHANGED)
        return None
    if count is not None and len(block["source"]) != count:
        faults.record(section, row, f"{EXTENDED_KEY}.source", f"has {len(block['source'])}, expected {count}", CHANGED)
        return None
    return block


def _shortened(
    record: Mapping[str, Any], key: str, added: int, length: int | None, faults: Faults, section: str, row: int
) -> Any:
    """The list without its last `added` values. length: how long it must be; None where nobody knows."""
    values = record.get(key)
    if not isinstance(values, list):
        faults.record(section, row, key, f"is {kind_of(values)}, expected a list", CHANGED)
        return values
    if len(values) < added or length not in (None, len(values)):
        expected = f"{added} or more" if length is None else str(length)
        faults.record(section, row, key, f"has {len(values)} values, expected {expected}", CHANGED)
    return values[: max(0, len(values) - added)]
