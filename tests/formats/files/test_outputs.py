"""Outputs appear whole or not at all, and never over something that matters."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from annotext.core.errors import InputError
from annotext.formats.files.outputs import check_output, writing


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    out.write_text("old")
    with pytest.raises(RuntimeError), writing(out, force=True) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert out.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.json"]


def test_a_block_that_succeeds_replaces_the_file(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    out.write_text("old")
    with writing(out, force=True) as temporary:
        temporary.write_text("new")
    assert out.read_text() == "new"
    assert os.listdir(tmp_path) == ["out.json"]


def test_an_existing_file_is_kept_without_force(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    out.write_text("old")
    with pytest.raises(InputError, match="exists\n  hint: give --force"):
        check_output(out, force=False)


def test_the_input_is_refused_as_output_even_with_force(tmp_path: Path) -> None:
    out = tmp_path / "in.json"
    out.write_text("input")
    with pytest.raises(InputError, match="is the input itself"):
        check_output(tmp_path / "." / "in.json", force=True, inputs=[out])


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_link_to_the_input_is_refused(tmp_path: Path, link: object) -> None:
    given = tmp_path / "in.json"
    given.write_text("input")
    assert callable(link)
    link(given, tmp_path / "link.json")
    with pytest.raises(InputError, match="is the input itself"):
        check_output(tmp_path / "link.json", force=True, inputs=[given])


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the folder .*none does not exist"):
        check_output(tmp_path / "none" / "out.json", force=False)


def test_a_folder_is_no_output(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        check_output(tmp_path, force=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(InputError, match="no permission to write"):
        check_output(tmp_path / "out.json", force=False)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that nobody can write to, even root")
def test_a_place_the_system_refuses_is_a_known_error() -> None:
    with (
        pytest.raises(InputError, match=r"cannot be written|no permission"),
        writing("/proc/annotext.json", force=False) as temporary,
    ):
        temporary.write_text("x")
