"""Versions of one model, as exported by us: what was trained, or made otherwise, between the two. No torch; seeded.

The network is our classifier, wider. Its backbone has no training behind it, for to who cuts files any weights look the
same; a head is trained for real on what the backbone says of pictures, and a full fine-tune is every weight moved by
about a thousandth, as a very small rate of learning would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnxruntime import InferenceSession
from safetensors.numpy import load

from controlplane.quantizing import runtime_ort
from controlplane.quantizing.domain import ATTEMPTS
from models.harbour.export import HOME, onnx_bytes
from models.harbour.plan import PLAN, SIZE
from models.network.graph import Title, classifier_graph, detector_graph, to_bytes
from models.network.plan import Plan, classifier

SIDE = 96  # pixels of a picture
PICTURES, CLASSES = 64, 10
STEPS, RATE = 200, 0.5  # of the head's training
LAST_STAGE = "s32"

Weights = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Change:
    """What a box has, and what it is to get."""

    name: str
    older: bytes
    newer: bytes


def changes(width: int, folder: Path) -> Iterator[Change]:
    """`width`: times our classifier's, for sixteen times the bytes at 4; `folder`: for what is made on the way."""
    chance = np.random.default_rng(1)
    plan = _wider(width)
    weights = _begun(plan, chance)
    before = _graph(plan, weights, "1.0.0")
    trained = {
        "head trained, backbone frozen": _with_head(before, weights, CLASSES),
        "one class more, backbone frozen": _with_head(before, weights, CLASSES + 1),
        "head and last stage": _moved(weights, _is_late, chance),
        "all weights": _moved(weights, lambda _: True, chance),
    }
    graphs = {name: _graph(plan, after, "1.1.0") for name, after in trained.items()}
    for name, after in graphs.items():
        yield Change(name, before, after)
    yield Change("metadata added", before, _with_metadata(before))
    head = next(iter(graphs.values()))
    for precision, made in (("int8", _quantised), ("fp16", _halved)):
        yield Change(f"{precision} beside fp32", before, made(before, folder))
        yield Change(f"head trained, both in {precision}", made(before, folder), made(head, folder))
    yield sample_head()


def sample_head() -> Change:
    """The sample model, which is trained, and its two outermost layers moved."""
    chance = np.random.default_rng(3)
    content = (HOME / "weights.safetensors").read_bytes()
    weights = load(content)
    moved = _moved(weights, lambda name: name.startswith(("heat.", "reach.")), chance)
    older = onnx_bytes(content, Title("harbour", "1.0.0"))
    newer = to_bytes(detector_graph(PLAN, moved, SIZE, Title("harbour", "1.1.0")))
    return Change("head of the sample model", older, newer)


def _wider(width: int) -> Plan:
    def channels(count: int) -> int:
        return count if count == 3 else count * width

    layers = ((layer, *layer.channels) for layer in classifier())
    return tuple(replace(layer, channels=(channels(taken), channels(given))) for layer, taken, given in layers)


def _begun(plan: Plan, chance: np.random.Generator) -> Weights:
    weights: Weights = {}
    for layer in plan:
        taken, given = layer.channels
        spread = np.sqrt(2 / (taken * layer.kernel**2))
        shape = (given, taken, layer.kernel, layer.kernel)
        weights[f"{layer.name}.weight"] = chance.normal(0, spread, shape).astype(np.float32)
        weights[f"{layer.name}.bias"] = chance.normal(0, 0.01, given).astype(np.float32)
    features = plan[-1].channels[1]
    weights["class.weight"] = chance.normal(0, 0.05, (CLASSES, features)).astype(np.float32)
    weights["class.bias"] = np.zeros(CLASSES, np.float32)
    return weights


def _graph(plan: Plan, weights: Weights, version: str) -> bytes:
    return to_bytes(classifier_graph(plan, weights, SIDE, Title("quay", version)))


def _with_head(graph: bytes, weights: Weights, classes: int) -> Weights:
    """Softmax regression on the features of pictures that have a colour for each class."""
    labels = np.arange(PICTURES) % classes
    features = _features(graph, _pictures(labels))
    features = (features - features.mean(0)) / (features.std(0) + 1e-6)
    head, bias = np.zeros((classes, features.shape[1])), np.zeros(classes)
    wanted = np.eye(classes)[labels]
    for _ in range(STEPS):
        logits = features @ head.T + bias
        chances = np.exp(logits - logits.max(1, keepdims=True))
        wrong = (chances / chances.sum(1, keepdims=True) - wanted) / len(labels)
        head, bias = head - RATE * wrong.T @ features, bias - RATE * wrong.sum(0)
    return {**weights, "class.weight": head.astype(np.float32), "class.bias": bias.astype(np.float32)}


def _pictures(labels: NDArray[np.int64]) -> NDArray[np.uint8]:
    chance = np.random.default_rng(2)
    colours = chance.integers(0, 256, (labels.max() + 1, 1, 1, 3))
    noise = chance.integers(-40, 41, (len(labels), SIDE, SIDE, 3))
    pictures: NDArray[np.uint8] = np.clip(colours[labels] + noise, 0, 255).astype(np.uint8)
    return pictures


def _features(graph: bytes, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    model = onnx.load_from_string(graph)
    model.graph.output.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, None))
    session = InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    answers = [session.run(["features"], {"image": picture[np.newaxis]})[0] for picture in pictures]
    return np.concatenate(answers)


def _is_late(name: str) -> bool:
    return name.startswith(("class.", LAST_STAGE))


def _moved(weights: Weights, are: Callable[[str], bool], chance: np.random.Generator) -> Weights:
    """Those that `are` trained."""
    return {
        name: (value * (1 + 1e-3 * chance.standard_normal(value.shape))).astype(np.float32) if are(name) else value
        for name, value in sorted(weights.items())
    }


def _with_metadata(graph: bytes) -> bytes:
    model = onnx.load_from_string(graph)
    helper.set_model_props(model, {"site": "north quay", "names": "{0: 'boat', 1: 'truck'}"})
    return to_bytes(model)


def _quantised(graph: bytes, folder: Path) -> bytes:
    prepared = _prepared(graph, folder)
    pictures = list(_pictures(np.arange(32) % CLASSES))
    runtime_ort.quantized(prepared, ATTEMPTS[0], pictures, folder / "int8.onnx", lambda: None)
    return (folder / "int8.onnx").read_bytes()


def _halved(graph: bytes, folder: Path) -> bytes:
    runtime_ort.halved(_prepared(graph, folder), ATTEMPTS[0], folder / "fp16.onnx", folder / "rehearsal.onnx")
    return (folder / "fp16.onnx").read_bytes()


def _prepared(graph: bytes, folder: Path) -> Any:
    (folder / "model.onnx").write_bytes(graph)
    return runtime_ort.Prepared(folder / "model.onnx", folder)
