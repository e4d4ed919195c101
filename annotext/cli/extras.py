"""Says what to install when a command needs an extra that is not there."""

from __future__ import annotations

from importlib.util import find_spec

from annotext.core.errors import AnnotextError

# Extra -> the modules it brings that the command will import.
_EXTRAS = {"train": ("torch", "torchvision", "mmengine", "mmcv", "mmpose"), "review": ("fiftyone",)}


def require_extra(extra: str, command: str) -> None:
    """Raises AnnotextError in one line if a module of `extra` is missing; imports nothing."""
    missing = [module for module in _EXTRAS[extra] if find_spec(module) is None]
    if missing:
        raise AnnotextError(
            f"annotext {command} needs {', '.join(missing)}: install the {extra} extra with "
            f"`uv pip install -e '.[{extra}]'` in annotext's repository (see README)"
        )
