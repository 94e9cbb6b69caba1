"""Background tasks of the agent: named, guarded, owned.

An eternal task that returns or raises is a bug and ends the process with its name in the log; nothing dies silently.
Shutdown cancels all, waits a bounded time, and names those that still hang.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

STEP_SECONDS = 3.0  # of a shutdown, each


def cancelled() -> bool:
    """In an `except CancelledError`: is the running task being cancelled, and not just what it waited for?

    Closing a gRPC channel cancels the calls on it; to their callers that is a broken wire and not an order to end.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking call beside the loop. Cancelling waits for it: it cannot be stopped half-way."""
    running = asyncio.ensure_future(asyncio.to_thread(call, *args, **kwargs))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        running.exception()  # looked at: nobody waits for it any more
        raise


async def first_of(*waits: Awaitable[object]) -> None:
    """Until one of these ends; the others are cancelled, and have ended as well. Raises what any of them raised."""
    running = {asyncio.ensure_future(wait) for wait in waits}
    try:
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in running:
            wait.cancel()
        await asyncio.wait(running)
    for wait in running:
        if not wait.cancelled():
            wait.result()


async def bounded(name: str, step: Callable[[], object]) -> None:
    """One step of a shutdown: at most STEP_SECONDS, and its failure is only logged."""
    try:
        async with asyncio.timeout(STEP_SECONDS):
            result = step()
            if asyncio.iscoroutine(result):
                await result
    except Exception:  # a supervised root: the other steps must still happen
        log.exception("shutdown: %s did not end well", name)


class Tasks:
    """A group of tasks with one owner."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failed: asyncio.Future[str] | None = None

    def eternal(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work`, which must not end before the group is stopped."""
        task = self._start(name, work)
        task.add_done_callback(self._ended)
        return task

    def once(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` to its end; a failure is logged with the task's name."""
        task = self._start(name, work)
        task.add_done_callback(self._report)
        return task

    async def failure(self) -> str:
        """Wait until an eternal task ended by itself; its name."""
        if self._failed is None:
            self._failed = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._failed)

    async def stop(self, grace_seconds: float = 3.0) -> list[str]:
        """Cancel everything; the names of tasks that did not end within the grace."""
        tasks = list(self._tasks)
        for task in tasks:
            task.remove_done_callback(self._ended)
            task.cancel()
        if not tasks:
            return []
        _, hanging = await asyncio.wait(tasks, timeout=grace_seconds)
        for task in hanging:
            log.error("task %s did not stop within %.0f s", task.get_name(), grace_seconds)
        return [task.get_name() for task in hanging]

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _report(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and task.exception() is not None:
            log.error("task %s failed", task.get_name(), exc_info=task.exception())

    def _ended(self, task: asyncio.Task[Any]) -> None:
        """Not called for what `stop` cancels: who else cancels an eternal task has ended it."""
        self._report(task)
        if self._failed is None:
            self._failed = asyncio.get_running_loop().create_future()
        if not self._failed.done():
            self._failed.set_result(task.get_name())
