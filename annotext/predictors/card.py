"""The card of a predictor: all that is needed to run a model on a person box and to read its output.

The format is JSON, `"format": "annotext-predictor/1"`, one file per model beside it. What the keys mean stands with
the dataclasses below and in `annotext.predictors.outputs`. Unknown keys at the top (licence, notes, anything a
publisher wants to say) are kept as they are; unknown keys inside `input`, `box` and `output` are errors, because
ignoring them would run the model wrongly.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from annotext.core.additions import Source
from annotext.core.geometry import Fit
from annotext.core.skeleton import Skeleton, union
from annotext.core.skeletons import BUILT_IN, COCO17
from annotext.formats.files.jsonio import read_json
from annotext.formats.files.outputs import writing
from annotext.formats.files.typed import body_of, demand, read_as, to_json
from annotext.predictors.outputs import AnyOutput

FORMAT = "annotext-predictor/1"


@dataclass(frozen=True)
class CardInput:
    """The tensor the model takes: value = (pixel x scale - mean) / std, per channel, pixels 0-255.

    name: of the tensor. width, height: pixels. layout: axis order; N is the batch. color: channel order.
    """

    name: str
    width: int
    height: int
    layout: Literal["NCHW", "NHWC"]
    color: Literal["RGB", "BGR"]
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        demand(self.name != "", "name", "is empty")
        demand(self.width > 0 and self.height > 0, "", f"size {self.width} x {self.height} is not positive")
        demand(self.scale > 0, "scale", f"is {self.scale:g}, expected more than 0")
        demand(min(self.std) > 0, "std", f"is {list(self.std)}, expected numbers above 0")

    @property
    def wh(self) -> tuple[int, int]:
        """(width, height) of the crop, pixels."""
        return self.width, self.height


@dataclass(frozen=True)
class CardBox:
    """How a crop is cut from a person box (see `core.geometry.box_scale`).

    expand: the box grows about its centre by this factor. fit: `context` shows the surroundings, `letterbox` paints
    everything outside the grown box. fill: the paint, three values 0-255 in the input's colour order.
    """

    expand: float
    fit: Fit
    fill: tuple[float, float, float]

    def __post_init__(self) -> None:
        demand(self.expand > 0, "expand", f"is {self.expand:g}, expected more than 0")
        demand(all(0 <= f <= 255 for f in self.fill), "fill", f"is {list(self.fill)}, expected 0-255")


@dataclass(frozen=True)
class Card:
    """A model and how to run it.

    name: for people and for files that say who predicted. model: the ONNX file, relative to the card. sha256: of that
    file, lower-case hex. keypoints: K canonical names in output order. pixel_offset: x, y added to decoded image
    coordinates (a teacher that learned 1-based labels needs -1). role: an annotext run is a student, any other model a
    teacher. extra: every further top-level key of the JSON (notes, source, license, ...).

    Raises ValueError (`pointer: problem`) when a value makes no sense.
    """

    name: str
    model: str
    sha256: str
    keypoints: tuple[str, ...]
    input: CardInput
    box: CardBox
    output: AnyOutput
    pixel_offset: tuple[float, float] = (0.0, 0.0)
    role: Literal["student", "teacher"] = "teacher"
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        demand(self.name != "", "name", "is empty")
        model = Path(self.model)
        inside = self.model != "" and not model.is_absolute() and ".." not in model.parts
        demand(inside, "model", f"is {self.model!r}, expected a file beside the card")
        hexadecimal = len(self.sha256) == 64 and set(self.sha256) <= set("0123456789abcdef")
        demand(hexadecimal, "sha256", f"is {self.sha256!r}, expected 64 lower-case hexadecimal digits")
        demand(len(self.keypoints) > 0, "keypoints", "is empty")
        twice = sorted({k for k in self.keypoints if self.keypoints.count(k) > 1})
        demand(not twice, "keypoints", f"names {', '.join(twice)} twice")

    @property
    def source(self) -> Source:
        """What its points carry in an extended file."""
        return Source.STUDENT if self.role == "student" else Source.TEACHER

    def skeleton(self, skeletons: Mapping[str, Skeleton] = BUILT_IN) -> Skeleton:
        """The K keypoints in output order: a known skeleton with exactly these, else one built from the known names.

        Raises ValueError for a name that none of `skeletons` has.
        """
        for known in skeletons.values():
            if known.keypoints == self.keypoints:
                return known
        every = COCO17
        for known in skeletons.values():
            if any(k not in every.index and k in known.index for k in self.keypoints):
                every = union(every, known)
        unknown = [k for k in self.keypoints if k not in every.index]
        if unknown:
            raise ValueError(
                f"keypoints: unknown name{'s' if len(unknown) > 1 else ''} {', '.join(unknown)}, "
                f"expected canonical names as `annotext skeletons` lists them"
            )
        names = set(self.keypoints)
        return Skeleton(
            name=self.name,
            keypoints=self.keypoints,
            edges=tuple(e for e in every.edges if names.issuperset(e)),
            flip_pairs=tuple(p for p in every.flip_pairs if names.issuperset(p)),
            sigmas={k: every.sigmas[k] for k in self.keypoints},
            sigma_source=every.sigma_source,
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of this card."""
        document = {
            "format": FORMAT,
            "name": self.name,
            "role": self.role,
            "model": self.model,
            "sha256": self.sha256,
            "keypoints": self.keypoints,
            "input": asdict(self.input),
            "box": asdict(self.box),
            "output": self.output.to_dict(),
            "pixel_offset": self.pixel_offset,
            **self.extra,
        }
        return to_json(document)


def read_card(path: str | Path) -> Card:
    """The card in a JSON file. Raises InputError with every problem found in its structure."""
    return card_from_dict(read_json(path)[0], path)


def card_from_dict(document: object, path: str | Path) -> Card:
    """The card a JSON document describes; `path` is named in errors. Raises InputError."""
    hint = "a card says how to run an ONNX model; an annotext run has one as card.json"
    body = body_of(document, FORMAT, path, hint)
    known = {f.name for f in fields(Card)} - {"extra"}
    extra = {key: body.pop(key) for key in list(body) if key not in known}
    return read_as(Card, {**body, "extra": extra}, path)


def write_card(card: Card, path: str | Path) -> None:
    """Write the card as JSON, whole or not at all; an existing card is replaced."""
    text = json.dumps(card.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with writing(path, force=True) as temporary:
        temporary.write_text(text, encoding="utf-8")
