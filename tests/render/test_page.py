from __future__ import annotations

from html.parser import HTMLParser

from annotext.render.page import Picture, Section, Table, to_html, to_markdown

SECTIONS = [
    Section(
        "Heads & tails",
        text=["a < b"],
        tables=[Table(["keypoint", "n"], [["nose", "3"], ["left_eye", "-"]])],
        pictures=[Picture("sheet.png", 'the "worst" nine')],
        commands=["annotext draw a.json --images b -o c.png"],
    )
]


class Balance(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[str] = []
        self.images: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.images.append(dict(attrs)["src"])
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "td":
            self.cells.append(data)


def test_the_html_page_is_balanced_and_holds_every_cell_and_picture() -> None:
    page = Balance()
    page.feed(to_html("Demo", SECTIONS))
    assert page.open == []
    assert page.cells == ["nose", "3", "left_eye", "-"]
    assert page.images == ["sheet.png"]


def test_text_is_escaped_in_html() -> None:
    html = to_html("<Demo>", SECTIONS)
    assert "&lt;Demo&gt;" in html
    assert "a &lt; b" in html
    assert 'alt="the &quot;worst&quot; nine"' in html


def test_the_markdown_table_has_one_row_per_keypoint() -> None:
    lines = to_markdown("Demo", SECTIONS).splitlines()
    assert "| keypoint | n |" in lines
    assert "| nose | 3 |" in lines
    assert '![the "worst" nine](sheet.png)' in lines
