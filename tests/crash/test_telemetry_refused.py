"""A broker that lets nobody write, and one that nobody listens to: nothing is deleted, it is counted, and told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.telemetry.history import History
from bench.telemetry.stage import INGEST, Box, Stage, staged
from protos.topics import Channel
from tests.servers.brokers import KINDS

RATE = 100.0  # records a second
MARKS = {"mosquitto": [pytest.mark.mosquitto], "embedded": []}


@pytest.fixture(params=[pytest.param(kind, marks=MARKS[kind]) for kind in KINDS])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path, request.param, postgres=False, rate=RATE) as made:
        made.box("quay")
        yield made


def all_arrives(stage: Stage) -> History:
    stage.silence()
    (history,) = stage.histories()
    assert history.complaints() == []
    assert history.counts()["dropped"] == 0
    return history


def test_what_nobody_subscribes_to_waits(stage: Stage) -> None:
    box = stage.boxes[0]
    stage.broker.start()
    box.process.start()
    stage.until("a second's records", lambda: box.said.get("waiting", 0) > RATE)
    stage.pause(1.0)
    stop(box, stage)
    assert box.said["waiting"] == box.said["accepted"]
    if stage.broker.mqtt5:  # the other one takes it, and says that all is well
        assert box.said["refused"] > 0
    stage.planes[INGEST].start()
    all_arrives(stage)


@pytest.mark.mosquitto
@pytest.mark.parametrize("stage", ["mosquitto"], indirect=True)
def test_what_the_broker_denies_waits_until_its_rules_are_mended(stage: Stage) -> None:
    box, rules = stage.boxes[0], stage.broker.acl
    stage.broker.acl = "\n".join(line for line in rules.splitlines() if Channel.TELEMETRY not in line) + "\n"
    assert stage.broker.acl != rules
    stage.start()
    stage.until("a second's records", lambda: box.said.get("waiting", 0) > RATE)
    stop(box, stage)
    assert box.said["waiting"] == box.said["accepted"]
    assert box.said["refused"] > 0
    stage.broker.kill()
    stage.broker.acl = rules
    stage.broker.start()
    all_arrives(stage)


def stop(box: Box, stage: Stage) -> None:
    """It tells nothing new, and has said what waits since."""
    box.fall_silent()
    stage.until("silence", lambda: box.said["quiet"])
