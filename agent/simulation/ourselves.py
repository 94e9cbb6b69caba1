"""The agent's own lane as a contender: the very class that runs on a box, told and obeyed in its own words.

Every frame lies in a slot of its own until the lane gives it back; `open_slots` is 0 when all were given back once.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from agent.cameras.pacer import Pacer
from agent.offload.breaker import Breaker
from agent.offload.cost import CostLine
from agent.offload.policy import ALL_PARTS, Parts
from agent.offload.profile import JpegPoint, Profile, SizeProfile
from agent.offload.terms import Terms
from agent.pipeline.lane import Action, Answer, Finish, Infer, Lane, Release, SendUp
from agent.pipeline.lowering import Lowering
from agent.simulation.contender import (
    CLOUD,
    Act,
    CallOff,
    Contender,
    End,
    Known,
    Maker,
    NotGiven,
    Offer,
    Reply,
    Send,
    Start,
)
from agent.types import Box, Finished, Frame, Geometry, Tap
from protos.ids import CameraName, DeploymentName

GEOMETRY = Geometry(640, 360, 1.0, 1.0, 0, 0)

ABLATIONS: dict[str, Parts] = {
    "no cascade": Parts(cascade=False),
    "no hedge": Parts(hedge=False),
    "FIFO": Parts(edf=False),
    "no prices": Parts(prices=False),
    "whole backlog counts": Parts(earlier_only=False),
    "no hard bucket": Parts(hard_bucket=False),
}


def maker(parts: Parts = ALL_PARTS) -> Maker:
    return lambda known, seed: Ourselves(known, seed, parts)


def profile(known: Known) -> Profile:
    """As the manifest of a release has it."""
    return Profile(
        sizes=tuple(SizeProfile(size.name, size.metric) for size in known.sizes),
        cloud=max(picture.metric for picture in known.pictures),
        jpeg=tuple(JpegPoint(each.quality, each.max_side, each.nbytes, each.metric) for each in known.pictures),
        confidence=known.confidence,
        measured=True,
    )


class Ourselves(Contender):
    def __init__(self, known: Known, seed: int, parts: Parts = ALL_PARTS) -> None:
        rng = random.Random(seed)  # noqa: S311 chance of a simulation
        self.lane = Lane(
            {size.name: CostLine(((1, size.seconds),)) for size in known.sizes},
            Breaker(rng=rng),
            Terms(deadline=known.deadline, uplink_bits_per_second=known.budget, floor_rate=known.floor or 0.0),
            profile(known),
            rng,
            parts=parts,
            ready=True,
            width=known.width,
            cloud_allowed=known.cloud_allowed,
        )
        self.taps = [Tap(CameraName(f"camera-{n}"), DeploymentName("bench")) for n in range(known.cameras)]
        self.pictures = {(each.quality, each.max_side): place for place, each in enumerate(known.pictures)}
        self.number: dict[int, int] = {}  # of the frame, by the lane's own number
        self.job: dict[int, int] = {}  # and back
        self.frame: dict[tuple[Tap, int], int] = {}
        self.ran: dict[int, str] = {}  # size that a frame was run in
        self.open_slots = 0
        self.cameras = Lowered(self.lane, self.taps, known.rate) if known.floor is not None else None

    # ---- events ----

    def arrive(self, offer: Offer, now: float) -> list[Act]:
        if self.cameras is not None and not self.cameras.gives(offer.camera, now):
            return [NotGiven(offer.number)]
        job = len(self.number) + 1  # a lane counts its frames from 1
        self.number[job], self.job[offer.number] = offer.number, job
        self.open_slots += 1
        tap, slot = self.taps[offer.camera], offer.number
        self.frame[tap, offer.seq] = offer.number
        frame = Frame(tap, offer.seq, slot, offer.captured, offer.captured_unix_ns, offer.deadline, GEOMETRY)
        return self._acts(self.lane.arrive(frame, now), now)

    def local_done(self, numbers: tuple[int, ...], replies: Sequence[Reply], now: float) -> list[Act]:
        answers = [Answer(_boxes(reply), infer_seconds=reply.seconds) for reply in replies]
        return self._acts(self.lane.local_done(tuple(self.job[number] for number in numbers), answers, now), now)

    def encoded(self, number: int, nbytes: int, now: float) -> list[Act]:
        job = self.job[number]
        acts = self._acts(self.lane.encoded(job, nbytes, now), now)
        return acts if self.lane.goes_up(job) else [*acts, CallOff(number)]

    def cloud_done(self, number: int, reply: Reply, now: float) -> list[Act]:
        boxes = () if reply.error else _boxes(reply)
        answer = Answer(boxes, error=reply.error, where=CLOUD, service_seconds=reply.seconds)
        return self._acts(self.lane.cloud_done(self.job[number], answer, now), now)

    def tick(self, now: float) -> list[Act]:
        return self._acts(self.lane.tick(now), now)

    @property
    def wake_at(self) -> float | None:
        return self.lane.wake_at

    # ---- actions ----

    def _acts(self, actions: list[Action], now: float) -> list[Act]:
        acts: list[Act] = []
        if self.cameras is not None:
            self.cameras.lowering.seen(actions, now)
        for action in actions:
            match action:
                case Infer(jobs, _, size):
                    numbers = tuple(self.number[job] for job in jobs)
                    self.ran |= dict.fromkeys(numbers, size)
                    acts.append(Start(numbers, size))
                case SendUp():
                    picture = self.pictures[action.quality, action.max_side]
                    acts.append(Send(self.number[action.job], picture))
                case Release():
                    self.open_slots -= 1
                case Finish(finished):
                    acts.append(self._end(finished))
        return acts

    def _end(self, finished: Finished) -> End:
        number = self.frame[finished.tap, finished.seq]
        by = None if not finished.boxes else CLOUD if finished.where == CLOUD else self.ran[number]
        return End(number, finished.outcome, by)


class Lowered:
    """Cameras that give as many frames as the lane keeps up with, as the board asks for them."""

    def __init__(self, lane: Lane, taps: Sequence[Tap], rate: float) -> None:
        self.lowering = Lowering(lane, 0.0)
        self.rates = {tap.camera: rate for tap in taps}
        self.pacers: list[Pacer | None] = [None for _ in taps]  # None: it gives all

    def gives(self, camera: int, now: float) -> bool:
        """Does the camera give the frame of now?"""
        if self.lowering.due(now):
            self.lowering.step(self.rates, now)
            self.pacers = [self._paced(*each) for each in zip(self.rates, self.pacers, strict=True)]
        pacer, name = self.pacers[camera], list(self.rates)[camera]
        given = pacer is None or pacer.due(now)
        if given:
            self.lowering.moved(name)
        return given

    def _paced(self, camera: CameraName, before: Pacer | None) -> Pacer | None:
        rate = self.lowering.rates.get(camera)
        if rate is None:
            return None
        pacer = before or Pacer(rate)
        pacer.rate = rate
        return pacer


def _boxes(reply: Reply) -> tuple[Box, ...]:
    """One thing in the picture. What it is called tells whether two answers agree."""
    return (Box(0.25, 0.25, 0.75, 0.75, reply.confidence, f"thing-{reply.label}"),)
