"""Tensors of a request on their way to a worker: in the message while small together, else in shared memory."""

from __future__ import annotations

from collections.abc import Sequence

from agent.inference.fitting import Pixels
from agent.inference.messages import INLINE, TensorIn
from agent.inference.regions import Lease, Pool
from agent.inference.requests import IMAGE
from agent.ports import Tensor
from agent.types import ModelInput
from protos.errors import LongshoreError


def written(inputs: Sequence[Tensor], pool: Pool) -> tuple[list[TensorIn], list[Lease]]:
    """Where the worker finds each, and the memory that it takes until it has answered. Raises Retryable."""
    if sum(len(tensor.data) for tensor in inputs) <= INLINE:
        return [TensorIn(t.name, t.datatype, t.shape, len(t.data), inline=bytes(t.data)) for t in inputs], []
    items: list[TensorIn] = []
    leases: list[Lease] = []
    try:
        for tensor in inputs:
            leases.append(pool.write(tensor.data))
            items.append(_item(tensor.name, tensor.datatype, tensor.shape, leases[-1]))
    except LongshoreError:
        for lease in leases:
            pool.give(lease)
        raise
    return items, leases


def of_pixels(pixels: Pixels, wanted: ModelInput) -> TensorIn:
    """A picture that was decoded."""
    return _item(IMAGE, "UINT8", (1, *wanted.shape), pixels.lease)


def _item(name: str, datatype: str, shape: tuple[int, ...], lease: Lease) -> TensorIn:
    return TensorIn(name, datatype, shape, lease.nbytes, lease.chunk, lease.offset)
