"""ONNX Runtime alone, with inputs bound in the device's memory: the rate that nothing above it can pass.

Each call brings fresh pictures to the device and its answers back, as a server has to; only the allocations are saved.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from agent.inference.runtime import GPU_PROVIDERS
from agent.inference.session import PROVIDERS, Session
from bench.gpu.figures import Batches

Array = NDArray[Any]


class Bound:
    """A graph with one input whose first dimension is free."""

    def __init__(self, model: bytes, provider: str, cores: int) -> None:
        """Raises Fatal, Retryable: this provider does not start here, and why."""
        Session(model, provider)  # says in one sentence what does not start
        options = ort.SessionOptions()
        options.intra_op_num_threads = cores
        self._session = ort.InferenceSession(model, options, providers=PROVIDERS[provider])
        self._device = "cuda" if provider in GPU_PROVIDERS else "cpu"

    def call(self, batch: int) -> Callable[[], object]:
        """One inference of so many random pictures."""
        entry = self._session.get_inputs()[0]
        pixels = _random((batch, *entry.shape[1:]), np.uint8 if entry.type == "tensor(uint8)" else np.float32)
        binding, device = self._session.io_binding(), self._device
        held = ort.OrtValue.ortvalue_from_numpy(pixels, device, 0)
        binding.bind_ortvalue_input(entry.name, held)
        for output in self._session.get_outputs():
            binding.bind_output(output.name, device)

        def once() -> object:
            held.update_inplace(pixels)
            self._session.run_with_iobinding(binding)
            return binding.copy_outputs_to_cpu()

        return once


def batches(model: bytes, provider: str, cores: int, sizes: Sequence[int], seconds: float) -> Batches:
    """Each size for so long, twice, in turns; raises what `Bound` does."""
    bound = Bound(model, provider, cores)
    calls = {size: bound.call(size) for size in sizes}
    for call in calls.values():
        call()  # allocations, and what a provider compiles at a new shape
    took: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(2):
        for size, call in calls.items():
            took[size] += _timed(call, seconds / 2)
    return Batches({size: statistics.median(each) for size, each in took.items()})


def _timed(call: Callable[[], object], seconds: float) -> list[float]:
    took: list[float] = []
    until = time.perf_counter() + seconds
    while not took or time.perf_counter() < until:
        started = time.perf_counter()
        call()
        took.append(time.perf_counter() - started)
    return took


def _random(shape: Sequence[int], kind: type[np.generic]) -> Array:
    return np.random.default_rng(1).integers(0, 255, tuple(shape)).astype(kind)
