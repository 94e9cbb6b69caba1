"""The decision as pictures: useful value of each contender against the optimum, and each scenario's share of it. SVG.

Drawn by hand like the agent's bench (`agent.bench.plot`); they follow a reader who likes it dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from bench.decision.goals import Means
from bench.decision.scenarios import CALIBRATION
from bench.decision.study import OURS, Mean
from bench.decision.table import Bounds

WIDTH, EDGE, NAMES, ROW = 860, 28, 190, 24  # pixels
_STYLE = """
svg { --ground: #ffffff; --ink: #18212d; --soft: #64707f; --bar: #9db4cf; --own: #1f6feb; --limit: #c2415c }
@media (prefers-color-scheme: dark) { svg { --ground: #12161d; --ink: #e9edf3; --soft: #97a3b4; --bar: #4a5d78;
  --own: #5a9bff; --limit: #f07b90 } }
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: var(--ink) }
.title { font-size: 18px; font-weight: 600 } .soft { fill: var(--soft) } .end { text-anchor: end }
.ground { fill: var(--ground) } .bar { fill: var(--bar) } .own { fill: var(--own) }
.limit { stroke: var(--limit); stroke-width: 2 } .spread { stroke: var(--ink); stroke-width: 1.5 }
"""
Bar = tuple[str, Mean, bool]  # name, share, is it ours


def drawn(means: Means, bounds: Bounds, folder: Path) -> None:
    """Two files, of what was asked."""
    if CALIBRATION.name in means:
        bars = [(who, row["useful"], who == OURS) for who, row in means[CALIBRATION.name].items()]
        limits = [(name, mean.mean) for name, mean in bounds[CALIBRATION.name].items()]
        told = svg("Useful answers in the calibration scenario, of all frames", bars, limits)
        (folder / "decision_contenders.svg").write_text(told)
    bars = [(name, rows[OURS]["of_optimum"], True) for name, rows in means.items()]
    (folder / "decision_scenarios.svg").write_text(svg("Of the optimum, by scenario", bars, [("the optimum", 1.0)]))


def svg(title: str, bars: Sequence[Bar], limits: Sequence[tuple[str, float]]) -> str:
    """Bars with their 95 % intervals from 0 to 1, and lines at the limits."""
    height = 84 + ROW * len(bars) + 18 * len(limits)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
    name = escape(title, quote=True)
    parts = [f'{head} aria-label="{name}">', f"<style>{_STYLE}</style>"]
    parts += [f'<rect class="ground" width="{WIDTH}" height="{height}"/>', _text(EDGE, 40, title, "title")]
    for place, bar in enumerate(bars):
        parts += _bar(60 + ROW * place, bar)
    foot = 60 + ROW * len(bars)
    for place, (what, share) in enumerate(limits):
        x = _x(share)
        parts.append(f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="56" y2="{foot}"/>')
        parts.append(_text(EDGE, foot + 22 + 18 * place, f"line at {100 * share:.1f} %: {what}", "soft"))
    return "\n".join([*parts, "</svg>", ""])


def _bar(y: int, bar: Bar) -> list[str]:
    name, share, own = bar
    kind, middle, wide = "own" if own else "bar", y + (ROW - 6) / 2, _x(share.mean) - _x(0)
    return [
        _text(EDGE, y + 14, name),
        f'<rect class="{kind}" x="{_x(0):.1f}" y="{y}" width="{wide:.1f}" height="{ROW - 6}" rx="3"/>',
        f'<line class="spread" x1="{_x(share.low):.1f}" x2="{_x(share.high):.1f}" y1="{middle}" y2="{middle}"/>',
        _text(WIDTH - EDGE, y + 14, f"{100 * share.mean:.1f} %", "soft end"),
    ]


def _x(share: float) -> float:
    return EDGE + NAMES + share * (WIDTH - 2 * EDGE - NAMES - 70)


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}">{escape(words)}</text>'
