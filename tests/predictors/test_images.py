"""Image files: decoded whole and as stored, or refused with the reason."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from annotext.core.poses import Image
from annotext.predictors.images import image_path, read_image

RNG = np.random.default_rng(0)
PIXELS = cv2.resize(RNG.integers(0, 255, (30, 40, 3), dtype=np.uint8), (200, 150), interpolation=cv2.INTER_CUBIC)
PROGRESSIVE = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
RESTARTS = [cv2.IMWRITE_JPEG_RST_INTERVAL, 4]


def encoded(suffix: str, options: list[int] | None = None) -> bytes:
    return cv2.imencode(suffix, PIXELS, options or [])[1].tobytes()


def read(folder: Path, data: bytes, name: str = "a.jpg", **size: int) -> np.ndarray:
    (folder / name).write_bytes(data)
    return read_image(folder, Image(name, **size))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp"])
def test_a_whole_image_is_decoded(suffix: str, tmp_path: Path) -> None:
    assert read(tmp_path, encoded(suffix), width=200, height=150).shape == (150, 200, 3)


@pytest.mark.parametrize("options", [None, PROGRESSIVE, RESTARTS], ids=["baseline", "progressive", "restarts"])
@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.9, 0.99])
def test_a_truncated_jpeg_is_refused(options: list[int] | None, share: float, tmp_path: Path) -> None:
    data = encoded(".jpg", options)
    with pytest.raises(ValueError, match="truncated JPEG"):
        read(tmp_path, data[: int(len(data) * share)])


def test_a_jpeg_that_lacks_only_its_end_marker_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="truncated JPEG"):
        read(tmp_path, encoded(".jpg")[:-2])


def test_a_truncated_jpeg_is_refused_though_its_thumbnail_is_whole(tmp_path: Path) -> None:
    data, thumbnail = encoded(".jpg"), cv2.imencode(".jpg", PIXELS[::10, ::10])[1].tobytes()
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    whole = data[:2] + segment + data[2:]
    assert read(tmp_path, whole).shape == (150, 200, 3)
    with pytest.raises(ValueError, match="truncated JPEG"):
        read(tmp_path, whole[:-200])


def test_bytes_behind_the_end_of_a_jpeg_do_no_harm(tmp_path: Path) -> None:
    assert read(tmp_path, encoded(".jpg") + b"\0" * 100).shape == (150, 200, 3)


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_other_truncated_images_are_refused(suffix: str, tmp_path: Path) -> None:
    data = encoded(suffix)
    with pytest.raises(ValueError, match="truncated"):
        read(tmp_path, data[: len(data) // 2])


@pytest.mark.parametrize(("data", "message"), [(b"", "is empty"), (b"hello, world" * 9, "is not an image")])
def test_a_file_that_is_no_image_is_refused(data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        read(tmp_path, data)


def test_an_image_of_another_size_than_its_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is 200 x 150 pixels, the annotation file says 150 x 200"):
        read(tmp_path, encoded(".jpg"), width=150, height=200)


def test_an_image_is_not_turned_by_its_exif_orientation(tmp_path: Path) -> None:
    # TIFF, one entry: tag 0x0112 orientation = 6, quarter turn.
    tiff = b"MM\0*\0\0\0\x08\0\x01" + b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0" + b"\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    data = encoded(".jpg")
    turned = data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape == (200, 150, 3)
    assert read(tmp_path, turned).shape == (150, 200, 3)


def test_a_grey_image_becomes_three_channels(tmp_path: Path) -> None:
    grey = cv2.imencode(".png", PIXELS[..., 0])[1].tobytes()
    pixels = read(tmp_path, grey, "g.png")
    assert np.array_equal(pixels, np.repeat(PIXELS[..., :1], 3, axis=2))


@pytest.mark.parametrize(
    "name", ["../a.jpg", "/etc/passwd", "a/../../b.jpg", "..", "", "C:\\a.jpg", "a\\..\\..\\b.jpg", "a\0.jpg"]
)
def test_a_name_that_leaves_the_folder_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"leaves|plain relative path|is empty"):
        image_path(tmp_path, name)


def test_links_inside_the_folder_are_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.jpg").write_bytes(encoded(".jpg"))
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "train").symlink_to(tmp_path / "elsewhere")
    assert read_image(folder, Image("train/a.jpg")).shape == (150, 200, 3)
