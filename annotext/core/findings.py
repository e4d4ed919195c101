"""What a person should know about data that was read without fault: said with its numbers and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


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
