"""Where the telemetry of a box is, and what the fleet declared dropped. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from controlplane.books.domain import CLASSES, Conflict, Dropped, FleetBooks, Link, Linked, NodeBooks, State, Sums
from controlplane.shape import moment
from controlplane.ui import figures
from controlplane.ui.page import Crumb, Document, Value, View

Row = dict[str, str]
WORDS = {
    "alarm": "cameras and the box that changed how they are",
    "detection": "frames in which something was found or happened",
    "metric": "counts of outcomes, and what the box spends",
    "debug": "sampled frames in which nothing was found",
    "gap": "what was dropped; never dropped itself",
    "": "all classes in one line: an agent before 0.2",
}
_IS = {State.AT_REST: "ok", State.UNDER_WAY: "updating", State.UNACCOUNTED: "bad"}
_LINK_IS = {Link.CONNECTED: "ok", Link.REFUSED: "bad", Link.SILENT: "bad", Link.BY_FILE: "none", Link.NEVER: "none"}
SPANS = {
    "24h": ("the last day", 86_400_000),
    "7d": ("the last week", 604_800_000),
    "30d": ("the last month", 2_592_000_000),
}
USUAL = "7d"
COLUMNS = 48


def values(kept: NodeBooks, link: Linked, now_ms: int) -> dict[str, Value]:
    """Of one box, by key under books."""
    whole = kept.total
    return {
        "books.link": _LINK_IS[link.link],
        "books.link.word": _link(link, now_ms),
        "books.link.why": link.sentence if link.link is Link.REFUSED else "",
        "books.sums": equation(whole),
        "books.classes": [_class(name, sums, now_ms) for name, sums in kept.classes.items()],
        "books.dropped": [_dropped(each, now_ms) for each in kept.dropped],
        "books.any": bool(kept.dropped),
        "books.none": not kept.classes,
        "books.conflicts": [{"sentence": each.sentence} for each in kept.conflicts],
    }


def equation(sums: Sums) -> str:
    parts = [f"{_number(sums.stored)} stored", f"{_number(sums.dropped)} declared dropped"]
    parts.append(f"{_number(sums.waiting)} waiting")
    if sums.unaccounted:
        parts.append(f"{_number(sums.unaccounted)} unaccounted")
    return f"{_number(sums.accepted)} accepted = {' + '.join(parts)}"


def _link(link: Linked, now_ms: int) -> str:
    if link.link is Link.SILENT:
        return f"silent, heard {figures.ago((now_ms - link.since_ms) / 1000)}"
    return {Link.REFUSED: "not taken", Link.NEVER: "nothing told yet"}.get(link.link, link.link.value)


def _class(name: str, sums: Sums, now_ms: int) -> Row:
    oldest = figures.ago((now_ms - sums.oldest_ms) / 1000) if sums.oldest_ms else "–"
    return {
        "name": name or "all",
        "what": WORDS.get(name, ""),
        "accepted": _number(sums.accepted),
        "stored": _number(sums.stored),
        "dropped": _number(sums.dropped),
        "waiting": _number(sums.waiting),
        "unaccounted": _number(sums.unaccounted),
        "oldest": oldest,
        "is": _IS[sums.state],
        "state": sums.state.value,
    }


def _dropped(each: Dropped, now_ms: int) -> Row:
    return {
        "name": each.record_class or "all",
        "records": f"{'≥ ' if each.lower_bound else ''}{_number(each.records)}",
        "reason": each.reason,
        "last": figures.ago((now_ms - each.at_ms) / 1000),
    }


def _number(count: int) -> str:
    return f"{count:,}".replace(",", "\u202f")


# ---- the fleet's gaps ----


@dataclass(frozen=True)
class Filters:
    """As they stand in the address; all texts."""

    since: str = USUAL
    node: str = ""
    record_class: str = ""
    after: str = ""

    @property
    def span_ms(self) -> int:
        return SPANS.get(self.since, SPANS[USUAL])[1]

    @property
    def any(self) -> bool:
        return bool(self.node or self.record_class)

    def address(self, after: str = "") -> str:
        given = {"since": self.since, "node": self.node, "class": self.record_class, "after": after}
        return f"/gaps?{urlencode({key: value for key, value in given.items() if value})}"


def filters(query: Mapping[str, str]) -> Filters:
    since = query.get("since", USUAL)
    known = since if since in SPANS else USUAL
    return Filters(known, query.get("node", ""), query.get("class", ""), query.get("after", ""))


@dataclass(frozen=True)
class Input:
    """`rows`: GapRecord documents of one page; `sums`: records by start of a step and class; `after`: the next page."""

    now_ms: int
    filters: Filters
    rows: Sequence[Document]
    sums: Sequence[tuple[int, str, int]]
    after: str
    kept: FleetBooks
    nodes: Sequence[str]


def gaps(given: Input) -> View:
    asked = given.filters
    facts: dict[str, Any] = {
        "filters": vars(asked),
        "filtered": asked.any,
        "spans": [(key, word) for key, (word, _) in SPANS.items()],
        "classes": CLASSES[:-1],
        "nodes": given.nodes,
        "rows": [_gap(row) for row in given.rows],
        "older": asked.address(given.after) if given.after else "",
        "newest": asked.address() if asked.after else "",
        "series": [(each, each, WORDS[each]) for each in CLASSES[:-1]]
        + [("other", "other", "refused, or of before 0.2")],
        "conflicts": [_conflict(each) for each in given.kept.conflicts],
        "open": [
            {"node": name, "sums": equation(kept.total), "is": _IS[kept.total.state], "state": kept.total.state.value}
            for name, kept in sorted(given.kept.open.items())
            if kept.total.unaccounted
        ],
    }
    drawn: dict[str, Value] = {
        "gaps.chart": chart(given.sums, given.now_ms, asked.span_ms),
        "gaps.sums": equation(given.kept.total),
    }
    return View("gaps.html", "Lost telemetry", "events", facts, drawn, (Crumb("Events", "/events"),))


def step_of(span_ms: int) -> int:
    return span_ms // COLUMNS


def chart(sums: Iterable[tuple[int, str, int]], now_ms: int, span_ms: int) -> dict[str, Any]:
    """Columns of records declared dropped, by class; the last one holds now."""
    step = step_of(span_ms)
    end = now_ms // step * step + step
    columns: list[dict[str, int]] = [{} for _ in range(COLUMNS)]
    for start, name, count in sums:
        index = COLUMNS - (end - start) // step
        if 0 <= index < COLUMNS:
            key = name if name in CLASSES[:-1] else "other"
            columns[index][key] = columns[index].get(key, 0) + count
    return {"end": end, "step": step, "columns": columns}


def _gap(row: Document) -> Row:
    first, last = int(row["first"]), int(row["last"])
    return {
        "at": row["at"],
        "node": row["node"],
        "name": row["recordClass"] or "all",
        "records": f"{'≥ ' if row['lowerBound'] else ''}{_number(row['dropped'])}",
        "numbers": _number(first) if first == last else f"{_number(first)} – {_number(last)}",
        "epoch": row["epoch"][:12],
        "reason": row["reason"],
    }


def _conflict(each: Conflict) -> Row:
    return {"node": each.node, "sentence": each.sentence, "at": moment(each.at_ms)}
