"""`longshore-agent replay-decisions`: what a log of decisions says of the policy that made them, and of others."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from agent.offload import decisions, replay
from agent.offload.decisions import Decision
from agent.offload.off_policy import Interval
from agent.offload.replay import Choice, Other, Route
from protos.errors import Rejected

WORDS = {
    False: "at its arrival: the box, or up",
    True: "with an answer of the box in hand: tell it, or ask the cloud too",
}
UNTRIED = "nothing was left to chance, so the log tells of no other way: no two ways were nearly as good"
PERHAPS_NOT_EVALUATED = ", or the release was not evaluated (longshore package --evaluate)"
SHORT = 100  # choices left to chance: with fewer, intervals say too little


def replayed(place: Path, deployment: str, factors: Sequence[float], *, as_json: bool) -> str:
    """What the log at `place` says, a file or a folder of them. Raises Rejected: there is none, or none of this."""
    made, passed_over = decisions.read(_lines(place))
    kept = [each for each in made if deployment in ("", each.deployment)]
    if not kept:
        raise Rejected(_nothing(place, deployment, made))
    names = sorted({each.deployment for each in kept})
    parts = {name: [each for each in kept if each.deployment == name] for name in names}
    if as_json:
        documents = [_document(name, part, factors) for name, part in parts.items()]
        return json.dumps({"passedOver": passed_over, "deployments": documents}, indent=2)
    lines = [line for name, part in parts.items() for line in (*_text(name, part, factors), "")]
    if passed_over:
        lines.append(f"{passed_over} lines are no decisions, and were passed over")
    return "\n".join(lines).rstrip()


def _lines(place: Path) -> Iterator[bytes]:
    files = sorted(place.glob("*.jsonl"), reverse=True) if place.is_dir() else [place]
    for file in files:
        try:
            with file.open("rb") as lines:
                yield from lines
        except OSError as error:
            raise Rejected(f"{file} cannot be read: {error.strerror}") from error


def _nothing(place: Path, deployment: str, made: Sequence[Decision]) -> str:
    if made:
        return (
            f"{place} has no decision of {deployment}; it has some of {', '.join(sorted({e.deployment for e in made}))}"
        )
    return (
        f"{place} holds no decision; a running agent writes them to decisions/ in its state directory, as far as "
        "LONGSHORE_AGENT_DECISION_LOG says"
    )


def _choices(made: Sequence[Decision], factors: Sequence[float]) -> list[Choice]:
    both = [replay.choice(made, factors, again=again) for again in (False, True)]
    return [each for each in both if each.choices]


# ---- for people ----


def _text(name: str, made: Sequence[Decision], factors: Sequence[float]) -> Iterator[str]:
    shares = {each.sampled for each in made}
    share = f", {100 * min(shares):g} % of all" if len(shares) == 1 else ""
    first, last = (_moment(moment(each.captured for each in made)) for moment in (min, max))
    yield f"{name}: {len(made)} decisions{share}, {first} to {last}"
    yield ""
    rows = [_route(route, len(made)) for route in replay.routes(made)]
    yield from _table(("CHOSEN", "FRAMES", "SHARE", "IN TIME", "WORTH", "SENT"), rows)
    for choice in _choices(made, factors):
        yield ""
        yield f"{WORDS[choice.again]}; {choice.choices} choices, {choice.by_chance} of them left to chance"
        titles = ("POLICY", "TOLD", "AS MANY AS", "WORTH", "AGAINST THE LOG", "UNBIASED", "SENT AGAINST THE LOG")
        yield from _table(titles, [_other(other) for other in choice.others])
        if not choice.by_chance:
            yield UNTRIED if replay.drew_lots(made) else UNTRIED + PERHAPS_NOT_EVALUATED
        elif choice.by_chance < SHORT:
            yield f"fewer than {SHORT} choices left to chance say little of other policies"


def _route(route: Route, frames: int) -> list[str]:
    numbers = [
        f"{route.frames / frames:.1%}",
        f"{route.in_time:.1%}",
        f"{route.worth:.3f}",
        _kilobytes(route.uplink_bytes),
    ]
    return [route.chosen or "-", str(route.frames), *numbers]


def _other(other: Other) -> list[str]:
    worth, sent = other.worth, other.uplink_bytes
    return [
        other.name,
        f"{worth.told} of {worth.steps}",
        f"{worth.effective:.0f}",
        _number(worth.normalised, ".3f"),
        _number(worth.gain, "+.3f"),
        _number(worth.unbiased, ".3f"),
        _kilobytes(sent.gain.value, "+"),
    ]


def _number(interval: Interval, form: str) -> str:
    if math.isnan(interval.value):
        return "-"
    half = (interval.high - interval.low) / 2
    return f"{interval.value:{form}}" + ("" if math.isnan(half) else f" ±{half:.3f}")


def _kilobytes(count: float, sign: str = "") -> str:
    return "-" if math.isnan(count) else f"{count / 1000:{sign}.1f} kB"


def _moment(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in (titles, *rows)) for i in range(len(titles))]
    for row in (titles, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


# ---- for programs ----


def _document(name: str, made: Sequence[Decision], factors: Sequence[float]) -> dict[str, object]:
    choices = [_finite(asdict(each)) for each in _choices(made, factors)]
    return {
        "deployment": name,
        "decisions": len(made),
        "routes": [asdict(each) for each in replay.routes(made)],
        "choices": choices,
    }


def _finite(value: object) -> object:
    """Without NaN, which JSON has not."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value
