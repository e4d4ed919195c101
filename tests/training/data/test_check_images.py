"""Pictures are read before hours of training: bad ones are found, named and counted, all at once."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from annotext.core.errors import InputError
from annotext.core.poses import Image, Poses
from annotext.core.skeletons import COCO17
from annotext.predictors.images import read_image
from annotext.training.data.whole_images import Pictures, Thoroughness, check_whole

QUIET = Console(quiet=True)


def pictures(folder: Path, count: int = 6, name: str = "coco", size: int = 24) -> Pictures:
    """One person in each of `count` pictures, ids from 100."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for i in range(count):
        cv2.imwrite(str(folder / f"{i}.jpg"), rng.integers(0, 255, (size, size, 3), dtype=np.uint8))
    poses = Poses(
        skeleton=COCO17,
        xy=np.full((count, 17, 2), np.nan),
        visibility=np.zeros((count, 17), dtype=np.uint8),
        bbox_xywh=np.tile([2.0, 2.0, 20.0, 20.0], (count, 1)),
        image_index=np.arange(count),
        images=tuple(Image(f"{i}.jpg", size, size) for i in range(count)),
        ids=np.arange(100, 100 + count),
        area=np.full(count, 400.0),
        crowd=np.zeros(count, dtype=bool),
        head_size=np.full(count, np.nan),
    )
    return Pictures(f"data set {name}", "data[0].images", poses, folder)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def check(*groups: Pictures, how: Thoroughness = "all", **options: int) -> list[int]:
    return check_whole(groups, how, source="r.toml", console=QUIET, **{"seed": 0, **options})


def test_whole_pictures_pass_and_are_counted(tmp_path: Path) -> None:
    assert check(pictures(tmp_path / "a"), pictures(tmp_path / "b", 3)) == [6, 3]


def test_every_bad_picture_of_every_set_is_named_after_the_counts(tmp_path: Path) -> None:
    a, b = pictures(tmp_path / "a"), pictures(tmp_path / "b", 3, "mpii")
    cut(tmp_path / "a" / "1.jpg")
    (tmp_path / "a" / "4.jpg").write_text("no picture")
    cv2.imwrite(str(tmp_path / "b" / "2.jpg"), np.zeros((30, 20, 3), np.uint8))
    with pytest.raises(InputError) as caught:
        check(a, b)
    found = [(p.path, p.pointer, p.problem) for p in caught.value.problems]
    assert found[:2] == [
        ("r.toml", "data[0].images", "2 of 6 images cannot be used"),
        ("r.toml", "data[0].images", "1 of 3 images cannot be used"),
    ]
    assert found[2:] == [
        (
            str(tmp_path / "a/1.jpg"),
            "data set coco, annotation 101",
            "is a truncated JPEG: its end marker is missing",
        ),
        (str(tmp_path / "a/4.jpg"), "data set coco, annotation 104", "is not an image that can be decoded"),
        (
            str(tmp_path / "b/2.jpg"),
            "data set mpii, annotation 102",
            "is 20 x 30 pixels, the annotation file says 24 x 24",
        ),
    ]


def test_what_is_refused_is_exactly_what_training_could_not_read(tmp_path: Path) -> None:
    group = pictures(tmp_path / "a", 40)
    rng = np.random.default_rng(1)
    for path in sorted((tmp_path / "a").iterdir()):
        data = bytearray(path.read_bytes())
        match rng.integers(4):
            case 0:
                data = data[: rng.integers(0, len(data))]
            case 1:
                start = rng.integers(0, len(data) - 8)
                data[start : start + 8] = rng.bytes(8)
        path.write_bytes(data)

    def unreadable(i: int) -> bool:
        try:
            read_image(group.folder, group.poses.images[i])
        except ValueError:
            return True
        return False

    wanted = {str(group.folder / f"{i}.jpg") for i in range(40) if unreadable(i)}
    assert 0 < len(wanted) < 40
    with pytest.raises(InputError) as caught:
        check(group)
    assert {p.path for p in caught.value.problems} - {"r.toml"} == wanted


def test_a_sample_is_drawn_by_the_seed_and_says_what_it_left_out(tmp_path: Path) -> None:
    group = pictures(tmp_path / "a", 12)
    for path in (tmp_path / "a").iterdir():
        cut(path)

    def found(seed: int) -> list[str]:
        with pytest.raises(InputError) as caught:
            check(group, how="sample", seed=seed, sample=4)
        first = caught.value.problems[0]
        assert first.problem == "4 of 4 images cannot be used (a sample: 12 are used)"
        assert "--check-images all" in first.hint
        return [p.path for p in caught.value.problems[1:]]

    assert found(1) == found(1) != found(2)


def test_none_reads_nothing(tmp_path: Path) -> None:
    group = pictures(tmp_path / "a")
    cut(tmp_path / "a" / "1.jpg")
    assert check(group, how="none") == [0]


def test_of_many_bad_pictures_twenty_lines_are_shown_and_the_counts_are_among_them(tmp_path: Path) -> None:
    group = pictures(tmp_path / "a", 30)
    for path in (tmp_path / "a").iterdir():
        cut(path)
    with pytest.raises(InputError, match=r"^r.toml: data\[0\].images: 30 of 30 images") as caught:
        check(group)
    assert "... and 11 more problems" in str(caught.value)
