"""The script of the Review panel, joined of its parts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from annotext.review.fiftyone.script import BUNDLE, PARTS, panel_script, part
from annotext.review.fiftyone.session import plugins_folder


def test_every_part_of_the_panel_is_in_the_order_once() -> None:
    folder = part(PARTS[0]).parent
    assert sorted(PARTS) == sorted(p.stem for p in folder.iterdir())


def test_a_session_serves_all_parts_in_one_script() -> None:
    with plugins_folder(None) as folder:
        served = (folder / "annotext-review" / BUNDLE).read_text(encoding="utf-8")
        assert not any(p.is_symlink() for p in (folder / "annotext-review").iterdir())
    places = [served.index(part(name).read_text(encoding="utf-8")) for name in PARTS]
    assert places == sorted(places)


def test_the_joined_script_parses(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node, which parses the script, is not here; the browser's test runs it")
    script = tmp_path / BUNDLE
    script.write_text(panel_script(), encoding="utf-8")
    parsed = subprocess.run([node, "--check", str(script)], capture_output=True, text=True, check=False)
    assert parsed.returncode == 0, parsed.stderr


def test_no_two_parts_give_the_same_name_to_different_things() -> None:
    names = [
        line.removeprefix("async ").split(" ", 2)[1].split("(")[0]
        for name in PARTS
        for line in part(name).read_text(encoding="utf-8").splitlines()
        if line.startswith(("function ", "async function ", "class ", "const ")) and not line.startswith("const {")
    ]
    assert {"Model", "Outbox", "Picture", "Review", "call"} < set(names)
    assert len(set(names)) == len(names), sorted(n for n in set(names) if names.count(n) > 1)
