"""Which ONNX file of a release a box runs. Pure.

On a CPU the one that cost least where the release was packaged, as far as every candidate was measured: int8 where it
pays. A GPU takes no int8 made for CPUs: it would convert at every layer. Without costs it is the first one listed,
which is also what agents ran before variants had costs.
"""

from __future__ import annotations

from collections.abc import Sequence

from protos.manifest import Variant


def chosen(variants: Sequence[Variant], provider: str) -> Variant:
    """Of at least one."""
    if provider != "cpu":
        return next((variant for variant in variants if variant.precision != "int8"), variants[0])
    costs = [variant.cost_microseconds for variant in variants]
    if any(cost is None for cost in costs):
        return variants[0]
    return min(variants, key=lambda variant: variant.cost_microseconds or 0)
