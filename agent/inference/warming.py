"""What calls take, measured before the first frame comes. In the engine worker.

A call of several frames is measured where it may pay at all: on a GPU, and on a CPU for models so short that the call
is most of their cost. Elsewhere it gains little, while its memory, once taken, is never given back. TensorRT would
build an engine for each size.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np

from agent.inference import contract
from agent.inference.datatypes import BYTES, FIXED
from agent.inference.graph import Array, Graph
from agent.inference.lanes import SHORT_SECONDS
from agent.offload.cost import CostLine, Point
from agent.ports import ModelSignature, TensorSpec
from agent.providers import on_cpu
from agent.types import ModelInput
from protos.errors import LongshoreError

SIZES = (2, 4, 8)  # frames in a call


def batches(session: Graph, task: str, model_input: ModelInput | None, provider: str, seconds: float) -> list[Point]:
    """(frames, seconds) of calls of several frames; none where they cannot be, or do not pay.

    `seconds`: of a frame alone. A graph that does not run with several, or does not answer for each, takes one.
    """
    if task != "detection" or model_input is None or not _may_pay(provider, seconds):
        return []
    if session.signature.inputs[0].shape[0] != -1:
        return []
    found: list[Point] = []
    for frames in SIZES:
        took = _call(session, np.zeros((frames, model_input.height, model_input.width, 3), dtype=np.uint8))
        if took is None or not CostLine([(1, seconds), *found, (frames, took)]).pays(frames):
            break
        found.append((frames, took))
    return found


def _may_pay(provider: str, seconds: float) -> bool:
    return provider == "cuda" or (on_cpu(provider) and seconds < SHORT_SECONDS)


def zeros(signature: ModelSignature) -> dict[str, Array]:
    """In the real shapes; a free dimension is 1."""
    return {spec.name: _zeros(spec) for spec in signature.inputs}


def _zeros(spec: TensorSpec) -> Array:
    shape = [1 if side < 0 else side for side in spec.shape]
    if spec.datatype == BYTES:
        return np.full(shape, "", dtype=object)
    return np.zeros(shape, dtype=FIXED[spec.datatype].numpy)


def _call(session: Graph, image: Array) -> float | None:
    """Seconds, or None where it is not answered frame by frame, or the box is short of something."""
    try:
        outputs = session.run({"image": image}, contract.DETECTION)
        if any(len(output) != len(image) for output in outputs):
            return None
        return fastest(lambda: session.run({"image": image}, contract.DETECTION))
    except LongshoreError:
        return None


def fastest(act: Callable[[], object], times: int = 3, long_seconds: float = 0.1) -> float:
    """Seconds of the fastest of some, or of one that is long: whatever else the machine does can only slow it down."""
    best = math.inf
    for _ in range(times):
        started = time.perf_counter()
        act()
        best = min(best, time.perf_counter() - started)
        if best >= long_seconds:
            break
    return best
