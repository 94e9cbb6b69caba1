"""Triton through PyTriton over ONNX Runtime: `MODELS=FOLDER python triton_server.py HTTP_PORT GRPC_PORT METRICS_PORT`.

The wheel brings Triton with its Python backend only, so the session runs there. Batches as they come, up to eight.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

FOLDER = Path(os.environ["MODELS"])
MOST, DELAY = 8, 500  # requests, microseconds


def bind(triton: Triton, name: str, shape: list[int], output_shape: list[int]) -> None:
    session = onnxruntime.InferenceSession(str(FOLDER / f"{name}.onnx"), providers=["CPUExecutionProvider"])

    @batch
    def infer(x: np.ndarray) -> dict[str, np.ndarray]:
        return {"y": session.run(None, {"x": x})[0]}

    triton.bind(
        model_name=name,
        infer_func=infer,
        inputs=[Tensor(name="x", dtype=np.float32, shape=tuple(shape[1:]))],
        outputs=[Tensor(name="y", dtype=np.float32, shape=tuple(output_shape[1:]))],
        config=ModelConfig(max_batch_size=MOST, batcher=DynamicBatcher(max_queue_delay_microseconds=DELAY)),
    )


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # left to itself it would leave its shared memory behind
    http_port, grpc_port, metrics_port = map(int, sys.argv[1:4])
    config = TritonConfig(
        http_address="127.0.0.1",
        http_port=http_port,
        grpc_address="127.0.0.1",
        grpc_port=grpc_port,
        metrics_port=metrics_port,
    )
    with Triton(config=config) as triton:
        for each in json.loads((FOLDER / "models.json").read_text()):
            bind(triton, each["name"], each["shape"], each["output_shape"])
        triton.serve()


if __name__ == "__main__":
    main()
