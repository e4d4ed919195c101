"""`import annotext as ax`: light, complete, described, and glad of paths as text."""

from __future__ import annotations

import ast
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from checkout import REPOSITORY
from dots import coco_document, write_dot_model, write_people

import annotext as ax

HEAVY = {"numpy", "pandas", "pyarrow", "cv2", "onnxruntime", "scipy", "sklearn", "torch", "fiftyone", "rich", "typer"}


def test_importing_it_loads_nothing_heavy_and_still_names_everything() -> None:
    code = "import sys, annotext as ax; print(*sys.modules); assert {*ax.__all__, '__version__'} <= {*dir(ax)}"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(REPOSITORY)}
    ).stdout.split()
    assert "annotext" in loaded and not HEAVY & set(loaded)


def test_every_public_name_is_there_and_an_editor_sees_the_same_one() -> None:
    tree = ast.parse(Path(ax.__file__).read_text())
    seen = next(node for node in tree.body if isinstance(node, ast.If))
    declared = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in seen.body
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("annotext")
        for alias in node.names
    }
    assert {*declared, "skeletons"} == set(ax.__all__)
    for name, (module, attribute) in declared.items():
        assert getattr(ax, name) is getattr(sys.modules[str(module)], attribute), name


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'teleport'"):
        ax.teleport  # noqa: B018


def test_all_paths_may_be_text(tmp_path: Path) -> None:
    at = {k: str(tmp_path / k) for k in ("people.json", "images", "said.parquet", "one.json", "two.json", "back.json")}
    poses, _ = write_people(tmp_path / "images")
    (tmp_path / "people.json").write_text(json.dumps(coco_document(poses)))
    model = str(write_dot_model(tmp_path / "model"))
    assert ax.predict(at["people.json"], at["images"], model, at["said.parquet"]).people["asked"] == len(poses)
    extension = ax.extend(at["people.json"], at["images"], [model], at["one.json"], report=str(tmp_path / "r.json"))
    decision = ax.decide(at["said.parquet"], at["people.json"], at["two.json"])
    assert extension.keypoints == decision.keypoints and json.loads((tmp_path / "r.json").read_text())
    again = ax.extend(at["people.json"], None, [], at["two.json"], predictions=at["said.parquet"], force=True)
    assert again.keypoints == decision.keypoints
    assert ax.evaluate(at["people.json"], at["one.json"]).people["matched"] == len(poses)
    assert ax.strip(at["one.json"], at["back.json"]).people == len(poses)
    assert ax.load_predictor(model).identity.name == "dots"


def test_errors_of_files_named_as_text_name_them(tmp_path: Path) -> None:
    poses, _ = write_people(tmp_path / "images")
    people, out = tmp_path / "people.json", str(tmp_path / "out")
    people.write_text(json.dumps(coco_document(poses)))
    with pytest.raises(ax.InputError, match=r"people\.json: is not an extended file"):
        ax.apply(str(people), str(tmp_path / "none.jsonl"), out)
    with pytest.raises(ax.InputError, match=r"nowhere: there is no such predictor"):
        ax.calibrate(str(tmp_path / "nowhere"), truths=str(people))
    with pytest.raises(ax.InputError, match=r"nowhere\.toml"):
        ax.train(str(tmp_path / "nowhere.toml"), out)


def test_a_table_has_a_row_per_person_and_keypoint(tmp_path: Path) -> None:
    poses, _ = write_people(tmp_path / "images")
    people, out = tmp_path / "people.json", tmp_path / "out.json"
    people.write_text(json.dumps(coco_document(poses)))
    plain = ax.read(people).to_frame()
    assert list(plain.columns) == ["image", "id", "keypoint", "x", "y", "v", "source", "score", "radius", "decision"]
    assert len(plain) == 17 * len(poses) and plain.keypoint[:17].tolist() == list(poses.skeleton.keypoints)
    assert np.array_equal(plain[["x", "y"]].to_numpy(), poses.xy.reshape(-1, 2), equal_nan=True)
    assert (plain.source == np.where(plain.v > 0, "human", "none")).all() and plain.score.isna().all()

    ax.extend(people, tmp_path / "images", write_dot_model(tmp_path / "model"), out)
    extended, additions = ax.read(out).to_frame(), ax.read(out).additions
    assert additions is not None and len(extended) == 21 * len(poses)
    table = extended[extended.keypoint == "head_top"]
    column = additions.keypoints.index("head_top")
    assert table.id.tolist() == poses.ids.tolist() and table.image.tolist() == poses.file_names()
    assert np.array_equal(table[["x", "y"]].to_numpy(), additions.xy[:, column])
    assert table.score.tolist() == additions.score[:, column].tolist()
    assert set(table.source) == {"teacher"} and table.decision.tolist() == additions.decision[:, column].tolist()
    labelled = extended[~extended.keypoint.isin(additions.keypoints)].reset_index(drop=True)
    assert labelled[["image", "id", "x", "y", "v", "source"]].equals(plain[["image", "id", "x", "y", "v", "source"]])


def test_the_page_that_describes_it_is_what_make_api_writes() -> None:
    written = runpy.run_path(str(REPOSITORY / "docs" / "generate_api.py"))
    assert (REPOSITORY / "docs" / "api.md").read_text() == written["page"](), "run `make api`"
    assert {name for names in written["SECTIONS"].values() for name in names} | {"skeletons"} == set(ax.__all__)


@pytest.mark.slow
def test_the_example_runs_as_a_script(tmp_path: Path) -> None:
    command = [sys.executable, str(REPOSITORY / "docs" / "example.py")]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "COCO lacks pelvis, thorax, upper_neck, head_top" in done.stdout and "PCK@0.2" in done.stdout
