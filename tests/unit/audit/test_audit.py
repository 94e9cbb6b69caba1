"""Who changed what: every change that was taken, once, and nothing else."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest
import sqlalchemy

from controlplane import db
from controlplane.audit.domain import described
from controlplane.audit.service import AuditService
from controlplane.db import Database
from controlplane.identity.service import User
from controlplane.migrations.migrate import migrate
from tests.sim.clock import FakeClock
from tests.sim.control_plane import SimControlPlane
from tests.sim.releases import make

CAMERA = {"spec": {"node": "quay-1", "source": "rtsp://admin:hunter2@cam.example/live"}}


def entries(plane: SimControlPlane, query: str = "") -> list[tuple[str, ...]]:
    items = plane.client.get(f"/api/v1/audit{query}").json()["items"]
    return [(each["who"], each["via"], each["verb"], each["object"]) for each in items]


def test_a_change_is_written_down_with_who_did_it(plane: SimControlPlane) -> None:
    plane.client.put("/api/v1/cameras/gate", json=CAMERA)
    plane.client.put("/api/v1/cameras/gate", json={"spec": {**CAMERA["spec"], "rate": 3}})
    plane.client.delete("/api/v1/cameras/gate")
    assert entries(plane) == [
        ("admin", "test", "delete", "cameras/gate"),
        ("admin", "test", "change", "cameras/gate"),
        ("admin", "test", "create", "cameras/gate"),
    ]


def test_a_change_is_written_down_though_others_write_for_longer_than_sqlite_would_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    monkeypatch.setattr(db, "BUSY_SECONDS", 0)
    database = Database(f"sqlite:///{tmp_path / 'longshore.db'}")
    migrate(database)
    audit, waits = AuditService(database, clock), threading.Event()

    def record() -> None:
        waits.set()
        audit.record(User(name="ci"), "change", "cameras/gate")

    thread = threading.Thread(target=record)
    with database.begin() as session:
        session.execute(sqlalchemy.text("DELETE FROM audit"))
        thread.start()
        waits.wait()
        thread.join(0.05)
        assert thread.is_alive()
    thread.join()
    assert [(row.verb, row.object) for row in audit.newest(0, "", 10)] == [("change", "cameras/gate")]
    database.close()


def test_what_was_made_is_named(plane: SimControlPlane) -> None:
    release = make("1.0.0")
    for content in release.blobs.values():
        plane.upload(content)
    plane.client.post("/api/v1/releases", content=release.manifest)
    plane.client.post("/api/v1/releases", content=release.manifest)  # it is there already
    join = plane.client.post("/api/v1/jointokens", json={"nodeId": "quay-1"}).json()["id"]
    token = plane.client.post("/api/v1/apitokens", json={"name": "ci"}).json()["id"]
    plane.client.delete(f"/api/v1/apitokens/{token}")
    assert [(verb, what) for _, _, verb, what in entries(plane)] == [
        ("delete", f"apitokens/{token}"),
        ("create", f"apitokens/{token}"),
        ("create", f"jointokens/{join}"),
        ("create", "releases/harbour-1-0-0"),
    ]


def test_what_changed_nothing_was_refused_or_only_read_is_not(plane: SimControlPlane) -> None:
    plane.client.put("/api/v1/cameras/gate", json=CAMERA)
    before = entries(plane)
    plane.client.put("/api/v1/cameras/gate", json=CAMERA)
    plane.client.put("/api/v1/cameras/gate", json={"spec": {}})
    plane.client.delete("/api/v1/cameras/none")
    plane.stranger.delete("/api/v1/cameras/gate")
    plane.client.get("/api/v1/cameras/gate")
    assert entries(plane) == before


def test_a_browser_and_a_service_are_told_apart(plane: SimControlPlane) -> None:
    plane.client.put("/api/v1/people/ann", json={"spec": {"role": "operator"}})
    ann = plane.browser({})
    ann.post("/signin", data={"code": plane.client.post("/api/v1/people/ann/invite").json()["code"]})
    token = plane.client.post("/api/v1/apitokens", json={"name": "ci", "role": "operator"}).json()["token"]
    plane.clock.tick(10)
    ann.put("/api/v1/cameras/gate", json=CAMERA)
    plane.browser({"Authorization": f"Bearer {token}"}).delete("/api/v1/cameras/gate")
    assert entries(plane, "?since=5s") == [
        ("ci", "ci", "delete", "cameras/gate"),
        ("ann", "browser", "create", "cameras/gate"),
    ]
    assert entries(plane, "?who=ann") == [("ann", "browser", "create", "cameras/gate")]


def test_no_secret_is_in_it(plane: SimControlPlane) -> None:
    plane.client.put("/api/v1/cameras/gate", json=CAMERA)
    token = plane.client.post("/api/v1/apitokens", json={"name": "ci"}).json()["token"]
    told = plane.client.get("/api/v1/audit").text
    assert "hunter2" not in told
    assert token not in told


def test_after_a_year_and_a_month_it_is_forgotten(plane: SimControlPlane) -> None:
    plane.client.put("/api/v1/cameras/gate", json=CAMERA)
    plane.clock.tick(399 * 86_400)
    plane.services.audit.sweep()
    assert len(entries(plane, "?since=9600h")) == 1
    plane.clock.tick(2 * 86_400)
    plane.services.audit.sweep()
    assert entries(plane, "?since=9700h") == []


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (("POST", "/api/v1/jointokens", "", "/api/v1/jointokens/4f2a"), ("create", "jointokens/4f2a")),
        (("POST", "/api/v1/signincodes", ""), ("create", "signincodes")),
        (("POST", "/api/v1/runs", "", "https://elsewhere/x"), ("create", "runs")),
        (("POST", "/api/v1/deployments/d/preview", ""), None),
        (("POST", "/api/v1/runs/r1/cancel", ""), ("cancel", "runs/r1")),
        (("POST", "/api/v1/people/ann/invite", ""), ("invite", "people/ann")),
        (("PUT", "/api/v1/uploads/1", ""), None),
        (("POST", "/ui/look", ""), None),
        (("PUT", "/api/v1/nodes/n", "unchanged"), None),
        (("GET", "/api/v1/nodes", ""), None),
        (("DELETE", f"/api/v1/cameras/{'x' * 300}", ""), ("delete", f"cameras/{'x' * 300}"[:200])),
    ],
)
def test_verb_and_object_come_from_the_request(request_: tuple[str, ...], told: tuple[str, str] | None) -> None:
    assert described(*request_) == told


def test_what_cannot_be_stored_goes_to_the_log(plane: SimControlPlane, caplog: pytest.LogCaptureFixture) -> None:
    audit = AuditService(Database("sqlite:////nonexistent/longshore.db"), FakeClock())
    with caplog.at_level(logging.ERROR):
        audit.record(User("browser"), "delete", "cameras/gate")
    assert "not in the audit" in caplog.text
    assert "cameras/gate" in caplog.text
