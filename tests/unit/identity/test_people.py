"""People: API tokens, one-time sign-in links, sessions, and who is let through to what."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path

import pytest

from controlplane import tables
from controlplane.config import Config
from controlplane.errors import Unauthenticated
from controlplane.files import write_atomically
from controlplane.identity.access import COOKIE
from controlplane.identity.service import IdentityService
from controlplane.wiring import ADMIN_TOKEN, build
from tests.sim import joining
from tests.sim.control_plane import SimControlPlane

PROTECTED = "/api/v1/jointokens"


def link(plane: SimControlPlane) -> str:
    return str(plane.client.post("/api/v1/signincodes").json()["code"])


def error(answer: object) -> str:
    return str(getattr(answer, "json")()["error"]["message"])  # noqa: B009 - answers of either client


def test_a_stranger_gets_one_sentence_saying_how_to_come_in(plane: SimControlPlane) -> None:
    answer = plane.stranger.get(PROTECTED)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "unauthenticated"
    assert "Authorization: Bearer" in error(answer)


def test_an_unknown_api_token_is_refused(plane: SimControlPlane) -> None:
    answer = plane.stranger.get(PROTECTED, headers={"Authorization": "Bearer lsk_" + "x" * 43})
    assert answer.status_code == 401
    assert "x" * 43 not in answer.text


def test_an_api_token_works_until_it_is_deleted(plane: SimControlPlane) -> None:
    made = plane.client.post("/api/v1/apitokens", json={"name": "ci"}).json()
    headers = {"Authorization": f"Bearer {made['token']}"}
    assert plane.stranger.get(PROTECTED, headers=headers).status_code == 200
    assert plane.client.delete(f"/api/v1/apitokens/{made['id']}").status_code == 204
    assert plane.stranger.get(PROTECTED, headers=headers).status_code == 401


def test_an_api_token_expires(plane: SimControlPlane) -> None:
    made = plane.client.post("/api/v1/apitokens", json={"name": "ci", "ttl": "1h"}).json()
    headers = {"Authorization": f"Bearer {made['token']}"}
    assert plane.stranger.get(PROTECTED, headers=headers).status_code == 200
    plane.clock.tick(3600)
    assert plane.stranger.get(PROTECTED, headers=headers).status_code == 401


def test_api_tokens_are_listed_without_their_secret(plane: SimControlPlane) -> None:
    made = plane.client.post("/api/v1/apitokens", json={"name": "ci"}).json()
    listed = plane.client.get("/api/v1/apitokens")
    assert made["token"] not in listed.text
    assert {item["name"] for item in listed.json()["items"]} == {"ci", "test"}


def test_when_a_token_was_last_used_is_told_to_the_minute(plane: SimControlPlane) -> None:
    def last_used() -> str:
        return str(plane.client.get("/api/v1/apitokens").json()["items"][0]["lastUsed"])

    first = last_used()
    plane.clock.tick(30)
    assert last_used() == first
    plane.clock.tick(31)
    plane.client.get(PROTECTED)
    assert last_used() > first


def test_a_sign_in_link_signs_one_browser_in(plane: SimControlPlane) -> None:
    answer = plane.stranger.post("/signin", data={"code": link(plane)})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert plane.stranger.get(PROTECTED).status_code == 200


def test_fetching_the_link_spends_nothing(plane: SimControlPlane) -> None:
    code = link(plane)
    for _ in range(3):
        page = plane.stranger.get("/signin", params={"code": code})
        assert page.status_code == 200
        assert "<button" in page.text
        assert COOKIE not in page.headers.get("set-cookie", "")
    assert plane.stranger.head("/signin", params={"code": code}).status_code in (200, 405)
    assert plane.stranger.post("/signin", data={"code": code}).status_code == 303


def test_a_link_works_once(plane: SimControlPlane) -> None:
    code = link(plane)
    plane.stranger.post("/signin", data={"code": code})
    again = plane.browser({}).post("/signin", data={"code": code}, headers={"Accept": "text/html"})
    assert again.status_code == 401
    assert "longshore open" in again.text


def test_a_link_works_for_a_quarter_of_an_hour(plane: SimControlPlane) -> None:
    code = link(plane)
    plane.clock.tick(15 * 60)
    assert plane.stranger.post("/signin", data={"code": code}).status_code == 401


def test_the_sign_in_page_shows_a_code_only_escaped(plane: SimControlPlane) -> None:
    page = plane.stranger.get("/signin", params={"code": '"><script>alert(1)</script>'})
    assert "<script>" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_a_session_ends_after_a_working_day(plane: SimControlPlane) -> None:
    plane.stranger.post("/signin", data={"code": link(plane)})
    plane.clock.tick(12 * 3600)
    answer = plane.stranger.get(PROTECTED)
    assert answer.status_code == 401
    assert "longshore open" in error(answer)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://testserver"}, 303),
        ({"Origin": "null", "Sec-Fetch-Site": "same-origin"}, 303),  # a form on a page that sends no referrer
        ({"Origin": "null"}, 403),
        ({"Origin": "null", "Sec-Fetch-Site": "same-site"}, 403),  # another port of this host
        ({"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_only_a_page_of_ours_signs_a_browser_out(plane: SimControlPlane, headers: dict[str, str], status: int) -> None:
    plane.stranger.post("/signin", data={"code": link(plane)})
    assert plane.stranger.post("/signout", headers=headers).status_code == status
    assert plane.stranger.get(PROTECTED).status_code == (401 if status == 303 else 200)


def test_two_control_planes_on_one_machine_sign_nobody_out(plane: SimControlPlane) -> None:
    """A browser sends all cookies of a host to all of its ports."""
    names = set()
    for host in ("127.0.0.1:8080", "127.0.0.1:9080", "[::1]:8080", "localhost"):
        answer = plane.browser({"Host": host}).post("/signin", data={"code": link(plane)})
        names.add(answer.headers["set-cookie"].partition("=")[0])
    assert names == {f"{COOKIE}_8080", f"{COOKIE}_9080", COOKIE}


def test_a_session_is_found_and_ended_under_the_name_of_its_port(plane: SimControlPlane) -> None:
    browser = plane.browser({"Host": "127.0.0.1:8080"})
    session = browser.post("/signin", data={"code": link(plane)}).cookies[f"{COOKIE}_8080"]
    here = plane.browser({"Host": "127.0.0.1:8080", "Cookie": f"{COOKIE}_8080={session}; {COOKIE}_9080=other"})
    assert here.get(PROTECTED).status_code == 200
    assert (
        plane.browser({"Host": "127.0.0.1:9080", "Cookie": f"{COOKIE}_8080={session}"}).get(PROTECTED).status_code
        == 401
    )
    assert here.post("/signout").headers["set-cookie"].startswith(f'{COOKIE}_8080=""')
    assert here.get(PROTECTED).status_code == 401


def test_signing_out_ends_the_session_on_the_server(plane: SimControlPlane) -> None:
    plane.stranger.post("/signin", data={"code": link(plane)})
    session = plane.stranger.cookies[COOKIE]
    assert plane.stranger.post("/signout").status_code == 303
    revived = plane.browser({"Cookie": f"{COOKIE}={session}"})
    assert revived.get(PROTECTED).status_code == 401


@pytest.mark.parametrize(
    ("origin", "status"), [("http://testserver", 201), ("http://localhost:9999", 403), ("null", 403)]
)
def test_a_page_of_another_port_cannot_use_a_session(plane: SimControlPlane, origin: str, status: int) -> None:
    plane.stranger.post("/signin", data={"code": link(plane)})
    answer = plane.stranger.post(PROTECTED, json={}, headers={"Origin": origin})
    assert answer.status_code == status


def test_guessing_sign_in_codes_is_slowed_down(plane: SimControlPlane) -> None:
    statuses = [plane.stranger.post("/signin", data={"code": f"guess{n}"}).status_code for n in range(22)]
    assert statuses[:20] == [401] * 20
    assert statuses[20:] == [503] * 2


def test_old_codes_and_sessions_are_forgotten(plane: SimControlPlane) -> None:
    for _ in range(3):
        plane.stranger.post("/signin", data={"code": link(plane)})
    plane.clock.tick(86_400)
    plane.stranger.post("/signin", data={"code": link(plane)})
    with plane.database.read() as session:
        assert session.query(tables.SignInCode).count() == 0
        assert session.query(tables.Session).count() == 1


def test_the_administrator_s_token_works_again_over_an_empty_database(plane: SimControlPlane) -> None:
    assert all(plane.identity.ensure_api_token("admin", "lsk_" + "a" * 43) for _ in range(2))
    headers = {"Authorization": "Bearer lsk_" + "a" * 43}
    assert plane.stranger.get(PROTECTED, headers=headers).status_code == 200
    assert len(plane.identity.api_tokens()) == 2


def started(config: Config) -> IdentityService:
    """What a start of the control plane leaves; the token in the file is good."""
    services = build(config)
    services.identity.user_of_bearer((config.folder / ADMIN_TOKEN).read_text().strip())
    services.database.close()
    return services.identity


def test_an_administrator_s_token_that_was_deleted_stays_dead_and_the_file_gets_another(tmp_path: Path) -> None:
    config = Config(state=tmp_path)
    file = config.folder / ADMIN_TOKEN
    started(config)
    leaked = file.read_text()
    identity = started(config)
    assert file.read_text() == leaked
    identity.delete_api_token(identity.api_tokens()[0].id)
    identity = started(config)
    assert (file.read_text() == leaked, file.stat().st_mode & 0o777) == (False, 0o600)
    with pytest.raises(Unauthenticated):
        identity.user_of_bearer(leaked.strip())


def test_a_backup_of_the_file_does_not_revive_a_deleted_token(tmp_path: Path) -> None:
    config = Config(state=tmp_path)
    identity = started(config)
    leaked = (config.folder / ADMIN_TOKEN).read_bytes()
    identity.delete_api_token(identity.api_tokens()[0].id)
    started(config)
    write_atomically(config.folder / ADMIN_TOKEN, leaked)
    started(config)
    assert (config.folder / ADMIN_TOKEN).read_bytes() != leaked


def test_a_deleted_api_token_cannot_be_deleted_again(plane: SimControlPlane) -> None:
    made = plane.client.post("/api/v1/apitokens", json={"name": "ci"}).json()
    answers = [plane.client.delete(f"/api/v1/apitokens/{made['id']}").status_code for _ in range(2)]
    assert answers == [204, 404]
    assert made["id"] not in plane.client.get("/api/v1/apitokens").text


@pytest.mark.parametrize(
    ("caller", "host", "http_port", "page"),
    [
        ("127.0.0.1", "127.0.0.1:8443", 8080, "http://127.0.0.1:8080"),
        ("127.0.0.1", "localhost:8443", 9090, "http://127.0.0.1:9090"),
        ("::1", "[::1]:8443", 8080, "http://127.0.0.1:8080"),
        ("127.0.0.1", "127.0.0.1:8443", 0, "http://127.0.0.1:8443"),
        ("127.0.0.1", "fleet.example", 8080, "http://fleet.example"),  # a proxy on this machine
        ("10.0.0.9", "fleet.example:8443", 8080, "http://fleet.example:8443"),
    ],
)
def test_on_its_own_machine_a_sign_in_link_leads_to_the_plain_page(
    tmp_path: Path, plane: SimControlPlane, caller: str, host: str, http_port: int, page: str
) -> None:
    (tmp_path / "other").mkdir()
    other = SimControlPlane(tmp_path / "other", plane.clock, http_port=http_port)
    operator = other.browser({"Host": host, "Authorization": f"Bearer {other.token}"}, caller)
    url = operator.post("/api/v1/signincodes").json()["url"]
    other.close()
    assert url.startswith(f"{page}/signin?code=")


def test_a_join_token_is_shown_once_and_listed_without_its_secret(plane: SimControlPlane) -> None:
    body = {"nodeId": "quay-1", "labels": {"site": "hamburg"}, "ttl": "10m"}
    made = plane.client.post(PROTECTED, json=body).json()
    one = plane.client.get(f"{PROTECTED}/{made['id']}")
    assert made["token"].startswith("LS1.")
    assert made["token"].split(".")[3] not in one.text + plane.client.get(PROTECTED).text
    assert one.json()["nodeId"] == "quay-1"
    assert one.json()["expires"] == made["expires"]


def test_a_misspelt_field_is_refused_by_name(plane: SimControlPlane) -> None:
    answer = plane.client.post(PROTECTED, json={"node": "quay-1"})
    assert answer.status_code == 422
    assert error(answer) == "node is no field here"


def test_a_box_joins_over_http_as_protobuf_s_json_says_it(plane: SimControlPlane) -> None:
    token = plane.client.post(PROTECTED, json={"nodeId": "quay-1"}).json()["token"]
    body = {"token": token, "nodeId": "quay-1", "csrPem": joining.new_request(), "agentVersion": "0.1.0", "new": 1}
    answer = plane.stranger.post("/api/v1/enroll", json=body)
    assert answer.status_code == 200
    assert set(answer.json()) == {"nodeId", "certificate", "fleetAddress", "role", "root"}
    assert b64decode(answer.json()["root"]) == plane.services.trust.root()
    assert isinstance(answer.json()["certificate"]["notAfterUnixMs"], str)
    again = plane.stranger.post("/api/v1/enroll", json={**body, "csrPem": joining.new_request()})
    assert (again.status_code, again.json()["error"]["code"]) == (401, "invalid-token")


def test_anybody_may_fetch_the_ca(plane: SimControlPlane) -> None:
    assert plane.stranger.get("/api/v1/ca").text == plane.authority.ca_pem


def test_beyond_loopback_token_create_says_what_is_missing(tmp_path: Path, plane: SimControlPlane) -> None:
    (tmp_path / "far").mkdir()
    far = SimControlPlane(tmp_path / "far", plane.clock, advertise_host="fleet.example")
    answer = far.client.post(PROTECTED, json={})
    far.close()
    assert answer.status_code == 409
    assert "'mosquitto'" in error(answer)
