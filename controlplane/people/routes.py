"""HTTP of people. Convert, call, convert. Whose role may do what: identity.roles."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from controlplane.fleet import changes
from controlplane.fleet.routes import Object, applied, listed
from controlplane.fleet.schemas import documented
from controlplane.fleet.selectors import parse
from controlplane.fleet.service import Applied
from controlplane.identity.access import Current, require_user
from controlplane.identity.routes import sign_in_url
from controlplane.identity.schemas import SignInLink
from controlplane.listing import Selector
from controlplane.people import schemas
from controlplane.schemas import REFUSALS
from controlplane.shape import moment

router = APIRouter(prefix="/api/v1", tags=["people"], dependencies=[Depends(require_user)], responses=REFUSALS)


@router.get("/people", **documented(schemas.PersonList))
def list_people(services: Current, selector: Selector = "") -> Response:
    wanted = parse(selector)
    found = [schemas.document(person) for person in services.people.people() if wanted.matches(person.meta.labels)]
    return listed("Person", found, None)


@router.get("/people/{name}", **documented(schemas.Person))
def get_person(name: str, services: Current) -> Response:
    return JSONResponse(schemas.document(services.people.person(name)))


@router.put("/people/{name}", summary="Give somebody a role", **documented(schemas.Person, schemas.PersonSpec))
def put_person(name: str, body: Object, services: Current) -> Response:
    wish = changes.written(body, "Person", name)
    person, change = services.people.put(wish, schemas.spec(wish.spec))
    return applied(Applied(schemas.document(person), change))


@router.delete("/people/{name}", status_code=204, summary="Remove somebody, with sessions and API tokens")
def delete_person(name: str, services: Current) -> None:
    services.people.delete(name)


@router.post("/people/{name}/invite", status_code=201, summary="Make a one-time sign-in link for somebody")
def invite(name: str, request: Request, services: Current) -> SignInLink:
    made = services.identity.create_sign_in_code(name)
    url = sign_in_url(request, services.config, made.text)
    return SignInLink(code=made.text, url=url, expires=moment(made.expires_ms or 0))


@router.get("/people/{name}/sessions", summary="Browsers in which somebody is signed in")
def sessions(name: str, services: Current) -> schemas.SessionList:
    return schemas.SessionList(items=[schemas.session(row) for row in services.people.sessions(name)])


@router.delete("/people/{name}/sessions", status_code=204, summary="Sign somebody out everywhere")
def end_sessions(name: str, services: Current) -> None:
    services.people.end_sessions(name)


@router.delete("/people/{name}/sessions/{session_id}", status_code=204)
def end_session(name: str, session_id: str, services: Current) -> None:
    services.people.end_sessions(name, session_id)
