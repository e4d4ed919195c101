"""calibration.json: all that was learned about one predictor's added points; read strictly, exact to the bit.

The file stands in the run it belongs to (`RUN/calibration.json`); it names the predictor by its model's sha256, and a
calibration of another is refused. Numbers come back exactly, so that the same predictions are decided the same way.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson

from annotext import __version__
from annotext.calibration.model import CalibrationModel
from annotext.core.errors import InputError, Problem
from annotext.core.predictions import PredictorIdentity
from annotext.formats.files.jsonio import read_json
from annotext.formats.files.outputs import writing
from annotext.formats.files.typed import body_of, read_as, to_json

FORMAT = "annotext-calibration/1"
FILE_NAME = "calibration.json"
UNCALIBRATED_NOTE = (
    "scores are uncalibrated, no share of wrong points is promised: annotext calibrate learns what they mean"
)
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class _Body:
    """The file beside its format."""

    version: str
    model: CalibrationModel


@dataclass(frozen=True)
class Calibration:
    """A calibration model with the file it came from. sha256: of the file's bytes."""

    path: Path
    sha256: str
    model: CalibrationModel

    def fits(self, identities: Sequence[PredictorIdentity]) -> bool:
        """Whether it is about one of these predictors."""
        return any(i.sha256 == self.model.predictor_sha256 for i in identities)

    def check(self, identities: Sequence[PredictorIdentity]) -> None:
        """Raises InputError unless it is about one of these predictors."""
        if not self.fits(identities):
            who = ", ".join(f"{i.name} ({i.sha256[:12]})" for i in identities) or "nobody"
            raise InputError.single(
                self.path,
                "model.predictor_sha256",
                f"is of the predictor {self.model.predictor_sha256[:12]}, these predictions are of {who}",
                "a calibration holds for one student only: annotext calibrate makes one for this",
            )


def write_calibration(
    model: CalibrationModel, output: str | Path, *, force: bool, inputs: Iterable[str | Path] = ()
) -> Calibration:
    """Write calibration.json whole or not at all; the same model gives the same bytes.

    Raises InputError as `outputs.check_output` does, and for a model that could not be read again because it holds
    numbers that are not finite.
    """
    problems: list[Problem] = []
    _check_finite(model, lambda pointer, problem: problems.append(Problem(str(output), pointer, problem)))
    if problems:
        raise InputError(problems)
    document = {"format": FORMAT, **to_json(_Body(__version__, model))}
    data = orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"
    with writing(output, force=force, inputs=inputs) as temporary:
        temporary.write_bytes(data)
    return Calibration(Path(output), hashlib.sha256(data).hexdigest(), model)


def read_calibration(path: str | Path) -> Calibration:
    """Read and check calibration.json; a folder stands for the file in it. Raises InputError with all its problems."""
    path = Path(path)
    if path.is_dir():
        path = path / FILE_NAME
        if not path.is_file():
            hint = "annotext calibrate writes one, from people whose truth is known"
            raise InputError.single(path.parent, "", f"holds no {FILE_NAME}", hint)
    document, sha256 = read_json(path)
    body = body_of(document, FORMAT, path, "`annotext calibrate` writes one: calibrate again")
    model = read_as(_Body, body, path, finite=False).model
    problems: list[Problem] = []

    def report(pointer: str, problem: str) -> None:
        problems.append(Problem(str(path), pointer, problem))

    _check_hashes(model, report)
    _check_finite(model, report)
    if problems:
        raise InputError(problems)
    return Calibration(path, sha256, model)


def settle_calibration(
    named: Path | None, predictors: Sequence[Path], identities: Sequence[PredictorIdentity]
) -> tuple[Calibration | None, list[str]]:
    """The calibration that was named, else the first beside one of `predictors` that fits, and what to tell about it.

    Raises InputError for one that was named and is of none of `identities`, and for one that cannot be read.
    """
    if named is not None:
        found = read_calibration(named)
        found.check(identities)
        return found, []
    notes: list[str] = []
    for predictor in predictors:
        folder = predictor if predictor.is_dir() else predictor.parent
        if not (folder / FILE_NAME).is_file():
            continue
        found = read_calibration(folder)
        if found.fits(identities):
            return found, []
        notes.append(f"{found.path} is of another student and was not used: calibrate again")
    return None, [*notes, UNCALIBRATED_NOTE]


def calibration_file(named: Path | None) -> Path | None:
    """The file that is read where a calibration, or the run that holds it, was named."""
    return named / FILE_NAME if named is not None and named.is_dir() else named


def _check_hashes(model: CalibrationModel, report: Callable[[str, str], None]) -> None:
    if not _SHA256.fullmatch(model.predictor_sha256):
        report("model.predictor_sha256", "is no sha256")
    for i, part in enumerate(model.parts):
        named = [("truth", part.truth), *((f"also[{j}]", truth) for j, truth in enumerate(part.also))]
        for name, truth in named:
            if not _SHA256.fullmatch(truth.sha256):
                report(f"model.parts[{i}].{name}.sha256", "is no sha256")


def _check_finite(model: CalibrationModel, report: Callable[[str, str], None]) -> None:
    """With NaN in its arrays a model gives no scores, and doubtful points would be added after all."""
    for i, part in enumerate(model.parts):
        models = {"pose_only": part.pose_only, "anchor": part.anchor}
        models |= {f"calibration.{name}": one for name, one in part.calibration.items()}
        for name, one in models.items():
            for field in dataclasses.fields(one) if one is not None else ():
                values = getattr(one, field.name)
                if isinstance(values, np.ndarray) and not np.isfinite(values).all():
                    report(f"model.parts[{i}].{name}.{field.name}", "holds numbers that are not finite")
