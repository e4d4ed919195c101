"""The `[policy]` table: how it is decided what becomes a label, in a recipe or in a TOML file of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annotext.core.errors import InputError
from annotext.core.policy import DEFAULT_ASK_FROM, DEFAULT_MIN_SCORE, DEFAULT_TARGET_ERROR, Policy
from annotext.formats.files.typed import demand, read_as, read_toml


@dataclass(frozen=True)
class PolicyRecipe:
    """See `annotext.core.policy.Policy` for the meaning of the keys.

    target_error: the share of a keypoint's added points that may be wrong; [policy.keypoints] says it for single ones.
    """

    target_error: float = DEFAULT_TARGET_ERROR
    ask_from: float = DEFAULT_ASK_FROM
    write_asked: bool = False
    min_score: float = DEFAULT_MIN_SCORE
    keypoints: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, error in {"target_error": self.target_error, **self._by_pointer()}.items():
            demand(0 < error < 1, name, f"{error} is no share above 0 and below 1")
        for name in ("ask_from", "min_score"):
            value = getattr(self, name)
            demand(0 <= value <= 1, name, f"{value} is outside 0-1")

    def _by_pointer(self) -> dict[str, float]:
        return {f"keypoints.{name}": error for name, error in self.keypoints.items()}

    def policy(self) -> Policy:
        """What `annotext.core.policy.decide` takes."""
        return Policy(self.target_error, dict(self.keypoints), self.ask_from, self.write_asked, self.min_score)


def read_policy(path: str | Path) -> PolicyRecipe:
    """The `[policy]` table of a TOML file: of a recipe, or of one that holds nothing else.

    Raises InputError with all problems of the table, and for a file without one.
    """
    policy = find_policy(path)
    if policy is None:
        raise InputError.single(path, "", "has no [policy] table", "write [policy] above target_error = 0.05")
    return policy


def find_policy(path: str | Path) -> PolicyRecipe | None:
    """As `read_policy`, but None for a file without the table, as recipes of earlier versions are."""
    document = read_toml(path)
    return parse_policy(document["policy"], path) if "policy" in document else None


def parse_policy(table: Any, path: str | Path) -> PolicyRecipe:
    """Check a `[policy]` table; `path` names its file in problems. Raises InputError with all problems."""
    return read_as(PolicyRecipe, table, path, place=lambda pointer: f"policy.{pointer}" if pointer else "policy")
