"""A release's eyes: a decoded picture in, what is seen on it out, through the engine worker and its graph contract.

A detection release sees a picture as it sees a camera's frame: fitted into a shared-memory slot, boxes back. A
classification release gets the fitted pixels as a tensor; the best class becomes the one thing seen, over the whole
picture.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from agent.cameras.source import Picture
from agent.inference.outputs import label_of
from agent.ports import Engine, EngineSpec, Tensor
from agent.types import Box, ModelInput, Tap
from agent.workers.memory import SharedSlots
from protos.errors import Rejected
from protos.ids import CameraName, DeploymentName

TAP = Tap(CameraName("try"), DeploymentName("try"))
BEST = 3  # classes in a caption


@dataclass(frozen=True)
class Sight:
    """`boxes` are counted; `drawn` says whether they are places too. Seconds of fitting and of inference."""

    boxes: tuple[Box, ...]
    caption: str
    fit_seconds: float
    infer_seconds: float
    drawn: bool = True


class Seer(Protocol):
    async def see(self, picture: Picture, min_score: float) -> Sight:
        """Raises Rejected (the model fails on it), Retryable (its worker died)."""
        ...


async def seer(engine: Engine, spec: EngineSpec) -> Seer:
    """For a started engine. Raises Rejected for a release that takes no pictures."""
    if spec.input is None:
        raise Rejected("this release takes no pictures")
    if spec.task == "detection":
        return await Detector.attached(engine, spec, spec.input)
    return Classifier(engine, spec, spec.input)


class Detector:
    def __init__(self, engine: Engine, spec: EngineSpec, wanted: ModelInput, memory: SharedSlots) -> None:
        self._engine, self._labels, self._wanted, self._memory = engine, spec.labels, wanted, memory
        self._pixels = np.frombuffer(memory.view(0), np.uint8).reshape(wanted.height, wanted.width, 3)

    @classmethod
    async def attached(cls, engine: Engine, spec: EngineSpec, wanted: ModelInput) -> Detector:
        memory = SharedSlots.create(1, wanted.nbytes)
        await engine.attach(TAP, memory.fd, memory.slots, wanted)
        return cls(engine, spec, wanted, memory)

    async def see(self, picture: Picture, min_score: float) -> Sight:
        started = time.perf_counter()
        geometry = picture.fit(self._wanted, self._pixels)
        fitted = time.perf_counter() - started
        found = await self._engine.detect_slot(TAP, 0, geometry, min_score)
        for box in found.boxes:
            _check_named(box.label, self._labels)
        return Sight(found.boxes, "", fitted, found.infer_seconds)


class Classifier:
    def __init__(self, engine: Engine, spec: EngineSpec, wanted: ModelInput) -> None:
        self._engine, self._labels, self._wanted = engine, spec.labels, wanted

    async def see(self, picture: Picture, min_score: float) -> Sight:
        started = time.perf_counter()
        pixels = np.empty((1, self._wanted.height, self._wanted.width, 3), np.uint8)
        picture.fit(self._wanted, pixels[0])
        fitted = time.perf_counter() - started
        started = time.perf_counter()
        (answer,) = await self._engine.infer([Tensor("image", "UINT8", pixels.shape, pixels.tobytes())], ["scores"])
        seconds = time.perf_counter() - started
        scores = np.frombuffer(answer.data, np.float32)
        if len(scores) != len(self._labels):
            raise Rejected(
                f"the graph gives {len(scores)} scores, but the release names {len(self._labels)} classes; package it"
                " again with one name for each"
            )
        best = [int(index) for index in np.argsort(-scores, kind="stable")[:BEST]]
        caption = "   ".join(f"{self._labels[index]} {scores[index] * 100:.0f}" for index in best)
        top = Box(0.0, 0.0, 1.0, 1.0, float(scores[best[0]]), label_of(self._labels, best[0]))
        return Sight((top,) if top.score >= min_score else (), caption, fitted, seconds, drawn=False)


def _check_named(label: str, labels: tuple[str, ...]) -> None:
    """A class without a name comes out as its number."""
    if label not in labels:
        raise Rejected(
            f"the graph gives class number {label}, but the release names {len(labels)} classes; package it again with"
            " a name for each class, in the order of their numbers"
        )
