"""HTTP of identity: enrolment, join tokens, API tokens, sign-in. Convert, call, convert.

`enroll`, `renew`, `ca` and the sign-in page are the only routes without a user: a box proves itself by its token or by
the key of its certificate.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse

from controlplane.config import Config, is_loopback
from controlplane.errors import Forbidden
from controlplane.fleet import quantities
from controlplane.identity import pages, roles, schemas
from controlplane.identity.access import Cookie, Current, check_origin, cookie_name, require_user
from controlplane.identity.domain import SESSION_SECONDS, Wish
from controlplane.identity.service import User
from controlplane.schemas import REFUSALS
from controlplane.shape import moment
from protos import ids

_USER = [Depends(require_user)]
Known = Annotated[User, Depends(require_user)]
router = APIRouter(prefix="/api/v1", tags=["identity"], responses=REFUSALS)
pages_router = APIRouter(include_in_schema=False)


def _origin(request: Request) -> str:
    return request.client.host if request.client else "unknown"


def _page(request: Request, config: Config) -> str:
    """Where the caller's browser signs in: on this machine the plain page, since no browser knows our CA (ADR 0008)."""
    caller, listener = request.client, request.scope.get("server")
    local = is_loopback(request.url.hostname or "") and is_loopback(_origin(request))
    here = local or (caller is not None and listener is not None and caller.host == listener[0])
    return config.page_url if here and config.http_port else str(request.base_url).rstrip("/")


def sign_in_url(request: Request, config: Config, code: str) -> str:
    """The one-time link of a sign-in code, as the caller's browser reaches us."""
    return f"{_page(request, config)}/signin?code={code}"


def _seconds(ttl: str | None) -> int | None:
    return None if ttl is None else quantities.duration_ms(ttl, "ttl") // 1000


@router.get("/ca", response_class=PlainTextResponse, summary="The CA certificate, PEM")
def ca(services: Current) -> str:
    return services.identity.ca_pem


@router.post("/enroll", summary="Let a box in with its join token")
def enroll(body: schemas.Enroll, request: Request, services: Current) -> schemas.Enrolled:
    wish = Wish(body.node_id, body.labels, body.role, body.host_name)
    joined = services.identity.enrol(body.token, body.csr_pem, wish, _origin(request))
    return schemas.Enrolled(
        node_id=joined.node,
        certificate=schemas.certificate(joined.certificate, services.identity.ca_pem),
        fleet_address=services.config.fleet_address,
        role=joined.role,
        root=b64encode(services.trust.root()).decode(),
    )


@router.post("/renew", summary="Renew an expired certificate of a box")
def renew(body: schemas.LateRenew, request: Request, services: Current) -> schemas.CertificateAnswer:
    issued = services.identity.renew_late(body.certificate_pem, body.csr_pem, body.proof, _origin(request))
    return schemas.certificate(issued, services.identity.ca_pem)


@router.get("/whoami", summary="Who asks, and as what; refused unless they may write `change`, where that is given")
def who_am_i(
    user: Known, change: Annotated[str, Query(max_length=200, description="such as cameras/gate")] = ""
) -> schemas.WhoAmI:
    """For a client that would let somebody write first and be refused afterwards."""
    if change:
        roles.check(user.role, "PUT", f"{router.prefix}/{change}", user.who)
    return schemas.WhoAmI(who=user.who, via=user.name, role=user.role)


@router.post("/jointokens", status_code=201, dependencies=_USER, summary="Make a join token")
def create_join_token(body: schemas.NewJoinToken, services: Current, response: Response) -> schemas.CreatedJoinToken:
    node = None if body.node_id is None else ids.node_id(body.node_id)
    made = services.identity.create_join_token(node, body.labels, body.role, _seconds(body.ttl))
    response.headers["Location"] = f"/api/v1/jointokens/{made.id}"
    return schemas.CreatedJoinToken(
        token=made.text, id=made.id, expires=moment(made.expires_ms or 0), url=services.config.base_url
    )


@router.get("/jointokens", dependencies=_USER, summary="Join tokens, without their secrets")
def list_join_tokens(services: Current) -> schemas.JoinTokenList:
    return schemas.JoinTokenList(items=[schemas.join_token(token) for token in services.identity.join_tokens()])


@router.get("/jointokens/{token_id}", dependencies=_USER)
def get_join_token(token_id: str, services: Current) -> schemas.JoinTokenAnswer:
    return schemas.join_token(services.identity.join_token(token_id))


@router.delete("/jointokens/{token_id}", status_code=204, dependencies=_USER)
def delete_join_token(token_id: str, services: Current) -> None:
    services.identity.delete_join_token(token_id)


@router.post("/apitokens", status_code=201, dependencies=_USER, summary="Make an API token")
def create_api_token(body: schemas.NewApiToken, services: Current, response: Response) -> schemas.CreatedApiToken:
    name, role = ids.name(body.name, "token name"), roles.parsed(body.role)
    made = services.identity.create_api_token(name, _seconds(body.ttl), person=body.person, role=role)
    response.headers["Location"] = f"/api/v1/apitokens/{made.id}"
    return schemas.CreatedApiToken(token=made.text, id=made.id, expires=schemas.optional_moment(made.expires_ms))


@router.get("/apitokens", dependencies=_USER)
def list_api_tokens(services: Current) -> schemas.ApiTokenList:
    return schemas.ApiTokenList(items=[schemas.api_token(row) for row in services.identity.api_tokens()])


@router.delete("/apitokens/{token_id}", status_code=204, dependencies=_USER)
def delete_api_token(token_id: str, services: Current) -> None:
    services.identity.delete_api_token(token_id)


@router.post("/signincodes", status_code=201, dependencies=_USER, summary="Make a one-time sign-in link")
def create_sign_in_code(request: Request, user: Known, services: Current) -> schemas.SignInLink:
    """For whoever asks: another browser of the same person."""
    if user.person is None:
        raise Forbidden(
            f"{user.name} is the API token of a service, which has no page; 'longshore invite' invites people"
        )
    made = services.identity.create_sign_in_code(user.person)
    url = sign_in_url(request, services.config, made.text)
    return schemas.SignInLink(code=made.text, url=url, expires=moment(made.expires_ms or 0))


@pages_router.get("/signin", response_class=HTMLResponse)
def sign_in_page(code: Annotated[str, Query(max_length=128)] = "") -> HTMLResponse:
    return HTMLResponse(pages.button(code) if code else pages.signed_out(), headers=pages.HEADERS)


@pages_router.post("/signin")
def sign_in(code: Annotated[str, Form(max_length=128)], request: Request, services: Current) -> Response:
    session = services.identity.sign_in(code, _origin(request), request.headers.get("user-agent", ""))
    response = RedirectResponse("/", status_code=303, headers=pages.HEADERS)
    response.set_cookie(
        cookie_name(request),
        session.text,
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


@pages_router.post("/signout")
def sign_out(request: Request, services: Current, cookie: Cookie) -> Response:
    check_origin(request)
    if cookie:
        services.identity.sign_out(cookie)
    response = RedirectResponse("/signin", status_code=303)
    response.delete_cookie(cookie_name(request))
    return response
