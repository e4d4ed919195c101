"""Training recipes: one complete TOML file says everything a run depends on.

A recipe is read into frozen dataclasses that check themselves. All errors of a file are reported at once, each with its
place (``demo.toml: student.input: ...``); an unknown key is an error, with a guess at what was meant. Nothing is
inherited or merged: what a recipe leaves out takes the default written here, and the resolved recipe, with every value
spelled out, is written into the run directory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import tomli_w

from annotext.core.errors import InputError
from annotext.formats.files.outputs import writing
from annotext.formats.files.policy import PolicyRecipe
from annotext.formats.files.typed import demand, read_as, read_toml, to_toml

MODELS = ("nano", "rtmpose-t", "rtmpose-s", "rtmpose-m")

# The deepest stride of each model: its input must be a multiple of it.
_STRIDE = {"nano": 32, "rtmpose-t": 32, "rtmpose-s": 32, "rtmpose-m": 32}


@dataclass(frozen=True)
class StudentRecipe:
    """The network.

    model: one of `MODELS`. input: (width, height) of the crop in pixels. expand: the person box is grown by this.
    init: a checkpoint to start from, `backbone.*` and, where names and shapes fit, `head.*`; relative to the recipe's
    folder. channels, blocks, stride: of nano only, see `annotext.training.model.nano.NanoUNet`.
    """

    model: Literal["nano", "rtmpose-t", "rtmpose-s", "rtmpose-m"]
    input: tuple[int, int]
    expand: float = 1.25
    init: str = ""
    channels: tuple[int, ...] = (24, 48, 96, 192)
    blocks: tuple[int, ...] = (0, 1, 2, 2)
    stride: int = 4

    def __post_init__(self) -> None:
        step = _STRIDE[self.model] if self.model != "nano" else 2 ** len(self.channels)
        for side in self.input:
            demand(
                side > 0 and side % step == 0,
                "input",
                f"{list(self.input)} must be [width, height], each a positive multiple of {step}",
            )
        demand(1.0 <= self.expand <= 3.0, "expand", f"{self.expand} is outside 1-3")
        demand(self.stride in (2, 4), "stride", f"{self.stride} is neither 2 nor 4")
        demand(len(self.channels) >= 2 and min(self.channels) > 0, "channels", "needs two or more positive numbers")
        demand(
            len(self.blocks) == len(self.channels) and min(self.blocks) >= 0,
            "blocks",
            f"{len(self.blocks)} numbers for {len(self.channels)} channels; one each, 0 or more",
        )


@dataclass(frozen=True)
class DataRecipe:
    """One data set.

    root: folder the other two paths start at; relative to the current folder; `--data name=FOLDER` replaces it.
    annotations: the annotation file, images: the image folder, both below root. skeleton: what the file must hold, by
    name. share: this set's part of every batch, relative to the others'; 0 means by number of people. min_keypoints:
    people with fewer labelled keypoints are left out. labels: false trains on the people as if nobody had labelled
    them, so that only teachers teach on them; then min_keypoints may be 0, a box is enough. added: which of the points
    that annotext added to an extended file are labels too: "none"; "reviewed", those that a person placed or confirmed;
    "scored", also those nobody looked at, each weighed by its calibrated score, from min_score up.
    """

    name: str
    skeleton: str
    annotations: str
    images: str
    root: str = ""
    share: float = 0.0
    min_keypoints: int = 1
    labels: bool = True
    added: Literal["none", "reviewed", "scored"] = "none"
    min_score: float = 0.0

    def __post_init__(self) -> None:
        demand(bool(self.name) and "=" not in self.name, "name", f"{self.name!r} is no name for a data set")
        demand(self.share >= 0, "share", f"{self.share} is negative")
        least = 1 if self.labels else 0
        demand(self.min_keypoints >= least, "min_keypoints", f"{self.min_keypoints} is less than {least}")
        demand(self.labels or self.added == "none", "added", f"{self.added!r}, but labels = false shows no labels")
        demand(0 <= self.min_score < 1, "min_score", f"{self.min_score} is outside 0-1")
        demand(
            not self.min_score or self.added == "scored", "min_score", "is asked of scores: only with added = 'scored'"
        )


@dataclass(frozen=True)
class TeacherRecipe:
    """One teacher (see `annotext.training.teachers.teacher`).

    source: the name of a model of MMPose's zoo, an MMPose config (`*.py`), an annotext run directory, or an ONNX model
    or its card; a path is relative to the current folder. checkpoint: the weights, for the zoo and an MMPose config.
    `--teacher name=PATH` replaces the checkpoint where one is needed, else the source. weight: beta_j of eq. 8.
    temperature: divides the teacher's and the student's logits; the divergence is multiplied by its square, as in
    Hinton et al. 2015. keypoints: those it may teach; none named: all it has in common with the student. pixel_offset:
    [x, y] added to what it sees, in image pixels; left out: its card's, or what is known of the zoo's model. clean: it
    sees the crop without the student's colour changes, blur and erased patch.
    """

    name: str
    source: str
    checkpoint: str = ""
    weight: float = 1.0
    temperature: float = 1.0
    keypoints: tuple[str, ...] = ()
    pixel_offset: tuple[float, float] | None = None
    clean: bool = False

    def __post_init__(self) -> None:
        demand(bool(self.name) and "=" not in self.name, "name", f"{self.name!r} is no name for a teacher")
        # MMEngine adds up every logged value whose name holds "loss".
        demand("loss" not in self.name, "name", f"{self.name!r} must not contain 'loss'")
        demand(bool(self.source), "source", "is empty")
        demand(self.weight > 0, "weight", f"{self.weight} must be positive")
        demand(self.temperature > 0, "temperature", f"{self.temperature} must be positive")


@dataclass(frozen=True)
class DistilRecipe:
    """How the labels' loss and the teachers' add up (paper eq. 8; see `annotext.training.teachers.distil`).

    alpha: the weight of the labels' loss. remainder: true, as eq. 8 is printed: the teachers' terms, weighted among
    themselves by their `weight`, share the factor (1 - alpha); false, as in the authors' code: no such factor.
    confidence: "none", or "peak": a teacher's keypoint weighs as much as the probability near its peak. decay: "none",
    or the teachers' weights fall to zero over the run, "linear" or "cosine". where: "everywhere", or "unlabelled": only
    keypoints for which the person carries no label.
    """

    alpha: float = 0.3
    remainder: bool = True
    confidence: Literal["none", "peak"] = "none"
    decay: Literal["none", "linear", "cosine"] = "none"
    where: Literal["everywhere", "unlabelled"] = "everywhere"

    def __post_init__(self) -> None:
        demand(0 <= self.alpha <= 1, "alpha", f"{self.alpha} is outside 0-1")


@dataclass(frozen=True)
class ValidationRecipe:
    """People never trained on, whom the student is measured on during training and at its end.

    root, annotations, images, skeleton: as in [[data]]; `--data name=FOLDER` replaces the root. metric: what is
    watched, "ap" (COCO AP by OKS), "pckh" (PCKh@0.5), "oks" (mean OKS) or "pck" (PCK@0.2 of the torso). head_sizes:
    MPII's .mat below root, for PCKh where the annotations have no head boxes. people: at most so many, always the
    same ones; 0: all.
    """

    name: str
    skeleton: str
    annotations: str
    images: str
    metric: Literal["ap", "pckh", "oks", "pck"]
    root: str = ""
    head_sizes: str = ""
    people: int = 0

    def __post_init__(self) -> None:
        demand(bool(self.name) and "=" not in self.name, "name", f"{self.name!r} is no name for a data set")
        demand(self.people >= 0, "people", f"{self.people} is negative")


@dataclass(frozen=True)
class AugmentRecipe:
    """Chances are in [0, 1]; the steps are those of RTMPose (see `training/data/augment.py`); defaults: none of them.

    flip: chance to mirror. half_body: chance to crop to the upper or lower body. shift: of the grown box's size, up or
    down, with chance shift_chance. zoom: [low, high] factor on the box. rotate: degrees, either way, with chance
    rotate_chance. hsv: largest change of hue (of 180), saturation and value (of 255). blur, median_blur: chances.
    erase: chance of a black patch whose sides are erase_size [low, high] of the crop's.
    """

    flip: float = 0.0
    half_body: float = 0.0
    shift: float = 0.0
    shift_chance: float = 0.3
    zoom: tuple[float, float] = (1.0, 1.0)
    rotate: float = 0.0
    rotate_chance: float = 0.6
    hsv: tuple[int, int, int] = (0, 0, 0)
    blur: float = 0.0
    median_blur: float = 0.0
    erase: float = 0.0
    erase_size: tuple[float, float] = (0.2, 0.4)

    def __post_init__(self) -> None:
        for name in ("flip", "half_body", "shift_chance", "rotate_chance", "blur", "median_blur", "erase"):
            value = getattr(self, name)
            demand(0 <= value <= 1, name, f"{value} is no chance between 0 and 1")
        demand(0 < self.zoom[0] <= self.zoom[1], "zoom", f"{list(self.zoom)} must be [low, high], both positive")
        demand(0 <= self.rotate <= 180, "rotate", f"{self.rotate} is outside 0-180 degrees")
        demand(0 <= self.shift < 1, "shift", f"{self.shift} is outside 0-1")
        low, high = self.erase_size
        demand(0 < low <= high <= 1, "erase_size", f"{list(self.erase_size)} must be [low, high] within 0-1")


@dataclass(frozen=True)
class LossRecipe:
    """The conditional SimCC loss (see `annotext.training.model.loss`).

    form: "kl" or "mmpose". beta: the logits' factor. sigma: [x, y] of the targets in crop pixels (MMPose writes bins:
    pixels = bins / split_ratio). split_ratio: bins per crop pixel; nano has 1 / stride by construction.
    """

    sigma: tuple[float, float]
    form: Literal["kl", "mmpose"] = "kl"
    beta: float = 1.0
    split_ratio: float = 2.0

    def __post_init__(self) -> None:
        demand(min(self.sigma) > 0, "sigma", f"{list(self.sigma)} must be positive")
        demand(self.beta > 0, "beta", f"{self.beta} must be positive")
        demand(self.split_ratio > 0, "split_ratio", f"{self.split_ratio} must be positive")


@dataclass(frozen=True)
class OptimRecipe:
    """AdamW. clip: largest norm of the gradient, 0 for none. ema: momentum of an exponential moving average of the
    weights that is saved and exported in their place, 0 for none. Norms and biases are never decayed."""

    lr: float
    weight_decay: float = 0.05
    clip: float = 0.0
    ema: float = 0.0

    def __post_init__(self) -> None:
        demand(self.lr > 0, "lr", f"{self.lr} must be positive")
        demand(self.weight_decay >= 0, "weight_decay", f"{self.weight_decay} is negative")
        demand(self.clip >= 0, "clip", f"{self.clip} is negative")
        demand(0 <= self.ema < 1, "ema", f"{self.ema} is outside 0-1")


@dataclass(frozen=True)
class ScheduleRecipe:
    """How long, and the learning rate over it.

    Exactly one of epochs (an epoch is as many samples as there are people in all data sets) and samples. batch: people
    per step. warmup: steps over which the rate rises linearly from warmup_start x lr. cosine_from: the part of the run
    after which the rate falls on a cosine to final_lr x lr. final_phase: the part of the run, at its end, that is
    trained with [augment.final]. near: people of one image are drawn within so many batches of each other, so that a
    loading process decodes it once for all of them; 0: anywhere, as MMPose draws. validate_every: steps between two
    validations, 0 only at the end. keep: the weights that are exported: "best" by the mean of the validations' metrics,
    or the "last".
    """

    batch: int
    epochs: float = 0.0
    samples: int = 0
    warmup: int = 100
    warmup_start: float = 1e-5
    cosine_from: float = 0.0
    final_lr: float = 0.05
    final_phase: float = 0.0
    near: int = 0
    validate_every: int = 0
    keep: Literal["best", "last"] = "last"

    def __post_init__(self) -> None:
        demand(self.batch >= 1, "batch", f"{self.batch} is less than 1")
        demand(
            (self.epochs > 0) != (self.samples > 0),
            "epochs",
            "give either epochs or samples, more than 0",
        )
        demand(self.warmup >= 0, "warmup", f"{self.warmup} is negative")
        demand(0 < self.warmup_start <= 1, "warmup_start", f"{self.warmup_start} is outside 0-1")
        for name in ("cosine_from", "final_lr", "final_phase"):
            demand(0 <= getattr(self, name) <= 1, name, f"{getattr(self, name)} is outside 0-1")
        demand(self.near >= 0, "near", f"{self.near} is negative")
        demand(self.validate_every >= 0, "validate_every", f"{self.validate_every} is negative")

    def steps(self, people: int) -> int:
        """Steps of the whole run for `people` trainable people."""
        samples = self.samples or self.epochs * people
        return max(1, round(samples / self.batch))


@dataclass(frozen=True)
class RuntimeRecipe:
    """What changes speed, not meaning. amp: "none" or "bf16" (backbone only). workers: data loading processes; 0 loads
    in the training process. checkpoint_every: steps. threads: of torch on a CPU, 0 leaves it alone."""

    amp: Literal["none", "bf16"] = "none"
    channels_last: bool = True
    workers: int = 1
    threads: int = 0
    checkpoint_every: int = 500

    def __post_init__(self) -> None:
        demand(self.workers >= 0, "workers", f"{self.workers} is negative")
        demand(self.threads >= 0, "threads", f"{self.threads} is negative")
        demand(self.checkpoint_every >= 1, "checkpoint_every", f"{self.checkpoint_every} is less than 1")


@dataclass(frozen=True)
class Recipe:
    """A whole recipe. seed: of weights, shuffling and augmentation. final: [augment.final], or None. teacher: the
    [[teacher]] tables, weighed as [distil] says. validation: the [[validation]] tables. policy: how `extend` decides
    with the student where nobody says otherwise; it changes nothing about the training."""

    name: str
    student: StudentRecipe
    data: tuple[DataRecipe, ...]
    loss: LossRecipe
    optim: OptimRecipe
    schedule: ScheduleRecipe
    augment: AugmentRecipe = field(default_factory=AugmentRecipe)
    final: AugmentRecipe | None = None
    teacher: tuple[TeacherRecipe, ...] = ()
    distil: DistilRecipe | None = None
    validation: tuple[ValidationRecipe, ...] = ()
    runtime: RuntimeRecipe = field(default_factory=RuntimeRecipe)
    policy: PolicyRecipe = field(default_factory=PolicyRecipe)
    seed: int = 0

    def __post_init__(self) -> None:
        demand(bool(self.name), "name", "is empty")
        demand(self.seed >= 0, "seed", f"{self.seed} is negative")
        demand(bool(self.data), "data", "a recipe needs at least one [[data]]")
        names = [d.name for d in self.data]
        twice = sorted({n for n in names if names.count(n) > 1})
        demand(not twice, "data", f"two data sets are called {', '.join(twice)}")
        shares = [d.share > 0 for d in self.data]
        demand(
            all(shares) or not any(shares), "data", "give every data set a share, or none (then by number of people)"
        )
        demand(
            self.schedule.batch >= len(self.data),
            "schedule.batch",
            f"{self.schedule.batch} people cannot come from {len(self.data)} data sets",
        )
        demand(
            (self.final is not None) == (self.schedule.final_phase > 0),
            "schedule.final_phase",
            "[augment.final] and final_phase > 0 belong together",
        )
        demand(
            bool(self.teacher) == (self.distil is not None),
            "distil",
            "[[teacher]] and [distil] belong together: [distil] says how the teachers' losses are weighed",
        )
        for what, entries in (("teacher", self.teacher), ("validation", self.validation)):
            called = [e.name for e in entries]
            twice = sorted({n for n in called if called.count(n) > 1})
            demand(not twice, what, f"two of them are called {', '.join(twice)}")
        unlabelled = [i for i, d in enumerate(self.data) if not d.labels]
        demand(
            not unlabelled or bool(self.teacher),
            f"data[{unlabelled[0]}].labels" if unlabelled else "data",
            "nobody teaches on people without labels: name a [[teacher]]",
        )
        demand(
            self.schedule.keep == "last" or bool(self.validation),
            "schedule.keep",
            "the best weights are those that do best on a [[validation]], and there is none",
        )

    @property
    def split_ratio(self) -> float:
        """Bins per crop pixel: nano has one bin per cell of its map."""
        return 1.0 / self.student.stride if self.student.model == "nano" else self.loss.split_ratio

    @property
    def bins(self) -> tuple[int, int]:
        """(Bx, By)."""
        w, h = self.student.input
        return round(w * self.split_ratio), round(h * self.split_ratio)


def recipe_folders() -> tuple[Path, ...]:
    """Where recipes are looked for by name: the repository's `recipes/`, or the copy inside an installed package."""
    package = Path(__file__).resolve().parents[2]
    return tuple(p for p in (package / "_recipes", package.parent / "recipes") if p.is_dir())


def find_recipe(name_or_path: str | Path) -> Path:
    """The file of a recipe: a path, or the name of a shipped one without `.toml`. Raises InputError."""
    path = Path(name_or_path)
    # A folder may well be named like a recipe: `make demo` writes one.
    if path.suffix == ".toml" or path.is_file():
        if not path.is_file():
            raise InputError.single(path, "", "recipe not found")
        return path
    shipped = {
        f.relative_to(folder).with_suffix("").as_posix(): f
        for folder in recipe_folders()
        for f in folder.rglob("*.toml")
    }
    if str(name_or_path) not in shipped:
        raise InputError.single(
            name_or_path,
            "",
            "no recipe of this name",
            f"a path to a .toml file, or one of: {', '.join(sorted(shipped))}",
        )
    return shipped[str(name_or_path)]


def read_recipe(path: str | Path) -> Recipe:
    """Read and check a recipe. Raises InputError with all its problems."""
    return parse_recipe(read_toml(path), path)


def parse_recipe(document: Mapping[str, Any], path: str | Path) -> Recipe:
    """Check a parsed recipe; `path` names it in problems. Raises InputError with all problems."""
    document = dict(document)
    if isinstance(document.get("augment"), Mapping) and "final" in document["augment"]:
        document["augment"] = dict(document["augment"])
        document["final"] = document["augment"].pop("final")
    return read_as(
        Recipe,
        document,
        path,
        place=lambda pointer: pointer.replace("final", "augment.final", 1) if pointer.startswith("final") else pointer,
    )


def recipe_document(recipe: Recipe) -> dict[str, Any]:
    """The recipe as a TOML document with every value spelled out; `parse_recipe` gives it back."""
    document = to_toml(recipe)
    final = document.pop("final", None)
    if final is not None:
        document["augment"]["final"] = final
    return document


def write_recipe(recipe: Recipe, path: str | Path) -> None:
    """Write the resolved recipe; same recipe, same bytes."""
    with writing(path, force=True) as temporary:
        temporary.write_bytes(tomli_w.dumps(recipe_document(recipe)).encode())
