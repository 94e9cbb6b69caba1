"""People: invited with a role, signed in, signed out, removed with everything that let them in."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sim.control_plane import SimBrowser, SimControlPlane


def invited(plane: SimControlPlane, name: str, role: str) -> SimBrowser:
    """Somebody's browser, signed in by the link of an invitation."""
    assert plane.client.put(f"/api/v1/people/{name}", json={"spec": {"role": role}}).status_code in (200, 201)
    code = plane.client.post(f"/api/v1/people/{name}/invite").json()["code"]
    browser = plane.browser({"user-agent": "Mozilla/5.0 (X11) Test"})
    assert browser.post("/signin", data={"code": code}).status_code == 303
    return browser


def person(plane: SimControlPlane, name: str) -> dict[str, Any]:
    found: dict[str, Any] = plane.client.get(f"/api/v1/people/{name}").json()
    return found


def test_an_invitation_signs_somebody_in_with_the_role_they_got(plane: SimControlPlane) -> None:
    ann = invited(plane, "ann", "viewer")
    assert ann.get("/api/v1/nodes").status_code == 200
    assert ann.delete("/api/v1/cameras/gate").status_code == 403
    assert person(plane, "ann")["status"]["sessions"] == 1


def test_a_new_role_counts_from_the_next_request_on(plane: SimControlPlane) -> None:
    ann = invited(plane, "ann", "viewer")
    plane.client.put("/api/v1/people/ann", json={"spec": {"role": "operator"}})
    assert ann.delete("/api/v1/cameras/gate").status_code == 404
    plane.client.put("/api/v1/people/ann", json={"spec": {"role": "viewer"}})
    assert ann.delete("/api/v1/cameras/gate").status_code == 403


def test_who_is_removed_is_out_at_once_with_tokens_links_and_sessions(plane: SimControlPlane) -> None:
    ann = invited(plane, "ann", "admin")
    token = plane.client.post("/api/v1/apitokens", json={"name": "laptop", "person": "ann"}).json()["token"]
    link = plane.client.post("/api/v1/people/ann/invite").json()["code"]
    assert plane.client.delete("/api/v1/people/ann").status_code == 204
    laptop, late = plane.browser({"Authorization": f"Bearer {token}"}), plane.browser({})
    assert ann.get("/api/v1/nodes").status_code == 401
    assert laptop.get("/api/v1/nodes").status_code == 401
    assert late.post("/signin", data={"code": link}).status_code == 401
    plane.client.put("/api/v1/people/ann", json={"spec": {"role": "admin"}})
    assert ann.get("/api/v1/nodes").status_code == 401, "an old session of the same name"


def test_a_persons_token_has_that_persons_role_and_a_services_its_own(plane: SimControlPlane) -> None:
    invited(plane, "ann", "viewer")
    body = {"name": "laptop", "person": "ann", "role": "admin"}
    laptop = plane.browser(
        {"Authorization": f"Bearer {plane.client.post('/api/v1/apitokens', json=body).json()['token']}"}
    )
    assert laptop.get("/api/v1/apitokens").status_code == 403
    listed = plane.client.get("/api/v1/apitokens").json()["items"]
    assert {each["name"]: (each["person"], each["role"]) for each in listed}["laptop"] == ("ann", None)


def test_the_owner_is_always_there_and_always_an_admin(plane: SimControlPlane) -> None:
    assert [each["metadata"]["name"] for each in plane.client.get("/api/v1/people").json()["items"]] == ["admin"]
    assert plane.client.delete("/api/v1/people/admin").status_code == 409
    assert plane.client.put("/api/v1/people/admin", json={"spec": {"role": "viewer"}}).status_code == 409
    assert person(plane, "admin")["spec"]["role"] == "admin"


def test_sessions_are_listed_and_can_be_ended_one_by_one_or_all(plane: SimControlPlane) -> None:
    first, second = invited(plane, "ann", "viewer"), invited(plane, "ann", "viewer")
    listed = plane.client.get("/api/v1/people/ann/sessions").json()["items"]
    assert [each["browser"] for each in listed] == ["Mozilla/5.0 (X11) Test"] * 2
    assert plane.client.delete(f"/api/v1/people/ann/sessions/{listed[0]['id']}").status_code == 204
    assert sorted([first.get("/api/v1/nodes").status_code, second.get("/api/v1/nodes").status_code]) == [200, 401]
    assert plane.client.delete("/api/v1/people/ann/sessions").status_code == 204
    assert {first.get("/api/v1/nodes").status_code, second.get("/api/v1/nodes").status_code} == {401}
    assert plane.client.delete("/api/v1/people/ann/sessions/none").status_code == 404


def test_last_seen_is_told_to_the_minute(plane: SimControlPlane) -> None:
    ann = invited(plane, "ann", "viewer")
    before = person(plane, "ann")["status"]["lastSeen"]
    plane.clock.tick(120)
    ann.get("/api/v1/nodes")
    assert person(plane, "ann")["status"]["lastSeen"] > before


def test_a_service_has_no_page(plane: SimControlPlane) -> None:
    token = plane.client.post("/api/v1/apitokens", json={"name": "ci", "role": "operator"}).json()["token"]
    answer = plane.browser({"Authorization": f"Bearer {token}"}).post("/api/v1/signincodes")
    assert (answer.status_code, "longshore invite" in answer.text) == (403, True)


def test_another_browser_of_ones_own_has_ones_own_role(plane: SimControlPlane) -> None:
    ann = invited(plane, "ann", "viewer")
    phone = plane.browser({})
    phone.post("/signin", data={"code": ann.post("/api/v1/signincodes").json()["code"]})
    assert phone.get("/api/v1/apitokens").status_code == 403
    assert person(plane, "ann")["status"]["sessions"] == 2


@pytest.mark.parametrize("body", [{"spec": {"role": "king"}}, {"spec": {}}, {"spec": {"role": "viewer", "age": 3}}])
def test_what_is_no_person_is_refused(plane: SimControlPlane, body: dict[str, Any]) -> None:
    assert plane.client.put("/api/v1/people/ann", json=body).status_code == 422
    assert plane.client.get("/api/v1/people/ann").status_code == 404


def test_a_token_or_link_for_nobody_is_refused(plane: SimControlPlane) -> None:
    assert plane.client.post("/api/v1/people/nobody/invite").status_code == 404
    assert plane.client.post("/api/v1/apitokens", json={"name": "x", "person": "nobody"}).status_code == 404
