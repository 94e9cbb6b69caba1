"""What a release is worth, as tables for people: of a manifest's section, or of the API's document of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.cli.kinds import NONE, human_bytes
from controlplane.cli.output import table
from protos.isotonic import at
from protos.judged import Judged
from protos.manifest import Variant

Document = Mapping[str, Any]
UNKNOWN = "no evaluation: boxes take careful priors (longshore package RELEASE --evaluate LABELLED)"
VARIANTS = ("VARIANT", "METRIC", "RIGHT", "A SCORE OF 0.3, 0.5, 0.7 IS RIGHT", "CALL OF N")
JPEGS = ("QUALITY", "SIDE", "BYTES", "METRIC", "RIGHT")
TASKS = ("detection", "classification")  # of releases that can be evaluated
_SCORES = (0.3, 0.5, 0.7)


def sentence(judged: Document | None) -> str:
    if judged is None:
        return UNKNOWN
    return f"{judged['metric']} on {judged['pictures']} pictures with {judged['objects']} objects"


def variant_row(item: Document) -> list[str]:
    trust = [_percent(at(item["confidence"], score)) for score in _SCORES] if item["confidence"] else [NONE]
    figures = [f"{item['metric']:.4f}", _percent(item["right"]), ", ".join(trust)]
    return [item["name"], *figures, cost(item.get("cost"))]


def jpeg_row(item: Document) -> list[str]:
    figures = [f"{item['metric']:.4f}", _percent(item["right"])]
    return [str(item["quality"]), f"{item['maxSide']} px", human_bytes(item["bytes"]), *figures]


def cost(told: Document | None) -> str:
    """t(n) = a·n + b."""
    if told is None:
        return NONE
    frame, call = (1000 * told[key] for key in ("frameSeconds", "callSeconds"))
    return f"{frame:.1f}·n + {call:.1f} ms"


def lines(judged: Judged) -> list[str]:
    """What `package` says when it has evaluated a release."""
    told = document(judged)
    variants = table(VARIANTS, [variant_row(each) for each in told["variants"]], colour=False)
    jpegs = table(JPEGS, [jpeg_row(each) for each in told["jpeg"]], colour=False)
    return [sentence(told), "", variants, "", jpegs]


def doubts(judged: Judged, sizes: Sequence[Variant]) -> list[str]:
    """What to say of lighter sizes found as good as the full one, or no cheaper. `sizes`: all variants."""
    found = {each.name: each.right for each in judged.variants}
    full = max(found.get(each.name, 0.0) for each in sizes if not each.size)
    return _dear(judged, sizes) + [
        f"{each.name} is no less often right than the full size here: a box on which it is cheaper runs nothing else"
        for each in sizes
        if each.size and found.get(each.name, 0.0) >= full
    ]


def _dear(judged: Judged, sizes: Sequence[Variant]) -> list[str]:
    """By what a frame alone took of each variant here; what was not measured is not spoken of."""
    took = {each.name: (each.cost.frame + each.cost.call) / 1000 for each in judged.variants if each.cost}
    full = min((took[each.name] for each in sizes if not each.size and each.name in took), default=None)
    return [
        f"{each.name} is no cheaper than the full size here ({took[each.name]:.1f} ms a frame, {full:.1f} ms): "
        "a box on which that is so gains nothing by it"
        for each in sizes
        if full is not None and each.size and took.get(each.name, 0.0) >= full
    ]


def document(judged: Judged) -> Document:
    """As the API tells it."""
    variants = [
        {
            **{key: getattr(each, key) for key in ("name", "metric", "right", "confidence")},
            "cost": {"frameSeconds": each.cost.frame / 1e6, "callSeconds": each.cost.call / 1e6} if each.cost else None,
        }
        for each in judged.variants
    ]
    jpeg = [
        {"maxSide": each.max_side, **{key: getattr(each, key) for key in ("quality", "bytes", "metric", "right")}}
        for each in judged.jpeg
    ]
    known = {key: getattr(judged, key) for key in ("metric", "pictures", "objects")}
    return {**known, "variants": variants, "jpeg": jpeg}


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
