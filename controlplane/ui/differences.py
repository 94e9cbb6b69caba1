"""What the page of differences shows: two releases side by side, what changed first. Pure.

A change of a figure is called better or worse only where its name says which way is better.
"""

from __future__ import annotations

import re
from typing import Any

from controlplane.registry.difference import CHANGED, SAME, Difference, FileLine, Line, number
from controlplane.ui import figures

Facts = dict[str, Any]
_MORE_IS_BETTER = re.compile(
    r"\bm?AP\d*|\bAR\d*\b|accuracy|precision|recall|\bF1\b|top-?\d|IoU|agreement", re.IGNORECASE
)
_LESS_IS_BETTER = re.compile(r"\bms\b|second|latency|loss|error|size|\bMi?B\b|parameters", re.IGNORECASE)
_WORDS = {"same": "same", "added": "new", "removed": "gone", "changed": "changed"}


def difference(found: Difference) -> Facts:
    """Sections in the order people ask: does it do better, does it do the same, what is it made of."""
    sections = [
        _section("figures", "Figures of the cards", [_figure(line) for line in found.figures]),
        _section("classes", "Classes", [_line(line) for line in found.labels]),
        _section("input", "Input", [_line(line) for line in found.input]),
        _section("manifest", "Manifest", [_line(line) for line in found.manifest]),
        _section("variants", "Variants", [_line(line) for line in found.variants]),
        _section("files", "Files", [_file(line) for line in found.files]),
    ]
    if found.graph is not None:
        sections.append(_section("graph", "Graph", [_line(line) for line in found.graph]))
        sections.append(_section("operators", "Operators", [_count(line) for line in found.operators or ()]))
    return {"sections": sections, "nothing": found.nothing, "breaks": breaks(found)}


def breaks(found: Difference) -> list[str]:
    """What somebody who uses the older one has to know before moving, in sentences."""
    said = []
    moved = [line for line in found.labels if line.change == CHANGED]
    gone = [line for line in found.labels if line.change == "removed"]
    if moved or gone:
        names = ", ".join(f"{line.name} was {line.before!r}" for line in [*moved, *gone][:3])
        said.append(f"Classes have other numbers ({names}): who counts by number has to follow.")
    task = next((line for line in found.manifest if line.name == "task" and line.change == CHANGED), None)
    if task:
        said.append(f"It is a {task.after} model; before it was {task.before}.")
    size = next((line for line in found.input if line.name == "size" and line.change == CHANGED), None)
    if size:
        said.append(f"It takes pictures of {size.after} instead of {size.before}: its cost on a box changes with that.")
    return said


def _section(key: str, title: str, rows: list[Facts]) -> Facts:
    changed = sum(row["change"] != SAME for row in rows)
    summary = figures.plural(changed, "change", "changes") if changed else "the same" if rows else "nothing told"
    ordered = sorted(rows, key=lambda row: row["change"] == SAME)
    return {"key": key, "title": title, "summary": summary, "changed": changed, "rows": ordered}


def _line(line: Line) -> Facts:
    return {
        "name": line.name,
        "before": line.before or "–",
        "after": line.after or "–",
        "change": line.change,
        "word": _WORDS[line.change],
        "delta": "",
        "verdict": "",
    }


def _count(line: Line) -> Facts:
    delta = int(line.after or 0) - int(line.before or 0)
    return {**_line(line), "delta": _signed(delta, "+d") if delta else ""}


def _file(line: FileLine) -> Facts:
    before, after = (None if size is None else figures.size(size) for size in (line.before, line.after))
    row = _line(Line(line.path, before or "", after or ""))
    grown = (line.after or 0) - (line.before or 0)
    delta = (
        ""
        if line.change != CHANGED
        else "other content"
        if not grown
        else f"{'+' if grown > 0 else '−'}{figures.size(abs(grown))}"
    )
    return {**row, "change": line.change, "word": _WORDS[line.change], "delta": delta}


def _figure(line: Line) -> Facts:
    before, after = number(line.before), number(line.after)
    row = _line(line)
    if before is None or after is None or before == after:
        return row
    decimals = max(_decimals(line.before), _decimals(line.after))
    return {**row, "delta": _signed(after - before, f"+.{decimals}f"), "verdict": _verdict(line.name, after - before)}


def _verdict(name: str, delta: float) -> str:
    if _LESS_IS_BETTER.search(name):
        return "better" if delta < 0 else "worse"
    if _MORE_IS_BETTER.search(name):
        return "better" if delta > 0 else "worse"
    return ""


def _signed(value: float, form: str) -> str:
    return format(value, form).replace("-", "−")


def _decimals(text: str) -> int:
    found = re.match(r"[-+]?\d+\.(\d+)", text)
    return len(found[1]) if found else 0
