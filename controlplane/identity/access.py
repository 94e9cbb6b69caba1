"""Who is asking: the dependency every router but sign-in and enrolment has.

An API token in `Authorization: Bearer`, or the session cookie. A request that changes something and comes with the
cookie must come from a page of ours: SameSite=Strict does not tell ports of one host apart, the Origin header does.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from controlplane.container import Services, current
from controlplane.errors import Forbidden, Unauthenticated
from controlplane.identity.service import User

COOKIE = "longshore_session"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_bearer = HTTPBearer(auto_error=False, description="An API token: lsk_…")
_cookie = APIKeyCookie(name=COOKIE, auto_error=False, description="A signed-in browser")

Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
Cookie = Annotated[str | None, Depends(_cookie)]
Current = Annotated[Services, Depends(current)]


def require_user(request: Request, services: Current, bearer: Bearer, cookie: Cookie) -> User:
    """Raises Unauthenticated, Forbidden."""
    if bearer is not None:
        return services.identity.user_of_bearer(bearer.credentials)
    if cookie:
        _check_origin(request)
        return services.identity.user_of_session(cookie)
    raise Unauthenticated("say who you are: send an API token as 'Authorization: Bearer', or sign in in the browser")


def _check_origin(request: Request) -> None:
    origin = request.headers.get("origin")
    if request.method in _SAFE or origin is None:
        return
    if urlsplit(origin).netloc != request.headers.get("host"):
        raise Forbidden("this request comes from a page of another site; use the control plane's own page")
