"""The exported graph gives what torch gives with the same weights, to 1e-4; torch runs in an environment of its own."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from models.harbour import export, scenes
from models.harbour.plan import MAX_LOG_REACH, SIZE, STRIDE
from tests.servers.require import unmet

ROOT = Path(__file__).parents[3]
TORCH_PYTHON = ROOT / ".venv-train" / "bin" / "python"
TOLERANCE = 1e-4
COUNTS = 0.1  # score from which a peak has to be among the detections, of which there are TOP

pytestmark = pytest.mark.torch

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Maps:
    """Score per class and reach in cells, as torch gives them for `images`."""

    images: NDArray[np.uint8]
    score: Floats  # [N, classes, rows, columns]
    reach: Floats  # [N, left top right bottom, rows, columns]


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Maps:
    if not TORCH_PYTHON.exists():
        unmet("torch has no environment; make it with: scripts/bootstrap train")
    folder = tmp_path_factory.mktemp("torch")
    images = np.stack([scenes.letterbox(picture) for _, picture, _ in scenes.held_out(3)])
    np.save(folder / "images.npy", images)
    script = Path(__file__).with_name("torch_maps.py")
    files = [export.HOME / "weights.safetensors", folder / "images.npy", folder / "out.npz"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([TORCH_PYTHON, script, *files], env=environment, check=True, timeout=100)
    given = np.load(folder / "out.npz")
    return Maps(images, given["score"], given["reach"])


def session_of(model: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def with_maps_as_outputs(graph: onnx.ModelProto) -> bytes:
    names = ("score", "reach")
    graph.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    content: bytes = graph.SerializeToString()
    return content


def test_the_maps_of_torch_and_of_the_graph_agree(maps: Maps) -> None:
    graph = onnx.load(export.RELEASE / "model.onnx")
    score, log_reach = session_of(with_maps_as_outputs(graph)).run(["score", "reach"], {"image": maps.images})
    assert np.abs(score - maps.score).max() <= TOLERANCE
    assert np.abs(np.minimum(log_reach, MAX_LOG_REACH) - np.log(maps.reach)).max() <= TOLERANCE


def test_every_peak_of_torch_is_a_detection_of_the_graph(maps: Maps) -> None:
    session = session_of((export.RELEASE / "model.onnx").read_bytes())
    found = session.run(["boxes", "scores", "classes"], {"image": maps.images})
    peaks = 0
    for score, reach, boxes, scores, classes in zip(maps.score, maps.reach, *found, strict=True):
        for label, row, column in np.argwhere(is_peak(score)):
            apart = np.abs(boxes - box_at(reach, row, column)).max(1)
            same = (classes == label) & (apart <= TOLERANCE)
            assert np.any(same & (np.abs(scores - score[label, row, column]) <= TOLERANCE)), (label, row, column)
            peaks += 1
    assert peaks > 50


def is_peak(score: Floats) -> NDArray[np.bool_]:
    """Where no neighbour of the same class is higher; what two runtimes may see differently by rounding is left out."""
    padded = np.pad(score, ((0, 0), (1, 1), (1, 1)), constant_values=0)
    rows, columns = score.shape[1:]
    around = [
        padded[:, down : down + rows, right : right + columns] + TOLERANCE
        for down in range(3)
        for right in range(3)
        if (down, right) != (1, 1)
    ]
    clear: NDArray[np.bool_] = (score > COUNTS) & (score > np.max(around, axis=0))
    return clear


def box_at(reach: Floats, row: int, column: int) -> Floats:
    left, top, right, bottom = reach[:, row, column]
    middle = np.array([column + 0.5, row + 0.5] * 2, np.float32)
    corners = middle + np.array([-left, -top, right, bottom], np.float32)
    return np.clip(corners * STRIDE / SIZE, 0, 1).astype(np.float32)
