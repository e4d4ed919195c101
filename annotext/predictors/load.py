"""A path to a predictor: a run directory, a card, or an ONNX file with its card beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from annotext.core.errors import InputError
from annotext.core.skeleton import Skeleton
from annotext.formats.files.paths import AnyPath
from annotext.formats.files.skeletons import known_skeletons
from annotext.predictors.card import read_card
from annotext.predictors.onnx import OnnxPredictor
from annotext.predictors.predictor import Predictor


def load_predictor(
    path: AnyPath, *, threads: int | None = None, skeletons: Mapping[str, Skeleton] | None = None
) -> Predictor:
    """The predictor at `path`, ready to run.

    path: a run directory (`card.json` beside `student.onnx`), a card (`*.json`), or a model (`*.onnx`) whose card has
    its name (`model.json`) or is the folder's `card.json`.
    threads: for one inference, all usable cores by default.
    skeletons: those that define the card's keypoints, all that annotext knows by default.
    Raises InputError with what is missing or does not fit.
    """
    card_path = find_card(Path(path))
    skeletons = known_skeletons() if skeletons is None else skeletons
    return OnnxPredictor(read_card(card_path), card_path, threads=threads, skeletons=skeletons)


def find_card(path: str | Path) -> Path:
    """The card that describes the predictor at `path` (see `load_predictor`). Raises InputError."""
    path = Path(path)
    if path.is_dir():
        card = path / "card.json"
        if not card.is_file():
            hint = "a finished run of `annotext train` has one; a folder of models is not a predictor, name one card"
            raise InputError.single(path, "", "the folder holds no card.json", hint)
        return card
    if not path.is_file():
        raise InputError.single(path, "", "there is no such predictor", "give a run directory, a card or an ONNX file")
    if path.suffix == ".json":
        return path
    for card in (path.with_suffix(".json"), path.parent / "card.json"):
        if card.is_file() and read_card(card).model == path.name:
            return card
    hint = f"write one as {path.with_suffix('.json').name}; docs/formats/card.md describes it"
    raise InputError.single(path, "", "no card beside it says how to run this model", hint)
