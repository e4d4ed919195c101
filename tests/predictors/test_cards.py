"""Cards: what is read, what is refused, what a skeleton they give."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dots import CARD

from annotext.core.additions import Source
from annotext.core.errors import InputError
from annotext.core.skeletons import COCO17, MPII16
from annotext.predictors.card import card_from_dict, read_card, write_card
from annotext.predictors.outputs import SimccOutput

SIMCC = replace(CARD, output=SimccOutput(("simcc_x", "simcc_y"), 2.0, 10.0, (2.45, 2.83)), role="student")
HERE = Path("card.json")


def changed(section: str, **changes: Any) -> dict[str, Any]:
    document = json.loads(json.dumps(CARD.to_dict()))
    (document[section] if section else document).update(changes)
    return document


@pytest.mark.parametrize("card", [CARD, SIMCC, replace(CARD, extra={"license": "CC0", "notes": ["ä"]})])
def test_a_card_reads_back_as_it_was_written(card: Any, tmp_path: Path) -> None:
    write_card(card, tmp_path / "card.json")
    assert read_card(tmp_path / "card.json") == card


def test_a_run_is_a_student_and_any_other_model_a_teacher() -> None:
    assert SIMCC.source is Source.STUDENT
    assert card_from_dict({k: v for k, v in CARD.to_dict().items() if k != "role"}, HERE).source is Source.TEACHER


def test_all_problems_of_a_card_are_named_at_once() -> None:
    document = changed("input", width="wide", mean=[0, 0])
    document["box"] = None
    del document["sha256"]
    with pytest.raises(InputError) as caught:
        card_from_dict(document, HERE)
    assert [p.pointer for p in caught.value.problems] == ["sha256", "input.width", "input.mean", "box"]


@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        ("", {"format": "annotext-predictor/2"}, 'format: is "annotext-predictor/2", expected annotext-predictor/1'),
        ("", {"sha256": "abc"}, "sha256: is 'abc', expected 64"),
        ("", {"model": "../secret.onnx"}, "model: is '../secret.onnx', expected a file beside the card"),
        ("", {"model": "/etc/model.onnx"}, "expected a file beside the card"),
        ("", {"keypoints": ["nose", "nose"]}, "keypoints: names nose twice"),
        ("", {"role": "oracle"}, 'role: is "oracle", expected one of student, teacher'),
        ("", {"pixel_offset": [float("inf"), 0]}, "pixel_offset[0]: is inf, expected a finite number"),
        ("input", {"color": "GREY"}, 'input.color: is "GREY", expected one of RGB, BGR'),
        ("input", {"std": [1, 0, 1]}, "input.std: is [1.0, 0.0, 1.0], expected numbers above 0"),
        ("input", {"width": 0}, "input: size 0 x 128 is not positive"),
        ("box", {"fit": "stretch"}, 'box.fit: is "stretch", expected one of context, letterbox'),
        ("box", {"padding": 3}, "box.padding: unknown key\n  hint: known here: expand, fit, fill"),
        ("output", {"kind": "regression"}, 'output.kind: is "regression", expected one of heatmap, simcc'),
        ("output", {"stride": -4}, "output.stride: is -4, expected more than 0"),
    ],
)
def test_a_card_that_makes_no_sense_is_refused_with_the_place(section: str, changes: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        card_from_dict(changed(section, **changes), HERE)
    assert str(caught.value).startswith("card.json: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["", "[1, 2]", "{not json", "3"])
def test_a_file_that_is_no_card_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"card\.json"):
        read_card(path)


def test_a_card_with_the_keypoints_of_a_known_skeleton_has_that_skeleton() -> None:
    assert replace(CARD, keypoints=COCO17.keypoints).skeleton() is COCO17


def test_a_card_in_an_order_of_its_own_keeps_that_order() -> None:
    names = tuple(reversed(MPII16.keypoints))
    skeleton = replace(CARD, keypoints=names).skeleton()
    assert skeleton.keypoints == names
    assert set(skeleton.edges) >= {("thorax", "upper_neck"), ("upper_neck", "head_top")}
    assert skeleton.sigmas["pelvis"] == MPII16.sigmas["pelvis"]
    assert names[skeleton.flip_index[skeleton.index["left_knee"]]] == "right_knee"


def test_a_card_with_a_keypoint_nobody_knows_has_no_skeleton() -> None:
    with pytest.raises(ValueError, match="unknown name tail"):
        replace(CARD, keypoints=("nose", "tail")).skeleton()


@pytest.mark.real
def test_the_cards_of_real_models_are_read(real: Path) -> None:
    cards = [read_card(p) for p in sorted((real / "models").glob("*.json"))]
    assert sorted({len(c.keypoints) for c in cards}) == [14, 16, 17]
    assert all(c.extra["license"] for c in cards)
