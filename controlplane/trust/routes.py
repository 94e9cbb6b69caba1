"""HTTP of signed metadata: files for boxes and signers, and what was signed elsewhere. Convert, call, convert."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from controlplane.container import Services
from controlplane.errors import TooLarge
from controlplane.identity.access import Current, require_user
from controlplane.registry.routes import require_reader
from controlplane.schemas import REFUSALS
from controlplane.trust import schemas
from protos import ids, trust
from protos.errors import Rejected

router = APIRouter(prefix="/api/v1", tags=["trust"], responses=REFUSALS)
_USER = [Depends(require_user)]
File = Annotated[str, Path(max_length=120)]
MOST_BYTES = 32 << 20  # of one upload: other release keys sign all that is listed at once, some 90 000 releases
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": schemas.NewDocuments.model_json_schema()}},
    }
}


@router.get("/metadata", dependencies=_USER, summary="Roles of the signed metadata: their keys, how fresh they are")
def list_metadata(services: Current) -> schemas.MetadataList:
    return schemas.MetadataList(items=[schemas.role(each) for each in services.trust.roles()])


@router.put(
    "/metadata", dependencies=_USER, openapi_extra=_BODY, summary="Documents signed elsewhere; all are taken or none"
)
async def put_metadata(request: Request, response: Response, services: Current) -> schemas.TakenAnswer:
    """Its body is read once it is known who sends it, since it may be longer than others."""
    content = await _read(request)
    taken = await run_in_threadpool(_take, services, content)
    response.headers["Longshore-Change"] = "configured" if taken else "unchanged"
    response.headers["Location"] = f"/api/v1/metadata/{','.join(taken)}"  # the audit names what was changed by it
    return schemas.TakenAnswer(roles=list(taken))


async def _read(request: Request) -> bytes:
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > MOST_BYTES:
            raise TooLarge(
                f"more than {MOST_BYTES} bytes of documents at once; withdraw releases that nobody needs, then sign"
            )
    return bytes(content)


def _take(services: Services, content: bytes) -> tuple[str, ...]:
    """The roles that were new."""
    try:
        body = schemas.NewDocuments.model_validate_json(content)
    except ValidationError as error:
        found = error.errors()
        if found[0]["type"] == "json_invalid":
            raise Rejected("the body cannot be read; send an object as JSON, in UTF-8") from error
        raise RequestValidationError(found) from error
    documents = {role: text.encode() for role, text in body.documents.items()}
    taken = services.trust.take(documents, frozenset(map(release_path, body.withdraw)))
    if taken:
        services.boxes.refresh()
    return taken


def release_path(release: str) -> str:
    """Raises InvalidName."""
    return trust.release_path(*ids.release(release))


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
