"""MMPose's models as teachers: the same network, the same points, and nobody's code run on the way."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from annotext.core.errors import InputError  # noqa: E402
from annotext.core.skeletons import COCO17, HALPE26, MPII16  # noqa: E402
from annotext.formats.files.recipe import find_recipe, read_recipe  # noqa: E402
from annotext.training.model import bridge  # noqa: E402
from annotext.training.teachers import zoo  # noqa: E402
from annotext.training.teachers.mmpose_config import read_config, shipped_configs  # noqa: E402
from annotext.training.teachers.zoo import MPII_OFFSET, ZOO, load_mmpose  # noqa: E402

bridge.install()

import yaml  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.logging.history_buffer import HistoryBuffer  # noqa: E402
from mmengine.runner import Runner  # noqa: E402
from mmpose.datasets.transforms import RandomFlip  # noqa: E402
from mmpose.registry import MODELS  # noqa: E402
from mmpose.structures import PoseDataSample  # noqa: E402

PLACE = ("recipe.toml", "teacher[0]")
COCO_T, COCO_M, MPII_M = "rtmpose-t-coco-256x192", "rtmpose-m-coco-256x192", "rtmpose-m-mpii-256x256"


def shipped(name: str) -> Path:
    return shipped_configs() / ZOO[name].config


def without_starting_weights(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_starting_weights(v) for k, v in value.items() if k not in ("init_cfg", "_scope_")}
    return value


def theirs(name: str) -> Any:
    """MMPose's own model of a configuration, read and built by MMPose, with random weights."""
    torch.manual_seed(0)
    config = Config.fromfile(shipped(name))
    model = MODELS.build({**without_starting_weights(config.model.to_dict()), "_scope_": "mmpose"})
    for weight in model.head.cls_x.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    for weight in model.head.cls_y.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    model.eval()
    return model


def mmengine_checkpoint(model: Any, folder: Path) -> Path:
    """What MMEngine's CheckpointHook leaves: weights, meta data with numpy arrays, message hub with log histories."""
    runner = Runner(
        model=model,
        work_dir=str(folder / "work"),
        train_dataloader=torch.utils.data.DataLoader([0]),
        train_cfg={"by_epoch": False, "max_iters": 1},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        default_scope="mmpose",
        experiment_name=f"annotext {folder}",
        default_hooks={"logger": None, "timer": None},
        log_level="ERROR",
    )
    runner.message_hub.update_scalar("train/loss", np.float64(0.25))
    runner.message_hub.update_info("best", np.float32(0.5))
    colours = {"keypoint_colors": np.zeros((17, 3), np.uint8), "sigmas": np.full(17, 0.07, np.float32)}
    runner.save_checkpoint(
        str(folder),
        "best.pth",
        save_optimizer=False,
        save_param_scheduler=False,
        meta={"dataset_meta": colours, "epoch": np.int64(420)},
        by_epoch=False,
    )
    return folder / "best.pth"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of RTMPose-t."""
    return mmengine_checkpoint(theirs(COCO_T), tmp_path_factory.mktemp("zoo"))


@pytest.mark.parametrize("name", [COCO_M, MPII_M])
def test_the_points_are_mmposes_own(name: str, tmp_path: Path) -> None:
    reference = theirs(name)
    path = mmengine_checkpoint(reference, tmp_path)
    written = torch.load(path, weights_only=False)
    assert isinstance(written["message_hub"]["log_scalars"]["train/loss"], HistoryBuffer)
    model = load_mmpose(name, path, place=PLACE, note=lambda _: None)
    w, h = model.input_wh
    rgb = np.random.default_rng(0).integers(0, 256, (3, h, w, 3), dtype=np.uint8)
    x, y = model.log_potentials(torch.from_numpy(rgb))
    with torch.no_grad():
        bgr = [torch.from_numpy(np.ascontiguousarray(i[..., ::-1].transpose(2, 0, 1))) for i in rgb]
        samples = [PoseDataSample() for _ in bgr]
        inputs = reference.data_preprocessor({"inputs": bgr, "data_samples": samples})["inputs"]
        logits = reference.head.forward(reference.extract_feat(inputs))
        decoded = np.concatenate([p.keypoints for p in reference.head.decode(logits)])
    beta = reference.head.loss_module.beta
    for ours, expected in zip((x, y), logits, strict=True):
        torch.testing.assert_close(ours / beta, expected, atol=1e-4, rtol=0)
    points = np.stack([axis.numpy().argmax(-1) / model.split_ratio for axis in (x, y)], -1)
    np.testing.assert_allclose(points, decoded, atol=1e-4)
    assert np.ptp(decoded, axis=(0, 1)).min() > 10  # random weights, yet not one point everywhere
    assert model.sigma == pytest.approx([s / 2 for s in reference.head.decoder.sigma])
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_loaded_model_is_frozen_and_in_evaluation_mode(small: Path) -> None:
    model = load_mmpose(COCO_T, small, place=PLACE, note=lambda _: None)
    assert not any(p.requires_grad for p in model.module.parameters())
    assert not any(m.training for m in model.module.modules())


@pytest.mark.parametrize("name", ZOO)
def test_every_zoo_entry_is_what_mmposes_own_table_says(name: str) -> None:
    entry = ZOO[name]
    tables = [yaml.safe_load(t.read_text())["Models"] for t in shipped(name).parent.glob("*.yml")]
    (row,) = [r for table in tables for r in table if r["Config"] == entry.config]
    assert row["Weights"] == entry.weights
    figures = row["Results"][0]["Metrics"]
    assert {k: figures[k] for k in entry.published} == dict(entry.published)
    settings = zoo._Settings(read_config(shipped(name)), shipped(name))
    assert settings.keypoints == entry.keypoints
    assert settings.pixel_offset == entry.pixel_offset


def test_mmposes_keypoints_are_ours_in_the_same_order() -> None:
    for name, skeleton in ((COCO_M, COCO17), (MPII_M, MPII16), ("rtmpose-m-halpe26-256x192", HALPE26)):
        assert ZOO[name].keypoints == skeleton.keypoints


def test_an_mpii_joint_is_taught_one_pixel_too_low_and_to_the_side_on_average_at_its_place() -> None:
    """MMPose's own mirroring, on a joint that is left 1-based while its image is not."""
    w, place = 100, np.array([30.0, 40.0])
    image = np.zeros((80, w, 3), np.uint8)
    seen = {
        "img": image,
        "img_shape": image.shape[:2],
        "keypoints": (place + 1)[None, None].astype(np.float32),
        "keypoints_visible": np.ones((1, 1)),
        "bbox_center": place[None],
        "flip_indices": [0],
    }
    mirrored = RandomFlip(prob=1.0).transform({**seen, "keypoints": seen["keypoints"].copy()})
    shifts = [seen["keypoints"][0, 0] - place, mirrored["keypoints"][0, 0] - [w - 1 - place[0], place[1]]]
    np.testing.assert_allclose(np.mean(shifts, axis=0), -np.array(MPII_OFFSET))
    assert RandomFlip().prob == 0.5


# Reading configurations


@pytest.mark.parametrize("folder", ["coco", "mpii", "body8", "humanart", "crowdpose"])
def test_a_configuration_says_what_it_says_to_mmengine(folder: str) -> None:
    files = sorted((shipped_configs() / "configs/body_2d_keypoint/rtmpose" / folder).glob("*.py"))
    assert files
    for file in files:
        assert read_config(file) == Config.fromfile(file).to_dict(), file.name


def test_a_base_is_merged_as_mmengine_merges_it(tmp_path: Path) -> None:
    (tmp_path / "base.py").write_text("a = dict(x=1, y=dict(z=2))\nb = [1]\nc = 3\n")
    (tmp_path / "own.py").write_text(
        "_base_ = './base.py'\nn = 2\na = dict(y=dict(w=n * 3))\nb = dict(_delete_=True, q=f'{n}!')\n"
        "c = [i + 1 for i in (1, 2)]\n"
    )
    (tmp_path / "fresh.py").write_text("_base_ = ['./base.py']\na = dict(_delete_=True, q=(1, -2.5))\n")
    for name in ("own.py", "fresh.py"):
        if name == "fresh.py":
            assert read_config(tmp_path / name) == Config.fromfile(tmp_path / name).to_dict()
    assert read_config(tmp_path / "own.py") == {
        "a": {"x": 1, "y": {"z": 2, "w": 6}},
        "b": {"q": "2!"},
        "c": [2, 3],
        "n": 2,
    }


@pytest.mark.parametrize(
    "line",
    [
        "import os",
        "from os import path",
        "x = __import__('os').system('touch proof')",
        "x = open('proof', 'w')",
        "x = (1).__class__",
        "x = [c for c in ().__class__.__bases__]",
        "x = eval('1')",
        "x = lambda: 1",
        "if True: x = 1",
        "x = 'a' * 10**9",
        "x = 'a' * 1000000000",
        "x = list(range(1000000000))",
        "x = '%03000000d' % 1",
        "x = '%d' % 1",
        "x = 99999999999 * 99999999999",
        "x = y",
        "x = f'{1!r:>10}'",
        "x = 1 // 0",
    ],
)
def test_whatever_is_not_a_plain_value_is_refused_with_its_line(line: str, tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text(f"a = 1\n{line}\n")
    with pytest.raises(InputError, match=r"config\.py: line 2: .* is not read in a configuration"):
        read_config(tmp_path / "config.py")


def test_a_file_nested_beyond_reading_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text(f"a = {'-' * 200000}1\n")
    with pytest.raises(InputError, match=r"config\.py: is no Python configuration"):
        read_config(tmp_path / "config.py")


def test_a_copied_configuration_finds_its_base_among_mmposes_own(tmp_path: Path) -> None:
    copied = tmp_path / "mine.py"
    copied.write_bytes(shipped(COCO_T).read_bytes())
    assert read_config(copied) == read_config(shipped(COCO_T))


def test_a_base_that_is_nowhere_and_one_that_is_its_own_are_errors(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("_base_ = './nowhere.py'\n")
    with pytest.raises(InputError, match=r"nowhere\.py does not exist"):
        read_config(tmp_path / "a.py")
    (tmp_path / "b.py").write_text("_base_ = './b.py'\n")
    with pytest.raises(InputError, match="is its own base"):
        read_config(tmp_path / "b.py")


# Models by configuration


def mine(tmp_path: Path, *changes: tuple[str, str]) -> str:
    """A user's own configuration: MMPose's of RTMPose-t with some text replaced."""
    text = shipped(COCO_T).read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    path = tmp_path / "mine.py"
    path.write_text(text)
    return str(path)


def test_a_configuration_of_ones_own_gives_the_same_model_as_the_zoos(small: Path, tmp_path: Path) -> None:
    image = torch.randint(0, 256, (2, 256, 192, 3), dtype=torch.uint8)
    by_name = load_mmpose(COCO_T, small, place=PLACE, note=lambda _: None)
    by_path = load_mmpose(mine(tmp_path), small, place=PLACE)
    for a, b in zip(by_name.log_potentials(image), by_path.log_potentials(image), strict=True):
        assert torch.equal(a, b)
    assert by_path.expand == 1.25 and by_path.beta == 10.0 and by_path.rgb


def test_geometry_and_scale_come_from_the_configuration(small: Path, tmp_path: Path) -> None:
    source = mine(
        tmp_path,
        ("dict(type='GetBBoxCenterScale')", "dict(type='GetBBoxCenterScale', padding=1.1)"),
        ("sigma=(4.9, 5.66)", "sigma=3.0"),
        ("beta=10.", "beta=2."),
        ("bgr_to_rgb=True", "bgr_to_rgb=False"),
    )
    model = load_mmpose(source, small, place=PLACE)
    assert (model.expand, model.sigma, model.beta, model.rgb) == (1.1, (1.5, 1.5), 2.0, False)
    red = torch.zeros(1, 256, 192, 3, dtype=torch.uint8)
    red[..., 0] = 255
    seen = model.normalise(red)[0]
    assert seen[2].mean() > seen[0].mean()


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("'RTMCCHead'", "'HeatmapHead'", "HeatmapHead is not read, only RTMPose's RTMCCHead"),
        ("    head=dict(", "    neck=dict(type='FPN'),\n    head=dict(", "with a neck"),
        ("out_channels=17", "out_channels=18", "CocoDataset has 17 keypoints, the head 18"),
        ("dataset_type = 'CocoDataset'", "dataset_type = 'AicDataset'", "keypoints annotext does not know: neck"),
        ("dataset_type = 'CocoDataset'", "dataset_type = 'ForgottenDataset'", "no data set called ForgottenDataset"),
        ("type='TopdownAffine', ", "type='TopdownAffine', use_udp=True, ", "cut by UDP's rule"),
        ("mean=[", "middle=[", "is no configuration of an RTMPose"),
        ("model = dict(", "modell = dict(", "model: is missing"),
    ],
)
def test_a_model_that_cannot_teach_is_refused_with_its_reason(
    before: str, after: str, problem: str, small: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=problem):
        load_mmpose(mine(tmp_path, (before, after)), small, place=PLACE)


def test_a_configuration_runs_nothing_by_the_name_of_a_module(small: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    for part in ("backbone", "backbone=dict(norm_cfg", "head=dict(gau_cfg"):
        evil = tmp_path / "evil.py"
        closing = ")" * part.count("(")
        call = f"{part}=dict(_delete_=True, type='subprocess.check_output', args=['touch', {str(ran)!r}]){closing}"
        evil.write_text(f"_base_ = {str(shipped(COCO_T))!r}\nmodel = dict({call})\n")
        with pytest.raises(InputError, match=r"model: MMPose has no module called subprocess\.check_output"):
            load_mmpose(str(evil), small, place=PLACE)
    assert not ran.exists()


def test_a_data_set_is_one_that_mmpose_registered_and_nothing_that_can_be_imported(small: Path, tmp_path: Path) -> None:
    changed = mine(tmp_path, ("dataset_type = 'CocoDataset'", "dataset_type = 'this'"))
    with pytest.raises(InputError, match="dataset_type: MMPose has no data set called this"):
        load_mmpose(changed, small, place=PLACE)
    assert "this" not in sys.modules


def test_another_size_of_the_model_is_one_message_with_names_and_counts(small: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_mmpose(COCO_M, small, place=PLACE, note=lambda _: None)
    (problem,) = caught.value.problems
    assert "these are not the weights of rtmpose-m-coco-256x192" in problem.problem
    assert "backbone.stem.0.conv.weight is (12, 3, 3, 3), expected (24, 3, 3, 3)" in problem.problem
    assert "missing (backbone.stage1.1.blocks.1" in problem.problem


# Files


@pytest.mark.parametrize("given", ["", "weights/gone.pth"])
def test_a_checkpoint_that_is_not_there_says_where_to_get_it(given: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_mmpose(MPII_M, Path(given), place=PLACE)
    assert "recipe.toml: teacher[0].checkpoint" in str(caught.value)
    assert f"download {ZOO[MPII_M].weights}" in str(caught.value)


def test_a_source_that_is_neither_model_nor_file_names_the_zoo(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"teacher\[0\]\.source: gone\.py does not exist\n.*rtmpose-m-mpii-256x256"):
        load_mmpose("gone.py", tmp_path, place=PLACE)


def test_the_file_of_another_zoo_model_is_told_by_its_name(small: Path, tmp_path: Path) -> None:
    file = tmp_path / ZOO["rtmpose-t-aic-coco-256x192"].file
    file.write_bytes(small.read_bytes())
    with pytest.raises(InputError, match=f"is the file of rtmpose-t-aic-coco-256x192, not of {COCO_T}"):
        load_mmpose(COCO_T, file, place=PLACE)


def test_a_file_with_a_published_sha256_must_have_it(small: Path) -> None:
    digest = hashlib.sha256(small.read_bytes()).hexdigest()
    assert zoo._is_known(COCO_T, replace(ZOO[COCO_T], sha256=digest), small, digest)
    with pytest.raises(InputError, match=f"is not the file of {COCO_T}: sha256 {digest[:16]}"):
        zoo._is_known(COCO_T, replace(ZOO[COCO_T], sha256="0" * 64), small, digest)


def test_a_file_whose_name_tells_its_sha256_is_known_and_any_other_is_noted(small: Path) -> None:
    digest = hashlib.sha256(small.read_bytes()).hexdigest()
    named = f"https://example.org/rtmpose-{digest[:8]}_20230127.pth"
    assert zoo._is_known(COCO_T, replace(ZOO[COCO_T], weights=named), small, digest)
    notes: list[str] = []
    load_mmpose(COCO_T, small, place=PLACE, note=notes.append)
    assert len(notes) == 1 and digest in notes[0]


def test_the_papers_teachers_are_in_the_zoo() -> None:
    recipe = read_recipe(find_recipe("paper/rtmpose-t-distilled"))
    assert [t.source for t in recipe.teacher] == [COCO_M, MPII_M]


def test_the_document_lists_the_zoo_as_it_is() -> None:
    text = (Path(__file__).parents[3] / "docs" / "teachers.md").read_text()
    for name, entry in ZOO.items():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
        assert f"[{entry.file}]({entry.weights})" in row
        assert all(f"{figure:.3f}".removeprefix("0") in row for figure in entry.published.values())
