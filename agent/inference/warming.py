"""What calls take, measured before the first frame comes. In the engine worker.

A call of several frames is measured where it may pay at all: on a GPU, and on a CPU for models so short that the call
is most of their cost. Elsewhere it gains little, while its memory, once taken, is never given back. TensorRT would
build an engine for each size.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from agent.inference import boxes, contract
from agent.inference.datatypes import BYTES, FIXED
from agent.inference.errors import NotANumber
from agent.inference.graph import Array, Graph
from agent.inference.lanes import SHORT_SECONDS
from agent.offload.cost import CostLine, Point
from agent.ports import ModelSignature, TensorSpec
from agent.providers import OPENVINO, on_cpu
from agent.types import ModelInput
from protos.errors import LongshoreError

SIZES = (2, 4, 8)  # frames in a call
_ANY_SCORE = float(np.finfo(np.float32).tiny)  # rows that fill up have none
Clock = Callable[[], float]


class Took(NamedTuple):
    """Seconds of one call: that passed, and of the model alone (see agent.ports.Detections)."""

    seconds: float
    model: float


def clock_of(provider: str) -> Clock:
    """What time of the model alone is told by; OpenVINO's calls take no processor time of the thread that waits."""
    return time.thread_time if provider == "cpu" else time.perf_counter


def clock_of_calls(provider: str) -> Clock:
    """The same of calls that come beside others. OpenVINO's threads wait for cores that others have, and nothing tells
    how long: such a call tells no time, so that a crowded box takes no good release back.
    """
    return (lambda: 0.0) if provider in OPENVINO else clock_of(provider)


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
        return fastest(lambda: session.run({"image": image}, contract.DETECTION)).seconds
    except LongshoreError:
        return None


def fastest(
    act: Callable[[], object], clock: Clock = time.perf_counter, times: int = 3, long_seconds: float = 0.1
) -> Took:
    """The fastest of some, or one that is long: whatever else the machine does can only slow it down. `clock`: of the
    model alone.
    """
    best = model = math.inf
    for _ in range(times):
        started, alone = time.perf_counter(), clock()
        act()
        best, model = min(best, time.perf_counter() - started), min(model, clock() - alone)
        if best >= long_seconds:
            break
    return Took(best, model)


def in_numbers(session: Graph, model_input: ModelInput | None, black: Sequence[Array]) -> bool:
    """Does a detector say numbers: of a black picture, which it said `black` of, or else of one of noise? A graph that
    divides by a picture's contrast knows none of black, and is fine.
    """
    names = [spec.name for spec in session.signature.outputs]
    if model_input is None or _is_in_numbers(dict(zip(names, black, strict=True))):
        return True
    count = np.arange(model_input.nbytes, dtype=np.uint32)
    noise = (count * np.uint32(2_654_435_761) >> np.uint32(24)).astype(np.uint8)  # numpy.random would open files
    return _is_in_numbers(dict(zip(names, session.run({"image": noise.reshape(1, *model_input.shape)}), strict=True)))


def _is_in_numbers(said: dict[str, Array]) -> bool:
    try:
        boxes.likely(said["boxes"][0].astype(np.float32), said["scores"][0].astype(np.float32), _ANY_SCORE)
    except NotANumber:
        return False
    return True
