"""A page of tables and pictures: one self-contained HTML file beside the images it shows, and the same as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from annotext.render.table import Table

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .8rem 0; }
th, td { padding: .25rem .8rem; text-align: right;
  border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
th:first-child, td:first-child { text-align: left; }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; }
figcaption { font-size: .9rem; opacity: .8; }
pre { overflow-x: auto; padding: .6rem .8rem; background: color-mix(in srgb, currentColor 8%, transparent); }
"""


@dataclass(frozen=True)
class Picture:
    """An image file, addressed relative to the page."""

    file: str
    caption: str


@dataclass(frozen=True)
class Section:
    """A heading with paragraphs, then tables, pictures and commands in that order."""

    title: str
    text: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    commands: Sequence[str] = field(default=())


def to_html(title: str, sections: Sequence[Section]) -> str:
    """The page as one HTML document without scripts or anything fetched from elsewhere."""
    body = [f"<h1>{escape(title)}</h1>"]
    for section in sections:
        body.append(f"<h2>{escape(section.title)}</h2>")
        body += [f"<p>{escape(paragraph)}</p>" for paragraph in section.text]
        body += [table.html() for table in section.tables]
        for picture in section.pictures:
            alt, file = escape(picture.caption, quote=True), escape(picture.file, quote=True)
            body.append(
                f'<figure><a href="{file}"><img src="{file}" alt="{alt}"></a>'
                f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
            )
        if section.commands:
            body.append(f"<pre>{escape(chr(10).join(section.commands))}</pre>")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def to_markdown(title: str, sections: Sequence[Section]) -> str:
    """The same page as Markdown."""
    lines = [f"# {title}", ""]
    for section in sections:
        lines += [f"## {section.title}", ""]
        for paragraph in section.text:
            lines += [paragraph, ""]
        for table in section.tables:
            lines += [*table.markdown(), ""]
        for picture in section.pictures:
            lines += [f"![{picture.caption}]({picture.file})", ""]
        if section.commands:
            lines += ["```", *section.commands, "```", ""]
    return "\n".join(lines)
