"""A tensor release, tried: what comes out, as shapes and ranges of values.

Its graph takes whatever it takes, so a picture is offered only to the one input that looks like one: four dimensions,
three of them channels. It is stretched to fit, 0 to 255 where bytes are taken and 0 to 1 where numbers are; every other
input gets zeros. The text says so: the figures show that the graph runs and what it gives, not how good it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agent.cameras.letterbox import resize_rgb
from agent.cameras.source import Picture
from agent.inference.datatypes import BYTES, FIXED, pack_bytes
from agent.ports import Engine, Tensor, TensorSpec
from agent.trial.feed import Feed
from agent.trial.tally import percentile, table
from protos.errors import Rejected

SIDE = 224  # pixels, for a free height or width
MOST = 64  # pictures that are looked at
_FLOATS = ("FP16", "FP32", "FP64")


async def report(engine: Engine, feed: Feed) -> str:
    """The table. Raises Rejected when the graph does not run on this."""
    inputs = engine.signature.inputs
    picture = _picture_input(inputs)
    outputs: list[list[Tensor]] = []
    times: list[float] = []
    loop = asyncio.get_running_loop()
    while len(outputs) < (MOST if picture else 1) and (seen := await asyncio.to_thread(feed.next)) is not None:
        given = [_pixels(spec, seen.picture) if spec is picture else zeros(spec) for spec in inputs]
        started = loop.time()
        outputs.append(await engine.infer(given))
        times.append(loop.time() - started)
    if not outputs:
        raise Rejected("the source gave no picture; name another")
    fed = f"the picture as {picture.name!r}" if picture else "zeros: no input looks like a picture"
    head = f"{len(outputs)} inferences, median {percentile(times, 0.5) * 1000:.1f} ms; given {fed}"
    return f"{head}\n\n{table(('OUTPUT', 'TYPE', 'SHAPE', 'LEAST', 'MEAN', 'MOST'), _rows(outputs))}"


def _picture_input(inputs: Sequence[TensorSpec]) -> TensorSpec | None:
    likely = [spec for spec in inputs if len(spec.shape) == 4 and 3 in (spec.shape[1], spec.shape[3])]
    return likely[0] if len(likely) == 1 and likely[0].datatype in ("UINT8", *_FLOATS) else None


def _pixels(spec: TensorSpec, picture: Picture) -> Tensor:
    first = spec.shape[3] != 3  # channels come first
    height, width = (SIDE if side < 0 else side for side in (spec.shape[2:] if first else spec.shape[1:3]))
    pixels = resize_rgb(picture.rgb(max(picture.width, picture.height)), height, width)
    array: NDArray[np.generic] = np.ascontiguousarray(pixels.transpose(2, 0, 1) if first else pixels)[np.newaxis]
    if spec.datatype in _FLOATS:
        array = (array.astype(np.float32) / 255.0).astype(FIXED[spec.datatype].numpy)
    batch = max(1, spec.shape[0])
    array = np.repeat(array, batch, axis=0)
    return Tensor(spec.name, spec.datatype, array.shape, array.tobytes())


def zeros(spec: TensorSpec) -> Tensor:
    """A free dimension is 1."""
    shape = tuple(1 if side < 0 else side for side in spec.shape)
    if spec.datatype == BYTES:
        return Tensor(spec.name, BYTES, shape, pack_bytes([b""] * int(np.prod(shape))))
    return Tensor(spec.name, spec.datatype, shape, np.zeros(shape, FIXED[spec.datatype].numpy).tobytes())


def _rows(outputs: Sequence[Sequence[Tensor]]) -> list[tuple[str, ...]]:
    return [_row(tensors) for tensors in zip(*outputs, strict=True)]


def _row(tensors: Sequence[Tensor]) -> tuple[str, ...]:
    """One output over all inferences; shapes that differ are all named."""
    shapes = " ".join(dict.fromkeys("×".join(map(str, tensor.shape)) or "scalar" for tensor in tensors))
    first = tensors[0]
    if first.datatype == BYTES:
        return first.name, BYTES, shapes, "-", "-", "-"
    values = np.concatenate([np.frombuffer(tensor.data, FIXED[first.datatype].numpy) for tensor in tensors])
    if not values.size:
        return first.name, first.datatype, shapes, "-", "-", "-"
    numbers = values.astype(np.float64)
    broken = int(np.count_nonzero(~np.isfinite(numbers)))
    kept = numbers[np.isfinite(numbers)]
    shown = [f"{figure:.4g}" for figure in (kept.min(), kept.mean(), kept.max())] if kept.size else ["-"] * 3
    return first.name, first.datatype, f"{shapes} ({broken} not finite)" if broken else shapes, *shown
