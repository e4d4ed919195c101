"""How well keypoints follow from labelled ones: declared rules measured, new ones found, beside regression on geometry.

What the figures mean is written in docs/derive.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from annotext.calibration.pose_only import fit
from annotext.core.anatomy import SHARED
from annotext.core.derive import Rule, formula, rule_for
from annotext.core.errors import AnnotextError, InputError, Problem
from annotext.core.poses import Poses
from annotext.core.skeleton import Skeleton
from annotext.core.skeletons import COCO17, MPII16
from annotext.evaluation.derive_check import Figures, Measurement, Unit, measure, unit_of
from annotext.evaluation.derive_search import MOST_PARENTS, Found, find
from annotext.formats.annotations.head_sizes import with_head_sizes
from annotext.formats.annotations.read import AnnotationFile, read_annotations
from annotext.formats.files.jsonio import write_json
from annotext.formats.files.outputs import check_output
from annotext.formats.files.skeletons import known_skeletons
from annotext.formats.overlay.write import refuse_extended

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Regressor:
    """The no-image regressor (calibration/pose_only.py) on one keypoint.

    inputs: what it looks at. taught: people it was fitted on. everybody: over all people it could be judged on.
    same: over those the found rules were judged on; None without found rules.
    """

    inputs: tuple[str, ...]
    everybody: Figures
    same: Figures | None


@dataclass(frozen=True)
class KeypointCheck:
    """One keypoint.

    labelled: people of the file who have it; crowds left out. notes: what could not be done, and why.
    """

    labelled: int
    measurement: Measurement | None
    found: Found | None
    regressor: Regressor | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class DeriveCheckReport:
    """What `annotext derive-check` found.

    unit: a key of `LIMITS`; with_unit: people who have one. names: (id, image) of all people of the file.
    """

    file: str
    sha256: str
    skeleton: str
    people: int
    unit: str
    with_unit: int
    train: str | None
    train_sha256: str | None
    keypoints: dict[str, KeypointCheck]
    names: tuple[tuple[int, str], ...]
    skipped: tuple[Problem, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Keypoint -> figures of its declared rule (n 0 and null without one), then what else is known of it."""
        return {name: self._keypoint(check) for name, check in self.keypoints.items()}

    def to_frame(self) -> pd.DataFrame:
        """One row per rule: keypoint, kind (declared, found, regression), rule, unit, n, then the figures that
        `Figures.to_dict` names, each with its 95 % interval (NAME_low, NAME_high)."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for name, check in self.keypoints.items():
            rules: list[tuple[str, str, Figures]] = []
            if check.measurement is not None:
                rules.append(("declared", check.measurement.rule.text(), check.measurement.figures))
            if check.found is not None:
                rules += [("found", found.rule.text(), found.figures) for found in check.found.rules]
            if check.regressor is not None:
                rules.append(("regression", ", ".join(check.regressor.inputs), check.regressor.everybody))
            for kind, rule, measured in rules:
                figures = measured.to_dict()
                for figure, interval in figures.pop("interval_95").items():
                    figures |= {f"{figure}_low": interval[0], f"{figure}_high": interval[1]}
                rows.append({"keypoint": name, "kind": kind, "rule": rule, "unit": self.unit, **figures})
        return pd.DataFrame(rows)

    def document(self) -> dict[str, Any]:
        """`to_dict` under "keypoints", and which files it is about: what --report writes."""
        return {
            "file": {"name": self.file, "sha256": self.sha256, "skeleton": self.skeleton, "people": self.people},
            "train": None if self.train is None else {"name": self.train, "sha256": self.train_sha256},
            "unit": {"name": self.unit, "people": self.with_unit},
            "keypoints": self.to_dict(),
            "skipped": [p.to_dict() for p in self.skipped],
        }

    def _keypoint(self, check: KeypointCheck) -> dict[str, Any]:
        measured = check.measurement
        entry = (_nobody(self.unit) if measured is None else measured.figures).to_dict()
        entry["unit"] = self.unit
        entry["labelled"] = check.labelled
        entry["rule"] = None
        if measured is not None:
            entry["without_parents"] = measured.without_parents
            entry["without_unit"] = measured.without_unit
            entry["rule"] = _rule_dict(measured.rule)
            entry["farthest"] = [
                {"id": self.names[row][0], "image": self.names[row][1], "distance": round(distance, 6)}
                for row, distance in measured.farthest
            ]
        if check.found is not None:
            entry["found"] = [
                {"weights": {k: round(w, 6) for k, w in f.rule.weights.items()}, **f.figures.to_dict()}
                for f in check.found.rules
            ]
            entry["searched"] = {
                "parents": list(check.found.parents),
                "left_out": list(check.found.left_out),
                "candidates": check.found.candidates,
                "fitted_on": check.found.taught,
                "judged_on": len(check.found.rows),
                "how": "cross-fitted by image" if self.train is None else "fitted on the train file",
            }
        if check.regressor is not None:
            same = check.regressor.same
            entry["regressor"] = {
                "inputs": list(check.regressor.inputs),
                **check.regressor.everybody.to_dict(),
                "same_people_as_found": None if same is None else same.to_dict(),
            }
        entry["notes"] = list(check.notes)
        return entry


def _nobody(unit: str) -> Figures:
    return Figures.of(unit, np.zeros(0), np.zeros(0, dtype=np.int64))


def _rule_dict(rule: Rule) -> dict[str, Any]:
    return {
        "weights": dict(rule.weights),
        "formula": formula(rule.weights),
        "source": rule.source,
        "target": rule.target,
        "evidence": rule.evidence,
    }


def derive_check(
    file: str | Path,
    *,
    keypoints: Sequence[str] | None = None,
    search: bool = False,
    train: str | Path | None = None,
    parents: Sequence[str] | None = None,
    most_parents: int = MOST_PARENTS,
    head_sizes: str | Path | None = None,
    report: str | Path | None = None,
    skip_bad: bool = False,
    force: bool = False,
) -> DeriveCheckReport:
    """Measure the declared rules on FILE, and with `search` or `train` find others.

    keypoints: default those a declared rule gives and FILE has; when searching, all that COCO or MPII lacks.
    train: where rules and the no-image regressor are fitted; without it rules are cross-fitted on FILE, and there is
    no regressor. parents: candidate parents, or the name of one skeleton; default what FILE shares with the one of
    COCO and MPII that lacks the keypoint, less what is itself derived. head_sizes: MPII's official .mat, in place of
    FILE's head boxes. report: where to write `document()`. skip_bad: leave out faulty records, and list them.

    Raises InputError or AnnotextError.
    """
    if most_parents < 2:
        raise AnnotextError(f"a rule needs at least two parents, not {most_parents}")
    inputs = [p for p in (file, train, head_sizes) if p is not None]
    if report is not None:
        check_output(report, force=force, inputs=inputs)
    here = _read(file, skip_bad)
    poses = here.poses if head_sizes is None else with_head_sizes(here.poses, head_sizes)
    teaching = None if train is None else _read(train, skip_bad)
    search = search or train is not None
    names = _keypoints(here, keypoints, search)
    unit = unit_of(poses)
    taught = poses.skeleton if teaching is None else teaching.poses.skeleton
    wanted = {name: _parents(name, poses.skeleton, taught, parents) for name in names} if search else {}
    checks = {
        name: _check(
            name, poses, unit, wanted.get(name), teaching, most_parents=most_parents, keep_all=parents is not None
        )
        for name in names
    }
    if teaching is not None:
        checks = {
            name: _with_regressor(check, name, wanted[name], poses, unit, teaching) for name, check in checks.items()
        }
    result = DeriveCheckReport(
        file=Path(file).name,
        sha256=here.sha256,
        skeleton=poses.skeleton.name,
        people=len(poses),
        unit=unit.name,
        with_unit=int(np.isfinite(unit.length).sum()),
        train=None if train is None else Path(train).name,
        train_sha256=None if teaching is None else teaching.sha256,
        keypoints=checks,
        names=tuple(zip(poses.ids.tolist(), poses.file_names(), strict=True)),
        skipped=(*here.skipped, *(() if teaching is None else teaching.skipped)),
    )
    if report is not None:
        write_json(result.document(), report, force=force, inputs=inputs, indent=True)
    return result


def _read(path: str | Path, skip_bad: bool) -> AnnotationFile:
    """Raises InputError for an extended file: what annotext added is no label."""
    file = read_annotations(path, skip_bad=skip_bad)
    refuse_extended(file)
    return file


def _keypoints(file: AnnotationFile, keypoints: Sequence[str] | None, search: bool) -> tuple[str, ...]:
    skeleton = file.poses.skeleton
    if keypoints:
        unknown = [k for k in keypoints if k not in skeleton.index]
        if unknown:
            raise InputError.single(
                file.path, "", f"has no keypoint {', '.join(unknown)}", f"it has {', '.join(skeleton.keypoints)}"
            )
        return tuple(dict.fromkeys(keypoints))
    names = tuple(k for k in skeleton.keypoints if rule_for(k, skeleton) is not None or (search and k not in SHARED))
    if not names:
        raise InputError.single(
            file.path,
            "",
            f"({skeleton.name}) has none of the keypoints that declared rules give",
            "--find --keypoint NAME looks for a rule for a keypoint it has",
        )
    return names


def _parents(keypoint: str, skeleton: Skeleton, taught: Skeleton, given: Sequence[str] | None) -> tuple[str, ...]:
    """Candidate parents of `keypoint`, in the skeleton's order; taught: skeleton of the people fitted on."""
    if given is not None:
        known = known_skeletons()
        names = known[given[0]].keypoints if len(given) == 1 and given[0] in known else tuple(given)
        if names == tuple(given):
            unknown = [k for k in names if k not in skeleton.index]
            if unknown:
                raise AnnotextError(f"the file ({skeleton.name}) has no keypoint {', '.join(unknown)} to derive from")
    else:
        lacking = next((s for s in (COCO17, MPII16) if keypoint not in s.index), skeleton)
        derived = [k for k in lacking.keypoints if rule_for(k, skeleton) is not None]
        names = tuple(k for k in lacking.keypoints if k not in derived and k in taught.index)
    return tuple(k for k in skeleton.keypoints if k in names and k != keypoint)


def _check(
    keypoint: str,
    poses: Poses,
    unit: Unit,
    parents: tuple[str, ...] | None,
    teaching: AnnotationFile | None,
    *,
    most_parents: int,
    keep_all: bool,
) -> KeypointCheck:
    notes: list[str] = []
    labelled = int((poses.labelled[:, poses.skeleton.index[keypoint]] & ~poses.crowd).sum())
    rule = rule_for(keypoint, poses.skeleton)
    measurement = None if rule is None else measure(poses, rule, unit)
    found = None
    if parents is not None:
        try:
            train = None if teaching is None else teaching.poses
            found = find(poses, keypoint, parents, unit, train=train, keep_all=keep_all, most_parents=most_parents)
        except ValueError as error:
            notes.append(f"no rule was looked for: {error}")
    elif rule is None:
        notes.append("no declared rule gives it; --find looks for one")
    if not labelled:
        notes.append("nobody has it labelled")
    return KeypointCheck(labelled, measurement, found, None, tuple(notes))


def _with_regressor(
    check: KeypointCheck, keypoint: str, inputs: tuple[str, ...], poses: Poses, unit: Unit, teaching: AnnotationFile
) -> KeypointCheck:
    """The same, with the no-image regressor fitted for this keypoint alone: what else is checked must not matter."""
    try:
        predicted = fit(teaching.poses, inputs, [keypoint]).predict(poses)[:, 0]
    except ValueError as error:
        return replace(check, notes=(*check.notes, f"no regression: {error}"))
    truth = poses.xy[:, poses.skeleton.index[keypoint]]
    distance = np.linalg.norm(predicted - truth, axis=1) / unit.length
    judged = np.isfinite(distance) & ~poses.crowd

    def figures(rows: NDArray[np.intp]) -> Figures:
        return Figures.of(unit.name, distance[rows], poses.image_index[rows])

    same = None if check.found is None else figures(check.found.rows[judged[check.found.rows]])
    return replace(check, regressor=Regressor(inputs, figures(np.flatnonzero(judged)), same))
