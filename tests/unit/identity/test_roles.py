"""Every door of the control plane and the least role that opens it. A door that is not in the table is red."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Mount

from controlplane.errors import Forbidden
from controlplane.identity import roles
from controlplane.identity.access import require_user
from controlplane.identity.roles import Role
from controlplane.ui.routes import PAGES
from controlplane.web import create_app
from tests.sim.control_plane import SimControlPlane

# Doors without a user: sign-in, what boxes prove themselves at, and what says nothing about the fleet.
OPEN = {
    "/signin",
    "/signout",
    "/healthz",
    "/readyz",
    "/api/v1/ca",
    "/api/v1/enroll",
    "/api/v1/renew",
    "/api/v1/openapi.json",
    "/ui/static",
}
# Doors that ask in their own words: a page sends people to sign in, files take a grant, figures are open on loopback.
OWN_WORDS = {
    *PAGES.paths,
    "/metrics",
    "/api/v1/blobs/{sha256}",
    "/api/v1/blobs/{sha256}/chunks",
    "/api/v1/metadata/{file}",
    "/api/v1/events/stream",
}
ADMINS = {
    ("POST", "/api/v1/exports/{name}"),
    ("GET", "/api/v1/apitokens"),
    ("POST", "/api/v1/apitokens"),
    ("DELETE", "/api/v1/apitokens/{token_id}"),
    ("PUT", "/api/v1/people/{name}"),
    ("DELETE", "/api/v1/people/{name}"),
    ("POST", "/api/v1/people/{name}/invite"),
    ("DELETE", "/api/v1/people/{name}/sessions"),
    ("DELETE", "/api/v1/people/{name}/sessions/{session_id}"),
    ("POST", "/api/v1/metadata/keys"),
    ("PUT", "/api/v1/settings/{name}"),
    ("DELETE", "/api/v1/settings/{name}"),
}
VIEWERS_TO_WRITE = {("POST", "/ui/look"), ("POST", "/api/v1/signincodes")}


def flat(routes: Sequence[BaseRoute]) -> Iterator[BaseRoute]:
    """With those of included routers, which FastAPI keeps as one route each."""
    for route in routes:
        router = getattr(route, "original_router", None)
        yield from flat(router.routes) if router is not None else [route]


def doors(plane: SimControlPlane) -> Iterator[tuple[str, str, BaseRoute]]:
    for route in flat(create_app(plane.services).routes):
        path = str(getattr(route, "path", ""))
        methods = {"GET"} if isinstance(route, Mount) else set(getattr(route, "methods", None) or ())
        yield from ((method, path, route) for method in sorted(methods - {"HEAD", "OPTIONS"}))


def asks(route: BaseRoute) -> bool:
    """Whether the route depends on a user who may."""
    if not isinstance(route, APIRoute):
        return False
    left = list(route.dependant.dependencies)
    while left:
        each = left.pop()
        if each.call is require_user:
            return True
        left += each.dependencies
    return False


def test_every_door_asks_who_it_is_but_for_the_listed_ones(plane: SimControlPlane) -> None:
    unasked = {path for _, path, route in doors(plane) if not asks(route)}
    assert {path for path in unasked if not path.startswith("/ui/static")} <= OPEN | OWN_WORDS


def test_each_door_opens_for_the_role_in_the_table(plane: SimControlPlane) -> None:
    for method, path, route in doors(plane):
        if not asks(route):
            continue
        least = roles.needed(method, path)
        if (method, path) in ADMINS:
            assert least is Role.ADMIN, (method, path)
        elif method == "GET" or (method, path) in VIEWERS_TO_WRITE:
            assert least is Role.VIEWER, (method, path)
        else:
            assert least is Role.OPERATOR, (method, path)
    assert {(method, path) for method, path, _ in doors(plane)} >= ADMINS | VIEWERS_TO_WRITE


def test_the_check_is_made_where_the_request_comes_in(plane: SimControlPlane) -> None:
    made = plane.client.post("/api/v1/apitokens", json={"name": "wall", "role": "viewer"}).json()
    wall = plane.browser({"Authorization": f"Bearer {made['token']}"})
    assert wall.get("/api/v1/nodes").status_code == 200
    for method, path in (
        ("DELETE", "/api/v1/cameras/gate"),
        ("PUT", "/api/v1/deployments/watch"),
        ("POST", "/api/v1/jointokens"),
        ("GET", "/api/v1/apitokens"),
        ("PUT", "/api/v1/settings/fleet"),
    ):
        answer = wall.request(method, path, json={})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden"), path
        assert "wall is a viewer here" in answer.json()["error"]["message"]


def test_a_page_and_its_stream_open_for_whoever_may_ask_for_what_it_shows(plane: SimControlPlane) -> None:
    made = plane.client.post("/api/v1/apitokens", json={"name": "wall", "role": "viewer"}).json()
    wall = plane.browser({"Authorization": f"Bearer {made['token']}"})
    for path in ("/tokens", "/people", "/settings", "/events", "/deployments"):
        assert wall.get(path).status_code == 200, path
    assert wall.get("/tokens/api").status_code == 403
    assert wall.get("/api/v1/events/stream", params={"page": "/tokens/api"}).status_code == 403
    assert plane.client.get("/tokens/api").status_code == 200
    assert plane.stranger.get("/tokens/api").status_code == 303


def test_an_operator_changes_the_fleet_and_nobodys_rights(plane: SimControlPlane) -> None:
    made = plane.client.post("/api/v1/apitokens", json={"name": "ci", "role": "operator"}).json()
    ci = plane.browser({"Authorization": f"Bearer {made['token']}"})
    camera = {"spec": {"node": "quay-1", "source": "synthetic://harbour"}}
    assert ci.put("/api/v1/cameras/gate", json=camera).status_code == 201
    assert ci.put("/api/v1/people/ci", json={"spec": {"role": "admin"}}).status_code == 403


@pytest.mark.parametrize("path", ["/api/v1/people-watch", "/api/v1/apitokensx"])
def test_a_name_that_begins_alike_is_another_door(path: str) -> None:
    assert roles.needed("PUT", path) is Role.OPERATOR


def test_whoever_may_not_is_told_who_could() -> None:
    with pytest.raises(Forbidden, match="ann is a viewer here, and this needs an operator; an admin can make you one"):
        roles.check(Role.VIEWER, "DELETE", "/api/v1/cameras/gate", "ann")
