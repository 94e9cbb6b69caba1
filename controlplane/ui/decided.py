"""How a box decided over a span of time, on one axis: where frames went, on which rung, against what. Pure.

Charts of a deployment have a column for each step of the span, the same in all of them, so that they can be read
together and told as one table. A step in which nobody looked says nothing: neither that the load was zero, nor which
rung it was. The reason of a rung is what its box said while records are kept as they came; of what is only added up it
is what the rung means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controlplane.fleet import quantities, sources
from controlplane.insights import domain
from controlplane.insights.domain import Counts, Span, Sums, Window, gathered
from controlplane.ui.documents import name_of
from controlplane.ui.page import Document, Value
from protos.decided import PRICES, ROUTES, RUNGS, Decided
from protos.outcomes import Stage

# From the best down: key, what is shown, what it means where the box's own words are kept no longer.
RUNG_WORDS: tuple[tuple[str, str, str], ...] = (
    ("gpu", "on its GPU", "The box inferred on its GPU."),
    ("other", "on another provider than was wanted", "The box inferred on another provider than was asked for."),
    ("cpu", "on its CPU", "The box inferred on its CPU."),
    ("cloud", "the cloud answers", "No engine ran on the box: the cloud answered."),
    (
        "lower_rate",
        "at a lower rate",
        "Too many frames came: cameras gave fewer or smaller ones.",
    ),
    ("nothing", "nothing answers", "Nothing answered: no engine ran on the box, and no cloud node could be asked."),
)
PRICE_WORDS: tuple[tuple[str, str, str], ...] = (
    ("bits", "Mbit", "of a Mbit"),
    ("money", "money", "of as much money as a Mbit takes"),
    ("joules", "power", "of as much power as a Mbit takes"),
    ("grams", "carbon", "of as much carbon as a Mbit takes"),
)
LEAST_PRICE = 0.005  # what is shown of a price has two digits
_MEANS = {f"rung_{key}": meaning for key, _, meaning in RUNG_WORDS}


@dataclass(frozen=True)
class Step:
    """What a deployment's frames of one step came to."""

    start_ms: int
    sums: Sums
    rates: Mapping[str, float] = field(default_factory=dict)  # frames a second by route
    sent: float = 0.0  # Mbit/s of pictures
    why: Mapping[str, str] = field(default_factory=dict)  # what the box said last of each rung

    def mean(self, what: Decided, over: Decided = Decided.LOOKS) -> float | None:
        """Of a look; None where nobody looked."""
        looks = self.sums.decided.get(over, 0.0)
        return self.sums.decided.get(what, 0.0) / looks if looks else None


def of_windows(windows: Sequence[Window], span: Span) -> dict[str, list[Step]]:
    """By deployment, of records as they came."""
    return {name: _smooth(those, span) for name, those in gathered(windows, lambda each: each.deployment).items()}


def _smooth(windows: Sequence[Window], span: Span) -> list[Step]:
    """Frames and bytes of a window that lies across an edge count by its share, as frames of outcomes do."""
    went = [_told(each, _routes(each.decided)) for each in windows]
    bytes_up = [_told(each, {"bytes": each.uplink_bytes}) for each in windows]
    rates = [_rates(frames, span) for frames in domain.spread(went, span)]
    sent = [_sent(each.get("bytes", 0) / 1000, span) for each in domain.spread(bytes_up, span)]
    why, buckets = _reasons(windows, span), domain.buckets(windows, span)
    return [
        Step(each.start_ms, each.sums, by_route, up, why.get(each.start_ms, {}))
        for each, by_route, up in zip(buckets, rates, sent, strict=True)
    ]


def _told(window: Window, counts: Mapping[str, int]) -> Counts:
    return Counts(window.start_ms, window.end_ms, counts)


def _routes(decided: Mapping[str, float]) -> dict[str, int]:
    return {each.value: round(decided[each]) for each in ROUTES if each in decided}


def _rates(thousandths: Mapping[str, float], span: Span) -> dict[str, float]:
    return {route: round(frames / span.step_ms, 2) for route, frames in thousandths.items() if frames}


def _sent(nbytes: float, span: Span) -> float:
    return nbytes * 8 / 1000 / span.step_ms


def _reasons(windows: Iterable[Window], span: Span) -> dict[int, dict[str, str]]:
    """By start of the step, what was said last of each rung."""
    found: dict[int, dict[str, str]] = {}
    for window in sorted(windows, key=lambda each: each.end_ms):
        if window.rung_why:
            start = window.end_ms // span.step_ms * span.step_ms
            told = sources.scrubbed(window.rung_why)
            found.setdefault(start, {}).update({rung: told for rung in RUNGS if rung in window.decided})
    return found


def of_sums(summed: Iterable[tuple[str, int, Sums]], span: Span) -> dict[str, list[Step]]:
    """By deployment, of what is added up already: deployment, start of the step, sums."""
    found: dict[str, dict[int, Sums]] = {}
    for name, start_ms, sums in summed:
        found.setdefault(name, {})[start_ms] = sums
    return {name: [_rough(at, steps.get(at, Sums()), span) for at in span.starts] for name, steps in found.items()}


def _rough(start_ms: int, sums: Sums, span: Span) -> Step:
    frames = {route: 1000 * count for route, count in _routes(sums.decided).items()}
    return Step(start_ms, sums, _rates(frames, span), _sent(sums.uplink_bytes, span))


def charts(name: str, steps: Sequence[Step], span: Span) -> dict[str, Value]:
    """By key under decided.NAME; `steps`: all of the span, or none."""
    steps = steps or [Step(at, Sums()) for at in span.starts]
    columns = {"end": span.until_ms, "step": span.step_ms}
    found: dict[str, Value] = {
        "routes": {**columns, "columns": [dict(step.rates) for step in steps]},
        "rung": {**columns, "cells": [_cell(step) for step in steps]},
        "load": _lines(steps, span, {"load": lambda step: _times(100, step.mean(Decided.LOAD))}, limit=100),
        "pace": _lines(steps, span, {"box": _pace_here, "cloud": _pace_there}),
        "link": _lines(steps, span, {"link": lambda step: step.mean(Decided.LINK, Decided.LINKS)}),
        "uplink": _lines(steps, span, {"uplink": lambda step: step.sent if step.sums.due else None}),
        "prices": _lines(steps, span, {key: _price(key) for key, _, _ in PRICE_WORDS}),
        "helped": any(step.sums.decided.get(Decided.LINKS) or step.sent for step in steps),
        "priced": any((step.mean(price) or 0.0) >= LEAST_PRICE for step in steps for price in PRICES),
    }
    return {f"decided.{name}.{key}": value for key, value in found.items()}


def _lines(steps: Sequence[Step], span: Span, told: Mapping[str, Any], **more: float) -> dict[str, Any]:
    middle = span.step_ms // 2
    lines = {
        name: [[step.start_ms + middle, None if (seen := value(step)) is None else round(seen, 3)] for step in steps]
        for name, value in told.items()
    }
    return {"from": span.since_ms, "to": span.until_ms, "time": True, "lines": lines, **more}


def _times(factor: float, value: float | None) -> float | None:
    return None if value is None else factor * value


def _price(key: str) -> Any:
    """None where it costs next to nothing: a budget that is not set has no price."""
    return lambda step: price if (price := step.mean(Decided(f"price_{key}")) or 0.0) >= LEAST_PRICE else None


def _pace_here(step: Step) -> float | None:
    return _mean(step.sums.stages.get(Stage.INFER, 0.0), step.sums.box.answered)


def _pace_there(step: Step) -> float | None:
    return _mean(step.sums.stages.get(Stage.CLOUD, 0.0), step.sums.cloud.answered)


def _mean(seconds: float, frames: int) -> float | None:
    """Milliseconds; None of no frame."""
    return 1000 * seconds / frames if frames and seconds else None


def _cell(step: Step) -> list[str] | None:
    """The rung it stood on for most of the step, the lower of equal ones, and why."""
    stood = {rung: step.sums.decided[rung] for rung in reversed(RUNGS) if step.sums.decided.get(rung)}
    if not stood:
        return None
    rung = max(stood, key=lambda each: stood[each])
    return [rung.removeprefix("rung_"), step.why.get(rung) or _MEANS[rung]]


def limited(drawn: Mapping[str, Value], deployments: Iterable[Document]) -> dict[str, Value]:
    """Charts of the uplink, with what each deployment may send."""
    found: dict[str, Value] = {}
    for item in deployments:
        key, offload = f"decided.{name_of(item)}.uplink", item["spec"]["offload"]
        chart = drawn.get(key)
        if isinstance(chart, dict) and offload["enabled"]:
            found[key] = {**chart, "limit": quantities.bits_per_second(offload["uplink"], "uplink") / 1e6}
    return found
