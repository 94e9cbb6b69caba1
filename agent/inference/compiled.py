"""What a compiled graph is bound to, and which of those that are kept must go. Pure.

TensorRT compiles a graph for one GPU, one driver and one version of itself; loaded elsewhere it fails or, worse, runs
slowly. So its key is a hash over all it depends on, and anything that differs makes another key: nothing old is ever
found. What is kept for a platform that is no more is of no use, and goes first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

import msgspec

from agent.ports import EngineSpec
from protos.ids import Digest, digest_of

BUDGET = 2 << 30  # bytes of disk for all of a box's
MOST_BATCH, USUAL_BATCH = 16, 4  # pictures at once that a compiled graph takes, and is fastest for


@dataclass(frozen=True)
class Platform:
    """What runs here, in the words of its makers. `gpus`: the names of all, which say what each can compute."""

    gpus: tuple[str, ...]
    driver: str
    runtime: str  # distribution and version of ONNX Runtime
    tensorrt: str

    @property
    def key(self) -> str:
        return _hash(asdict(self))


@dataclass(frozen=True)
class Bound:
    """All that a compiled graph depends on."""

    release: Digest
    model: Digest  # of the ONNX file's bytes
    provider: str
    options: tuple[tuple[str, str], ...]  # the provider's, which hold precision and shapes
    platform: Platform

    @property
    def key(self) -> str:
        return _hash(asdict(self))


@dataclass(frozen=True)
class Kept:
    """One that lies on the disk. `used_at`: seconds of some clock, of its last use."""

    key: str
    platform: str
    nbytes: int
    used_at: float


def bound(spec: EngineSpec, platform: Platform) -> Bound:
    return Bound(spec.digest, digest_of(spec.model), spec.provider, tuple(sorted(options(spec).items())), platform)


def options(spec: EngineSpec) -> dict[str, str]:
    """TensorRT's, as ONNX Runtime names them; none for another provider.

    Half precision only for a variant that was judged in it. Shapes are those of batches of pictures; a tensor model's
    free dimensions are not known, and TensorRT then compiles at the first call.
    """
    if spec.provider != "tensorrt":
        return {}
    chosen = {"trt_fp16_enable": "1"} if spec.precision == "fp16" else {}
    if spec.input is not None:
        sizes = {"min": 1, "opt": USUAL_BATCH, "max": MOST_BATCH}
        shape = f"{spec.input.height}x{spec.input.width}x3"
        chosen |= {f"trt_profile_{name}_shapes": f"image:{size}x{shape}" for name, size in sizes.items()}
    return chosen


def to_drop(kept: Iterable[Kept], platform: str, newest: str, budget: int = BUDGET) -> list[str]:
    """Keys of those that must go: of other platforms all, then the longest unused until the rest is in the budget.

    `newest` stays, for it is about to be loaded.
    """
    ours = [each for each in kept if each.platform == platform]
    drop = [each.key for each in kept if each.platform != platform]
    total = sum(each.nbytes for each in ours)
    for each in sorted(ours, key=lambda one: one.used_at):
        if total > budget and each.key != newest:
            drop.append(each.key)
            total -= each.nbytes
    return drop


def _hash(value: dict[str, Any]) -> str:
    return sha256(msgspec.json.encode(value, order="sorted")).hexdigest()
