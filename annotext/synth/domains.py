"""Two visibly different worlds: everyday snapshots, as COCO collects them, and sport footage, as MPII does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Domain:
    """What a set of images looks like. Angles in degrees, lengths in body heights unless said otherwise.

    postures: share of each posture of `postures.POSTURES`.
    image_sizes: (width, height) in pixels -> share.
    people_share: shares of images with 1, 2, 3, ... people.
    facing: standard deviation of the yaw about facing the camera; `any_yaw` is the share that faces anywhere.
    elevation: (mean, sigma) of the camera's height angle, + looks down. distance: (low, high) of the camera.
    size: (low, high) of the figure's height relative to the image's.
    truncated: share of people who may leave the image, by up to `cut` of their size.
    scenes: share of each background of `background.SCENES`. occluders: (low, high) number per image, high excluded.
    crowd: share of images with a distant group that nobody labels one by one.
    sport: kits instead of everyday clothes.
    blur: share of images out of focus. noise: share with grain. tint: spread of the white balance.
    jpeg_quality: 0-100.
    """

    name: str
    postures: Mapping[str, float]
    image_sizes: Mapping[tuple[int, int], float]
    people_share: tuple[float, ...]
    facing: float
    any_yaw: float
    elevation: tuple[float, float]
    distance: tuple[float, float]
    size: tuple[float, float]
    truncated: float
    cut: float
    scenes: Mapping[str, float]
    occluders: tuple[int, int]
    crowd: float
    sport: bool
    blur: float
    noise: float
    tint: float
    jpeg_quality: int = 88


EVERYDAY = Domain(
    name="everyday",
    postures={
        "stand": 0.24,
        "walk": 0.18,
        "sit": 0.17,
        "phone": 0.07,
        "wave": 0.06,
        "hands_on_hips": 0.06,
        "carry": 0.06,
        "reach": 0.07,
        "bend_over": 0.04,
        "crouch": 0.04,
        "lie": 0.01,
    },
    image_sizes={(320, 240): 0.5, (240, 320): 0.18, (320, 214): 0.2, (256, 256): 0.12},
    people_share=(0.5, 0.32, 0.18),
    facing=75.0,
    any_yaw=0.45,
    elevation=(6.0, 7.0),
    distance=(3.0, 8.0),
    size=(0.34, 0.98),
    truncated=0.15,
    cut=0.30,
    scenes={"room": 0.34, "street": 0.24, "park": 0.20, "blurred": 0.22},
    occluders=(0, 3),
    crowd=0.02,
    sport=False,
    blur=0.25,
    noise=0.7,
    tint=0.05,
)

SPORT = Domain(
    name="sport",
    postures={
        "run": 0.18,
        "jump": 0.09,
        "kick": 0.09,
        "throw": 0.10,
        "lunge": 0.10,
        "star": 0.08,
        "squat": 0.08,
        "swing": 0.09,
        "ski": 0.06,
        "cycle": 0.05,
        "stand": 0.06,
        "handstand": 0.02,
    },
    image_sizes={(320, 180): 0.7, (320, 240): 0.3},
    people_share=(0.66, 0.34),
    facing=60.0,
    any_yaw=0.35,
    elevation=(2.0, 10.0),
    distance=(2.4, 5.0),
    size=(0.5, 0.97),
    truncated=0.10,
    cut=0.24,
    scenes={"pitch": 0.3, "gym": 0.28, "snow": 0.14, "water": 0.14, "stage": 0.14},
    occluders=(0, 2),
    crowd=0.0,
    sport=True,
    blur=0.45,
    noise=0.3,
    tint=0.08,
)
