"""What is wrong with an input, said so that a person can find the place and mend it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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
        return {"path": self.path, "pointer": self.pointer, "problem": self.problem, "hint": self.hint}

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
