"""HTTP of the fleet: Nodes, Cameras, Deployments, and what is to be seen of them. Convert, call, convert.

`GET …/picture`, `…/snapshot` and `…/logs` say that somebody looks: the box then streams for 30 s; asking again keeps it
going.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from controlplane.errors import NotFound
from controlplane.fleet import envelope, schemas, views, wire
from controlplane.fleet.accounts import FrameWish
from controlplane.fleet.looking import SnapshotWish
from controlplane.fleet.schemas import documented
from controlplane.fleet.service import Applied
from controlplane.identity.access import Current, require_user
from controlplane.listing import Continue, Limit, Selector, one_more, page
from controlplane.schemas import REFUSALS
from controlplane.shape import API_VERSION, moment_or_never
from protos import carried
from protos.errors import Rejected, Retryable
from protos.ids import CameraName, NodeId

router = APIRouter(prefix="/api/v1", tags=["fleet"], dependencies=[Depends(require_user)], responses=REFUSALS)

_MAX_WAIT = 10.0  # seconds a request may hold its thread for a picture or a line
PICTURE_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
CHANGE_HEADER = "Longshore-Change"  # created, configured or unchanged

Object = Annotated[Any, Body()]
After = Annotated[int, Query(ge=0, description="only what is newer than this number")]
Wait = Annotated[float, Query(ge=0, le=_MAX_WAIT, description="seconds to wait for one")]
Part = Annotated[str, Query(max_length=120, description="x0,y0,x1,y1 from 0,0 top left to 1,1 bottom right")]
Size = Annotated[int, Query(ge=16, le=7680, description="pixels of the longer side, at most")]
Quality = Annotated[int, Query(ge=1, le=100, description="of the JPEG; at 150 kB it goes down, and then the size")]
Seq = Annotated[int, Query(ge=0, le=(1 << 63) - 1, description="the frame's number; 0: the newest that ended")]
Only = Annotated[str, Query(max_length=63, description="this deployment only; empty: each that the camera feeds")]
At = Annotated[str, Query(max_length=63, description="refuse, if the camera is on another box than this")]


def listed(kind: str, items: list[dict[str, Any]], limit: int | None) -> JSONResponse:
    shown, metadata = page(items, limit, lambda item: str(item["metadata"]["name"]))
    head = {"apiVersion": API_VERSION, "kind": f"{kind}List", "metadata": metadata.model_dump()}
    return JSONResponse({**head, "items": shown})


def applied(done: Applied) -> JSONResponse:
    status = 201 if done.change == "created" else 200
    return JSONResponse(done.document, status, headers={CHANGE_HEADER: done.change.value})


# ---- nodes ----


@router.get("/nodes", **documented(schemas.NodeList))
def list_nodes(services: Current, selector: Selector = "", limit: Limit = None, after: Continue = "") -> Response:
    return listed("Node", services.fleet.list_nodes(selector, one_more(limit), after), limit)


@router.get("/nodes/{name}", **documented(schemas.Node))
def get_node(name: str, services: Current) -> Response:
    return JSONResponse(services.fleet.get_node(name))


@router.put("/nodes/{name}", summary="Label, pause or slow down a box", **documented(schemas.Node, schemas.NodeSpec))
def put_node(name: str, body: Object, services: Current) -> Response:
    return applied(services.fleet.apply_node(name, body))


@router.delete("/nodes/{name}", status_code=204, summary="Forget a box and revoke its certificates")
def delete_node(name: str, services: Current) -> None:
    services.fleet.delete_node(name)


@router.get("/nodes/{name}/logs", summary="Newest log lines of a box", **documented(schemas.LogLines))
def logs(name: str, services: Current, after: After = 0, wait: Wait = 0) -> Response:
    services.fleet.look_at_node(name)
    lines = services.looking.wait_lines(NodeId(name), after, wait)
    items = [{**vars(line), "time": moment_or_never(line.unix_ms)} for line in lines]
    return JSONResponse({"items": [{key: value for key, value in item.items() if key != "unix_ms"} for item in items]})


@router.get("/nodes/{name}/desired", summary="What a box is told to be, without its cameras' credentials")
def desired(name: str, services: Current) -> schemas.DesiredAnswer:
    generation, state = services.boxes.desired(NodeId(name))
    return schemas.DesiredAnswer(generation=generation, desired=envelope.desired(state))


# ---- boxes without a network ----


@router.post("/exports/{name}", summary="A file for a box without a network, with credentials of its cameras")
def export(name: str, services: Current) -> schemas.ExportAnswer:
    generation, state = services.boxes.desired(NodeId(name))
    now_ms = int(services.clock.unix() * 1000)
    return schemas.exported(name, state, wire.carried_state(name, state, generation, now_ms, services.authority.vouch))


@router.post("/reports", summary="What a box without a network wrote into a file; the body is that file")
async def take_report(request: Request, response: Response, services: Current) -> schemas.ReportAnswer:
    if int(request.headers.get("Content-Length") or carried.MOST_BYTES + 1) > carried.MOST_BYTES:
        raise Rejected(f"a report has at most {carried.MOST_BYTES >> 20} MiB; send the file that the box wrote")
    file = await request.body()
    answer = await run_in_threadpool(_heard, services, file)
    response.headers[CHANGE_HEADER] = "configured" if answer.news else "unchanged"
    response.headers["Location"] = f"/api/v1/nodes/{answer.node}"
    return answer


def _heard(services: Current, file: bytes) -> schemas.ReportAnswer:
    said = wire.carried_report(file)
    node = services.identity.speaker(said.certificate, said.spoken, said.signature)
    report = wire.carried_content(said.content)
    news = services.boxes.hear(node, report)
    return schemas.ReportAnswer(node=node, written=moment_or_never(report.clock_unix_ms), news=news)


# ---- cameras ----


@router.get("/cameras", **documented(schemas.CameraList))
def list_cameras(services: Current, selector: Selector = "", limit: Limit = None, after: Continue = "") -> Response:
    return listed("Camera", services.fleet.list_cameras(selector, one_more(limit), after), limit)


@router.get("/cameras/{name}", **documented(schemas.Camera))
def get_camera(name: str, services: Current) -> Response:
    return JSONResponse(services.fleet.get_camera(name))


@router.put("/cameras/{name}", **documented(schemas.Camera, schemas.CameraSpec))
def put_camera(name: str, body: Object, services: Current) -> Response:
    return applied(services.fleet.apply_camera(name, body))


@router.delete("/cameras/{name}", status_code=204)
def delete_camera(name: str, services: Current) -> None:
    services.fleet.delete_camera(name)


@router.get(
    "/cameras/{name}/picture",
    summary="Newest picture with its boxes drawn in",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}},
)
def picture(name: str, services: Current, after: After = 0, wait: Wait = 3) -> Response:
    services.fleet.look_at_camera(name)
    newest = services.looking.wait_picture(CameraName(name), after, wait)
    if newest is None:
        raise Retryable(f"there is no new picture of {name} yet; see 'longshore describe camera {name}' for its state")
    headers = {
        **PICTURE_HEADERS,
        "Longshore-Number": str(newest.number),
        "Longshore-Captured": moment_or_never(newest.captured_unix_ms) or "",
        "Longshore-Outcome": newest.outcome,
        "Longshore-Latency-Ms": f"{newest.latency_ms:.1f}",
    }
    return Response(newest.jpeg, media_type="image/jpeg", headers=headers)


@router.get(
    "/cameras/{name}/snapshot",
    summary="Newest picture as the camera gave it, or a region of it, its masks painted",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}},
)
def snapshot(
    name: str, services: Current, region: Part = "", size: Size = 1920, quality: Quality = 90, wait: Wait = 5
) -> Response:
    wish = SnapshotWish(CameraName(name), size, quality, views.region(region))
    services.fleet.look_at_camera(name)
    away = services.fleet.get_camera(name)["status"]["state"] == "unknown"
    taken = services.looking.wait_snapshot(wish, 0 if away else wait)
    if taken is None:
        raise Retryable(
            f"no snapshot of {name} has come yet; 'longshore describe camera {name}' says how it is, and its box has "
            "to run 0.2 or newer"
        )
    if taken.failure:
        raise Retryable(f"there is no snapshot of {name} now: {taken.failure}")
    captured = moment_or_never(taken.captured_unix_ms) or ""
    return Response(taken.jpeg, media_type="image/jpeg", headers={**PICTURE_HEADERS, "Longshore-Captured": captured})


@router.get("/cameras/{name}/account", summary="Why a frame went where it went")
def account(
    name: str, services: Current, seq: Seq = 0, deployment: Only = "", node: At = "", wait: Wait = 5
) -> schemas.FrameAccounts:
    camera = services.fleet.get_camera(name)
    box = str(camera["spec"]["node"])
    if node not in ("", box):
        raise NotFound(f"camera {name} is on {box}, not on {node}; ask for {box}/{name}")
    services.fleet.look_at_camera(name)
    wish, away = FrameWish(CameraName(name), seq, deployment), camera["status"]["state"] == "unknown"
    told = services.looking.wait_accounts(wish, 0 if away else wait)
    if told is None:
        raise Retryable(
            f"{box} did not answer; 'longshore describe node {box}' says how it is, and its agent has to be of this "
            "release or newer"
        )
    if told.failure:
        raise NotFound(told.failure)
    return schemas.accounts_of(box, told)


# ---- deployments ----


@router.get("/deployments", **documented(schemas.DeploymentList))
def list_deployments(services: Current, selector: Selector = "", limit: Limit = None, after: Continue = "") -> Response:
    return listed("Deployment", services.fleet.list_deployments(selector, one_more(limit), after), limit)


@router.get("/deployments/{name}", **documented(schemas.Deployment))
def get_deployment(name: str, services: Current) -> Response:
    return JSONResponse(services.fleet.get_deployment(name))


@router.put("/deployments/{name}", **documented(schemas.Deployment, schemas.DeploymentSpec))
def put_deployment(name: str, body: Object, services: Current) -> Response:
    return applied(services.fleet.apply_deployment(name, body))


@router.post(
    "/deployments/{name}/preview",
    summary="Which boxes and cameras such a deployment would choose, and what to know of it; nothing is stored",
    **documented(schemas.Selection),
)
def preview_deployment(name: str, body: Object, services: Current) -> Response:
    selected = services.fleet.preview_deployment(name, body)
    parts = {"nodes": selected.nodes, "cloud": selected.cloud, "cameras": selected.cameras}
    names = {part: [item["metadata"]["name"] for item in items] for part, items in parts.items()}
    return JSONResponse({**names, "warnings": selected.warnings})


@router.delete("/deployments/{name}", status_code=204)
def delete_deployment(name: str, services: Current) -> None:
    services.fleet.delete_deployment(name)
