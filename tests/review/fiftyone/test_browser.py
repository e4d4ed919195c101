"""The whole loop as a reviewer has it: a browser with a real mouse and keys, then the corrected file."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from reviewed import write_guessed_people

from annotext.core.additions import Source
from annotext.formats.annotations.read import read_annotations
from annotext.review.decisions.files import read_corrections
from annotext.review.decisions.journal import journal_folder, read_journals
from annotext.review.fiftyone.service import ReviewService
from annotext.review.fiftyone.session import LOOPBACK, address, save_workspace
from annotext.review.fiftyone.views import AUDIT, WORST, below_view
from annotext.workflows.review_build import build_review

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# A busy machine with two cores: everything is waited for, nothing is slept on.
PATIENCE_MS = 180_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless browser."""
    program = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no browser here: none of {', '.join(BROWSERS)}")
    if find_spec("playwright") is None:
        pytest.skip("playwright, which drives the browser, is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Chromium's sandbox does not work in containers, nor for root; the only address visited is our own.
        running = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield running
        running.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page of its own: nothing of another one is kept in it."""
    context = browser.new_context(viewport={"width": 1500, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE_MS)
    yield opened
    context.close()


@pytest.fixture(scope="module")
def people(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An extended file of people on pictures, that no test changes."""
    return write_guessed_people(tmp_path_factory.mktemp("browsed") / "people")


@pytest.fixture(scope="module")
def port(fo: ModuleType, people: Path) -> Iterator[int]:
    """Where `annotext review open` serves an App for ann; it shows every dataset."""
    build_review(people, people.parent / "coco" / "images", name="browsed", overwrite=True)
    with socket.socket() as free:
        free.bind((LOOPBACK, 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "annotext.cli.main", "review", "open", "browsed", "--no-browser"]
    server = subprocess.Popen(
        [*command, "--port", str(port), "--reviewer", "ann"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
        cwd=Path(__file__).resolve().parents[3],
    )
    assert server.stderr is not None
    lines = []
    for line in server.stderr:
        lines.append(line)
        if f"http://{LOOPBACK}:{port}/" in line:
            break
    else:
        pytest.fail(f"the App did not start: {''.join(lines)}")
    yield port
    server.send_signal(signal.SIGINT)
    server.communicate(timeout=60)
    assert server.returncode == 0
    fo.delete_dataset("browsed")


@pytest.fixture
def extended(people: Path, tmp_path: Path) -> Path:
    """The extended file under review: a test's own, with its own journal."""
    return Path(shutil.copy(people, tmp_path / "extended.json"))


@pytest.fixture
def dataset(fo: ModuleType, people: Path, extended: Path) -> Iterator[Any]:
    name = f"of {extended.parent.name}"
    build_review(extended, people.parent / "coco" / "images", name=name, overwrite=True)
    dataset = fo.load_dataset(name)
    yield dataset
    fo.delete_dataset(name)


@pytest.fixture
def panel(fo: ModuleType, port: int, dataset: Any, page: Any) -> Panel:
    """The panel as it opens with all people who have points left."""
    page.goto(re.sub(r"view=[^&]*&", "", address(dataset, port, save_workspace(dataset, fo), fo)))
    panel = Panel(page)
    panel.part("review-question").wait_for()
    return panel


class Panel:
    """The Review panel on a page."""

    def __init__(self, page: Any) -> None:
        from playwright.sync_api import expect

        self.page = page
        self.expect = expect
        expect.set_options(timeout=PATIENCE_MS)

    def part(self, name: str) -> Any:
        return self.page.locator(f'[data-cy="{name}"]')

    @property
    def asked(self) -> Any:
        """The rows of the points asked about."""
        return self.page.locator("[data-asked=yes]")

    @property
    def person(self) -> int:
        """The annotation id of who is shown."""
        found = re.search(r"id (\d+)", self.part("review-where").inner_text())
        assert found is not None
        return int(found[1])

    def choose_view(self, name: str) -> None:
        """Choose a saved view in FiftyOne's list."""
        slug = re.sub(r"[ _]", "-", name)
        self.part("saved-views-selection").click()
        self.part(f"saved-views-{slug}-selection-option").click()
        self.page.wait_for_url(re.compile(f"view={slug}"))

    def next_person(self) -> None:
        before = self.person
        self.page.keyboard.press("j")
        self.expect(self.part("review-where")).not_to_contain_text(f"id {before}")
        self.part("review-question").wait_for()

    def choose(self, keypoint: str) -> None:
        self.part(f"review-point-{keypoint}").click()
        self.expect(self.part("review-question")).to_contain_text(keypoint.replace("_", " "))

    def middle(self, keypoint: str) -> tuple[float, float]:
        """Where a point is on the screen."""
        box = self.page.locator(f'.atr-grip[data-keypoint="{keypoint}"]').bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def starts_with(self, dataset: Any, view: str) -> None:
        """The first person of a saved view is shown."""
        _, person, _ = ReviewService(dataset, "ann").queue(dataset.load_saved_view(view))["rows"][0]
        self.expect(self.part("review-where")).to_contain_text(re.compile(rf"Person 1 of .* id {person}$"))

    def verdict(self, keypoint: str, verdict: str) -> None:
        self.expect(self.part(f"review-point-{keypoint}")).to_have_attribute("data-verdict", verdict)

    def saved(self, points: int) -> None:
        self.expect(self.part("review-progress")).to_contain_text(f"{points} decided")
        self.expect(self.part("review-progress")).to_contain_text("all saved")


@pytest.mark.slow
def test_what_was_decided_in_the_browser_is_what_changes_in_the_file(
    panel: Panel, dataset: Any, people: Path, extended: Path, tmp_path: Path, run_cli: Callable[..., Any]
) -> None:
    page = panel.page
    file = read_annotations(extended)
    assert file.additions is not None
    columns = {k: j for j, k in enumerate(file.additions.keypoints)}
    panel.choose_view(WORST)
    panel.expect(panel.part("review-question")).to_contain_text("right?")
    panel.starts_with(dataset, WORST)

    # One point of somebody is rejected by its key; another one is dragged with the mouse.
    first = panel.person
    row = file.extended_poses.ids.tolist().index(first)
    panel.choose("head_top")
    page.keyboard.press("r")
    panel.verdict("head_top", "reject")
    panel.choose("thorax")
    x, y = panel.middle("thorax")
    other_x, other_y = panel.middle("pelvis")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 10, y + 5, steps=3)
    page.mouse.move(x + 40, y - 30, steps=6)
    page.mouse.up()
    panel.verdict("thorax", "move")
    thorax, pelvis = file.additions.xy[row, columns["thorax"]], file.additions.xy[row, columns["pelvis"]]
    scale = math.dist((x, y), (other_x, other_y)) / math.dist(thorax, pelvis)
    panel.saved(2)

    # All that is asked about somebody else is accepted with one key.
    panel.next_person()
    panel.expect(panel.part("review-accept-all")).to_contain_text("Accept")
    second = panel.person
    asked = int(re.findall(r"\d+", panel.part("review-accept-all").inner_text() + " 1")[0])
    page.keyboard.press("Shift+A")
    panel.saved(2 + asked)

    # These decisions are collected, and nothing else changes in the file.
    corrections, out = tmp_path / "corrections.jsonl", tmp_path / "corrected.json"
    collected = run_cli("review", "collect", dataset.name, "-o", corrections)
    assert collected.returncode == 0, collected.stderr
    assert {c.reviewer for c in read_corrections([corrections])} == {"ann"}
    applied = run_cli("apply", extended, corrections, "-o", out, "--json")
    assert applied.returncode == 0, applied.stderr
    assert json.loads(applied.stdout)["findings"] == []
    after = read_annotations(out)
    assert after.additions is not None
    verdicts = {
        (int(file.extended_poses.ids[i]), after.additions.keypoints[j]): after.additions.review[i, j].verdict
        for i, j in zip(*(after.additions.review != None).nonzero(), strict=True)  # noqa: E711
    }
    assert verdicts.pop((first, "head_top")) == "reject"
    assert verdicts.pop((first, "thorax")) == "move"
    assert {person for person, _ in verdicts} == {second}
    assert set(verdicts.values()) == {"accept"} and len(verdicts) == asked
    moved = after.additions.xy[row, columns["thorax"]]
    assert moved.tolist() == pytest.approx([thorax[0] + 40 / scale, thorax[1] - 30 / scale], abs=1.0)
    assert after.additions.source[row, columns["thorax"]] == Source.CORRECTED
    assert after.additions.visibility[row, columns["head_top"]] == 0
    untouched = after.additions.review == None  # noqa: E711
    for name in ("xy", "visibility", "source", "score", "decision"):
        now, then = getattr(after.additions, name)[untouched], getattr(file.additions, name)[untouched]
        assert (now == then)[now == now].all()
    stripped = run_cli("strip", out, "-o", tmp_path / "stripped.json")
    assert stripped.returncode == 0, stripped.stderr
    original = json.loads((people.parent / "coco" / "annotations.json").read_text())
    assert json.loads((tmp_path / "stripped.json").read_text()) == original


@pytest.mark.slow
def test_a_saved_view_starts_with_its_own_person_and_asks_about_its_own_points(panel: Panel, dataset: Any) -> None:
    panel.next_person()
    panel.choose_view(below_view("head_top"))
    panel.starts_with(dataset, below_view("head_top"))
    panel.expect(panel.part("review-question")).to_contain_text("head top")
    panel.expect(panel.asked).to_have_count(1)
    panel.next_person()
    panel.choose_view(AUDIT)
    panel.starts_with(dataset, AUDIT)
    columns = dataset.values(["people.keypoints.person", "people.keypoints.audit"])
    samples = zip(*columns, strict=True)
    audited = {p: keypoints for people, of in samples for p, keypoints in zip(people, of, strict=True)}
    panel.expect(panel.asked).to_have_count(len(audited[panel.person]))


@pytest.mark.slow
def test_hidden_absent_undone_and_noted_are_collected_as_such(
    panel: Panel, dataset: Any, extended: Path, tmp_path: Path, run_cli: Callable[..., Any]
) -> None:
    page = panel.page
    person = panel.person
    # One of those asked about stays open: else the panel would go on to somebody else.
    stays = panel.asked.first.get_attribute("data-cy").removeprefix("review-point-")
    hidden, absent, undone = (k for k in ("head_top", "thorax", "pelvis", "upper_neck") if k != stays)
    for keypoint, key, verdict in ((hidden, "h", "hidden"), (absent, "x", "absent"), (undone, "r", "reject")):
        panel.choose(keypoint)
        page.keyboard.press(key)
        panel.verdict(keypoint, verdict)
    page.keyboard.press("u")
    panel.verdict(undone, "")
    page.keyboard.press("n")
    panel.expect(panel.part("review-note-text")).to_be_focused()
    page.keyboard.type("behind a tree")
    page.keyboard.press("Enter")
    panel.expect(panel.part("review-message")).to_have_text("Noted.")
    panel.saved(2)

    corrections, out = tmp_path / "corrections.jsonl", tmp_path / "corrected.json"
    collected = run_cli("review", "collect", dataset.name, "-o", corrections)
    assert collected.returncode == 0, collected.stderr
    found = [(c.person, c.keypoint, c.verdict, c.note) for c in read_corrections([corrections])]
    assert found == [
        (person, hidden, "hidden", ""),
        (person, absent, "absent", ""),
        (person, undone, "reject", ""),
        (person, undone, "undo", ""),
        (person, undone, "note", "behind a tree"),
    ]
    assert run_cli("apply", extended, corrections, "-o", out).returncode == 0
    before, after = read_annotations(extended), read_annotations(out)
    assert before.additions is not None and after.additions is not None
    row = before.poses.ids.tolist().index(person)
    was, now = (
        {k: a.visibility[row, j] for j, k in enumerate(a.keypoints)} for a in (before.additions, after.additions)
    )
    assert (now[hidden], now[absent], now[undone]) == (1, 0, was[undone])


@pytest.mark.slow
def test_what_could_not_be_saved_is_named_and_sent_when_the_page_was_reloaded(panel: Panel, extended: Path) -> None:
    page = panel.page
    person = panel.person
    page.route(
        "**/operators/execute",
        lambda r: r.abort() if "review/decide" in (r.request.post_data or "") else r.continue_(),
    )
    panel.choose("thorax")
    page.keyboard.press("a")
    panel.expect(panel.part("review-failure")).to_contain_text("NOT SAVED: 1 decision")
    page.keyboard.press("r")
    panel.expect(panel.part("review-failure")).to_contain_text("NOT SAVED: 1 decision")
    assert read_journals(journal_folder(extended))[0] == []
    page.unroute("**/operators/execute")
    page.on("dialog", lambda dialog: dialog.accept())  # the browser asks whether to leave
    page.reload()
    panel.saved(1)
    panel.expect(panel.part("review-failure")).to_have_count(0)
    kept = [(c.person, c.keypoint, c.verdict) for c in read_journals(journal_folder(extended))[0]]
    assert kept == [(person, "thorax", "accept")]
