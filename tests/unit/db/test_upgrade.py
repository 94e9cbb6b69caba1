"""A control plane of an earlier release goes on under today's code on both databases; a kill on the way is safe."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy
from sqlalchemy import event

from controlplane import tables
from controlplane.adapters.x509 import LocalAuthority
from controlplane.config import Config
from controlplane.container import Services
from controlplane.db import Database
from controlplane.fleet.repository import FleetRepository
from controlplane.ingest.domain import told_day
from controlplane.migrations import migrate as steps
from controlplane.migrations.migrate import head, migrate
from controlplane.rollups import tables as rolled
from controlplane.rollups.domain import SUMS, Level, outcome_sums
from controlplane.rollups.service import RollupService
from controlplane.settings.domain import DAY_MS, Spec
from controlplane.tables import Base
from controlplane.wiring import build
from tests.sim import past
from tests.sim.clock import FakeClock

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


def test_what_was_stored_before_stands_in_minutes_and_hours(config: Config) -> None:
    database = Database(config.database)
    migrate(database)
    while RollupService(database, FakeClock()).roll():
        pass
    with database.read() as session:
        raw: Counter[str] = Counter()
        for row in session.scalars(sqlalchemy.select(tables.OutcomeCount)):
            raw.update(outcome_sums(vars(row)))
        assert raw["ok_local"] > 0
        for table in rolled.OUTCOMES.values():
            both = sqlalchemy.select(*(sqlalchemy.func.sum(table.c[name]) / 2 for name in SUMS))  # cameras, and all
            (sums,) = session.execute(both)
            assert {name: int(each) for name, each in zip(SUMS, sums, strict=True) if each} == dict(+raw)
        figures = session.scalar(sqlalchemy.select(sqlalchemy.func.count()).select_from(tables.NodeStat))
        samples = sqlalchemy.func.sum(rolled.STATS[Level.HOUR].c.samples)
        assert session.scalar(sqlalchemy.select(samples)) == figures
    database.close()


def test_going_back_before_the_levels_and_forward_again_loses_no_record(config: Config) -> None:
    from alembic import command

    database = Database(config.database)
    before = counts(database)
    migrate(database)
    with database.engine.begin() as connection:
        command.downgrade(steps.alembic_config(connection), "0012")
    assert (version(database), counts(database)) == ("0012", before)
    with database.engine.connect() as connection:
        key = sqlalchemy.inspect(connection).get_pk_constraint("detections")["constrained_columns"]
    assert key == ["node_id", "epoch", "seq"]
    migrate(database)
    assert (version(database), counts(database)) == (head(), before)
    database.close()


@pytest.mark.parametrize(("spec", "days"), [(None, (7, 7)), (Spec(detections_retention_ms=DAY_MS), (1, 7))])
def test_what_retention_may_have_taken_before_there_were_marks_counts_as_taken(
    config: Config, spec: Spec | None, days: tuple[int, int]
) -> None:
    from alembic import command

    database = Database(config.database)
    migrate(database)
    with database.engine.begin() as connection:
        command.downgrade(steps.alembic_config(connection), "0013")
        connection.execute(sqlalchemy.delete(tables.Settings))
        if spec is not None:
            row = {"name": "fleet", "spec": msgspec.to_builtins(spec), "created_ms": 1}
            connection.execute(sqlalchemy.insert(tables.Settings).values(row))
    since_ms = int(time.time() * 1000)
    migrate(database)
    with database.read() as session:
        marks = {each.name: each.before_ms for each in session.scalars(sqlalchemy.select(tables.Swept))}
    database.close()
    took_ms = int(time.time() * 1000) - since_ms
    assert sorted(marks) == sorted(TELEMETRY[:4])
    for name, before_ms in marks.items():
        expected_ms = since_ms - days[name != "detections"] * DAY_MS
        assert expected_ms <= before_ms <= expected_ms + took_ms


def test_the_day_of_a_record_is_the_one_it_would_have_if_it_came_again(config: Config) -> None:
    database = Database(config.database)
    migrate(database)
    with database.read() as session:
        found = session.scalars(sqlalchemy.select(tables.Detection)).all()
    assert found
    assert all(row.told_day == told_day(row.captured_unix_ns // 1_000_000) for row in found)
    database.close()


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

    def keep(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith(("PRAGMA", "SELECT")):
            return  # it left the disk as the statement before did
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
from controlplane.ingest.domain import told_day
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
