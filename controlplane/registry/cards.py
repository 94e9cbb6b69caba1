"""The card of a release, which anybody may have written: Markdown → HTML that is safe to show, and the figures in it.

HTML in a card is shown as text, pictures are left out (our pages load nothing from elsewhere), links lead to http(s)
only and tell nobody where they were found. Headings sink two levels, below those of the page. Aligned columns say so by
a class: the page takes no inline style. A card longer than MOST is cut: it is read by people.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

MOST = 128 << 10  # characters
SUNK = 2  # levels
CUT = "\n\n*The rest of this card is not shown; it is a file of the release.*\n"
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?\s?(%|ms|s|MB|MiB|GB|GiB)?", re.IGNORECASE)
_ALIGN = re.compile(r"text-align:(left|right|center)")


def html(text: str) -> str:
    """Of a whole card."""
    return str(_MARKDOWN.render(text if len(text) <= MOST else text[:MOST] + CUT))


def figures(text: str) -> dict[str, str]:
    """Each number that stands alone in a cell of a table, by what row and column call it, in the order of the card.

    A column without a name holds facts, such as a seed, and no measurements.
    """
    found: dict[str, str] = {}
    for header, *rows in _tables(_MARKDOWN.parse(text[:MOST])):
        for label, *cells in filter(None, rows):
            for column, cell in zip(header[1:], cells, strict=False):
                if label and column and _NUMBER.fullmatch(cell):
                    found.setdefault(_called(label, column), cell)
    return found


def _called(label: str, column: str) -> str:
    """ "boat · AP50"; "mAP50" alone below AP50, since it says it already."""
    return label if label.lower().endswith(column.lower()) else f"{label} · {column}"


def _tables(tokens: Iterable[Token]) -> Iterator[list[list[str]]]:
    """The texts of each table, by row."""
    rows: list[list[str]] = []
    in_cell = False
    for token in tokens:
        if token.type == "table_open":
            rows = []
        elif token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open"):
            in_cell = True
        elif token.type == "inline" and in_cell:
            rows[-1].append(_plain(token))
            in_cell = False
        elif token.type == "table_close" and rows:
            yield rows


def _plain(token: Token) -> str:
    return "".join(each.content for each in token.children or ()).strip()


# ---- the parser and its rules ----


def _heading(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: MutableMapping[str, Any]
) -> str:
    token = tokens[index]
    token.tag = f"h{min(6, int(token.tag[1:]) + SUNK)}"
    return str(renderer.renderToken(tokens, index, options, env))


def _cell(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: MutableMapping[str, Any]
) -> str:
    token = tokens[index]
    aligned = _ALIGN.fullmatch(str(token.attrs.pop("style", "")))
    if aligned:
        token.attrSet("class", f"to-{aligned[1]}")
    return str(renderer.renderToken(tokens, index, options, env))


def _link(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: MutableMapping[str, Any]
) -> str:
    tokens[index].attrSet("rel", "noreferrer noopener nofollow")
    return str(renderer.renderToken(tokens, index, options, env))


def _leads_out(url: str) -> bool:
    return url.lower().startswith(("http://", "https://"))


def _table_open(
    _renderer: RendererHTML,
    _tokens: Sequence[Token],
    _index: int,
    _options: OptionsDict,
    _env: MutableMapping[str, Any],
) -> str:
    """A wide table scrolls by itself; who has no mouse reaches it by Tab."""
    return '<div class="scrolls" tabindex="0" role="group" aria-label="table"><table>\n'


def _table_close(
    _renderer: RendererHTML,
    _tokens: Sequence[Token],
    _index: int,
    _options: OptionsDict,
    _env: MutableMapping[str, Any],
) -> str:
    return "</table></div>\n"


def _parser() -> MarkdownIt:
    made = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")
    made.validateLink = _leads_out  # type: ignore[method-assign]  # how the library wants it replaced
    for rule, render in (
        *((f"heading_{end}", _heading) for end in ("open", "close")),
        *((f"{cell}_open", _cell) for cell in ("th", "td")),
        ("link_open", _link),
        ("table_open", _table_open),
        ("table_close", _table_close),
    ):
        made.add_render_rule(rule, render)
    return made


_MARKDOWN = _parser()
