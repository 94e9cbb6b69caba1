"""HTTP of the page: itself, its event stream, its pictures. Signed-in browsers only, except for style and script.

The event stream tells three things: `values` (what changed, all of it at first), `pictures` (the number of the newest
picture of each camera that has a new one) and `shape` (what the page was rendered for; it fetches itself again when
that changes). It ends when the browser goes, which comes back by itself, or within RECHECK_SECONDS of the moment its
session or API token stops being good: an open stream must not outlive what opened it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, select_autoescape

from controlplane.container import Services
from controlplane.errors import NotFound, Unauthenticated
from controlplane.fleet.looking import Looking
from controlplane.identity.access import Bearer, Cookie, Current, require_user
from controlplane.ui.board import LEGEND, SLOW_DOWN, Board, Value, changed
from controlplane.ui.live import Live, Snapshots, snapshot
from protos import ids
from protos.errors import Retryable

FOLDER = Path(__file__).parent
PICTURE_SECONDS = 0.1  # between two looks for new pictures: above what a camera here gives
VALUES_SECONDS = 1.0
RECHECK_SECONDS = 30.0  # between two looks whether who reads the stream may still do so
MOST_LOOKED_AT = 64  # cameras one page may ask for at once
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
PICTURE_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

router = APIRouter(include_in_schema=False)
stream_router = APIRouter(prefix="/api/v1", tags=["insights"], dependencies=[Depends(require_user)])
_templates = Environment(
    loader=FileSystemLoader(FOLDER / "templates"),
    autoescape=select_autoescape(),
    trim_blocks=True,
    lstrip_blocks=True,
)
_USER = [Depends(require_user)]


def add_page(app: FastAPI, services: Services) -> None:
    """The page and what it needs."""
    app.state.live = Live(Snapshots(services).take)
    app.include_router(router)
    app.include_router(stream_router)
    app.mount("/ui/static", StaticFiles(directory=FOLDER / "static"), name="static")


def render(board: Board, base_url: str) -> str:
    values: dict[str, Any] = {"board": board, "v": board.values, "legend": LEGEND, "slow_down": SLOW_DOWN}
    return _templates.get_template("board.html").render(**values, base_url=base_url)


@router.get("/", response_class=HTMLResponse)
def page(request: Request, services: Current, bearer: Bearer, cookie: Cookie) -> Response:
    try:
        require_user(request, services, bearer, cookie)
    except Unauthenticated:
        return RedirectResponse("/signin", 303, headers={"Cache-Control": "no-store"})
    board = snapshot(services)
    return HTMLResponse(render(board, services.config.base_url), headers=HEADERS)


@router.post("/ui/look", status_code=204, dependencies=_USER)
def look(services: Current, camera: Annotated[list[str], Query(max_length=MOST_LOOKED_AT)]) -> None:
    """These cameras are on somebody's screen now."""
    for name in camera:
        try:
            services.fleet.look_at_camera(name)
        except NotFound:
            continue  # deleted a moment ago: the page will hear of it


@router.get("/ui/pictures/{camera}", dependencies=_USER)
def picture(camera: str, services: Current) -> Response:
    """The newest, whatever number was asked for; 204 without one, which no browser calls an error."""
    newest = services.looking.picture(ids.camera_name(camera))
    if newest is None:
        return Response(status_code=204)
    return Response(newest.jpeg, media_type="image/jpeg", headers=PICTURE_HEADERS)


@stream_router.get(
    "/events/stream",
    summary="What the page shows, as server-sent events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def stream(request: Request, services: Current, bearer: Bearer, cookie: Cookie) -> StreamingResponse:
    admit = partial(require_user, request, services, bearer, cookie)
    events = EventStream(request.app.state.live, services.looking, admit).events()
    return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


class EventStream:
    """What one open page knows, and what it has to be told. `admit` raises Unauthenticated once it may know no more."""

    def __init__(
        self,
        live: Live,
        looking: Looking,
        admit: Callable[[], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._live = live
        self._looking = looking
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
                for event in self._news(await self._live.board()):
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
                await asyncio.to_thread(self._admit)
        except Unauthenticated:
            return False
        return True

    def _news(self, board: Board | None) -> list[str]:
        if board is None:
            return []
        news = [_event("values", changed(self._values, board.values))]
        if board.shape != self._shape:
            news.insert(0, _event("shape", board.shape))
        self._shape, self._values = board.shape, board.values
        self._cameras = tuple(card.name for card in board.cameras)
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
