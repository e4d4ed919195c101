from __future__ import annotations

from rich.text import Text

from annotext.render.table import Column, Table, number, percent

TABLE = Table(
    [
        "keypoint",
        "n",
        Column("PCK", group="share"),
        Column("error", group="share"),
        Column("why", left=True, style="dim"),
    ],
    [["nose", "3", "99.5", "1.0", "[bold]no[/]"], "a section", ["left_eye", "12"]],
)
PLAIN = [
    "               share ------",
    "keypoint   n   PCK  error  why",
    "nose       3  99.5    1.0  [bold]no[/]",
    "a section",
    "left_eye  12",
]


def test_text_is_left_figures_are_right_and_nothing_trails() -> None:
    assert TABLE.lines(markup=False)[1:] == PLAIN[1:]
    assert TABLE.lines(2, markup=False)[1:] == [f"  {line}" for line in PLAIN[1:]]


def test_a_group_stands_above_its_columns_with_a_rule_to_the_last() -> None:
    group, head = TABLE.lines(markup=False)[:2]
    assert group.index("share") == head.index("PCK") - 1  # a cell is one character wider than the head
    assert len(group) == head.index("error") + len("error")


def test_markup_is_the_plain_text_with_cells_escaped() -> None:
    lines = TABLE.lines()
    assert [Text.from_markup(line).plain for line in lines] == TABLE.lines(markup=False)
    assert lines[2].endswith("[dim]\\[bold]no\\[/][/]")


def test_markdown_fills_rows_and_keeps_bars_out_of_cells() -> None:
    assert Table(["a", "b"], [["x|y"], "left out"]).markdown() == ["| a | b |", "| --- | ---: |", "| x/y |  |"]


def test_html_is_escaped() -> None:
    assert "<td>a &lt; b</td><td>1</td>" in Table(["<k>", "n"], [["a < b", "1"]]).html()


def test_a_figure_that_is_not_known_is_a_dash() -> None:
    assert [number(None, 1), number(float("nan"), 1), number(2, 1)] == ["-", "-", "2.0"]
    assert [percent(None), percent(0.123)] == ["-", "12.3%"]
