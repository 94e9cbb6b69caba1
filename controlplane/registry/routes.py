"""HTTP of the registry: files by digest, uploads, releases, models. Convert, call, convert.

Uploads are the one `async` route: the body is taken from the socket chunk by chunk and written in a thread, so that
memory holds one chunk whatever the file's size. Files may be fetched by a user or with a box's file grant.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from controlplane.fleet import selectors
from controlplane.identity.access import Bearer, Cookie, Current, require_user
from controlplane.listing import Continue, Limit, Selector, one_more, page
from controlplane.registry import ranges, schemas
from controlplane.registry.difference import difference
from controlplane.registry.grants import is_grant
from controlplane.schemas import REFUSALS
from protos import ids
from protos.ids import Digest

CHUNK = 1 << 20
MANIFEST = "application/vnd.longshore.manifest+json"
router = APIRouter(prefix="/api/v1", tags=["registry"], responses=REFUSALS)
_USER = [Depends(require_user)]
Hex = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
UploadId = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]


def require_reader(request: Request, services: Current, bearer: Bearer, cookie: Cookie) -> None:
    """A user, or a box with a file grant. Raises Unauthenticated."""
    if bearer is not None and is_grant(bearer.credentials):
        services.grants.check(bearer.credentials, int(services.clock.unix() * 1000))
    else:
        require_user(request, services, bearer, cookie)


# ---- files ----


@router.head("/blobs/{sha256}", dependencies=[Depends(require_reader)], summary="Whether a file is here")
def head_blob(sha256: Hex, services: Current) -> Response:
    size = services.registry.blob_size(_digest(sha256))
    return Response(headers={"Content-Length": str(size), **_blob_headers(sha256)})


@router.get("/blobs/{sha256}", dependencies=[Depends(require_reader)], summary="A file, whole or by Range")
def get_blob(sha256: Hex, services: Current, wanted: Annotated[str | None, Header(alias="Range")] = None) -> Response:
    digest = _digest(sha256)
    size = services.registry.blob_size(digest)
    span = ranges.requested(wanted, size)
    if span is None:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
    headers = {"Content-Length": str(span.length), **_blob_headers(sha256)}
    if not span.whole:
        headers["Content-Range"] = span.header
    chunks = services.registry.read_blob(digest, span.start, span.stop)
    return StreamingResponse(chunks, 200 if span.whole else 206, headers=headers, media_type="application/octet-stream")


@router.get(
    "/blobs/{sha256}/chunks",
    dependencies=[Depends(require_reader)],
    summary="Which chunks a file is made of, as a table (protos/chunks.py); 404 where it is too small to have one",
    response_class=Response,
)
def get_chunks(sha256: Hex, services: Current) -> Response:
    return Response(services.chunks.table(_digest(sha256)), media_type="application/octet-stream")


def _digest(sha256: str) -> Digest:
    return ids.digest(f"sha256:{sha256}")


def _blob_headers(sha256: str) -> dict[str, str]:
    return {"Accept-Ranges": "bytes", "ETag": f'"{sha256}"', "Cache-Control": "private, immutable, max-age=31536000"}


# ---- uploads ----


@router.post("/uploads", dependencies=_USER, status_code=201, summary="Begin to send a file, or go on")
def begin_upload(body: schemas.NewUpload, services: Current) -> schemas.UploadAnswer:
    return schemas.upload(services.registry.begin_upload(_digest(body.sha256), body.size))


@router.head("/uploads/{upload_id}", dependencies=_USER, summary="How far an upload got")
def head_upload(upload_id: UploadId, services: Current) -> Response:
    state = services.registry.upload(upload_id)
    return Response(headers={"Upload-Offset": str(state.offset), "Upload-Length": str(state.size)})


@router.patch("/uploads/{upload_id}", dependencies=_USER, summary="Send bytes from Upload-Offset on")
async def send_upload(
    upload_id: UploadId, request: Request, services: Current, offset: Annotated[int, Header(alias="Upload-Offset")]
) -> schemas.UploadAnswer:
    receiving = await run_in_threadpool(services.registry.receive, upload_id, offset)
    try:
        async for chunk in _chunks(request):
            await run_in_threadpool(receiving.write, chunk)
        return schemas.upload(await run_in_threadpool(receiving.finish))
    finally:
        await run_in_threadpool(receiving.close)


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    """The body in pieces of about CHUNK: one thread hop each. What came before a client hung up is given too."""
    gathered = bytearray()
    with suppress(ClientDisconnect):
        async for piece in request.stream():
            gathered += piece
            if len(gathered) >= CHUNK:
                yield bytes(gathered)
                gathered.clear()
    if gathered:
        yield bytes(gathered)


# ---- releases ----


@router.post(
    "/releases",
    dependencies=_USER,
    summary="Make a release of files that are here; the body is its manifest",
    response_description="It was here already",
    responses={201: {"model": schemas.ReleaseAnswer, "description": "It was not here and is now"}},
    openapi_extra={"requestBody": {"content": {MANIFEST: {"schema": {"type": "object"}}}, "required": True}},
)
async def create_release(request: Request, response: Response, services: Current) -> schemas.ReleaseAnswer:
    content = await request.body()
    release, new = await run_in_threadpool(services.registry.create_release, content)
    response.status_code = 201 if new else 200
    answer = schemas.release(release, await run_in_threadpool(services.trust.listings))
    response.headers["Location"] = f"/api/v1/releases/{answer.metadata.name}"
    response.headers["Longshore-Change"] = "created" if new else "unchanged"
    return answer


@router.get("/releases", dependencies=_USER, summary="Oldest first")
def list_releases(
    services: Current, selector: Selector = "", limit: Limit = None, after: Continue = ""
) -> schemas.ReleaseList:
    found = services.registry.releases(selectors.parse(selector), one_more(limit), after)
    shown, metadata = page(found, limit, lambda release: release.place)
    listings = services.trust.listings()
    return schemas.ReleaseList(metadata=metadata, items=[schemas.release(each, listings) for each in shown])


@router.get("/releases/{name}", dependencies=_USER)
def get_release(name: str, services: Current) -> schemas.ReleaseAnswer:
    return schemas.release(services.registry.release(name), services.trust.listings())


@router.get("/releases/{name}/manifest", dependencies=_USER, summary="The very bytes that were pushed")
def get_manifest(name: str, services: Current) -> Response:
    return Response(services.registry.release(name).manifest, media_type=MANIFEST)


@router.get(
    "/releases/{name}/card",
    dependencies=_USER,
    summary="Its card, in Markdown; 204 without one",
    response_class=PlainTextResponse,
)
def get_card(name: str, services: Current) -> Response:
    card = services.contents.card(services.registry.release(name))
    if not card:
        return Response(status_code=204)
    return PlainTextResponse(card, media_type="text/markdown", headers={"X-Content-Type-Options": "nosniff"})


@router.get("/releases/{name}/graphs", dependencies=_USER, summary="What its ONNX graphs are made of, by file")
def get_graphs(name: str, services: Current) -> schemas.GraphsAnswer:
    outlines = services.contents.outlines(services.registry.release(name))
    return schemas.GraphsAnswer(files={path: schemas.GraphAnswer(**outline) for path, outline in outlines.items()})


@router.get("/releases/{name}/difference", dependencies=_USER, summary="What changed from another release to this one")
def get_difference(
    name: str, services: Current, other: Annotated[str, Query(alias="from", max_length=128)]
) -> schemas.DifferenceAnswer:
    before, after = services.registry.release(other), services.registry.release(name)
    return schemas.difference(difference(services.contents.side(before), services.contents.side(after)))


@router.delete("/releases/{name}", dependencies=_USER, status_code=204)
def delete_release(name: str, services: Current) -> None:
    services.registry.delete_release(name)


# ---- models ----


@router.get("/models", dependencies=_USER)
def list_models(
    services: Current, selector: Selector = "", limit: Limit = None, after: Continue = ""
) -> schemas.ModelList:
    found = services.registry.models(selectors.parse(selector), one_more(limit), after)
    shown, metadata = page(found, limit, lambda model: model.name)
    return schemas.ModelList(metadata=metadata, items=[schemas.model(each) for each in shown])


@router.get("/models/{name}", dependencies=_USER)
def get_model(name: str, services: Current) -> schemas.ModelAnswer:
    return schemas.model(services.registry.model(name))


@router.delete("/models/{name}", dependencies=_USER, status_code=204)
def delete_model(name: str, services: Current) -> None:
    services.registry.delete_model(name)
