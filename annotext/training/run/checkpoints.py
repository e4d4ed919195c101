"""Checkpoints: written whole or not at all, read without running anybody's code."""

from __future__ import annotations

import importlib
import os
import re
import sys
import zipfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from annotext.core.errors import InputError
from annotext.training.model import bridge
from annotext.training.run.folder import cannot_write, replacing, write_errors

_KEPT = 2

# Names shown of what does not fit; the rest is a count.
_NAMED = 3


def save_checkpoint(state: dict[str, Any], folder: Path, step: int) -> Path:
    """Write `state` (tensors and plain values only) as folder/step_NNNNNNNN.pth and drop all but the newest two."""
    path = folder / f"step_{step:08d}.pth"
    write_checkpoint(state, path)
    for old in sorted(folder.glob("step_*.pth"))[:-_KEPT]:
        old.unlink()
    return path


def write_checkpoint(state: dict[str, Any], path: Path) -> None:
    """The file appears under its name only when it is complete, so that a run killed at any moment can go on."""
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        try:
            # Its own zip writer swallows why it failed (a full disk); a Python file says it.
            with temporary.open("wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
        except RuntimeError as error:
            raise cannot_write(path, error) from None


def allowed_classes() -> list[Any]:
    """What MMEngine's own checkpoints hold beside tensors: its log history, numpy numbers and arrays of them.

    Building any of these runs no code of the file's choosing. Files of numpy 1 name the same functions by an older
    module, hence the pairs. The log history asks for `getattr` to find its own statistics; it gets one that knows
    nothing else.
    """
    bridge.install()
    from mmengine.logging.history_buffer import HistoryBuffer

    multiarray = importlib.import_module("numpy._core.multiarray")
    functions = [multiarray.scalar, multiarray._reconstruct]
    old_names = [(f, f"numpy.core.multiarray.{f.__name__}") for f in functions]
    kinds = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1", "U1")
    numbers = [type(np.dtype(kind)) for kind in kinds]

    def statistic(owner: Any, name: str) -> Any:
        if owner is not HistoryBuffer or name not in ("min", "max", "mean", "current"):
            raise ValueError(f"getattr({owner}, {name!r}) is not allowed")
        return getattr(HistoryBuffer, name)

    return [(statistic, "builtins.getattr"), HistoryBuffer, np.ndarray, np.dtype, *numbers, *functions, *old_names]


def note_on_stderr(message: str) -> None:
    """Where `load_checkpoint` says what it was allowed to do."""
    print(message, file=sys.stderr)


def load_checkpoint(
    path: Path, *, unpickle: Collection[Path] = (), note: Callable[[str], None] = note_on_stderr
) -> dict[str, Any]:
    """Read a checkpoint to CPU with torch's `weights_only` unpickler and `allowed_classes`.

    unpickle: files that may be unpickled freely where they need it, which runs whatever code they hold; `note` then
    says what was found. Raises InputError when the file is missing, damaged, no checkpoint, or holds anything else.
    """
    if not path.is_file():
        raise InputError.single(path, "", "checkpoint not found")
    try:
        with torch.serialization.safe_globals(allowed_classes()):
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises UnpicklingError, RuntimeError, EOFError, ... by kind of damage
        found = _what_else(path, error)
        if not found:
            raise InputError.single(path, "", *_no_checkpoint(path)) from None
        if path.resolve() not in {p.resolve() for p in unpickle}:
            hint = f"--unpickle {path} loads it all the same, and runs whatever code it holds: only if you trust it"
            raise InputError.single(path, "", f"holds more than weights: {', '.join(found)}", hint) from None
        note(f"{path}: unpickled freely, as --unpickle allows; beside weights it holds {', '.join(found)}")
        state = _unpickled(path)
    if not isinstance(state, dict):
        raise InputError.single(path, "", f"holds {type(state).__name__}, expected a dict of weights")
    return state


def _unpickled(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:  # the file's own code may raise anything
        hint = "what it names must be importable here"
        raise InputError.single(path, "", f"cannot be unpickled ({type(error).__name__}: {error})", hint) from None


def _what_else(path: Path, error: Exception) -> list[str]:
    """Every global of a checkpoint that `weights_only` refuses; empty where that is not what is wrong with it."""
    try:
        with torch.serialization.safe_globals(allowed_classes()):
            found = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # torch only looks into zip archives; a checkpoint of before 2020 tells its first one
        found = []
    told = re.search(r"GLOBAL (\S+) was not an allowed|(getattr\(.*\)) is not allowed", str(error))
    return found or ([told[1] or told[2]] if told else [])


def _no_checkpoint(path: Path) -> tuple[str, str]:
    """(problem, hint) of a file that torch cannot read."""
    with path.open("rb") as file:
        start = file.read(512)
    text = start.lstrip().lower()
    if not start:
        return "is empty", "download it again"
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "is a web page, no checkpoint", "the download failed; open the file to see what the server sent"
    if path.suffix == ".onnx":
        return "is an ONNX model, no checkpoint of torch", "a teacher's source may be an ONNX model with a card"
    if zipfile.is_zipfile(path) and not any(n.endswith("data.pkl") for n in zipfile.ZipFile(path).namelist()):
        hint = "MMPose's onnx_sdk archives hold ONNX models; its checkpoints end in .pth"
        return "is a zip archive of something else than a checkpoint", hint
    if start.isascii() and all(c.isprintable() or c.isspace() for c in start.decode()):
        return "is text, no checkpoint of torch", ""
    return "is damaged, or no checkpoint of torch", ""


def weights_of(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights of a checkpoint, under its `state_dict` or bare, without what a parallel wrapper put before names."""
    inner = state.get("state_dict", state)
    named = inner.items() if isinstance(inner, Mapping) else ()
    return {k.removeprefix("module."): v for k, v in named if isinstance(v, Tensor)}


def fill(model: nn.Module, weights: Mapping[str, Tensor], path: Path, expected: str) -> None:
    """Load `weights` into `model`, every one of them and nothing else. Raises InputError with names and counts.

    expected: what the model is, as the problem says it.
    """
    own = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    given = {k: v for k, v in weights.items() if not k.endswith("num_batches_tracked")}
    reshaped = [
        f"{k} is {tuple(given[k].shape)}, expected {tuple(v.shape)}"
        for k, v in own.items()
        if k in given and given[k].shape != v.shape
    ]
    parts = [
        _counted("missing", [k for k in own if k not in given], len(own)),
        _counted("of another shape", reshaped, len(own)),
        _counted("unknown", [k for k in given if k not in own], len(given)),
    ]
    wrong = [p for p in parts if p]
    if wrong:
        raise InputError.single(path, "", f"these are not the weights of {expected}: {'; '.join(wrong)}")
    model.load_state_dict(dict(weights), strict=False)


def _counted(what: str, names: Sequence[str], of: int) -> str:
    more = ", ..." if len(names) > _NAMED else ""
    return f"{len(names)} of {of} {what} ({', '.join(names[:_NAMED])}{more})" if names else ""


def initialise(model: nn.Module, path: Path, *, unpickle: Collection[Path] = ()) -> dict[str, int]:
    """Start `model` from the weights of a checkpoint: every `backbone.*` must fit, `head.*` are taken where they do.

    A file of bare backbone weights (no prefix) is accepted too. unpickle: as in `load_checkpoint`. Returns {"loaded":
    n, "left": n} tensors. Raises InputError naming what is missing or has another shape in the backbone.
    """
    weights = weights_of(load_checkpoint(path, unpickle=unpickle))
    if not any(k.startswith("backbone.") for k in weights):
        weights = {f"backbone.{k}": v for k, v in weights.items()}
    own = model.state_dict()
    fitting = {k: v for k, v in weights.items() if k in own and own[k].shape == v.shape}
    wrong = [
        f"{k} is {'missing' if k not in weights else f'{tuple(weights[k].shape)}, expected {tuple(own[k].shape)}'}"
        for k in own
        if k.startswith("backbone.") and k not in fitting and not k.endswith("num_batches_tracked")
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise InputError.single(
            path,
            "",
            f"these are not the backbone's weights: {'; '.join(wrong[:3])}{more}",
            "student.init must be a checkpoint of the same model",
        )
    model.load_state_dict(fitting, strict=False)
    return {"loaded": len(fitting), "left": len(own) - len(fitting)}
