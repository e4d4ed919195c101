"""The report of a preflight, as text and as JSON. No torch, no files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.markup import escape

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

    def summary(self) -> str:
        lines = [
            f"[bold]{escape(self.recipe)}[/bold]: {self.model}, {self.parameters / 1e6:.2f} M parameters, "
            f"{len(self.keypoints)} keypoints",
            *(f"  data      {escape(_set_line(d))}" for d in self.data),
            *(f"  validate  {escape(v['name'])}: {v['people']} people" for v in self.validation),
            *(f"  teacher   {escape(_teacher_line(t))}" for t in self.teachers),
            f"  run       {self.pace.line()}" + (", and validation" if self.validation else ""),
            f"  loading   {self.pace.loading()}",
            f"  picture   {escape(self.picture)}: {self.shown} people of one batch",
            "",
            *(escape(line) for line in self._counts()),
        ]
        for data in self.data:
            if data.origins:
                lines += ["", *(escape(line) for line in origin_lines(data))]
        if any(t.overall for t in self.teachers):
            lines += ["", *(escape(line) for line in self._agreement())]
        lines += [f"\n[yellow]warning:[/yellow] {escape(str(f))}" for f in self.findings]
        return "\n".join(lines)

    def _counts(self) -> list[str]:
        """Labelled people per keypoint and data set, and who teaches it."""
        head = ["labelled", *(d.name for d in self.data)] + (["taught by"] if self.teachers else [])
        rows = [head]
        for keypoint in self.keypoints:
            teaching = ", ".join(t.name for t in self.teachers if keypoint in t.teaches)
            counts = [f"{d.labelled[keypoint]}" if d.labels else "withheld" for d in self.data]
            rows.append([keypoint, *counts, *([teaching or "-"] if self.teachers else [])])
        return _aligned(rows, right=range(1, len(self.data) + 1))

    def _agreement(self) -> list[str]:
        """Teachers against labels: median distance in crop pixels, share within two sigmas, number."""
        compared = [t for t in self.teachers if t.overall]
        groups = list(dict.fromkeys(a.group for t in compared for a in t.groups))
        rows = [["teacher against label", *(t.name for t in compared)]]
        for group in [*groups, "all"]:
            cells = [next((a for a in (*t.groups, t.overall) if a and a.group == group), None) for t in compared]
            rows.append([group, *(f"{a.median_px:.1f} px  {a.within:4.0%}  n={a.n:<4}" if a else "-" for a in cells)])
        signed = [
            t.offset and "  ".join(f"{v:+.2f}±{e:.2f}" for v, e in zip(t.offset.xy, t.offset.error, strict=True))
            for t in compared
        ]
        rows.append(["offset x, y (image px)", *(s or "-" for s in signed)])
        return [
            *_aligned(rows, right=range(1, len(compared) + 1)),
            "(median distance in crop pixels, share within 2 sigma)",
        ]


def _finding_dict(finding: Finding) -> dict[str, Any]:
    """As preflight.json has it: the message is its "text"."""
    return {
        "code": finding.code,
        "severity": finding.severity.value,
        "text": finding.message,
        "suggestion": finding.suggestion,
        "numbers": dict(finding.numbers),
    }


def origin_lines(data: SetFacts) -> list[str]:
    """Where the labels of the keypoints come from that annotext added."""
    rows = [[f"{data.name}: added points that are labels", *data.origins]]
    for keypoint in data.labelled:
        counts = [n.get(keypoint, 0) for n in data.origins.values()]
        if any(n for o, n in zip(data.origins, counts, strict=True) if o != "human"):
            cells = [f"{n}" for n in counts]
            if "scored" in data.origins and data.origins["scored"].get(keypoint):
                cells[-1] += f" (weigh {data.scored_weight[keypoint]:g})"
            rows.append([keypoint, *cells])
    if len(rows) == 1:
        return [f"  {data.name}: none of the added points is a label"]
    return _aligned(rows, right=range(1, len(rows[0])))


def _set_line(data: SetFacts) -> str:
    withheld = "" if data.labels else ", labels withheld"
    checked = f"{data.checked} of {data.images} images read" if data.checked else f"{data.images} images, none read"
    return f"{data.name} ({data.skeleton}): {data.trained_on} of {data.people} people{withheld}, {checked}"


def _teacher_line(teacher: TeacherFacts) -> str:
    w, h = teacher.input_wh
    sees = f"{w} x {h}, {teacher.fit}, box x {teacher.expand:g}" + (", clean" if teacher.clean else "")
    moved = ""
    if any(teacher.pixel_offset):
        moved = ", moved by {:+g} {:+g} px".format(*teacher.pixel_offset)
    what = f"{teacher.identity.get('source', '')} (sha256 {teacher.identity.get('sha256', '')[:12]})"
    return f"{teacher.name}: {what}, {len(teacher.teaches)} keypoints, weight {teacher.weight:g}, sees {sees}{moved}"


def _aligned(rows: Sequence[Sequence[str]], *, right: Iterable[int]) -> list[str]:
    """Rows of equal length as lines with columns of equal width; right: the columns that end together."""
    right = set(right)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  " + "  ".join(c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(cells)).rstrip()
        for cells in ([*zip(row, widths, strict=True)] for row in rows)
    ]


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
