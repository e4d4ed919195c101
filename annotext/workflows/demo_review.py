"""The demo's last step: FiftyOne datasets of the files it extended, ready for a person."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.markup import escape

from annotext.core.errors import AnnotextError
from annotext.workflows.review_build import ReviewBuildReport, build_review


@dataclass(frozen=True)
class DemoReview:
    """What was built for review, by set. problem: why not all of it was; else empty."""

    built: Mapping[str, ReviewBuildReport]
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"built": {name: report.to_dict() for name, report in self.built.items()}, "problem": self.problem}

    def summary(self) -> str:
        """How to open what has most to look at, in rich markup."""
        failed = [f"not built for review: {escape(self.problem)}"] if self.problem else []
        if not self.built:
            return failed[0]
        most = max(self.built.values(), key=lambda report: report.to_review)
        lines = [
            f"{report.dataset}: {report.people} people, {report.to_review} added points to review"
            for report in self.built.values()
        ]
        return "\n".join(
            [*failed, *lines, f"Review them in a browser: [bold]{escape(_program())} review open {most.dataset}[/]"]
        )


def ready_for_review(
    extended: Mapping[str, Path], images: Mapping[str, Path], predictions: Mapping[str, Path]
) -> DemoReview:
    """Build one dataset per set, in place of an earlier demo's; decisions do not live in datasets.

    A machine without FiftyOne or without a database for it gets the reason and the cure: the rest of the demo stands.
    """
    if find_spec("fiftyone") is None:
        return DemoReview({}, "FiftyOne is not installed: pip install 'annotext[review]'")
    built = {}
    try:
        for name, file in extended.items():
            built[name] = build_review(
                file, images[name], name=f"annotext-demo-{name}", overwrite=True, predictions=[predictions[name]]
            )
    except AnnotextError as error:
        return DemoReview(built, str(error))
    return DemoReview(built)


def _program() -> str:
    """`annotext` as this user has to type it: `make demo` runs it from a virtual environment that is not active."""
    if shutil.which("annotext"):
        return "annotext"
    beside = Path(sys.executable).with_name("annotext")
    try:
        return str(beside.relative_to(Path.cwd()))
    except ValueError:
        return str(beside)
