"""A bench as a picture: what the agent reaches of the limit, and how many cameras fit. SVG, drawn by hand. Pure.

It needs nothing beside it, and follows a reader who likes it dark. A light bar is raw ONNX Runtime, the dark one in it
the agent.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from agent.bench.capacity import Room
from agent.bench.figures import Bench, Reached
from agent.bench.text import film, milliseconds, notes, per_second, percent

WIDTH, EDGE = 920, 32  # pixels
_NAMES = 190  # pixels, left of the bars
_FIGURES = 250  # right of them
_ROW, _GROUP = 26, 14  # a row's height, and the gap below a variant
_COLUMNS = 200  # height of the highest column
_STYLE = """
svg { --ground: #ffffff; --ink: #18212d; --soft: #64707f; --line: #e3e7ed; --limit: #cfd8e5;
  --v0: #1f6feb; --v1: #0e9a72; --v2: #cf7a1d; --v3: #8a5bd6; --v4: #c2415c; --v5: #4f7a8a }
@media (prefers-color-scheme: dark) { svg { --ground: #12161d; --ink: #e9edf3; --soft: #97a3b4; --line: #2a323e;
  --limit: #3a4656; --v0: #5a9bff; --v1: #3bcb9b; --v2: #f0a453; --v3: #b391f2; --v4: #f07b90; --v5: #86b4c4 } }
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: var(--ink) }
.title { font-size: 21px; font-weight: 650 } .head { font-size: 15px; font-weight: 600 }
.soft { fill: var(--soft) } .end { text-anchor: end } .mid { text-anchor: middle }
.ground { fill: var(--ground) } .limit { fill: var(--limit) } .axis { stroke: var(--line) }
""" + "\n".join(f".v{number} {{ fill: var(--v{number}) }}" for number in range(6))


def svg(bench: Bench) -> str:
    """For any bench that measured a variant at least."""
    drawn: list[str] = [_text(EDGE, 46, bench.release, "title"), _text(EDGE, 70, _machine(bench), "soft")]
    y = _bars(bench, 112, drawn)
    if bench.counts_cameras:
        y = _cameras(bench, y + 34, drawn)
    for note in notes(bench):
        y += 24
        drawn.append(_text(EDGE, y, note, "soft"))
    height = y + EDGE
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
    name = escape(f"{bench.release}: what this machine does with it", quote=True)
    ground = f'<rect class="ground" width="{WIDTH}" height="{height}"/>'
    return "\n".join([f'{head} aria-label="{name}">', f"<style>{_STYLE}</style>", ground, *drawn, "</svg>", ""])


def _machine(bench: Bench) -> str:
    cores = bench.machine.cores
    return f"{cores} core{'s' * (cores != 1)}, {bench.machine.cpu}; measured for {bench.seconds:.0f} s"


def _bars(bench: Bench, y: int, drawn: list[str]) -> int:
    """Two rows a variant; the y below them."""
    drawn.append(_text(EDGE, y, "What the agent reaches of raw ONNX Runtime (light)", "head"))
    most_rate = max(max(each.raw_many.rate, each.agent_many.rate) for each in bench.variants)
    most_time = max(max(each.raw_alone.usual, each.agent_alone.usual) for each in bench.variants)
    y += 16
    for number, each in enumerate(bench.variants):
        many, alone = (each.raw_many.rate, each.agent_many.rate), (each.raw_alone.usual, each.agent_alone.usual)
        told = f"{per_second(many[1])} of {per_second(many[0])}, {percent(each.of_many)}"
        drawn += _bullet(y, f"{each.variant}, {each.in_flight} at once", (many[0] / most_rate, many[1] / most_rate))
        drawn += _reading(y, told, number, many[1] / most_rate)
        told = f"{milliseconds(alone[1])}, raw {milliseconds(alone[0])}, {percent(each.of_alone)}"
        drawn += _bullet(y + _ROW, "one alone, less is better", (alone[0] / most_time, alone[1] / most_time))
        drawn += _reading(y + _ROW, told, number, alone[1] / most_time)
        y += 2 * _ROW + _GROUP
    return y


def _bullet(y: int, name: str, shares: tuple[float, float]) -> list[str]:
    """The name, and the limit's bar; `shares` of the limit and of the agent."""
    return [
        _text(EDGE, y + 18, name),
        _rect(EDGE + _NAMES, y + 3, _room() * shares[0], _ROW - 6, "limit"),
    ]


def _reading(y: int, told: str, number: int, share: float) -> list[str]:
    return [
        _rect(EDGE + _NAMES, y + 8, _room() * share, _ROW - 16, _colour(number)),
        _text(WIDTH - EDGE, y + 18, told, "soft end"),
    ]


def _room() -> int:
    return WIDTH - 2 * EDGE - _NAMES - _FIGURES


def _cameras(bench: Bench, y: int, drawn: list[str]) -> int:
    drawn.append(_text(EDGE, y, "Cameras that fit, half of the machine left free", "head"))
    if bench.film is not None:
        drawn.append(_text(EDGE, y + 22, film(bench.film), "soft"))
    _legend(bench.variants, y, drawn)
    rooms = [bench.rooms(each) for each in bench.variants]
    most = max(1, *(room.cameras for each in rooms for room in each))
    ground = y + 60 + _COLUMNS
    drawn.append(f'<line class="axis" x1="{EDGE}" x2="{WIDTH - EDGE}" y1="{ground}" y2="{ground}"/>')
    step = (WIDTH - 2 * EDGE) / len(rooms[0])
    for place in range(len(rooms[0])):
        _group([each[place] for each in rooms], EDGE + place * step, step, ground, most, drawn)
    return ground + 44


def _group(rooms: Sequence[Room], left: float, step: float, ground: int, most: int, drawn: list[str]) -> None:
    """The columns of one rate, with its deadlines below."""
    wide = min(56.0, step * 0.8 / len(rooms))
    start = left + (step - wide * len(rooms)) / 2
    for number, room in enumerate(rooms):
        x, high = start + number * wide, _COLUMNS * room.cameras / most
        drawn.append(_rect(x + 2, ground - high, wide - 4, high, _colour(number)))
        drawn.append(_text(x + wide / 2, ground - high - 6, str(room.cameras), "mid"))
    drawn.append(_text(left + step / 2, ground + 20, f"{rooms[0].rate:g} a second", "mid"))
    drawn.append(_text(left + step / 2, ground + 38, _within(rooms), "soft mid"))


def _within(rooms: Sequence[Room]) -> str:
    """Deadlines in the order of the columns; one that holds for all is said once."""
    told = [str(room.deadline_ms or "–") for room in rooms]
    held = told[:1] if len(set(told)) == 1 else told
    return "" if set(held) == {"–"} else f"{' · '.join(held)} ms"


def _legend(variants: Sequence[Reached], y: int, drawn: list[str]) -> None:
    x = WIDTH - EDGE
    for number, each in reversed(list(enumerate(variants))):
        drawn.append(_text(x, y, each.variant, "soft end"))
        x -= 7 * len(each.variant) + 18
        drawn.append(_rect(x, y - 10, 11, 11, _colour(number)))
        x -= 16


def _colour(number: int) -> str:
    return f"v{number % 6}"


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}">{escape(words)}</text>'


def _rect(x: float, y: float, width: float, height: float, kind: str) -> str:
    size = f'width="{max(0.0, width):.1f}" height="{max(0.0, height):.1f}"'
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" {size} rx="3"/>'
