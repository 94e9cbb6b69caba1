"""A disk that was cloned, or put back from an old copy: no name is used twice after a start, and it is seen.

Of a machine that was cloned while it ran, both go on under the names that were given before: that is seen, too, and
what came second is kept aside.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.telemetry import database
from bench.telemetry.stage import Box, Stage, staged
from tests.servers.brokers import KINDS

RATE = 100.0  # records a second of each box
NODE = "quay"
pytestmark = pytest.mark.timeout(180)


MARKS = {"mosquitto": [pytest.mark.mosquitto], "embedded": []}


@pytest.fixture(params=[pytest.param(kind, marks=MARKS[kind]) for kind in KINDS])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path, request.param, postgres=False, rate=RATE) as made:
        yield made


@pytest.fixture
def contested(tmp_path: Path) -> Iterator[Stage]:
    """With a broker that ends the connection of whoever it throws out. The embedded one leaves that box to find out."""
    with staged(tmp_path, "mosquitto", postgres=False, rate=RATE) as made:
        yield made


def lived(stage: Stage, without: str = "") -> Box:
    """A box that has run, and was switched off while something waited."""
    box = stage.box(NODE, without=without)
    stage.start()
    stage.until("a record", lambda: not stage.bare)
    stage.broker.kill()
    stage.until("something that waits", lambda: box.said["waiting"] > RATE / 2)
    box.process.kill()
    stage.broker.start()
    return box


def told(stage: Stage, box: Box) -> None:
    """Return once the box, started anew, has told something in this run."""
    box.process.start()
    stage.until("what a new run told", lambda: box.said.get("pid") == box.pid and box.said["run"] > RATE)


@pytest.mark.mosquitto
def test_two_boxes_with_one_disk_lose_nothing_and_are_seen(contested: Stage) -> None:
    box = lived(contested)
    twin = contested.copy(box, "twin")
    twin.process.start()  # both are the broker's quay: each throws the other out, again and again
    told(contested, box)
    contested.until("what the twin told", lambda: twin.said.get("run", 0) > RATE)
    contested.silence()
    (history,) = contested.histories()
    assert history.complaints() == []
    assert len({run for run, _ in history.accepted}) == 3
    assert database.forks(contested.database, NODE) == 1
    assert database.conflicts(contested.database, NODE) == []


def test_a_disk_that_is_put_back_loses_nothing_and_is_seen(stage: Stage) -> None:
    box = lived(stage)
    old = stage.copy(box, "old")
    told(stage, box)
    box.fall_silent()
    stage.until("an empty outbox", lambda: box.at_rest)
    box.process.kill()
    told(stage, old)
    stage.silence()
    (history,) = stage.histories()
    assert history.complaints() == []
    assert database.forks(stage.database, NODE) == 1
    assert database.conflicts(stage.database, NODE) == []


@pytest.mark.mosquitto
def test_of_a_machine_cloned_while_it_ran_what_came_second_is_kept_aside(contested: Stage) -> None:
    box = lived(contested, without="names of its own")  # both choose the same ones, as if they had before the copy
    twin = contested.copy(box, "twin")
    for each in (box, twin):
        (each.folder / "seed").write_text("the same")
    twin.process.start()
    told(contested, box)
    contested.until("what the twin told", lambda: twin.said.get("run", 0) > RATE)
    contested.silence()
    (history,) = contested.histories()
    aside = set(database.conflicts(contested.database, NODE))
    stored = {each.made for each in history.found if each.made is not None}
    assert aside  # not all of it: what both have sent, either takes for its own when it is acknowledged
    assert not aside & stored
    assert len({each.run for each in aside | stored}) == 3
    assert all(record.number <= history.accepted[record.run, record.record_class] + history.burst for record in aside)
    assert "two boxes have its identity" in (contested.folder / "ingest.log").read_text()
