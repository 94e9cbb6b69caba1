"""The doors of all engines, acted on: who is to wait waits here, and who is turned away hears it at once.

A door decides (agent.door); this keeps the callers who wait, tells the door what calls took, and gives a place back
however its request ended: an answer, an error, a caller who left. While an engine has room and one site asks, a request
passes without waiting for anything.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol
from weakref import finalize, ref

import msgspec

from agent.door.asked import USUAL, Action, Asked, Begin, Turned
from agent.door.door import Door
from agent.door.shares import SHARES, Partition, Shares
from agent.errors import TurnedAway
from agent.offload.cost import CostLine
from agent.ports import Engine, Tensor
from protos.errors import LongshoreError

LEARN_SECONDS = 0.02  # between calls that a door is told of: calls are often shorter than learning from them
UNKNOWN_SECONDS = 0.05  # of a call, where nothing was measured
Infer = Callable[..., Awaitable[list[Tensor]]]


class Wish(msgspec.Struct, frozen=True):
    """How a request is to be run; `deadline` in monotonic seconds, infinite for none."""

    site: str
    partition: Partition
    deadline: float = math.inf
    priority: int = 0
    rows: int = 1


class Ran(msgspec.Struct, frozen=True):
    """An answer; seconds at the door and in the engine."""

    tensors: list[Tensor]
    waited: float
    service: float


class Passage(Protocol):
    """The way to one engine."""

    async def run(self, wish: Wish, infer: Infer, words: tuple[Any, ...]) -> Ran:
        """`infer(*words)` when its turn has come. Raises TurnedAway, and what `infer` raises."""
        ...

    def check(self, wish: Wish) -> None:
        """Raises TurnedAway where `run` would now."""
        ...


class Admission(Protocol):
    def to(self, engine: Engine) -> Passage: ...


class NoDoor:
    """Everybody goes to the engine at once."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._now = monotonic

    def to(self, engine: Engine) -> Passage:  # noqa: ARG002 - one for all
        return self

    async def run(self, wish: Wish, infer: Infer, words: tuple[Any, ...]) -> Ran:  # noqa: ARG002 - as all are run
        began = self._now()
        tensors = await infer(*words)
        return Ran(tensors, 0.0, self._now() - began)

    def check(self, wish: Wish) -> None: ...


class Doors:
    """A door for each engine that was asked; it goes with its engine."""

    def __init__(self, monotonic: Callable[[], float], shares: Shares = SHARES) -> None:
        self._now = monotonic
        self._shares = shares
        self._gates: dict[int, Gate] = {}  # by the engine's id: looked up at each request, where weak keys take a while

    def waiting(self, engine: Engine) -> int:
        """How many wait for it."""
        return len(self.to(engine))

    def sites(self, engine: Engine) -> set[str]:
        """Who asked for it lately."""
        return self.to(engine).sites

    def to(self, engine: Engine) -> Gate:
        """See Admission."""
        gate = self._gates.get(id(engine))
        if gate is None:
            gate = self._gates[id(engine)] = Gate(engine, self._now, self._shares)
            finalize(engine, self._gates.pop, id(engine), None)
        return gate


class Gate:
    """The door of one engine, and those who wait at it."""

    def __init__(self, engine: Engine, monotonic: Callable[[], float], shares: Shares) -> None:
        cost = CostLine(list(engine.profile) or [(1, UNKNOWN_SECONDS)])
        self._door = Door(cost, engine.width, engine.room, shares)
        self._promised, self._tally = engine.promised, engine.tally
        self._engine = ref(engine)  # its gate goes with it
        self._now = monotonic
        self._waiting: dict[int, tuple[Asked, asyncio.Future[Turned | None]]] = {}
        self._last = 0  # number
        self._learns_at = 0.0

    def __len__(self) -> int:
        return len(self._door)

    @property
    def sites(self) -> set[str]:
        return set(self._door.sites)

    async def run(self, wish: Wish, infer: Infer, words: tuple[Any, ...]) -> Ran:
        """See Passage."""
        now = self._now()
        pace = self._door.step_in(wish.partition, wish.site, wish.deadline, now) if wish.rows == 1 else None
        if pace is None:
            return await self._run_asked(self._asked(wish, now), infer, words)
        try:
            tensors = await infer(*words)
        except BaseException:
            self._act(self._door.step_out(pace, self._now()))
            raise
        ended = self._now()
        if ended >= self._learns_at:
            self._learn(1, ended)
        if actions := self._door.step_out(pace, ended):
            self._act(actions)
        return Ran(tensors, 0.0, ended - now)

    def check(self, wish: Wish) -> None:
        """See Passage."""
        turned = self._door.would_turn_away(self._asked(wish, self._now()), self._now())
        if turned is not None:
            raise self._error(turned)

    async def _run_asked(self, asked: Asked, infer: Infer, words: tuple[Any, ...]) -> Ran:
        self._promised.one_more()
        try:
            await self._turn(asked)
            began = self._now()
            try:
                tensors = await infer(*words)
            except BaseException:
                self._act(self._door.step_out(asked.pace, self._now()))
                raise
            ended = self._now()
            if ended >= self._learns_at:
                self._learn(asked.rows, ended)
            self._act(self._door.ended(asked, ended))
            waited = began - asked.arrived if asked.foretold else 0.0
            self._tally.held(waited)
            return Ran(tensors, waited, ended - began)
        finally:
            self._promised.one_less()

    async def _turn(self, asked: Asked) -> None:
        """Wait for it. Raises TurnedAway."""
        turn: asyncio.Future[Turned | None] = asyncio.get_running_loop().create_future()
        self._waiting[asked.number] = asked, turn
        try:
            self._act(self._door.arrive(asked, asked.arrived))
            turned = await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._door.leave(asked.number)
            elif turn.result() is None:  # it came in the very moment in which he left
                self._act(self._door.step_out(asked.pace, self._now()))
            raise
        finally:
            del self._waiting[asked.number]
        if turned is not None:
            raise self._error(turned)

    def _act(self, actions: Sequence[Action]) -> None:
        for action in actions:
            asked, turn = self._waiting[action.number]
            if not turn.done():
                turn.set_result(None if isinstance(action, Begin) else action)
            elif isinstance(action, Begin):  # he has left, and has not come to say so yet
                self._act(self._door.step_out(asked.pace, self._now()))

    def _learn(self, rows: int, now: float) -> None:
        self._learns_at = now + LEARN_SECONDS
        self._door.learn(rows, self._tally.newest, now)
        engine = self._engine()
        self._door.room = engine.room if engine is not None else 1

    def _asked(self, wish: Wish, now: float) -> Asked:
        self._last += 1
        return Asked(self._last, wish.partition, wish.site, now, wish.deadline, wish.priority or USUAL, wish.rows)

    def _error(self, turned: Turned) -> LongshoreError:
        return TurnedAway(
            f"no answer in time: {len(self._door)} requests wait, and the next would begin in {turned.wait * 1e3:.0f}"
            " ms; ask another node, or this one again then",
            turned.wait,
        )
