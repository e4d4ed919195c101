"""The house's rules about who may know whom, read from the imports themselves."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "annotext"

# A package may import from the packages named here and from itself.
MAY_IMPORT = {
    "core": set(),
    "formats": {"core"},
    "synth": {"formats", "core"},
    "evaluation": {"formats", "core"},
    "calibration": {"evaluation", "formats", "core"},
    "predictors": {"formats", "core"},
    "training": {"predictors", "evaluation", "formats", "core"},
    "review": {"evaluation", "formats", "core"},
    "render": {"core"},
    "workflows": {
        "review",
        "training",
        "predictors",
        "synth",
        "calibration",
        "evaluation",
        "render",
        "formats",
        "core",
    },
    "cli": {
        "workflows",
        "review",
        "training",
        "predictors",
        "synth",
        "calibration",
        "evaluation",
        "render",
        "formats",
        "core",
    },
}

# Heavy third parties and the only packages that may know them.
ONLY_IN = {
    "torch": {"training"},
    "torchvision": {"training"},
    "mmengine": {"training"},
    "mmcv": {"training"},
    "mmpose": {"training"},
    "fiftyone": {"review.fiftyone"},
    "onnxruntime": {"predictors", "training"},
    "sklearn": {"calibration"},
    "typer": {"cli"},
    # training: its progress bar, whose console the workflows of training only pass on.
    "rich": {"cli", "render", "training"},
}

# Workflows that pass the console of training's progress on: its type.
PASS_CONSOLE_ON = {"workflows/train.py", "workflows/demo.py"}

CORE_MAY_USE = {"numpy", "annotext"}
# core/additions imports pandas where a table is asked for, not before.
CORE_TABLES = {"pandas"}


def imports_of(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source}: relative import"
            if node.module == "annotext":
                yield from (f"annotext.{alias.name}" for alias in node.names)
            else:
                yield node.module or ""


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if p.parent != PACKAGE)


def room_of(source: Path) -> str:
    return source.relative_to(PACKAGE).parts[0]


def test_every_room_is_in_the_plan() -> None:
    assert {room_of(m) for m in modules()} <= set(MAY_IMPORT)


@pytest.mark.parametrize("source", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(source: Path) -> None:
    room = room_of(source)
    for name in imports_of(source):
        parts = name.split(".")
        if parts[0] == "annotext" and len(parts) > 1 and parts[1] in MAY_IMPORT:
            assert parts[1] == room or parts[1] in MAY_IMPORT[room], f"{source.name} in {room} imports {name}"
        if parts[0] in ONLY_IN:
            where = ".".join(source.relative_to(PACKAGE).parts[:-1])
            allowed = ONLY_IN[parts[0]]
            assert (name == "rich.console" and str(source.relative_to(PACKAGE)) in PASS_CONSOLE_ON) or any(
                where == a or where.startswith(f"{a}.") for a in allowed
            ), f"{source.name} in {where} imports {name}"


def test_core_needs_only_numpy_and_the_standard_library() -> None:
    import sys

    for source in (PACKAGE / "core").rglob("*.py"):
        for name in imports_of(source):
            top = name.split(".")[0]
            allowed = CORE_MAY_USE | CORE_TABLES | sys.stdlib_module_names
            assert top in allowed, f"core/{source.name} imports {name}"


# What one looks through at a time. A command of its own is a module of its own: these two may be larger.
MOST_MODULES, MANY_MODULES = 13, {"workflows", "cli"}
MOST_LINES = 500


def test_no_folder_holds_more_modules_than_one_looks_through() -> None:
    for folder in {m.parent for m in modules()}:
        names = [m.name for m in folder.glob("*.py") if m.name != "__init__.py"]
        where = str(folder.relative_to(PACKAGE))
        assert len(names) <= MOST_MODULES or where in MANY_MODULES, f"{where} holds {len(names)} modules"


@pytest.mark.parametrize("source", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_module_is_too_long(source: Path) -> None:
    assert len(source.read_text().splitlines()) <= MOST_LINES


# Keys that only an extended file has. `source`, `score` and the like are words of other documents too.
BLOCK_KEYS = {"annotext"}
# What else is stored under annotext's name: FiftyOne's `dataset.info` and the metadata of a parquet.
MAY_SAY_ANNOTEXT = {"review/fiftyone/build.py", "review/fiftyone/store.py", "workflows/review_open.py"}


def _as_keys(tree: ast.AST) -> Iterator[str]:
    """Texts that a module uses as keys: subscripts, `.get`, membership, keys of literals, and names for such."""
    for node in ast.walk(tree):
        found: list[ast.expr | None] = []
        if isinstance(node, ast.Subscript):
            found = [node.slice]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("get", "pop"):
            found = list(node.args[:1])
        elif isinstance(node, ast.Compare) and any(isinstance(o, ast.In | ast.NotIn) for o in node.ops):
            found = [node.left]
        elif isinstance(node, ast.Dict):
            found = list(node.keys)
        elif isinstance(node, ast.Assign):
            found = [node.value]
        yield from (n.value for n in found if isinstance(n, ast.Constant) and isinstance(n.value, str))


def test_only_the_overlay_knows_the_keys_of_the_block() -> None:
    for source in modules():
        name = source.relative_to(PACKAGE).as_posix()
        if name.startswith("formats/overlay/"):
            continue
        tree = ast.parse(source.read_text())
        if name not in MAY_SAY_ANNOTEXT:
            assert not BLOCK_KEYS.intersection(_as_keys(tree)), f"{name} knows the key of the block"
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("annotext.formats.overlay"):
                keys = {a.name for a in node.names} & {"EXTENDED_KEY", "OWN", "NEW", "DETECTION"}
                assert not keys, f"{name} imports {', '.join(sorted(keys))}"


def test_no_module_asks_which_annotation_format_a_file_has() -> None:
    for source in modules():
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Compare):
                texts = {n.value for n in ast.walk(node) if isinstance(n, ast.Constant)}
                asked = any(isinstance(n, ast.Attribute) and n.attr == "kind" for n in ast.walk(node))
                assert not (asked and texts & {"coco", "halpe", "mpii"}), f"{source.name}: a format is an adapter"
