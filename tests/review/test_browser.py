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

from annotext.core.poses import Source
from annotext.formats.annotations import read_annotations
from annotext.formats.corrections import read_corrections

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# A busy machine with two cores: everything is waited for, nothing is slept on.
PATIENCE_MS = 180_000


@pytest.fixture
def page() -> Iterator[Any]:
    """A page of a headless browser."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        pytest.skip(f"no browser here: none of {', '.join(BROWSERS)}")
    if find_spec("playwright") is None:
        pytest.skip("playwright, which drives the browser, is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Chromium's sandbox does not work in containers, nor for root; the only address visited is our own.
        running = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        opened = running.new_page(viewport={"width": 1500, "height": 900})
        opened.set_default_timeout(PATIENCE_MS)
        yield opened
        running.close()


@pytest.fixture
def app(fo: ModuleType, tmp_path: Path, run_cli: Callable[..., Any]) -> Iterator[tuple[str, Path]]:
    """The address of an App that `annotext review open` serves for ann, and the extended file in it."""
    extended = write_guessed_people(tmp_path / "people")
    built = run_cli("review", "build", extended, "--images", extended.parent / "coco" / "images", "--name", "browsed")
    assert built.returncode == 0, built.stderr
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "annotext.cli.main", "review", "open", "browsed", "--no-browser"]
    server = subprocess.Popen(
        [*command, "--port", str(port), "--reviewer", "ann"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
        cwd=Path(__file__).resolve().parents[2],
    )
    assert server.stderr is not None
    said = []
    for line in server.stderr:
        said.append(line)
        if found := re.search(rf"http://127\.0\.0\.1:{port}\S+", line):
            break
    else:
        pytest.fail(f"the App did not start: {''.join(said)}")
    yield found[0], extended
    server.send_signal(signal.SIGINT)
    server.communicate(timeout=60)
    assert server.returncode == 0
    fo.delete_dataset("browsed")


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
    def person(self) -> int:
        """The annotation id of who is shown."""
        found = re.search(r"id (\d+)", self.part("review-where").inner_text())
        assert found is not None
        return int(found[1])

    def middle(self, keypoint: str) -> tuple[float, float]:
        """Where a point is on the screen."""
        box = self.page.locator(f'.atr-grip[data-keypoint="{keypoint}"]').bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def verdict(self, keypoint: str, verdict: str) -> None:
        self.expect(self.part(f"review-point-{keypoint}")).to_have_attribute("data-verdict", verdict)

    def saved(self, points: int) -> None:
        self.expect(self.part("review-progress")).to_contain_text(f"{points} decided")
        self.expect(self.part("review-progress")).to_contain_text("all saved")


@pytest.mark.slow
def test_what_was_decided_in_the_browser_is_what_changes_in_the_file(
    app: tuple[str, Path], page: Any, tmp_path: Path, run_cli: Callable[..., Any]
) -> None:
    address, extended = app
    file = read_annotations(extended)
    assert file.additions is not None
    columns = {k: j for j, k in enumerate(file.additions.keypoints)}

    # The App as it opens, but for the view, which is chosen by hand.
    page.goto(re.sub(r"view=[^&]*&?", "", address))
    panel = Panel(page)
    panel.part("review-question").wait_for()
    panel.part("saved-views-selection").click()
    with page.expect_response(
        lambda r: "/operators/execute" in r.url and "review/queue" in (r.request.post_data or "")
    ):
        panel.part("saved-views-worst-first-selection-option").click()
    page.wait_for_url(re.compile("view=worst-first"))
    panel.expect(panel.part("review-question")).to_contain_text("right?")

    # One point of somebody is rejected by its key; another one is dragged with the mouse.
    first = panel.person
    row = file.poses.ids.tolist().index(first)
    panel.part("review-point-head_top").click()
    panel.expect(panel.part("review-question")).to_contain_text("head top")
    page.keyboard.press("r")
    panel.verdict("head_top", "reject")
    panel.part("review-point-thorax").click()
    panel.expect(panel.part("review-question")).to_contain_text("thorax")
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
    page.keyboard.press("j")
    panel.expect(panel.part("review-where")).not_to_contain_text(f"id {first}")
    panel.expect(panel.part("review-accept-all")).to_contain_text("Accept")
    second = panel.person
    asked = int(re.findall(r"\d+", panel.part("review-accept-all").inner_text() + " 1")[0])
    page.keyboard.press("Shift+A")
    panel.saved(2 + asked)

    # These decisions are collected, and nothing else changes in the file.
    corrections, out = tmp_path / "corrections.jsonl", tmp_path / "corrected.json"
    collected = run_cli("review", "collect", "browsed", "-o", corrections)
    assert collected.returncode == 0, collected.stderr
    assert {c.reviewer for c in read_corrections([corrections])} == {"ann"}
    applied = run_cli("apply", extended, corrections, "-o", out, "--json")
    assert applied.returncode == 0, applied.stderr
    assert json.loads(applied.stdout)["findings"] == []
    after = read_annotations(out)
    assert after.additions is not None
    verdicts = {
        (int(file.poses.ids[i]), after.additions.keypoints[j]): after.additions.review[i, j].verdict
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
    original = json.loads((extended.parent / "coco" / "annotations.json").read_text())
    assert json.loads((tmp_path / "stripped.json").read_text()) == original
