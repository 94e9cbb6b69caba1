"""The event stream of one open page.

It tells four things: `values` (what changed, all of it at first), `pictures` (the number of the newest picture of each
camera that has a new one), `shape` (what the page was rendered for; it fetches itself again when that changes) and
`gone` (what the page was about is deleted). It ends when the browser goes, which comes back by itself, or within
RECHECK_SECONDS of the moment its session or API token stops being good: an open stream must not outlive what opened it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress

from controlplane.errors import Forbidden, NotFound, Unauthenticated
from controlplane.fleet.looking import Looking
from controlplane.identity.roles import Role
from controlplane.ui.live import Live
from controlplane.ui.page import Value, View, changed
from controlplane.ui.shell import shape_for
from protos import ids
from protos.errors import Retryable

PICTURE_SECONDS = 0.1  # between two looks for new pictures: above what a camera here gives
VALUES_SECONDS = 1.0
RECHECK_SECONDS = 30.0  # between two looks whether who reads the stream may still do so


class EventStream:
    """What one open page knows, and what it has to be told. `role`: of who reads it; `admit` tells it anew, and raises
    Unauthenticated or Forbidden when they may know no more."""

    def __init__(
        self,
        live: Live,
        looking: Looking,
        role: Role,
        admit: Callable[[], Role],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._live = live
        self._looking = looking
        self._role = role
        self._admit = admit
        self._clock = clock
        self._recheck_at = clock() + RECHECK_SECONDS
        self._shape = ""
        self._values: Mapping[str, Value] = {}
        self._numbers: dict[str, int] = {}  # camera -> newest picture told
        self._cameras: tuple[str, ...] = ()

    async def events(self) -> AsyncIterator[str]:
        """Until the browser goes or is no longer let in."""
        values_at = self._clock()
        while await self._may_read():
            if self._clock() >= values_at:
                values_at = self._clock() + VALUES_SECONDS
                for event in await self._told():
                    yield event
            if fresh := self._fresh():
                yield _event("pictures", fresh)
            await asyncio.sleep(PICTURE_SECONDS)
            await self._looking.changed(max(0.0, values_at - self._clock()))

    async def _may_read(self) -> bool:
        """Looks every RECHECK_SECONDS; while the database is away, who was let in stays."""
        if self._clock() < self._recheck_at:
            return True
        self._recheck_at = self._clock() + RECHECK_SECONDS
        try:
            with suppress(Retryable):
                self._role = await asyncio.to_thread(self._admit)
        except (Unauthenticated, Forbidden):
            return False
        return True

    async def _told(self) -> list[str]:
        try:
            return self._news(await self._live.view())
        except NotFound as error:
            self._shape = ""
            return [_event("gone", str(error))]

    def _news(self, view: View | None) -> list[str]:
        if view is None:
            return []
        news = [_event("values", changed(self._values, view.values))]  # an empty one keeps proxies awake
        shape = shape_for(view, self._role)
        if shape != self._shape:
            news.insert(0, _event("shape", shape))
        self._shape, self._values = shape, view.values
        self._cameras = view.cameras
        return news

    def _fresh(self) -> dict[str, int]:
        """Cameras with a picture newer than what this page was told."""
        fresh = {}
        for name in self._cameras:
            newest = self._looking.picture(ids.camera_name(name), self._numbers.get(name, 0))
            if newest is not None:
                fresh[name] = newest.number
        self._numbers.update(fresh)
        return fresh


def _event(kind: str, data: object) -> str:
    return f"event: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"
