"""Teachers: frozen models whose distributions a student learns from.

A teacher may be a model of MMPose's zoo, an MMPose config with a checkpoint, an annotext run, or any ONNX model with a
card. Whatever it is, here it becomes a `Teacher`: how it wants its crops, where its bins lie, and a function from crops
to log-potentials, whose softmax is its distribution over the bins of each axis.

N people, K keypoints of the teacher, (h, w) its input, Bx and By its bins.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from annotext.core.errors import InputError, Problem
from annotext.core.skeleton import Skeleton
from annotext.formats.files.recipe import Recipe, TeacherRecipe, read_recipe
from annotext.predictors.card import Card, read_card
from annotext.predictors.load import find_card, load_predictor
from annotext.predictors.onnx import OnnxPredictor
from annotext.training.data.augment import CropRule
from annotext.training.model.config import model_config
from annotext.training.model.student import Student
from annotext.training.run.checkpoints import load_checkpoint
from annotext.training.teachers.zoo import ZOO, load_mmpose

Network = Callable[[Tensor], tuple[Tensor, ...]]
Kind = Literal["zoo", "mmpose", "run", "onnx"]


@dataclass(frozen=True)
class Teacher:
    """One frozen model.

    keypoints: of its output, canonical names. crop: how it wants people cut. step, offset: bin i of either axis stands
    at crop pixel i x step + offset. sigma: (x, y) crop pixels, the width of a sharp distribution. pixel_offset: image
    pixels, added to what it sees. network: (N, h, w, 3) uint8 RGB -> (N, K, Bx), (N, K, By) float32 log-potentials,
    and, from a teacher that has one of its own, (N, K) a score in [0, 1]. identity: kind, source and sha256 of the
    weights.
    """

    name: str
    keypoints: tuple[str, ...]
    crop: CropRule
    step: float
    offset: float
    sigma: tuple[float, float]
    pixel_offset: tuple[float, float]
    network: Network
    identity: Mapping[str, str]

    def teachable(self, chosen: Sequence[str] = ()) -> tuple[str, ...]:
        """Those of its keypoints it may teach; `chosen`: the recipe's, all where it names none."""
        return tuple(k for k in self.keypoints if not chosen or k in chosen)


def kind_of(recipe: TeacherRecipe) -> Kind:
    """What a teacher's source is, told by its form alone."""
    if recipe.source in ZOO:
        return "zoo"
    path = Path(recipe.source)
    if path.suffix == ".py":
        return "mmpose"
    return "onnx" if path.suffix in (".onnx", ".json") else "run"


def load_teachers(
    recipe: Recipe,
    source: str,
    *,
    skeleton: Skeleton,
    given: Mapping[str, Path] | None = None,
    device: torch.device | str = "cpu",
    unpickle: Collection[Path] = (),
) -> tuple[Teacher, ...]:
    """The recipe's teachers, frozen and on `device`.

    source: the recipe's file, as problems name it. skeleton: the student's. given: teacher name -> file or folder that
    replaces the checkpoint or source of the recipe. unpickle: checkpoints that may run code while they are read. Raises
    InputError with everything that is wrong with any of them.
    """
    given = given or {}
    names = [t.name for t in recipe.teacher]
    strangers = [name for name in given if name not in names]
    if strangers:
        has = f"the recipe has: {', '.join(names)}" if names else "the recipe has none"
        raise InputError.single(source, "teacher", f"no teacher is called {', '.join(strangers)}", has)
    problems: list[Problem] = []
    teachers: list[Teacher] = []
    for i, entry in enumerate(recipe.teacher):
        try:
            teacher = _load(_relocated(entry, given), (source, f"teacher[{i}]"), recipe, torch.device(device), unpickle)
            _check_keypoints(teacher, entry, skeleton, (source, f"teacher[{i}].keypoints"))
        except InputError as error:
            problems += error.problems
            continue
        teachers.append(teacher)
    if problems:
        raise InputError(problems)
    return tuple(teachers)


def _relocated(entry: TeacherRecipe, given: Mapping[str, Path]) -> TeacherRecipe:
    if entry.name not in given:
        return entry
    field = "checkpoint" if kind_of(entry) in ("zoo", "mmpose") else "source"
    return replace(entry, **{field: str(given[entry.name])})


def _check_keypoints(teacher: Teacher, entry: TeacherRecipe, skeleton: Skeleton, place: tuple[str, str]) -> None:
    unknown = [k for k in entry.keypoints if k not in teacher.keypoints]
    if unknown:
        has = f"it has: {', '.join(teacher.keypoints)}"
        raise InputError.single(*place, f"teacher {teacher.name} has no {', '.join(unknown)}", has)
    if not any(k in skeleton.index for k in teacher.teachable(entry.keypoints)):
        raise InputError.single(*place, f"teacher {teacher.name} has no keypoint of the student's ({skeleton.name})")


def _load(
    entry: TeacherRecipe,
    place: tuple[str, str],
    recipe: Recipe,
    device: torch.device,
    unpickle: Collection[Path],
) -> Teacher:
    kind, amp = kind_of(entry), recipe.runtime.amp == "bf16"
    if kind in ("zoo", "mmpose"):
        teacher = _from_mmpose(entry, place, amp, device, unpickle)
    elif not Path(entry.source).exists():
        raise InputError.single(
            place[0],
            f"{place[1]}.source",
            f"{entry.source} does not exist, and is no model of the zoo",
            f"--teacher {entry.name}=PATH says where it is; the zoo has: {', '.join(ZOO)}",
        )
    elif kind == "run" and (Path(entry.source) / "student.pth").is_file():
        teacher = _from_run(entry, amp, device)
    else:
        teacher = _from_onnx(entry, recipe.runtime.threads or None, device)
    changes: dict[str, Any] = {"crop": replace(teacher.crop, clean=entry.clean)}
    if entry.pixel_offset is not None:
        changes["pixel_offset"] = entry.pixel_offset
    return replace(teacher, **changes)


def _from_mmpose(
    entry: TeacherRecipe, place: tuple[str, str], amp: bool, device: torch.device, unpickle: Collection[Path]
) -> Teacher:
    model = load_mmpose(entry.source, Path(entry.checkpoint), place=place, unpickle=unpickle)
    module = model.module.to(device)
    module.amp = amp
    module.requires_grad_(False)
    return Teacher(
        name=entry.name,
        keypoints=model.keypoints,
        crop=CropRule(model.input_wh, model.expand),
        step=1 / model.split_ratio,
        offset=0.0,
        sigma=model.sigma,
        pixel_offset=model.pixel_offset,
        network=model.log_potentials,
        identity={"kind": kind_of(entry), "source": entry.source, "sha256": model.sha256},
    )


def _card_rule(card: Card) -> CropRule:
    fill = [float(f) for f in card.box.fill]
    if card.input.color != "RGB":
        fill.reverse()
    return CropRule(card.input.wh, card.box.expand, card.box.fit, (fill[0], fill[1], fill[2]))


def _from_run(entry: TeacherRecipe, amp: bool, device: torch.device) -> Teacher:
    """An annotext run in torch: on the device training runs on, which ONNX Runtime may not know."""
    folder = Path(entry.source)
    card = read_card(find_card(folder))
    own = read_recipe(folder / "recipe.toml")
    config: dict[str, Any] = model_config(own, len(card.keypoints))
    config["amp"] = "bf16" if amp else None
    student = Student(**config)
    weights = folder / "student.pth"
    try:
        student.load_state_dict(load_checkpoint(weights)["state_dict"])
    except (KeyError, RuntimeError):
        hint = "recipe.toml and student.pth must be of one run"
        raise InputError.single(weights, "", "these are not the weights of the recipe beside them", hint) from None
    student.to(device).eval()
    student.requires_grad_(False)
    beta = own.loss.beta

    def network(image: Tensor) -> tuple[Tensor, Tensor]:
        x, y = student.simcc(student.normalise(image), amp=amp)
        return beta * x, beta * y

    return Teacher(
        name=entry.name,
        keypoints=card.keypoints,
        crop=_card_rule(card),
        step=1 / own.split_ratio,
        offset=0.0,
        sigma=own.loss.sigma,
        pixel_offset=card.pixel_offset,
        network=network,
        identity={
            "kind": "run",
            "source": entry.source,
            "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        },
    )


def _from_onnx(entry: TeacherRecipe, threads: int | None, device: torch.device) -> Teacher:
    predictor = load_predictor(Path(entry.source), threads=threads)
    assert isinstance(predictor, OnnxPredictor)
    card = predictor.card

    def network(image: Tensor) -> tuple[Tensor, ...]:
        crops = np.ascontiguousarray(image.cpu().numpy()[..., ::-1])
        potentials = card.output.log_potentials(predictor.raw(predictor.tensor(crops)), card.input.wh)
        return tuple(torch.from_numpy(array).to(device) for array in potentials)

    return Teacher(
        name=entry.name,
        keypoints=card.keypoints,
        crop=_card_rule(card),
        step=card.output.step,
        offset=card.output.offset,
        sigma=card.output.sigma,
        pixel_offset=card.pixel_offset,
        network=network,
        identity={"kind": "onnx", "source": entry.source, "sha256": card.sha256},
    )
