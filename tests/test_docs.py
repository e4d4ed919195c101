"""What the documents tell people to type exists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from annotext.cli.main import app

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "recipes" / "README.md", *(ROOT / "docs").rglob("*.md")])
PROGRAM = typer.main.get_command(app)


def options_of(words: list[str]) -> set[str]:
    found = PROGRAM.commands[words[1]]  # type: ignore[attr-defined]
    if hasattr(found, "commands"):
        assert words[2] in found.commands, f"no command {words[1]} {words[2]}"
        found = found.commands[words[2]]
    return {name for parameter in found.params for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}


def typed_lines(document: Path) -> Iterator[str]:
    """Lines that start with `annotext`, in fenced blocks, with or without a prompt; continued lines joined."""
    for block in re.findall(r"^```[a-z]*\n(.*?)^```", document.read_text(), flags=re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            for part in line.split("&&"):
                command = part.strip().removeprefix("$ ").removeprefix(".venv/bin/").strip()
                if command.startswith("annotext "):
                    yield command


def lines() -> list[tuple[str, str]]:
    return [(d.name, line) for d in DOCUMENTS for line in typed_lines(d)]


def test_the_readme_shows_every_main_command() -> None:
    shown = {shlex.split(line)[1] for line in typed_lines(ROOT / "README.md")}
    assert {"train", "extend", "draw", "evaluate", "strip"} <= shown


@pytest.mark.parametrize(("document", "line"), lines(), ids=lambda v: v[:60])
def test_a_command_in_a_document_exists_with_all_its_options(document: str, line: str) -> None:
    words = shlex.split(line, comments=True)
    assert words[1] in PROGRAM.commands, f"{document}: no command {words[1]}"  # type: ignore[attr-defined]
    given = {w.strip("[]").split("=")[0] for w in words[2:] if w.strip("[]").startswith("-")}
    assert given <= options_of(words), f"{document}: {line}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{document.name} links to {target}"
