"""A control plane of an earlier release goes on under today's code on both databases; a kill on the way is safe."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import event

from controlplane.adapters.x509 import LocalAuthority
from controlplane.config import Config
from controlplane.container import Services
from controlplane.db import Database
from controlplane.fleet.repository import FleetRepository
from controlplane.migrations import migrate as steps
from controlplane.migrations.migrate import head, migrate
from controlplane.tables import Base
from controlplane.wiring import build
from tests.sim import past

TABLES = ("nodes", "certificates", "cameras", "models", "releases", "release_files", "deployments", "join_tokens")
TELEMETRY = ("detections", "outcome_counts", "camera_health", "node_stats", "gaps")
FIRST = "0001"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Config:
    """Of a control plane whose state is the first release's."""
    past.control_plane(tmp_path)
    url = ""
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
        past.fill_postgres(url)
    return Config(state=tmp_path, database_url=url)


@pytest.fixture
def services(config: Config) -> Iterator[Services]:
    services = build(config)
    yield services
    services.database.close()


def counts(database: Database) -> dict[str, int]:
    with database.engine.connect() as connection:
        return {
            name: connection.scalar(sqlalchemy.text(f"SELECT count(*) FROM {name}")) or 0
            for name in (*TABLES, *TELEMETRY)
        }


def version(database: Database) -> Any:
    with database.engine.connect() as connection:
        return connection.scalar(sqlalchemy.text("SELECT version_num FROM alembic_version"))


def test_nothing_is_lost(config: Config) -> None:
    database = Database(config.database)
    before = counts(database)
    migrate(database)
    after = counts(database)
    database.close()
    assert after == before
    assert min(before[name] for name in (*TABLES, *TELEMETRY[:4])) > 0


def test_every_row_is_readable(services: Services) -> None:
    with services.database.read() as session:
        for table in Base.registry.mappers:
            session.scalars(sqlalchemy.select(table.class_)).all()


def test_objects_are_served_as_before(services: Services) -> None:
    nodes = {node["metadata"]["name"]: node for node in services.fleet.list_nodes("", None, "")}
    assert set(nodes) == {"north-quay", "south-quay", "cloud-1"}
    assert nodes["south-quay"]["spec"]["paused"] is True
    cameras = {camera["metadata"]["name"]: camera for camera in services.fleet.list_cameras("", None, "")}
    assert cameras["yard"]["spec"]["source"] == "rtsp://***@127.0.0.1:9/live"
    deployment = services.fleet.get_deployment("harbour-watch")
    assert (deployment["spec"]["model"], deployment["spec"]["version"]) == ("harbour", "1.0.0")
    assert services.fleet.get_deployment("harbour-watch")["status"]["digest"].startswith("sha256:416fa625")


def test_boxes_and_people_keep_who_they_are(services: Services, config: Config) -> None:
    certificate = (past.FIRST / "box" / "identity" / "cert.pem").read_bytes()
    assert services.identity.device(certificate) == past.BOX
    token = (past.FIRST / "controlplane" / "admin.token").read_text().strip()
    assert (config.folder / "admin.token").read_text().strip() == token
    assert services.identity.user_of_bearer(token).name == "admin"
    stored = (past.FIRST / "controlplane" / "ca" / "ca.pem").read_text()
    key = (past.FIRST / "controlplane" / "ca" / "ca.key").read_text()
    assert services.authority.ca_pin == LocalAuthority(stored, key).ca_pin


PLANTED = """
import sqlalchemy as sa
from alembic import op
revision, down_revision, branch_labels, depends_on = "9000", {head!r}, None, None

def upgrade():
    op.add_column("nodes", sa.Column("berth", sa.String(8), server_default="7"))
    op.execute("UPDATE cameras SET rate = rate + 1")
    with op.batch_alter_table("models") as models:
        models.add_column(sa.Column("note", sa.Text()))
"""


@pytest.fixture
def one_more(tmp_path: Path) -> Path:
    """The migrations with another one behind the newest."""
    folder = tmp_path / "migrations"
    shutil.copytree(steps.FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "9000_planted.py").write_text(PLANTED.format(head=head()))
    return folder


def test_an_upgrade_killed_at_any_statement_leaves_the_old_version_whole(
    tmp_path: Path, one_more: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies on disk while each statement runs is what kill -9 would leave there."""
    monkeypatch.setattr(steps, "FOLDER", one_more)
    folder = past.control_plane(tmp_path / "live")
    moments: list[Path] = []
    database = Database(f"sqlite:///{folder / 'longshore.db'}")
    before = counts(database)

    def keep(*_: object) -> None:
        there = tmp_path / f"moment-{len(moments)}"
        there.mkdir()
        for file in folder.glob("longshore.db*"):
            if not file.name.endswith("-shm"):  # memory of the processes that have it open
                shutil.copy(file, there)
        moments.append(there)

    event.listen(database.engine, "after_cursor_execute", keep)
    migrate(database)
    database.close()
    assert len(moments) > 5
    for there in moments:
        killed = Database(f"sqlite:///{there / 'longshore.db'}")
        assert version(killed) == FIRST
        migrate(killed)
        assert (version(killed), counts(killed)) == ("9000", before)
        killed.close()


KILLED = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import event
from controlplane.db import Database
from controlplane.migrations import migrate as steps
steps.FOLDER = Path(sys.argv[3])
database = Database(sys.argv[1])
seen = []
def kill(*_):
    seen.append(1)
    if len(seen) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
event.listen(database.engine, "after_cursor_execute", kill)
steps.migrate(database)
"""


@pytest.mark.postgres
def test_an_upgrade_killed_on_postgresql_leaves_the_old_version_whole(
    postgres_url: str, one_more: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "FOLDER", one_more)
    past.fill_postgres(postgres_url)
    database = Database(postgres_url)
    before = counts(database)
    for statement in ("6", "9"):
        command = [sys.executable, "-c", KILLED, postgres_url, statement, str(one_more)]
        assert subprocess.run(command, check=False, timeout=60).returncode == -signal.SIGKILL
        assert version(database) == FIRST
    migrate(database)
    assert (version(database), counts(database)) == ("9000", before)
    database.close()


def test_signed_metadata_begins_and_what_lies_there_is_unsigned(services: Services, config: Config) -> None:
    assert all(each.document.verified for each in services.trust.roles())
    assert services.trust.listings() == {}
    assert (config.keys_folder / "offline" / "root.key").exists()
    with services.database.read() as session:
        releases = FleetRepository(session).releases()
        assert releases
        assert FleetRepository(session).unsigned() == releases.keys()
