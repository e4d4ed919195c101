"""predictions.parquet: predictions, one row per predictor, person and keypoint.

Columns: annotation_id int64; image, predictor, keypoint dictionary-encoded text; x, y, score float32; one float32
column per feature. The file's metadata key `annotext` holds JSON: format, version, input_sha256, and per predictor its
name, sha256, source, skeleton and features. Described in docs/formats/predictions.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from annotext import __version__
from annotext.core.additions import Source
from annotext.core.errors import InputError
from annotext.core.predictions import Predictions, PredictorIdentity
from annotext.formats.files.outputs import writing
from annotext.formats.files.skeletons import skeleton_from_dict, skeleton_to_dict

FORMAT = "annotext-predictions/1"
_METADATA_KEY = b"annotext"
_COLUMNS = ("annotation_id", "image", "predictor", "keypoint", "x", "y", "score")


@dataclass(frozen=True)
class PredictionsHeader:
    """What a predictions file says about itself: the sha256 of the annotation file, and the predictors in order.

    detections_sha256: of the file whose detections were predicted too.
    """

    version: str
    input_sha256: str
    predictors: tuple[dict[str, Any], ...]
    detections_sha256: str | None = None


def write_predictions(
    path: str | Path,
    predictions: Sequence[Predictions],
    *,
    input_sha256: str,
    force: bool,
    inputs: Iterable[str | Path] = (),
    detections_sha256: str | None = None,
) -> None:
    """Write the predictions of one or more predictors; the same predictions give the same bytes.

    A feature that another predictor lacks is NaN in its rows. Raises ValueError for two predictors of one name or a
    feature named as another column, InputError as `outputs.check_output` does.
    """
    names = [p.predictor.name for p in predictions]
    if len(set(names)) != len(names):
        raise ValueError(f"two predictors have the same name: {', '.join(names)}")
    features = list(dict.fromkeys(f for p in predictions for f in p.features))
    for feature in features:
        if feature in _COLUMNS:
            raise ValueError(f"a feature cannot be named {feature}")
    detections = {} if detections_sha256 is None else {"detections_sha256": detections_sha256}
    header = {
        "format": FORMAT,
        "version": __version__,
        "input_sha256": input_sha256,
        **detections,
        "predictors": [
            {
                "name": p.predictor.name,
                "sha256": p.predictor.sha256,
                "source": str(p.predictor.source),
                "skeleton": skeleton_to_dict(p.skeleton),
                "features": list(p.features),
            }
            for p in predictions
        ],
    }
    sizes = [(len(p), len(p.skeleton)) for p in predictions]
    columns: dict[str, pa.Array] = {
        "annotation_id": pa.array(_joined([np.repeat(p.ids, len(p.skeleton)) for p in predictions], np.int64)),
        "image": _dictionary([np.repeat(p.file_names, len(p.skeleton)).tolist() for p in predictions]),
        "predictor": _dictionary([[name] * (n * k) for name, (n, k) in zip(names, sizes, strict=True)]),
        "keypoint": _dictionary([list(p.skeleton.keypoints) * len(p) for p in predictions]),
        "x": pa.array(_joined([p.xy[..., 0].ravel() for p in predictions], np.float32)),
        "y": pa.array(_joined([p.xy[..., 1].ravel() for p in predictions], np.float32)),
        "score": pa.array(_joined([p.score.ravel() for p in predictions], np.float32)),
    }
    for feature in features:
        per_predictor = [
            p.features[feature].ravel() if feature in p.features else np.full(n * k, np.nan, np.float32)
            for p, (n, k) in zip(predictions, sizes, strict=True)
        ]
        columns[feature] = pa.array(_joined(per_predictor, np.float32))
    table = pa.table(columns).replace_schema_metadata({_METADATA_KEY: json.dumps(header)})
    with writing(path, force=force, inputs=inputs) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_predictions(path: str | Path) -> list[Predictions]:
    """The predictions, one entry per predictor, exactly as they were written.

    Raises InputError for a file that is not of this format, and for rows that were removed or moved: every person has
    one row per keypoint, in the predictor's order.
    """
    path = Path(path)
    table, header = _read_table(path)
    for name in _COLUMNS:
        if name not in table.column_names:
            raise InputError.single(path, name, "the column is missing")
    predictor = table["predictor"].combine_chunks().cast(pa.string()).to_numpy(zero_copy_only=False)
    return [_read_one(path, table, predictor == p["name"], p) for p in header.predictors]


def read_predictions_header(path: str | Path) -> PredictionsHeader:
    """What the file says about itself, without reading the rows. Raises InputError."""
    path = Path(path)
    try:
        return _header(path, pq.read_schema(path))
    except (OSError, pa.ArrowInvalid) as error:
        raise _unreadable(path, error) from None


def _read_table(path: Path) -> tuple[pa.Table, PredictionsHeader]:
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise _unreadable(path, error) from None
    return table, _header(path, table.schema)


def _unreadable(path: Path, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError.single(path, "", "cannot be read (No such file or directory)")
    return InputError.single(path, "", "is not a Parquet file", "expected what `annotext extend --predictions` writes")


def _header(path: Path, schema: pa.Schema) -> PredictionsHeader:
    hint = "expected what `annotext extend --predictions` writes"
    text = (schema.metadata or {}).get(_METADATA_KEY)
    if text is None:
        raise InputError.single(path, "", "has no annotext metadata", hint)
    try:
        header = json.loads(text)
        if header["format"] != FORMAT:
            raise InputError.single(path, "", f"has the format {header['format']}, expected {FORMAT}")
        predictors = tuple(header["predictors"])
        return PredictionsHeader(header["version"], header["input_sha256"], predictors, header.get("detections_sha256"))
    except (ValueError, KeyError, TypeError):
        raise InputError.single(path, "", "has annotext metadata that cannot be read", hint) from None


def _read_one(path: Path, table: pa.Table, mine: np.ndarray, predictor: dict[str, Any]) -> Predictions:
    try:
        skeleton = skeleton_from_dict(predictor["skeleton"])
        identity = PredictorIdentity(predictor["name"], predictor["sha256"], Source(predictor["source"]))
        feature_names = list(predictor["features"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError.single(path, "metadata", f"a predictor cannot be read: {error}") from None
    rows = table.filter(pa.array(mine))
    k = len(skeleton)
    keypoint = rows["keypoint"].cast(pa.string()).to_numpy(zero_copy_only=False)
    n = len(rows) // k
    ids = rows["annotation_id"].to_numpy().astype(np.int64)
    whole = len(rows) == n * k and (keypoint.reshape(n, k) == np.array(skeleton.keypoints, dtype=object)).all()
    if not whole or (ids.reshape(n, k) != ids.reshape(n, k)[:, :1]).any():
        raise InputError.single(
            path,
            f"predictor {identity.name}",
            "rows are missing or out of order",
            f"every person has {k} rows, one per keypoint; leave out whole people, and keep the order",
        )

    def floats(column: str) -> np.ndarray:
        if column not in rows.column_names:
            raise InputError.single(path, column, "the column is missing")
        return rows[column].to_numpy().astype(np.float32).reshape(n, k)

    images = rows["image"].cast(pa.string()).to_pylist()
    try:
        return Predictions(
            predictor=identity,
            skeleton=skeleton,
            ids=ids.reshape(n, k)[:, 0].copy(),
            file_names=tuple(images[::k]),
            xy=np.stack([floats("x"), floats("y")], axis=-1),
            score=floats("score"),
            features={name: floats(name) for name in feature_names},
        )
    except ValueError as error:
        raise InputError.single(path, "", str(error)) from None


def _joined(parts: Sequence[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate([np.asarray(p, dtype=dtype) for p in parts]) if parts else np.zeros(0, dtype)


def _dictionary(parts: Sequence[list[str]]) -> pa.DictionaryArray:
    position: dict[str, int] = {}
    indices = [position.setdefault(text, len(position)) for part in parts for text in part]
    return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), pa.array(list(position), pa.string()))
