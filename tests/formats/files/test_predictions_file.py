"""predictions.parquet reads back exactly what was written, or says why it cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotext.core.additions import Source
from annotext.core.errors import InputError
from annotext.core.predictions import Predictions, PredictorIdentity
from annotext.core.skeleton import Skeleton
from annotext.core.skeletons import COCO17, MPII16, UNION21
from annotext.formats.files.predictions import read_predictions, read_predictions_header, write_predictions

SHA = "cd" * 32


def _predictions(
    n: int, skeleton: Skeleton, name: str = "student", features: tuple[str, ...] = (), seed: int = 0
) -> Predictions:
    rng = np.random.default_rng(seed)
    shape = (n, len(skeleton))
    return Predictions(
        predictor=PredictorIdentity(name, "ab" * 32, Source.STUDENT),
        skeleton=skeleton,
        ids=rng.permutation(n).astype(np.int64) + 900_000_000_000,
        file_names=tuple(f"folder/é {i // 2}.jpg" for i in range(n)),
        xy=rng.normal(300, 200, (*shape, 2)).astype(np.float32),
        score=rng.random(shape, dtype=np.float32),
        features={f: rng.normal(size=shape).astype(np.float32) for f in features},
    )


def _equal(one: Predictions, other: Predictions) -> bool:
    return (
        one.predictor == other.predictor
        and one.skeleton == other.skeleton
        and one.file_names == other.file_names
        and one.ids.dtype == other.ids.dtype
        and np.array_equal(one.ids, other.ids)
        and one.xy.dtype == other.xy.dtype
        and np.array_equal(one.xy, other.xy)
        and np.array_equal(one.score, other.score)
        and list(one.features) == list(other.features)
        and all(np.array_equal(one.features[f], other.features[f], equal_nan=True) for f in one.features)
    )


@settings(deadline=None, max_examples=25)
@given(n=st.integers(0, 12), seed=st.integers(0, 1000), features=st.sets(st.sampled_from(["peak", "entropy", "flip"])))
def test_predictions_read_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, n: int, seed: int, features: set[str]
) -> None:
    path = tmp_path_factory.mktemp("parquet") / "p.parquet"
    written = [
        _predictions(n, UNION21, "student", tuple(sorted(features)), seed),
        _predictions(n + 1, MPII16, "teacher", ("entropy", "own"), seed + 1),
    ]
    write_predictions(path, written, input_sha256=SHA, force=False)
    read = read_predictions(path)
    assert len(read) == 2 and all(_equal(a, b) for a, b in zip(written, read, strict=True))


def test_the_file_says_what_it_was_made_from(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    write_predictions(path, [_predictions(3, COCO17, features=("peak",))], input_sha256=SHA, force=False)
    header = read_predictions_header(path)
    assert header.input_sha256 == SHA
    assert header.predictors[0]["name"] == "student"
    assert header.predictors[0]["skeleton"]["keypoints"] == list(COCO17.keypoints)


def test_pandas_reads_it_as_a_tidy_table(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    written = _predictions(4, COCO17, features=("peak",))
    write_predictions(path, [written], input_sha256=SHA, force=False)
    frame = pq.read_table(path).to_pandas()
    assert list(frame.columns) == ["annotation_id", "image", "predictor", "keypoint", "x", "y", "score", "peak"]
    nose = frame[(frame.annotation_id == written.ids[2]) & (frame.keypoint == "nose")]
    assert nose.x.item() == written.xy[2, 0, 0]


def test_the_same_predictions_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_predictions(tmp_path / name, [_predictions(5, COCO17)], input_sha256=SHA, force=False)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_whole_people_may_be_left_out(tmp_path: Path) -> None:
    path, fewer = tmp_path / "p.parquet", tmp_path / "q.parquet"
    written = _predictions(5, COCO17)
    write_predictions(path, [written], input_sha256=SHA, force=False)
    pq.write_table(pq.read_table(path).slice(17, 34), fewer)
    assert read_predictions(fewer)[0].ids.tolist() == written.ids[1:3].tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.slice(1), "rows are missing or out of order"),
        (lambda t: t.take(list(range(len(t)))[::-1]), "rows are missing or out of order"),
        (lambda t: t.drop_columns(["x"]), "x: the column is missing"),
        (lambda t: t.drop_columns(["peak"]), "peak: the column is missing"),
        (lambda t: t.replace_schema_metadata({}), "has no annotext metadata"),
        (lambda t: t.replace_schema_metadata({"annotext": "{}"}), "metadata that cannot be read"),
        (lambda t: t.replace_schema_metadata({"annotext": '{"format": "x/9"}'}), "has the format x/9"),
        (lambda t: t.set_column(6, "score", pa.array([2.0] * len(t), pa.float32())), "score outside"),
        (lambda t: t.set_column(4, "x", pa.array([np.nan] * len(t), pa.float32())), "not finite"),
        (lambda t: pa.concat_tables([t, t]), "a person predicted twice"),
    ],
)
def test_a_changed_file_is_a_known_error(tmp_path: Path, change: object, message: str) -> None:
    path, changed = tmp_path / "p.parquet", tmp_path / "q.parquet"
    write_predictions(path, [_predictions(3, COCO17, features=("peak",))], input_sha256=SHA, force=False)
    assert callable(change)
    pq.write_table(change(pq.read_table(path)), changed)
    with pytest.raises(InputError, match=message):
        read_predictions(changed)


@pytest.mark.parametrize("data", [b"", b"not parquet", b"PAR1PAR1"])
def test_another_file_is_a_known_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "p.parquet").write_bytes(data)
    with pytest.raises(InputError, match="is not a Parquet file"):
        read_predictions(tmp_path / "p.parquet")


def test_a_missing_file_is_a_known_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_predictions(tmp_path / "p.parquet")


def test_an_existing_file_is_kept_without_force(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    path.write_text("old")
    with pytest.raises(InputError, match="exists"):
        write_predictions(path, [_predictions(1, COCO17)], input_sha256=SHA, force=False)
    assert path.read_text() == "old"


def test_two_predictors_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="same name"):
        write_predictions(tmp_path / "p", [_predictions(1, COCO17)] * 2, input_sha256=SHA, force=False)


def test_a_feature_cannot_take_the_name_of_a_column(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a feature cannot be named score"):
        write_predictions(tmp_path / "p", [_predictions(1, COCO17, features=("score",))], input_sha256=SHA, force=False)


def test_no_predictors_read_back_as_none(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p", [], input_sha256=SHA, force=False)
    assert read_predictions(tmp_path / "p") == []
