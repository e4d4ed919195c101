"""Checkpoints are data: whole or absent, and never run anything."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from annotext.core.errors import InputError  # noqa: E402
from annotext.training.run.checkpoints import fill, initialise, load_checkpoint, save_checkpoint  # noqa: E402
from annotext.training.run.folder import last_checkpoint  # noqa: E402


class Intruder:
    """Unpickled freely, it would write a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return Path.write_text, (self.target, "I was here")


class OptimiserState:
    """Harmless, but a class of somebody's own."""


class Reacher:
    """Unpickled, it asks getattr for something of its choosing."""

    def __reduce__(self) -> tuple:
        return getattr, (dict, "fromkeys")


def net() -> torch.nn.Module:
    model = torch.nn.Module()
    model.backbone = torch.nn.Linear(3, 2)
    model.head = torch.nn.Linear(2, 4)
    return model


def test_a_checkpoint_that_would_run_code_is_refused_and_does_not_run_it(tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "extra": Intruder(tmp_path / "proof")}, tmp_path / "bad.pth")
    with pytest.raises(InputError, match="holds more than weights"):
        load_checkpoint(tmp_path / "bad.pth")
    assert not (tmp_path / "proof").exists()


def test_everything_that_is_not_loaded_is_named_and_the_flag_that_would(tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "a": Intruder(tmp_path / "proof"), "b": OptimiserState()}, tmp_path / "more.pth")
    with pytest.raises(InputError) as caught:
        load_checkpoint(tmp_path / "more.pth")
    for name in ("pathlib.Path", f"{__name__}.OptimiserState", f"--unpickle {tmp_path / 'more.pth'}"):
        assert name in str(caught.value)


def test_only_the_file_that_is_named_is_unpickled_and_a_note_names_it(tmp_path: Path) -> None:
    for name in ("named.pth", "other.pth"):
        torch.save({"state_dict": {"a": torch.ones(1)}, "extra": OptimiserState()}, tmp_path / name)
    notes: list[str] = []
    state = load_checkpoint(tmp_path / "named.pth", unpickle=[tmp_path / "named.pth"], note=notes.append)
    assert isinstance(state["extra"], OptimiserState)
    assert len(notes) == 1 and "named.pth" in notes[0] and "OptimiserState" in notes[0]
    with pytest.raises(InputError, match=r"other\.pth: holds more than weights"):
        load_checkpoint(tmp_path / "other.pth", unpickle=[tmp_path / "named.pth"], note=notes.append)


def test_a_file_that_needs_no_unpickling_is_read_safely_though_it_is_allowed(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "plain.pth")
    notes: list[str] = []
    load_checkpoint(tmp_path / "plain.pth", unpickle=[tmp_path / "plain.pth"], note=notes.append)
    assert notes == []


def test_getattr_is_only_given_to_the_log_history(tmp_path: Path) -> None:
    torch.save({"extra": Reacher()}, tmp_path / "reach.pth")
    with pytest.raises(InputError, match="getattr"):
        load_checkpoint(tmp_path / "reach.pth")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("empty.pth", b"", "is empty"),
        ("page.pth", b"<!DOCTYPE html><html>404</html>", "is a web page"),
        ("text.pth", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "is text"),
        ("model.onnx", b"\x08\x08\x12\x07pytorch", "is an ONNX model"),
        ("noise.pth", bytes(range(256)), "is damaged, or no checkpoint of torch"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_called_what_it_is(
    tmp_path: Path, name: str, content: bytes, problem: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=problem):
        load_checkpoint(tmp_path / name)


def test_a_zip_archive_of_something_else_is_one_clear_message(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "sdk.pth", "w") as archive:
        archive.writestr("end2end.onnx", b"1")
    with pytest.raises(InputError, match="zip archive of something else"):
        load_checkpoint(tmp_path / "sdk.pth")


def test_weights_that_do_not_fit_are_counted_and_three_of_them_named(tmp_path: Path) -> None:
    weights = {"backbone.weight": torch.zeros(5, 5), **{f"extra.{i}": torch.zeros(1) for i in range(5)}}
    with pytest.raises(InputError) as caught:
        fill(net(), weights, tmp_path / "w.pth", "a net")
    message = str(caught.value)
    assert "3 of 4 missing (backbone.bias, head.weight, head.bias)" in message
    assert "1 of 4 of another shape (backbone.weight is (5, 5), expected (2, 3))" in message
    assert "5 of 6 unknown (extra.0, extra.1, extra.2, ...)" in message


def test_a_checkpoint_as_mmengine_writes_it_is_read(tmp_path: Path) -> None:
    from annotext.training.model import bridge

    bridge.install()
    from mmengine.logging.history_buffer import HistoryBuffer

    history = HistoryBuffer()
    history.update(np.float64(1.5))
    meta = {"sigmas": np.ones(3, np.float32), "colours": np.zeros((3, 3), np.uint8), "names": np.array(["nose"])}
    torch.save(
        {
            "state_dict": {"backbone.weight": torch.ones(2, 3)},
            "message_hub": {"loss": history},
            "meta": {"dataset_meta": meta, "iter": np.int64(3)},
        },
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
