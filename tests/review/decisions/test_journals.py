"""Journals: one file a reviewer, whatever they are called; read without a database."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from reviewers import correction

from annotext.core.errors import AnnotextError
from annotext.review.decisions.correction import Verdict
from annotext.review.decisions.files import append_corrections, correction_line
from annotext.review.decisions.journal import (
    journal_files,
    journal_folder,
    journal_kind,
    journal_name,
    read_journals,
)

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300).filter(str.strip)


@given(names, names)
@example("Anna", "anna")
@example("a/b", "a%2fb")
@example("x" * 300, "x" * 301)
@example("+a", "A")
@example("é", "e\u0301")
def test_two_reviewers_never_share_a_journal_not_even_where_capitals_are_ignored(one: str, other: str) -> None:
    assert (journal_name(one).lower() == journal_name(other).lower()) == (one == other)


@given(names)
@example("../../etc/passwd")
@example(".hidden")
@example("\0")
def test_a_journal_lies_in_its_folder_whatever_the_reviewer_is_called(name: str) -> None:
    written = journal_name(name)
    assert Path("folder", written).parent == Path("folder")
    assert written.isascii() and len(written) < 250 and not written.startswith(".")
    assert not set(written) & set('/\\\0:*?"<>|')


def test_a_reviewer_without_a_name_is_told_so() -> None:
    with pytest.raises(AnnotextError, match="--reviewer"):
        journal_name("  ")


def test_journals_come_in_the_order_in_which_things_were_said(tmp_path: Path) -> None:
    folder = journal_folder(tmp_path / "extended.json")
    folder.mkdir()
    decisions = [correction(n, reviewer=who) for n, who in ((3, "ann"), (1, "bob"), (2, "ann"))]
    for c in decisions:
        append_corrections(folder / journal_name(c.reviewer), [c], "coco")
    found, skipped = read_journals(folder)
    assert found == sorted(decisions, key=lambda c: c.time)
    assert not skipped


def test_a_line_that_was_cut_off_costs_only_itself_and_is_named(tmp_path: Path) -> None:
    journal = tmp_path / journal_name("ann")
    append_corrections(journal, [correction(1)], "coco")
    with journal.open("ab") as file:
        file.write(correction_line(correction(2), "coco")[:40])
    append_corrections(journal, [correction(3, Verdict.REJECT)], "coco")
    found, skipped = read_journals(tmp_path)
    assert [int(c.id, 16) for c in found] == [1, 3]
    assert [p.pointer for p in skipped] == ["line 2"]


def test_journals_say_what_kind_of_file_they_are_about(tmp_path: Path) -> None:
    assert journal_kind(journal_files(tmp_path / "nowhere")) is None
    for kind in ("coco", "mpii"):
        (tmp_path / kind).mkdir()
        append_corrections(tmp_path / kind / "ann.jsonl", [correction(1)], kind)
        assert journal_kind(journal_files(tmp_path / kind)) == kind
