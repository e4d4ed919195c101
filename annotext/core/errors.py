"""What is wrong with an input, and what a person should know about one that was read without fault."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

# A file with a systematic fault has thousands of problems; twenty show the pattern, the rest is a count.
SHOWN_PROBLEMS = 20


@dataclass(frozen=True)
class Problem:
    """One fault of one file.

    `pointer` is where in the file, as a reader would look it up (``annotations[3].keypoints``, empty for the
    whole file); `hint` is what to do about it, empty where there is nothing to say.
    """

    path: str
    pointer: str
    problem: str
    hint: str = ""

    def to_dict(self) -> dict[str, str]:
        """For reports."""
        return asdict(self)

    def __str__(self) -> str:
        place = f"{self.path}: {self.pointer}" if self.pointer else self.path
        line = f"{place}: {self.problem}"
        return f"{line}\n  hint: {self.hint}" if self.hint else line


class AnnotextError(Exception):
    """A failure annotext knows: commands print its message without a traceback and exit with 1."""


class InputError(AnnotextError):
    """All problems found in an input at once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        if not self.problems:
            raise ValueError("an InputError needs at least one problem")
        shown = [str(p) for p in self.problems[:SHOWN_PROBLEMS]]
        left = len(self.problems) - len(shown)
        if left:
            shown.append(f"... and {left} more problem{'s' if left > 1 else ''}")
        super().__init__("\n".join(shown))

    @classmethod
    def single(cls, path: object, pointer: str, problem: str, hint: str = "") -> InputError:
        """An error of exactly one problem."""
        return cls([Problem(str(path), pointer, problem, hint)])


class Severity(StrEnum):
    """How much a finding matters."""

    INFO = "info"  # as it should be, and good to know
    WARNING = "warning"  # somebody should look
    ERROR = "error"  # something was not done for it


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    code: stable, for programs. message: one sentence for people. numbers: what it rests on, as JSON values, the ids
    concerned included. suggestion: what to do about it, empty where there is nothing to say.
    """

    code: str
    severity: Severity
    message: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    suggestion: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "code": self.code,
            "severity": self.severity.value,
            "message": self.message,
            "numbers": dict(self.numbers),
            "suggestion": self.suggestion,
        }

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.suggestion}" if self.suggestion else self.message
