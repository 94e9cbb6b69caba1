"""A page reads what it shows: that a fleet has many more boxes costs the page of one of them nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from controlplane import tables
from controlplane.container import Services
from controlplane.ingest.domain import Kind
from controlplane.ui.event_pages import list_events
from controlplane.ui.fleet_pages import CameraPage, NodePage
from controlplane.ui.page import Asked, View
from controlplane.ui.telemetry_pages import list_gaps
from tests.sim.fleet_data import HarbourFleet

MORE = 20


@contextmanager
def counted(*classes: type) -> Iterator[list[str]]:
    """Rows that are read as whole objects meanwhile."""
    rows: list[str] = []

    def loaded(row: Any, _: object) -> None:
        rows.append(type(row).__name__)

    for each in classes:
        event.listen(each, "load", loaded)
    try:
        yield rows
    finally:
        for each in classes:
            event.remove(each, "load", loaded)


PAGES: dict[str, Callable[[Services], View]] = {
    "node": lambda services: NodePage(services, Asked({"name": "north-quay"}))(),
    "camera": lambda services: CameraPage(services, Asked({"name": "crane"}))(),
    "events": lambda services: list_events(services, Asked(query={"kind": "change"})),
    "gaps": lambda services: list_gaps(services, Asked()),
}


def grow(fleet: HarbourFleet) -> None:
    """Each new box has a camera, runs what the others run, and has told what it spends."""
    for number in range(MORE):
        name = f"east-quay-{number}"
        fleet.admit(name, "edge", {"site": "harbour"})
        spec = {"node": name, "source": "synthetic://harbour"}
        fleet.services.fleet.apply_camera(
            f"crane-{number}", {"metadata": {"labels": {"site": "harbour"}}, "spec": spec}
        )
        spent = {"cpu_cores_used": 1.0, "memory_bytes": 1, "disk_free_bytes": 1, "outbox_waiting": 0}
        fleet.say(name, Kind.NODE, {**spent, "outbox_dropped": 0})


@pytest.mark.parametrize("name", PAGES)
def test_a_page_reads_as_many_rows_of_the_fleet_when_it_has_many_more_boxes(harbour: HarbourFleet, name: str) -> None:
    read = []
    for _ in range(2):
        with counted(tables.Node, tables.Camera, tables.NodeStat) as rows:
            PAGES[name](harbour.services)
        read.append(sorted(rows))
        grow(harbour)
    assert read[0] == read[1]
