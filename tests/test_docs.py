"""Commands, paths, Python names and links in the documents exist, and the documents use the glossary's terms."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import annotext
from annotext.cli.main import app

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "annotext"
# CHANGELOG.md and docs/LOG.md record what was: their links must resolve, their paths and words may be of their time.
HISTORY = [ROOT / "CHANGELOG.md", ROOT / "docs" / "LOG.md"]
DOCUMENTS = sorted(
    {ROOT / "README.md", *ROOT.glob("recipes/*.md"), *ROOT.glob("benchmarks/*.md"), *(ROOT / "docs").rglob("*.md")}
    - set(HISTORY)
)
PROGRAM = typer.main.get_command(app)

# Words that earlier documents used in a meaning of their own -> the term. Code blocks are output as it was printed.
PRIVATE_WORDS = {
    r"at home|abroad": "in-domain, cross-domain",
    r"further looks?": "test-time augmentation",
    r"--passes": "--tta",
    r"whole poses?(?! of another person)": "pseudo-labels",
    r"pupils?|lessons?|examiner": "student or teacher binding, calibration set, evaluator",
    r"the house|rooms?(?!s?, streets)": "architecture, package",
    r"habits?": "annotation convention",
    r"judged?|judges": "evaluate",
    r"(?:is|are) worth|what (?:\w+ ){1,4}worth": "calibrated score, how much error it removes",
}


def prose(document: Path) -> str:
    """The text without fenced blocks and inline code."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`]*`", "", text)


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


def by_path(document: Path) -> str:
    return str(document.relative_to(ROOT))


def test_the_readme_shows_every_main_command() -> None:
    shown = {shlex.split(line)[1] for line in typed_lines(ROOT / "README.md")}
    assert {"train", "extend", "draw", "evaluate", "strip"} <= shown


@pytest.mark.parametrize(("document", "line"), lines(), ids=lambda v: v[:60])
def test_a_command_in_a_document_exists_with_all_its_options(document: str, line: str) -> None:
    words = shlex.split(line, comments=True)
    assert words[1] in PROGRAM.commands, f"{document}: no command {words[1]}"  # type: ignore[attr-defined]
    given = {w.strip("[]").split("=")[0] for w in words[2:] if w.strip("[]").startswith("-")}
    assert given <= options_of(words), f"{document}: {line}"


@pytest.mark.parametrize("document", [*DOCUMENTS, *HISTORY], ids=by_path)
def test_links_between_documents_resolve(document: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", document.read_text()):
        if "://" in target:
            continue
        found = document.parent / target if target else document
        assert found.exists(), f"{document.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", found.read_text(), flags=re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor in slugs, f"{document.name} links to {target}#{anchor}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=by_path)
def test_paths_in_a_document_exist(document: Path) -> None:
    """`annotext/x.py`, `tests/...`, `benchmarks/...` from the root; `core/x.py`, `formats/files/` in the package."""
    text = re.sub(r"\]\([^)]*\)", "", document.read_text())  # links have a test of their own
    top = "annotext|tests|benchmarks|recipes|datasets|docs"
    packages = "|".join(sorted(p.name for p in PACKAGE.iterdir() if p.is_dir() and not p.name.startswith("_")))
    named = re.findall(rf"(?<![\w/.-])((?:{top}|{packages})/[\w./-]*)", text)
    for name in (n.rstrip(".") for n in named):
        place = ROOT if re.match(rf"(?:{top})/", name) else PACKAGE
        if "." in Path(name).name or name.endswith("/"):
            assert (place / name).exists(), f"{document.name} names {name}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=by_path)
def test_python_names_in_a_document_exist(document: Path) -> None:
    """`annotext.review.decisions.files.append_corrections`: the module, and what it defines."""
    for name in re.findall(r"\bannotext\.[a-z_]+(?:\.\w+)+", document.read_text()):
        if name.endswith(".json"):
            continue
        parts = name.split(".")
        modules = (ROOT.joinpath(*parts[:n]).with_suffix(".py") for n in range(len(parts), 1, -1))
        module = next((m for m in modules if m.exists()), None)
        if module is None:
            is_module = (PACKAGE / parts[1]).is_dir() and not ROOT.joinpath(*parts).is_dir()
            assert not is_module, f"{document.name} names {name}"
            continue  # a key such as `info.annotext.added`, or a package
        rest = parts[len(module.relative_to(ROOT).parts) :]
        if rest:
            tree = ast.parse(module.read_text())
            defined = {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
            assert rest[0] in defined, f"{document.name} names {name}"


@pytest.mark.parametrize("document", [*DOCUMENTS, *HISTORY], ids=by_path)
def test_names_of_the_python_api_in_a_document_exist(document: Path) -> None:
    for name in re.findall(r"\bax\.(\w+)", document.read_text()):
        assert name in annotext.__all__, f"{document.name} names ax.{name}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=by_path)
def test_a_document_uses_the_terms_of_the_field(document: Path) -> None:
    text = prose(document)
    for words, term in PRIVATE_WORDS.items():
        found = re.search(rf"\b(?:{words})\b" if words[0] != "-" else words, text, flags=re.IGNORECASE)
        assert not found, f"{document.name} says {found[0]!r}: {term}"


def test_the_glossary_is_in_order_and_defines_each_term_once() -> None:
    rows = re.findall(r"^\| ([^|]+) \|", (ROOT / "docs" / "glossary.md").read_text(), flags=re.MULTILINE)
    terms = [row for row in rows if row not in ("term", "---")]
    assert len(terms) > 40
    assert terms == sorted(terms, key=str.lower)
    assert len({t.lower() for t in terms}) == len(terms)
