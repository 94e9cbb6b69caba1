"""Folding and running for the tests of this folder."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto

from controlplane.packaging import folding
from controlplane.packaging.wish import Wish

Array = NDArray[Any]
LABELS = ("boat", "truck", "crane")


def fold(model: ModelProto, **wish: Any) -> tuple[bytes, folding.Plan]:
    """The folded graph and what was decided; `model` is left alone."""
    copied = ModelProto.FromString(model.SerializeToString())
    source = folding.opened(copied)
    decided = folding.plan(source, Wish(**{"labels": LABELS, **wish}))
    return folding.fold(source, decided).SerializeToString(), decided


def run(model: bytes, **feeds: Array) -> list[Array]:
    options = ort.SessionOptions()
    options.log_severity_level = 2  # warnings would go to standard error, where tests would see them
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    given = feeds or {}
    result: list[Array] = session.run(None, given)
    return result


def pictures(count: int, height: int, width: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
