"""Checkpoints: written whole or not at all, read without running anybody's code."""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from annotext.core.problems import InputError
from annotext.training import bridge

_KEPT = 2


def save_checkpoint(state: dict[str, Any], folder: Path, step: int) -> Path:
    """Write `state` (tensors and plain values only) as folder/step_NNNNNNNN.pth and drop all but the newest two."""
    path = folder / f"step_{step:08d}.pth"
    write_checkpoint(state, path)
    for old in sorted(folder.glob("step_*.pth"))[:-_KEPT]:
        old.unlink()
    return path


def write_checkpoint(state: dict[str, Any], path: Path) -> None:
    """The file appears under its name only when it is complete, so that a run killed at any moment can go on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    torch.save(state, temporary)
    os.replace(temporary, path)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint of a run, or None."""
    found = sorted(folder.glob("step_*.pth"))
    return found[-1] if found else None


def allowed_classes() -> list[Any]:
    """What MMEngine's own checkpoints hold beside tensors: its log history and numpy numbers.

    Building any of these runs no code of the file's choosing. Files of numpy 1 name the same functions by an older
    module, hence the pairs. The log history asks for `getattr` to find its own statistics; it gets one that knows
    nothing else.
    """
    bridge.install()
    from mmengine.logging.history_buffer import HistoryBuffer

    multiarray = importlib.import_module("numpy._core.multiarray")
    functions = [multiarray.scalar, multiarray._reconstruct]
    old_names = [(f, f"numpy.core.multiarray.{f.__name__}") for f in functions]
    numbers = [type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "i4", "b1")]

    def statistic(owner: Any, name: str) -> Any:
        if owner is not HistoryBuffer or name not in ("min", "max", "mean", "current"):
            raise ValueError(f"getattr({owner}, {name!r}) is not allowed")
        return getattr(HistoryBuffer, name)

    return [(statistic, "builtins.getattr"), HistoryBuffer, np.ndarray, np.dtype, *numbers, *functions, *old_names]


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint to CPU with torch's `weights_only` unpickler and `allowed_classes`.

    Raises InputError when the file is missing, damaged, or holds anything else; it is never unpickled freely.
    """
    if not path.is_file():
        raise InputError.single(path, "", "checkpoint not found")
    try:
        with torch.serialization.safe_globals(allowed_classes()):
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises UnpicklingError, RuntimeError, EOFError, ... by kind of damage
        wanted = re.search(r"GLOBAL (\S+) was not an allowed", str(error))
        problem = f"holds {wanted[1]}, which is not loaded" if wanted else "is damaged, or no checkpoint of torch"
        hint = "only tensors, plain values and MMEngine's log history are read; nothing else is unpickled"
        raise InputError.single(path, "", problem, hint if wanted else "") from None
    if not isinstance(state, dict):
        raise InputError.single(path, "", f"holds {type(state).__name__}, expected a dict of weights")
    return state


def initialise(model: nn.Module, path: Path) -> dict[str, int]:
    """Start `model` from the weights of a checkpoint: every `backbone.*` must fit, `head.*` are taken where they do.

    A file of bare backbone weights (no prefix) is accepted too. Returns {"loaded": n, "left": n} tensors. Raises
    InputError naming what is missing or has another shape in the backbone.
    """
    state = load_checkpoint(path)
    weights: dict[str, Tensor] = {k: v for k, v in state.get("state_dict", state).items() if isinstance(v, Tensor)}
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
