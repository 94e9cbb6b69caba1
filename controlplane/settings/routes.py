"""HTTP of the settings: one object, `fleet`. Convert, call, convert."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response

from controlplane.fleet.routes import Object, applied, listed
from controlplane.fleet.schemas import documented
from controlplane.fleet.selectors import parse
from controlplane.identity.access import Current, require_user
from controlplane.listing import Selector
from controlplane.schemas import REFUSALS
from controlplane.settings import schemas
from controlplane.settings.domain import NAME
from protos.errors import Rejected

router = APIRouter(prefix="/api/v1", tags=["settings"], dependencies=[Depends(require_user)], responses=REFUSALS)


@router.get("/settings", summary="A list of one", **documented(schemas.SettingsList))
def list_settings(services: Current, selector: Selector = "") -> Response:
    found = services.settings.get(NAME)
    return listed("Settings", [found] if parse(selector).matches(found["metadata"]["labels"]) else [], None)


@router.get("/settings/{name}", **documented(schemas.Settings))
def get_settings(name: str, services: Current) -> Response:
    return JSONResponse(services.settings.get(name))


@router.put("/settings/{name}", summary="Retention and quotas", **documented(schemas.Settings, schemas.SettingsSpec))
def put_settings(name: str, body: Object, services: Current) -> Response:
    return applied(services.settings.apply(name, body))


@router.delete("/settings/{name}", include_in_schema=False)
def delete_settings(name: str, services: Current) -> None:
    services.settings.get(name)
    raise Rejected("settings cannot be deleted; apply them with 'spec: {}' to get the defaults back")
