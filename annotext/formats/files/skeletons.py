"""Skeletons and data sets described in TOML: `datasets/*.toml`, and any file of the same form a user writes.

A file says `skeleton = "coco17"` (one annotext has built in) or carries a `[skeleton]` table of its own:
name, keypoints (as the data set's files spell them), synonyms (native = "canonical"), edges and flip_pairs by name,
sigmas by name, sigma_source. A `[dataset]` table of facts for people may stand beside it; nothing reads numbers off it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotext.core.errors import AnnotextError, InputError, Problem
from annotext.core.skeleton import Skeleton
from annotext.core.skeletons import BUILT_IN

_TABLE_KEYS = {"name", "keypoints", "synonyms", "edges", "flip_pairs", "sigmas", "sigma_source"}


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
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError.single(path, "", f"cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError.single(path, "", "is not UTF-8 text") from None
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError.single(path, "", f"is not TOML: {error}") from None
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
    return Description(path, _skeleton_from_table(path, named), True, dataset)


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


def _skeleton_from_table(path: Path, table: Mapping[str, Any]) -> Skeleton:
    problems: list[Problem] = []

    def wrong(pointer: str, problem: str, hint: str = "") -> None:
        problems.append(Problem(str(path), pointer, problem, hint))

    for key in table:
        if key not in _TABLE_KEYS:
            wrong(f"skeleton.{key}", "unknown key", f"known: {', '.join(sorted(_TABLE_KEYS))}")
    for key in ("name", "sigma_source"):
        if not isinstance(table.get(key), str) or not table[key]:
            wrong(f"skeleton.{key}", "expected a text")
    keypoints = table.get("keypoints")
    if not isinstance(keypoints, list) or not keypoints or not all(isinstance(k, str) and k for k in keypoints):
        wrong("skeleton.keypoints", "expected a list of names")
        keypoints = []
    synonyms = table.get("synonyms", {})
    if not isinstance(synonyms, dict) or not all(isinstance(v, str) for v in synonyms.values()):
        wrong("skeleton.synonyms", "expected a table of native = canonical names")
        synonyms = {}
    for key in ("edges", "flip_pairs"):
        pairs = table.get(key, [])
        if not isinstance(pairs, list) or not all(
            isinstance(p, list) and len(p) == 2 and all(isinstance(end, str) for end in p) for p in pairs
        ):
            wrong(f"skeleton.{key}", "expected a list of pairs of names")
    sigmas = table.get("sigmas")
    if not isinstance(sigmas, dict) or not all(type(v) in (int, float) for v in sigmas.values()):
        wrong("skeleton.sigmas", "expected a table of name = number", "COCO's kpt_oks_sigmas are one choice; say whose")
    if problems:
        raise InputError(problems)

    def canonical(name: str) -> str:
        return synonyms.get(name, name)

    assert isinstance(sigmas, dict)
    try:
        return Skeleton(
            name=table["name"],
            keypoints=tuple(canonical(k) for k in keypoints),
            edges=tuple((canonical(a), canonical(b)) for a, b in table.get("edges", [])),
            flip_pairs=tuple((canonical(a), canonical(b)) for a, b in table.get("flip_pairs", [])),
            sigmas={canonical(k): v for k, v in sigmas.items()},
            sigma_source=table["sigma_source"],
            synonyms=synonyms,
        )
    except ValueError as error:
        raise InputError.single(path, "skeleton", str(error)) from None
