"""Questions to capture workers that wait for their answer: each gets one, or Retryable, within ANSWER_SECONDS."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from agent.cameras.group import Group
from protos.errors import Retryable

ANSWER_SECONDS = 2.0


@dataclass(frozen=True)
class _Call:
    answer: asyncio.Future[bytes]
    group: Group


class Calls:
    """Those under way."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._open: dict[int, _Call] = {}

    async def ask(self, group: Group, message: Callable[[int], msgspec.Struct]) -> bytes:
        """Send the message made for a call number; the bytes that come back. Raises Retryable."""
        number = next(self._numbers)
        call = self._open[number] = _Call(asyncio.get_running_loop().create_future(), group)
        try:
            if not group.post(message(number)):
                raise Retryable("the camera's capture worker is being restarted")
            async with asyncio.timeout(ANSWER_SECONDS):
                return await call.answer
        except TimeoutError:
            raise Retryable(f"the capture worker gave no picture within {ANSWER_SECONDS:g} s") from None
        finally:
            self._open.pop(number, None)

    def answer(self, number: int, answer: bytes | Retryable) -> None:
        """An answer to a call that nobody waits for any more is dropped."""
        call = self._open.get(number)
        if call is None or call.answer.done():
            return
        if isinstance(answer, Retryable):
            call.answer.set_exception(answer)
        else:
            call.answer.set_result(answer)

    def fail(self, group: Group | None, why: str) -> None:
        """All calls to this worker, or all there are."""
        for number, call in list(self._open.items()):
            if group is None or call.group is group:
                self.answer(number, Retryable(why))
