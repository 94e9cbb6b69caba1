"""HTTP of the pages: themselves, their event stream, their pictures. Signed-in browsers only, except for style and
script.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles

from controlplane.container import Services
from controlplane.errors import NotFound, Unauthenticated
from controlplane.fleet.routes import PICTURE_HEADERS
from controlplane.identity import roles
from controlplane.identity.access import Bearer, Cookie, Current, require_user
from controlplane.identity.roles import Role
from controlplane.identity.service import User
from controlplane.ui import (
    access_pages,
    applying,
    deployment_pages,
    event_pages,
    fleet_pages,
    registry_pages,
    run_pages,
    telemetry_pages,
)
from controlplane.ui.live import LiveViews
from controlplane.ui.shell import FOLDER, HEADERS, Pages, render
from controlplane.ui.stream import EventStream
from protos import ids

MOST_LOOKED_AT = 64  # cameras one page may ask for at once
PAGES = Pages(
    (
        *fleet_pages.PAGES,
        *deployment_pages.PAGES,
        *registry_pages.PAGES,
        *run_pages.PAGES,
        *event_pages.PAGES,
        *telemetry_pages.PAGES,
        *access_pages.PAGES,
        *applying.PAGES,
    )
)

router = APIRouter(include_in_schema=False)
stream_router = APIRouter(prefix="/api/v1", tags=["insights"], dependencies=[Depends(require_user)])
_USER = [Depends(require_user)]
Address = Annotated[str, Query(max_length=2000, description="path and query of the page that is open")]


def add_pages(app: FastAPI, services: Services) -> None:
    """The pages and what they need."""
    app.state.live = LiveViews(partial(PAGES.maker, services))
    app.include_router(router)
    app.include_router(deployment_pages.router)
    app.include_router(applying.router)
    app.include_router(stream_router)
    for path in PAGES.paths:
        app.add_api_route(path, page, include_in_schema=False, response_class=HTMLResponse)
    app.mount("/ui/static", StaticFiles(directory=FOLDER / "static"), name="static")


def page(request: Request, services: Current, bearer: Bearer, cookie: Cookie) -> Response:
    """Any of them: the address decides."""
    try:
        user = require_user(request, services, bearer, cookie)
    except Unauthenticated:
        return RedirectResponse("/signin", 303, headers={"Cache-Control": "no-store"})
    view = PAGES.maker(services, f"{request.url.path}?{request.url.query}")()
    return HTMLResponse(render(view, services.config.base_url, user.role), headers=HEADERS)


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
    summary="What a page shows, as server-sent events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def stream(
    request: Request, services: Current, bearer: Bearer, cookie: Cookie, page: Address = "/"
) -> StreamingResponse:
    PAGES.maker(services, page)
    admit = partial(_admitted, request, services, bearer, cookie, urlsplit(page).path)
    role = _checked(request.state.user, urlsplit(page).path)
    events = _events(request.app.state.live, page, services, role, admit)
    return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def _admitted(request: Request, services: Services, bearer: Bearer, cookie: Cookie, path: str) -> Role:
    """Whoever reads the stream may see the page it is of, and in which role. Raises Unauthenticated, Forbidden."""
    return _checked(require_user(request, services, bearer, cookie), path)


def _checked(user: User, path: str) -> Role:
    roles.check(user.role, "GET", path, user.who)
    return user.role


async def _events(
    views: LiveViews, address: str, services: Services, role: Role, admit: Callable[[], Role]
) -> AsyncIterator[str]:
    with views.reading(address) as live:
        async for event in EventStream(live, services.looking, role, admit).events():
            yield event
