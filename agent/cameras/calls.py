"""Questions to capture workers that wait for their answer: each gets one, or Retryable, within ANSWER_SECONDS."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass

from msgspec import structs

from agent.cameras.group import Group
from agent.cameras.messages import Encoded, Question
from protos.errors import Retryable

ANSWER_SECONDS = 2.0


@dataclass(frozen=True)
class _Call:
    answer: asyncio.Future[Encoded]
    group: Group


class Calls:
    """Those under way."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._open: dict[int, _Call] = {}

    async def ask(self, group: Group, question: Question) -> Encoded:
        """The answer to a question, whose call number is given here. Raises Retryable."""
        number = next(self._numbers)
        call = self._open[number] = _Call(asyncio.get_running_loop().create_future(), group)
        try:
            if not group.post(structs.replace(question, call=number)):
                raise Retryable("the camera's capture worker is being restarted")
            async with asyncio.timeout(ANSWER_SECONDS):
                return await call.answer
        except TimeoutError:
            raise Retryable(f"the capture worker gave no picture within {ANSWER_SECONDS:g} s") from None
        finally:
            self._open.pop(number, None)

    def answer(self, number: int, answer: Encoded | Retryable) -> None:
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
