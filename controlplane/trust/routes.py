"""HTTP of signed metadata: files for boxes and signers, and what was signed elsewhere. Convert, call, convert."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from controlplane.identity.access import Current, require_user
from controlplane.registry.routes import require_reader
from controlplane.schemas import REFUSALS
from controlplane.trust import schemas
from protos import ids, trust

router = APIRouter(prefix="/api/v1", tags=["trust"], responses=REFUSALS)
_USER = [Depends(require_user)]
File = Annotated[str, Path(max_length=120)]


@router.get("/metadata", dependencies=_USER, summary="Roles of the signed metadata: their keys, how fresh they are")
def list_metadata(services: Current) -> schemas.MetadataList:
    return schemas.MetadataList(items=[schemas.role(each) for each in services.trust.roles()])


@router.put("/metadata", dependencies=_USER, summary="Documents signed elsewhere; all are taken or none")
def put_metadata(body: schemas.NewDocuments, response: Response, services: Current) -> schemas.TakenAnswer:
    documents = {role: text.encode() for role, text in body.documents.items()}
    taken = services.trust.take(documents, frozenset(map(release_path, body.withdraw)))
    if taken:
        services.boxes.refresh()
    response.headers["Longshore-Change"] = "configured" if taken else "unchanged"
    response.headers["Location"] = f"/api/v1/metadata/{','.join(taken)}"  # the audit names what was changed by it
    return schemas.TakenAnswer(roles=list(taken))


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
