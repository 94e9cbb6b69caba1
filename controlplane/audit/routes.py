"""HTTP of the audit: the list, and the middleware that writes down what was taken."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from controlplane.audit import domain, schemas
from controlplane.audit.service import AuditService
from controlplane.identity.access import Current, require_user
from controlplane.insights.domain import moment_ms
from controlplane.schemas import REFUSALS

router = APIRouter(prefix="/api/v1", tags=["audit"], dependencies=[Depends(require_user)], responses=REFUSALS)


@router.get("/audit", summary="Who changed what, newest first")
def audit(
    services: Current,
    since: Annotated[str, Query(max_length=40)] = "24h",
    who: Annotated[str, Query(max_length=63)] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> schemas.AuditList:
    after = moment_ms(since, services.audit.now_ms, "since")
    return schemas.AuditList(items=[schemas.entry(row) for row in services.audit.newest(after, who, limit)])


class WrittenDown:
    """ASGI middleware: what a known user changed, once the answer says that it was taken."""

    def __init__(self, app: ASGIApp, audit: AuditService) -> None:
        self._app = app
        self._audit = audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in domain.VERBS:
            await self._app(scope, receive, send)
            return
        taken: tuple[str, str] | None = None

        async def noting(message: Message) -> None:
            nonlocal taken
            if message["type"] == "http.response.start" and message["status"] < 400:
                headers = Headers(raw=message["headers"])
                change, made = headers.get("longshore-change", ""), headers.get("location", "")
                taken = domain.described(scope["method"], scope["path"], change, made)
            await send(message)

        await self._app(scope, receive, noting)
        user = scope.get("state", {}).get("user")
        if taken is not None and user is not None:
            await asyncio.to_thread(self._audit.record, user, *taken)
