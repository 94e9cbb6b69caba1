"""What the agent's main process remembers of each camera and each tap: the rows of `capture.Captures`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from msgspec import structs

from agent.cameras import placement, spec
from agent.cameras.captured import CameraPlan
from agent.cameras.group import Group
from agent.cameras.ledger import Ledger
from agent.cameras.messages import Pace, SetCamera, SetTap, ToWorker
from agent.cameras.needs import Needs
from agent.cameras.stats import CameraStats, Meter
from agent.types import CameraState, ModelInput, Tap
from agent.workers.memory import SharedSlots
from protos.ids import CameraName


@dataclass
class Camera:
    """One camera that runs, or should."""

    plan: CameraPlan = field(repr=False)
    spoken: spec.Source = field(repr=False)  # the plan's source, parsed
    group: int = -1
    told: SetCamera | None = None  # what its worker knows; None: nothing
    told_by: Group | None = None
    stats: CameraStats = field(default_factory=CameraStats)
    meter: Meter = field(default_factory=Meter)
    hung: bool = False  # its worker is killed for it
    worker_lost: bool = False  # and no word of how the camera does since

    @property
    def name(self) -> CameraName:
        return self.plan.name

    def knows(self, wish: SetCamera) -> bool:
        """Does its worker know all of it? Restarts are history, no wish."""
        return self.told is not None and structs.replace(self.told, restarts=wish.restarts) == wish

    def post(self, message: ToWorker) -> None:
        """To its worker, where it has one."""
        if self.told_by is not None:
            self.told_by.post(message)

    def lowered(self, feeds: Iterable[Feed]) -> float:
        """Frames a second that the fastest of its taps takes, where that is less than its plan says; else 0."""
        fastest = max((feed.rate for feed in feeds if feed.tap.camera == self.name), default=math.inf)
        return fastest if fastest < self.plan.rate else 0.0

    def pace(self, feed: Feed, rate: float) -> None:
        """A tap takes so many frames a second at most; a worker that starts later hears of it with the tap."""
        if feed.rate != rate:
            feed.rate = rate
            self.post(Pace(feed.number, self.name, rate))

    def wish(self, *, paused: bool) -> SetCamera:
        """What its worker is told."""
        plan, restarts = self.plan, self.stats.restarts
        return SetCamera(plan.name, plan.source, plan.rate, paused, restarts, plan.look_every, list(plan.masks))

    def become(self, plan: CameraPlan, spoken: spec.Source) -> None:
        """It is told anew. One that comes to need something else has no worker yet."""
        before = self.needs.kind
        if plan.source != self.plan.source:
            self.worker_lost = False
        self.plan, self.spoken = plan, spoken
        if self.needs.kind is not before:
            self.group = -1

    @property
    def needs(self) -> Needs:
        return Needs.of([self.spoken])

    @property
    def lives_alone(self) -> bool:
        return spec.hangs_in_its_driver(self.plan.source)

    def after_death(self, how: str) -> tuple[CameraState, str]:
        """How it is when its worker has died: what it was killed for says more than that it was."""
        hung, self.hung, self.worker_lost = self.hung, False, True
        if hung:
            return CameraState.STALLED, self.stats.reason
        return CameraState.RETRYING, f"its capture worker {how}; it is being restarted"


@dataclass
class Feed:
    """One tap and its memory."""

    number: int
    tap: Tap
    wanted: ModelInput
    memory: SharedSlots
    told: bool = False
    instead_of: int = 0  # the number before, which its worker still feeds
    rate: float = math.inf  # frames a second that it takes at most

    def wish(self, ledger: Ledger) -> SetTap:
        """What its worker is told."""
        busy = [slot for slot in ledger.busy(self.tap) if slot < self.memory.slots]
        camera, seq = self.tap.camera, ledger.next_seq(self.tap)
        return SetTap(self.number, camera, self.memory.slots, self.wanted, seq, busy, self.instead_of, self.rate)


def place(cameras: Mapping[CameraName, Camera], strikes: placement.Strikes) -> None:
    """Give every camera its worker; those that have one keep it."""
    now = {name: camera.group for name, camera in cameras.items() if camera.group >= 0}
    alone = strikes.alone | {name for name, camera in cameras.items() if camera.lives_alone}
    kinds = {name: camera.needs.kind for name, camera in cameras.items()}
    for name, number in placement.assign(now, cameras, alone, kinds=kinds).items():
        cameras[name].group = number
