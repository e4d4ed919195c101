"""The card of a predictor: all that is needed to run a model on a person box and to read its output.

The format is JSON, `"format": "annotext-predictor/1"`, one file per model beside it. What the keys mean stands with
the dataclasses below. Unknown keys at the top (licence, notes, anything a publisher wants to say) are kept as they
are; unknown keys inside `input`, `box` and `output` are errors, because ignoring them would run the model wrongly.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from annotext.core.additions import Source
from annotext.core.errors import InputError, Problem
from annotext.core.geometry import Fit
from annotext.core.skeleton import Skeleton, union
from annotext.core.skeletons import BUILT_IN, COCO17
from annotext.formats.files.jsonio import kind_of, read_json
from annotext.formats.files.outputs import writing

FORMAT = "annotext-predictor/1"
Layout = Literal["NCHW", "NHWC"]
Color = Literal["RGB", "BGR"]
Role = Literal["student", "teacher"]


@dataclass(frozen=True)
class CardInput:
    """The tensor the model takes: value = (pixel x scale - mean) / std, per channel, pixels 0-255.

    name: of the tensor. width, height: pixels. layout: axis order; N is the batch. color: channel order.
    """

    name: str
    width: int
    height: int
    layout: Layout
    color: Color
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        _require(self.name != "", "input.name", "is empty")
        _require(self.width > 0 and self.height > 0, "input", f"size {self.width} x {self.height} is not positive")
        _require(self.layout in get_args(Layout), "input.layout", f"is {self.layout!r}, expected NCHW or NHWC")
        _require(self.color in get_args(Color), "input.color", f"is {self.color!r}, expected RGB or BGR")
        _require(self.scale > 0, "input.scale", f"is {self.scale}, expected more than 0")
        _require(min(self.std) > 0, "input.std", f"is {list(self.std)}, expected numbers above 0")

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
        _require(self.expand > 0, "box.expand", f"is {self.expand}, expected more than 0")
        _require(self.fit in get_args(Fit), "box.fit", f"is {self.fit!r}, expected context or letterbox")
        _require(all(0 <= f <= 255 for f in self.fill), "box.fill", f"is {list(self.fill)}, expected 0-255")


@dataclass(frozen=True)
class HeatmapOutput:
    """One tensor (N, K, h, w): the centre of cell i is crop pixel i x stride + offset.

    smooth_sigma: Gaussian smoothing in cells before the peak is taken, 0 for none.
    """

    name: str
    stride: float
    offset: float
    smooth_sigma: float

    def __post_init__(self) -> None:
        _require(self.name != "", "output.name", "is empty")
        _require(self.stride > 0, "output.stride", f"is {self.stride}, expected more than 0")
        _require(self.smooth_sigma >= 0, "output.smooth_sigma", f"is {self.smooth_sigma}, expected 0 or more")


@dataclass(frozen=True)
class SimccOutput:
    """Two tensors of raw logits, (N, K, Bx) and (N, K, By): the distribution is softmax(beta x logits).

    names: of the x and the y tensor. split_ratio: bins per crop pixel. sigma: the target's standard deviation on x
    and on y, crop pixels.
    """

    names: tuple[str, str]
    split_ratio: float
    beta: float
    sigma: tuple[float, float]

    def __post_init__(self) -> None:
        _require(all(self.names) and self.names[0] != self.names[1], "output.names", f"is {list(self.names)}")
        _require(self.split_ratio > 0, "output.split_ratio", f"is {self.split_ratio}, expected more than 0")
        _require(self.beta > 0, "output.beta", f"is {self.beta}, expected more than 0")
        _require(min(self.sigma) > 0, "output.sigma", f"is {list(self.sigma)}, expected numbers above 0")


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
    output: HeatmapOutput | SimccOutput
    pixel_offset: tuple[float, float] = (0.0, 0.0)
    role: Role = "teacher"
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require(self.name != "", "name", "is empty")
        parts = Path(self.model).parts
        inside = self.model != "" and not Path(self.model).is_absolute() and ".." not in parts
        _require(inside, "model", f"is {self.model!r}, expected a file beside the card")
        hexadecimal = len(self.sha256) == 64 and set(self.sha256) <= set("0123456789abcdef")
        _require(hexadecimal, "sha256", f"is {self.sha256!r}, expected 64 lower-case hexadecimal digits")
        _require(len(self.keypoints) > 0, "keypoints", "is empty")
        twice = sorted({k for k in self.keypoints if self.keypoints.count(k) > 1})
        _require(not twice, "keypoints", f"names {', '.join(twice)} twice")
        _require(self.role in get_args(Role), "role", f"is {self.role!r}, expected student or teacher")

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
        out: dict[str, Any] = (
            {
                "name": self.output.name,
                "kind": "heatmap",
                "stride": self.output.stride,
                "offset": self.output.offset,
                "smooth_sigma": self.output.smooth_sigma,
            }
            if isinstance(self.output, HeatmapOutput)
            else {
                "kind": "simcc",
                "names": list(self.output.names),
                "split_ratio": self.output.split_ratio,
                "beta": self.output.beta,
                "sigma": list(self.output.sigma),
            }
        )
        return {
            "format": FORMAT,
            "name": self.name,
            "role": self.role,
            "model": self.model,
            "sha256": self.sha256,
            "keypoints": list(self.keypoints),
            "input": {
                "name": self.input.name,
                "width": self.input.width,
                "height": self.input.height,
                "layout": self.input.layout,
                "color": self.input.color,
                "scale": self.input.scale,
                "mean": list(self.input.mean),
                "std": list(self.input.std),
            },
            "box": {"expand": self.box.expand, "fit": self.box.fit, "fill": list(self.box.fill)},
            "output": out,
            "pixel_offset": list(self.pixel_offset),
            **self.extra,
        }


_TOP_KEYS = frozenset(
    ("format", "name", "role", "model", "sha256", "keypoints", "input", "box", "output", "pixel_offset")
)


def read_card(path: Path) -> Card:
    """The card in a JSON file. Raises InputError with every problem found in its structure."""
    document, _ = read_json(path)
    return card_from_dict(document, path)


def card_from_dict(document: object, path: Path) -> Card:
    """The card a JSON document describes; `path` is named in errors. Raises InputError."""
    if not isinstance(document, dict):
        raise InputError.single(path, "", f"is {kind_of(document)}, expected a predictor's card (an object)")
    if document.get("format") != FORMAT:
        hint = "a card says how to run an ONNX model; an annotext run has one as card.json"
        raise InputError.single(path, "format", f"is {document.get('format')!r}, expected {FORMAT!r}", hint)
    fields = _Fields(document, path)
    top = {
        "name": fields.text("name"),
        "model": fields.text("model"),
        "sha256": fields.text("sha256"),
        "keypoints": fields.texts("keypoints"),
        "role": fields.text("role", default="teacher"),
        "pixel_offset": fields.numbers("pixel_offset", 2, default=(0.0, 0.0)),
    }
    inputs = fields.section("input", ("name", "width", "height", "layout", "color", "scale", "mean", "std"))
    given_input = {
        "name": inputs.text("name"),
        "width": inputs.whole("width"),
        "height": inputs.whole("height"),
        "layout": inputs.text("layout"),
        "color": inputs.text("color"),
        "scale": inputs.number("scale"),
        "mean": inputs.numbers("mean", 3),
        "std": inputs.numbers("std", 3),
    }
    boxes = fields.section("box", ("expand", "fit", "fill"))
    given_box = {"expand": boxes.number("expand"), "fit": boxes.text("fit"), "fill": boxes.numbers("fill", 3)}
    kind = document["output"].get("kind") if isinstance(document.get("output"), dict) else None
    if kind == "simcc":
        outputs = fields.section("output", ("kind", "names", "split_ratio", "beta", "sigma"))
        given_output = {
            "names": outputs.texts("names", 2),
            "split_ratio": outputs.number("split_ratio"),
            "beta": outputs.number("beta"),
            "sigma": outputs.numbers("sigma", 2),
        }
    else:
        outputs = fields.section("output", ("kind", "name", "stride", "offset", "smooth_sigma"))
        if kind != "heatmap":
            outputs.problem("kind", f"is {kind!r}, expected heatmap or simcc")
        given_output = {
            "name": outputs.text("name"),
            "stride": outputs.number("stride"),
            "offset": outputs.number("offset", default=0.0),
            "smooth_sigma": outputs.number("smooth_sigma", default=0.0),
        }
    fields.raise_problems()
    try:
        return Card(
            **top,
            input=CardInput(**given_input),
            box=CardBox(**given_box),
            output=SimccOutput(**given_output) if kind == "simcc" else HeatmapOutput(**given_output),
            extra={k: v for k, v in document.items() if k not in _TOP_KEYS},
        )
    except ValueError as error:
        pointer, _, problem = str(error).partition(": ")
        raise InputError.single(path, pointer, problem) from None


def write_card(card: Card, path: Path) -> None:
    """Write the card as JSON, whole or not at all; an existing card is replaced."""
    text = json.dumps(card.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with writing(path, force=True) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _require(condition: bool, pointer: str, problem: str) -> None:
    if not condition:
        raise ValueError(f"{pointer}: {problem}")


class _Fields:
    """Typed access to one JSON object that notes every problem instead of stopping at the first."""

    def __init__(self, values: dict[str, Any], path: Path, prefix: str = "", problems: list[Problem] | None = None):
        self.values, self.path, self.prefix = values, path, prefix
        self.problems: list[Problem] = [] if problems is None else problems

    def problem(self, key: str, text: str) -> None:
        self.problems.append(Problem(str(self.path), self.prefix + key, text))

    def raise_problems(self) -> None:
        if self.problems:
            raise InputError(self.problems)

    def section(self, key: str, known: tuple[str, ...]) -> _Fields:
        value = self.values.get(key)
        if not isinstance(value, dict):
            self.problem(key, "is missing" if value is None else "is not an object")
            return _Fields(dict.fromkeys(known), self.path, f"{key}.", [])
        for unknown in sorted(value.keys() - set(known)):
            self.problem(f"{key}.{unknown}", f"is not a key of a card's {key}, expected {', '.join(known)}")
        return _Fields(value, self.path, f"{key}.", self.problems)

    def text(self, key: str, default: str | None = None) -> Any:
        value = self.values.get(key, default)
        if not isinstance(value, str):
            self.problem(key, "is missing" if value is None else "is not a string")
        return value

    def texts(self, key: str, count: int | None = None) -> Any:
        value = self.values.get(key)
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            self.problem(key, "is missing" if value is None else "is not a list of strings")
            return ()
        if count is not None and len(value) != count:
            self.problem(key, f"has {len(value)} entries, expected {count}")
        return tuple(value)

    def whole(self, key: str) -> Any:
        value = self.values.get(key)
        if not isinstance(value, int) or isinstance(value, bool):
            self.problem(key, "is missing" if value is None else "is not a whole number")
        return value

    def number(self, key: str, default: float | None = None) -> Any:
        value = self.values.get(key, default)
        if not _is_number(value):
            self.problem(key, "is missing" if value is None else "is not a finite number")
        return value

    def numbers(self, key: str, count: int, default: tuple[float, ...] | None = None) -> Any:
        value = self.values.get(key, default)
        if not isinstance(value, list | tuple) or len(value) != count or not all(_is_number(v) for v in value):
            self.problem(key, "is missing" if value is None else f"is not a list of {count} finite numbers")
            return ()
        return tuple(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
