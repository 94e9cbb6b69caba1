"""Which ONNX file of a release a box runs. Pure.

The manifest proposes: on a CPU the variant that cost least where the release was packaged, as far as every one was
measured; without costs the first one listed, which is also what agents ran before variants had costs. A GPU takes fp16
where there is one, since costs were measured on a CPU, and no int8 made for CPUs: it would convert at every layer.
The box decides: what it proposes is measured here against the next best, and only what is clearly faster wins.

All this is among variants of the full size, which stand in for each other. Lighter sizes (`by_size`) are other models:
a box loads them beside it, and its lane chooses among them frame by frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.providers import on_cpu
from protos.manifest import FULL, Variant

CLEARLY = 0.9  # of the proposed variant's time: less is no accident of a busy machine
_ON_GPU = {"fp16": 0, "fp32": 1}  # the first of the lowest; then whatever else there is


def by_size(variants: Sequence[Variant]) -> dict[str, list[Variant]]:
    """The variants of each size that a model comes in, the full one first."""
    found: dict[str, list[Variant]] = {}
    for each in variants:
        found.setdefault(each.size or FULL, []).append(each)
    return found


def lighter(variants: Sequence[Variant], provider: str) -> list[Variant]:
    """What of each lighter size runs here, in the order of the manifest."""
    return [chosen(of_size, provider) for size, of_size in by_size(variants).items() if size != FULL]


def chosen(variants: Sequence[Variant], provider: str) -> Variant:
    """What the manifest proposes of the full size, or of the one size that is given. Of at least one."""
    variants = _alike(variants)
    if not on_cpu(provider):
        return min(variants, key=lambda variant: _ON_GPU.get(variant.precision, len(_ON_GPU)))
    costs = [variant.cost_microseconds for variant in variants]
    if any(cost is None for cost in costs):
        return variants[0]
    return min(variants, key=lambda variant: variant.cost_microseconds or 0)


def tried(variants: Sequence[Variant], provider: str) -> list[Variant]:
    """What this box measures, the proposed one last, so that it is loaded already when it wins.

    Only variants that were packaged as equals, which have costs, stand in for each other; fp16 is no matter for a CPU.
    TensorRT compiles each for minutes, and is not asked twice.
    """
    proposed, variants = chosen(variants, provider), _alike(variants)
    others = [each for each in variants if each is not proposed and each.cost_microseconds is not None]
    if on_cpu(provider):
        others = [each for each in others if each.precision != "fp16"]
    else:
        others = [each for each in others if provider == "cuda" and each.precision in _ON_GPU]
    if proposed.cost_microseconds is None or not others:
        return [proposed]
    return [min(others, key=lambda variant: variant.cost_microseconds or 0), proposed]


def decided(variants: Sequence[Variant], provider: str, seconds: Mapping[str, float]) -> Variant:
    """`seconds` of one picture here, by variant; empty where nothing was measured."""
    proposed = chosen(variants, provider)
    if proposed.name not in seconds:
        return proposed
    fastest = min((each for each in variants if each.name in seconds), key=lambda variant: seconds[variant.name])
    return fastest if seconds[fastest.name] < CLEARLY * seconds[proposed.name] else proposed


def _alike(variants: Sequence[Variant]) -> Sequence[Variant]:
    """Those of the first one's size."""
    return [each for each in variants if each.size == variants[0].size]
