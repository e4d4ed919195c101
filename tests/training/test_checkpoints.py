"""Checkpoints are data: whole or absent, and never run anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from annotext.core.problems import InputError  # noqa: E402
from annotext.training.checkpoints import (  # noqa: E402
    initialise,
    last_checkpoint,
    load_checkpoint,
    save_checkpoint,
)


class Intruder:
    """Unpickled freely, it would write a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return Path.write_text, (self.target, "I was here")


def net() -> torch.nn.Module:
    model = torch.nn.Module()
    model.backbone = torch.nn.Linear(3, 2)
    model.head = torch.nn.Linear(2, 4)
    return model


def test_a_checkpoint_that_would_run_code_is_refused_and_does_not_run_it(tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "extra": Intruder(tmp_path / "proof")}, tmp_path / "bad.pth")
    with pytest.raises(InputError, match="which is not loaded"):
        load_checkpoint(tmp_path / "bad.pth")
    assert not (tmp_path / "proof").exists()


def test_a_checkpoint_as_mmengine_writes_it_is_read(tmp_path: Path) -> None:
    from annotext.training import bridge

    bridge.install()
    from mmengine.logging.history_buffer import HistoryBuffer

    history = HistoryBuffer()
    history.update(np.float64(1.5))
    torch.save(
        {"state_dict": {"backbone.weight": torch.ones(2, 3)}, "message_hub": {"loss": history}, "n": np.int64(3)},
        tmp_path / "zoo.pth",
    )
    assert load_checkpoint(tmp_path / "zoo.pth")["state_dict"]["backbone.weight"].sum() == 6


def test_a_damaged_checkpoint_is_one_clear_message(tmp_path: Path) -> None:
    path = save_checkpoint({"a": torch.zeros(1000)}, tmp_path, 1)
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(InputError, match="is damaged, or no checkpoint of torch"):
        load_checkpoint(path)


def test_the_two_newest_are_kept_and_a_half_written_one_is_not_taken_for_the_last(tmp_path: Path) -> None:
    for step in (1, 2, 10):
        save_checkpoint({"step": step}, tmp_path, step)
    (tmp_path / "step_00000011.pth.tmp").write_bytes(b"half")
    assert sorted(p.name for p in tmp_path.glob("*.pth")) == ["step_00000002.pth", "step_00000010.pth"]
    newest = last_checkpoint(tmp_path)
    assert newest is not None and newest.name == "step_00000010.pth"


def test_starting_weights_fill_the_backbone_and_leave_a_head_of_another_size(tmp_path: Path) -> None:
    torch.save({"state_dict": {**net().state_dict(), "head.weight": torch.zeros(9, 2)}}, tmp_path / "init.pth")
    model = net()
    before = model.head.weight.clone()
    assert initialise(model, tmp_path / "init.pth") == {"loaded": 3, "left": 1}
    assert torch.equal(model.head.weight, before)


def test_starting_weights_of_another_backbone_are_refused_by_name(tmp_path: Path) -> None:
    torch.save({"backbone.weight": torch.zeros(5, 5)}, tmp_path / "init.pth")
    with pytest.raises(InputError, match=r"backbone.weight is \(5, 5\), expected \(2, 3\); backbone.bias is missing"):
        initialise(net(), tmp_path / "init.pth")
