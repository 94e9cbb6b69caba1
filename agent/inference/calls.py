"""The calls a worker has not answered yet, oldest first. Each ends once: answered, or failed with its worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from agent.inference.errors import BadInput, BadModel, Expired, NotANumber
from agent.inference.messages import Failed, FromWorker, Reason
from agent.inference.regions import Lease
from agent.workers.channel import close_all
from protos.errors import Fatal, LongshoreError, Retryable

Reply = tuple[FromWorker, list[int]]
ERRORS: dict[Reason, type[LongshoreError]] = {
    Reason.INPUT: BadInput,
    Reason.MODEL: BadModel,
    Reason.NUMBER: NotANumber,
    Reason.EXPIRED: Expired,
    Reason.AGAIN: Retryable,
    Reason.BOX: Fatal,
}


class Terms(msgspec.Struct, frozen=True):
    """What holds until a call has ended, longer than its caller may wait: the worker still works on it."""

    limit: float  # seconds it may run
    rows: int = 1  # examples in it
    leases: Sequence[Lease] = ()
    ended: Callable[[], None] = lambda: None


@dataclass
class Call:
    """One question to the worker."""

    number: int
    terms: Terms
    future: asyncio.Future[Reply]

    async def answer(self) -> Reply:
        """The answer; it belongs to the caller, descriptors included, unless he is cancelled."""
        try:
            return await self.future
        except asyncio.CancelledError:
            if not self.future.cancelled() and self.future.exception() is None:
                close_all(self.future.result()[1])  # it came in the very turn of the loop in which he left
            raise

    def end(self, message: FromWorker, fds: list[int]) -> None:
        """Hand the answer over; an error of the worker's becomes one of ours."""
        self.terms.ended()
        if self.future.done():
            close_all(fds)
        elif isinstance(message, Failed):
            self.future.set_exception(ERRORS[message.reason](message.message))
        else:
            self.future.set_result((message, fds))

    def fail(self, error: LongshoreError) -> None:
        self.terms.ended()
        if not self.future.done():
            self.future.set_exception(error)


@dataclass
class Calls:
    """In flight, by number; dicts keep the order of arrival."""

    _open: dict[int, Call] = field(default_factory=dict)
    _last: int = 0

    def __len__(self) -> int:
        return len(self._open)

    def open(self, terms: Terms) -> Call:
        self._last += 1
        call = Call(self._last, terms, asyncio.get_running_loop().create_future())
        self._open[call.number] = call
        return call

    def settle(self, number: int) -> Call | None:
        """Take the call out; None when it is not there."""
        return self._open.pop(number, None)

    @property
    def oldest(self) -> Call | None:
        return next(iter(self._open.values()), None)

    def fail_all(self, message: str) -> None:
        """The worker is gone: everything in flight may be tried again."""
        calls, self._open = self._open, {}
        for call in calls.values():
            call.fail(Retryable(message, after_seconds=0.5))

    async def drained(self) -> None:
        """Wait until all have ended."""
        if self._open:
            await asyncio.wait([call.future for call in self._open.values()])
