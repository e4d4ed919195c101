"""Files that annotext 0.1.0 wrote, kept as small fixtures: they are read, and what is read is what was written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dots import CARD
from reviewers import added_people, random_corrections

from annotext.core.skeletons import MPII16
from annotext.formats.files.predictions import read_predictions, read_predictions_header
from annotext.formats.files.recipe import find_recipe, read_recipe, write_recipe
from annotext.predictors.card import Card, read_card, write_card
from annotext.predictors.outputs import SimccOutput
from annotext.review.decisions.files import correction_line, load_corrections
from annotext.review.decisions.queue_file import QueuedPerson, QueueFile, read_queue, write_queue

FIXTURES = Path(__file__).parents[2] / "fixtures" / "v0_1"
HEATMAP = replace(CARD, extra={"license": "CC0", "notes": ["ä"]})
SIMCC = replace(CARD, name="simcc", output=SimccOutput(("simcc_x", "simcc_y"), 2.0, 10.0, (2.45, 2.83)), role="student")


@pytest.mark.parametrize(("name", "card"), [("card.json", HEATMAP), ("card_simcc.json", SIMCC)])
def test_cards(name: str, card: Card, tmp_path: Path) -> None:
    assert read_card(str(FIXTURES / name)) == card
    write_card(card, tmp_path / name)
    assert (tmp_path / name).read_bytes() == (FIXTURES / name).read_bytes()


def test_a_recipe(tmp_path: Path) -> None:
    recipe = read_recipe(str(FIXTURES / "recipe.toml"))
    assert recipe == read_recipe(find_recipe("demo"))
    write_recipe(recipe, tmp_path / "recipe.toml")
    assert (tmp_path / "recipe.toml").read_bytes() == (FIXTURES / "recipe.toml").read_bytes()


@pytest.mark.parametrize(("name", "kind"), [("corrections.jsonl", "coco"), ("corrections_mpii.jsonl", "mpii")])
def test_corrections(name: str, kind: str) -> None:
    found = load_corrections([str(FIXTURES / name)], kind=kind).corrections
    expected = random_corrections(*added_people(), 1)[:6]
    assert [c.id for c in found] == [c.id for c in expected]
    assert b"".join(correction_line(c, kind) for c in found) == (FIXTURES / name).read_bytes()


def test_a_queue(tmp_path: Path) -> None:
    people = (QueuedPerson(17, ("pelvis", "thorax")), QueuedPerson(4, ("head_top",)))
    queue = QueueFile("ab" * 32, "doubt", 3, people)
    assert read_queue(str(FIXTURES / "queue.json")) == queue
    write_queue(queue, tmp_path / "queue.json", force=True)
    assert (tmp_path / "queue.json").read_bytes() == (FIXTURES / "queue.json").read_bytes()


def test_predictions() -> None:
    (found,) = read_predictions(str(FIXTURES / "predictions.parquet"))
    assert read_predictions_header(str(FIXTURES / "predictions.parquet")).input_sha256 == "cd" * 32
    assert (found.predictor.name, found.skeleton, found.ids.tolist()) == ("dots", MPII16, [5, 7, 2])
    assert found.file_names == ("a.jpg", "a.jpg", "b/c.jpg")
    assert np.array_equal(found.xy, np.arange(96).reshape(3, 16, 2) / 2)
    assert np.array_equal(found.score, np.arange(48).reshape(3, 16) / 64)
    assert np.array_equal(found.features["entropy"], np.arange(48).reshape(3, 16) / 128)
