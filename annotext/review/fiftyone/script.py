"""The script of the Review panel. FiftyOne loads one script a plugin, so the panel's parts are joined into one."""

from __future__ import annotations

from pathlib import Path

PLUGIN = Path(__file__).parent / "plugin"
BUNDLE = "panel.js"  # as the plugin's manifest calls it
# What a part uses while it is loaded stands before it; `review` hands the panel to FiftyOne.
PARTS = (
    "words",
    "server",
    "geometry",
    "outbox",
    "model",
    "dots",
    "picture",
    "actions",
    "list",
    "bars",
    "overlays",
    "looks",
    "review",
)
_HEAD = (
    '// annotext\'s Review panel, joined of the parts in annotext/review/plugin/panel.\n(function () {\n"use strict";\n'
)
_FOOT = "})();\n"


def part(name: str) -> Path:
    """Where a part of the panel is."""
    return PLUGIN / "panel" / f"{name}.js"


def panel_script() -> str:
    """All parts in their order, in the scope of one function: nothing of them is seen by FiftyOne's own scripts."""
    return "\n".join([_HEAD, *(part(name).read_text(encoding="utf-8") for name in PARTS), _FOOT])
