from __future__ import annotations

import json
from pathlib import Path

import pytest

from annotext.core.errors import AnnotextError
from annotext.workflows.demo import run_demo

SHORT = """
name = "short"
seed = 1
[student]
model = "nano"
input = [96, 128]
channels = [16, 24, 32, 48]
blocks = [0, 1, 1, 1]
stride = 4
[[data]]
name = "coco"
skeleton = "coco17"
root = "."
annotations = "annotations.json"
images = "images"
share = 0.5
[[data]]
name = "mpii"
skeleton = "mpii16"
root = "."
annotations = "annotations.json"
images = "images"
share = 0.5
[loss]
form = "kl"
beta = 1.0
sigma = [2.5, 2.5]
[optim]
lr = 4e-3
weight_decay = 0.05
clip = 5.0
[schedule]
samples = 320
batch = 32
warmup = 5
cosine_from = 0.0
final_lr = 0.01
[runtime]
workers = 0
"""


@pytest.mark.slow
def test_the_demo_leaves_two_extended_files_figures_and_a_page_whose_pictures_exist(tmp_path: Path) -> None:
    recipe = tmp_path / "short.toml"
    recipe.write_text(SHORT)
    out = tmp_path / "demo"
    report = run_demo(out, people=80, val_people=40, recipe=str(recipe), review=False)

    for name, added in (("coco", ["pelvis", "thorax", "upper_neck", "head_top"]), ("mpii", ["nose", "left_eye"])):
        result = report.sets[name]
        assert result.stripped_equal
        for keypoint in result.compared:
            assert result.student.keypoints[keypoint].n == result.baseline.keypoints[keypoint].n
            lead = result.leads[keypoint]
            ours, theirs = result.student.keypoints[keypoint].pck, result.baseline.keypoints[keypoint].pck
            assert lead.low <= lead.points <= lead.high
            assert lead.points == pytest.approx(ours - theirs, abs=1e-6)
        assert set(added) <= set(result.extended.keypoints)
        assert 0 <= result.student.oks_mean <= 1
        assert (out / f"{name}.png").stat().st_size > 10_000
        assert f'src="{name}.png"' in (out / "index.html").read_text()
    assert set(report.sets["coco"].compared) == {"upper_neck", "head_top"}
    assert json.loads((out / "report.json").read_text())["coco"]["strip_gives_the_input_back"] is True
    # Ten steps of training cannot beat geometry: the comparison must be able to say so.
    assert any(lead.low <= 0 for lead in report.sets["coco"].leads.values())


def test_the_demo_never_deletes_a_folder_it_did_not_make(tmp_path: Path) -> None:
    kept = tmp_path / "thesis.tex"
    kept.write_text("years")
    with pytest.raises(AnnotextError, match="was not made by annotext demo"):
        run_demo(tmp_path, people=50, val_people=20, force=True)
    assert kept.read_text() == "years"
