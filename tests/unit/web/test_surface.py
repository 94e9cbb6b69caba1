"""What the application shows as a whole: its description, its health, its figures."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.sim.control_plane import SimControlPlane

OPEN = {("post", "/api/v1/enroll"), ("post", "/api/v1/renew"), ("get", "/api/v1/ca")}


@pytest.fixture
def described(plane: SimControlPlane) -> dict[str, Any]:
    return dict(plane.stranger.get("/api/v1/openapi.json").json())


def operations(described: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(verb, path, each) for path, verbs in described["paths"].items() for verb, each in verbs.items()]


def test_every_operation_has_one_tag_one_name_and_documented_refusals(described: dict[str, Any]) -> None:
    names = [each["operationId"] for _, _, each in operations(described)]
    assert len(set(names)) == len(names)
    for _, path, each in operations(described):
        assert len(each["tags"]) == 1, path
        assert each["summary"], path


def test_everything_but_joining_and_renewing_asks_who_you_are(described: dict[str, Any]) -> None:
    unguarded = {(verb, path) for verb, path, each in operations(described) if "security" not in each}
    assert unguarded == OPEN


def test_a_stranger_gets_through_to_nothing(plane: SimControlPlane, described: dict[str, Any]) -> None:
    for verb, path, _ in operations(described):
        if (verb, path) in OPEN:
            continue
        filled = re.sub(r"\{sha256\}", "0" * 64, re.sub(r"\{upload_id\}", "0" * 16, path))
        answer = plane.stranger.request(verb.upper(), re.sub(r"\{\w+\}", "x", filled))
        assert answer.status_code == 401, (verb, path)


def test_nothing_is_loaded_from_elsewhere(plane: SimControlPlane) -> None:
    assert [plane.stranger.get(path).status_code for path in ("/docs", "/redoc")] == [404, 404]


def test_health_needs_no_name(plane: SimControlPlane) -> None:
    assert [plane.stranger.get(path).text for path in ("/healthz", "/readyz")] == ["ok\n", "ok\n"]


def test_not_ready_without_a_database(plane: SimControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(plane.database), "ping", _away)
    assert plane.stranger.get("/readyz").status_code == 503
    assert plane.stranger.get("/healthz").status_code == 200


def _away(_: object) -> None:
    from protos.errors import Retryable

    raise Retryable("the database is away")


def test_requests_are_measured_by_route_not_by_path(plane: SimControlPlane) -> None:
    for node in ("a", "b"):
        plane.client.get(f"/api/v1/nodes/{node}")
    text = plane.client.get("/metrics").text
    found = re.findall(r"longshore_http_request_seconds_count\{(.*)\} (\S+)", text)
    assert ('method="GET",route="/api/v1/nodes/{name}",status="404"', "2.0") in found
    assert not any("nodes/a" in labels for labels, _ in found)


def test_a_path_that_is_nowhere_makes_no_new_series(plane: SimControlPlane) -> None:
    for number in range(5):
        plane.client.get(f"/{number}")
    text = plane.client.get("/metrics").text
    assert len(re.findall(r'longshore_http_request_seconds_count\{.*route="none"', text)) == 1


def test_figures_are_open_on_this_machine_only(plane: SimControlPlane) -> None:
    assert plane.stranger.get("/metrics").status_code == 200
    assert plane.browser({}, "10.0.0.9").get("/metrics").status_code == 401
