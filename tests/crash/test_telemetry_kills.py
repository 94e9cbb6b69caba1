"""kill -9 of boxes, ingest, control plane, broker and database in random order: what was accepted is stored, once.

In CI a few kills in some seconds; with LONGSHORE_SOAK=1 sixty of them. The seed stands in the form. That the checker
sees what it is there for is shown by taking protections away (tests.sim.telemetry_faults).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.bench_telemetry import QUICK, prove, table
from bench.telemetry import database
from bench.telemetry.stage import AGENT, BROKER, CONTROL_PLANE, DATABASE, INGEST, TIGHT, Stage, staged
from tests.servers.brokers import KINDS

SOAK = os.environ.get("LONGSHORE_SOAK") == "1"
FORM = replace(QUICK, kills={AGENT: 30, BROKER: 8, INGEST: 8, CONTROL_PLANE: 7, DATABASE: 7}) if SOAK else QUICK
RATE = 200.0  # records a second
MARKS = {"mosquitto": [pytest.mark.mosquitto, pytest.mark.postgres], "embedded": []}
pytestmark = pytest.mark.timeout(600 if SOAK else 180)


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=MARKS[kind]) for kind in KINDS])
def test_accepted_is_stored_once_or_declared_dropped_whoever_is_killed(tmp_path: Path, kind: str) -> None:
    form = replace(FORM, broker=kind, postgres=kind == "mosquitto")
    result = prove(tmp_path, form)
    print(table(result))
    assert result["broken"] == []
    assert result["kills"] == {each: count for each, count in form.kills.items() if form.postgres or each != DATABASE}
    assert all(result["classes"].values())
    assert result["boxes"]["quay-0"]["dropped"] > 0


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path, "embedded", postgres=False, rate=RATE) as made:
        yield made


def forgotten(stage: Stage) -> int:
    """Records that the box has deleted."""
    said = stage.boxes[0].said
    return int(said["accepted"] - said["waiting"])


def complaints(stage: Stage) -> list[str]:
    stage.silence()
    return [sentence for history in stage.histories() for sentence in history.complaints()]


def test_a_box_that_takes_the_brokers_word_for_the_databases_is_seen(stage: Stage) -> None:
    stage.box("quay", without="waiting for the control plane")
    stage.start()
    stage.until("a record", lambda: not stage.bare)
    stage.fell(INGEST, stage.boxes[0])
    stage.pause(0.5)
    assert any("are lost" in sentence for sentence in complaints(stage))


def test_an_ingest_that_acknowledges_before_it_commits_is_seen(stage: Stage) -> None:
    stage.box("quay")
    stage.ingest(without="commit before acknowledgement")
    stage.start()
    stage.until("a record", lambda: not stage.bare)
    with sqlite3.connect(stage.folder / "longshore.db", isolation_level=None) as slow:
        slow.execute("BEGIN IMMEDIATE")
        stored = len(database.history(stage.database, "quay", {}, 0, None).found)
        stage.until("an acknowledgement of more than is stored", lambda: forgotten(stage) > stored)
        stage.planes[INGEST].kill()
        slow.execute("ROLLBACK")
    slow.close()
    stage.planes[INGEST].start()
    assert any("are lost" in sentence for sentence in complaints(stage))


def test_a_box_that_drops_without_a_word_is_seen(stage: Stage) -> None:
    stage.rate = 10 * RATE
    box = stage.box("quay", TIGHT, without="gaps")
    stage.start()
    stage.until("a record", lambda: not stage.bare)
    stage.broker.kill()
    waiting = 0

    def full() -> bool:
        nonlocal waiting
        before, waiting = waiting, box.said["waiting"]
        return bool(waiting < before)

    stage.until("an overflow", full)
    stage.broker.start()
    assert any("are lost" in sentence for sentence in complaints(stage))
