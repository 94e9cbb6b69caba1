"""What is asked: three models, one input each, and the answer that ONNX Runtime gives.

Servers and the reference read them from a folder: `models.json` names models, shapes and files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.serving import graphs
from bench.serving.graphs import CLASSES, SIDE, Graph

Array = NDArray[np.float32]
INPUT, OUTPUT = "x", "y"


@dataclass(frozen=True)
class Workload:
    """A model under its name; one FP32 tensor in, one out."""

    name: str
    shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    build: Callable[[], Graph]

    def input(self) -> Array:
        """The same in every request of every run."""
        return np.random.default_rng(3).standard_normal(self.shape).astype(np.float32)


PICTURE = (1, 3, SIDE, SIDE)  # 602 112 bytes
WORKLOADS = {
    each.name: each
    for each in (
        Workload("tiny", (1, 16), (1, 16), graphs.tiny),
        Workload("mobilenet", PICTURE, (1, CLASSES), graphs.mobilenet),
        Workload("resnet50", PICTURE, (1, CLASSES), graphs.resnet50),
    )
}


def write(folder: Path, workloads: Iterable[Workload]) -> None:
    """Make the folder of models."""
    told = []
    for each in workloads:
        (folder / f"{each.name}.onnx").write_bytes(each.build().model)
        told.append({"name": each.name, "shape": each.shape, "output_shape": each.output_shape})
    (folder / "models.json").write_text(json.dumps(told))


def names(folder: Path) -> list[str]:
    return [each["name"] for each in json.loads((folder / "models.json").read_text())]


def model(folder: Path, name: str) -> bytes:
    return (folder / f"{name}.onnx").read_bytes()


def answer(folder: Path, workload: Workload) -> Array:
    """What ONNX Runtime says to its input."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model(folder, workload.name), providers=["CPUExecutionProvider"])
    found: Array = session.run([OUTPUT], {INPUT: workload.input()})[0]
    return found


def same(found: Array, expected: Array) -> bool:
    """Up to what another number of threads changes."""
    return found.shape == expected.shape and bool(
        np.allclose(found, expected, rtol=1e-3, atol=1e-3 * float(np.abs(expected).max()))
    )
