"""Who is asking, and whether they may: the dependency every router but sign-in and enrolment has.

An API token in `Authorization: Bearer`, or the session cookie. A request that changes something and comes with the
cookie must come from a page of ours: SameSite=Strict does not tell ports of one host apart, Sec-Fetch-Site and Origin
do. Nor do cookies, so the port is in the cookie's name: two control planes on one machine sign nobody out.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.requests import HTTPConnection
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from controlplane.container import Services, current
from controlplane.errors import Forbidden, Unauthenticated
from controlplane.identity import roles
from controlplane.identity.service import User

COOKIE = "longshore_session"  # on a port of its own: longshore_session_8443
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_bearer = HTTPBearer(auto_error=False, description="An API token: lsk_…")


def cookie_name(request: HTTPConnection) -> str:
    port = request.headers.get("host", "").rpartition(":")[2]
    return f"{COOKIE}_{port}" if port.isdecimal() else COOKIE


class _SessionCookie(APIKeyCookie):
    async def __call__(self, request: HTTPConnection) -> str | None:
        return request.cookies.get(cookie_name(request))


_cookie = _SessionCookie(name=COOKIE, auto_error=False, description="A signed-in browser; the port is in the name")

Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
Cookie = Annotated[str | None, Depends(_cookie)]
Current = Annotated[Services, Depends(current)]


def require_user(request: Request, services: Current, bearer: Bearer, cookie: Cookie) -> User:
    """Whoever asks, who may do this. Left on `request.state.user`. Raises Unauthenticated, Forbidden."""
    user = _known(request, services, bearer, cookie)
    roles.check(user.role, request.method, request.url.path, user.who)
    request.state.user = user
    return user


def _known(
    request: Request, services: Services, bearer: HTTPAuthorizationCredentials | None, cookie: str | None
) -> User:
    if bearer is not None:
        return services.identity.user_of_bearer(bearer.credentials)
    if cookie:
        check_origin(request)
        return services.identity.user_of_session(cookie)
    raise Unauthenticated("say who you are: send an API token as 'Authorization: Bearer', or sign in in the browser")


def check_origin(request: Request) -> None:
    """Raises Forbidden for a change that another site's page asks for.

    A form of ours comes with Origin "null", since our pages tell nobody where they are; Sec-Fetch-Site vouches for it.
    """
    origin = request.headers.get("origin")
    if request.method in _SAFE or origin is None or request.headers.get("sec-fetch-site") == "same-origin":
        return
    if urlsplit(origin).netloc != request.headers.get("host"):
        raise Forbidden("this request comes from a page of another site; use the control plane's own page")
