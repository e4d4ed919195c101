"""Extended files: the input as it was, with keypoints added behind the human ones, and the way back.

N people of the file's poses, A added keypoints. The format is described in docs/formats/extended.md and by
`extended.schema.json`. Nothing of the input is regenerated: its parsed document is copied where it grows, so that
`strip_document` gives it back, key order included.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from annotext import __version__
from annotext.core.poses import Additions
from annotext.core.problems import AnnotextError, InputError
from annotext.core.skeleton import Skeleton
from annotext.formats import halpe, mpii
from annotext.formats.annotations import AnnotationFile, header_path
from annotext.formats.coco import header_of, keypoint_category
from annotext.formats.jsonio import dump_json, kind_of
from annotext.formats.outputs import check_output, writing
from annotext.formats.records import EXTENDED_KEY, grown_skeleton
from annotext.formats.skeletons import known_skeletons

# A hundredth of a pixel is far below what any of the points is worth, and keeps files small.
XY_DECIMALS = 2
SCORE_DECIMALS = 4
# How the files of HRNet and MMPose write a joint that is not there.
MPII_MISSING = [-1.0, -1.0]


@dataclass(frozen=True)
class _Addition:
    """One person's added points as JSON values, in the file's pixels."""

    points: list[list[float] | None]  # where v > 0
    visibility: list[int]
    source: list[str]
    score: list[float]
    candidate: list[list[float] | None]

    def block(self) -> dict[str, Any]:
        return {"source": self.source, "score": self.score, "candidate": self.candidate}


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
    skeletons: Mapping[str, Skeleton] | None = None,
) -> Any:
    """A new document: the file's, with `additions` (rows aligned with `file.poses`). The input is not mutated.

    header: predictors, policy and what else the caller wants to be said once per file; version, skeleton, added and
        input_sha256 are set here. It goes into `info.annotext` (COCO, Halpe); for MPII see `complete_header`.
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
    known = known_skeletons() if skeletons is None else skeletons
    try:
        grown = grown_skeleton(file.poses.skeleton, additions.keypoints, tuple(known.values()))
    except ValueError as error:
        raise AnnotextError(f"{file.path}: {error}; describe its skeleton in a TOML file") from None
    if file.kind == "mpii":
        return _extend_mpii(file, additions)
    return _extend_coco(file, additions, complete_header(file, additions, header), grown)


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
    skeletons: Mapping[str, Skeleton] | None = None,
) -> None:
    """Write the extended file; for MPII also its header, `<output>.annotext.json`. Each is written whole or not at all.

    Raises what `extend_document` raises, and InputError for an output that is the input, exists without `force`, or
    cannot be written.
    """
    for path in output_paths(file, output):
        check_output(path, force=force, inputs=[file.path])
    document = extend_document(file, additions, header, skeletons=skeletons)
    with writing(output, force=force, inputs=[file.path]) as temporary:
        temporary.write_bytes(dump_json(document))
        if file.kind == "mpii":
            with writing(header_path(output), force=force, inputs=[file.path]) as beside:
                beside.write_bytes(dump_json(complete_header(file, additions, header)))


def output_paths(file: AnnotationFile, output: str | Path) -> list[Path]:
    """The files `write_extended` writes."""
    return [Path(output), header_path(output)] if file.kind == "mpii" else [Path(output)]


def _additions_as_json(additions: Additions, offset: float) -> Iterator[_Addition]:
    # + 0.0 turns -0.0 into 0.0.
    xy = (np.round(additions.xy + offset, XY_DECIMALS) + 0.0).tolist()
    visibility = additions.visibility.tolist()
    score = (np.round(additions.score, SCORE_DECIMALS) + 0.0).tolist()
    withheld = additions.withheld.tolist()
    source = [[str(s) for s in row] for row in additions.source]
    for i in range(len(additions)):
        yield _Addition(
            points=[p if v > 0 else None for p, v in zip(xy[i], visibility[i], strict=True)],
            visibility=visibility[i],
            source=source[i],
            score=score[i],
            candidate=[p if w else None for p, w in zip(xy[i], withheld[i], strict=True)],
        )


def _nothing(count: int) -> _Addition:
    return _Addition([None] * count, [0] * count, ["none"] * count, [0.0] * count, [None] * count)


def _extend_coco(file: AnnotationFile, additions: Additions, header: dict[str, Any], grown: Skeleton) -> Any:
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
    for i, (row, added) in enumerate(zip(file.rows.tolist(), _additions_as_json(additions, 0.0), strict=True)):
        annotations[row] = _extend_annotation(annotations[row], added, points, labelled[i])
    ours = set(file.rows.tolist())
    category_id = category.get("id")
    for row, annotation in enumerate(annotations):
        if row in ours or not isinstance(annotation, dict) or annotation.get("category_id") != category_id:
            continue
        if isinstance(annotation.get("keypoints", []), list):
            annotations[row] = _extend_annotation(annotation, _nothing(count), points, None)
    document["annotations"] = annotations
    return document


def _extend_annotation(annotation: Mapping[str, Any], added: _Addition, points: int, labelled: int | None) -> Any:
    """labelled: points a human labelled; None for a skipped record, whose `num_keypoints` is not touched."""
    extended = dict(annotation)
    block = added.block()
    if "keypoints" not in annotation:
        block["keypoints"] = None
    extended["keypoints"] = list(annotation.get("keypoints", [0] * (3 * points)))
    for xy, v in zip(added.points, added.visibility, strict=True):
        extended["keypoints"] += [0, 0, 0] if xy is None else [*xy, v]
    if "num_keypoints" in annotation:
        block["num_keypoints"] = annotation["num_keypoints"]
    if labelled is not None:
        new = sum(v > 0 for v in added.visibility)
        extended["num_keypoints"] = annotation.get("num_keypoints", labelled) + new
    extended[EXTENDED_KEY] = block
    return extended


def _extend_mpii(file: AnnotationFile, additions: Additions) -> list[Any]:
    document = list(file.document)
    count = len(additions.keypoints)
    for row, added in zip(file.rows.tolist(), _additions_as_json(additions, mpii.ONE_BASED), strict=True):
        document[row] = _extend_record(document[row], added)
    ours = set(file.rows.tolist())
    for row, record in enumerate(document):
        if row in ours or not isinstance(record, dict):
            continue
        bare = "joints" not in record and "joints_vis" not in record
        if bare or (isinstance(record.get("joints"), list) and isinstance(record.get("joints_vis"), list)):
            document[row] = _extend_record(record, _nothing(count))
    return document


def _extend_record(record: Mapping[str, Any], added: _Addition) -> Any:
    extended = dict(record)
    block = {**added.block(), "visibility": added.visibility}
    joints, states = record.get("joints"), record.get("joints_vis")
    if joints is None or states is None:
        block["joints"] = None
        joints, states = [MPII_MISSING] * len(mpii.MPII16), [0] * len(mpii.MPII16)
    extended["joints"] = [*joints, *(MPII_MISSING if xy is None else xy for xy in added.points)]
    extended["joints_vis"] = [*states, *(int(v > 0) for v in added.visibility)]
    block["num_keypoints"] = sum(v == 1 for v in states)
    extended[EXTENDED_KEY] = block
    return extended


def is_extended(document: Any) -> bool:
    """Whether annotext wrote this document and has not taken the additions out again."""
    return mpii.is_extended(document) if isinstance(document, list) else header_of(document) is not None


def strip_document(document: Any, path: object = "document") -> Any:
    """The document annotext extended: equal as JSON, key order included. The argument is not mutated.

    Raises InputError (naming `path`) if the document is not extended or its additions cannot be told apart.
    """
    if not is_extended(document):
        raise InputError.single(path, "", "is not an extended file", "annotext wrote nothing into it")
    if isinstance(document, list):
        return [_strip_record(record, path, row) for row, record in enumerate(document)]
    return _strip_coco(document, path)


def _strip_coco(document: Mapping[str, Any], path: object) -> Any:
    header = header_of(document)
    assert header is not None
    restore = header.get("restore")
    added = header.get("added")
    if not isinstance(restore, dict) or not isinstance(added, list) or "info" not in restore:
        raise InputError.single(path, "info.annotext", "lacks added or restore", "the header was changed")
    if not isinstance(document.get("annotations"), list):
        raise InputError.single(path, "annotations", "expected a list")
    stripped = dict(document)
    if restore["info"]:
        stripped["info"] = {k: v for k, v in document["info"].items() if k != EXTENDED_KEY}
    else:
        del stripped["info"]
    if restore.get("keypoints") is not None:
        position = keypoint_category(document)
        if position is None:
            raise InputError.single(path, "categories", "the keypoint category is gone")
        category = dict(document["categories"][position])
        category["keypoints"] = category["keypoints"][: restore["keypoints"]]
        if restore.get("skeleton") is not None and isinstance(category.get("skeleton"), list):
            category["skeleton"] = category["skeleton"][: restore["skeleton"]]
        stripped["categories"] = [category if i == position else c for i, c in enumerate(document["categories"])]
    stripped["annotations"] = [
        _strip_annotation(annotation, path, row, len(added)) for row, annotation in enumerate(document["annotations"])
    ]
    return stripped


def _strip_annotation(annotation: Any, path: object, row: int, count: int) -> Any:
    if not isinstance(annotation, dict) or EXTENDED_KEY not in annotation:
        return annotation
    pointer = f"annotations[{row}]"
    block = _block(annotation, path, pointer, count)
    stripped = {k: v for k, v in annotation.items() if k != EXTENDED_KEY}
    if "keypoints" in block:
        stripped.pop("keypoints", None)
    else:
        stripped["keypoints"] = _shortened(annotation, "keypoints", 3 * count, path, pointer)
    if "num_keypoints" in block:
        stripped["num_keypoints"] = block["num_keypoints"]
    else:
        stripped.pop("num_keypoints", None)
    return stripped


def _strip_record(record: Any, path: object, row: int) -> Any:
    if not isinstance(record, dict) or EXTENDED_KEY not in record:
        return record
    pointer = f"[{row}]"
    block = _block(record, path, pointer, None)
    stripped = {k: v for k, v in record.items() if k != EXTENDED_KEY}
    for key in ("joints", "joints_vis"):
        if "joints" in block:
            stripped.pop(key, None)
        else:
            stripped[key] = _shortened(record, key, len(block["source"]), path, pointer)
    return stripped


def _block(record: Mapping[str, Any], path: object, pointer: str, count: int | None) -> Mapping[str, Any]:
    block = record[EXTENDED_KEY]
    if not isinstance(block, dict) or not isinstance(block.get("source"), list):
        raise InputError.single(path, f"{pointer}.annotext", f"is {kind_of(block)} without a list of sources")
    if count is not None and len(block["source"]) != count:
        raise InputError.single(path, f"{pointer}.annotext.source", f"has {len(block['source'])}, expected {count}")
    return block


def _shortened(record: Mapping[str, Any], key: str, numbers: int, path: object, pointer: str) -> Sequence[Any]:
    values = record.get(key)
    if not isinstance(values, list) or len(values) < numbers:
        raise InputError.single(path, f"{pointer}.{key}", f"expected a list of {numbers} or more")
    return values[: len(values) - numbers]
