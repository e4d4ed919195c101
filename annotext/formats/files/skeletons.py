"""Skeletons and data sets described in TOML: `datasets/*.toml`, and any file of the same form a user writes.

A file says `skeleton = "coco17"` (one annotext has built in) or carries a `[skeleton]` table of its own:
name, keypoints (as the data set's files spell them), synonyms (native = "canonical"), edges and flip_pairs by name,
sigmas by name, sigma_source. A `[dataset]` table of facts for people may stand beside it; nothing reads numbers off it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annotext.core.errors import AnnotextError, InputError
from annotext.core.skeleton import Skeleton
from annotext.core.skeletons import BUILT_IN
from annotext.formats.files.typed import demand, read_as, read_toml


@dataclass(frozen=True)
class _Table:
    """A `[skeleton]` table, under the names its author uses."""

    name: str
    keypoints: tuple[str, ...]
    sigmas: Mapping[str, float]
    sigma_source: str
    synonyms: Mapping[str, str] = field(default_factory=dict)
    edges: tuple[tuple[str, str], ...] = ()
    flip_pairs: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for key in ("name", "sigma_source"):
            demand(getattr(self, key) != "", key, "is empty")
        demand(all(self.keypoints), "keypoints", "an empty name")

    def skeleton(self) -> Skeleton:
        """Under canonical names. Raises ValueError as `Skeleton` does."""

        def canonical(name: str) -> str:
            return self.synonyms.get(name, name)

        def pairs(of: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
            return tuple((canonical(a), canonical(b)) for a, b in of)

        return Skeleton(
            name=self.name,
            keypoints=tuple(map(canonical, self.keypoints)),
            edges=pairs(self.edges),
            flip_pairs=pairs(self.flip_pairs),
            sigmas={canonical(k): v for k, v in self.sigmas.items()},
            sigma_source=self.sigma_source,
            synonyms=self.synonyms,
        )


@dataclass(frozen=True)
class Description:
    """One described data set: its skeleton and the facts of its `[dataset]` table (empty where there is none)."""

    path: Path
    skeleton: Skeleton
    own_skeleton: bool
    dataset: Mapping[str, Any]


def descriptions_dir() -> Path:
    """The folder of descriptions that came with annotext: inside the wheel, or `datasets/` of a checkout."""
    package = Path(__file__).resolve().parents[2]
    inside = package / "_datasets"
    return inside if inside.is_dir() else package.parent / "datasets"


def read_description(path: str | Path) -> Description:
    """Read one TOML description. Raises InputError with all problems at once."""
    path = Path(path)
    document = read_toml(path)
    dataset = document.get("dataset", {})
    named = document.get("skeleton")
    if not isinstance(dataset, dict):
        raise InputError.single(path, "dataset", "expected a table")
    if isinstance(named, str):
        if named not in BUILT_IN:
            raise InputError.single(
                path, "skeleton", f"no built-in skeleton {named!r}", f"one of {', '.join(BUILT_IN)}"
            )
        return Description(path, BUILT_IN[named], False, dataset)
    if not isinstance(named, dict):
        raise InputError.single(
            path, "skeleton", "missing", "name a built-in skeleton, or give a [skeleton] table; see docs/formats"
        )
    table = read_as(_Table, named, path, place=lambda pointer: f"skeleton.{pointer}" if pointer else "skeleton")
    try:
        return Description(path, table.skeleton(), True, dataset)
    except ValueError as error:
        raise InputError.single(path, "skeleton", str(error)) from None


def read_skeleton(path: str | Path) -> Skeleton:
    """The skeleton a TOML description names or defines. Raises InputError."""
    return read_description(path).skeleton


def described() -> tuple[Description, ...]:
    """The data sets that came with annotext, by file name."""
    return tuple(read_description(p) for p in sorted(descriptions_dir().glob("*.toml")))


def known_skeletons() -> dict[str, Skeleton]:
    """Built-in skeletons first, then those of the descriptions that came with annotext, by name."""
    return {**BUILT_IN, **{d.skeleton.name: d.skeleton for d in described() if d.own_skeleton}}


def find_skeleton(name: str) -> Skeleton:
    """By name among the known ones, or from a TOML file when `name` ends in .toml. Raises AnnotextError."""
    if name.endswith(".toml"):
        return read_skeleton(name)
    known = known_skeletons()
    if name not in known:
        raise AnnotextError(
            f"no skeleton {name!r}\n  hint: one of {', '.join(known)}, or the path of a .toml file that describes one"
        )
    return known[name]


def skeleton_of_names(names: Sequence[str], skeletons: Mapping[str, Skeleton]) -> Skeleton | None:
    """The skeleton whose keypoints are exactly `names` in this order, as its files or annotext spell them."""
    wanted = tuple(names)
    for skeleton in skeletons.values():
        if tuple(skeleton.canonical(n) for n in wanted) == skeleton.keypoints:
            return skeleton
    return None


def skeleton_to_dict(skeleton: Skeleton) -> dict[str, Any]:
    """All of a skeleton as JSON values, under canonical names."""
    return {
        "name": skeleton.name,
        "keypoints": list(skeleton.keypoints),
        "edges": [list(e) for e in skeleton.edges],
        "flip_pairs": [list(p) for p in skeleton.flip_pairs],
        "sigmas": dict(skeleton.sigmas),
        "sigma_source": skeleton.sigma_source,
        "synonyms": dict(skeleton.synonyms),
    }


def skeleton_from_dict(value: Mapping[str, Any]) -> Skeleton:
    """The inverse of `skeleton_to_dict`. Raises KeyError, TypeError or ValueError."""
    return Skeleton(
        name=value["name"],
        keypoints=tuple(value["keypoints"]),
        edges=tuple((a, b) for a, b in value["edges"]),
        flip_pairs=tuple((a, b) for a, b in value["flip_pairs"]),
        sigmas=value["sigmas"],
        sigma_source=value["sigma_source"],
        synonyms=value["synonyms"],
    )
