"""The report of a preflight, as text and as JSON. No torch, no files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from annotext.core.errors import Finding, Severity

FORMAT = "annotext-preflight/1"


def warning(code: str, message: str, suggestion: str, numbers: Mapping[str, Any]) -> Finding:
    """Something to know before the run, which does not stop it; arguments as `Finding` has them."""
    return Finding(code, Severity.WARNING, message, numbers, suggestion)


@dataclass(frozen=True)
class SetFacts:
    """One data set. images: files its people are in, of which `checked` were read. labels: false: withheld from the
    student. labelled: keypoint -> people trained on who have it. Where added points are labels too, origins: why a
    label is one (`added_labels.Origin`) -> keypoint -> how many; scored_weight: keypoint -> what the scored ones weigh
    together."""

    name: str
    skeleton: str
    people: int
    trained_on: int
    images: int
    checked: int
    labels: bool
    labelled: Mapping[str, int]
    origins: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    scored_weight: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        names = ("name", "skeleton", "people", "trained_on", "images", "checked", "labels")
        told: dict[str, Any] = {**{n: getattr(self, n) for n in names}, "labelled": dict(self.labelled)}
        if self.origins:
            told |= {"origins": {o: dict(n) for o, n in self.origins.items()}}
            told |= {"scored_weight": dict(self.scored_weight)}
        return told


@dataclass(frozen=True)
class Agreement:
    """How near a teacher's peaks are to the labels, on the keypoints of one group that both have.

    group: a keypoint's name without its side. median_px: student crop pixels. within: share, 0 to 1, within two sigmas
    of the student's targets on both axes.
    """

    group: str
    n: int
    median_px: float
    within: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "group": self.group,
            "n": self.n,
            "median_px": round(self.median_px, 3),
            "within_2_sigma": round(self.within, 4),
        }


@dataclass(frozen=True)
class Offset:
    """Where a teacher's peaks lie from the labels, x and y, image pixels: medians over n points, with standard errors.
    What the teacher's `pixel_offset` corrects is corrected already."""

    xy: tuple[float, float]
    error: tuple[float, float]
    n: int

    def to_dict(self) -> dict[str, Any]:
        return {"xy": [round(v, 3) for v in self.xy], "error": [round(v, 3) for v in self.error], "n": self.n}


@dataclass(frozen=True)
class TeacherFacts:
    """One teacher: what it is, how it sees people, and how it agrees with the labels (by group, None: on all)."""

    name: str
    identity: Mapping[str, str]
    teaches: tuple[str, ...]
    weight: float
    input_wh: tuple[int, int]
    expand: float
    fit: str
    clean: bool
    pixel_offset: tuple[float, float]
    overall: Agreement | None = None
    groups: tuple[Agreement, ...] = ()
    offset: Offset | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            **self.identity,
            "teaches": list(self.teaches),
            "weight": self.weight,
            "crop": {"input": list(self.input_wh), "expand": self.expand, "fit": self.fit, "clean": self.clean},
            "pixel_offset": list(self.pixel_offset),
            "agreement": {
                "all": None if self.overall is None else self.overall.to_dict(),
                "groups": [a.to_dict() for a in self.groups],
                "offset": None if self.offset is None else self.offset.to_dict(),
            },
        }


@dataclass(frozen=True)
class Pace:
    """What was timed, and what follows from it. Measured: it differs from one time to the next.

    step_s: median seconds of forward, backward and optimizer on one batch. load_s: seconds in which one process makes
    one batch. each_s: expected seconds per step, with `workers` processes loading. memory: peak bytes, of the GPU
    (allocated by torch) or of this process; capacity: of the GPU, 0 on a CPU.
    """

    device: str
    batch: int
    workers: int
    step_s: float
    load_s: float
    each_s: float
    steps: int
    memory: int
    capacity: int

    @property
    def total_s(self) -> float:
        """Of the whole run, without validation."""
        return self.each_s * self.steps

    def to_dict(self) -> dict[str, Any]:
        return {
            "device": self.device,
            "batch": self.batch,
            "workers": self.workers,
            "step_seconds": round(self.step_s, 4),
            "loading_seconds": round(self.load_s, 4),
            "expected_step_seconds": round(self.each_s, 4),
            "steps": self.steps,
            "expected_seconds": round(self.total_s, 1),
            "memory_bytes": self.memory or None,
            "memory_capacity_bytes": self.capacity or None,
        }

    def line(self) -> str:
        """The estimate in one line."""
        memory = f", {_bytes(self.memory)} of memory" if self.memory else ""
        if self.memory and self.capacity:
            memory = f", {_bytes(self.memory)} of the GPU's {_bytes(self.capacity)}"
        steps = f"{self.steps} step" + "s" * (self.steps != 1)
        return f"{steps} of about {_seconds(self.each_s)}: {duration(self.total_s)}{memory}"

    def loading(self) -> str:
        """Who waits for whom."""
        alone = (
            f"one process makes {self.batch / self.load_s:.0f} people/s, a step takes {self.batch / self.step_s:.0f}"
        )
        if not self.workers:
            share = self.load_s / (self.load_s + self.step_s)
            return f"{alone}; crops are made between the steps, {share:.0%} of the time (workers = 0)"
        supply = self.load_s / self.workers
        who = "the steps wait for the loader" if supply > self.step_s else "the loader waits for the steps"
        return f"{alone}; with {self.workers} workers {who}"


@dataclass(frozen=True)
class PreflightReport:
    """Everything looked at before a run. validation: name and people of each [[validation]]. shown: people drawn in
    `picture`."""

    folder: str
    recipe: str
    model: str
    parameters: int
    keypoints: tuple[str, ...]
    data: tuple[SetFacts, ...]
    validation: tuple[Mapping[str, Any], ...]
    teachers: tuple[TeacherFacts, ...]
    pace: Pace
    findings: tuple[Finding, ...]
    picture: str
    shown: int

    def to_dict(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "recipe": self.recipe,
            "model": self.model,
            "parameters": self.parameters,
            "keypoints": list(self.keypoints),
            "data": [d.to_dict() for d in self.data],
            "validation": [dict(v) for v in self.validation],
            "teachers": [t.to_dict() for t in self.teachers],
            "pace": self.pace.to_dict(),
            "findings": [_finding_dict(f) for f in self.findings],
            "picture": self.picture,
        }

    def lines(self) -> list[str]:
        """What matters before a real run: the estimate and the findings, plain text."""
        after = " and validation" if self.validation else ""
        return [f"{self.pace.line()}{after}; look at {self.picture}", *(f"warning: {f}" for f in self.findings)]


def _finding_dict(finding: Finding) -> dict[str, Any]:
    """As preflight.json has it: the message is its "text"."""
    return {
        "code": finding.code,
        "severity": finding.severity.value,
        "text": finding.message,
        "suggestion": finding.suggestion,
        "numbers": dict(finding.numbers),
    }


def _bytes(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.0f} ms"


def duration(seconds: float) -> str:
    """About how long, in the unit a person would use."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
