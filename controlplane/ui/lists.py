"""Long lists: what a filter leaves in, a page at a time. Pure. The filter stands in the address of the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from controlplane.ui.documents import labels_of, name_of
from controlplane.ui.page import Document

ON_A_PAGE = 24


@dataclass(frozen=True)
class Filter:
    """`text`: words, each part of a name or of a label such as site=harbour; `state` as the page knows states."""

    text: str = ""
    state: str = ""
    page: int = 1
    extra: tuple[tuple[str, str], ...] = ()  # what else stands in the address


@dataclass(frozen=True)
class Chosen:
    """The items of one page of those left in."""

    items: Sequence[Document]
    found: int
    page: int
    pages: int

    def facts(self, asked: Filter) -> Mapping[str, Any]:
        return {
            "text": asked.text,
            "state": asked.state,
            "found": self.found,
            "page": self.page,
            "pages": self.pages,
            "before": self._link(asked, self.page - 1) if self.page > 1 else "",
            "after": self._link(asked, self.page + 1) if self.page < self.pages else "",
        }

    def _link(self, asked: Filter, page: int) -> str:
        parts = [("q", asked.text), ("state", asked.state), *asked.extra, ("page", str(page) if page > 1 else "")]
        return "?" + urlencode([part for part in parts if part[1]])


def asked(query: Mapping[str, str], *extra: str) -> Filter:
    """From an address; nonsense is the first page of all."""
    number = query.get("page", "1")
    page = int(number) if number.isdecimal() and len(number) < 6 else 1
    kept = tuple((name, query[name]) for name in extra if query.get(name))
    return Filter(query.get("q", "").strip()[:100], query.get("state", ""), max(1, page), kept)


def chosen(items: Iterable[Document], wanted: Filter, states: Callable[[Document], Iterable[str]]) -> Chosen:
    """`states`: which states an item belongs to."""
    words = wanted.text.lower().split()
    left = [item for item in items if _has(item, words) and (not wanted.state or wanted.state in states(item))]
    pages = max(1, -(-len(left) // ON_A_PAGE))
    page = min(wanted.page, pages)
    return Chosen(left[(page - 1) * ON_A_PAGE : page * ON_A_PAGE], len(left), page, pages)


def _has(item: Document, words: Sequence[str]) -> bool:
    texts = [name_of(item), str(item["spec"].get("node", "")), *(f"{key}={value}" for key, value in labels_of(item))]
    return all(any(word in text.lower() for text in texts) for word in words)
