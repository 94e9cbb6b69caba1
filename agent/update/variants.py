"""Which ONNX file of a release a box runs. Pure.

On a CPU the one that cost least where the release was packaged, as far as every candidate was measured: int8 where it
pays. Without costs it is the first one listed, which is also what agents ran before variants had costs. A GPU takes
fp16 where there is one, for its costs were measured on a CPU, which only says what a CPU would need; and no int8 made
for CPUs, since it would convert at every layer.
"""

from __future__ import annotations

from collections.abc import Sequence

from protos.manifest import Variant

_ON_GPU = {"fp16": 0, "fp32": 1}  # the first of the lowest; then whatever else there is


def chosen(variants: Sequence[Variant], provider: str) -> Variant:
    """Of at least one."""
    if provider != "cpu":
        return min(variants, key=lambda variant: _ON_GPU.get(variant.precision, len(_ON_GPU)))
    costs = [variant.cost_microseconds for variant in variants]
    if any(cost is None for cost in costs):
        return variants[0]
    return min(variants, key=lambda variant: variant.cost_microseconds or 0)
