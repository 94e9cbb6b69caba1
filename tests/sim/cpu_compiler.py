"""A compiler's process in whose place of TensorRT stands ONNX Runtime's optimiser for CPUs: it, too, writes by path.

`options` of the question say how it goes: {"part": …} writes another graph, {"free": …} nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnxruntime as ort

from agent.inference.compiler_worker import run
from agent.inference.session import Session
from agent.ports import ModelSignature
from tests.sim.models import sum_model


def optimised(model: bytes, options: Mapping[str, str], path: str) -> ModelSignature:
    if "part" in options:
        Path(path).write_bytes(sum_model().spec.model)
    elif "free" not in options:
        settings = ort.SessionOptions()
        settings.optimized_model_filepath = path
        settings.log_severity_level = 4
        ort.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    return Session(model).signature


if __name__ == "__main__":
    run(optimised)
