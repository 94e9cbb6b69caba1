"""Names of what may run a model on a box, as `--provider` and everything beside it spell them. Pure."""

from __future__ import annotations

# OpenVINO's name for each precision: its default is whatever is fastest on the processor, which nobody would see.
OPENVINO = {"openvino-f32": "f32", "openvino-bf16": "bf16"}
GPU = ("cuda", "tensorrt")
ALL = ("cpu", *OPENVINO, *GPU)


def on_cpu(provider: str) -> bool:
    return provider not in GPU


def for_variant(provider: str, precision: str) -> str:
    """What runs a variant where `provider` was asked for.

    An int8 graph passed its gate with ONNX Runtime, and OpenVINO rounds otherwise: scores were off by 0.13.
    """
    return "cpu" if provider in OPENVINO and precision == "int8" else provider
