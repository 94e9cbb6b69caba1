"""A box in virtual time whose cameras give as many frames as its deployment asks of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from agent.cameras.pacer import Pacer
from agent.offload.rates import STEP_SECONDS, Setting
from agent.pipeline.lane import Action
from agent.pipeline.lowering import Lowering
from protos.ids import CameraName
from tests.sim.lane import Box, tap


@dataclass
class LoweredBox(Box):
    """Steps as the agent's board does. `given`: when each camera's frames came, of those that it gave."""

    settings: Mapping[CameraName, Setting] = field(default_factory=dict)
    given: dict[int, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lowering = Lowering(self.lane, self.now)
        self.pacers = [Pacer(self.rate) for _ in range(self.cameras)]
        self.given = {camera: [] for camera in range(self.cameras)}

    def live(self, seconds: float) -> Mapping[CameraName, Setting]:
        """`run`, with a step every two seconds."""
        for number in range(round(seconds / STEP_SECONDS)):
            self._at(self.now + STEP_SECONDS * number, self._step)
        self.run(seconds)
        return self.settings

    def rates(self) -> list[float]:
        return [self.settings[tap(camera).camera].rate for camera in range(self.cameras)]

    def _step(self) -> list[Action]:
        configured = {tap(camera).camera: self.rate for camera in range(self.cameras)}
        self.settings = self.lowering.step(configured, self.now)
        for pacer, rate in zip(self.pacers, self.rates(), strict=True):
            pacer.rate = rate
        return []

    def _arrival(self, camera: int) -> Callable[[], list[Action]]:
        return partial(self._paced, camera, super()._arrival(camera))

    def _paced(self, camera: int, arrive: Callable[[], list[Action]]) -> list[Action]:
        if not self.pacers[camera].due(self.now):
            return []
        self.given[camera].append(self.now)
        self.lowering.moved(tap(camera).camera)
        return arrive()

    def _act(self, actions: list[Action]) -> None:
        super()._act(actions)
        self.lowering.seen(actions, self.now)
