"""Image files: found safely, decoded whole or not at all, and cut into crops of people."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from annotext.core.errors import InputError, Problem
from annotext.core.geometry import box_center_size, box_scale, image_to_crop_matrix
from annotext.core.poses import Image, Poses
from annotext.formats.annotations.records import unsafe_file_name
from annotext.predictors.card import Card

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"


def image_path(folder: Path, file_name: str) -> Path:
    """Where the image `file_name` of an annotation file lies. Raises ValueError if the name leads out of `folder`.

    Judged by the name alone. Links inside the folder may lead anywhere; who set them up meant them.
    """
    reason = unsafe_file_name(file_name)
    if reason:
        raise ValueError(reason)
    return folder / file_name


def find_missing(folder: Path, poses: Poses) -> dict[int, Problem]:
    """Image index -> what is wrong with it, as far as names and file sizes tell; nothing is decoded.

    Only images that people stand in are looked for. Raises InputError if the folder itself is not there.
    """
    if not folder.is_dir():
        raise InputError.single(folder, "", "there is no such image folder", "give it with --images")
    problems: dict[int, Problem] = {}
    for index in used_images(poses):
        name = poses.images[index].file_name
        where, reason, hint = str(folder / name), "", ""
        try:
            path = image_path(folder, name)
            size = path.stat().st_size
        except ValueError as error:
            where, reason = str(folder), str(error)
            hint = "names are relative to --images; use no absolute names and no .."
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
        else:
            reason = "is not a file" if not path.is_file() else "the file is empty" if size == 0 else ""
        if reason:
            problems[index] = Problem(where, pointer_to(poses, index), reason, hint)
    return problems


def read_image(folder: Path, image: Image) -> NDArray[np.uint8]:
    """The picture as (h, w, 3) uint8 BGR, exactly as stored: no EXIF rotation, because labels sit on raw pixels.

    Raises ValueError with the reason if the file cannot be read or decoded, is cut short, or does not have the size
    the annotation file says.
    """
    path = image_path(folder, image.file_name)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError((error.strerror or str(error)).lower()) from None
    reason = _why_incomplete(data)
    if reason:
        raise ValueError(reason)
    try:
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error as error:
        raise ValueError(f"cannot be decoded: {error.err}") from None
    if pixels is None:
        raise ValueError("is not an image that can be decoded")
    h, w = pixels.shape[:2]
    if (image.width or w, image.height or h) != (w, h):
        raise ValueError(f"is {w} x {h} pixels, the annotation file says {image.width} x {image.height}")
    return pixels.astype(np.uint8, copy=False)


def _why_incomplete(data: bytes) -> str:
    """Why an image file is cut short, empty if it looks whole.

    OpenCV decodes a cut JPEG without an error and paints the rest grey. In a JPEG's compressed data the byte ff is
    always escaped, so after the first scan starts an end marker is the real one; thumbnails live before it.
    """
    if not data:
        return "the file is empty"
    if data.startswith(_JPEG_START) and data.find(_JPEG_END, max(0, _first_scan(data))) < 0:
        return "is a truncated JPEG: its end marker is missing"
    if data.startswith(_PNG_START) and _PNG_END not in data[-64:] and _PNG_END not in data:
        return "is a truncated PNG: its end chunk is missing"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP" and int.from_bytes(data[4:8], "little") + 8 > len(data):
        return "is a truncated WebP: it is shorter than its header says"
    return ""


def _first_scan(data: bytes) -> int:
    """Offset of a JPEG's first compressed data; the file's length if it does not get that far."""
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            return len(data)
        marker = data[position + 1]
        if marker == 0xFF:  # padding before a marker
            position += 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a length
            position += 2
            continue
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == 0xDA:
            return min(position, len(data))
    return len(data)


def crop_matrices(card: Card, bbox_xywh: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 2, 3) image-to-crop affines of (N, 4) person boxes for a predictor."""
    return image_to_crop_matrix(bbox_xywh, card.input.wh, expand=card.box.expand, fit=card.box.fit)


def cut_crops(pixels: NDArray[np.uint8], card: Card, bbox_xywh: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(h, w, 3) BGR picture and (N, 4) person boxes -> (N, height, width, 3) uint8 BGR crops as the card wants them."""
    width, height = card.input.wh
    crops = np.empty((len(bbox_xywh), height, width, 3), dtype=np.uint8)
    fill = np.array(card.box.fill[::-1] if card.input.color == "RGB" else card.box.fill)
    for crop, matrix, box in zip(crops, crop_matrices(card, bbox_xywh), bbox_xywh, strict=True):
        cv2.warpAffine(
            pixels,
            matrix,
            (width, height),
            dst=crop,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=tuple(float(f) for f in fill),
        )
        if card.box.fit == "letterbox":
            _, size = box_center_size(box)
            grown = size * card.box.expand * box_scale(box, card.input.wh, expand=card.box.expand, fit="letterbox")
            left, top = (max(0, round((side - g) / 2)) for side, g in zip((width, height), grown, strict=True))
            for strip in (crop[:top], crop[height - top :], crop[:, :left], crop[:, width - left :]):
                strip[:] = fill
    return crops


def pointer_to(poses: Poses, index: int) -> str:
    """How a reader finds an image's record: by the first person in it (COCO: its id, MPII: its position)."""
    return f"annotation {poses.ids[poses.image_index == index][0]}"


def used_images(poses: Poses) -> list[int]:
    """Indices of the images that people stand in, in the order of the people."""
    return list(dict.fromkeys(int(i) for i in poses.image_index))
