"""What people see of telemetry: the books of a box as they change, and what the fleet lost."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sim.books_data import SimBox
from tests.sim.page_server import PageServer
from tests.sim.person import Person

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@pytest.fixture
def person(browser: Any, server: PageServer) -> Person:
    return Person(browser, server)


@pytest.fixture
def box(server: PageServer) -> SimBox:
    made = SimBox(server.services, "north-quay")
    made.accept("detection", 20)
    made.accept("debug", 30)
    made.declare("debug", 5, 9)
    made.settle()
    return made


def test_the_books_of_a_box_change_while_one_looks(person: Person, box: SimBox) -> None:
    person.open("/nodes/north-quay")
    telemetry = "section[aria-labelledby=telemetry]"
    person.until(lambda: "detection" in person.text(telemetry))
    person.until(lambda: "at rest" in person.text(telemetry))
    person.until(lambda: "the outbox was full" in person.text(telemetry))
    box.accept("detection", 1_234)
    box.tell("detection", oldest_ms=box.now_ms)
    person.until(lambda: "1\u202f234" in person.text(telemetry) and "under way" in person.text(telemetry))
    box.declare("detection", 21, 30, "the record was damaged on the box's disk", at_least=True)
    person.until(lambda: "≥ 10" in person.text(telemetry))
    person.click(f"{telemetry} a")
    person.until(lambda: person.text("h1") == "Lost telemetry")
    assert person.complaints() == []


def test_what_was_lost_is_chosen_by_class_and_drawn(person: Person, box: SimBox) -> None:
    box.declare("detection", 21, 30)
    person.open("/gaps")
    person.until(lambda: len(person.texts("tbody tr")) == 2)
    person.until(lambda: person.find('[data-chart="gaps.chart"] .column .series-4'))  # debug
    person.choose("[name=class]", "debug")
    person.until(lambda: len(person.texts("tbody tr")) == 1)
    person.until(lambda: "5 – 9" in person.text("tbody"))
    person.choose("[name=class]", "alarm")
    person.until(lambda: "No gap of this span fits these filters" in person.text())
    person.until(lambda: "nothing was dropped in this time" in person.of('[data-chart="gaps.chart"]', "textContent"))
    assert person.complaints() == []
