"""Finished runs as a comparison needs them: read, checked, and put into groups that differ by their seed only.

A group is one student trained several times. What decides is the run's own recipe.toml without its name, seed, paths,
[runtime] and [policy]; how many people it was trained on; and the validation people it was evaluated on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotext.core.anatomy import SHARED
from annotext.core.errors import InputError, Problem
from annotext.core.skeletons import COCO17, MPII16
from annotext.evaluation.files import FILE, EvaluatedSet, Evaluation, Figures, read_evaluation
from annotext.evaluation.paper.published import INPUT, KINDS, SIZES, UNION
from annotext.formats.files.skeletons import known_skeletons
from annotext.formats.files.typed import read_toml

# Two drawings of the same synthetic set differ by a per cent or so in how many people can be trained on.
_SAME_NUMBER = 0.05
_ONLY = {COCO17.name: "COCO", MPII16.name: "MPII"}


@dataclass(frozen=True)
class Run:
    """One finished run.

    settings: its recipe.toml without what may differ between seeds, flat; None where it has none. trained_on: (name,
    sha256, people) per data set, empty where data.json is not there. teachers: the sha256 of their weights.
    coco, mpii: the validation sets that stand for COCO and MPII in the paper's tables.
    """

    path: str
    evaluation: Evaluation
    recipe: str
    seed: int | None
    settings: Mapping[str, str] | None
    trained_on: tuple[tuple[str, str, int], ...]
    teachers: tuple[str, ...]
    coco: EvaluatedSet | None
    mpii: EvaluatedSet | None

    @property
    def size(self) -> str:
        """tiny, small, or the model's own name; a published size at another input is named with it."""
        model = self.evaluation.model
        if model not in SIZES:
            return model
        given = (self.settings or {}).get("student.input")
        if given is None or given == json.dumps(list(INPUT)):
            return SIZES[model]
        return f"{model} {'x'.join(map(str, json.loads(given)))}"

    @property
    def data_kind(self) -> str:
        """What it was trained on: MPII-only, COCO-only, union, or the skeletons' names."""
        labelled = {d.skeleton for d in self.evaluation.data if d.labels}
        skeletons = sorted({d.skeleton for d in self.evaluation.data})
        names = [_ONLY.get(s, s) + ("" if s in labelled else " without labels") for s in skeletons]
        if len(names) == 1:
            return f"{names[0]}-only"
        return UNION if names == [_ONLY[COCO17.name], _ONLY[MPII16.name]] else " + ".join(names)

    @property
    def kind(self) -> str:
        """`data_kind`, with distillation where it had teachers."""
        return f"{self.data_kind} + distillation" if self.evaluation.teachers else self.data_kind

    @property
    def points(self) -> int | None:
        """Keypoints of the student; None for a skeleton that is not known here."""
        known = known_skeletons()
        names = [d.skeleton for d in self.evaluation.data]
        if any(n not in known for n in names):
            return None
        return len({k for n in names for k in known[n].keypoints})

    @property
    def evaluated_on(self) -> tuple[tuple[str, str, int], ...]:
        """(name, sha256, people) of the validation sets: runs with others are not comparable to the digit."""
        return tuple((s.name, s.sha256, s.people) for s in self.evaluation.sets)


@dataclass(frozen=True)
class Group:
    """Runs that differ by their seed. variant: tells groups of one size and kind apart, empty where there is one."""

    size: str
    kind: str
    data_kind: str
    variant: str
    runs: tuple[Run, ...]

    @property
    def title(self) -> str:
        """`tiny, union`."""
        return f"{self.size}, {self.kind}"

    @property
    def name(self) -> str:
        """The title with the variant."""
        return f"{self.title} ({self.variant})" if self.variant else self.title


def figures_of(one: EvaluatedSet | None, *, starred: bool) -> Figures | None:
    """On all keypoints, or, starred and where the student lacks some, on the 12 that COCO and MPII share."""
    if one is None or not starred or not one.all.missing:
        return one.all if one else None
    return one.shared if one.shared and {*one.shared.keypoints} == {*SHARED} else None


def read_runs(folders: Sequence[str | Path], *, coco: str | None = None, mpii: str | None = None) -> tuple[Run, ...]:
    """Read finished runs, in the order of their paths.

    coco, mpii: names of the validation sets that stand for COCO and MPII; needed where a run has several of that
    skeleton. Raises InputError with what is wrong with any of them.
    """
    problems: list[Problem] = []
    runs: list[Run] = []
    for folder in sorted(map(str, folders)):
        try:
            runs.append(_read_run(Path(folder), coco, mpii))
        except InputError as error:
            problems += error.problems
    first: dict[str, str] = {}
    for run in runs:
        other = first.setdefault(run.evaluation.student_sha256, run.path)
        if other is not run.path:
            hint = "every run counts once"
            problems.append(Problem(run.path, "", f"holds the same student as {other}", hint))
    if problems:
        raise InputError(problems)
    return tuple(runs)


def _read_run(folder: Path, coco: str | None, mpii: str | None) -> Run:
    if not folder.is_dir():
        raise InputError.single(folder, "", "there is no such run directory")
    path = folder / FILE
    if not path.is_file():
        hint = "annotext train writes it at the end of a run whose recipe has a [[validation]]"
        raise InputError.single(folder, "", f"has no {FILE}", hint)
    evaluation = read_evaluation(path)
    student = folder / "student.onnx"
    try:
        found = hashlib.sha256(student.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError.single(student, "", f"cannot be read ({error.strerror})") from None
    if found != evaluation.student_sha256:
        raise InputError.single(
            path,
            "student_sha256",
            f"was written for another student ({evaluation.student_sha256[:12]}...) than {student} ({found[:12]}...)",
            "the run was trained on or its student replaced; its figures are not this student's",
        )
    recipe_path = folder / "recipe.toml"
    recipe = read_toml(recipe_path) if recipe_path.is_file() else None
    data = _json(folder / "data.json")
    return Run(
        path=str(folder),
        evaluation=evaluation,
        recipe=str(recipe.get("name", "")) if recipe else "",
        seed=recipe.get("seed") if recipe else None,
        settings=None if recipe is None else _settings(recipe),
        trained_on=tuple((str(d.get("name")), str(d.get("sha256")), _people(d)) for d in data.get("data", ())),
        teachers=tuple(str(t.get("sha256")) for t in data.get("teachers", ())),
        coco=_stands_for(COCO17.name, coco, "--coco", evaluation, path),
        mpii=_stands_for(MPII16.name, mpii, "--mpii", evaluation, path),
    )


def _stands_for(
    skeleton: str, name: str | None, option: str, evaluation: Evaluation, path: Path
) -> EvaluatedSet | None:
    fitting = [s for s in evaluation.sets if s.skeleton == skeleton and name in (None, s.name)]
    if len(fitting) > 1:
        names = ", ".join(s.name for s in fitting)
        hint = f"{option} NAME says which of them the tables show"
        raise InputError.single(path, "sets", f"has several sets of {skeleton}: {names}", hint)
    return fitting[0] if fitting else None


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    from annotext.formats.files.jsonio import read_json

    document, _ = read_json(path)
    if not isinstance(document, dict):
        raise InputError.single(path, "", "expected an object")
    return document


def _people(data: Mapping[str, Any]) -> int:
    people = data.get("trained_on", 0)
    return people if isinstance(people, int) else 0


def _settings(recipe: Mapping[str, Any]) -> dict[str, str]:
    """`student.input` -> its JSON, for everything that makes two runs different students."""
    left_out = {"name", "seed", "runtime", "policy"}
    flat = dict(_leaves({k: v for k, v in recipe.items() if k not in left_out}, ""))
    paths = ("root", "source", "checkpoint")
    return {k: json.dumps(v) for k, v in sorted(flat.items()) if k.rpartition(".")[2] not in paths}


def _leaves(value: Any, pointer: str) -> Iterable[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{pointer}.{key}" if pointer else key)
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        for i, inner in enumerate(value):
            yield from _leaves(inner, f"{pointer}[{i}]")
    else:
        yield pointer, value


def group(runs: Sequence[Run]) -> tuple[tuple[Group, ...], tuple[str, ...]]:
    """The groups, tiny before small before others, in the order of the paper's kinds; and what tells variants apart."""
    placed: dict[tuple[str, str], list[list[Run]]] = {}
    for run in sorted(runs, key=_order):
        sames = placed.setdefault((run.size, run.kind), [])
        for same in sames:
            if _same_student(same[0], run):
                same.append(run)
                break
        else:
            sames.append([run])
    groups: list[Group] = []
    notes: list[str] = []
    for (size, kind), sames in sorted(placed.items(), key=lambda item: _place(*item[0])):
        names = _variants(sames)
        for name, same in zip(names, sames, strict=True):
            groups.append(Group(size, kind, same[0].data_kind, name, tuple(sorted(same, key=lambda r: r.path))))
        if len(sames) > 1:
            notes += [f"{size}, {kind}: {line}" for line in _differences(names, sames)]
    return tuple(groups), tuple(notes)


def _place(size: str, kind: str) -> tuple[Any, ...]:
    return *_rank(size, (*SIZES.values(), "nano")), *_rank(kind, KINDS)


def _rank(name: str, known: Sequence[str]) -> tuple[int, str]:
    """Known names in their order, others after them."""
    return (known.index(name) if name in known else len(known)), name


def _order(run: Run) -> tuple[Any, ...]:
    """Runs whose people are about as many stand beside each other; no two runs are equal."""
    people = tuple(n for _, _, n in run.trained_on)
    return run.recipe, json.dumps(run.settings), json.dumps(run.evaluated_on), people, run.path


def _same_student(one: Run, other: Run) -> bool:
    return (
        one.settings == other.settings
        and one.evaluated_on == other.evaluated_on
        and [name for name, _, _ in one.trained_on] == [name for name, _, _ in other.trained_on]
        and all(
            abs(a - b) <= _SAME_NUMBER * max(a, b)
            for (_, _, a), (_, _, b) in zip(one.trained_on, other.trained_on, strict=True)
        )
    )


def _variants(sames: Sequence[Sequence[Run]]) -> list[str]:
    """The recipes' names, numbered where two are called alike; nothing where there is one."""
    if len(sames) == 1:
        return [""]
    names = [same[0].recipe or "no recipe.toml" for same in sames]
    return [name if names.count(name) == 1 else f"{name} #{names[: i + 1].count(name)}" for i, name in enumerate(names)]


def _differences(names: Sequence[str], sames: Sequence[Sequence[Run]]) -> Iterable[str]:
    """For every variant, how it differs from the first."""
    first = sames[0][0]
    for name, (run, *_) in zip(names[1:], sames[1:], strict=True):
        ours, theirs = run.settings or {}, first.settings or {}
        changed = [k for k in sorted({*ours, *theirs}) if ours.get(k) != theirs.get(k)]
        reasons = [f"{k} {ours.get(k, 'not set')}, not {theirs.get(k, 'set')}" for k in changed[:3]]
        if len(changed) > 3:
            reasons.append(f"{len(changed) - 3} more settings")
        if [n for *_, n in run.trained_on] != [n for *_, n in first.trained_on]:
            reasons.append("trained on other numbers of people")
        if run.evaluated_on != first.evaluated_on:
            reasons.append("judged on other people")
        yield f"{name} against {names[0]}: {'; '.join(reasons)}"


def unequal_runs(groups: Sequence[Group]) -> tuple[str, ...]:
    """What differs between runs of one group beside the seed."""
    notes = []
    for same in groups:
        if len({tuple(sha for _, sha, _ in run.trained_on) for run in same.runs}) > 1:
            notes.append(f"{same.name}: its runs were trained on different files")
        if len({run.teachers for run in same.runs}) > 1:
            notes.append(f"{same.name}: its runs had different teachers' weights")
        if len(same.runs) > 1 and same.runs[0].settings is None:
            notes.append(
                f"{same.name}: without a recipe.toml nobody can tell whether its runs differ by their seed only"
            )
    return tuple(notes)
