"""Review sessions: plugins, ports, and a served App that ends cleanly."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from reviewed import write_extended_people

from annotext.core.errors import AnnotextError
from annotext.review.decisions.journal import journal_folder, read_journals
from annotext.review.fiftyone.service import ReviewService
from annotext.review.fiftyone.session import (
    BUNDLE,
    LOOPBACK,
    PARTS,
    PLUGIN,
    check_port,
    is_free,
    name_of,
    panel_script,
    part,
    plugins_folder,
)
from annotext.review.fiftyone.store import JOURNAL, decisions, find_dataset
from annotext.workflows.review_build import build_review
from annotext.workflows.review_open import changes, check_journal

REPOSITORY = Path(__file__).resolve().parents[3]
# The App imports FiftyOne and starts; longer on a busy machine.
START_SECONDS = 180


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens at."""
    with socket.socket() as listening:
        listening.bind((LOOPBACK, 0))
        listening.listen()
        yield listening.getsockname()[1]


def free_port() -> int:
    with socket.socket() as tried:
        tried.bind((LOOPBACK, 0))
        return tried.getsockname()[1]


def test_a_taken_port_is_refused_and_a_free_one_is_named(taken: int) -> None:
    with pytest.raises(AnnotextError, match=rf"port {taken} is taken") as refused:
        check_port(taken)
    named = int(str(refused.value).rsplit("--port ", 1)[1])
    assert named > taken
    assert is_free(named)


def test_a_free_port_is_fine() -> None:
    check_port(free_port())


def test_the_users_plugins_come_along_and_their_folder_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "fiftyone.yml").write_text("name: theirs\n")
    (tmp_path / "notes.txt").write_text("not a plugin")
    before = sorted(p.name for p in tmp_path.rglob("*"))
    with plugins_folder(tmp_path) as folder:
        assert sorted(p.name for p in folder.iterdir()) == ["annotext-review", "theirs"]
        assert (folder / "theirs" / "fiftyone.yml").read_text() == "name: theirs\n"
        assert (folder / "annotext-review" / "panel.js").is_file()
    assert not folder.exists()
    assert sorted(p.name for p in tmp_path.rglob("*")) == before
    assert (PLUGIN / "fiftyone.yml").is_file()


def test_the_folder_of_plugins_goes_also_when_the_session_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), plugins_folder(tmp_path / "none") as folder:
        raise RuntimeError
    assert not folder.exists()


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


def test_everything_the_plugin_registers_is_in_its_manifest(fo: ModuleType) -> None:
    import yaml

    manifest = yaml.safe_load((PLUGIN / "fiftyone.yml").read_text())
    assert manifest["js_bundle"] == BUNDLE

    from annotext.review.fiftyone import plugin

    registered: list[Any] = []

    class Context:
        def register(self, operator: Any) -> None:
            registered.append(operator)

    plugin.register(Context())
    assert sorted(o().config.name for o in registered) == sorted(manifest["operators"])


@pytest.mark.parametrize("name", ["", "  ", "two\nlines"])
def test_a_reviewer_needs_a_name_in_one_line(name: str) -> None:
    with pytest.raises(AnnotextError, match="--reviewer"):
        name_of(name)


def test_a_dataset_that_is_not_there_is_answered_with_those_that_are(fo: ModuleType, tmp_path: Path) -> None:
    extended = write_extended_people(tmp_path)
    build_review(extended, tmp_path / "images", name="those there are", overwrite=True)
    theirs = fo.Dataset("somebody's")
    try:
        with pytest.raises(AnnotextError, match=r"no dataset 'missing'; there are those there are\."):
            find_dataset("missing", fo)
        with pytest.raises(AnnotextError, match="annotext did not build this dataset"):
            find_dataset("somebody's", fo)
        assert find_dataset("those there are", fo).name == "those there are"
    finally:
        theirs.delete()
        fo.delete_dataset("those there are")


def test_a_file_that_changed_since_is_noted(tmp_path: Path) -> None:
    extended = tmp_path / "extended.json"
    extended.write_text("{}")
    info = {"extended": str(extended), "extended_sha256": sha256(b"{}").hexdigest(), "images": str(tmp_path)}
    assert changes(info) == []
    extended.write_text("{} ")
    assert "not the file this dataset was built from" in changes(info)[0]
    extended.unlink()
    assert "cannot be read" in changes(info)[0]


def test_who_lacks_the_extended_files_folder_keeps_a_journal_elsewhere(
    fo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs").mkdir()
    extended = write_extended_people(tmp_path / "theirs")
    build_review(extended, extended.parent / "images", name="shared", overwrite=True)
    extended.parent.rename(tmp_path / "not here")
    dataset = fo.load_dataset("shared")
    with pytest.raises(AnnotextError, match="--journal DIR"):
        check_journal(dataset.info["annotext"])
    monkeypatch.setenv(JOURNAL, str(tmp_path / "mine"))
    check_journal(dataset.info["annotext"])
    service = ReviewService(dataset, "ann")
    sample, person, _ = service.queue(dataset.view())["rows"][0]
    p = service.people([(sample, person)], None)[0]
    point = p["points"][p["ask"][0]]
    decision = {"id": "d" * 32, "sample": sample, "person": person, "keypoint": p["ask"][0], "verdict": "reject"}
    service.decide([{**decision, "seen": [point["x"], point["y"]]}])
    assert [c.id for c in read_journals(tmp_path / "mine")[0]] == ["d" * 32]
    monkeypatch.delenv(JOURNAL)
    assert [c.id for c in decisions(dataset)] == ["d" * 32]  # the others see it in the database
    fo.delete_dataset("shared")


@pytest.fixture
def opened(fo: ModuleType, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int, Path]]:
    """`annotext review open` on a small dataset: the process, its port, the extended file."""
    extended = write_extended_people(tmp_path)
    build_review(extended, tmp_path / "images", name="opened", overwrite=True)
    port = free_port()
    command = [sys.executable, "-m", "annotext", "review", "open", "opened", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--reviewer", "ann", "--no-browser"],
        cwd=REPOSITORY,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # As at a terminal, where nothing ignores Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )
    try:
        ends = time.monotonic() + START_SECONDS
        while is_free(port):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < ends, "the App does not answer"
            time.sleep(0.2)
        yield process, port, extended
    finally:
        process.kill()
        process.wait()
        fo.delete_dataset("opened")


def post(port: int, operator: str, params: dict[str, Any]) -> Any:
    """What the panel sends."""
    body = {"operator_uri": f"@annotext/review/{operator}", "dataset_name": "opened", "view": [], "params": params}
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://{LOOPBACK}:{port}/operators/execute", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        result = json.load(answer)["result"]
    assert "ok" in result, result
    return result["ok"]


def decide_one(port: int, number: int) -> str:
    """Accept the first point asked about; its decision's id."""
    sample, person, _ = post(port, "queue", {})["rows"][0]
    shown = post(port, "people", {"people": [[sample, person]]})[0]
    keypoint = next(k for k in shown["ask"] if k not in shown["mine"])
    point = shown["points"][keypoint]
    decision = {"id": f"{number:032x}", "sample": sample, "person": person, "keypoint": keypoint, "verdict": "accept"}
    return post(port, "decide", {"decisions": [{**decision, "seen": [point["x"], point["y"]]}]})["saved"][0]


def addresses(process: subprocess.Popen[str]) -> set[tuple[str, int]]:
    """What a session and the database under it listen at."""
    import psutil
    from fiftyone.core.odm import database

    ours = [psutil.Process(process.pid), database._db_service.child]
    family = {p.pid: p for root in ours for p in (root, *root.children(recursive=True))}
    connections = [c for p in family.values() for c in p.net_connections(kind="inet")]
    return {(c.laddr.ip, c.laddr.port) for c in connections if c.status == psutil.CONN_LISTEN}


@pytest.mark.slow
def test_decisions_are_the_command_lines_reviewers_and_ctrl_c_ends_quietly(opened: tuple[Any, int, Path]) -> None:
    import psutil

    process, port, extended = opened
    # Only this machine can reach the App and its database.
    listening = addresses(process)
    assert (LOOPBACK, port) in listening
    assert len(listening) >= 2
    assert {ip for ip, _ in listening} == {LOOPBACK}
    # What was answered is in the journal: killing the App now would not lose it.
    saved = [(decide_one(port, n), "ann") for n in range(1, 4)]
    assert [(c.id, c.reviewer) for c in read_journals(journal_folder(extended))[0]] == saved
    # A browser listens to events as long as it is open: it is open now.
    start = {"dataset": "opened", "group_id": None, "group_slice": None, "sample_id": None, "view": None}
    browser = http.client.HTTPConnection(LOOPBACK, port, timeout=60)
    asked = {"initializer": {**start, "workspace": None}, "subscription": "test", "events": ["state_update"]}
    browser.request("POST", "/events", json.dumps(asked), {"Content-Type": "application/json"})
    assert browser.getresponse().status == 200
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    decision, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in decision
    assert f"http://{LOOPBACK}:{port}/datasets/opened?view=worst-first&workspace=review" in decision
    assert [(c.id, c.reviewer) for c in read_journals(journal_folder(extended))[0]] == saved
    assert not list(extended.parent.glob("annotext-plugins-*"))
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive
    assert is_free(port)
