"""`annotext review build|queue|status|collect` and `simulate-review` for people."""

from __future__ import annotations

from collections.abc import Mapping

from rich.markup import escape

from annotext.cli.reports.skipped import skipped_lines
from annotext.core.errors import SHOWN_PROBLEMS
from annotext.evaluation.ranking import Interval
from annotext.render.table import Column, Table
from annotext.workflows.review_build import ReviewBuildReport
from annotext.workflows.review_collect import ReviewCollectReport
from annotext.workflows.review_queue import QueueReport
from annotext.workflows.review_status import DatasetStatus, ReviewStatusReport
from annotext.workflows.simulate_review import SimulationReport

# Lines of a queue for people; programs get all.
SHOWN_PEOPLE = 20


def build_text(report: ReviewBuildReport) -> str:
    """What is in a dataset, view by view, and how to open it."""
    views = Table(["view", "images"], [[name, str(count)] for name, count in report.views.items()])
    return "\n".join(
        [
            f"[bold]{escape(report.dataset)}[/]: {report.people} people on {report.images} images, "
            f"{report.to_review} added points to review",
            *views.lines(2),
            *(f"note: {escape(note)}" for note in report.notes),
            f"open it: annotext review open {escape(report.dataset)}",
        ]
    )


def collect_text(report: ReviewCollectReport) -> str:
    """What is new, and what somebody should look at."""
    lines = [
        f"[bold]{escape(report.output)}[/]: {report.new} new decisions of {escape(report.source)}, {report.decisions} "
        f"in all, on {report.points} points that stand"
    ]
    lines += [f"{f.severity}: {escape(str(f))}" for f in report.findings[:SHOWN_PROBLEMS]]
    if len(report.findings) > SHOWN_PROBLEMS:
        lines.append(f"... and {len(report.findings) - SHOWN_PROBLEMS} more findings (--json shows all)")
    return "\n".join([*lines, *skipped_lines(report.skipped)])


def queue_text(report: QueueReport) -> str:
    """Who is next, and how much error their points are expected to hold."""
    chosen, of = report.chosen, report.of
    lines = [
        f"[bold]{chosen['people']:g} of {of['people']:g} people[/] to review next, with {chosen['points']:g} of "
        f"{of['points']:g} open points{_share(chosen, of, 'points')}, by {report.strategy}"
    ]
    if of["points"]:
        lines.append(
            f"  expected: {chosen['expected_wrong']:.1f} of {of['expected_wrong']:.1f} wrong points"
            f"{_share(chosen, of, 'expected_wrong')}, "
            f"{chosen['expected_error']:.1f} of {of['expected_error']:.1f} person sizes of error"
            f"{_share(chosen, of, 'expected_error')}"
        )
    if report.decided:
        lines.append(f"  decided before, and not asked again: {report.decided} points")
    if report.people:
        rows = []
        for place, person in enumerate(report.people[:SHOWN_PEOPLE], start=1):
            image = str(person["image"])
            points = ", ".join(f"{p['keypoint']} {p['wrong']:.2f}" for p in person["points"])
            image = image if len(image) <= 27 else "..." + image[-24:]
            rows.append([str(place), str(person["id"]), image, f"{person['expected_wrong']:.2f}", points])
        columns = [
            Column("", width=4),
            Column("person", width=13),
            Column("image", left=True, width=27),
            Column("wrong"),
            Column("points, probability wrong", left=True),
        ]
        lines += Table(columns, rows).lines(2)
    if len(report.people) > SHOWN_PEOPLE:
        lines.append(f"  [dim]and {len(report.people) - SHOWN_PEOPLE} more: --json prints all, -o writes them[/]")
    if report.output:
        lines.append(f"  written to [bold]{escape(report.output)}[/]")
    lines += [f"  [yellow]note[/]: {escape(note)}" for note in report.notes]
    return "\n".join(lines)


def status_text(report: ReviewStatusReport) -> str:
    """Dataset by dataset."""
    if not report.datasets:
        return "no dataset of annotext in this database; annotext review build makes one"
    lines = [line for dataset in report.datasets for line in _dataset_lines(dataset)]
    return "\n".join([*lines, *skipped_lines(report.skipped)])


def _dataset_lines(status: DatasetStatus) -> list[str]:
    left = status.minutes_left
    time = "" if left is None or not status.left else f", about {_duration(left)} at the speed so far"
    lines = [
        f"[bold]{escape(status.name)}[/]: {status.decided} points decided, {status.left} to review left{time}",
        f"  [dim]{escape(status.extended)}, {status.images} images[/]",
    ]
    if status.reviewers:
        rows = [
            [
                r.name,
                str(r.points),
                "" if r.per_minute is None else f"{r.per_minute:.1f}",
                ", ".join(f"{count} {verdict}" for verdict, count in r.verdicts.items()),
            ]
            for r in status.reviewers
        ]
        lines += Table(["reviewer", "points", "per minute", Column("decisions", left=True)], rows).lines(2)
    if status.conflicts:
        what = "point" if status.conflicts == 1 else "points"
        lines.append(f"  [yellow]reviewers disagree on {status.conflicts} {what}[/]: see the tag conflict")
    if status.audit is not None:
        lines.append(f"  random audit: {status.audit}")
    return lines + [f"  note: {escape(note)}" for note in status.notes]


def simulation_text(report: SimulationReport) -> str:
    """How much error each order of review would remove, in rich markup."""
    mean, low, high = report.random
    name = Column(f"after {report.share:.0%} of the points", left=True, width=28)
    shares = [Column(head, width=22) for head in ("mass removed", "times random", "wrong removed")]
    removed = [
        [o.strategy, _percent(o.removed), _times(o.times_random), _percent(o.wrong_removed)] for o in report.outcomes
    ]
    removed.append(["random", f"{mean:.1%} ({low:.1%} to {high:.1%})"])
    removed += [[f"{of} by their true error", f"{report.oracle[of]:.1%}"] for of in ("people", "points")]
    residual = [[o.strategy, *(f"{v:.1%}" for v in o.residual)] for o in report.outcomes]
    by_keypoint = [
        [keypoint, f"{f['points']:g}", f"{f['wrong']:g}", f"{f['mass']:.1f}", f"{f['reviewed']:.1%}", _share_of(f)]
        for keypoint, f in report.keypoints.items()
    ]
    counts = [Column(head, width=6) for head in ("points", "wrong", "mass")]
    lines = [
        f"[bold]{escape(report.extended)}[/]: {report.points} open points of {report.people} people on "
        f"{report.images} images, {report.wrong} wrong ({report.absent} of them not in the picture)",
        f"  error mass {report.mass:.1f} person sizes, over the wrong points and none above 1; unclipped "
        f"{report.unclipped:.1f}; over all points, right ones too, {report.distance:.1f}",
        *Table([name, *shares], removed).lines(2),
        f"  [dim]random: mean and 95 % of {report.seeds} orders; by their true error: no order can do better[/]",
        *Table(
            [
                Column("residual mass after", left=True, width=28),
                *(Column(f"{b:.0%}", width=6) for b in report.budgets),
            ],
            residual,
        ).lines(2),
        *Table(
            [Column(f"by {report.outcomes[0].strategy}", left=True, width=28), *counts, "reviewed", "mass removed"],
            by_keypoint,
        ).lines(2),
    ]
    if report.picture:
        lines.append(f"  drawn in {escape(report.picture)}")
    if report.output:
        decided = ", ".join(f"{n} {verdict}" for verdict, n in report.reviewed.items() if verdict != "people")
        people = report.reviewed.get("people", 0)
        lines.append(f"  [bold]{escape(report.output)}[/]: {people} people reviewed: {decided}")
    lines += [f"  [yellow]note[/]: {escape(note)}" for note in report.notes]
    return "\n".join(lines)


def _share(chosen: Mapping[str, float], of: Mapping[str, float], key: str) -> str:
    return f" ({chosen[key] / of[key]:.1%})" if of[key] else ""


def _share_of(figures: Mapping[str, float]) -> str:
    return f"{figures['removed']:.1%}"


def _percent(i: Interval) -> str:
    return f"{i.value:.1%} ({i.low:.1%} to {i.high:.1%})"


def _times(i: Interval) -> str:
    return f"{i.value:.1f} ({i.low:.1f} to {i.high:.1f})"


def _duration(minutes: float) -> str:
    if minutes < 1:
        return "a minute"
    return f"{minutes:.0f} minutes" if minutes < 90 else f"{minutes / 60:.1f} hours"
