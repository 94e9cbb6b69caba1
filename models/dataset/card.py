"""The card of a release that was trained on a user's own pictures.

Rules that hold here: no number is typed by hand; what the figures are worth, and what they are not, is said with them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.dataset.prepare import Prepared
from models.network.plan import TOP
from models.run.settings import Asked
from models.worth import Worth
from protos.isotonic import at
from protos.judged import Cost, Knots

SCORES = (0.3, 0.5, 0.7)  # of which the card says what they are worth
FEW = 50  # pictures under which a measure is a hint


@dataclass(frozen=True)
class Words:
    """What differs between tasks."""

    opening: str
    unit: str  # what is counted of a class: boxes or pictures
    metric: str  # of a class
    overall: str  # of all
    outputs: str  # rows of the table of tensors


DETECTION = Words(
    opening="A detector, trained on its owner's pictures.",
    unit="boxes",
    metric="AP50",
    overall="mAP50",
    outputs=(
        f"| `boxes` | float32 [N, {TOP}, 4] | x0, y0, x1, y1 in 0..1 of the input |\n"
        f"| `scores` | float32 [N, {TOP}] | descending; what is not a peak has 0 |\n"
        f"| `classes` | int64 [N, {TOP}] | line of `labels.txt`, from 0 |\n\n"
        "Peak picking is in the graph; there is no NMS. Everything is fp32, ONNX opset 17."
    ),
)


CLASSIFICATION = Words(
    opening="A classifier, trained on its owner's pictures.",
    unit="pictures",
    metric="told right",
    overall="top-1",
    outputs=(
        "| `scores` | float32 [N, classes] | probabilities, in the order of `labels.txt` |\n\n"
        "Everything is fp32, ONNX opset 17."
    ),
)


@dataclass(frozen=True)
class Measured:
    """Per class, nan where the measuring side has none; and in all."""

    by_class: Sequence[float]
    overall: float
    worth: Worth


@dataclass(frozen=True)
class Made:
    """How it came about, for the last table: what, and the figure or words."""

    settings: Mapping[str, Any]
    facts: Mapping[str, str]


def card(asked: Asked, words: Words, data: Prepared, measured: Measured, made: Made) -> str:
    """The card in Markdown."""
    size = data.squares.shape[1]
    parts = [
        f"# {asked.model} {asked.version}\n\n{words.opening}",
        f"## Measured\n\n{_measured(words, data, measured)}",
        f"## Worth\n\n{_worth(measured.worth)}",
        f"## Trained on\n\n{_trained_on(data)}",
        "## Input and output\n\n| tensor | type | meaning |\n|---|---|---|\n"
        f"| `image` | uint8 [N, {size}, {size}, 3] | RGB, letterboxed and centred, bars of grey 114 |\n{words.outputs}",
        f"## Made from\n\n{_made_from(made)}",
        f"## Limits\n\n{_limits(data)}",
    ]
    return "\n\n".join(parts) + "\n"


def _measured(words: Words, data: Prepared, measured: Measured) -> str:
    train, val = data.counts(data.split.train), data.counts(data.split.val)
    rows = [
        f"| {_cell(label)} | {_number(value)} | {learned} | {tested} |"
        for label, value, learned, tested in zip(data.labels, measured.by_class, train, val, strict=True)
    ]
    head = f"| class | {words.metric} | {words.unit} learned from | {words.unit} measured on |\n|---|---|---|---|"
    total = f"| **{words.overall}** | **{measured.overall:.3f}** | {sum(train)} | {sum(val)} |"
    where = f"On {len(data.split.val)} pictures that were not learned from, with the weights of this release."
    return "\n".join([head, *rows, total, "", where])


def _worth(worth: Worth) -> str:
    """What the manifest tells, for people."""
    told = worth.judged
    if told is None:
        return f"The manifest does not tell it, and boxes take careful priors: {worth.why_not}"
    variant = told.variants[0]
    rows = {
        told.metric: f"{variant.metric:.4f}",
        "answered right": _percent(variant.right),
        "a score of 0.3, 0.5, 0.7 is right": ", ".join(_trust(variant.confidence)) or "–",
        "a call of n pictures": _cost(variant.cost),
    }
    ways = [
        f"| {each.quality} | {each.max_side} px | {each.bytes} | {each.metric:.4f} | {_percent(each.right)} |"
        for each in told.jpeg
    ]
    head = f"| JPEG quality | longer side | bytes | {told.metric} | answered right |\n|---|---|---|---|---|"
    what = f"{told.pictures} pictures with {told.objects} objects"
    where = f"By `longshore package --evaluate` on {what} that were not learned from; the manifest tells it to boxes."
    return "\n".join([_table(rows), "", head, *ways, "", where])


def _trust(knots: Knots) -> list[str]:
    return [_percent(at(knots, score)) for score in SCORES] if knots else []


def _cost(cost: Cost | None) -> str:
    if cost is None:
        return "–"
    return f"{cost.frame / 1000:.1f}·n + {cost.call / 1000:.1f} ms, on one thread of the machine that trained it"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _trained_on(data: Prepared) -> str:
    how = "the folder's own" if data.given else "drawn by the seed, from every class"
    rows = {
        "dataset": f"`{data.digest}`",
        "form": data.layout,
        "pictures": f"{len(data.split.train)} to learn from, {len(data.split.val)} to measure on",
        "split": how,
    }
    return _table(rows)


def _made_from(made: Made) -> str:
    # Where the folder lay is nobody's business; what was in it is said by its digest.
    settings = " ".join(f"{name}={_plain(value)}" for name, value in made.settings.items() if name != "data")
    return _table({**made.facts, "settings": f"`{settings}`"})


def _limits(data: Prepared) -> str:
    lines = ["The figures hold for pictures like these; another camera, place or season is another question."]
    if len(data.split.val) < FEW:
        lines.append(f"Only {len(data.split.val)} pictures were measured on, so they are a hint and no more.")
    counts = dict(zip(data.labels, data.counts(data.split.train), strict=True))
    if rare := [_cell(label) for label, count in counts.items() if count < FEW]:
        lines.append(f"Fewer than {FEW} examples were learned from for: {', '.join(rare)}.")
    return "\n".join(lines)


def _table(rows: Mapping[str, str]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])


def _plain(value: object) -> str:
    """A setting as it is written on a command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _cell(label: str) -> str:
    """A label that does not break a table."""
    return label.replace("|", "\\|")
