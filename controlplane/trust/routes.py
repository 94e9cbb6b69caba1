"""HTTP of signed metadata: files for boxes and signers, and what was signed elsewhere. Convert, call, convert."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from starlette.concurrency import run_in_threadpool

from controlplane.container import Services
from controlplane.identity.access import Current, require_user
from controlplane.registry.routes import require_reader
from controlplane.schemas import REFUSALS
from controlplane.trust import schemas, uploads

router = APIRouter(prefix="/api/v1", tags=["trust"], responses=REFUSALS)
_USER = [Depends(require_user)]
File = Annotated[str, Path(max_length=120)]


@router.get("/metadata", dependencies=_USER, summary="Roles of the signed metadata: their keys, how fresh they are")
def list_metadata(services: Current) -> schemas.MetadataList:
    return schemas.MetadataList(items=[schemas.role(each) for each in services.trust.roles()])


@router.put(
    "/metadata",
    dependencies=_USER,
    openapi_extra=uploads.described(schemas.NewDocuments),
    summary="Documents signed elsewhere; all are taken or none",
)
async def put_metadata(request: Request, response: Response, services: Current) -> schemas.TakenAnswer:
    """Its body is read once it is known who sends it, since it may be longer than others."""
    content = await uploads.received(request)
    taken = await run_in_threadpool(_take, services, content)
    response.headers["Longshore-Change"] = "configured" if taken else "unchanged"
    response.headers["Location"] = f"/api/v1/metadata/{','.join(taken)}"  # the audit names what was changed by it
    return schemas.TakenAnswer(roles=list(taken))


def _take(services: Services, content: bytes) -> tuple[str, ...]:
    """The roles that were new."""
    body = uploads.read(schemas.NewDocuments, content)
    documents = {role: text.encode() for role, text in body.documents.items()}
    taken = services.trust.take(documents, frozenset(map(uploads.release_path, body.withdraw)))
    if taken:
        services.boxes.refresh()
    return taken


@router.post("/metadata/keys", dependencies=_USER, status_code=201, summary="A new online key; the public half of it")
def create_online_key(services: Current) -> schemas.OnlineKeyAnswer:
    return schemas.online_key(services.trust.new_online_key())


@router.get(
    "/metadata/{file}",
    dependencies=[Depends(require_reader)],
    summary="The very bytes that were signed, by TUF's names: timestamp.json, root.json, N.ROLE.json",
)
def get_metadata(file: File, services: Current) -> Response:
    content = services.trust.file(file)
    age = "no-store" if file in ("timestamp.json", "root.json") else "private, immutable, max-age=31536000"
    return Response(content, media_type="application/json", headers={"Cache-Control": age})
