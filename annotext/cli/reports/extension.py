"""`annotext predict`, `extend` and `decide` for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.markup import escape

from annotext.cli.reports.skipped import skipped_lines
from annotext.predictors.tta import AUGMENTATIONS
from annotext.render.table import Column, Table
from annotext.workflows.decide import ExtensionReport
from annotext.workflows.predict import PredictReport

_NOT_EXTENDED = {
    "without_keypoints": "without labelled keypoints",
    "crowd": "crowds",
    "all_withheld": "whose points were all withheld",
    "not_predicted": "that no predictor saw and from whose labels nothing follows",
}
_LEFT_OUT = {
    "other_category": "of other categories",
    "low_score": "below the minimum score",
    "annotated_image": "on images with annotations",
    "overlapping": "overlapping a stronger one",
}


def predict_text(report: PredictReport) -> str:
    """What was predicted, in rich markup."""
    people = report.people
    lines = [
        f"[bold]{escape(report.output)}[/]: {people['asked'] - people['found']} of {people['in_file']} people"
        + (f", and {people['found']} that were detected" if people["found"] else "")
        + f", on {report.images} images"
    ]
    others = [f"{people[key]} {_NOT_EXTENDED[key]}" for key in ("without_keypoints", "crowd") if people[key]]
    if others:
        lines.append(f"  not predicted: {', '.join(others)}")
    for p in report.predictors:
        lines.append(f"  {escape(p['name'])} ({p['source']}, sha256 {p['sha256'][:12]}): {p['people']} people")
        lines.append(f"    {len(p['keypoints'])} keypoints, each with score, {', '.join(p['features'])}")
    again = sum(AUGMENTATIONS[p] for p in report.tta)
    augmented = f", {1 + again} times per person (test-time augmentation: {', '.join(report.tta)})" if again else ""
    lines.append(
        f"  in {report.seconds:.1f} s: {people['asked'] / max(report.seconds, 1e-9):.1f} people/s by "
        f"{len(report.predictors)} predictor{'s' if len(report.predictors) > 1 else ''}{augmented}"
    )
    return "\n".join([*lines, *skipped_lines(report.skipped)])


def extension_text(report: ExtensionReport) -> str:
    """What became of the people of a file, in rich markup."""
    people = report.people
    lines = [
        f"[bold]{escape(report.output)}[/]: {people['extended']} of {people['in_file']} people on {report.images} "
        f"images extended from {report.skeleton} by {', '.join(report.keypoints)}"
    ]
    rows = [
        [
            name,
            str(sum(counts["added"].values())),
            ", ".join(f"{n} {source}" for source, n in counts["added"].items()),
            str(sum(counts["asked"].values())),
            str(sum(counts["withheld"].values())),
            ", ".join(f"{n} {reason}" for reason, n in {**counts["withheld"], **counts["not_added"]}.items()),
        ]
        for name, counts in report.keypoints.items()
    ]
    columns = [
        Column("keypoint", left=True, width=14),
        Column("added", width=6),
        Column("from", left=True, width=32),
        "to ask",
        "withheld",
        Column("", left=True, style="dim"),
    ]
    lines += Table(columns, rows).lines(2)
    listed_below = ("without_keypoints",) if report.unlabelled is not None else ()
    untouched = [f"{people[k]} {text}" for k, text in _NOT_EXTENDED.items() if people[k] and k not in listed_below]
    if untouched:
        lines.append(f"  not extended: {', '.join(untouched)}")
    if report.unlabelled is not None:
        lines += _pseudo_label_lines(report.unlabelled)
    lines += [f"  predictor: {escape(p.name)} ({p.source}, sha256 {p.sha256[:12]})" for p in report.predictors]
    lines += _policy_lines(report)
    if report.seconds is not None and report.predictors:
        speed = people["predicted"] / max(report.seconds, 1e-9)
        lines.append(f"  predicted in {report.seconds:.1f} s ({speed:.1f} people/s)")
    lines += [f"  [yellow]note[/]: {escape(note)}" for note in report.notes]
    return "\n".join([*lines, *skipped_lines(report.skipped)])


def _policy_lines(report: ExtensionReport) -> list[str]:
    policy = report.policy
    lines = [f"  policy ({escape(report.policy_from)}):"]
    for name, trust in report.trust.items():
        target = f"    {name}: at most {100 * policy.target_of(name):g} % of the added wrong"
        if trust["add_from"] is None:
            lines.append(f"{target}: no score reaches that, to ask from {trust['ask_from']:.2f}")
            continue
        wrong = trust["expected_wrong"]
        expected = "" if wrong is None else f"; {100 * wrong:.1f} % expected"
        lines.append(f"{target}: added from {trust['add_from']:.2f}, to ask from {trust['ask_from']:.2f}{expected}")
    rest = [k for k in report.keypoints if k not in report.trust]
    if rest and report.predictors:
        lines.append(f"    scores of {', '.join(rest)} are uncalibrated: withheld below {policy.min_score:g}")
    if not isinstance(report.calibration, str):
        # A file with several parts is one truth to a reader.
        truths = dict.fromkeys(f"{escape(t['file'])} ({t['protocol']})" for t in report.calibration["truth"])
        lines.append(f"  calibration: sha256 {report.calibration['sha256'][:12]}, fitted on {', '.join(truths)}")
    return lines


def _pseudo_label_lines(unlabelled: Mapping[str, Any]) -> list[str]:
    """People without labels: those of the file, and detected ones."""
    groups = {"without keypoints in the file": unlabelled["people"]}
    if "found" in unlabelled:
        groups["found by the detector on images without annotations"] = unlabelled["found"]
    lines = []
    for name, people in groups.items():
        lines.append(
            f"  {people['in_all']} people {name}: {people['labelled']} pseudo-labelled, {people['left_empty']} left "
            f"empty (fewer than {unlabelled['min_points']} sure points)"
            + (f", {people['not_predicted']} not predicted" if people["not_predicted"] else "")
        )
    if "detections" in unlabelled:
        left = {text: unlabelled["detections"]["left_out"][key] for key, text in _LEFT_OUT.items()}
        if any(left.values()):
            lines.append("  detections left out: " + ", ".join(f"{n} {text}" for text, n in left.items() if n))
    points = unlabelled["keypoints"].values()
    added, withheld = sum(p["added"] for p in points), sum(p["withheld"] for p in points)
    lines.append(f"  {added} pseudo-labels, {withheld} more points withheld; none of them is a human label")
    return lines
