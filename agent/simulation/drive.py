"""Plays one world to one contender, in virtual time, and writes down what came of each frame.

The driver knows the rules and trusts nobody: a call too many, an answer that was never given, a frame ended twice or
not at all, a timer that stands still are errors of the contender, not results.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from agent.simulation.contender import (
    CLOUD,
    NOT_GIVEN,
    Act,
    CallOff,
    Contender,
    End,
    NotGiven,
    Offer,
    Reply,
    Send,
    Start,
)
from agent.simulation.links import Sending
from agent.simulation.world import World
from protos.outcomes import IN_TIME

ENCODE_SECONDS = 0.0015
PATIENCE = 0.5  # seconds after the deadline for which somebody still listens to the cloud
STANDS_STILL = 1000  # ticks at one moment


class BrokenRule(Exception):
    """What the contender did that nobody may."""


@dataclass
class Fate:
    """What came of a frame. `at`: seconds; `by`: whose answer, if any."""

    outcome: str = ""
    by: str | None = None
    at: float = 0.0
    begun: bool = False  # a call or a transfer was spent on it
    answers: set[str] = field(default_factory=set)
    picture: int = 0


@dataclass
class Played:
    """`sent`: when a picture was given to the link, and its bits. `calls`: when one began, its seconds, its size."""

    fates: list[Fate]
    sent: list[tuple[float, float]] = field(default_factory=list)
    passed_bits: float = 0.0
    calls: list[tuple[float, float, str]] = field(default_factory=list)
    served: float = 0.0  # seconds of the cloud
    deciding: list[float] = field(default_factory=list)  # thread CPU seconds of each event
    told: list[tuple[float, int, str]] = field(default_factory=list)  # when, frame, what: only where asked for


def play(world: World, contender: Contender, *, telling: bool = False) -> Played:
    return _Play(world, contender, telling=telling).run()


class _Play:
    def __init__(self, world: World, contender: Contender, *, telling: bool) -> None:
        self.world, self.contender, self.telling = world, contender, telling
        self.played = Played([Fate() for _ in range(world.frames)])
        self.sizes = {size.name: (place, size.seconds) for place, size in enumerate(world.scenario.sizes)}
        self.running = 0
        self.seqs: Counter[int] = Counter()
        self.link = Sending(world.trace)
        self.order = itertools.count()
        self.due: list[tuple[float, int, Callable[[float], list[Act]]]] = []
        self.stood = 0

    def run(self) -> Played:
        """Until all frames have arrived, and nothing is due any more."""
        now, arrived = 0.0, 0
        captured = self.world.captured.tolist()
        while True:
            arrival = captured[arrived] if arrived < len(captured) else float("inf")
            event = self.due[0][0] if self.due else float("inf")
            wake = self.contender.wake_at
            wake = float("inf") if wake is None else max(now, wake)
            soonest = min(arrival, event, wake)
            if soonest == float("inf"):
                break
            self._moves(now, soonest)
            now = soonest
            if event == now:
                self._act(heapq.heappop(self.due)[2](now), now)
            elif arrival == now:
                self._act(self._arrive(arrived, now), now)
                arrived += 1
            else:
                self._act(self._timed(partial(self.contender.tick, now)), now)
        self._all_ended()
        return self.played

    def _moves(self, now: float, soonest: float) -> None:
        self.stood = self.stood + 1 if soonest == now else 0
        if self.stood > STANDS_STILL:
            raise BrokenRule(f"time stands still at {now:.3f} s: `wake_at` asks for a tick that changes nothing")

    def _timed(self, ask: Callable[[], list[Act]]) -> list[Act]:
        began = time.thread_time()
        acts = ask()
        self.played.deciding.append(time.thread_time() - began)
        return acts

    def _arrive(self, number: int, now: float) -> list[Act]:
        world = self.world
        camera = int(world.camera[number])
        deadline, value = float(world.deadline[number]), float(world.value[number])
        self._say(now, number, f"camera {camera}: a frame, due at {deadline:.3f} s")
        offer = Offer(number, camera, self._seq(camera), now, world.unix_ns(now), deadline, value)
        return self._timed(lambda: self.contender.arrive(offer, now))

    def _seq(self, camera: int) -> int:
        self.seqs[camera] += 1
        return self.seqs[camera]

    def _act(self, acts: list[Act], now: float) -> None:
        for act in acts:
            match act:
                case Start():
                    self._start(act, now)
                case Send():
                    self._send(act, now)
                case End():
                    self._end(act, now)
                case NotGiven():
                    self._not_given(act.number, now)

    def _after(self, at: float, happens: Callable[[float], list[Act]]) -> None:
        heapq.heappush(self.due, (at, next(self.order), happens))

    # ---- on the box ----

    def _start(self, start: Start, now: float) -> None:
        world, (place, usual) = self.world, self.sizes[start.size]
        if self.running >= world.scenario.width:
            raise BrokenRule(f"a call too many at {now:.3f} s: {world.scenario.width} may run at once")
        crowded = world.scenario.interference if self.running else 1.0
        alone = sum(usual * float(world.times[number, place]) for number in start.numbers)
        seconds = alone * world.slowness(now) * crowded
        self.running += 1
        self.played.calls.append((now, seconds, start.size))
        for number in start.numbers:
            self._open(number, now)
            self._say(now, number, f"{start.size} begins")
        self._after(now + seconds, lambda at: self._local_done(start, place, seconds, at))

    def _local_done(self, start: Start, place: int, seconds: float, now: float) -> list[Act]:
        self.running -= 1
        replies = [self._reply(number, place, seconds) for number in start.numbers]
        for number, reply in zip(start.numbers, replies, strict=True):
            self.played.fates[number].answers.add(start.size)
            self._say(now, number, f"{start.size} answers, {reply.confidence:.2f} sure")
        return self._timed(lambda: self.contender.local_done(start.numbers, replies, now))

    def _reply(self, number: int, place: int, seconds: float) -> Reply:
        """Wrong answers differ from the right one and from each other's."""
        label = 0 if self.world.right[number, place] else 1 + place
        return Reply(label, float(self.world.confidence[number, place]), seconds)

    # ---- up ----

    def _send(self, send: Send, now: float) -> None:
        self._open(send.number, now)
        self._say(now, send.number, f"encoded to go up ({self.world.scenario.pictures[send.picture].nbytes} bytes)")
        self.played.fates[send.number].picture = send.picture
        self._after(now + ENCODE_SECONDS, lambda at: self._encoded(send, at))

    def _encoded(self, send: Send, now: float) -> list[Act]:
        """What its contender says to that counts before its first bit."""
        nbytes = self.world.scenario.pictures[send.picture].nbytes
        acts = self._timed(lambda: self.contender.encoded(send.number, nbytes, now))
        if any(isinstance(act, CallOff) and act.number == send.number for act in acts):
            self._after(now, lambda at: self._cloud_done(send, "called off", at))
            return acts
        self.played.sent.append((now, nbytes * 8.0))
        give_up = float(self.world.deadline[send.number]) + PATIENCE
        lost = self.world.lost(send.number, nbytes, self.world.trace.at(now).loss)
        there, passed = self.link.send(nbytes * 8.0, now, give_up, lost)
        self.played.passed_bits += passed
        self._await(send, there, lost, give_up)
        return acts

    def _await(self, send: Send, there: float | None, lost: int, give_up: float) -> None:
        answered, service = float("inf"), 0.0
        if there is not None:
            rtt = self.world.trace.at(there).rtt
            service = self.world.service(there)
            self.played.served += service
            answered = there + service + rtt * (1 + lost) + float(self.world.jitter[send.number])
        if answered <= give_up:
            self._after(answered, lambda at: self._cloud_done(send, "", at, service))
        else:
            self._after(give_up, lambda at: self._cloud_done(send, "no answer in time", at))

    def _cloud_done(self, send: Send, error: str, now: float, service: float = 0.0) -> list[Act]:
        """`service`: seconds that the node took for this frame, however long it takes for one by now."""
        place = len(self.sizes) + send.picture
        label = 0 if self.world.right[send.number, place] else 1 + place
        reply = Reply(error=error) if error else Reply(label, 1.0, service)
        if not error:
            self.played.fates[send.number].answers.add(CLOUD)
        self._say(now, send.number, f"cloud: {error}" if error else "the cloud answers")
        return self._timed(lambda: self.contender.cloud_done(send.number, reply, now))

    # ---- ends ----

    def _open(self, number: int, now: float) -> None:
        self.played.fates[number].begun = True
        if now < self.world.captured[number]:
            raise BrokenRule(f"frame {number} is not there yet at {now:.3f} s")

    def _end(self, end: End, now: float) -> None:
        fate = self.played.fates[end.number]
        if fate.outcome:
            raise BrokenRule(f"frame {end.number} ended twice: {fate.outcome}, then {end.outcome}")
        if end.by is not None and end.by not in fate.answers:
            raise BrokenRule(f"frame {end.number} ends by an answer of {end.by}, which gave none")
        late = now > self.world.deadline[end.number] + 1e-9
        if end.outcome in IN_TIME and (late or end.by is None):
            raise BrokenRule(f"frame {end.number} is called {end.outcome} at {now:.3f} s, late or without an answer")
        fate.outcome, fate.by, fate.at = end.outcome, end.by, now
        self._say(now, end.number, f"ends: {end.outcome}" + (f" by {end.by}" if end.by else ""))

    def _not_given(self, number: int, now: float) -> None:
        fate = self.played.fates[number]
        if self.world.scenario.floor is None or fate.outcome or fate.begun or now > self.world.captured[number]:
            raise BrokenRule(f"frame {number} is said not to be given at {now:.3f} s, and it was")
        fate.outcome, fate.at = NOT_GIVEN, now
        self._say(now, number, "not taken: its camera gives fewer")

    def _all_ended(self) -> None:
        open_still = [number for number, fate in enumerate(self.played.fates) if not fate.outcome]
        if open_still:
            raise BrokenRule(f"{len(open_still)} frames never ended, frame {open_still[0]} the first of them")

    def _say(self, now: float, number: int, what: str) -> None:
        if self.telling:
            self.played.told.append((now, number, what))
